/** A copy of the lesson that plays, as its teacher wants it: begin and end, title, chapters, captions, voice anew. */
import type { Chapter, Edited, NewVoice, VoicePacket } from '@fabrica/lesson';
import type { Microphone } from '@fabrica/lesson/src/browser';
import { liveWire, removeLesson } from './lessonapi';
import { library } from './lessonplay';
import type { Playing } from './lessonplay';

/** Looks at the clock while somebody speaks, ms; from so much on the voice is put where the clock is. */
const look = 100;
const near = 20;

/** A chapter, and what is spoken in it anew; `silent`: its voice is taken out. */
export interface Part extends Chapter { voice?: { preSkip: number; packets: readonly VoicePacket[] } | undefined; silent: boolean }

export interface Speaking { part: Part; until: number; microphone: Microphone }

export class Editing {
  title: string;
  from = 0;
  to: number;
  parts: Part[];
  captions: { name: string; text: string } | undefined;
  speaking: Speaking | undefined;
  /** 0 to 1 while the copy is written. */
  saving: number | undefined;
  problem = '';
  private timer = 0;
  private ending: Promise<void> | undefined;
  private closed = false;

  constructor(readonly playing: Playing, private readonly changed: () => void) {
    const { lesson, player } = playing;
    this.title = lesson.about.title;
    this.to = lesson.duration;
    const given = player.chapters.map((c): Part => ({ ...c, silent: false }));
    this.parts = given[0] && given[0].time < 1e6 ? given : [{ time: 0, title: '', silent: false }, ...given];
  }

  /** Somebody speaks, or the copy is written. */
  get busy(): boolean { return this.speaking !== undefined || this.saving !== undefined; }

  /** Microseconds now, as whole tenths of a second. */
  private get now(): number { return Math.min(Math.round(this.playing.player.time / 1e5) * 1e5, this.playing.lesson.duration); }

  beginHere(): void {
    this.from = this.now < this.to ? this.now : this.from;
    this.changed();
  }

  endHere(): void {
    this.to = this.now > this.from ? this.now : this.to;
    this.changed();
  }

  /** A chapter begins now. */
  add(): void {
    const time = this.now;
    if (this.parts.some((p) => Math.abs(p.time - time) < 1e5)) return; // one begins here already
    this.parts = [...this.parts, { time, title: `Part ${this.parts.length + 1}`, silent: false }].sort((a, b) => a.time - b.time);
    this.changed();
  }

  /** What was in it is in the one before. */
  remove(part: Part): void {
    this.parts = this.parts.filter((p) => p !== part);
    this.changed();
  }

  /** Where a chapter ends, microseconds. */
  endOf(part: Part): number { return Math.min(this.parts[this.parts.indexOf(part) + 1]?.time ?? Infinity, this.to); }

  inside(part: Part): boolean { return this.endOf(part) > this.from && part.time < this.to; }

  silence(part: Part, silent: boolean): void {
    part.silent = silent;
    part.voice = undefined;
    this.changed();
  }

  /** Plays the chapter without its voice, and takes the microphone's in its place until the chapter ends, or somebody stops it. */
  async speak(part: Part): Promise<void> {
    if (this.busy) return;
    this.problem = '';
    try {
      await this.listen(part);
    } catch (error) {
      this.problem = `No voice: ${(error as Error).message}.`;
    }
    this.changed();
  }

  private async listen(part: Part): Promise<void> {
    const { playing } = this;
    const { player } = playing;
    const lib = await library();
    const microphone = await lib.openMicrophone(undefined, (error) => { this.problem = `The voice ended: ${error.message}.`; void this.hush(); });
    if (this.closed) return microphone.stop();
    const begin = Math.max(part.time, this.from);
    const before = { muted: playing.muted, asks: player.asks, rate: player.rate };
    playing.muted = true;
    player.asks = false;
    player.setRate(1);
    await playing.seek(begin);
    await player.play();
    const packets: VoicePacket[] = [];
    const lead = (): number => player.time / 1000 - performance.now();
    let ahead = lead();
    microphone.start((packet) => packets.push({ ...packet, time: (packet.time + ahead) * 1000 }));
    this.speaking = { part, until: this.endOf(part), microphone };
    this.timer = window.setInterval(() => {
      if (Math.abs(lead() - ahead) > near && player.playing) ahead = lead();
      if (player.time >= this.endOf(part) || !player.playing) void this.hush();
      this.changed();
    }, look);
    this.finish = () => {
      part.voice = { preSkip: microphone.preSkip, packets: packets.filter(({ time }) => time >= begin) };
      part.silent = false;
      playing.muted = before.muted;
      player.asks = before.asks;
      player.setRate(before.rate);
    };
  }

  private finish: () => void = () => undefined;

  /** Ends what is spoken anew. */
  hush(): Promise<void> {
    if (!this.speaking) return Promise.resolve();
    this.ending ??= this.end(this.speaking.microphone);
    return this.ending;
  }

  private async end(microphone: Microphone): Promise<void> {
    clearInterval(this.timer);
    this.playing.player.pause();
    await microphone.finish();
    this.finish();
    this.speaking = undefined;
    this.ending = undefined;
    this.changed();
  }

  private voices(): NewVoice[] {
    return this.parts.filter((p) => p.voice || p.silent).map((p) => ({ from: p.time, to: this.endOf(p), preSkip: p.voice?.preSkip ?? 0, packets: p.voice?.packets ?? [] }));
  }

  get dirty(): boolean {
    const { lesson, player } = this.playing;
    const titles = (list: readonly Chapter[]): string => JSON.stringify(list.filter((c) => c.title).map((c) => [c.time, c.title]));
    return this.from > 0 || this.to < lesson.duration || this.title !== lesson.about.title || this.captions !== undefined || this.voices().length > 0 || titles(this.parts) !== titles(player.chapters);
  }

  /** Writes the copy; undefined, with `problem`, if that failed: nothing is left of it then. */
  async save(): Promise<Edited | undefined> {
    await this.hush();
    const { rewrite, EditError } = await library();
    this.saving = 0;
    this.problem = '';
    this.changed();
    try {
      const { title, from, to, captions } = this;
      const chapters = this.parts.filter((p) => p.title.trim() !== '').map((p) => ({ time: p.time, title: p.title.trim() }));
      return await rewrite(this.playing.lesson, { title: title.trim(), from, to, chapters, captions: captions?.text, voices: this.voices(), software: 'fabrica-web 0.1' }, liveWire(), (share) => { this.saving = share; this.changed(); });
    } catch (error) {
      this.problem = `Not saved: ${(error as Error).message}.`;
      if (error instanceof EditError && error.left) await takeAway(error.left);
      return undefined;
    } finally {
      this.saving = undefined;
      this.changed();
    }
  }

  close(): void {
    this.closed = true;
    clearInterval(this.timer);
    this.speaking?.microphone.stop();
    if (this.speaking) this.finish();
    this.speaking = undefined;
  }
}

/** The server lets go of a lesson a moment after its connection ended. */
async function takeAway(name: string): Promise<void> {
  for (let tries = 0; tries < 8; tries++) {
    const gone = await removeLesson(name).then(() => true, () => false);
    if (gone) return;
    await new Promise((later) => setTimeout(later, 250));
  }
}
