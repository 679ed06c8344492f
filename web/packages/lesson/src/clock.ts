/**
 * The lesson's clock: microseconds of the lesson from a master's seconds. While voice plays the master is
 * the audio device's clock, so that words and hands never drift apart; else it is performance.now().
 */
export interface Master { /** Seconds that only grow. */ now(): number }

export const wall: Master = { now: () => performance.now() / 1000 };

export class Clock {
  private from = 0;
  private at = 0;
  private speed = 1;
  private running = false;

  constructor(private master: Master = wall) {}

  get time(): number { return this.running ? this.from + (this.master.now() - this.at) * this.speed * 1e6 : this.from; }
  get going(): boolean { return this.running; }
  get rate(): number { return this.speed; }

  /** The master's seconds at which the lesson will be at `time`. */
  when(time: number): number { return this.at + (time - this.from) / (this.speed * 1e6); }

  private mark(): void {
    this.from = this.time;
    this.at = this.master.now();
  }

  use(master: Master): void {
    this.from = this.time;
    this.master = master;
    this.at = master.now();
  }

  go(): void { if (!this.running) { this.at = this.master.now(); this.running = true; } }

  stop(): void { this.from = this.time; this.running = false; }

  seek(time: number): void { this.from = time; this.at = this.master.now(); }

  setRate(rate: number): void { this.mark(); this.speed = rate; }
}
