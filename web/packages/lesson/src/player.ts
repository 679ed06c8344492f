/**
 * Plays a lesson: a clock, the rows up to it, where the instructor is. Knows no picture and no page.
 *
 *   chunks (a second each) -> rows due -> state    -> on.state
 *                          -> samples around now   -> instructor()
 *                          -> packets ahead        -> voice
 *
 * Where the next chunk is not here yet the clock waits for it.
 */
import { apply, start } from '@fabrica/contract';
import type { Args, Row, State } from '@fabrica/contract';
import { Clock, wall } from './clock';
import type { Master } from './clock';
import type { VoicePacket } from './codec';
import type { Chapter, Lesson, Piece } from './reader';
import { Figure } from './rig';
import type { Shown } from './rig';

export type Question = Args['question.ask'] & { time: number };

/** What hears the voice. `clock` is its master while it plays. */
export interface Speaker {
  readonly clock: Master;
  /** Packets to be heard, told once each, before they are due; `when` gives the master's seconds of a lesson time. */
  give(packets: readonly VoicePacket[], when: (time: number) => number, rate: number): void;
  /** Forgets what was given. */
  drop(): void;
  /** False where the browser lets no sound out: another clock leads then. */
  play(): Promise<boolean>;
  pause(): void;
}

export interface PlayerEvents {
  /** The recorded scene changed. */
  state: (state: State) => void;
  /** A checkpoint: the player has paused. */
  question: (question: Question) => void;
  /** Playing, waiting, chapters, speed: something a bar shows changed. */
  changed: () => void;
  error: (error: Error) => void;
}

/** Voice is handed over this long before it is heard, microseconds; chunks are asked for this many at once. */
const ahead = { voice: 1500000, chunks: 10 } as const;
export const rates = [0.5, 0.75, 1, 1.25, 1.5, 2] as const;

export class Player {
  state: State = start();
  chapters: readonly Chapter[] = [];
  waiting = false;
  ended = false;
  /** Questions pause the lesson; false passes over them. */
  asks = true;
  readonly clock = new Clock();
  private wanted = false;
  private place = { chunk: 0, row: 0 };
  private near: Piece[] = [];
  private seeking = 0;
  /** The last chunk that was asked for ahead. */
  private asked = 0;
  private voiceTo = 0;
  private open = true;
  private readonly figure = new Figure();
  private readonly figures: Figure[] = [];

  constructor(readonly lesson: Lesson, private readonly on: PlayerEvents, private readonly speaker?: Speaker) {}

  /** Microseconds of the lesson. */
  get time(): number { return Math.min(this.clock.time, this.lesson.duration); }
  get playing(): boolean { return this.wanted; }
  get rate(): number { return this.clock.rate; }

  get chapter(): Chapter | undefined { return this.chapters.filter((c) => c.time <= this.time).at(-1); }

  /** Shows the start. Chapters nobody gave are looked for. */
  async begin(chapters?: readonly Chapter[]): Promise<void> {
    await this.seek(0);
    if (chapters) {
      this.chapters = chapters;
      return;
    }
    this.lesson.chapters((list) => { this.chapters = [...list]; this.on.changed(); }, () => this.open).catch((error: Error) => this.on.error(error));
  }

  async play(): Promise<void> {
    if (this.ended || this.time >= this.lesson.duration) await this.seek(0);
    this.wanted = true;
    if (this.speaker) this.clock.use(await this.speaker.play() ? this.speaker.clock : wall);
    this.update();
    this.on.changed();
  }

  pause(): void {
    this.wanted = false;
    this.clock.stop();
    this.hush();
    this.speaker?.pause();
    this.on.changed();
  }

  setRate(rate: number): void {
    this.clock.setRate(rate);
    this.hush();
    this.on.changed();
  }

  private hush(): void {
    this.speaker?.drop();
    this.voiceTo = this.time;
  }

  /** Shows the scene at `time`, microseconds. A later seek wins over one under way. */
  async seek(time: number): Promise<void> {
    const ticket = ++this.seeking;
    const to = Math.max(0, Math.min(time, this.lesson.duration));
    this.clock.stop();
    this.clock.seek(to);
    this.hush();
    this.ended = false;
    this.asked = 0;
    try {
      const { state, chunk, row } = await this.lesson.stateAt(to);
      const near = await this.fetch(to);
      if (ticket !== this.seeking) return;
      this.near = near;
      this.place = { chunk, row };
      this.show(state);
    } catch (error) {
      this.failed(error as Error);
      return;
    }
    if (this.wanted) this.clock.go();
    this.on.changed();
  }

  private failed(error: Error): void {
    this.pause();
    this.on.error(error);
  }

  private show(state: State): void {
    if (state === this.state) return;
    this.state = state;
    this.on.state(state);
  }

  /** The chunk of `time`, the one before and three after: voice may be a second late, and a second is looked ahead. */
  private async fetch(time: number): Promise<Piece[]> {
    const at = this.lesson.chunkAt(time);
    const wanted = [at - 1, at, at + 1, at + 2, at + 3].filter((i) => i >= 0 && i < this.lesson.count);
    if (this.wanted && at > this.asked - 4) {
      this.asked = at + ahead.chunks; // several seconds in one request
      this.lesson.expect(at - 1, this.asked);
    }
    return Promise.all(wanted.map((i) => this.lesson.piece(i)));
  }

  /** The chunk of that number, if it is here. */
  private held(index: number): Piece | undefined {
    for (let i = 0; i < this.near.length; i++) if (this.near[i]?.index === index) return this.near[i];
    return undefined;
  }

  private refill(): void {
    const at = this.lesson.chunkAt(this.time);
    const last = Math.min(at + 3, this.lesson.count - 1);
    if (this.waiting || (this.held(at) && this.held(last))) return;
    const ticket = this.seeking;
    this.waiting = true;
    this.fetch(this.time).then((near) => {
      this.waiting = false;
      if (ticket === this.seeking) this.near = near;
      this.update();
    }, (error: Error) => {
      this.waiting = false;
      if (ticket === this.seeking) this.failed(error);
    });
  }

  /** Once a frame: rows that are due, voice that will be, the end. */
  update(): void {
    if (!this.wanted || this.seeking === 0) return;
    this.refill();
    if (this.lost()) {
      void this.seek(this.time);
      return;
    }
    if (!this.held(this.lesson.chunkAt(this.time))) this.clock.stop();
    else if (!this.clock.going) this.clock.go();
    this.rowsTo(this.time);
    if (!this.wanted) return;
    this.speak();
    if (this.clock.time >= this.lesson.duration) this.end();
  }

  /** The page slept: rows lie in chunks that were let go. */
  private lost(): boolean {
    const first = this.near[0]?.index ?? 0;
    for (let i = this.place.chunk; i < first; i++) if (this.lesson.mayHold(i, 'op')) return !this.waiting;
    return false;
  }

  private end(): void {
    this.pause();
    this.clock.seek(this.lesson.duration);
    this.ended = true;
    this.on.changed();
  }

  private rowsTo(time: number): void {
    let { state } = this;
    for (;;) {
      const piece = this.held(this.place.chunk);
      const row = piece?.rows[this.place.row];
      if (!piece && this.place.chunk < (this.near[0]?.index ?? 0)) this.place = { chunk: this.place.chunk + 1, row: 0 };
      else if (!piece) break;
      else if (!row) this.place = { chunk: this.place.chunk + 1, row: 0 };
      else if (row.t > time) break;
      else {
        this.place.row++;
        state = apply(state, row, this.lesson.about.structures);
        if (row.op === 'question.ask' && this.asks) {
          this.show(state);
          this.ask(row);
          return;
        }
      }
      if (this.place.chunk >= this.lesson.count) break;
    }
    this.show(state);
  }

  private ask(row: Row & { op: 'question.ask' }): void {
    this.pause();
    this.clock.seek(row.t);
    this.on.question({ ...row.args, time: row.t });
  }

  /** Packets that were not handed over yet and are before `limit`. */
  private voiceUpTo(limit: number): VoicePacket[] | undefined {
    let ready: VoicePacket[] | undefined;
    for (let i = 0; i < this.near.length; i++) {
      const { voice } = this.near[i] as Piece;
      for (let k = 0; k < voice.length; k++) {
        const packet = voice[k] as VoicePacket;
        if (packet.time >= this.voiceTo && packet.time < limit) (ready ??= []).push(packet);
      }
    }
    return ready;
  }

  private speak(): void {
    if (!this.speaker || !this.clock.going) return;
    const to = this.time + ahead.voice * this.rate;
    const known = this.near.at(-1)?.index ?? -1;
    if (known < 0) return;
    const limit = known >= this.lesson.count - 1 ? to : Math.min(to, this.lesson.startOf(known) - 1000000);
    const ready = this.voiceUpTo(limit);
    if (ready) this.speaker.give(ready, (time) => this.clock.when(time), this.rate);
    this.voiceTo = Math.max(this.voiceTo, limit);
  }

  /** Where the instructor is now; good until it is asked again. */
  instructor(): Shown { return this.figure.at(this.near, this.time); }

  /** Where one of the others is, in the order of `lesson.others`; good until it is asked again. */
  other(i: number): Shown { return (this.figures[i] ??= new Figure(i)).at(this.near, this.time); }

  /** Chapter before or after; before: the start of this one if it is more than two seconds old. */
  step(way: 1 | -1): Promise<void> {
    const now = this.time;
    const next = way > 0 ? this.chapters.find((c) => c.time > now + 1000) : this.chapters.filter((c) => c.time < now - 2e6).at(-1);
    return this.seek(next?.time ?? (way > 0 ? this.lesson.duration : 0));
  }

  close(): void {
    this.open = false;
    this.pause();
    this.seeking++;
  }
}
