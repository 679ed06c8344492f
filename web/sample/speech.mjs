/** The sample lesson's voice: espeak-ng line by line, joined with the times each begins at. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const rate = 48000;

/** The samples of a 16-bit mono WAV file at its rate. */
function readWav(file) {
  const raw = readFileSync(file);
  let at = 12;
  let hertz = 0;
  while (at + 8 <= raw.length) {
    const kind = raw.toString('latin1', at, at + 4);
    const size = raw.readUInt32LE(at + 4);
    if (kind === 'fmt ') hertz = raw.readUInt32LE(at + 12);
    if (kind === 'data') {
      const bytes = raw.subarray(at + 8, Math.min(raw.length, at + 8 + size));
      return { hertz, samples: new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + (bytes.length & ~1))) };
    }
    at += 8 + size + (size & 1);
  }
  throw new Error(`${file}: no sound in it`);
}

/** Linear: speech of 22 kHz has nothing above that a longer filter would save. */
function resample({ hertz, samples }) {
  const out = new Int16Array(Math.floor((samples.length * rate) / hertz));
  for (let i = 0; i < out.length; i++) {
    const t = (i * hertz) / rate;
    const k = Math.floor(t);
    const a = samples[k] ?? 0;
    out[i] = Math.round(a + ((samples[k + 1] ?? a) - a) * (t - k));
  }
  return out;
}

function wavOf(samples) {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0); head.writeUInt32LE(36 + 2 * samples.length, 4); head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16); head.writeUInt16LE(1, 20); head.writeUInt16LE(1, 22); head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28); head.writeUInt16LE(2, 32); head.writeUInt16LE(16, 34);
  head.write('data', 36); head.writeUInt32LE(2 * samples.length, 40);
  return Buffer.concat([head, Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)]);
}

/**
 * Speaks `lines` one after another with `pause` seconds between and `lead` before the first. Writes one WAV (48 kHz
 * mono) to `file`; returns [{from, to}] of each line in seconds, and the whole length.
 */
export function speak(lines, file, { lead = 1.5, pause = 0.7 } = {}) {
  const work = mkdtempSync(path.join(tmpdir(), 'fabrica-speech-'));
  const parts = [];
  const times = [];
  let at = lead;
  parts.push(new Int16Array(Math.round(lead * rate)));
  for (const [i, line] of lines.entries()) {
    const one = path.join(work, `${i}.wav`);
    execFileSync('espeak-ng', ['-v', 'en-gb', '-s', '150', '-p', '42', '-w', one, line]);
    const samples = resample(readWav(one));
    parts.push(samples, new Int16Array(Math.round(pause * rate)));
    times.push({ from: at, to: at + samples.length / rate });
    at += samples.length / rate + pause;
  }
  rmSync(work, { recursive: true });
  const all = new Int16Array(parts.reduce((n, p) => n + p.length, 0));
  let to = 0;
  for (const p of parts) { all.set(p, to); to += p.length; }
  writeFileSync(file, wavOf(all));
  return { times, seconds: all.length / rate };
}

/** WebVTT of lines at their times. */
export function captionsOf(lines, times) {
  const stamp = (s) => new Date(Math.round(s * 1000)).toISOString().slice(11, 23);
  return `WEBVTT\n\n${lines.map((line, i) => `${stamp(times[i].from)} --> ${stamp(times[i].to)}\n${line}\n`).join('\n')}`;
}
