/** The frame-time guard, by times alone. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Guard, levels } from '../src/guard';

const due = 1000 / 72;

/** Runs frames of `took` ms for `seconds`; the levels it went through. */
function run(guard: Guard, clock: { now: number }, seconds: number, took: (i: number) => number): number[] {
  const seen: number[] = [];
  const end = clock.now + 1000 * seconds;
  for (let i = 0; clock.now < end; i++) {
    const ms = took(i);
    clock.now += ms;
    if (guard.frame(clock.now)) seen.push(guard.level);
  }
  return seen;
}

test('frames in time, and one late now and then, change nothing', () => {
  const guard = new Guard(due);
  assert.deepEqual(run(guard, { now: 1 }, 60, (i) => (i % 20 === 0 ? 2 * due : due)), []);
  assert.equal(guard.level, 0);
});

test('late frames take detail away step by step, not faster than it can be seen to help', () => {
  const guard = new Guard(due);
  const clock = { now: 1 };
  run(guard, clock, 1.4, () => 2 * due);
  assert.equal(guard.level, 0, 'not within the first second and a half');
  assert.deepEqual(run(guard, clock, 30, () => 2 * due), [1, 2, 3]);
  assert.equal(guard.level, levels.length - 1);
});

test('detail comes back when there is time, and each failed try makes the next wait twice as long', () => {
  const guard = new Guard(due);
  const clock = { now: 1 };
  run(guard, clock, 4.1, () => 2 * due); // to some level above 0
  const high = guard.level;
  assert.ok(high >= 1);
  assert.deepEqual(run(guard, clock, 7, () => due), [], 'not at once');
  assert.deepEqual(run(guard, clock, 4, () => due), [high - 1]);
  run(guard, clock, 4, () => 2 * due); // that was too much
  const back = guard.level;
  const from = clock.now;
  while (guard.level >= back) {
    clock.now += due;
    guard.frame(clock.now);
  }
  assert.ok(clock.now - from > 14000, `tried again after ${clock.now - from} ms`);
});

test('a pause (a menu of the system) is no late frame', () => {
  const guard = new Guard(due);
  assert.deepEqual(run(guard, { now: 1 }, 60, (i) => (i % 3 === 0 ? 900 : due)), []);
});
