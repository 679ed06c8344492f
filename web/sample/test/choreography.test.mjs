/** The sample lesson's plan on a made-up spine: rows the table takes, times that ascend, hands that point where they should. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { apply, start, validate } from '@fabrica/contract';
import { choreograph, linesOf, looking, pointing, turned } from '../choreography.mjs';
import { captionsOf } from '../speech.mjs';

const levels = ['T9', 'T10', 'T11', 'T12', 'L1', 'L2', 'L3', 'L4', 'L5'];
const names = [...levels.map((l) => `vertebrae_${l}`), 'disc_L2_L3', 'disc_L3_L4', 'disc_L4_L5', 'sacrum', 'hip_left', 'hip_right', 'spinal_canal', 'liver'];
const height = (level) => 40 * (levels.length - levels.indexOf(level));
const id = (name) => {
  assert.ok(names.includes(name), name);
  return names.indexOf(name) + 1;
};
const anatomy = {
  id, ids: (wanted) => names.filter(wanted).map(id),
  vertebra: new Map(levels.map((l) => [l, { axial_rotation_deg: 8, axes: { left: [1, 0, 0], back: [0, 1, 0], up: [0, 0, 1] } }])),
  curve: { cobb_deg: 36.1, upper_end_vertebra: 'T10', lower_end_vertebra: 'L3', apex: 'L1', apical_rotation_deg: -14.2, convex_side: 'left' },
  centre: (l) => [0, 0, height(l)], back: () => [0, 1, 0],
  spinousTip: (l) => [0, 60, height(l) - 10],
  window: (upper, lower, side) => [[side === 'left' ? 6 : -6, 35, height(upper) - 15], [side === 'left' ? 6 : -6, 35, height(upper) - 25]],
  crests: () => [[80, 0, height('L4')], [-80, 0, height('L4')]],
  skin: (inside) => [inside[0], inside[1] + 50, inside[2]],
};
const lines = linesOf(anatomy);
const times = lines.map((_, i) => ({ from: 5 + 9 * i, to: 13 + 9 * i }));

test('what is said has this twin\'s numbers', () => {
  assert.match(lines[0], /from T 10 to L 3. It measures 36 degrees, convex to the left/);
  assert.match(lines[1], /crosses the spine at L 4/);
  assert.match(lines[2], /At the apex, L 1, the vertebra is turned by 14 degrees/);
  assert.match(lines[3], /10 millimetres high on the left, and 10 on the right/);
  assert.match(lines[4], /by 8 degrees. From the skin to the window it is 50 millimetres/);
});

test('every row is one of the table, in order, and the last scene has no mark left but the answer', () => {
  const { rows } = choreograph(anatomy, times);
  let state = start();
  let last = 0;
  for (const { t, change } of rows) {
    validate(change);
    assert.ok(t >= last && t >= 0, `${change.op} at ${t}`);
    last = t;
    state = apply(state, change, names.map(id));
  }
  assert.deepEqual(Object.keys(state.annotations), ['answer']);
  assert.deepEqual(Object.keys(state.measures), []);
  assert.equal(state.chapter, 'Your turn');
  assert.equal(Object.values(state.clips).some((clip) => clip.on), false);
  assert.equal(state.structures[id('liver')].visible, false);
  assert.equal(rows.filter(({ change }) => change.op === 'chapter').length, 6);
});

test('the question is about the tip of L3\'s spinous process, within 15 mm', () => {
  const { change } = choreograph(anatomy, times).rows.find((row) => row.change.op === 'question.ask');
  assert.deepEqual(change.args.ids, [id('vertebrae_L3')]);
  assert.deepEqual(change.args.near, anatomy.spinousTip('L3').map((v) => v * 10));
  assert.equal(change.args.within, 150);
});

test('head and hands have unit turns and times that ascend', () => {
  for (const [who, keys] of Object.entries(choreograph(anatomy, times).keys)) {
    assert.ok(keys.length > 2, who);
    keys.forEach((key, i) => {
      assert.ok(Math.abs(Math.hypot(...key.rotation) - 1) < 1e-9, `${who} ${i}`);
      assert.ok(i === 0 || key.t >= keys[i - 1].t);
      assert.ok(key.position.every((v) => Math.abs(v) < 3));
    });
  }
});

test('looking: -z goes along the way, whichever it is', () => {
  for (const way of [[0, 0, -1], [0.3, -0.2, -1], [1, 0.1, 0.2], [-0.4, 0.3, 1], [-1, 0.5, 0.01]]) {
    const length = Math.hypot(...way);
    turned(looking(way), [0, 0, -1]).forEach((v, i) => assert.ok(Math.abs(v - way[i] / length) < 1e-6, `${way}: ${v}`));
  }
});

test('a hand that points: the tip of its forefinger is on the target, along the way', () => {
  const way = [0.2, -0.1, -0.97];
  const length = Math.hypot(...way);
  const tips = { right: [-0.031, 0.0628, -0.0407], left: [0.031, 0.0628, -0.0407] };
  for (const side of ['left', 'right']) {
    const { position, rotation } = pointing(side, [0.1, 1.2, -0.5], way.map((v) => v / length));
    turned(rotation, tips[side]).forEach((v, i) => assert.ok(Math.abs(position[i] + v - [0.1, 1.2, -0.5][i]) < 1e-9));
    turned(rotation, [side === 'left' ? 0.3854 : -0.3854, 0.2338, -0.8926]).forEach((v, i) => assert.ok(Math.abs(v - way[i] / length) < 1e-3, `${side} ${i}`));
  }
});

test('captions are WebVTT with the lines\' times', () => {
  const text = captionsOf(['One.', 'Two.'], [{ from: 1.2, to: 3 }, { from: 3661.5, to: 3662.25 }]);
  assert.equal(text, 'WEBVTT\n\n00:00:01.200 --> 00:00:03.000\nOne.\n\n01:01:01.500 --> 01:01:02.250\nTwo.\n');
});
