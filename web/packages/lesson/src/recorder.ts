/**
 * Records a lesson: the session's rows, rigs and voice become the messages of ADR 0113, on a socket that
 * somebody else opened. All numbers are rounded here, once: what is sent is what the session consumed.
 */
import type { Row, Session, State } from '@fabrica/contract';
import type { DeviceKind, Rig, RigDevice, RigJoints, RigKinds, RigPose } from '@fabrica/scene';
import { encodeHands, encodePoses, encodeVoice, limits, quantise, quantiseJoint } from './codec';
import type { HandPose, HandSample, Pose, PoseSample, VoicePacket } from './codec';
import { VoiceBatches } from './stamp';
import type { VoiceBatch } from './stamp';

/** What carries the messages: the live channel, or a test. */
export interface Wire {
  send(data: string | Uint8Array): void;
  /** Calls `on` for each message of the server, and `closed` once. */
  listen(on: (message: Record<string, unknown>) => void, closed: () => void): void;
  close(): void;
  /** Bytes that wait to be sent. */
  pending?(): number;
}

export interface RecordOptions { title: string; language: string; software: string; voice?: { preSkip: number } | undefined; kinds: RigKinds; consent?: Record<string, unknown> | undefined }

/** `ended`: the server could not go on, and finished the file; `lost`: the connection went. */
export type RecordPhase = 'starting' | 'recording' | 'stopping' | 'saved' | 'ended' | 'lost' | 'refused';

/** A batch leaves when it is this old, microseconds. */
const patience = 250000;
/**
 * The server takes nothing that is a second older than something before it. Voice comes late where the machine
 * is busy: what is newer waits until voice is this near, microseconds, or for eight seconds. Voice that is later
 * still is put as early as the server takes it: out of step for a while, and not lost.
 */
const together = { near: 600000, most: 8000000, taken: 900000 } as const;
/** Hands are kept at 36 Hz at most, devices at 90. */
const most = { hand: 36, pose: 90 } as const;

const kindNumber = { pose: 0, hand: 1, voice: 2 } as const;

/** `u8 kind`, seven bytes 0, `u64` time, the batch. */
export function envelope(kind: keyof typeof kindNumber, time: number, batch: Uint8Array): Uint8Array {
  const out = new Uint8Array(16 + batch.length);
  const view = new DataView(out.buffer);
  view.setUint8(0, kindNumber[kind]);
  view.setUint32(8, time % 2 ** 32, true);
  view.setUint32(12, Math.floor(time / 2 ** 32), true);
  out.set(batch, 16);
  return out;
}

/** The message that attaches a file. */
export const attachment = (name: string, mediaType: string, data: Uint8Array): object =>
  ({ type: 'record.attach', name, media_type: mediaType, data: btoa(Array.from(data, (b) => String.fromCharCode(b)).join('')) });

/** Of a channel of our microphone's voice. */
export const voiceMetadata = (preSkip: number): Record<string, string> =>
  ({ codec: 'opus', sample_rate: '48000', channels: '1', pre_skip: String(preSkip), frame_us: String(limits.packetUs) });

const deviceMetadata = (kinds: RigKinds): Record<string, string> => ({ ...(kinds.left && { left: kinds.left }), ...(kinds.right && { right: kinds.right }), space: kinds.space });

/** A pose that is not finite or too far away is no pose. */
function posed(pose: RigPose | undefined): Pose | undefined {
  if (!pose) return undefined;
  try {
    return quantise(pose, pose.emulated ?? false);
  } catch {
    return undefined;
  }
}

const byte = (share: number): number => Math.round(Math.max(0, Math.min(1, share)) * 255);
const controlsOf = (device: RigDevice): number => (device.pressed & 255) + byte(device.trigger) * 256 + byte(device.squeeze) * 65536;

function handed(joints: RigJoints | undefined): HandPose | undefined {
  const wrist = posed(joints?.[0]);
  if (!wrist || joints?.length !== 25) return undefined;
  try {
    return { wrist, joints: joints.slice(1).map((joint) => quantiseJoint(wrist, joint)) };
  } catch {
    return undefined;
  }
}

/** Lets through so many samples a second on average: frames of that rate pass whole although they jitter by a quarter of their distance. */
class Pace {
  private due = -Infinity;
  private readonly every: number;

  constructor(rate: number) { this.every = 1e6 / rate; }

  /** `time`: microseconds, growing. */
  take(time: number): boolean {
    if (time < this.due - this.every / 4) return false;
    this.due = Math.max(this.due, time - this.every) + this.every; // what was late is made up for once
    return true;
  }
}

export class Recorder {
  phase: RecordPhase = 'starting';
  /** What the server calls the lesson. */
  name = '';
  /** Microseconds that are on the server's disk. */
  saved = 0;
  /** Why it ended, or what was dropped. */
  problem = '';
  rows = 0;
  /** Batches the server refused. */
  dropped = 0;
  /** Why the last of them. */
  refused = '';
  private readonly began = performance.now();
  private readonly ends: (() => void)[] = [];
  private readonly sequence = new Map<number, number>();
  private readonly poses: PoseSample[] = [];
  private readonly hands: HandSample[] = [];
  private readonly voice: VoiceBatches;
  private readonly pace = { pose: new Pace(most.pose), hand: new Pace(most.hand) };
  private lastRow = 0;
  private readonly outbox: { end: number; data: string | Uint8Array }[] = [];
  private heard = 0;
  /** Up to where something was sent, microseconds. */
  private sent = 0;
  /** Does voice come? */
  private speaking: boolean;
  /** Stopping, but what was said last is not here yet. */
  private closing = false;
  private kinds: string;

  /** `changed`: phase, saved or problem. The recording starts with the session's scene as it is. */
  constructor(private readonly wire: Wire, session: Session, private readonly options: RecordOptions, private readonly changed: () => void) {
    this.kinds = JSON.stringify(deviceMetadata(options.kinds));
    this.voice = new VoiceBatches((batch) => this.speak(batch), () => this.sent - together.taken);
    this.speaking = options.voice !== undefined;
    wire.listen((message) => this.onMessage(message), () => this.onClosed());
    this.text(this.startMessage(session.rows.length > 0 ? session.state : null));
    if (options.consent) this.attach('consent.json', 'application/json', new TextEncoder().encode(JSON.stringify(options.consent)));
    this.ends.push(session.listen((_state, row) => this.row(row)));
  }

  private startMessage(state: State | null): object {
    const channels: object[] = [{ kind: 'pose', metadata: deviceMetadata(this.options.kinds) }, { kind: 'hand', metadata: {} }];
    if (this.options.voice) {
      channels.push({ kind: 'voice', metadata: voiceMetadata(this.options.voice.preSkip) });
    }
    const { title, language, software } = this.options;
    return { type: 'record.start', title, language, software, state, channels };
  }

  get going(): boolean { return this.phase === 'starting' || this.phase === 'recording'; }

  /** May the server still be told something? */
  private get open(): boolean { return this.going || this.closing; }

  /** The most that voice was put later than it was said, microseconds. */
  get moved(): number { return this.voice.moved; }

  /** Microseconds of the lesson at a time of performance.now(). */
  timeOf(now: number): number { return Math.max(0, (now - this.began) * 1000); }

  get time(): number { return this.timeOf(performance.now()); }

  private text(message: object): void { if (this.open) this.wire.send(JSON.stringify(message)); }

  /** Sends what ends at `end`, microseconds, when voice is near enough. */
  private queue(end: number, data: string | Uint8Array): void {
    this.outbox.push({ end, data });
    this.pump();
  }

  /** `before`: what ends by then goes in any case. */
  private pump(before = -1): void {
    const free = (end: number): boolean => end <= before || !this.speaking || this.heard >= end - together.near || this.time - end > together.most;
    while (this.outbox[0] && free(this.outbox[0].end)) {
      const { end, data } = this.outbox.shift() as { end: number; data: string | Uint8Array };
      if (!this.open) continue;
      this.wire.send(data);
      this.sent = Math.max(this.sent, end);
    }
  }

  private speak({ time, packets }: VoiceBatch): void {
    if (!this.open) return;
    const end = time + packets.length * limits.packetUs;
    this.flushOld(end); // what a page that stood still has not sent yet comes before what was said since
    this.pump(time);
    this.wire.send(envelope('voice', time, encodeVoice(packets)));
    this.heard = end;
    this.sent = Math.max(this.sent, end);
    this.pump();
  }

  private row(row: Row): void {
    if (!this.going) return;
    const seq = ++this.rows;
    this.sequence.set(row.seq, seq);
    const undone = row.undoes === undefined ? undefined : this.sequence.get(row.undoes);
    const t = Math.max(this.lastRow, Math.round(this.time));
    this.lastRow = t;
    const { op, args, by } = row;
    this.flushOld(t);
    this.queue(t, JSON.stringify({ type: 'row', row: { op, args, seq, by, t, ...(undone === undefined ? {} : { undoes: undone }) } }));
  }

  /** Something that is no row; `event` names it. */
  meta(event: string, more: Record<string, unknown> = {}): void {
    const t = Math.round(this.time);
    this.queue(t, JSON.stringify({ type: 'meta', t, object: { event, ...more } }));
  }

  private attach(name: string, mediaType: string, data: Uint8Array): void {
    this.text(attachment(name, mediaType, data));
  }

  /** A frame's rig. Samples that come too soon after one another are left out. */
  rig(rig: Rig, kinds: RigKinds): void {
    if (!this.going) return;
    this.devices(kinds);
    const time = Math.round(this.timeOf(rig.time) / limits.tick) * limits.tick;
    this.flushOld(time);
    this.pose(rig, time);
    if (rig.hands) this.hand(rig.hands, time);
    this.pump();
  }

  private devices(kinds: RigKinds): void {
    const now = JSON.stringify(deviceMetadata(kinds));
    if (now === this.kinds) return;
    this.kinds = now;
    this.meta('devices', deviceMetadata(kinds) as Record<string, DeviceKind>);
  }

  private pose(rig: Rig, time: number): void {
    if (!this.pace.pose.take(time)) return;
    const sample: PoseSample = { time, pose: {}, controls: {} };
    for (const device of ['head', 'left', 'right'] as const) {
      const pose = posed(rig[device]);
      if (!pose) continue;
      sample.pose[device] = pose;
      sample.controls[device] = device === 'head' ? 0 : controlsOf(rig[device] as RigDevice);
    }
    if (Object.keys(sample.pose).length > 0) this.poses.push(sample);
  }

  private hand(hands: NonNullable<Rig['hands']>, time: number): void {
    if (!this.pace.hand.take(time)) return;
    const left = handed(hands.left);
    const right = handed(hands.right);
    if (left || right) this.hands.push({ time, ...(left && { left }), ...(right && { right }) });
  }

  /** A packet of the microphone; `packet.time`: ms of performance.now(). */
  packet(packet: VoicePacket): void {
    if (!this.open || !this.options.voice) return;
    this.voice.add({ ...packet, time: (packet.time - this.began) * 1000 });
  }

  /** No more voice will come: nothing waits for it. */
  silent(): void {
    this.speaking = false;
    this.pump();
  }

  private flushOld(now: number): void {
    if (this.poses[0] && now - this.poses[0].time >= patience) this.flushPoses();
    if (this.hands[0] && now - this.hands[0].time >= patience) this.flushHands();
  }

  private flushPoses(): void {
    const samples = this.poses.splice(0);
    if (samples[0]) this.queue((samples.at(-1) as PoseSample).time, envelope('pose', samples[0].time, encodePoses(samples)));
  }

  private flushHands(): void {
    const samples = this.hands.splice(0);
    if (samples[0]) this.queue((samples.at(-1) as HandSample).time, envelope('hand', samples[0].time, encodeHands(samples)));
  }

  /**
   * Ends the lesson: nothing that happens from now on is in it. `voice` resolves when all packets of what was said
   * before have been given. `phase` becomes `saved` when the server has finished the file.
   */
  stop(voice?: Promise<void>): void {
    if (!this.going) return;
    this.flushPoses();
    this.flushHands();
    this.closing = true;
    this.end();
    if (voice) void voice.then(() => this.close(), () => this.close());
    else this.close();
    if (this.going) this.become('stopping');
  }

  private close(): void {
    if (!this.closing) return;
    this.voice.flush();
    this.pump(Infinity);
    this.text({ type: 'record.stop' });
    this.closing = false;
    if (this.going) this.become('stopping');
  }

  private become(phase: RecordPhase, problem = this.problem): void {
    if (phase !== 'stopping') this.closing = false;
    this.phase = phase;
    this.problem = problem;
    this.changed();
  }

  private end(): void { for (const end of this.ends.splice(0)) end(); }

  private onMessage(message: Record<string, unknown>): void {
    const text = (key: string): string => (typeof message[key] === 'string' ? (message[key] as string) : '');
    if (message['type'] === 'record.started') {
      this.name = text('name');
      this.become(this.phase === 'starting' ? 'recording' : this.phase);
    } else if (message['type'] === 'record.saved' && typeof message['t'] === 'number') {
      this.saved = Math.max(this.saved, message['t']);
      this.changed();
    } else if (message['type'] === 'record.stopped') {
      this.name = text('name') || this.name;
      this.saved = Number(message['duration_us'] ?? this.saved);
      this.dropped = Number(message['dropped'] ?? 0);
      if (this.phase === 'stopping' && !this.problem) this.become('saved');
      else this.become('ended', this.problem || 'the server ended the recording');
      this.end();
      this.wire.close();
    } else if (message['type'] === 'error') this.onError(text('code'), text('message'), message['ended'] === true);
  }

  /** A batch that was refused is counted by the server and told at the end; all else is told now. */
  private onError(code: string, words: string, ended: boolean): void {
    if (code === 'batch') {
      this.refused = words;
      return;
    }
    this.problem = words || code;
    if (ended) {
      this.become('stopping', this.problem);
      this.end();
    } else if (this.phase === 'starting') {
      this.become('refused');
      this.end();
      this.wire.close();
    } else this.changed();
  }

  private onClosed(): void {
    if (this.phase === 'saved' || this.phase === 'refused' || this.phase === 'ended') return;
    this.become('lost', this.problem || 'the connection to the server was lost');
    this.end();
  }
}
