/** The player on a clock of the test: rows, seeks, questions, chapters, voice handed over in time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { hash } from '@fabrica/contract';
import type { State } from '@fabrica/contract';
import { Figure, fromBytes, Lesson, Player, quantise } from '../src/index';
import type { Question, Speaker } from '../src/index';

const root = process.env['FAB_SOURCE_ROOT'] ?? path.join(process.cwd(), '..');
const load = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(root, name)));

class TestSpeaker implements Speaker {
  now = 100;
  heard: number[] = [];
  dropped = 0;
  readonly clock = { now: () => this.now };
  give(packets: readonly { time: number }[], when: (time: number) => number): void {
    for (const p of packets) {
      assert.ok(when(p.time) >= this.now - 0.02, 'given before it is due');
      this.heard.push(p.time);
    }
  }
  drop(): void { this.dropped++; }
  play(): Promise<boolean> { return Promise.resolve(true); }
  pause(): void { this.drop(); }
}

const settled = (): Promise<void> => new Promise((done) => setTimeout(done, 5));

async function opened(data = load('contract/fixtures/lessons/small.mcap')): Promise<{ player: Player; speaker: TestSpeaker; states: State[]; asked: Question[]; lesson: Lesson }> {
  const lesson = await Lesson.open(fromBytes(data));
  const speaker = new TestSpeaker();
  const states: State[] = [];
  const asked: Question[] = [];
  const player = new Player(lesson, { state: (state) => states.push(state), question: (q) => asked.push(q), changed: () => undefined, error: (error) => { throw error; } }, speaker);
  await player.begin();
  return { player, speaker, states, asked, lesson };
}

/** Lets `seconds` pass in frames of 1/50 s. */
async function run(player: Player, speaker: TestSpeaker, seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 50; i++) {
    speaker.now += 0.02;
    player.update();
    if (i % 10 === 0) await settled();
  }
}

test('playing leads to the same states as going there', async () => {
  const { player, speaker, lesson } = await opened();
  await player.play();
  for (let i = 0; i < 9; i++) {
    await run(player, speaker, 0.2);
    assert.equal(hash(player.state), hash((await lesson.stateAt(player.time)).state), `at ${player.time}`);
  }
  await run(player, speaker, 1);
  assert.ok(player.ended && !player.playing);
  assert.equal(player.time, lesson.duration);
});

test('every packet is handed over once, in order; a seek drops what was given', async () => {
  const { player, speaker } = await opened();
  await player.play();
  await run(player, speaker, 3);
  assert.equal(speaker.heard.length, 100);
  assert.deepEqual(speaker.heard, [...new Set(speaker.heard)].sort((a, b) => a - b));
  const before = speaker.dropped;
  await player.seek(1e6);
  assert.ok(speaker.dropped > before);
});

test('twice the speed takes half the time', async () => {
  const { player, speaker } = await opened();
  player.setRate(2);
  await player.play();
  await run(player, speaker, 0.5);
  assert.ok(Math.abs(player.time - 1e6) < 50000, String(player.time));
});

test('seeks while one is under way: the last wins', async () => {
  const { player } = await opened();
  await Promise.all([player.seek(1.9e6), player.seek(0.2e6), player.seek(1e6)]);
  assert.equal(player.time, 1e6);
});

test('the instructor is between two samples, stays a quarter second after the last, then is gone', () => {
  const head = (x: number): ReturnType<typeof quantise> => quantise({ position: [x, 1.5, 0], rotation: [0, Math.sin(x / 2), 0, Math.cos(x / 2)] });
  const poses = [0, 100000, 1000000].map((time) => ({ time, pose: { head: head(time / 1e6) }, controls: {} }));
  const at = (time: number): number | undefined => new Figure().at([{ poses, hands: [] }], time).head?.position[0];
  assert.ok(Math.abs((at(50000) as number) - 0.05) < 1e-9);
  assert.equal(at(300000), 0.1, 'the next sample is too far away to be joined');
  assert.equal(at(400000), undefined);
  const turned = new Figure().at([{ poses, hands: [] }], 50000).head?.rotation as number[];
  assert.ok(Math.abs((turned[1] as number) - Math.sin(0.025)) < 1e-4);
});

test('two people of a file that C wrote: each is where its own samples say, the first one speaks', async () => {
  const { player, lesson, speaker } = await opened(load('contract/fixtures/lessons/people.mcap'));
  assert.deepEqual([lesson.who, lesson.others, lesson.voices], ['anna', [{ who: 'ben', grip: true }], 2]);
  const lines = new TextDecoder().decode(load('contract/fixtures/lessons/people.jsonl')).trimEnd().split('\n').map((line) => JSON.parse(line) as { t: number; topic: string; head: { position_m: number[] }; right: { position_m: number[] }; left?: object });
  const near = (a: readonly number[] | undefined, b: readonly number[] | undefined): void => a?.forEach((v, i) => assert.ok(Math.abs(v - (b?.[i] as number)) < 1e-4, `${v} is not ${b?.[i]}`));
  let seen = 0;
  for (const { t, topic, head, right, left } of lines.filter((line) => line.topic.startsWith('pose/'))) {
    await player.seek(t);
    const ben = player.other(0);
    const shown = topic === 'pose/anna' ? player.instructor() : ben;
    near(shown.head?.position, head.position_m);
    near(shown.right?.position, right.position_m);
    assert.equal(shown.left !== undefined, left !== undefined);
    assert.deepEqual(ben.hands, { left: undefined, right: undefined }, 'ben has none');
    seen++;
  }
  assert.equal(seen, 60);
  await player.seek(1.3e6);
  assert.equal(player.instructor().hands.left?.length, 25);
  await player.seek(0);
  await player.play();
  await run(player, speaker, 2.5);
  assert.ok(speaker.heard.length >= 20 && new Set(speaker.heard).size === speaker.heard.length, 'one voice, each packet once');
  assert.equal(lesson.skipped, 0, 'nothing in it is unknown');
});
