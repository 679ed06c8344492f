/**
 * A lesson recorded by the real client: an emulated headset in Chromium, head and hands that never rest, a voice by espeak-ng through
 * the browser's microphone, a scene operation now and then. Takes as long as it says, once with controllers and once with hands.
 * One JSON object. Not in CI; where the machine cannot draw, the frame rate says so.
 *
 *   node bench/lesson/client.mjs FABRICA CASE [SECONDS [HERTZ]]     CASE is copied, not changed; 600 s, frames of 72 Hz; 0 s: the recorder alone
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [program, source, duration = '600', hertz = '72'] = process.argv.slice(2);
if (!source) {
  console.error('node bench/lesson/client.mjs FABRICA CASE [SECONDS [HERTZ]]');
  process.exit(2);
}
const seconds = Number(duration);
const web = fileURLToPath(new URL('../../web', import.meta.url));
const require = createRequire(path.join(web, 'package.json'));
const from = (file) => import(pathToFileURL(path.join(web, file)));
const { launch, openPage, ready } = await from('e2e/browser.mjs');
const { view } = await from('e2e/view.mjs');
const { speak } = await from('sample/speech.mjs');

const lines = ['We look at the spine from behind.', 'The curve has its apex at the third lumbar vertebra.', 'Follow the spinous processes with your finger, from above, and note how they leave the midline.',
  'The left pedicle is nearer to us than the right one, as the body has turned.', 'Between the laminae there is a window, and through it the way into the canal.', 'Hold the needle level with the skin, and do not lose the bone.'];

/** In the page: frames of `hertz` a second for the headset, whatever the screen's are; `window.frameTimes` notes them. */
function pace(hertz) {
  window.frameTimes = [];
  let last = 0;
  const next = (callback) => {
    const due = Math.max(performance.now(), last + 1000 / hertz);
    const run = () => {
      if (performance.now() < due - 0.5) return void setTimeout(run, 0);
      last = due;
      const now = performance.now();
      window.frameTimes.push(now);
      callback(now);
    };
    return setTimeout(run, Math.max(0, due - performance.now() - 2));
  };
  const own = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => (callback.name === 'onDeviceFrame' ? next(callback) : own(callback)); // iwer's name for a headset's frame
}

/** In the page: a person who explains. Positions wander by sums of sines, with the noise of a tracker; fingers open and close. */
function live({ kind, ids }) {
  const { device } = window;
  const noise = (size) => (Math.random() + Math.random() + Math.random() - 1.5) * 1.15 * size;
  const wander = (t, k, size) => size * (0.5 * Math.sin(0.43 * t + 1.7 * k) + 0.3 * Math.sin(1.31 * t + 2.9 * k) + 0.2 * Math.sin(2.77 * t + 0.6 * k));
  const put = (what, at, t, k, reach, turn) => {
    what.position.set(...at.map((v, i) => v + wander(t, k + i, reach) + noise(0.0001)));
    const q = [wander(t, k + 3, turn) + noise(0.0005), wander(t, k + 4, turn) + noise(0.0005), wander(t, k + 5, turn) + noise(0.0005), 1];
    const length = Math.hypot(...q);
    what.quaternion.set(...q.map((v) => v / length));
  };
  const pair = kind === 'hands' ? device.hands : device.controllers;
  for (const hand of kind === 'hands' ? [pair.left, pair.right] : []) {
    const shape = hand.updateHandPose.bind(hand);
    hand.updateHandPose = () => {
      shape();
      for (const space of hand.inputSource.hand.values()) {
        const { offsetMatrix } = space[Object.getOwnPropertySymbols(space).find((s) => space[s]?.offsetMatrix)];
        for (const i of [12, 13, 14]) offsetMatrix[i] += noise(0.0002);
      }
    };
  }
  const acts = [
    (n) => ({ op: 'explode', args: { amount: (n * 37) % 400 } }), (n) => ({ op: 'structure.fade', args: { ids: [ids[0]], opacity: 300 + ((n * 71) % 700) } }),
    (n) => ({ op: 'annotation.add', args: { name: `s-${n}`, kind: 'stroke', points: Array.from({ length: 24 }, (_, i) => [i * 9 + n, (n * i) % 90, i * 3]), rgb: [255, 120, 0], width: 16 } }),
    (n) => ({ op: 'structure.show', args: { ids: [ids[1]], visible: n % 8 < 4 } }),
  ];
  const began = performance.now();
  let done = 0;
  let moved = 0;
  window.living = setInterval(() => {
    const t = (performance.now() - began) / 1000;
    put(device, [0, 1.6, 0.1], t, 0, 0.05, 0.12);
    for (const [side, x] of [['left', -0.22], ['right', 0.22]]) {
      put(pair[side], [x, 1.25, -0.3], t, x * 60, 0.16, 0.4);
      if (kind === 'hands') pair[side].updatePinchValue(0.3 + wander(t, x * 90, 0.3));
    }
    if (t > 5 * (done + 1)) window.fabrica.dispatch(acts[done % acts.length](++done));
    // now and then the model is held for a second: rows at 36 Hz
    if (t % 20 > 19 && t > moved + 1 / 36) {
      moved = t;
      const { model } = window.fabrica.state();
      window.fabrica.dispatch({ op: 'model.place', args: { ...model, position: model.position.map((v) => v + Math.round(noise(20))) } });
    }
  }, 7);
}

async function record(link, wav, kind) {
  const browser = await launch(['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${wav}`, '--autoplay-policy=no-user-gesture-required']);
  try {
    const { page, context, seen } = await openPage(browser, { viewport: { width: 160, height: 120 }, permissions: ['microphone'] });
    await context.addInitScript({ path: require.resolve('iwer/build/iwer.min.js') });
    await context.addInitScript(pace, Number(hertz));
    await context.addInitScript((mode) => {
      window.device = new window.IWER.XRDevice(window.IWER.metaQuest3);
      window.device.installRuntime({ forceInstall: true });
      window.device.position.set(0, 1.6, 0.1);
      window.device.primaryInputMode = mode;
    }, kind === 'hands' ? 'hand' : 'controller');
    await page.goto(link);
    await ready(page);
    const ids = await page.evaluate(() => window.fabrica.structures().filter((s) => /^vertebrae_L[34]$/.test(s.name)).map((s) => s.id));
    await page.evaluate((list) => window.fabrica.dispatch({ op: 'structure.only', args: { ids: list } }), ids);
    await page.getByRole('button', { name: 'Enter headset' }).click();
    await page.waitForFunction(() => window.fabrica.state().model.position.some((v) => v !== 0));
    await page.evaluate((name) => window.fabrica.lesson.record({ title: name, voice: true }), `Ten minutes, ${kind}`);
    await page.waitForFunction(() => window.fabrica.lesson.recording()?.phase === 'recording', null, { timeout: 60000, polling: 20 });
    await page.evaluate(() => { window.frameTimes.length = 0; });
    await page.evaluate(live, { kind, ids });
    const loads = [];
    for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
      await new Promise((done) => setTimeout(done, Math.min(10000, end - Date.now())));
      loads.push(loadavg()[0]);
    }
    const frames = await page.evaluate(() => { clearInterval(window.living); return window.frameTimes; });
    const live_hash = await page.evaluate(() => window.fabrica.hash());
    await page.evaluate(() => window.fabrica.lesson.stop());
    await page.waitForFunction(() => /saved|lost|refused|ended/.test(window.fabrica.lesson.recording().phase), null, { timeout: 60000 });
    const told = await page.evaluate(() => window.fabrica.lesson.recording());
    if (told.phase !== 'saved' || seen.errors.length > 0) throw new Error(`the recording: ${JSON.stringify(told)} ${seen.errors.join('; ')}`);
    return { told, frames, live_hash, load: loads.reduce((a, b) => a + b, 0) / loads.length };
  } finally {
    await browser.close();
  }
}

/** The end state as a second browser shows it. */
async function replayed(link, name) {
  const browser = await launch();
  try {
    const { page } = await openPage(browser, { viewport: { width: 320, height: 240 } });
    await page.goto(link);
    await ready(page);
    await page.evaluate((n) => window.fabrica.lesson.play(n), name);
    await page.evaluate(async () => { await window.fabrica.lesson.toggle(); await window.fabrica.lesson.seek(window.fabrica.lesson.playing().duration); });
    return await page.evaluate(() => window.fabrica.hash());
  } finally {
    await browser.close();
  }
}

/** The recorder alone, on frames of a headset's rate that jitter by a millisecond: samples a second, and MB an hour as it sends them (the server's batches are larger, so the file is smaller). */
async function recorderAt(hz) {
  const { build } = require('esbuild');
  const made = path.join(work, 'recorder.mjs');
  await build({ stdin: { contents: "export { Recorder } from './packages/lesson/src/index'; export { Session } from './packages/contract/src/index';", resolveDir: web }, bundle: true, format: 'esm', outfile: made, logLevel: 'error' });
  const { Recorder, Session } = await import(pathToFileURL(made));
  const bytes = [0, 0];
  const samples = [0, 0];
  const send = (data) => {
    if (typeof data === 'string') return;
    bytes[data[0]] += data.length;
    samples[data[0]] += data[18] | (data[19] << 8);
  };
  const recorder = new Recorder({ send, listen: () => undefined, close: () => undefined }, new Session([1]), { title: 'rate', language: 'en', software: 'bench', kinds: { left: 'hand', right: 'hand', space: 'target-ray' } }, () => undefined);
  const noise = (size) => (Math.random() + Math.random() + Math.random() - 1.5) * 1.15 * size;
  const wander = (t, k, size) => size * (0.5 * Math.sin(0.43 * t + 1.7 * k) + 0.3 * Math.sin(1.31 * t + 2.9 * k) + 0.2 * Math.sin(2.77 * t + 0.6 * k));
  const pose = (t, k, [x, y, z], reach, turn, trembles) => {
    const q = [3, 4, 5].map((i) => wander(t, k + i, turn) + noise(0.0005)).concat(1);
    const length = Math.hypot(...q);
    return { position: [x, y, z].map((v, i) => v + wander(t, k + i, reach) + noise(trembles)), rotation: q.map((v) => v / length), pressed: 0, trigger: 0, squeeze: 0 };
  };
  const hand = (t, k, wrist) => Array.from({ length: 25 }, (_, i) => (i === 0 ? wrist : pose(t, k + i, wrist.position.map((v, j) => v + (j === 2 ? -0.004 * i : 0.01 * ((i % 5) - 2))), 0.012, 0.3, 0.0002)));
  const began = performance.now();
  const length = 60;
  for (let n = 0; n < length * hz; n++) {
    const t = n / hz;
    const left = pose(t, 20, [-0.22, 1.25, -0.3], 0.16, 0.4, 0.0001);
    const right = pose(t, 40, [0.22, 1.25, -0.3], 0.16, 0.4, 0.0001);
    recorder.rig({ time: began + t * 1000 + noise(1), head: pose(t, 0, [0, 1.6, 0.1], 0.05, 0.12, 0.0001), left, right, hands: { left: hand(t, 50, left), right: hand(t, 80, right) } }, { left: 'hand', right: 'hand', space: 'target-ray' });
  }
  recorder.stop();
  const hourly = bytes.map((b) => (b * 3600) / length / 1e6);
  return { a_second: { pose: samples[0] / length, hand: samples[1] / length }, mb_an_hour: { devices: hourly[0], hands: hourly[1] } };
}

const at = (list, share) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))] ?? 0;

async function measure(twin, wav, kind) {
  const first = await view(program, twin);
  const { told, frames, live_hash, load } = await record(first.link, wav, kind);
  first.close();
  const file = path.join(twin, 'lessons', `${told.name}.mcap`);
  const info = JSON.parse(execFileSync(program, ['lesson', 'info', '--json', file], { maxBuffer: 1 << 26 }));
  const report = JSON.parse(execFileSync(program, ['lesson', 'verify', '--json', '-q', file]));
  const second = await view(program, twin);
  const replay_hash = await replayed(second.link, told.name);
  second.close();
  const gaps = frames.slice(1).map((v, i) => v - frames[i]);
  const a_second = (count) => count / info.duration_s;
  return {
    seconds: info.duration_s, mb_an_hour: statSync(file).size / 1e6 / (info.duration_s / 3600),
    bytes: Object.fromEntries(info.channels.map((c) => [c.topic, c.bytes])),
    a_second: { frames: a_second(frames.length), pose: a_second(report.pose), hand: a_second(report.hand), rows: a_second(report.op) },
    ms_between_frames: { p50: at(gaps, 0.5), p95: at(gaps, 0.95), p99: at(gaps, 0.99) },
    voice: { kept_s: report.voice * 0.02, share: (report.voice * 0.02) / info.duration_s, moved_ms: told.moved / 1000 }, dropped: told.dropped,
    verify: { cut: report.cut, chunks: report.chunks, keyframes: report.keyframe }, live_hash, replay_hash, same: live_hash === replay_hash, load,
  };
}

const work = mkdtempSync(path.join(tmpdir(), 'fabrica-client-'));
try {
  const twin = path.join(work, 'twin');
  cpSync(source, twin, { recursive: true, filter: (name) => path.basename(name) !== 'lessons' });
  const wav = path.join(work, 'voice.wav');
  speak(lines, wav, { lead: 0.5 });
  const out = { seconds, hertz: Number(hertz), cores: cpus().length };
  out.recorder = {};
  for (const hz of [72, 90, 120]) out.recorder[`${hz} Hz`] = await recorderAt(hz);
  for (const kind of seconds > 0 ? ['controllers', 'hands'] : []) out[kind] = await measure(twin, wav, kind);
  console.log(JSON.stringify(out, (_key, v) => (typeof v === 'number' ? Math.round(v * 1000) / 1000 : v), 1));
} finally {
  rmSync(work, { recursive: true, force: true });
}
