/** Edited copies on a wire of the test: what is kept comes moved in time, sample for sample, and the scene is the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { apply, hash, start } from '@fabrica/contract';
import type { Row, State } from '@fabrica/contract';
import { cuesOf, decodeHands, decodePoses, decodeVoice, EditError, fromBytes, Lesson, retimed, rewrite } from '../src/index';
import type { Edit, VoicePacket, Wire } from '../src/index';

const root = process.env['FAB_SOURCE_ROOT'] ?? path.join(process.cwd(), '..');
const load = (name: string): Promise<Lesson> => Lesson.open(fromBytes(new Uint8Array(readFileSync(path.join(root, 'contract/fixtures/lessons', name))), name));

/** A server that takes all, or refuses at the message of this number. */
class Server implements Wire {
  texts: Record<string, unknown>[] = [];
  poses: ReturnType<typeof decodePoses> = [];
  hands: ReturnType<typeof decodeHands> = [];
  voice: VoicePacket[] = [];
  closed = 0;
  private newest = 0;
  private say: (message: Record<string, unknown>) => void = () => undefined;

  constructor(private readonly refuse = Infinity) {}

  listen(on: (message: Record<string, unknown>) => void): void { this.say = on; }

  close(): void { this.closed++; }

  send(data: string | Uint8Array): void {
    if (typeof data !== 'string') return this.batch(data);
    const message = JSON.parse(data) as Record<string, unknown>;
    this.texts.push(message);
    if (this.texts.length > this.refuse) this.say({ type: 'error', code: 'row', message: 'not this one', ended: true });
    else if (message['type'] === 'record.start') this.say({ type: 'record.started', name: 'copy' });
    else if (message['type'] === 'record.stop') this.say({ type: 'record.stopped', name: 'copy', duration_us: this.newest, bytes: 1, dropped: 0 });
  }

  private batch(data: Uint8Array): void {
    const time = Number(new DataView(data.buffer, data.byteOffset).getBigUint64(8, true));
    assert.ok(time > this.newest - 1e6, 'nothing is a second older than what was sent');
    const body = data.subarray(16);
    if (data[0] === 0) this.poses.push(...decodePoses(body, time, 'wire'));
    else if (data[0] === 1) this.hands.push(...decodeHands(body, time, 'wire'));
    else this.voice.push(...decodeVoice(body, time, 'wire'));
    this.newest = Math.max(this.newest, time);
  }

  get rows(): Row[] { return this.texts.filter((m) => m['type'] === 'row').map((m) => m['row'] as Row); }
  get metas(): Record<string, unknown>[] { return this.texts.filter((m) => m['type'] === 'meta').map((m) => m['object'] as Record<string, unknown>); }

  /** The scene at a time of the copy. */
  stateAt(time: number, structures: readonly number[]): State {
    return this.rows.filter((row) => row.t <= time).reduce((state, row) => apply(state, row, structures), (this.texts[0]?.['state'] as State | null) ?? start());
  }
}

const all = (lesson: Lesson): Edit => ({ title: 'A copy', from: 0, to: lesson.duration, chapters: [], voices: [], software: 'test' });

async function everything(lesson: Lesson): Promise<{ poses: unknown[]; hands: unknown[]; voice: VoicePacket[]; rows: Row[] }> {
  const out = { poses: [] as unknown[], hands: [] as unknown[], voice: [] as VoicePacket[], rows: [] as Row[] };
  for (let i = 0; i < lesson.count; i++) {
    const piece = await lesson.piece(i);
    out.poses.push(...piece.poses);
    out.hands.push(...piece.hands);
    out.voice.push(...piece.voice);
    out.rows.push(...piece.rows);
  }
  return out;
}

const shifted = (list: readonly unknown[], from: number, to: number): unknown[] =>
  (list as { time: number }[]).filter((s) => s.time >= from && s.time <= to).sort((a, b) => a.time - b.time).map((s) => ({ ...s, time: s.time - from }));
const sounds = (list: readonly VoicePacket[]): unknown[] => list.map(({ time, data }) => [time, Buffer.from(data).toString('hex')]);


for (const name of ['small.mcap', 'trimmed.mcap']) {
  for (const [first, last] of [[0, 1], [0.3, 0.8], [0, 0.5], [0.61, 1]] as const) {
    test(`${name}, ${first} to ${last}: all that is kept, moved; the same scene at every row`, async () => {
      const lesson = await load(name);
      const from = Math.floor((first * lesson.duration) / 100) * 100;
      const to = Math.floor(last * lesson.duration);
      const server = new Server();
      const done = await rewrite(lesson, { ...all(lesson), from, to, chapters: await lesson.chapters(() => undefined) }, server);
      assert.deepEqual([done.name, server.closed, server.texts[0]?.['title']], ['copy', 1, 'A copy']);
      const source = await everything(lesson);
      assert.deepEqual(server.poses, shifted(source.poses, from, to));
      assert.deepEqual(server.hands, shifted(source.hands, from, to));
      assert.deepEqual(sounds(server.voice), sounds(shifted(source.voice, from, to) as VoicePacket[]));
      assert.ok(server.voice.every((p, i) => p.sequence > (server.voice[i - 1]?.sequence ?? -1)), 'packets are numbered upwards');
      const kept = source.rows.filter((row) => row.t >= from && row.t <= to && row.op !== 'chapter');
      assert.deepEqual(server.rows.filter((row) => row.op !== 'chapter').map(({ op, args, t }) => ({ op, args, t: t + from })), kept.map(({ op, args, t }) => ({ op, args, t })));
      assert.deepEqual(server.rows.map((row) => row.seq), server.rows.map((_row, i) => i + 1));
      for (const row of server.rows) {
        assert.ok(row.undoes === undefined || row.undoes < row.seq);
        assert.equal(hash(server.stateAt(row.t, lesson.about.structures)), hash((await lesson.stateAt(row.t + from)).state), `at ${row.t} of the copy`);
      }
      assert.equal(hash(server.stateAt(to - from, lesson.about.structures)), hash((await lesson.stateAt(to)).state));
      assert.equal(server.metas[0]?.['event'], 'edited');
    });
  }
}

test('chapters are those given; the one under way begins the copy', async () => {
  const lesson = await load('small.mcap');
  const server = new Server();
  const half = Math.floor(lesson.duration / 200) * 100;
  await rewrite(lesson, { ...all(lesson), from: half, chapters: [{ time: 0, title: 'One' }, { time: half - 1000, title: 'Two' }, { time: half + 50000, title: 'Three' }] }, server);
  assert.deepEqual(server.rows.filter((row) => row.op === 'chapter').map(({ t, args }) => [t, (args as { title: string }).title]), [[0, 'Two'], [50000, 'Three']]);
});

test('a voice spoken anew takes the place of the old one, within its time; silence is silence', async () => {
  const lesson = await load('small.mcap');
  const { voice } = await everything(lesson);
  const [from, to] = [voice[4]?.time ?? 0, voice[14]?.time ?? 0];
  const packets = Array.from({ length: 30 }, (_n, i) => ({ time: from + 33 + i * 20000, sequence: i, data: Uint8Array.of(250, i) }));
  const server = new Server();
  await rewrite(lesson, { ...all(lesson), voices: [{ from, to, preSkip: 312, packets }] }, server);
  const inside = server.voice.filter((p) => p.time >= from && p.time < to);
  assert.ok(inside.length >= 9 && inside.every((p) => p.data[0] === 250 && p.time + 20000 <= to + 100), `${inside.length} packets`);
  const others = voice.filter((p) => p.time < from || p.time >= to);
  assert.deepEqual(sounds(server.voice.filter((p) => p.time < from || p.time >= to)), sounds(others));
  const silent = new Server();
  await rewrite(lesson, { ...all(lesson), voices: [{ from, to, preSkip: 0, packets: [] }] }, silent);
  assert.deepEqual(sounds(silent.voice), sounds(others));
});

test('what the server refuses is told, with what is left of the copy; so are a lesson of several people and an empty one', async () => {
  const lesson = await load('small.mcap');
  const server = new Server(3);
  await assert.rejects(rewrite(lesson, all(lesson), server), (error: EditError) => error instanceof EditError && error.message === 'not this one' && error.left === 'copy');
  assert.equal(server.closed, 1);
  await assert.rejects(rewrite(await load('people.mcap'), all(lesson), new Server()), /several people/);
  await assert.rejects(rewrite(lesson, { ...all(lesson), from: lesson.duration }, new Server()), /not after the beginning/);
});

test('captions are moved and cut; what is no cue is kept', () => {
  const text = 'WEBVTT\n\nNOTE by hand\n\n1\n00:01.000 --> 00:03.000 align:left\nOne\n\n00:00:04.500 --> 00:00:06.000\nTwo\nlines\n\n01:00:00.000 --> 01:00:01.000\nLate\n';
  assert.equal(retimed(text, 0, 1e13), text.replace('00:01.000 --> 00:03.000', '00:00:01.000 --> 00:00:03.000'));
  const moved = retimed(text, 2e6, 5e6);
  assert.deepEqual(cuesOf(moved), [{ from: 0, to: 1e6, text: 'One' }, { from: 2.5e6, to: 3e6, text: 'Two\nlines' }]);
  assert.match(moved, /NOTE by hand/);
  assert.match(moved, /align:left/);
});
