/**
 * The microphone's clock against ours. A place is told late, never early, so the earliest of many says where
 * its clock stands; the estimate may rise by 200 millionths, as two crystals may differ. A device that was starved
 * stands still and is behind for good: 400 ms in which all that is told is late by more than 40 ms set it anew.
 */
import { limits } from './codec';
import type { VoicePacket } from './codec';

const slew = 200e-6;
/** A batch begins this much before the last one's end at most, microseconds: the server joins a second of them and takes no packet that is 20 ms early. */
const back = 3500;

/** Milliseconds what is told may be late, and of how long a lateness is no accident; how often at least it was told meanwhile. */
const stall = { late: 40, lasts: 400, told: 8 };

export class CaptureClock {
  private offset: number | undefined;
  private seen = 0;
  /** Since the last block that was in time: when that was, how many were late, the least of their offsets. */
  private late = { since: 0, count: 0, least: Infinity };

  /** `rate`: frames a second, as the device says. */
  constructor(private readonly rate: number) {}

  /** The device's clock was at `frame`, or further, at `now`, ms. */
  told(frame: number, now: number): void {
    const offset = now - (frame / this.rate) * 1000;
    const risen = this.offset === undefined ? offset : this.offset + (now - this.seen) * slew;
    this.seen = now;
    this.offset = Math.min(offset, risen);
    if (offset <= risen + stall.late) {
      this.late = { since: now, count: 0, least: Infinity };
      return;
    }
    const late = { since: this.late.since, count: this.late.count + 1, least: Math.min(this.late.least, offset) };
    this.late = late;
    if (now - late.since < stall.lasts || late.count < stall.told) return;
    this.offset = late.least;
    this.late = { since: now, count: 0, least: Infinity };
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
  /** The most a batch was put later than it was said, because what is newer had been sent; microseconds. */
  moved = 0;
  private packets: VoicePacket[] = [];
  /** Where the next packet would be heard. */
  private next = 0;

  /** `earliest`: no batch begins before it, microseconds. */
  constructor(private readonly full: (batch: VoiceBatch) => void, private readonly earliest: () => number = () => 0, private readonly most = 12) {}

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
    const said = Math.max(Math.round(first.time / limits.tick) * limits.tick, this.next - back, 0);
    const time = Math.max(said, Math.ceil(this.earliest() / limits.tick) * limits.tick);
    this.moved = Math.max(this.moved, time - said);
    this.next = time + ((this.packets.at(-1) as VoicePacket).sequence - first.sequence + 1) * limits.packetUs;
    this.full({ time, packets: this.packets });
    this.packets = [];
  }
}
