/**
 * Records the sample lesson: the real client in a real browser with an emulated headset, hands that point, and a voice from espeak-ng
 * through the browser's microphone, recorded by `fabrica view` as any teacher's would be.
 *
 *   node sample/lesson.mjs FABRICA CASE OUT.mcap
 *
 * It takes as long as the lesson lasts. Exit code 77: no Chromium or no espeak-ng.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { executable, launch, openPage, ready } from '../e2e/browser.mjs';
import { view } from '../e2e/view.mjs';
import { readAnatomy } from './anatomy.mjs';
import { choreograph, linesOf } from './choreography.mjs';
import { captionsOf, speak } from './speech.mjs';

const [program, caseDir, out] = process.argv.slice(2);
if (!out) {
  console.error('sample/lesson.mjs FABRICA CASE OUT.mcap');
  process.exit(2);
}
const require = createRequire(import.meta.url);
const title = 'A scoliotic spine: landmarks, rotation, and the way in';

/** Silence before the first word, seconds: the browser must be ready by then, on a busy machine at the second try. What is more than `before` is trimmed. */
const leads = [5, 25];
const before = 1.2;

/**
 * In the page: moves head and hands and makes rows by the plan. What comes before `lead` (seconds) is done at once; then the
 * plan's clock waits for the first sound, which is at `lead`, so that words and deeds are together however slow the page is.
 */
function perform({ rows, keys, lead }) {
  const { device } = window;
  const share = (list, t) => {
    let i = list.findIndex((key) => key.t > t);
    if (i < 0) i = list.length;
    const b = list[Math.min(i, list.length - 1)];
    const a = list[Math.max(0, i - 1)];
    // a hand rests where it is and goes in the last second before it is due
    const going = Math.min(1, b.t - a.t);
    const k = going > 0 ? Math.min(1, Math.max(0, (t - (b.t - going)) / going)) : 1;
    return { a, b, k: k * k * (3 - 2 * k) };
  };
  const mix = (a, b, k) => a.map((v, i) => v + (b[i] - v) * k);
  const place = (what, list, t) => {
    const { a, b, k } = share(list, t);
    what.position.set(...mix(a.position, b.position, k));
    const sign = a.rotation.reduce((s, v, i) => s + v * b.rotation[i], 0) < 0 ? -1 : 1;
    const turn = mix(a.rotation, b.rotation.map((v) => v * sign), k);
    const length = Math.hypot(...turn);
    what.quaternion.set(...turn.map((v) => v / length));
    return k > 0.5 ? b.pointing : a.pointing;
  };
  let began = performance.now();
  let next = 0;
  window.performed = false;
  const timer = setInterval(() => {
    const told = window.fabrica.lesson.recording();
    if (window.soundAt === undefined && told.heard !== null) {
      began = performance.now() - (told.time - told.heard) / 1000 - lead * 1000; // it is told late on a busy machine
      window.soundAt = told.heard / 1e6;
    }
    const elapsed = (performance.now() - began) / 1000;
    const t = window.soundAt === undefined ? Math.min(elapsed, lead - 0.1) : elapsed;
    const sway = [Math.sin(t * 1.3) * 0.006, Math.sin(t * 0.9) * 0.004, Math.cos(t * 1.1) * 0.005]; // nobody stands quite still
    place(device, keys.head, t);
    device.position.set(device.position.x + sway[0], device.position.y + sway[1], device.position.z + sway[2]);
    for (const side of ['left', 'right']) {
      const pointing = place(device.hands[side], keys[side], t);
      device.hands[side].poseId = pointing ? 'point' : 'default';
    }
    for (; next < rows.length && rows[next].t <= t; next++) window.fabrica.dispatch(rows[next].change);
    if (next >= rows.length && t > keys.right.at(-1).t + 0.5) {
      clearInterval(timer);
      window.performed = true;
    }
  }, 14);
}

async function record(link, wav, plan, seconds) {
  const browser = await launch(['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${wav}%noloop`, '--autoplay-policy=no-user-gesture-required']);
  try {
    const { page, context, seen } = await openPage(browser, { viewport: { width: 480, height: 300 }, permissions: ['microphone'] });
    await context.addInitScript({ path: require.resolve('iwer/build/iwer.min.js') });
    await context.addInitScript(() => {
      const device = new window.IWER.XRDevice(window.IWER.metaQuest3);
      device.installRuntime({ forceInstall: true });
      device.position.set(0, 1.56, 0.12);
      device.primaryInputMode = 'hand';
      window.device = device;
    });
    await page.goto(link);
    await ready(page);
    // fewer triangles for a software GPU while the headset opens
    await page.evaluate(() => window.fabrica.dispatch({ op: 'structure.only', args: { ids: window.fabrica.structures().filter((s) => /^(vertebrae|disc)_|^sacrum$|^hip_/.test(s.name)).map((s) => s.id) } }));
    await page.getByRole('button', { name: 'Enter headset' }).click();
    await page.waitForFunction(() => window.fabrica.state().model.position.some((v) => v !== 0));
    await page.evaluate((name) => window.fabrica.lesson.record({ title: name, voice: true }), title);
    await page.waitForFunction(() => window.fabrica.lesson.recording()?.phase === 'recording', null, { timeout: 20000, polling: 20 });
    await page.evaluate(perform, plan);
    await page.waitForFunction(() => window.performed, null, { timeout: 1000 * (seconds + 60), polling: 250 });
    await page.evaluate(() => window.fabrica.lesson.stop());
    await page.waitForFunction(() => /saved|lost|refused/.test(window.fabrica.lesson.recording().phase), null, { timeout: 20000 });
    const told = await page.evaluate(() => window.fabrica.lesson.recording());
    if (told.phase !== 'saved' || told.silent || seen.errors.length > 0) throw new Error(`the recording: ${JSON.stringify(told)} ${seen.errors.join('; ')}`);
    if (told.dropped > 0) console.error(`note: ${told.dropped} batches of voice or movement came too late and are left out: this machine is busy (${told.refused})`);
    return { name: told.name, soundAt: await page.evaluate(() => window.soundAt) };
  } finally {
    await browser.close();
  }
}

/** Records; where the voice had begun before the recording did, again with a longer silence before it. */
async function recordOnce(anatomy, lines) {
  const wav = path.join(work, 'voice.wav');
  for (const lead of leads) {
    const { times, seconds } = speak(lines, wav, { lead });
    const { name, soundAt } = await record(server.link, wav, { ...choreograph(anatomy, times), lead }, seconds);
    if (soundAt > 0.3) return { name, soundAt, lead, times };
    rmSync(lessonFile(name));
    console.error(`note: the browser took longer than ${lead} s to begin`);
  }
  throw new Error('this machine is too busy: the voice began before the recording');
}

const lessonFile = (name) => path.join(caseDir, 'lessons', `${name}.mcap`);

if (!existsSync(executable) || spawnSync('espeak-ng', ['--version']).status !== 0) {
  console.error('the sample lesson needs Chromium and espeak-ng');
  process.exit(77);
}
const work = mkdtempSync(path.join(tmpdir(), 'fabrica-sample-'));
let server;
try {
  const anatomy = readAnatomy(caseDir);
  const lines = linesOf(anatomy);
  server = await view(program, caseDir);
  const { name, soundAt, lead, times } = await recordOnce(anatomy, lines);
  const recorded = lessonFile(name);
  const start = Math.max(0, soundAt - before);
  const trimmed = path.join(work, 'trimmed.mcap');
  execFileSync(program, ['lesson', 'trim', recorded, start.toFixed(3), '9:59:59', '-o', trimmed, '-q']);
  const captions = path.join(work, 'captions.vtt');
  const late = soundAt - start - lead;
  writeFileSync(captions, captionsOf(lines, times.map(({ from, to }) => ({ from: from + late, to: to + late }))));
  const captioned = path.join(work, 'captioned.mcap');
  execFileSync(program, ['lesson', 'captions', trimmed, '--add', captions, '--language', 'en', '-o', captioned, '-q']);
  execFileSync(program, ['lesson', 'verify', captioned, '-q']);
  copyFileSync(captioned, `${out}.part`);
  renameSync(`${out}.part`, out);
  if (path.resolve(recorded) !== path.resolve(out)) rmSync(recorded);
  console.log(out);
} catch (error) {
  console.error(`no sample lesson: ${error.message}`);
  process.exitCode = 1;
} finally {
  server?.close();
  rmSync(work, { recursive: true, force: true });
}
