/**
 * Lessons in a real browser: played, scrubbed, left and come back to.
 * `node e2e/lesson.mjs CASE`; 77 where there is no Chromium.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { executable, hash, launch, openPage, ready, state } from './browser.mjs';
import { serve } from './serve.mjs';

const caseDir = process.argv[2] ?? process.env.FAB_CASE;
if (!existsSync(executable)) {
  console.log(`skipped: no Chromium at ${executable}`);
  process.exit(77);
}
const sound = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'];
let server;
let browser;
let page;
let seen;

before(async () => {
  server = await serve(caseDir, { open: true, lessons: fileURLToPath(new URL('../../contract/fixtures/lessons', import.meta.url)) });
  browser = await launch(sound);
  ({ page, seen } = await openPage(browser, { colorScheme: 'dark' }));
  await page.goto(server.url);
  await ready(page);
});
after(async () => {
  await browser?.close();
  server?.close();
});

const playing = () => page.evaluate(() => window.fabrica.lesson.playing());
const seek = (us) => page.evaluate((t) => window.fabrica.lesson.seek(t), us);

test('a lesson made by C plays to its end; its scene is the keyframe\'s', async () => {
  const start = await hash(page);
  await page.getByRole('button', { name: 'Lessons (J)' }).click();
  await page.locator('[data-lesson="small"]').click();
  await page.getByText('recorded in another twin').waitFor();
  await page.waitForFunction(() => window.fabrica.lesson.playing()?.ended, null, { timeout: 15000 });
  const end = await hash(page);
  await seek(0);
  assert.equal(await hash(page), start);
  await seek(2e6);
  assert.equal(await hash(page), end);
  assert.notEqual(end, start);
  const { chapters } = await playing();
  assert.deepEqual(chapters, [{ time: 7, title: 'Part 1' }]);
});

test('what the learner changes stays, the rest follows; return gives it back', async () => {
  await seek(0);
  const lesson = await hash(page);
  await page.evaluate(() => window.fabrica.dispatch({ op: 'explode', args: { amount: 300 } }));
  await seek(1.5e6);
  const both = await state(page);
  assert.equal(both.explode, 300);
  assert.equal(both.chapter, 'Part 1');
  await page.getByRole('button', { name: 'Return to instructor' }).click();
  assert.equal((await state(page)).explode, 0);
  await seek(0);
  assert.equal(await hash(page), lesson);
});

test('leaving brings the scene back as it was', async () => {
  await page.getByRole('button', { name: 'Leave the lesson' }).click();
  assert.equal(await playing(), undefined);
  assert.deepEqual(seen.errors, []);
});
