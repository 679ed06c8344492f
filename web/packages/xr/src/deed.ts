/** What a press begins: it follows its device until it is let go. */
import type { Device } from './inputs';

export interface Deed {
  /** Once a frame. `time`: ms. */
  move(device: Device, time: number): void;
  /** `lost`: the device vanished; what was done so far stays, nothing more is begun. */
  end(device: Device, lost: boolean): void;
}

/** Answers a press, or leaves it to the next. */
export interface Taker { take(device: Device, squeeze: boolean): Deed | undefined }

/** Rows a second while something is held. */
const rate = 36;

/** True when the next row is due. */
export class Pace {
  private last = -Infinity;

  due(time: number): boolean {
    if (time - this.last < 1000 / rate) return false;
    this.last = time;
    return true;
  }

  again(): void { this.last = -Infinity; }
}

let count = 0;

/** A name for a gesture: its rows are one step of undo. */
export const gestureName = (kind: string): string => `${kind}-${++count}-${performance.now().toFixed(0)}`;
