/**
 * Edits a lesson (ADR 0120): an edited copy goes over the wire as a recording does, so that the server checks and
 * writes it as one. The lesson itself is not touched. src/record/lesson_edit.c is its twin for files.
 */
import type { Row, State } from '@fabrica/contract';
import { LessonError } from './bytes';
import { retimed } from './captions';
import { encodeHands, encodePoses, encodeVoice, limits } from './codec';
import type { HandSample, PoseSample, VoicePacket } from './codec';
import { attachment, envelope, voiceMetadata } from './recorder';
import type { Wire } from './recorder';
import type { Chapter, Lesson, Piece } from './reader';

/** What is heard from `from` on, before `to`, in place of the old voice; no packets: silence. `time` of packets and both in microseconds of the source. */
export interface NewVoice { from: number; to: number; preSkip: number; packets: readonly VoicePacket[] }

export interface Edit {
  title: string;
  /** Kept, microseconds of the source; times are moved so that `from`, rounded down to 0.1 ms, becomes 0. */
  from: number;
  to: number;
  /** In place of those there are, in order; times of the source. The one that is under way at `from` begins there. */
  chapters: readonly Chapter[];
  /** WebVTT in place of what there is in the lesson's language; times of the source. */
  captions?: string | undefined;
  voices: readonly NewVoice[];
  /** Name and version of the program. */
  software: string;
}

export interface Edited { name: string; duration: number; bytes: number }

/** The copy failed; `left`: what the server kept of it, or empty. */
export class EditError extends Error {
  constructor(message: string, readonly left: string) { super(message); }
}

/** A batch holds what is so near, microseconds, as the recorder's do. */
const patience = 250000;
/** Bytes that wait to be sent before more is read. */
const pending = 1 << 20;

type Sample = PoseSample | HandSample | VoicePacket;
type Kind = 'pose' | 'hand' | 'voice';
type Happening = { time: number } & ({ kind: 'pose'; sample: PoseSample } | { kind: 'hand'; sample: HandSample } | { kind: 'voice'; sample: VoicePacket }
  | { kind: 'row'; row: Row } | { kind: 'chapter'; title: string } | { kind: 'meta'; value: Record<string, unknown> });

/** Why this lesson cannot be edited here; empty where it can. */
export function whyNot(lesson: Lesson): string {
  return lesson.others.length > 0 || lesson.voices > 1 ? 'lessons of several people are edited with "fabrica lesson"' : '';
}

/** Chapters of the copy: in times of the source, the first one at `from` if it had begun before. */
function chaptersWithin({ chapters, from, to }: Edit): Chapter[] {
  const before = chapters.filter((c) => c.time <= from).at(-1);
  const inside = chapters.filter((c) => c.time > from && c.time <= to);
  return before ? [{ time: from, title: before.title }, ...inside] : inside;
}

/** The scene before the first thing that is kept; null: nothing was done to it. */
async function stateBefore(lesson: Lesson, from: number): Promise<State | null> {
  if (from > 0) return (await lesson.stateAt(from - 1)).state;
  for (let i = 0; i < lesson.count; i++) {
    const { rows, keyframes } = await lesson.piece(i);
    if (keyframes[0] && keyframes[0].after === 0) return keyframes[0].state;
    if (rows.length > 0 || keyframes.length > 0) break;
  }
  return null;
}

/** Sends what happened in order of time, samples in batches. */
class Sender {
  private readonly batches: { pose: PoseSample[]; hand: HandSample[]; voice: VoicePacket[] } = { pose: [], hand: [], voice: [] };
  private readonly sequences = new Map<number, number>();
  private sequence = 0;
  /** Of the last packet of voice: its number and time. */
  private said: { sequence: number; time: number } | undefined;

  constructor(private readonly wire: Wire, private readonly from: number) {}

  send(h: Happening): void {
    const time = (h.kind === 'pose' || h.kind === 'hand' || h.kind === 'voice' ? Math.round(h.time / limits.tick) * limits.tick : h.time) - this.from;
    for (const kind of ['pose', 'hand', 'voice'] as const) {
      const first = this.batches[kind][0];
      if (first && time - first.time >= patience) this.flush(kind);
    }
    if (h.kind === 'row') this.row(h.row, time);
    else if (h.kind === 'chapter') this.put({ op: 'chapter', args: { title: h.title } }, 'editor', time);
    else if (h.kind === 'meta') this.wire.send(JSON.stringify({ type: 'meta', t: time, object: h.value }));
    else if (h.kind === 'voice') this.packet(h.sample, time);
    else this.sample(h.kind, { ...h.sample, time });
  }

  private sample(kind: 'pose' | 'hand', sample: Sample): void {
    if (this.batches[kind].length >= limits.batch) this.flush(kind);
    this.batches[kind].push(sample as PoseSample & HandSample);
  }

  /** Numbered anew, by its time: within a batch packets are 20 ms apart. */
  private packet(packet: VoicePacket, time: number): void {
    const gap = this.said ? Math.max(1, Math.round((time - this.said.time) / limits.packetUs)) : 0;
    const sequence = (this.said?.sequence ?? 0) + gap;
    const [first] = this.batches.voice;
    if (first && time - first.time !== (sequence - first.sequence) * limits.packetUs) this.flush('voice');
    this.batches.voice.push({ time, sequence, data: packet.data });
    this.said = { sequence, time };
  }

  private row(row: Row, time: number): void {
    const undone = row.undoes === undefined ? undefined : this.sequences.get(row.undoes);
    this.put({ op: row.op, args: row.args, ...(undone === undefined ? {} : { undoes: undone }) }, row.by, time);
    this.sequences.set(row.seq, this.sequence);
  }

  private put(row: object, by: string, t: number): void {
    this.wire.send(JSON.stringify({ type: 'row', row: { ...row, seq: ++this.sequence, by, t } }));
  }

  private flush(kind: Kind): void {
    const { pose, hand, voice } = this.batches;
    const time = this.batches[kind][0]?.time;
    if (time === undefined) return;
    const batch = kind === 'pose' ? encodePoses(pose.splice(0)) : kind === 'hand' ? encodeHands(hand.splice(0)) : encodeVoice(voice.splice(0));
    this.wire.send(envelope(kind, time, batch));
  }

  end(): void {
    for (const kind of ['pose', 'hand', 'voice'] as const) this.flush(kind);
    this.wire.send(JSON.stringify({ type: 'record.stop' }));
  }
}

/** What the server says: the copy's name, and how it ended. */
class Answers {
  name = '';
  readonly done: Promise<Edited>;

  constructor(wire: Wire) {
    this.done = new Promise((resolve, reject) => {
      const fail = (words: string): void => reject(new EditError(words, this.name));
      wire.listen((message) => {
        if (message['type'] === 'record.started') this.name = String(message['name']);
        else if (message['type'] === 'error') fail(String(message['message'] || message['code']));
        else if (message['type'] !== 'record.stopped') return;
        else if (Number(message['dropped'] ?? 0) > 0) fail(`the server refused ${Number(message['dropped'])} batches`);
        else resolve({ name: this.name, duration: Number(message['duration_us']), bytes: Number(message['bytes']) });
      }, () => fail('the connection to the server was lost'));
    });
    this.done.catch(() => undefined); // awaited later
  }
}

function channelsOf(lesson: Lesson, voices: readonly NewVoice[]): object[] {
  const spoken = voices.find((v) => v.packets.length > 0);
  const list: object[] = [];
  for (const kind of ['pose', 'hand', 'voice'] as const) {
    const metadata = lesson.metadata(kind);
    if (metadata) list.push({ kind, metadata: Object.fromEntries(metadata) });
    else if (kind === 'voice' && spoken) list.push({ kind, metadata: voiceMetadata(spoken.preSkip) });
  }
  return list;
}

/** The consent, with that of the voice: who speaks anew agreed to be heard. */
function agreed(data: Uint8Array): Uint8Array {
  const before = JSON.parse(new TextDecoder().decode(data)) as Record<string, unknown>;
  return new TextEncoder().encode(JSON.stringify({ ...before, voice: true }));
}

async function attach(lesson: Lesson, edit: Edit, from: number, wire: Wire): Promise<void> {
  const own = `captions.${lesson.about.language}.vtt`;
  const put = (name: string, mediaType: string, data: Uint8Array): void => wire.send(JSON.stringify(attachment(name, mediaType, data)));
  const captions = (name: string, text: string): void => put(name, 'text/vtt', new TextEncoder().encode(retimed(text, from, edit.to)));
  for (const a of lesson.container.attachments) {
    if (a.name === own && edit.captions !== undefined) continue;
    const data = await lesson.container.readAttachment(a);
    if (a.name === 'consent.json' && edit.voices.some((v) => v.packets.length > 0)) put(a.name, a.mediaType, agreed(data));
    else if (a.mediaType === 'text/vtt') captions(a.name, new TextDecoder().decode(data));
    else put(a.name, a.mediaType, data);
  }
  if (edit.captions) captions(own, edit.captions);
}

/** What a chunk holds, with times; the old voice without what is spoken anew. */
function happenings(piece: Piece, voices: readonly NewVoice[]): Happening[] {
  const kept = ({ time }: VoicePacket): boolean => !voices.some((v) => time >= v.from && time < v.to);
  return [
    ...piece.poses.map((sample): Happening => ({ time: sample.time, kind: 'pose', sample })),
    ...piece.hands.map((sample): Happening => ({ time: sample.time, kind: 'hand', sample })),
    ...piece.voice.filter(kept).map((sample): Happening => ({ time: sample.time, kind: 'voice', sample })),
    ...piece.metas.map(({ time, value }): Happening => ({ time, kind: 'meta', value })),
    ...piece.rows.filter((row) => row.op !== 'chapter').map((row): Happening => ({ time: row.t, kind: 'row', row })),
  ];
}

/** Chapters and new voices: what is put among the rest. */
function added(edit: Edit): Happening[] {
  const spoken = edit.voices.flatMap((v) => v.packets.filter(({ time }) => time >= v.from && time + limits.packetUs <= v.to));
  return [
    ...chaptersWithin(edit).map(({ time, title }): Happening => ({ time, kind: 'chapter', title })),
    ...spoken.map((sample): Happening => ({ time: sample.time, kind: 'voice', sample })),
  ];
}

/**
 * Writes the copy over `wire`, which it closes. `progress`: 0 to 1.
 * Throws an EditError: the server's words, or a LessonError's: the source is damaged.
 */
export async function rewrite(lesson: Lesson, edit: Edit, wire: Wire, progress: (share: number) => void = () => undefined): Promise<Edited> {
  const answers = new Answers(wire);
  try {
    const problem = whyNot(lesson);
    if (problem) throw new LessonError(problem);
    if (!(edit.from >= 0 && edit.from < edit.to && edit.from < lesson.duration)) throw new LessonError('the end is not after the beginning');
    await Promise.race([copy(lesson, edit, wire, progress), answers.done]);
    return await answers.done;
  } catch (error) {
    throw error instanceof EditError ? error : new EditError((error as Error).message, answers.name);
  } finally {
    wire.close();
  }
}

async function copy(lesson: Lesson, edit: Edit, wire: Wire, progress: (share: number) => void): Promise<void> {
  const from = edit.from - (edit.from % limits.tick);
  const within: Edit = { ...edit, from };
  const state = await stateBefore(lesson, from);
  wire.send(JSON.stringify({ type: 'record.start', title: edit.title, language: lesson.about.language, software: edit.software, state, channels: channelsOf(lesson, edit.voices) }));
  await attach(lesson, edit, from, wire);
  const sender = new Sender(wire, from);
  sender.send({ time: from, kind: 'meta', value: { event: 'edited', title: lesson.about.title, created: lesson.about.created, from_us: from, to_us: Math.min(edit.to, lesson.duration) } });
  let pool = added(within);
  /** Sends what happened before `bound`: no later chunk holds anything of it. */
  const release = (bound: number): void => {
    pool.sort((a, b) => a.time - b.time);
    const count = pool.findIndex((h) => h.time >= bound);
    for (const h of pool.splice(0, count < 0 ? pool.length : count)) if (h.time >= from && h.time <= edit.to) sender.send(h);
  };
  for (let i = Math.max(0, lesson.chunkAt(from) - 2); i < lesson.count && lesson.startOf(i) <= edit.to; i++) {
    pool = pool.concat(happenings(await lesson.piece(i), edit.voices));
    release(lesson.startOf(i + 1) || Infinity);
    progress(Math.max(0, Math.min(1, (lesson.startOf(i) - from) / (edit.to - from))));
    while ((wire.pending?.() ?? 0) > pending) await new Promise((later) => setTimeout(later, 20));
  }
  release(Infinity);
  sender.end();
}
