/**
 * Keeps what is sent in time's order where a page is busy: the voice comes from another thread and is late when
 * this one was held up, while rows and rigs carry the time of now. A lesson's file takes nothing that is more
 * than a second behind (ADR 0112), so these wait until the voice is there. In a page that keeps up nothing waits.
 */

/** Rows and rigs may be so far ahead of the voice, microseconds. */
const ahead = 600000;
/** A voice that has not come on for so long has ended; nothing waits for it any more. Microseconds. */
const patience = 1500000;

export class Outbox {
  private readonly waiting: { time: number; send: () => void }[] = [];
  private heard = 0;
  private heardAt: number;

  /** `now`: microseconds of the lesson; `voiced`: whether there is a voice to wait for. */
  constructor(private readonly now: () => number, private readonly voiced: boolean) { this.heardAt = now(); }

  /** Sends now, or when the voice has come near to `time`. */
  put(time: number, send: () => void): void {
    this.waiting.push({ time, send });
    this.release();
  }

  /** The voice was sent up to `time`. */
  voice(time: number): void {
    this.heard = Math.max(this.heard, time);
    this.heardAt = this.now();
    this.release();
  }

  /** Sends what need not wait any longer. */
  release(): void {
    const until = this.voiced && this.now() - this.heardAt < patience ? this.heard + ahead : Infinity;
    while (this.waiting[0] && this.waiting[0].time <= until) this.waiting.shift()?.send();
  }

  /** Sends all that is left. */
  empty(): void { for (const { send } of this.waiting.splice(0)) send(); }
}
