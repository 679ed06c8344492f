/**
 * The whole way in one run, in the emulated headset on the real server: enter, do everything with controllers and
 * then with hands while a lesson is recorded with a microphone, reload, replay at a screen, replay in the headset
 * from another place, scrub, touch, return, answer. The scene's hash is the same live and replayed.
 * `node e2e/journey.mjs CASE TRUTH` with FAB_FABRICA the program; 77 where there is no Chromium. The lesson is
 * written into the case's folder: give it a copy.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { executable, hash, idOf, launch, openPage, ready, sound, state } from './browser.mjs';
import { Person, emulate } from './person.mjs';
import { anterior } from './phantom.mjs';
import { view } from './view.mjs';

const [caseDir, truthFile] = process.argv.slice(2);
const program = process.env.FAB_FABRICA;
if (!existsSync(executable)) {
  console.log(`skipped: no Chromium at ${executable}`);
  process.exit(77);
}
const manifest = JSON.parse(readFileSync(path.join(caseDir, 'manifest.json'), 'utf8'));
const real = JSON.parse(readFileSync(truthFile, 'utf8')).vertebrae.find((v) => v.level === 'L3').body.height_front_mm;
const edges = anterior(manifest, 'L3');
const began = performance.now();
let server;
let browser;
let page;
let seen;
let me;
let l3;
let l4;
let name; // of the lesson
let asked; // just before the question, us
const moments = [];

before(async () => {
  rmSync(path.join(caseDir, 'lessons'), { recursive: true, force: true });
  server = await view(program, caseDir);
  browser = await launch(sound);
  let context;
  ({ page, seen, context } = await openPage(browser, { viewport: { width: 360, height: 240 } }));
  await emulate(context);
  await page.goto(server.link);
  await ready(page);
  me = new Person(page);
  [l3, l4] = [await idOf(page, 'vertebrae_L3'), await idOf(page, 'vertebrae_L4')];
});
after(async () => {
  await browser?.close();
  server?.close();
});

const lesson = (call, ...args) => page.evaluate(([c, a]) => window.fabrica.lesson[c](...a), [call, args]);
const playing = () => lesson('playing');
const world = (mm, id) => page.evaluate(([p, i]) => window.fabrica.world(p, i), [mm, id]);
const centroid = (id) => manifest.structures.find((s) => s.value === id).centroid_mm;
const middle = (id) => world(centroid(id), id);
const moment = async (what) => {
  const { t, hash: live } = await page.evaluate(() => ({ t: window.fabrica.lesson.recording().time, hash: window.fabrica.hash() }));
  moments.push({ what, t, live });
  await page.waitForTimeout(40);
};
const enter = async () => {
  await page.getByRole('button', { name: 'Enter headset' }).click();
  await me.until(() => window.fabrica.inside()?.place('tool.hold') && window.fabrica.state().model.position.some((v) => v !== 0));
};

/** Everything a teacher does, by ray, trigger and squeeze or by pinch. */
const deeds = {
  async carry() {
    const { position } = (await state(page)).model;
    await me.aim('right', await middle(l3));
    await me.grip('right', 1);
    await me.nudge('right', [0.1, 0.02, 0]);
    await me.until((x) => Math.abs(window.fabrica.state().model.position[0] - x - 1000) < 30, position[0]);
    await me.grip('right', 0);
  },
  async scale() {
    const { scale } = (await state(page)).model;
    for (const side of ['left', 'right']) await me.aim(side, await middle(l3));
    await me.grip('right', 1);
    await me.grip('left', 1);
    await me.nudge('left', [-0.12, 0, 0]);
    await me.until((s) => window.fabrica.state().model.scale > 1.2 * s, scale);
    await me.nudge('left', [0.12, 0, 0]);
    await me.nudge('left', [-0.05, 0, 0]);
    await me.until((s) => Math.abs(window.fabrica.state().model.scale / s - 1.14) < 0.06, scale);
    await me.grip('left', 0);
    await me.grip('right', 0);
  },
  async hide() {
    await me.press('Tools');
    await me.press('tool.select');
    await me.pull('right', await middle(l4));
    await me.until(() => window.fabrica.selected() === 'vertebrae_L4');
    await me.press('Structures');
    await me.press('structure.hide');
    await me.until((id) => window.fabrica.state().structures[id]?.visible === false, l4);
  },
  async explode() {
    await me.press('explode');
    await me.until(() => window.fabrica.state().explode > 300);
    await moment('explode');
    await undone((s) => s.explode === 0);
  },
  async clip() {
    await me.press('tool.hold');
    await me.press('Cut');
    await me.press('clip.toggle');
    await me.until(() => window.fabrica.state().clips[0]?.on);
    const { point } = (await state(page)).clips[0];
    const [knob] = await page.evaluate(() => window.fabrica.inside().knobs());
    await me.aim('right', knob);
    await me.until(() => window.fabrica.inside().aims.right === 'clip');
    await me.act('right', 1);
    await me.nudge('right', [0, 0.02, 0.06]);
    await me.until((y) => Math.abs(window.fabrica.state().clips[0].point[1] - y) > 300, point[1]);
    await me.act('right', 0);
    await moment('clip');
    await undone((s) => !s.clips[0]?.on);
  },
  async slice() {
    await me.press('Cut');
    await me.press('slice.axial');
    await me.until(() => window.fabrica.state().slices.axial.on);
    const { at } = (await state(page)).slices.axial;
    const [edge] = await page.evaluate(() => window.fabrica.inside().knobs());
    await me.aim('right', edge);
    await me.until(() => window.fabrica.inside().aims.right === 'slice');
    await me.act('right', 1);
    await me.nudge('right', [0, 0.05, 0]);
    await me.until((z) => window.fabrica.state().slices.axial.at - z > 200, at);
    await me.act('right', 0);
    await moment('slice');
    await undone((s) => !s.slices.axial.on);
  },
  async measure() {
    const known = Object.keys((await state(page)).measures);
    await me.press('Tools');
    await me.press('tool.distance');
    for (const mm of [edges.upper, edges.lower]) await me.pull('right', await world(mm, l3));
    await me.until((n) => Object.keys(window.fabrica.state().measures).length === n + 1, known.length);
    const [, { points }] = Object.entries((await state(page)).measures).find(([key]) => !known.includes(key));
    const mm = Math.hypot(...points[0].map((x, i) => x - points[1][i])) / 10 + 2;
    console.log(`L3's front by ${me.hands ? 'hand' : 'controller'}: ${mm.toFixed(1)} mm, truth ${real.toFixed(1)}`);
    assert.ok(Math.abs(mm - real) < 3, `${mm} mm, ${real} in truth`);
  },
  async draw() {
    const marks = Object.keys((await state(page)).annotations).length;
    await me.press('tool.pen');
    const c = centroid(l3);
    await me.aim('right', await world([c[0] - 8, c[1], c[2]], l3));
    await me.act('right', 1);
    for (const dx of [-4, 0, 4]) await me.aim('right', await world([c[0] + dx, c[1], c[2] + 2], l3));
    await me.act('right', 0);
    await me.until((n) => Object.values(window.fabrica.state().annotations).filter((a) => a.kind === 'stroke' && a.points.length > 2).length === n + 1, marks);
  },
};

/** Takes steps back by the panel. */
async function undone(until) {
  await me.press('Tools');
  for (let i = 0; i < 8 && !until(await state(page)); i++) await me.press('undo');
  assert.ok(until(await state(page)), 'undone');
}

async function doAll() {
  await me.press('View');
  await me.press('xr.life');
  await me.press('xr.recentre');
  await me.press('Tools');
  await me.press('tool.hold');
  for (const [what, deed] of Object.entries(deeds)) {
    await deed();
    await moment(`${what}, done`);
  }
}

test('immersive-vr; a recording begins with consent on the panel', async () => {
  await page.evaluate((ids) => { window.fabrica.dispatch({ op: 'structure.only', args: { ids } }); }, [l3, l4]); // few triangles for a software GPU
  await enter();
  await me.press('Lesson');
  await me.press('lesson.record');
  assert.equal(await lesson('recording'), undefined, 'nothing is recorded before somebody agrees');
  await me.press('lesson.agree');
  await me.until(() => window.fabrica.lesson.recording()?.phase === 'recording');
  assert.deepEqual([(await lesson('recording')).voice, (await lesson('recording')).silent], [true, '']);
});

test('with controllers: carried, scaled, hidden, exploded, cut, sliced, measured, drawn on', doAll);

test('the same with hands, in a new chapter', async () => {
  await me.use('hand');
  await page.evaluate((id) => window.fabrica.dispatch({ op: 'structure.show', args: { ids: [id], visible: true } }), l4);
  await me.press('Lesson');
  await me.press('lesson.chapter');
  await doAll();
});

test('a question is asked from the panel, and the lesson saved', async () => {
  await me.press('tool.select');
  await me.pull('right', await middle(l3));
  await me.until(() => window.fabrica.selected() === 'vertebrae_L3');
  await me.press('Lesson');
  asked = (await lesson('recording')).time;
  await me.press('lesson.ask');
  await moment('asked');
  await page.waitForTimeout(400);
  await me.press('lesson.stop');
  await me.until(() => window.fabrica.lesson.recording().phase === 'saved');
  const told = await lesson('recording');
  ({ name } = told);
  assert.equal(told.problem, '');
  const file = path.join(caseDir, 'lessons', `${name}.mcap`);
  execFileSync(program, ['lesson', 'verify', file]);
  const info = JSON.parse(execFileSync(program, ['lesson', 'info', '--json', file]).toString());
  assert.equal(info.chapters.length, 1);
  assert.ok(moments.length >= 10);
});

test('reloaded, at a screen: the live hashes, forwards and back; touched, and returned', async () => {
  await page.goto(server.url);
  await ready(page);
  await page.getByRole('button', { name: 'Lessons (J)' }).click();
  await page.locator(`[data-lesson="${name}"]`).click();
  await me.until(() => window.fabrica.lesson.playing());
  if ((await playing()).playing) await lesson('toggle');
  for (const { what, t, live } of [...moments, ...[...moments].reverse()]) {
    await lesson('seek', t);
    assert.equal(await hash(page), live, `${what}, at ${t} us`);
  }
  const { instructor } = await playing();
  assert.ok(instructor.head && instructor.right, 'glasses and pointer');
  const last = moments.findLast((m) => m.what === 'measure, done');
  await lesson('seek', last.t);
  assert.equal((await playing()).instructor.hands.right?.length, 25, 'the hand is shown');
  await page.evaluate(() => window.fabrica.dispatch({ op: 'explode', args: { amount: 700 } }));
  assert.equal((await state(page)).explode, 700);
  await page.getByRole('button', { name: 'Return to instructor', exact: true }).click();
  assert.equal(await hash(page), last.live);
});

test('in the headset, from the other side: the instructor stands where the teacher stood; the same hashes', async () => {
  await enter();
  await me.use('controller');
  await page.evaluate(() => {
    window.device.position.set(0.35, 1.6, -1.6);
    window.device.quaternion.set(0, 1, 0, 0); // looks back at the teacher
  });
  await me.until(() => window.fabrica.inside().eye[2] < -1.2 && window.fabrica.inside().ahead[2] > 0.9);
  for (const { what, t, live } of moments) {
    await lesson('seek', t);
    assert.equal(await hash(page), live, `${what}, at ${t} us`);
    const { figure } = await playing();
    assert.ok(Math.hypot(...figure.map((v, i) => v - [0, 1.6, 0][i])) < 0.05, `${what}: the glasses are at ${figure}`);
  }
  const { eye, ahead } = await me.probe();
  const { figure } = await playing();
  const way = figure.map((v, i) => v - eye[i]);
  assert.ok(Math.hypot(...way) > 1.2, 'another viewpoint');
  assert.ok(way.reduce((sum, v, i) => sum + v * ahead[i], 0) / Math.hypot(...way) > 0.9, 'the instructor is in view');
});

test('inside: scrubbed by the panel, touched, returned; the checkpoint is answered by pointing', async () => {
  await me.press('View');
  await me.press('Lesson');
  await me.press('lesson.time');
  const { time, duration } = await playing();
  assert.ok(Math.abs(time / duration - 0.5) < 0.1, `scrubbed to ${time} of ${duration}`);
  const there = await hash(page);
  await page.evaluate(() => window.fabrica.dispatch({ op: 'scene.reset', args: {} }));
  await me.press('lesson.return');
  await me.until((h) => window.fabrica.hash() === h, there);
  await lesson('seek', asked);
  await me.press('lesson.play');
  await me.until(() => window.fabrica.lesson.playing().question);
  await me.pull('right', await middle(l3));
  await me.until(() => window.fabrica.lesson.playing().answers.length === 1);
  const [answer] = (await playing()).answers;
  assert.deepEqual([answer.id, answer.right], [l3, true]);
  await me.press('lesson.goon');
  await me.until(() => window.fabrica.lesson.playing().ended);
  assert.deepEqual((await lesson('statements')).map((s) => s.verb.id.split('/').pop()), ['answered', 'completed']);
  await me.press('View');
  await me.press('xr.leave');
  await me.until(() => window.fabrica.inside() === undefined);
  assert.deepEqual(seen.errors, []);
  console.log(`${moments.length} hashes live and replayed; ${((performance.now() - began) / 1000).toFixed(0)} s in all`);
});
