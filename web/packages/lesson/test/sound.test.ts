/** Voice: stamps against two clocks that differ, an hour without drift, speed without another pitch. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeVoice, encodeVoice } from '../src/index';
import { Chain } from '../src/schedule';
import { CaptureClock, VoiceBatches } from '../src/stamp';
import { Stretch } from '../src/stretch';

/** An hour of packets from a microphone whose crystal is `ppm` fast, told up to 30 ms late. Worst error of what is heard, ms. */
function hour(ppm: number): { worst: number; jumps: number } {
  let s = 3;
  const next = (): number => (s = (Math.imul(s, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const clock = new CaptureClock(48000);
  const chain = new Chain();
  const real = (frame: number): number => (frame / 48000) * 1000 * (1 - ppm * 1e-6) + 500;
  let worst = 0;
  let jumps = 0;
  let end = 0;
  const batches = new VoiceBatches(({ time, packets }) => {
    for (const packet of decodeVoice(encodeVoice(packets), time, 'x')) {
      const start = chain.place(packet.time / 1e6, 0.02) * 1000;
      if (Math.abs(start - end) > 0.001) jumps++;
      end = start + 20;
      if (packet.sequence > 500) worst = Math.max(worst, Math.abs(start - real(packet.sequence * 960)));
    }
  });
  for (let n = 0; n < 180000; n++) {
    const frame = n * 960;
    clock.told(frame + 960, real(frame + 960) + 2 + (next() < 0.02 ? 30 * next() : next()));
    batches.add({ time: clock.at(frame) * 1000, sequence: n, data: Uint8Array.of(1) });
  }
  return { worst, jumps };
}

for (const ppm of [0, 50, -100]) {
  test(`an hour of voice, crystals ${ppm} ppm apart: never 20 ms from the clock`, () => {
    const { worst, jumps } = hour(ppm);
    assert.ok(worst < 20, `${worst.toFixed(2)} ms`);
    assert.ok(jumps < 60, `${jumps} seams`);
  });
}

/** Crossings of zero upwards a second. */
function pitch(samples: Float32Array): number {
  let n = 0;
  for (let i = 1; i < samples.length; i++) if ((samples[i - 1] as number) < 0 && (samples[i] as number) >= 0) n++;
  return (n * 48000) / samples.length;
}

for (const rate of [0.5, 0.75, 1.25, 2]) {
  test(`at ${rate} times the speed the tone stays and the length follows`, () => {
    const stretch = new Stretch(rate);
    const parts: Float32Array[] = [];
    for (let n = 0; n < 100; n++) {
      parts.push(stretch.push(Float32Array.from({ length: 1920 }, (_, i) => Math.sin((2 * Math.PI * 220 * (n * 1920 + i)) / 48000) * 0.5)));
    }
    const all = Float32Array.from(parts.flatMap((p) => [...p]));
    assert.ok(Math.abs(all.length / (192000 / rate) - 1) < 0.02, `${all.length} samples`);
    assert.ok(Math.abs(pitch(all) - 220) < 4, `${pitch(all).toFixed(1)} Hz`);
    assert.ok(all.every((v) => Math.abs(v) < 0.56), 'no peaks where windows meet');
  });
}
