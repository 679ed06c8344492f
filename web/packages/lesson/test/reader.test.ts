/** Reading: what C exports, cut files as C reads them, damaged and hostile ones with words. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { apply, hash, start } from '@fabrica/contract';
import type { State } from '@fabrica/contract';
import { blank, fromBytes, Lesson, LessonError, restore, restoreJoint } from '../src/index';
import type { HandPose, Piece, PoseReal, PoseSample } from '../src/index';

const root = process.env['FAB_SOURCE_ROOT'] ?? path.join(process.cwd(), '..');
const fixtures = path.join(root, 'contract/fixtures/lessons');
const load = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(fixtures, name)));
const open = (data: Uint8Array, name?: string): Promise<Lesson> => Lesson.open(fromBytes(data, name));

const rounded = (p: PoseReal): unknown => ({ position_m: p.position.map((v) => Number(v.toFixed(4)) + 0), rotation: p.rotation.map((v) => Number(v.toFixed(5)) + 0) });

function poseLine(s: PoseSample): object {
  const parts = Object.entries(s.pose).map(([device, pose]) => [device, { ...rounded(restore(pose, blank())) as object, emulated: pose.emulated, controls: s.controls[device as 'head'] }]);
  return { t: s.time, topic: 'pose', ...Object.fromEntries(parts) as object };
}

const handLine = (hand: HandPose): unknown[] => [restore(hand.wrist, blank()), ...hand.joints.map((j) => restoreJoint(restore(hand.wrist, blank()), j, blank()))].map(rounded);

/** Every event of a chunk as `fabrica lesson export --format jsonl` writes it, without order. */
function events(piece: Piece): object[] {
  return [
    ...piece.poses.map(poseLine),
    ...piece.hands.map((s) => ({ t: s.time, topic: 'hand', ...(s.left && { left: handLine(s.left) }), ...(s.right && { right: handLine(s.right) }) })),
    ...piece.voice.map((v) => ({ t: v.time, topic: 'voice/teacher', sequence: v.sequence, opus_hex: Buffer.from(v.data).toString('hex') })),
    ...piece.rows.map((row) => ({ t: row.t, topic: 'op', value: row })),
    ...piece.keyframes.map((k) => ({ t: k.time, topic: 'keyframe', value: { seq: k.seq, sha256: k.sha256, state: k.state } })),
  ];
}

const sorted = (list: { t?: number; topic?: string }[]): object[] => [...list].sort((a, b) => `${String(a.t).padStart(12, '0')} ${a.topic}`.localeCompare(`${String(b.t).padStart(12, '0')} ${b.topic}`));

/** -0 is 0 in a text. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

for (const name of ['small', 'cut', 'trimmed']) {
  test(`${name}.mcap holds what C's export says`, async () => {
    const lesson = await open(load(`${name}.mcap`));
    const mine: object[] = [];
    for (let i = 0; i < lesson.count; i++) mine.push(...events(await lesson.piece(i)));
    const theirs = readFileSync(path.join(fixtures, `${name}.jsonl`), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as object);
    assert.equal(mine.length, theirs.length);
    assert.deepEqual(plain(sorted(mine)), plain(sorted(theirs)));
    assert.equal(lesson.cut, name === 'cut');
    assert.equal(lesson.skipped, 0);
    assert.deepEqual(lesson.about.structures, [1, 2, 5, 10, 51]);
  });
}

async function statesByRows(lesson: Lesson): Promise<{ time: number; state: State }[]> {
  const out: { time: number; state: State }[] = [];
  let state: State | undefined;
  for (let i = 0; i < lesson.count; i++) {
    const { rows, keyframes } = await lesson.piece(i);
    state ??= keyframes[0]?.after === 0 ? keyframes[0].state : start();
    for (const row of rows) out.push({ time: row.t, state: (state = apply(state, row, lesson.about.structures)) });
    const last = keyframes.at(-1);
    if (last) assert.equal(hash(last.state), last.sha256);
  }
  return out;
}

test('the state at any time is that of the rows up to it; keyframes hold their own hash', async () => {
  for (const name of ['small', 'trimmed', 'cut']) {
    const lesson = await open(load(`${name}.mcap`));
    const states = await statesByRows(lesson);
    assert.ok(states.length > 0);
    for (const { time, state } of states) {
      assert.equal(hash((await lesson.stateAt(time)).state), hash(state), `${name} at ${time}`);
      assert.equal(hash((await lesson.stateAt(time + 300000)).state), hash(states.filter((s) => s.time <= time + 300000).at(-1)?.state as State));
    }
  }
});

test('a file cut anywhere is read to its last whole record, or refused with words', async () => {
  const whole = load('small.mcap');
  let read = 0;
  let events = 0;
  for (let size = 1; size < whole.length; size += 37) {
    try {
      const lesson = await open(whole.slice(0, size));
      assert.ok(lesson.cut, `${size} bytes`);
      let found = 0;
      for (let i = 0; i < lesson.count; i++) found += (await lesson.piece(i)).voice.length;
      assert.ok(found >= events, `${size} bytes hold ${found}, fewer than a shorter file's ${events}`);
      events = found;
      read++;
    } catch (error) {
      assert.ok(error instanceof LessonError, String(error));
      assert.match(error.message, /^lesson: /);
      assert.ok(size < 1200, `${size} bytes: ${error.message}`);
    }
  }
  assert.ok(read > 250 && events >= 50, `${read} were read, ${events} packets`);
});

test('seeds of the C fuzz target are read', async () => {
  const corpus = path.join(root, 'tests/fuzz/corpus/fuzz_lesson');
  for (const name of readdirSync(corpus)) {
    const lesson = await open(new Uint8Array(readFileSync(path.join(corpus, name))), name);
    for (let i = 0; i < lesson.count; i++) await lesson.piece(i);
    assert.ok(lesson.duration > 0);
  }
});

/** Small and the same everywhere. */
function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

function mutate(data: Uint8Array, next: () => number): Uint8Array {
  const out = data.slice();
  const at = Math.floor(next() * out.length);
  const kind = Math.floor(next() * 5);
  if (kind === 0) return out.slice(0, at);
  if (kind === 1) out[at] = (out[at] as number) ^ (1 << Math.floor(next() * 8));
  if (kind === 2) out.fill(255, at, at + 1 + Math.floor(next() * 8));
  if (kind === 3) out.fill(0, at, at + 1 + Math.floor(next() * 200));
  if (kind === 4) out.copyWithin(at, Math.floor(next() * out.length), Math.floor(next() * out.length));
  return out;
}

test('four thousand damaged lessons: each is read or refused with words, none hangs', { timeout: 120000 }, async () => {
  const next = random(20261122);
  const seeds = ['no-crc-small.mcap', 'no-crc-trimmed.mcap', 'small.mcap', 'plain.mcap'].map((name) => new Uint8Array(readFileSync(path.join(root, 'tests/fuzz/corpus/fuzz_lesson', name))));
  let refused = 0;
  const reasons = new Set<string>();
  for (let n = 0; n < 4000; n++) {
    let data = seeds[n % seeds.length] as Uint8Array;
    for (let i = 0; i <= n % 3; i++) data = mutate(data, next);
    try {
      const lesson = await open(data);
      for (let i = 0; i < Math.min(lesson.count, 8); i++) await lesson.piece(i);
      await lesson.stateAt(lesson.duration);
      await lesson.captions();
    } catch (error) {
      assert.ok(error instanceof LessonError, `${n}: ${(error as Error).stack}`);
      refused++;
      reasons.add(error.message.replace(/\d+/g, 'n'));
    }
  }
  assert.ok(refused > 400 && reasons.size > 25, `${refused} refused, ${reasons.size} reasons`);
});

test('a newer format opens with what is known; what is not is counted', async () => {
  const text = Buffer.from(load('small.mcap')).toString('latin1');
  const newer = (from: string, to: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(from, to), 'latin1'));
  const lesson = await open(newer('format_version\x01\0\0\x001', 'format_version\x01\0\0\x009'));
  assert.equal(lesson.about.version, 9);
  await assert.rejects(open(newer('format_version\x01\0\0\x001', 'format_version\x01\0\0\x000')), /format version "0"/);
  await assert.rejects(open(new Uint8Array(Buffer.from(text.replace('fabrica-lesson', 'fabrica-xesson'), 'latin1'))), /profile "fabrica-xesson", not a lesson/);
});

test('texts: what is no UTF-8 or holds a NUL is refused, as C refuses it', async () => {
  const text = readFileSync(path.join(root, 'tests/fuzz/corpus/fuzz_lesson/no-crc-small.mcap')).toString('latin1');
  const other = (key: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll('format_version', key), 'latin1'));
  await assert.rejects(open(other('form\xe1t_version')), /metadata: not UTF-8/);
  await assert.rejects(open(other('form\0t_version')), /metadata: a text with a NUL in it/);
});

test('lengths that are not true are refused before anything of that size is made', async () => {
  const data = load('small.mcap');
  data.fill(255, 9, 17); // the header's length: 2^64 - 1
  await assert.rejects(open(data), /byte 8: length .* goes past the end/);
});
