/**
 * The microphone's clock against ours. A block is told late, never early, so the earliest of many says where
 * its clock stands; the estimate may rise by 200 millionths, as two crystals may differ.
 */
import { limits } from './codec';
import type { VoicePacket } from './codec';

const slew = 200e-6;

export class CaptureClock {
  private offset: number | undefined;
  private seen = 0;

  /** `rate`: frames a second, as the device says. */
  constructor(private readonly rate: number) {}

  /** A block that ended at `frame` was told at `now`, ms. */
  told(frame: number, now: number): void {
    const offset = now - (frame / this.rate) * 1000;
    this.offset = this.offset === undefined ? offset : Math.min(offset, this.offset + (now - this.seen) * slew);
    this.seen = now;
  }

  /** Our time, ms, of a frame. */
  at(frame: number): number { return (this.offset ?? 0) + (frame / this.rate) * 1000; }
}

export interface VoiceBatch { time: number; packets: VoicePacket[] }

/**
 * Packets in batches of a quarter of a second. Within one, packets are 20 ms apart; each begins at what the
 * clock says, so that an hour's drift is what one batch drifts.
 */
export class VoiceBatches {
  private packets: VoicePacket[] = [];
  private last = -limits.packetUs;

  constructor(private readonly full: (batch: VoiceBatch) => void, private readonly most = 12) {}

  /** `time`: microseconds of the lesson. Times that do not grow are made to. */
  add(packet: VoicePacket): void {
    const [first] = this.packets;
    if (first && Math.abs(packet.time - first.time - (packet.sequence - first.sequence) * limits.packetUs) >= limits.packetUs) this.flush();
    this.packets.push(packet);
    if (this.packets.length >= this.most) this.flush();
  }

  flush(): void {
    const [first] = this.packets;
    if (!first) return;
    const time = Math.max(Math.round(first.time / limits.tick) * limits.tick, this.last + limits.tick, 0);
    this.last = time + ((this.packets.at(-1) as VoicePacket).sequence - first.sequence) * limits.packetUs;
    this.full({ time, packets: this.packets });
    this.packets = [];
  }
}
