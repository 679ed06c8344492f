/**
 * Lessons measured: bytes an hour, an hour's drift of voice, seeking in an hour over HTTP, starting at
 * 10 Mbit/s. One JSON object. Not in CI.
 *
 *   node bench/lesson/run.mjs FABRICA BENCH_LESSON CASE     CASE is copied, not changed
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [program, maker, source] = process.argv.slice(2);
if (!source) {
  console.error('node bench/lesson/run.mjs FABRICA BENCH_LESSON CASE');
  process.exit(2);
}
const root = fileURLToPath(new URL('../..', import.meta.url));
const web = path.join(root, 'web');
const { build } = createRequire(path.join(web, 'package.json'))('esbuild');
const { launch, openPage, ready } = await import(pathToFileURL(path.join(web, 'e2e/browser.mjs')));
const work = mkdtempSync(path.join(tmpdir(), 'fabrica-lesson-'));
const twin = path.join(work, 'twin');
cpSync(source, twin, { recursive: true });
mkdirSync(path.join(twin, 'lessons'), { recursive: true });
const file = (name) => path.join(twin, 'lessons', `${name}.mcap`);
const out = {};

execFileSync(maker, [file('hour'), '3600']);
execFileSync(maker, [file('hands'), '3600', 'hands']);
execFileSync(maker, [file('strokes'), '3600', 'strokes']);
const megabytes = (name) => statSync(file(name)).size / 1e6;
out.mb_an_hour = { controllers: megabytes('hour'), hands: megabytes('hands'), strokes: megabytes('strokes') };

// an hour of voice through stamps, batches and the schedule; a microphone 50 ppm fast, told up to 30 ms late
await build({ stdin: { contents: "export * from './packages/lesson/src/stamp'; export * from './packages/lesson/src/schedule'; export * from './packages/lesson/src/codec';", resolveDir: web }, bundle: true, format: 'esm', outfile: path.join(work, 'voice.mjs'), logLevel: 'error' });
const { CaptureClock, VoiceBatches, Chain, encodeVoice, decodeVoice } = await import(pathToFileURL(path.join(work, 'voice.mjs')));
out.voice_drift_ms = Object.fromEntries([0, 50, -100].map((ppm) => {
  const clock = new CaptureClock(48000);
  const chain = new Chain();
  const real = (frame) => (frame / 48) * (1 - ppm * 1e-6) + 500;
  let worst = 0;
  const batches = new VoiceBatches(({ time, packets }) => {
    for (const p of decodeVoice(encodeVoice(packets), time, 'bench')) {
      const error = Math.abs(chain.place(p.time / 1e6, 0.02) * 1000 - real(p.sequence * 960));
      if (p.sequence > 500) worst = Math.max(worst, error);
    }
  });
  for (let n = 0; n < 180000; n++) {
    const frame = n * 960;
    clock.told(frame + 960, real(frame + 960) + 2 + Math.random() + (Math.random() < 0.02 ? 30 * Math.random() : 0));
    batches.add({ time: clock.at(frame) * 1000, sequence: n, data: Uint8Array.of(1) });
  }
  return [`${ppm} ppm`, worst];
}));

const server = spawn(program, ['view', twin, '--host', '127.0.0.1', '--port', '0', '--web', path.join(web, 'dist')]);
const link = await new Promise((resolve) => {
  let said = '';
  server.stdout.on('data', (text) => {
    said += text;
    const found = /http:\S+#link=\S+/.exec(said);
    if (found && /code +\d{6}/.test(said)) resolve(found[0]);
  });
});
const browser = await launch(['--autoplay-policy=no-user-gesture-required']);
const at = (list, share) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * share))];
try {
  const { page, context } = await openPage(browser, { viewport: { width: 640, height: 400 } });
  await page.goto(link);
  await ready(page);
  // nothing is drawn: a software GPU's time is not the lesson's
  await page.evaluate(() => { document.querySelector('.stage').style.display = 'none'; });
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  await page.evaluate(() => fetch('/api/v1/lessons')); // the server has checked the files once
  const started = async (name) => page.evaluate(async (n) => {
    const from = performance.now();
    await window.fabrica.lesson.play(n);
    while (!(window.fabrica.lesson.playing()?.time > 0)) await new Promise((done) => setTimeout(done, 10));
    return performance.now() - from;
  }, name);
  await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 20, downloadThroughput: 1.25e6, uploadThroughput: 1.25e6 });
  out.start_ms_at_10_mbit = { hour: await started('hour') };
  await page.evaluate(() => window.fabrica.lesson.leave());
  out.start_ms_at_10_mbit.hands = await started('hands');
  await page.evaluate(() => window.fabrica.lesson.leave());
  const seeks = async (name) => {
    await page.evaluate((n) => window.fabrica.lesson.play(n), name);
    await page.evaluate(() => window.fabrica.lesson.toggle());
    const list = await page.evaluate(async () => {
      const times = [];
      for (let i = 0; i < 100; i++) {
        const to = Math.random() * 3.6e9;
        const from = performance.now();
        await window.fabrica.lesson.seek(to);
        times.push(performance.now() - from);
      }
      return times;
    });
    await page.evaluate(() => window.fabrica.lesson.leave());
    return { p50: at(list, 0.5), p95: at(list, 0.95), most: Math.max(...list) };
  };
  out.seek_ms_at_10_mbit = { hour: await seeks('hour'), hands: await seeks('hands'), strokes: await seeks('strokes') };
  await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  out.seek_ms_local = { hour: await seeks('hour'), hands: await seeks('hands'), strokes: await seeks('strokes') };
} finally {
  await browser.close();
  server.kill();
  rmSync(work, { recursive: true, force: true });
}
console.log(JSON.stringify(out, (_key, v) => (typeof v === 'number' ? Math.round(v * 10) / 10 : v), 1));
