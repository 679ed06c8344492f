/**
 * A lesson, chunk by chunk (src/record/lesson_read.c is its twin): batches unpacked, the scene's state at
 * any time from the last keyframe before it. Chunks are kept for a while; the next is fetched ahead.
 */
import { apply, readState, start, validate } from '@fabrica/contract';
import type { Row, State } from '@fabrica/contract';
import { LessonError } from './bytes';
import { decodeHands, decodePoses, decodeVoice, limits as codecLimits } from './codec';
import type { HandSample, PoseSample, VoicePacket } from './codec';
import { Container } from './container';
import type { Chunk, Message } from './container';
import type { Source } from './source';

export interface About {
  version: number; title: string; language: string; created: string; manifest: string; labels: string; software: string; structures: readonly number[];
}
export interface Keyframe { time: number; seq: number; sha256: string; state: State; /** Place among the chunk's rows: those before it are in its state. */ after: number }
export interface Meta { time: number; value: Record<string, unknown> }

/** Where somebody was. */
export interface Body { poses: PoseSample[]; hands: HandSample[] }

/** What one chunk holds, each list in order of time (microseconds). `others`: as the lesson's, one each. */
export interface Piece extends Body {
  index: number; others: Body[]; voice: VoicePacket[]; rows: Row[]; keyframes: Keyframe[]; metas: Meta[];
}

/** Somebody beside the first: the channels' WHO, and whether devices' poses are grips, which do not point. */
export interface Other { who: string; grip: boolean }

/** A chunk read but for its batches: all that the state of the scene needs. */
interface Script { rows: Row[]; keyframes: Keyframe[]; metas: Meta[]; batches: { kind: 'pose' | 'hand' | 'voice'; message: Message }[] }

export interface Chapter { time: number; title: string }

type Kind = 'pose' | 'hand' | 'voice' | 'op' | 'keyframe' | 'meta';
const encodings: Record<Kind, string> = { pose: 'fabrica-pose-1', hand: 'fabrica-hand-1', voice: 'fabrica-opus-1', op: 'json', keyframe: 'json', meta: 'json' };
const most = { json: 65536, row: 1 << 20, state: (8 << 20) + 1024, time: 48 * 3600 * 1e6, samples: 65536, others: 15 } as const;
/** Chunks kept unpacked, and samples of all of them together. */
const kept = { chunks: 40, samples: 4 * most.samples, scripts: 64 } as const;

function kindOf(channel: Message['channel']): Kind | undefined {
  const kind = channel.topic.split('/')[0] as Kind;
  const personal = channel.topic.includes('/');
  if (!Object.hasOwn(encodings, kind) || encodings[kind] !== channel.encoding) return undefined;
  if (personal && !/^(pose|hand|voice)\/[A-Za-z0-9_.-]{1,64}$/.test(channel.topic)) return undefined;
  return kind;
}

function parseAbout(map: ReadonlyMap<string, string>, file: string): About {
  const version = map.get('format_version') ?? '';
  if (!/^[1-9]\d{0,3}$/.test(version)) throw new LessonError(`${file}: format version "${version.slice(0, 20)}"`);
  const list = map.get('structures') ?? '';
  const structures = list === '' ? [] : list.split(',').map(Number);
  if (structures.some((id) => !Number.isInteger(id) || id < 0 || id > 65535) || structures.length > 65536) throw new LessonError(`${file}: metadata: structures: not label values`);
  const text = (key: string): string => map.get(key) ?? '';
  return { version: Number(version), title: text('title'), language: text('language'), created: text('created'), manifest: text('manifest_sha256'), labels: text('labels_sha256'), software: text('software'), structures };
}

export class Lesson {
  /** To the last sample or the end of the last packet, microseconds. */
  duration = 0;
  /** Messages and rows passed over: kinds this program does not know. */
  skipped = 0;
  private readonly scripts = new Map<number, Promise<Script>>();
  private readonly pieces = new Map<number, Promise<Piece>>();
  private readonly weights = new Map<number, number>();
  private readonly counted = new Set<number>();
  /** Who is shown beside the first person, fifteen at most; their voices are not heard. */
  readonly others: Other[] = [];
  /** The channel of each kind that is played: of one person, the first. */
  private readonly played = new Map<Kind, number>();
  /** Channels of poses and hands of others, to their place. */
  private readonly otherOf = new Map<number, number>();

  private constructor(readonly container: Container, readonly about: About) {
    for (const channel of [...container.channels.values()].sort((a, b) => a.id - b.id)) {
      const kind = kindOf(channel);
      if (kind && !this.played.has(kind)) this.played.set(kind, channel.id);
      else if (kind === 'pose' || kind === 'hand') this.addOther(channel);
    }
  }

  private addOther(channel: Message['channel']): void {
    const who = channel.topic.split('/')[1] ?? '';
    let place = this.others.findIndex((o) => o.who === who);
    if (place < 0 && this.others.length < most.others) place = this.others.push({ who, grip: false }) - 1;
    const other = this.others[place];
    if (!other) return;
    if (channel.metadata.get('space') === 'grip') other.grip = true;
    this.otherOf.set(channel.id, place);
  }

  /** WHO of the first person's poses; empty where the topic names nobody. */
  get who(): string { return this.container.channels.get(this.played.get('pose') ?? -1)?.topic.split('/')[1] ?? ''; }

  /** How many voices there are; the first is played. */
  get voices(): number { return [...this.container.channels.values()].filter((c) => kindOf(c) === 'voice').length; }

  /** Throws a LessonError: no lesson, a version that cannot be read, damage. */
  static async open(source: Source): Promise<Lesson> {
    const container = await Container.open(source);
    if (container.profile !== 'fabrica-lesson') throw new LessonError(`${source.name}: MCAP of profile "${container.profile.slice(0, 60)}", not a lesson`);
    const about = parseAbout(await container.readMetadata('fabrica-lesson'), source.name);
    const lesson = new Lesson(container, about);
    for (const chunk of container.chunks) if (chunk.end > most.time * 1000) throw new LessonError(`${source.name}: longer than 48 h`);
    await lesson.measure();
    return lesson;
  }

  get name(): string { return this.container.source.name; }
  get cut(): boolean { return this.container.cut; }
  get count(): number { return this.container.chunks.length; }

  /** Metadata of the first channel of a kind. */
  metadata(kind: Kind): ReadonlyMap<string, string> | undefined {
    const id = this.played.get(kind);
    return id === undefined ? undefined : this.container.channels.get(id)?.metadata;
  }

  has(kind: Kind): boolean { return this.played.has(kind); }

  /** Where the lesson ends is in its last chunks. What is wrong with them is told when they are played. */
  private async measure(): Promise<void> {
    for (const chunk of this.container.chunks) this.duration = Math.max(this.duration, Math.floor(chunk.end / 1000));
    for (let i = Math.max(0, this.count - 2); i < this.count; i++) {
      const piece = await this.piece(i).catch(() => undefined);
      const ends = [piece?.poses.at(-1)?.time, piece?.hands.at(-1)?.time, piece?.rows.at(-1)?.t, (piece?.voice.at(-1)?.time ?? -codecLimits.packetUs) + codecLimits.packetUs];
      this.duration = Math.max(this.duration, ...ends.map((t) => t ?? 0));
    }
  }

  /** A chunk's time of start, microseconds. */
  startOf(index: number): number { return Math.floor((this.container.chunks[index]?.start ?? 0) / 1000); }

  /** The last chunk that starts at or before `time`; 0 if none does. */
  chunkAt(time: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.startOf(middle) <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  mayHold(index: number, kind: Kind): boolean {
    const ids = this.container.chunks[index]?.channels;
    const id = this.played.get(kind);
    return !ids || (id !== undefined && ids.has(id));
  }

  /** One chunk, unpacked. Kept, so that asking again costs nothing. */
  piece(index: number): Promise<Piece> {
    const known = this.pieces.get(index);
    if (known) {
      this.pieces.delete(index);
      this.pieces.set(index, known);
      return known;
    }
    const made = this.unpack(index);
    this.pieces.set(index, made);
    made.then(() => this.forget(), () => this.pieces.delete(index));
    return made;
  }

  /** Lets go of the chunks that were not asked for longest. */
  private forget(): void {
    let samples = 0;
    for (const index of this.pieces.keys()) samples += this.weights.get(index) ?? 0;
    for (const index of this.pieces.keys()) {
      if (this.pieces.size <= 4 || (this.pieces.size <= kept.chunks && samples <= kept.samples)) return;
      samples -= this.weights.get(index) ?? 0;
      this.pieces.delete(index);
    }
  }

  /** A chunk's rows and keyframes; its batches stay packed. */
  private script(index: number): Promise<Script> {
    const known = this.scripts.get(index);
    if (known) return known;
    const chunk = this.container.chunks[index];
    if (!chunk) return Promise.reject(new LessonError(`${this.name}: there is no chunk ${index}`));
    const made = this.readScript(chunk, index);
    made.catch(() => this.scripts.delete(index));
    this.scripts.set(index, made);
    while (this.scripts.size > kept.scripts) this.scripts.delete(this.scripts.keys().next().value as number);
    return made;
  }

  private async readScript(chunk: Chunk, index: number): Promise<Script> {
    const script: Script = { rows: [], keyframes: [], metas: [], batches: [] };
    let passed = 0;
    for (const message of await this.container.load(chunk)) {
      const kind = kindOf(message.channel);
      if (kind === 'voice' && this.played.get(kind) !== message.channel.id) continue; // `voices` tells of it
      if (!kind || (this.played.get(kind) !== message.channel.id && !this.otherOf.has(message.channel.id)) || !this.onMessage(kind, message, script)) passed++;
    }
    if (!this.counted.has(index)) this.skipped += passed;
    this.counted.add(index);
    return script;
  }

  private async unpack(index: number): Promise<Piece> {
    const { rows, keyframes, metas, batches } = await this.script(index);
    const piece: Piece = { index, poses: [], hands: [], others: this.others.map(() => ({ poses: [], hands: [] })), voice: [], rows, keyframes, metas };
    const bodies: Body[] = [piece, ...piece.others];
    const sum = (count: (body: Body) => number): number => bodies.reduce((n, body) => n + count(body), 0);
    for (const { kind, message } of batches) {
      const time = Math.floor(message.ns / 1000);
      const { poses, hands } = bodies[(this.otherOf.get(message.channel.id) ?? -1) + 1] as Body;
      if (kind === 'pose') poses.push(...decodePoses(message.data, time, this.name, message.at));
      else if (kind === 'hand') hands.push(...decodeHands(message.data, time, this.name, message.at));
      else piece.voice.push(...decodeVoice(message.data, time, this.name, message.at));
      if (sum((body) => body.poses.length + body.hands.length) + piece.voice.length > most.samples) throw new LessonError(`${this.name}: chunk ${index}: more than ${most.samples} events`);
    }
    this.weights.set(index, sum((body) => body.poses.length + body.hands.length * 16) + piece.voice.length + piece.rows.length);
    for (const list of [...bodies.flatMap((body) => [body.poses, body.hands]), piece.voice]) (list as { time: number }[]).sort((a, b) => a.time - b.time);
    return piece;
  }

  /** Asks for the bytes of chunks `from` to `to` in one request, where they are not many. */
  expect(from: number, to: number): void {
    const a = this.container.chunks[Math.max(0, from)];
    const b = this.container.chunks[Math.min(to, this.count - 1)];
    if (a && b) this.container.source.expect?.(a.offset, b.records + b.bytes);
  }

  /** False where a row of a newer version is not known. */
  private onMessage(kind: Kind, message: Message, script: Script): boolean {
    const time = Math.floor(message.ns / 1000);
    if (kind === 'op') return this.onRow(message, time, script);
    if (kind === 'keyframe') script.keyframes.push(this.keyframe(message, time, script.rows.length));
    else if (kind === 'meta') script.metas.push({ time, value: this.json(message, most.json) });
    else script.batches.push({ kind, message });
    return true;
  }

  private wrong(message: Message, reason: string): never {
    throw new LessonError(`${this.name}: ${message.channel.topic} at byte ${message.at}: ${reason}`);
  }

  private json(message: Message, limit: number): Record<string, unknown> {
    if (message.data.length > limit) this.wrong(message, `${message.data.length} bytes, too long for its kind`);
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(message.data));
    } catch {
      this.wrong(message, 'not JSON');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.wrong(message, 'not an object');
    return value as Record<string, unknown>;
  }

  private onRow(message: Message, time: number, script: Script): boolean {
    const row = this.json(message, most.row);
    try {
      validate({ op: row['op'], args: row['args'] });
    } catch (error) {
      if (this.about.version > 1) return false;
      this.wrong(message, `row ${String(row['seq'])}: ${(error as Error).message}`);
    }
    if (!Number.isSafeInteger(row['seq']) || row['t'] !== time) this.wrong(message, `row ${String(row['seq'])}: seq or t is not as it must be`);
    script.rows.push(row as unknown as Row);
    return true;
  }

  private keyframe(message: Message, time: number, after: number): Keyframe {
    const { seq, sha256, state } = this.json(message, most.state);
    if (!Number.isSafeInteger(seq) || typeof sha256 !== 'string') this.wrong(message, 'a keyframe without seq or hash');
    try {
      return { time, seq: seq as number, sha256: sha256 as string, state: readState(state), after };
    } catch (error) {
      return this.wrong(message, `state: ${(error as Error).message}`);
    }
  }

  /**
   * The scene at `time`, and the rows' place: the next row is `row` of chunk `chunk`.
   * Reads the last keyframe's chunk, those with rows since, and the chunk itself, in one request where they are far.
   */
  async stateAt(time: number): Promise<{ state: State; chunk: number; row: number }> {
    const last = this.chunkAt(time);
    let state = start();
    let first = 0;
    let skip = 0;
    for (let i = last, asked = false; i >= 0 && this.count > 0; i--) {
      if (!this.mayHold(i, 'keyframe')) continue;
      if (!asked) this.expect(i, last + 3);
      asked = true;
      const found = (await this.script(i)).keyframes.filter((k) => k.time <= time).at(-1);
      if (!found) continue;
      state = found.state;
      first = i;
      skip = found.after;
      break;
    }
    for (let i = first; i <= last && i < this.count; i++, skip = 0) {
      if (!this.mayHold(i, 'op')) continue;
      const { rows } = await this.script(i);
      const next = rows.findIndex((row, k) => k >= skip && row.t > time);
      for (const row of rows.slice(skip, next < 0 ? rows.length : next)) state = apply(state, row, this.about.structures);
      if (next >= 0) return { state, chunk: i, row: next };
    }
    return { state, chunk: last + 1, row: 0 };
  }

  /** Chapters, told as they are found: only chunks with keyframes are read, as one follows each chapter. */
  async chapters(found: (list: readonly Chapter[]) => void, going: () => boolean = () => true): Promise<Chapter[]> {
    const list: Chapter[] = [];
    for (let i = 0; i < this.count && going(); i++) {
      if (!this.mayHold(i, 'keyframe') || !this.mayHold(i, 'op')) continue;
      const { rows } = await this.script(i);
      const more = rows.filter((row) => row.op === 'chapter').map((row) => ({ time: row.t, title: (row.args as { title: string }).title }));
      list.push(...more);
      if (more.length > 0) found(list);
    }
    return list;
  }

  /** Captions by language. */
  async captions(): Promise<Map<string, string>> {
    const out = new Map<string, string>();
    for (const attachment of this.container.attachments) {
      const language = /^captions\.([A-Za-z0-9-]{2,35})\.vtt$/.exec(attachment.name)?.[1];
      if (language && attachment.bytes <= 4 << 20) out.set(language, new TextDecoder().decode(await this.container.readAttachment(attachment)));
    }
    return out;
  }
}
