// node view_bundle.mjs WEB_PACKAGE_JSON CHROMIUM PAGE_WITH_LESSON PAGE_OF_ALL PAGE_WITHOUT_CT
// Bundles opened from the disk, the network cut off: picture, hiding, slices, the lesson; no request but for the file itself.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { statSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [packages, executablePath, small, all, bare] = process.argv.slice(2);
const { chromium } = createRequire(packages)('playwright-core');
const args = ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-dev-shm-usage', '--mute-audio'];
const browser = await chromium.launch({ executablePath, args });

async function open(file, ct) {
  const context = await browser.newContext({ viewport: { width: 900, height: 600 }, reducedMotion: 'reduce' });
  await context.setOffline(true);
  const page = await context.newPage();
  const seen = { errors: [], elsewhere: [] };
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('console', (line) => { if (line.type() === 'error') seen.errors.push(line.text()); });
  page.on('request', (request) => { if (request.url().split('?')[0] !== pathToFileURL(file).href && !/^(data|blob):/.test(request.url())) seen.elsewhere.push(request.url()); });
  page.on('websocket', (socket) => seen.elsewhere.push(socket.url()));
  const began = performance.now();
  await page.goto(pathToFileURL(file).href);
  await page.waitForFunction(() => window.fabrica?.frames() > 0, null, { timeout: 120000 });
  const picture = performance.now() - began;
  if (ct) await page.waitForFunction(() => performance.getEntriesByName('fabrica-ct').length > 0, null, { timeout: 120000 });
  console.log(`${(statSync(file).size / 1e6).toFixed(2)} MB: picture after ${(picture / 1000).toFixed(1)} s, CT after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return { page, context, seen };
}

const frames = (page) => page.evaluate(() => window.fabrica.frames());

/** The stage as it is now; every change draws a new one. */
async function shot(page, change) {
  if (change) {
    const before = await frames(page);
    await page.evaluate((row) => window.fabrica.dispatch(row), change);
    await page.waitForFunction((n) => window.fabrica.frames() > n, before, { timeout: 30000 });
  }
  return page.locator('canvas').first().screenshot();
}

async function check(file, { structures, ct }) {
  const { page, context, seen } = await open(file, ct);
  const list = await page.evaluate(() => window.fabrica.structures());
  assert.ok(list.length >= structures, `${list.length} structures`);
  const first = await shot(page);
  assert.ok(first.length > 8000, 'a picture, not one colour');
  const hidden = await shot(page, { op: 'structure.show', args: { ids: list.map((s) => s.id), visible: false } });
  assert.notDeepEqual(first, hidden, 'hidden structures are not drawn');
  if (ct) {
    const centre = await page.evaluate(() => { const { size, world_from_voxel: m } = window.fabrica.volume(); return Math.round((m[11] + m[8] * size[0] / 2 + m[9] * size[1] / 2 + m[10] * size[2] / 2) * 10); });
    const slice = await shot(page, { op: 'slice.set', args: { axis: 'axial', on: true, at: centre } });
    assert.notDeepEqual(hidden, slice, 'a slice is drawn');
    assert.equal(await page.evaluate(() => window.fabrica.state().slices.axial.on), true);
  }
  if (process.env.FAB_SHOTS) await page.screenshot({ path: `${process.env.FAB_SHOTS}/${file.split('/').pop()}.png` });
  return { page, seen, end: async () => { assert.deepEqual(seen.errors, []); assert.deepEqual(seen.elsewhere, []); await context.close(); } };
}

const plain = await check(small, { structures: 20, ct: true });
assert.match(await plain.page.evaluate(() => location.search), /^\?lesson=[a-z-]+$/, 'the address names the lesson');
await plain.page.waitForSelector('.lesson-place *', { timeout: 30000 }); // and opens it
const answers = await plain.page.evaluate(async () => {
  const refused = await new Promise((resolve) => { const image = new Image(); image.onerror = () => resolve(true); image.onload = () => resolve(false); image.src = 'https://example.org/x.png'; });
  return { refused, secure: isSecureContext };
});
assert.equal(answers.refused, true, 'the policy lets no request out');
plain.seen.errors.length = plain.seen.elsewhere.length = 0; // of the request that was refused
await plain.page.getByRole('button', { name: /Lessons/ }).click();
const item = plain.page.locator('[data-lesson]').first();
await item.waitFor();
if (process.env.FAB_SHOTS) await plain.page.screenshot({ path: `${process.env.FAB_SHOTS}/lessons.png` });
assert.equal(await plain.page.getByRole('button', { name: 'Record', exact: true }).count(), 0, 'nobody records in a file');
await item.click();
await plain.page.waitForSelector('.lesson-place *', { timeout: 30000 });
if (process.env.FAB_SHOTS) await plain.page.screenshot({ path: `${process.env.FAB_SHOTS}/playing.png` });
await plain.end();
await (await check(all, { structures: 117, ct: true })).end();
await (await check(bare, { structures: 20, ct: false })).end();
await browser.close();
console.log('ok');
