/**
 * Keeps the picture smooth: where frames come late it takes detail away, step by step, and gives it back when
 * there is time again. A late picture makes people ill; a coarse one does not. Pure: times in, level out.
 *
 * Each step back up that failed makes the next try wait twice as long, so it does not swing.
 */

/** A frame is late where it took this many times its due; so many of the last second's must be. */
const late = 1.45;
const bad = 0.2;
const good = 0.04;
/** Frames looked at together; at least this many ms pass between two steps down. */
const span = 72;
const settle = 1500;
const patience = { first: 8000, most: 120000 };

export interface Level {
  /** 0 to 1: how much the edges are coarser. */
  foveation: number;
  /** Share of the picture's side that is drawn, where the device lets us. */
  scale: number;
  /** CT on cuts and as a cloud. */
  image: boolean;
  /** Of structures: 0 is the finest. */
  detail: number;
  said: string;
}

export const levels: readonly Level[] = [
  { foveation: 0.3, scale: 1, image: true, detail: 0, said: '' },
  { foveation: 1, scale: 0.85, image: true, detail: 0, said: 'picture a little coarser, to stay smooth' },
  { foveation: 1, scale: 0.75, image: true, detail: 1, said: 'less detail, to stay smooth' },
  { foveation: 1, scale: 0.65, image: false, detail: 2, said: 'least detail, no CT on cuts, to stay smooth' },
];

export class Guard {
  level = 0;
  private readonly times = new Float32Array(span);
  private count = 0;
  private last = -1;
  private changed = 0;
  private wait = patience.first;
  private raised = false;

  /** `due`: ms a frame may take, 1000 / 72 on most headsets. */
  constructor(readonly due: number) {}

  /** A frame began at `now`, ms, and so the one before has ended; true where the level changed. */
  frame(now: number): boolean {
    const took = now - this.last;
    const first = this.last < 0;
    this.last = now;
    if (first || took > 500) return false; // the person was away: a menu of the system, a headset taken off
    if (this.changed === 0) this.changed = now;
    this.times[this.count++ % span] = took;
    if (this.count < span) return false;
    const count = this.lateCount();
    if (count > bad * span && this.level < levels.length - 1 && now - this.changed > settle) return this.step(1, now);
    if (count < good * span && this.level > 0 && now - this.changed > this.wait) return this.step(-1, now);
    return false;
  }

  private lateCount(): number {
    let n = 0;
    for (let i = 0; i < span; i++) if ((this.times[i] as number) > late * this.due) n++;
    return n;
  }

  private step(by: 1 | -1, now: number): boolean {
    if (by > 0 && this.raised) this.wait = Math.min(patience.most, 2 * this.wait);
    this.raised = by < 0;
    this.level += by;
    this.count = 0;
    this.changed = now;
    return true;
  }
}
