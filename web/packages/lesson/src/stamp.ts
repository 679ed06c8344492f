/**
 * The microphone's clock against ours. A block is told late, never early, so the earliest of many says where
 * its clock stands; the estimate may rise by 200 millionths, as two crystals may differ.
 */
import { limits } from './codec';
import type { VoicePacket } from './codec';

const slew = 200e-6;
/** A batch begins this much before the last one's end at most, microseconds: the server joins a second of them and takes no packet that is 20 ms early. */
const back = 3500;

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
  /** Where the next packet would be heard. */
  private next = 0;

  constructor(private readonly full: (batch: VoiceBatch) => void, private readonly most = 12) {}

  /** `time`: microseconds of the lesson; what was said before it began is left out. */
  add(packet: VoicePacket): void {
    if (packet.time < 0) return;
    const [first] = this.packets;
    if (first && Math.abs(packet.time - first.time - (packet.sequence - first.sequence) * limits.packetUs) >= limits.packetUs) this.flush();
    this.packets.push(packet);
    if (this.packets.length >= this.most) this.flush();
  }

  flush(): void {
    const [first] = this.packets;
    if (!first) return;
    const time = Math.max(Math.round(first.time / limits.tick) * limits.tick, this.next - back, 0);
    this.next = time + ((this.packets.at(-1) as VoicePacket).sequence - first.sequence + 1) * limits.packetUs;
    this.full({ time, packets: this.packets });
    this.packets = [];
  }
}
