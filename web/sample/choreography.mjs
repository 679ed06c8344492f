/**
 * The sample lesson as a plan: what is said, where the teacher's head and hands are, and which rows are made when. Built from a
 * twin's own measurements, so every number that is spoken is this twin's.
 *
 * Rooms are metres, y up; the teacher stands at the origin and looks along -z at the back of the spine.
 */
import { add, distance, mean } from './anatomy.mjs';

const eyes = [0.03, 1.56, 0.12];
const rest = { left: [-0.26, 1.02, -0.12], right: [0.26, 1.02, -0.12] };
const shoulders = { left: [-0.19, 1.36, 0.1], right: [0.19, 1.36, 0.1] };
/** The forefinger of the emulated pointing hand in the frame of its ray: where its tip is, metres, and where it points. */
const forefinger = { right: { tip: [-0.031, 0.0628, -0.0407], way: [-0.3854, 0.2338, -0.8926] }, left: { tip: [0.031, 0.0628, -0.0407], way: [0.3854, 0.2338, -0.8926] } };
const yellow = [255, 196, 61];
const cyan = [72, 209, 224];
const red = [240, 96, 80];

const tenth = (mm) => mm.map((v) => Math.round(v * 10));
const unit = (v) => v.map((x) => Math.round((x / Math.hypot(...v)) * 32767));
const minus = (a, b) => a.map((v, i) => v - b[i]);
const scaled = (v, k) => v.map((x) => x * k);
const norm = (v) => scaled(v, 1 / Math.hypot(...v));
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

/** The turn whose -z looks along `way`, upright. */
export function looking(way) {
  const z = scaled(norm(way), -1);
  const x = norm(cross([0, 1, 0], z));
  const y = cross(z, x);
  const trace = x[0] + y[1] + z[2];
  if (trace > 0) {
    const s = 2 * Math.sqrt(trace + 1);
    return [(y[2] - z[1]) / s, (z[0] - x[2]) / s, (x[1] - y[0]) / s, s / 4];
  }
  if (x[0] > y[1] && x[0] > z[2]) {
    const s = 2 * Math.sqrt(1 + x[0] - y[1] - z[2]);
    return [s / 4, (y[0] + x[1]) / s, (z[0] + x[2]) / s, (y[2] - z[1]) / s];
  }
  if (y[1] > z[2]) {
    const s = 2 * Math.sqrt(1 + y[1] - x[0] - z[2]);
    return [(y[0] + x[1]) / s, s / 4, (z[1] + y[2]) / s, (z[0] - x[2]) / s];
  }
  const s = 2 * Math.sqrt(1 + z[2] - x[0] - y[1]);
  return [(z[0] + x[2]) / s, (z[1] + y[2]) / s, s / 4, (x[1] - y[0]) / s];
}

const times = ([ax, ay, az, aw], [bx, by, bz, bw]) => [
  aw * bx + ax * bw + ay * bz - az * by, aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw, aw * bw - ax * bx - ay * by - az * bz,
];
export const turned = (q, [x, y, z]) => times(times(q, [x, y, z, 0]), [-q[0], -q[1], -q[2], q[3]]).slice(0, 3);

/** The shortest turn from one direction to another. */
function between(from, to) {
  const q = [...cross(from, to), 1 + from.reduce((s, v, i) => s + v * to[i], 0)];
  return scaled(q, 1 / Math.hypot(...q));
}

/** Where the hand's ray is when its forefinger touches `target` along `way`. */
export function pointing(side, target, way) {
  const rotation = times(looking(way), between(norm(forefinger[side].way), [0, 0, -1]));
  return { position: minus(target, turned(rotation, forefinger[side].tip)), rotation };
}

/** The model's place: turned so that its back faces the teacher, `focus` (LPS mm) at `at` (room), `scale` of life size. */
function placing(focus, at, scale) {
  const turned = (mm) => [-mm[0] / 1000, mm[2] / 1000, mm[1] / 1000]; // LPS to the room after half a turn about y
  const position = minus(at, scaled(turned(focus), scale));
  return {
    room: (mm) => add(position, turned(mm), scale),
    args: { position: position.map((v) => Math.round(v * 10000)), rotation: [0, 32767, 0, 0], scale: Math.round(scale * 1000) },
  };
}

class Plan {
  rows = [];
  keys = { head: [], left: [], right: [] };

  constructor() { this.place = undefined; }

  row(t, op, args) { this.rows.push({ t, change: { op, args } }); }

  /** Moves the model there within `seconds`, as a hand would: smoothly. */
  move(t, place, seconds = 0) {
    const from = this.place?.args ?? place.args;
    const steps = Math.max(1, Math.round(seconds * 20));
    for (let i = 1; i <= steps; i++) {
      const k = i / steps;
      const share = k * k * (3 - 2 * k);
      const mix = (a, b) => Math.round(a + (b - a) * share);
      this.row(t + seconds * k, 'model.place', { position: from.position.map((v, j) => mix(v, place.args.position[j])), rotation: place.args.rotation, scale: mix(from.scale, place.args.scale) });
    }
    this.place = place;
  }

  look(t, mm) { this.keys.head.push({ t, position: eyes, rotation: looking(minus(this.place.room(mm), eyes)) }); }

  /** The forefinger at a point of the anatomy. */
  point(t, side, mm) {
    const target = this.place.room(mm);
    const way = norm(minus(target, shoulders[side]));
    this.keys[side].push({ t, ...pointing(side, minus(target, scaled(way, 0.008)), way), pointing: true });
    if (side === 'right') this.look(t, mm);
  }

  rest(t, side) { this.keys[side].push({ t, position: rest[side], rotation: looking([side === 'left' ? 0.25 : -0.25, 0.15, -1]), pointing: false }); }

  sorted() {
    for (const list of Object.values(this.keys)) list.sort((a, b) => a.t - b.t);
    this.rows.sort((a, b) => a.t - b.t);
    return { rows: this.rows, keys: this.keys };
  }
}

const said = (level) => level.replace(/([TLS])(\d+)/, '$1 $2');
const whole = (x) => String(Math.round(x));

/** The facts of this twin that the lesson speaks of. */
function facts(a) {
  const { curve } = a;
  const apex = a.vertebra.get(curve.apex);
  const crests = a.crests();
  const height = mean(...crests)[2];
  const levels = ['L3', 'L4', 'L5'];
  const crossed = levels.reduce((best, l) => (Math.abs(a.centre(l)[2] - height) < Math.abs(a.centre(best)[2] - height) ? l : best));
  const sides = ['left', 'right'].map((side) => a.window('L3', 'L4', side));
  const window = mean(...sides.flat());
  const way = norm(mean(a.back('L3'), a.back('L4')));
  const skin = a.skin(window, way);
  const rotation = (a.vertebra.get('L3').axial_rotation_deg + a.vertebra.get('L4').axial_rotation_deg) / 2;
  return { curve, apex, crests, crossed, sides, window, way, skin, rotation, depth: distance(skin, window) };
}

/** What is said, line by line. */
export function linesOf(a) {
  const f = facts(a);
  return [
    `This is a spine with scoliosis, seen from behind. The curve runs from ${said(f.curve.upper_end_vertebra)} to ${said(f.curve.lower_end_vertebra)}. It measures ${whole(f.curve.cobb_deg)} degrees, convex to the ${f.curve.convex_side}.`,
    `Landmarks first. The line between the iliac crests crosses the spine at ${said(f.crossed)}. Count up from there.`,
    `Now the rotation. At the apex, ${said(f.curve.apex)}, the vertebra is turned by ${whole(Math.abs(f.curve.apical_rotation_deg))} degrees. The spinous process that your finger feels does not lie over the middle of its body.`,
    `Between the laminae of L 3 and L 4 there is a window to the canal. Here it is ${whole(distance(...f.sides[0]))} millimetres high on the left, and ${whole(distance(...f.sides[1]))} on the right.`,
    `Turn the needle as these two vertebrae are turned, by ${whole(Math.abs(f.rotation))} degrees. From the skin to the window it is ${whole(f.depth)} millimetres.`,
    'Now it is your turn. Point at the tip of the spinous process of L 3.',
    'Now take the spine in your hands, turn it, and look along the path yourself.',
  ];
}

/** The plan for lines spoken at `times` ([{from, to}], seconds). */
export function choreograph(a, times) {
  const f = facts(a);
  const plan = new Plan();
  const spine = a.ids((n) => /^(vertebrae|disc)_|^sacrum$|^hip_/.test(n));
  const whole3d = placing(a.centre(f.curve.apex), [0, 1.36, -0.5], 1);
  plan.move(0.05, whole3d);
  plan.row(0.1, 'structure.only', { ids: spine });
  plan.look(0, a.centre(f.curve.apex));
  for (const side of ['left', 'right']) plan.rest(0, side);
  const scenes = [curveScene, landmarkScene, rotationScene, windowScene, needleScene, questionScene, endScene];
  scenes.forEach((scene, i) => scene(plan, a, f, times[i]));
  return plan.sorted();
}

function curveScene(plan, a, f, { from, to }) {
  const levels = [...a.vertebra.keys()];
  const ends = [f.curve.upper_end_vertebra, f.curve.lower_end_vertebra];
  const run = levels.slice(levels.indexOf(ends[0]), levels.indexOf(ends[1]) + 1);
  const tips = run.map((level) => a.spinousTip(level));
  const start = from + (to - from) * 0.3;
  const step = (to - from) * 0.45 / run.length;
  plan.row(from, 'chapter', { title: 'The curve' });
  plan.row(start, 'structure.highlight', { ids: ends.map((l) => a.id(`vertebrae_${l}`)), on: true });
  tips.forEach((tip, i) => plan.point(start + i * step, 'right', tip));
  plan.row(start + run.length * step, 'annotation.add', { name: 'curve', kind: 'stroke', points: tips.map((t) => tenth(add(t, [0, 3, 0]))), rgb: yellow, width: 25 });
  plan.row(start + run.length * step + 0.3, 'annotation.add', { name: 'cobb', kind: 'label', points: [tenth(add(tips[Math.floor(tips.length / 2)], [30, 10, 0]))], text: `Cobb ${whole(f.curve.cobb_deg)}°`, rgb: yellow, width: 10 });
  plan.rest(to, 'right');
}

function landmarkScene(plan, a, f, { from, to }) {
  plan.row(from, 'chapter', { title: 'Landmarks' });
  plan.row(from + 0.1, 'structure.highlight', { ids: [f.curve.upper_end_vertebra, f.curve.lower_end_vertebra].map((l) => a.id(`vertebrae_${l}`)), on: false });
  plan.row(from + 0.8, 'structure.highlight', { ids: [a.id('hip_left'), a.id('hip_right')], on: true });
  plan.point(from + 1.4, 'left', f.crests[0]);
  plan.point(from + 1.4, 'right', f.crests[1]);
  plan.row(from + 2, 'annotation.add', { name: 'crests', kind: 'stroke', points: f.crests.map((p) => tenth(p)), rgb: cyan, width: 25 });
  plan.point(from + (to - from) * 0.6, 'right', a.spinousTip(f.crossed));
  plan.rest(from + (to - from) * 0.6, 'left');
  plan.row(from + (to - from) * 0.62, 'structure.paint', { ids: [a.id(`vertebrae_${f.crossed}`)], rgb: cyan });
  plan.row(to, 'structure.highlight', { ids: [a.id('hip_left'), a.id('hip_right')], on: false });
  plan.rest(to + 0.4, 'right');
}

function rotationScene(plan, a, f, { from, to }) {
  const { apex } = f.curve;
  const tip = a.spinousTip(apex);
  plan.row(from, 'chapter', { title: 'Rotated spinous processes' });
  plan.row(from + 0.1, 'structure.paint', { ids: [a.id(`vertebrae_${f.crossed}`)] });
  plan.row(from + 0.8, 'structure.fade', { ids: a.ids((n) => /^(vertebrae|disc)_/.test(n) && n !== `vertebrae_${apex}`), opacity: 250 });
  plan.point(from + 1.6, 'right', tip);
  plan.row(from + 3, 'annotation.add', { name: 'axis', kind: 'arrow', points: [tenth(add(tip, a.back(apex), 25)), tenth(a.centre(apex))], rgb: red, width: 20, id: a.id(`vertebrae_${apex}`) });
  plan.row(from + 3.4, 'annotation.add', { name: 'turn', kind: 'label', points: [tenth(add(tip, [-35, 10, 0]))], text: `${apex} ${whole(Math.abs(f.curve.apical_rotation_deg))}°`, rgb: red, width: 10, id: a.id(`vertebrae_${apex}`) });
  plan.point(from + (to - from) * 0.7, 'right', add(tip, [0, 4, 0]));
  plan.rest(to + 0.2, 'right');
}

function windowScene(plan, a, f, { from, to }) {
  const near = ['L2', 'L3', 'L4', 'L5'].map((l) => a.id(`vertebrae_${l}`));
  const discs = a.ids((n) => /^disc_(L2_L3|L3_L4|L4_L5)$/.test(n));
  plan.row(from, 'chapter', { title: 'Interlaminar windows' });
  for (const name of ['curve', 'cobb', 'crests', 'axis', 'turn']) plan.row(from + 0.05, 'annotation.remove', { name });
  plan.row(from + 0.1, 'structure.fade', { ids: a.ids((n) => /^(vertebrae|disc)_/.test(n)), opacity: 1000 });
  plan.row(from + 0.15, 'structure.only', { ids: [...near, ...discs] });
  plan.move(from + 0.3, placing(f.window, [0, 1.36, -0.42], 2.6), 1.2);
  plan.point(from + 2.2, 'right', mean(...f.sides[1]));
  plan.point(from + 2.2, 'left', mean(...f.sides[0]));
  const ids = [a.id('vertebrae_L3'), a.id('vertebrae_L4')];
  const share = (k) => from + (to - from) * k;
  plan.row(share(0.6), 'measure.add', { name: 'window-left', kind: 'distance', points: f.sides[0].map(tenth), ids });
  plan.row(share(0.85), 'measure.add', { name: 'window-right', kind: 'distance', points: f.sides[1].map(tenth), ids });
  for (const side of ['left', 'right']) plan.rest(to + 0.2, side);
}

function needleScene(plan, a, f, { from, to }) {
  plan.row(from, 'chapter', { title: 'The needle’s path' });
  for (const name of ['window-left', 'window-right']) plan.row(from + 0.05, 'measure.remove', { name });
  plan.move(from + 0.2, placing(add(f.window, f.way, 20), [0, 1.36, -0.42], 2.2), 0.8);
  const inside = add(f.window, f.way, -6);
  for (let i = 0; i <= 10; i++) plan.point(from + 1.4 + i * 0.3, 'right', add(f.skin, minus(inside, f.skin), 0.75 * i / 10));
  plan.row(from + 2, 'annotation.add', { name: 'needle', kind: 'stroke', points: [tenth(f.skin), tenth(inside)], rgb: [210, 224, 236], width: 12 });
  plan.row(from + 2.4, 'annotation.add', { name: 'skin', kind: 'label', points: [tenth(f.skin)], text: 'Skin', rgb: cyan, width: 10 });
  plan.row(from + (to - from) * 0.55, 'slice.set', { axis: 'axial', on: true, at: Math.round(f.window[2] * 10) });
  plan.row(from + (to - from) * 0.6, 'measure.add', { name: 'depth', kind: 'distance', points: [tenth(f.skin), tenth(f.window)], ids: [] });
  plan.row(from + (to - from) * 0.75, 'clip.set', { plane: 0, on: true, point: tenth(f.window), normal: unit([1, 0, 0]) });
  plan.rest(to - 0.3, 'right');
}

function questionScene(plan, a, f, { from, to }) {
  const tip = a.spinousTip('L3');
  plan.row(from, 'chapter', { title: 'Your turn' });
  plan.row(from + 0.05, 'clip.set', { plane: 0, on: false, point: tenth(f.window), normal: unit([1, 0, 0]) });
  plan.row(from + 0.1, 'slice.set', { axis: 'axial', on: false, at: Math.round(f.window[2] * 10) });
  for (const name of ['needle', 'skin']) plan.row(from + 0.15, 'annotation.remove', { name });
  plan.row(from + 0.2, 'measure.remove', { name: 'depth' });
  plan.row(to + 0.1, 'question.ask', { name: 'l3-spinous', text: 'Point at the tip of the spinous process of L3.', ids: [a.id('vertebrae_L3')], seconds: 60, near: tenth(tip), within: 150 });
  plan.point(to + 1.2, 'right', tip);
  plan.row(to + 1.5, 'annotation.add', { name: 'answer', kind: 'label', points: [tenth(add(tip, [0, 12, 6]))], text: 'L3', rgb: cyan, width: 10, id: a.id('vertebrae_L3') });
  plan.rest(to + 2.6, 'right');
}

function endScene(plan, a, f, { from, to }) {
  plan.row(from, 'structure.only', { ids: a.ids((n) => /^(vertebrae|disc)_|^sacrum$|^hip_/.test(n)) });
  plan.move(from + 0.3, placing(a.centre(f.curve.apex), [0, 1.36, -0.5], 1), 1.2);
  plan.point(from + 2, 'left', a.spinousTip('L2'));
  plan.rest(to, 'left');
}
