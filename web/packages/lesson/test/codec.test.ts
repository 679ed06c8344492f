/** Numbers and bytes as C has them: contract/fixtures/lessons/poses.json is read by both. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { blank, decodeHands, decodePoses, decodeVoice, encodeHands, encodePoses, encodeVoice, fromBytes, Lesson, LessonError, quantise, quantiseJoint, restore } from '../src/index';
import type { HandSample, Pose, PoseReal, PoseSample } from '../src/index';
import { Container } from '../src/container';

const root = process.env['FAB_SOURCE_ROOT'] ?? path.join(process.cwd(), '..');
const fixtures = path.join(root, 'contract/fixtures/lessons');
const file = path.join(fixtures, 'poses.json');

interface Packed { position: number[]; rotation: number[]; largest: number }
interface Entry { wrist: PoseReal; joint: PoseReal; pose: Packed; local: Packed }

let s = 7;
const next = (): number => (s = (Math.imul(s, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const unit = (): PoseReal['rotation'] => {
  const q = [0, 0, 0, 0].map(() => next() * 2 - 1);
  const norm = Math.hypot(...q);
  return q.map((v) => v / norm) as PoseReal['rotation'];
};
/** Ties of the largest, halves of a step, the identity, turns of 180 degrees, both signs. */
const hard: PoseReal['rotation'][] = [[0, 0, 0, 1], [0, 0, 0, -1], [1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], [-0.5, 0.5, -0.5, 0.5], [0.5, -0.5, -0.5, -0.5], [Math.SQRT1_2, 0, Math.SQRT1_2, 0], [0, -Math.SQRT1_2, 0, Math.SQRT1_2], [0.6, 0, 0, 0.8], [0.8, 0, 0, -0.6]];

function made(): Entry[] {
  return Array.from({ length: 200 }, (_, i) => {
    const spread = i % 3 === 0 ? 50 : 2;
    const position = [0, 1, 2].map((k) => (i < 20 ? (i - 10) * 0.00005 * (k + 1) : (next() * 2 - 1) * spread)) as PoseReal['position'];
    const wrist = { position, rotation: hard[i] ?? unit() };
    const joint = { position: position.map((v) => v + (next() - 0.5) * 0.3) as PoseReal['position'], rotation: hard[(i + 3) % 40] ?? unit() };
    const pose = quantise(wrist);
    return { wrist, joint, pose: packed(pose), local: packed(quantiseJoint(pose, joint)) };
  });
}

const packed = ({ position, rotation, largest }: Pose): Packed => ({ position, rotation, largest });

test('poses and joints are quantised to the integers C has', () => {
  if (process.env['FAB_WRITE_FIXTURES']) writeFileSync(file, `[\n${made().map((e) => JSON.stringify(e)).join(',\n')}\n]\n`);
  const entries = JSON.parse(readFileSync(file, 'utf8')) as Entry[];
  assert.equal(entries.length, 200);
  for (const { wrist, joint, pose, local } of entries) {
    const mine = quantise(wrist);
    assert.deepEqual(packed(mine), pose);
    assert.deepEqual(packed(quantiseJoint(mine, joint)), local);
    const back = restore(mine, blank());
    for (let i = 0; i < 3; i++) assert.ok(Math.abs((back.position[i] as number) - (wrist.position[i] as number)) <= 0.0000501);
  }
});

test('what cannot be a pose is refused by name', () => {
  assert.throws(() => quantise({ position: [0, NaN, 0], rotation: [0, 0, 0, 1] }), /position/);
  assert.throws(() => quantise({ position: [0, 101, 0], rotation: [0, 0, 0, 1] }), /position/);
  assert.throws(() => quantise({ position: [0, 0, 0], rotation: [0, 0, 0, 0.5] }), /rotation/);
  assert.throws(() => quantise({ position: [0, 0, 0], rotation: [0, 0, 0, Infinity] }), /rotation/);
});

test('the example of docs/formats/lesson.md, both ways', () => {
  const hex = '01000200' + '00010FE80780FA0103' + '8B0101271F04010080';
  const data = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const samples: PoseSample[] = [
    { time: 0, pose: { head: { position: [500, 16000, -2], rotation: [0, 0, 0], largest: 3, emulated: false } }, controls: { head: 0 } },
    { time: 13900, pose: { head: { position: [499, 16000, -1], rotation: [1, 0, -128], largest: 3, emulated: false } }, controls: { head: 0 } },
  ];
  assert.deepEqual(decodePoses(data, 0, 'doc'), samples);
  assert.equal(Buffer.from(encodePoses(samples)).toString('hex').toUpperCase(), hex);
});

test('batches C wrote are written again byte for byte', async () => {
  const seen = { pose: 0, hand: 0, voice: 0 };
  for (const name of ['small', 'trimmed']) {
    const source = fromBytes(new Uint8Array(readFileSync(path.join(fixtures, `${name}.mcap`))), name);
    const container = await Container.open(source);
    for (const chunk of container.chunks) {
      for (const message of await container.load(chunk)) {
        const kind = message.channel.topic.split('/')[0] as keyof typeof seen;
        const time = message.ns / 1000;
        const again = kind === 'pose' ? encodePoses(decodePoses(message.data, time, name))
          : kind === 'hand' ? encodeHands(decodeHands(message.data, time, name)) : kind === 'voice' ? encodeVoice(decodeVoice(message.data, time, name)) : undefined;
        if (!again) continue;
        assert.deepEqual(Buffer.from(again).toString('hex'), Buffer.from(message.data).toString('hex'), `${kind} at ${time}`);
        seen[kind]++;
      }
    }
  }
  assert.ok(seen.pose > 3 && seen.hand > 1 && seen.voice > 3, JSON.stringify(seen));
});

test('any samples come back as they were', () => {
  const pose = (): Pose => ({ ...quantise({ position: [next() * 9, next() * 9, -next() * 9], rotation: unit() }), emulated: next() < 0.2 });
  for (let n = 0; n < 200; n++) {
    let time = Math.floor(next() * 1e5) * 100;
    const from = time;
    const samples: PoseSample[] = Array.from({ length: 1 + Math.floor(next() * 40) }, () => {
      const sample: PoseSample = { time: (time += 100 * Math.floor(next() * 200)), pose: { head: pose() }, controls: { head: 0 } };
      if (next() < 0.7) { sample.pose.right = pose(); sample.controls.right = Math.floor(next() * 2 ** 24); }
      return sample;
    });
    assert.deepEqual(decodePoses(encodePoses(samples), samples[0]?.time ?? from, 'x'), samples);
  }
  const wrist = pose();
  const hand = (): HandSample => ({ time: 0, left: { wrist, joints: Array.from({ length: 24 }, () => ({ ...quantiseJoint(wrist, { position: restore(wrist, blank()).position, rotation: unit() }) })) } });
  const hands = [hand(), hand()];
  assert.deepEqual(decodeHands(encodeHands(hands), 0, 'x'), hands);
});

test('batches that are wrong say where', () => {
  const good = encodePoses([{ time: 0, pose: { head: quantise({ position: [0, 0, 0], rotation: [0, 0, 0, 1] }) }, controls: {} }]);
  const bad = (change: (data: Uint8Array) => void | Uint8Array): Uint8Array => { const data = good.slice(); return change(data) ?? data; };
  const refused = (data: Uint8Array, why: RegExp): void => { assert.throws(() => decodePoses(data, 0, 'a.mcap', 100), (e: unknown) => e instanceof LessonError && why.test(e.message)); };
  refused(bad((d) => { d[0] = 2; }), /a\.mcap: pose at byte 10\d: version/);
  refused(bad((d) => { d[2] = 0; }), /count/);
  refused(bad((d) => { d[2] = 2; }), /bytes are wanted/);
  refused(bad((d) => { d[5] = 8; }), /devices/);
  refused(bad((d) => d.slice(0, 5)), /bytes are wanted/);
  refused(bad((d) => Uint8Array.from([...d, 0])), /left behind/);
  assert.throws(() => encodePoses([]), /a batch of 0/);
  assert.throws(() => encodeVoice([{ sequence: 5, data: new Uint8Array(9) }, { sequence: 5, data: new Uint8Array(9) }]), /sequence 5 after 5/);
});

test('a lesson opens by its summary without reading its data', async () => {
  const whole = new Uint8Array(readFileSync(path.join(fixtures, 'small.mcap')));
  const reads: number[] = [];
  const inner = fromBytes(whole);
  await Lesson.open({ ...inner, name: 'x', size: whole.length, read: (o, n) => { reads.push(n); return inner.read(o, n); } });
  assert.ok(reads.length < 14, `${reads.length} reads`);
});
