/**
 * Lessons in a real browser on the real server: recorded, verified, replayed, answered, cut off.
 * `node e2e/lesson.mjs CASE` with FAB_FABRICA the program; 77 where there is no Chromium. Lessons are
 * written into the case's folder: give it a copy.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { McapIndexedReader } from '@mcap/core';
import { executable, hash, idOf, launch, openPage, ready, sound, state } from './browser.mjs';
import { view } from './view.mjs';

const caseDir = process.argv[2] ?? process.env.FAB_CASE;
const program = process.env.FAB_FABRICA;
if (!existsSync(executable)) {
  console.log(`skipped: no Chromium at ${executable}`);
  process.exit(77);
}
const require = createRequire(import.meta.url);
const lessonFile = (name) => path.join(caseDir, 'lessons', `${name}.mcap`);
let server;
let browser;
let page;
let seen;

before(async () => {
  rmSync(path.join(caseDir, 'lessons'), { recursive: true, force: true });
  server = await view(program, caseDir);
  browser = await launch(sound);
  ({ page, seen } = await openPage(browser, { colorScheme: 'dark' }));
  await page.goto(server.link);
  await ready(page);
});
after(async () => {
  await browser?.close();
  server?.close();
});

const lesson = (call, ...args) => page.evaluate(([c, a]) => window.fabrica.lesson[c](...a), [call, args]);
const playing = () => lesson('playing');
const recording = () => lesson('recording');
const act = (change) => page.evaluate((c) => { window.fabrica.dispatch(c); }, change);
const button = (name) => page.getByRole('button', { name, exact: true });
const moments = []; // of the recording: time and hash as they were live
const moment = async (on = page) => moments.push(await on.evaluate(() => ({ t: window.fabrica.lesson.recording().time, hash: window.fabrica.hash() })));
let vertebra;

const serious = (found) => found.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target).join('; ')}`);

/** axe-core finds nothing serious in what is shown now below `root`, dark and light. */
async function accessible(what, root = 'html') {
  if (!await page.evaluate(() => window.axe !== undefined)) await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  for (const scheme of ['light', 'dark']) {
    const found = await page.evaluate(async ([theme, below]) => {
      const before = document.documentElement.dataset.theme;
      document.documentElement.dataset.theme = theme;
      const result = await window.axe.run(below, { resultTypes: ['violations'] });
      document.documentElement.dataset.theme = before;
      return result;
    }, [scheme, root]);
    assert.deepEqual(serious(found), [], `${what}, ${scheme}`);
  }
  if (process.env.FAB_SHOTS) await page.screenshot({ path: path.join(process.env.FAB_SHOTS, `axe-${what.replaceAll(' ', '-')}.png`) });
}

/** Does one thing, and notes the scene a little later. */
async function step(doing) {
  await doing();
  await page.waitForTimeout(60);
  await moment();
}

test('a lesson is recorded: who agrees, what is done, what is said', async () => {
  vertebra = await idOf(page, 'vertebrae_L3');
  await button('Lessons (J)').click();
  await page.getByText('No lesson yet').waitFor();
  await accessible('record dialog', 'dialog[open]');
  await page.getByLabel('Title', { exact: true }).fill('The apex of the curve');
  await button('Record').click();
  assert.equal(await page.locator('dialog[open]').count(), 1, 'nothing is recorded before somebody agrees');
  await page.getByLabel(/I agree that my movements/).check();
  await button('Record').click();
  await page.waitForFunction(() => window.fabrica.lesson.recording()?.phase === 'recording');
  const box = await page.locator('.pane.model').boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await accessible('bar while recording', '.record-bar');
  const bar = page.locator('.record-bar');
  await bar.getByRole('button', { name: 'Chapter' }).click();
  await accessible('chapter dialog', 'dialog[open]');
  await page.keyboard.press('Escape');
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  await bar.getByRole('button', { name: 'Question' }).click();
  await page.getByText('Only near where I clicked last').waitFor();
  await accessible('question dialog', 'dialog[open]');
  await page.keyboard.press('Escape');
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const l4 = await idOf(page, 'vertebrae_L4');
  await step(() => act({ op: 'structure.show', args: { ids: [l4], visible: false } }));
  await step(() => button('Cut').first().click());
  await step(() => page.keyboard.press('s'));
  await step(() => act({ op: 'measure.add', args: { name: 'm-1', kind: 'distance', points: [[0, 0, 0], [300, 0, 0]], ids: [] } }));
  await step(() => lesson('chapter', 'The apex'));
  await step(() => act({ op: 'annotation.add', args: { name: 's-1', kind: 'stroke', points: [[0, 0, 0], [50, 0, 9], [90, 5, 20]], rgb: [255, 0, 0], width: 16 } }));
  await step(() => page.keyboard.press('Control+z'));
  await step(() => act({ op: 'explode', args: { amount: 250 } }));
  await step(() => lesson('ask', 'Where is L3?', [vertebra], 0));
  await page.waitForTimeout(1500); // something is said
  await step(() => act({ op: 'structure.fade', args: { ids: [vertebra], opacity: 600 } }));
  await page.waitForFunction(() => window.fabrica.lesson.recording().saved > 1e6);
  assert.match(await page.locator('.record-bar').innerText(), /Recording \d+:\d\d, saved to \d+:\d\d/);
  await page.locator('.record-bar').getByRole('button', { name: 'Stop' }).click();
  await page.waitForFunction(() => window.fabrica.lesson.recording().phase === 'saved');
  const told = await recording();
  assert.deepEqual([told.name, told.dropped, told.refused, told.silent, told.problem], ['the-apex-of-the-curve', 0, '', '', '']);
  assert.ok(told.moved < 1e6, `${told.moved} us: voice is where it was said`);
  await accessible('saved card');
  await button('Close').click();
});

test('`fabrica lesson verify` calls it good, @mcap/core reads it', async () => {
  const file = lessonFile('the-apex-of-the-curve');
  execFileSync(program, ['lesson', 'verify', file]);
  const info = JSON.parse(execFileSync(program, ['lesson', 'info', '--json', file]).toString());
  assert.equal(info.chapters.length, 1);
  const bytes = readFileSync(file);
  const reader = await McapIndexedReader.Initialize({ readable: { size: async () => BigInt(bytes.length), read: async (offset, length) => new Uint8Array(bytes.subarray(Number(offset), Number(offset + length))) } });
  const count = {};
  for await (const m of reader.readMessages()) {
    const { topic } = reader.channelsById.get(m.channelId);
    count[topic] = (count[topic] ?? 0) + 1;
  }
  assert.ok(count.pose >= 1 && count.voice >= 1 && count.op >= 11, JSON.stringify(count));
  const { voice } = JSON.parse(execFileSync(program, ['lesson', 'verify', '--json', '-q', file]).toString());
  assert.ok(voice * 0.02 > info.duration_s * 0.95, `${voice} packets in ${info.duration_s} s: the voice is whole on a busy machine too`);
});

test('replayed, the scene has the live hash at ten times, forwards and back', async () => {
  await page.goto(server.url);
  await ready(page);
  await button('Lessons (J)').click();
  await page.getByText('The apex of the curve').click();
  await page.waitForFunction(() => window.fabrica.lesson.playing());
  await lesson('toggle');
  assert.equal(moments.length, 10);
  for (const { t, hash: live } of moments) {
    await lesson('seek', t);
    assert.equal(await hash(page), live, `at ${t} us`);
  }
  for (const { t, hash: live } of [...moments].reverse()) {
    await lesson('seek', t);
    assert.equal(await hash(page), live, `back at ${t} us`);
  }
  const { instructor, chapters, notices } = await playing();
  assert.ok(instructor.head && instructor.right, 'glasses and pointer are shown');
  assert.deepEqual(chapters.map((c) => c.title), ['The apex']);
  assert.deepEqual(notices, []);
});

test('what the learner touches stays, the rest follows; return gives it back', async () => {
  await lesson('seek', moments[2].t);
  await act({ op: 'explode', args: { amount: 700 } });
  await lesson('seek', moments[8].t);
  const both = await state(page);
  assert.equal(both.explode, 700);
  assert.ok(both.measures['m-1'], 'the lesson goes on below');
  await button('Return to instructor').click();
  assert.equal(await hash(page), moments[8].hash);
  await act({ op: 'explode', args: { amount: 700 } });
  await page.keyboard.press('Control+z');
  assert.equal(await hash(page), moments[8].hash, 'undo gives it back too');
});

test('played with voice on its own clock; the checkpoint stops it, a click answers', async () => {
  await lesson('seek', Math.max(0, moments[8].t - 8e6));
  await lesson('toggle');
  const blocks = await page.waitForFunction(() => { const list = window.fabrica.lesson.planned(); return list.length >= 3 && list.slice(); }, null, { timeout: 10000 });
  const planned = await blocks.jsonValue();
  await page.waitForFunction(() => window.fabrica.lesson.playing().question, null, { timeout: 15000 });
  await page.getByText('Where is L3?').waitFor();
  await accessible('question card', '.question-card');
  const offsets = planned.map((b) => b.start - b.time / 1e6);
  assert.ok(Math.max(...offsets) - Math.min(...offsets) < 0.02, 'words stay within 20 ms of the clock');
  const manifest = JSON.parse(readFileSync(path.join(caseDir, 'manifest.json'), 'utf8'));
  await act({ op: 'scene.reset', args: {} });
  await act({ op: 'structure.only', args: { ids: [vertebra] } });
  await page.evaluate((id) => window.fabrica.look('front', [id]), vertebra);
  await page.waitForTimeout(100);
  const at = await page.evaluate((mm) => window.fabrica.project(mm), manifest.structures.find((s) => s.value === vertebra).centroid_mm);
  await page.mouse.click(at.x, at.y);
  await page.locator('.question-card.right').waitFor();
  await accessible('answered card', '.question-card');
  const [answer] = (await playing()).answers;
  assert.deepEqual([answer.id, answer.right], [vertebra, true]);
  assert.equal((await page.evaluate(() => window.fabrica.rows().at(-1))).op, 'question.answer');
  await button('Go on').click();
  await page.getByText('1 of 1', { exact: true }).waitFor({ timeout: 15000 });
  await accessible('score card', 'dialog[open]');
  const statements = await lesson('statements');
  assert.deepEqual(statements.map((s) => s.verb.id.split('/').pop()), ['answered', 'completed']);
  await page.keyboard.press('Escape');
});

test('axe-core finds nothing serious: bar and list', async () => {
  await accessible('bar');
  await button('Leave the lesson').click();
  await button('Lessons (J)').click();
  await page.locator('.lesson-item').waitFor();
  await accessible('list');
  await page.keyboard.press('Escape');
  assert.deepEqual(seen.errors, []);
});

test('a phone without WebCodecs: said, all else plays, nothing scrolls sideways', async () => {
  const phone = await openPage(browser, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await phone.context.addInitScript(() => { delete window.AudioDecoder; });
  const link = await page.evaluate(async () => (await (await fetch('/api/v1/links', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json()).url);
  await phone.page.goto(link.replace('#', '?lesson=the-apex-of-the-curve#'));
  await phone.page.getByText('cannot decode the voice').waitFor({ timeout: 20000 });
  await phone.page.waitForFunction(() => window.fabrica.lesson.playing().time > 3e5, null, { timeout: 15000 });
  assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight));
  assert.equal(await phone.page.evaluate(() => window.fabrica.lesson.playing().problem), '');
  await phone.context.close();
});

test('in a headset (emulated): head and controllers are recorded, and shown again', async () => {
  const xr = await openPage(browser, { viewport: { width: 320, height: 240 } });
  await xr.context.addInitScript({ path: require.resolve('iwer/build/iwer.min.js') });
  await xr.context.addInitScript(() => {
    window.device = new window.IWER.XRDevice(window.IWER.metaQuest3);
    window.device.installRuntime({ forceInstall: true });
    window.device.position.set(0, 1.6, 0);
  });
  const link = await page.evaluate(async () => (await (await fetch('/api/v1/links', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ role: 'owner' }) })).json()).url);
  await xr.page.goto(link);
  await ready(xr.page);
  await xr.page.evaluate((id) => window.fabrica.dispatch({ op: 'structure.only', args: { ids: [id] } }), vertebra); // fewer triangles for a software GPU
  await xr.page.getByRole('button', { name: 'Enter headset' }).click();
  await xr.page.waitForFunction(() => window.fabrica.state().model.position.some((v) => v !== 0));
  await xr.page.evaluate(() => window.fabrica.lesson.record({ title: 'In the headset', voice: false }));
  await xr.page.waitForFunction(() => window.fabrica.lesson.recording()?.saved > 5e5, null, { timeout: 15000 });
  await xr.page.evaluate(() => window.fabrica.lesson.stop());
  await xr.page.waitForFunction(() => window.fabrica.lesson.recording().phase === 'saved');
  await xr.page.evaluate(() => window.fabrica.lesson.play('the-apex-of-the-curve')); // made at a desk: the model has no place in a room
  await xr.page.waitForFunction(() => window.fabrica.lesson.playing() && window.fabrica.world([0, 0, 0])[1] > 0.5, null, { timeout: 15000 });
  await xr.page.evaluate(() => window.fabrica.lesson.leave());
  await xr.page.evaluate(() => window.fabrica.lesson.play('in-the-headset'));
  await xr.page.waitForFunction(() => { const { instructor } = window.fabrica.lesson.playing(); return instructor.head && instructor.left && instructor.right; }, null, { timeout: 15000 });
  assert.deepEqual(xr.seen.errors, []);
  await xr.context.close();
});

test('shared: the link opens the lesson that plays, for somebody who may only look', async () => {
  await lesson('play', 'the-apex-of-the-curve');
  await button('Share').click();
  await page.getByLabel('Good for').selectOption({ label: 'One day' });
  await button('Make a link').click();
  const shared = await page.getByLabel('Link', { exact: true }).inputValue();
  await accessible('share dialog', 'dialog[open]');
  await page.keyboard.press('Escape');
  await lesson('leave');
  const guest = await openPage(browser);
  await guest.page.goto(shared);
  await guest.page.waitForFunction(() => window.fabrica?.lesson.playing(), null, { timeout: 20000 });
  for (const name of ['Share', 'Edit a copy']) assert.equal(await guest.page.getByRole('button', { name }).count(), 0, name);
  await guest.context.close();
});

/** Packets of voice, as `fabrica lesson export` gives them. */
const voiceOf = (name) => {
  const out = path.join(caseDir, `${name}.jsonl`);
  execFileSync(program, ['lesson', 'export', lessonFile(name), '-o', out]);
  return readFileSync(out, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)).filter((e) => e.topic === 'voice');
};

test('an edited copy: cut, named, spoken anew; the scene is the source\'s, and the source is as it was', async () => {
  const source = readFileSync(lessonFile('the-apex-of-the-curve'));
  await lesson('play', 'the-apex-of-the-curve');
  await button('Edit a copy').click();
  assert.equal((await playing()).playing, false);
  await accessible('lesson editor', '.lesson-edit');
  await page.getByLabel('Title of the copy').fill('The apex, shorter');
  const from = Math.round((moments[2].t + 2e5) / 1e5) * 1e5;
  await lesson('seek', from);
  await button('Begin here').click();
  await lesson('seek', moments[9].t + 2e5);
  await button('Chapter here').click();
  await page.getByLabel(/^Title of the chapter/).last().fill('Faded');
  await page.getByLabel('Captions, a WebVTT file').setInputFiles({ name: 'apex.vtt', mimeType: 'text/vtt', buffer: Buffer.from(`WEBVTT\n\n00:00.000 --> 00:59.000\nHere it turns.\n`) });
  await button('Speak anew: The apex').click();
  await page.waitForFunction(() => window.fabrica.lesson.playing().time > 0 && window.fabrica.lesson.playing().playing);
  await page.locator('.edit-chapters').getByText('Speak now').waitFor();
  await page.locator('.edit-chapters').getByText(/^New voice, /).waitFor({ timeout: 30000 });
  await accessible('lesson editor at work', '.lesson-edit');
  await button('Save as a copy').click();
  await page.waitForFunction(() => window.fabrica.lesson.playing()?.name === 'the-apex-shorter' || document.querySelector('.lesson-edit [role="alert"]:not([hidden])'), null, { timeout: 20000 });
  assert.deepEqual(await page.locator('.lesson-edit [role="alert"]').allInnerTexts(), []);
  if ((await playing()).playing) await lesson('toggle');
  for (const { t, hash: live } of moments.filter((m) => m.t >= from)) {
    await lesson('seek', t - from);
    assert.equal(await hash(page), live, `at ${t} us of the source`);
  }
  assert.equal((await playing()).caption, 'Here it turns.');
  assert.deepEqual((await playing()).chapters.map((c) => c.title), ['The apex', 'Faded']);
  const { chapters: [apex, faded], duration } = await playing();
  assert.deepEqual(readFileSync(lessonFile('the-apex-of-the-curve')), source);
  execFileSync(program, ['lesson', 'verify', lessonFile('the-apex-shorter')]);
  const old = voiceOf('the-apex-of-the-curve').map((e) => ({ ...e, t: e.t - from }));
  const [spoken, kept] = [true, false].map((anew) => voiceOf('the-apex-shorter').filter((e) => (e.t >= apex.time && e.t < faded.time) === anew));
  const isOld = (e) => old.some((o) => o.opus_hex === e.opus_hex && Math.abs(o.t - e.t) < 20000);
  assert.ok(spoken.length * 20000 > 0.8 * (faded.time - apex.time), `${spoken.length} packets of the new voice`);
  assert.notDeepEqual(spoken.map((e) => e.opus_hex), old.filter((e) => e.t >= apex.time && e.t < faded.time).map((e) => e.opus_hex));
  assert.ok(kept.length * 20000 > duration - faded.time + apex.time - 2e5 && kept.every(isOld), `${kept.length} packets of the old voice, ${kept.filter(isOld).length} as before`);
  await lesson('leave');
});

test('an edit that is refused leaves nothing behind, and says why', async () => {
  await lesson('play', 'the-apex-of-the-curve');
  await button('Edit a copy').click();
  await page.getByLabel('Captions, a WebVTT file').setInputFiles({ name: 'no.vtt', mimeType: 'text/vtt', buffer: Buffer.from('no captions') });
  await page.getByLabel('Title of the copy').fill('Refused');
  await button('Save as a copy').click();
  await page.getByText(/^Not saved: .*WEBVTT/).waitFor();
  await page.waitForFunction(async () => !(await (await fetch('/api/v1/lessons')).json()).lessons.some((l) => l.name === 'refused'));
  assert.ok(!existsSync(lessonFile('refused')));
  await button('Close without saving').click();
  assert.equal(await page.locator('.lesson-edit').count(), 1, 'it asks first');
  await page.locator('.lesson-edit header button').click();
  await page.locator('.lesson-edit').waitFor({ state: 'detached' });
  await lesson('leave');
});

test('a lesson is saved as a file, and removed when that was confirmed', async () => {
  await lesson('list');
  const saved = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Save the file of In the headset' }).click();
  assert.deepEqual(readFileSync(await (await saved).path()), readFileSync(lessonFile('in-the-headset')));
  await button('Remove In the headset').click();
  assert.ok(existsSync(lessonFile('in-the-headset')), 'it asks first');
  await button('Remove for good: In the headset').click();
  await page.locator('[data-lesson="in-the-headset"]').waitFor({ state: 'detached' });
  assert.ok(!existsSync(lessonFile('in-the-headset')));
  await page.keyboard.press('Escape');
});

test('no microphone: recorded without voice, and said; a tab that dies keeps all but a second', async () => {
  const other = await openPage(browser);
  await other.context.addInitScript(() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError')); });
  const link = await page.evaluate(async () => (await (await fetch('/api/v1/links', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ role: 'owner' }) })).json()).url);
  await other.page.goto(link);
  await ready(other.page);
  await other.page.evaluate(() => window.fabrica.lesson.record({ title: 'Cut off', voice: true }));
  await other.page.waitForFunction(() => window.fabrica.lesson.recording().saved > 2e6, null, { timeout: 20000 });
  assert.match(await other.page.locator('.record-bar').innerText(), /No voice: the microphone was not allowed/);
  const cdp = await other.context.newCDPSession(other.page);
  const { time } = await other.page.evaluate(() => window.fabrica.lesson.recording());
  cdp.send('Page.crash').catch(() => undefined);
  let info;
  for (let i = 0; i < 40 && !info; i++) {
    await new Promise((done) => setTimeout(done, 100));
    info = (await page.evaluate(async () => (await (await fetch('/api/v1/lessons')).json()).lessons)).find((l) => l.name === 'cut-off');
  }
  assert.ok(info.duration_us > time - 1e6, `${info.duration_us} of ${time} us`);
  execFileSync(program, ['lesson', 'verify', lessonFile('cut-off')]);
  await other.context.close();
});
