/** When blocks of voice are heard: one after the other without a seam, set right where the clock is 10 ms away. */
export interface Block { time: number; samples: Float32Array }

/** Seconds the chain of blocks may be away from the lesson's clock. */
const tolerance = 0.01;

export class Chain {
  private next: number | undefined;

  /** Seconds at which a block of `seconds` starts that is due at `due`. */
  place(due: number, seconds: number): number {
    const start = this.next !== undefined && Math.abs(this.next - due) <= tolerance ? this.next : due;
    this.next = start + seconds;
    return start;
  }

  drop(): void { this.next = undefined; }
}
