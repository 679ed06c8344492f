/**
 * Speech faster or slower at its own pitch: WSOLA (Verhelst and Roelands 1993). Windows of 20 ms are laid
 * half over each other; each is taken where it fits best to what came before, within 5 ms of where it
 * belongs.
 */
const half = 480;
const search = 240;

export class Stretch {
  private input = new Float32Array(0);
  /** Where the next window belongs in `input`, and where the last one was taken. */
  private place = search;
  private last = 0;
  private begun = false;

  /** `rate`: 2 is twice as fast. Mono, 48 kHz. */
  constructor(private readonly rate: number) {}

  /** Takes samples; gives those that are ready, about `input.length / rate` of them. */
  push(more: Float32Array): Float32Array {
    const joined = new Float32Array(this.input.length + more.length);
    joined.set(this.input);
    joined.set(more, this.input.length);
    this.input = joined;
    const parts: Float32Array[] = [];
    while (Math.floor(this.place) + search + 2 * half <= this.input.length && (!this.begun || this.last + 2 * half <= this.input.length)) parts.push(this.window());
    this.trim();
    const out = new Float32Array(parts.length * half);
    parts.forEach((part, i) => out.set(part, i * half));
    return out;
  }

  private window(): Float32Array {
    const at = this.begun ? this.best(Math.floor(this.place)) : Math.floor(this.place);
    const out = new Float32Array(half);
    for (let i = 0; i < half; i++) {
      const rise = 0.5 - 0.5 * Math.cos((Math.PI * i) / half);
      const before = this.input[(this.begun ? this.last + half : at) + i] as number;
      out[i] = before * (1 - rise) + (this.input[at + i] as number) * rise;
    }
    this.last = at;
    this.begun = true;
    this.place += half * this.rate;
    return out;
  }

  /** The start near `place` whose half window is most like the natural continuation of the last one. */
  private best(place: number): number {
    const wanted = this.last + half;
    let best = place;
    let most = -Infinity;
    for (let at = Math.max(0, place - search); at <= place + search; at += 2) {
      let like = 0;
      let power = 1e-9;
      for (let i = 0; i < half; i += 3) {
        const v = this.input[at + i] as number;
        like += v * (this.input[wanted + i] as number);
        power += v * v;
      }
      const score = like / Math.sqrt(power);
      if (score > most) [most, best] = [score, at];
    }
    return best;
  }

  /** Lets go of what no later window can want. */
  private trim(): void {
    const done = Math.min(Math.floor(this.place) - search, this.begun ? this.last + half : Infinity, this.input.length);
    if (done <= 0) return;
    this.input = this.input.slice(done);
    this.place -= done;
    this.last -= done;
  }
}
