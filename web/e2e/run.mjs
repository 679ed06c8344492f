/**
 * The viewer in a real browser, from the pairing page to the last undo. A test asserts on the scene's state,
 * on words a person reads, or on numbers of the manifest; never on counts of frames.
 * `node e2e/run.mjs CASE`; 77 where there is no Chromium.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { drawn, executable, hash, idOf, launch, openPage, ready, state } from './browser.mjs';
import { serve } from './serve.mjs';
import { view } from './view.mjs';

const caseDir = process.argv[2] ?? process.env.FAB_CASE;
if (!existsSync(executable)) {
  console.log(`skipped: no Chromium at ${executable}`);
  process.exit(77);
}
const manifest = JSON.parse(readFileSync(path.join(caseDir, 'manifest.json'), 'utf8'));
const require = createRequire(import.meta.url);
let server; // ours: its lock-out is short
let real; // `fabrica view`, where the program is given
let browser;
let page;
let seen;

/** A link for one more browser: from the real server's owner, or the one of ours. */
const newLink = () => (real
  ? page.evaluate(async () => (await (await fetch('/api/v1/links', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })).json()).url)
  : `${server.url}/#link=let-me-in`);

before(async () => {
  server = await serve(caseDir, { lockSeconds: 2 });
  if (process.env.FAB_FABRICA) real = await view(process.env.FAB_FABRICA, caseDir);
  browser = await launch();
  ({ page, seen } = await openPage(browser, { colorScheme: 'dark' }));
});
after(async () => {
  await browser?.close();
  server?.close();
  real?.close();
});

const button = (name) => page.getByRole('button', { name, exact: true });

test('pairing: a wrong code is said, five lock, the right one opens', async () => {
  await page.goto(server.url);
  const code = page.getByLabel('Six-digit code');
  await code.fill('111111');
  await page.getByText('That is not the code').waitFor();
  assert.equal(await code.getAttribute('aria-invalid'), 'true');
  for (const wrong of ['222222', '333333', '444444', '555555', '666666']) {
    const answer = page.waitForResponse((r) => r.url().endsWith('/session') && r.request().method() === 'POST');
    await code.fill(wrong);
    await answer;
  }
  await page.getByText('Locked for a while').waitFor();
  await page.waitForTimeout(2100);
  await code.fill('123456');
  await ready(page);
});

test('`fabrica view`: its link opens the twin, a wrong code is said', { skip: !process.env.FAB_FABRICA && 'no program given (FAB_FABRICA)' }, async () => {
  const stranger = await openPage(browser);
  await stranger.page.goto(real.url);
  await stranger.page.getByLabel('Six-digit code').fill('000000');
  await stranger.page.locator('#pair-error:not(:empty)').waitFor();
  await stranger.context.close();
  await page.goto(real.link); // all that follows is on the real server
  await ready(page);
  assert.equal(new URL(page.url()).hash, '');
});

test('every structure of the manifest is listed, the notice is in sight', async () => {
  const names = await page.locator('.row-main').evaluateAll((rows) => rows.map((row) => row.dataset.name));
  assert.deepEqual([...names].sort(), manifest.structures.map((s) => s.name).sort());
  await page.locator('#notice').click();
  await page.getByText('Research and training software').waitFor();
  for (const name of manifest.not_found.slice(0, 3)) assert.match(await page.locator('.missing').innerText(), new RegExp(name.split('_').pop()));
  await page.keyboard.press('Escape');
});

/** What is in the middle of the 3D pane. */
const middle = async () => {
  const box = await page.locator('.pane.model').boundingBox();
  return [box.x + box.width / 2, box.y + box.height / 2];
};
const pickMiddle = async () => page.evaluate(([x, y]) => window.fabrica.pick(x, y), await middle());

test('a twin opens without what wraps it; a click selects what is inside, and reset comes back to that', async () => {
  const wrapping = manifest.structures.filter((s) => ['skin', 'subcutaneous_fat', 'torso_fat', 'skeletal_muscle'].includes(s.name));
  assert.equal(wrapping.length, 4, 'the phantom has skin, fat and muscle without a name');
  const opened = await state(page);
  assert.deepEqual(Object.keys(opened.structures).map(Number).sort(), wrapping.map((s) => s.value).sort());
  assert.ok(wrapping.every((s) => opened.structures[s.value].visible === false));
  assert.equal(await page.evaluate(() => document.querySelector('button[aria-label^="Undo"]')?.disabled), true, 'opening is no step of undo');
  const start = await hash(page);
  const inside = await pickMiddle();
  assert.ok(inside && !wrapping.some((s) => s.name === inside), `${inside} in the middle`);
  await page.mouse.click(...await middle());
  assert.equal(await page.evaluate(() => window.fabrica.selected()), inside);
  await page.keyboard.press('Escape');
  const ids = wrapping.map((s) => s.value);
  await page.getByRole('button', { name: 'All', exact: true }).click();
  assert.equal(await pickMiddle(), 'skin', 'in sight, it is what is picked');
  await page.evaluate((list) => window.fabrica.dispatch({ op: 'structure.fade', args: { ids: list, opacity: 300 } }), ids);
  assert.equal(await pickMiddle(), inside, 'picked through');
  await page.evaluate((list) => window.fabrica.dispatch({ op: 'structure.only', args: { ids: list } }), ids);
  assert.equal(await pickMiddle(), 'skin', 'with nothing solid behind it');
  const shown = await hash(page);
  await page.keyboard.press('r');
  assert.equal(await hash(page), start);
  await page.keyboard.press('Control+z');
  assert.equal(await hash(page), shown, 'one step');
  await page.getByRole('button', { name: 'Inside', exact: true }).click();
  await page.keyboard.press('r');
  assert.equal(await hash(page), start);
});

test('search, hide, isolate, fade, undo', async () => {
  const start = await hash(page);
  await page.getByLabel('Search structures').fill('l3 vert');
  assert.deepEqual(await page.locator('.row:visible .row-main').evaluateAll((rows) => rows.map((row) => row.dataset.name)), ['vertebrae_L3']);
  const l3 = await idOf(page, 'vertebrae_L3');
  await page.locator('.row:visible .row-eye').click();
  assert.equal((await state(page)).structures[l3].visible, false);
  await page.locator('.row:visible .row-main').click();
  await button('Isolate').click();
  const only = await state(page);
  assert.equal(only.structures[l3], undefined, 'shown, as at the start');
  assert.equal(Object.values(only.structures).filter((s) => !s.visible).length, manifest.structures.length - 1);
  await page.getByLabel('Opacity').fill('300');
  assert.equal((await state(page)).structures[l3].opacity, 300);
  for (let i = 0; i < 3; i++) await page.keyboard.press('Control+z');
  assert.equal(await hash(page), start);
  await page.getByLabel('Search structures').fill('');
  await page.keyboard.press('Escape');
});

/** Clicks the 3D pane where a point in mm LPS is. */
async function clickAt(mm) {
  const at = await page.evaluate((p) => window.fabrica.project(p), mm);
  await page.mouse.click(at.x, at.y);
}

test('a vertebra measured by hand has the manifest\'s height', async () => {
  const v = manifest.measurements.spine.vertebrae.find((x) => x.level === 'L3');
  const id = await idOf(page, 'vertebrae_L3');
  await page.evaluate(([i]) => {
    window.fabrica.dispatch({ op: 'structure.only', args: { ids: [i] } });
    window.fabrica.look('front', [i]);
  }, [id]);
  await drawn(page);
  await page.keyboard.press('m');
  // anterior height: the upper and lower endplates' front edges, a little inside so that the pick lands on bone
  const { front_mm: upper } = v.endplate_upper;
  const { front_mm: lower } = v.endplate_lower;
  const inward = (a, b, mm) => a.map((x, i) => x + ((b[i] - x) * mm) / Math.hypot(...a.map((y, j) => b[j] - y)));
  await clickAt(inward(upper, lower, 1));
  await clickAt(inward(lower, upper, 1));
  const measures = Object.values((await state(page)).measures);
  assert.equal(measures.length, 1);
  const [a, b] = measures[0].points;
  const mm = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) / 10;
  assert.ok(Math.abs(mm + 2 - v.heights_mm.anterior) < 2.5, `${mm + 2} mm by hand, ${v.heights_mm.anterior} in the manifest`);
  await page.getByRole('tab', { name: 'Notes' }).click();
  assert.match(await page.locator('[data-measure]').innerText(), new RegExp(`${mm.toFixed(1)} mm`));
  await page.keyboard.press('v');
});

test('angle, pen, arrow and label stay on their structure; undo takes each back', async () => {
  const id = await idOf(page, 'vertebrae_L3');
  const c = manifest.structures.find((s) => s.value === id).centroid_mm;
  const at = await page.evaluate((p) => window.fabrica.project(p), c);
  const before = await hash(page);
  await page.keyboard.press('n');
  for (const [x, y] of [[-12, 0], [0, 0], [0, -12]]) await page.mouse.click(at.x + x, at.y + y);
  await page.keyboard.press('p');
  await page.mouse.move(at.x - 10, at.y);
  await page.mouse.down();
  for (let i = -10; i <= 14; i += 4) await page.mouse.move(at.x + i, at.y + 4);
  await page.mouse.up();
  await page.keyboard.press('w');
  await page.mouse.click(at.x, at.y);
  await page.keyboard.press('l');
  await page.mouse.click(at.x + 6, at.y);
  await page.getByLabel('Label', { exact: true }).last().fill('Apex');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => Object.keys(window.fabrica.state().annotations).length === 3);
  const { annotations, measures } = await state(page);
  assert.deepEqual(Object.values(annotations).map((a) => a.kind).sort(), ['arrow', 'label', 'stroke']);
  assert.ok(Object.values(annotations).every((a) => a.id === id));
  assert.ok(Object.values(measures).some((m) => m.kind === 'angle' && m.points.length === 3));
  await page.keyboard.press('v');
  for (let i = 0; i < 4; i++) await page.keyboard.press('Control+z');
  assert.equal(await hash(page), before);
});

test('explode, cut by its handle, slices, window: rows, and one undo each', async () => {
  await page.evaluate(() => { window.fabrica.dispatch({ op: 'structure.only', args: { ids: [] } }); window.fabrica.look('oblique'); });
  const start = await hash(page);
  await button('Explode').click();
  await page.getByLabel('Apart').fill('400');
  assert.equal((await state(page)).explode, 400);
  await page.keyboard.press('Control+z');
  await button('Cut').first().click();
  await drawn(page);
  const clip = (await state(page)).clips[0];
  assert.equal(clip.on, true);
  const knob = page.locator('.handle[data-plane="0"]');
  const box = await knob.boundingBox();
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  await page.mouse.move(middle.x, middle.y);
  await page.mouse.down();
  await page.mouse.move(middle.x + 20, middle.y + 12, { steps: 4 });
  await page.mouse.up();
  assert.notDeepEqual((await state(page)).clips[0].point, clip.point);
  await page.keyboard.press('Control+z');
  assert.deepEqual((await state(page)).clips[0].point, clip.point);
  await page.keyboard.press('Control+z');
  await page.keyboard.press('s');
  assert.ok(Object.values((await state(page)).slices).every((s) => s.on));
  await page.keyboard.press('Control+z');
  assert.equal(await hash(page), start);
});

test('the CT as a cloud: drawn where nothing else is, and one undo', async () => {
  await page.evaluate(() => window.fabrica.dispatch({ op: 'structure.show', args: { ids: window.fabrica.structures().map((s) => s.id), visible: false } }));
  const start = await hash(page);
  await button('Volume').click();
  await page.waitForTimeout(300);
  const box = await page.locator('.pane.model').boundingBox();
  const middle = { x: box.x + box.width * 0.3, y: box.y + box.height * 0.1, width: box.width * 0.4, height: box.height * 0.4 };
  const empty = await page.screenshot({ clip: middle });
  await page.locator('#card-volume').getByRole('button', { name: 'Bone' }).click();
  assert.deepEqual((await state(page)).volume, { on: true, preset: 'bone' });
  await drawn(page, 20000);
  const cloud = await page.screenshot({ clip: middle });
  assert.ok(cloud.length > 1.5 * empty.length, `${cloud.length} bytes of picture where ${empty.length} were empty`);
  await page.keyboard.press('Control+z');
  assert.equal(await hash(page), start);
  await page.keyboard.press('Control+z');
  await button('Volume').click();
});

/** The 3D pane's pixels as numbers 0xrrggbb. */
async function pixels() {
  const pane = await page.locator('.pane.model').boundingBox();
  const clip = { x: pane.x + pane.width * 0.2, y: pane.y + pane.height * 0.1, width: pane.width * 0.6, height: pane.height * 0.65 };
  const png = (await page.screenshot({ clip })).toString('base64');
  return page.evaluate(async (data) => {
    const picture = await createImageBitmap(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]));
    const brush = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
    brush.drawImage(picture, 0, 0);
    const bytes = brush.getImageData(0, 0, picture.width, picture.height).data;
    return Array.from({ length: bytes.length / 4 }, (_, i) => (bytes[4 * i] << 16) | (bytes[4 * i + 1] << 8) | bytes[4 * i + 2]);
  }, png);
}

/** Where the commonest colour is that is not in `without`. */
function commonest(picture, without) {
  const count = new Map();
  for (const colour of picture) if (!without.has(colour)) count.set(colour, (count.get(colour) ?? 0) + 1);
  const [[colour]] = [...count].sort((a, b) => b[1] - a[1]);
  return picture.map((c, i) => (c === colour ? i : -1)).filter((i) => i >= 0);
}

const far = (a, b) => Math.max(...[16, 8, 0].map((s) => Math.abs(((a >> s) & 255) - ((b >> s) & 255))));

test('a cap is whole beside what touches it, and nothing of the cloud is before it', async () => {
  const start = await hash(page);
  const names = ['vertebrae_L3', 'vertebrae_L2', 'vertebrae_L4', 'disc_L2_L3', 'disc_L3_L4'];
  const ids = await page.evaluate((wanted) => wanted.map((name) => window.fabrica.structures().find((s) => s.name === name)?.id).filter((id) => id !== undefined), names);
  assert.equal(ids.length, names.length);
  const change = async (c) => {
    const before = await page.evaluate((row) => {
      const n = window.fabrica.frames();
      window.fabrica.dispatch(row);
      return n;
    }, c);
    await page.waitForFunction((n) => window.fabrica.frames() > n, before, { timeout: 60000 });
    await page.waitForTimeout(300);
  };
  // the phantom's meshes are coarse, and overlap their neighbours by more than a cap is favoured: 3 % of the pixels, 14 % without
  const [x, y, z] = manifest.structures.find((s) => s.value === ids[0]).centroid_mm.map((mm) => Math.round(10 * mm));
  await page.evaluate(([id]) => { window.fabrica.dispatch({ op: 'structure.only', args: { ids: [id] } }); window.fabrica.look('oblique'); }, ids);
  await change({ op: 'window.set', args: { centre: -2000, width: 100 } }); // all of the CT white: a cap has one colour
  await change({ op: 'structure.show', args: { ids: [ids[0]], visible: false } });
  const empty = new Set(await pixels());
  await change({ op: 'structure.show', args: { ids: [ids[0]], visible: true } });
  await change({ op: 'clip.set', args: { plane: 0, on: true, point: [x, y, z], normal: [0, -32767, 0] } });
  const cap = commonest(await pixels(), empty);
  const alone = await pixels();
  assert.ok(cap.length > 300, `${cap.length} pixels of cap`);
  const changed = (picture) => cap.filter((i) => far(picture[i], alone[i]) > 6).length;
  await change({ op: 'structure.only', args: { ids } });
  const beside = changed(await pixels());
  assert.ok(beside <= cap.length / 20, `${beside} of ${cap.length} pixels of the cap are its neighbours'`);
  await change({ op: 'volume.show', args: { on: true, preset: 'bone' } });
  const clouded = changed(await pixels());
  console.log(`a cap of ${cap.length} pixels: ${beside} differ beside its neighbours, ${clouded} with the cloud`);
  assert.ok(clouded <= cap.length / 20, `${clouded} of ${cap.length} pixels of the cap are under the cloud`);
  for (let i = 0; i < 20 && (await hash(page)) !== start; i++) await page.keyboard.press('Control+z');
  assert.equal(await hash(page), start);
});

test('slices: crosshair by click, next slice by wheel, window by right drag, structure named', async () => {
  await page.keyboard.press('d');
  await page.locator('.pane.axial').waitFor({ state: 'visible' });
  await page.waitForTimeout(100);
  const box = await page.locator('.pane.axial').boundingBox();
  await page.mouse.click(box.x + box.width * 0.4, box.y + box.height * 0.45);
  const first = (await state(page)).slices;
  assert.notEqual(first.sagittal.at, 0);
  await page.mouse.wheel(0, -100);
  await page.waitForFunction((z) => window.fabrica.state().slices.axial.at !== z, first.axial.at);
  const old = (await state(page)).window;
  await page.mouse.down({ button: 'right' });
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.45, { steps: 3 });
  await page.mouse.up({ button: 'right' });
  assert.ok((await state(page)).window.width > old.width);
  await button('Window').click();
  await page.locator('#card-window').getByRole('button', { name: 'Bone' }).click();
  assert.deepEqual((await state(page)).window, { centre: 400, width: 1800 });
  await button('Window').click();
});

test('a click in 3D brings the slices there', async () => {
  const id = await idOf(page, 'vertebrae_L4');
  await page.evaluate(([i]) => { window.fabrica.dispatch({ op: 'structure.only', args: { ids: [i] } }); window.fabrica.look('front', [i]); }, [id]);
  await drawn(page);
  const centre = manifest.structures.find((s) => s.value === id).centroid_mm;
  await clickAt([centre[0], centre[1] - 10, centre[2]]);
  assert.equal(await page.evaluate(() => window.fabrica.selected()), 'vertebrae_L4');
  const { slices } = await state(page);
  assert.ok(Math.abs(slices.axial.at / 10 - centre[2]) < 20, `${slices.axial.at / 10} mm, L4 is at ${centre[2]}`);
});

test('a structure of the list brings the slices to its middle; Escape closes a card before it clears the selection', async () => {
  const before = await hash(page);
  const l2 = manifest.structures.find((s) => s.name === 'vertebrae_L2');
  await page.locator('[data-name="vertebrae_L2"]').click();
  assert.ok(Math.abs((await state(page)).slices.axial.at - Math.round(l2.centroid_mm[2] * 10)) <= 1, 'the axial slice is at L2');
  await button('Window').click();
  await page.locator('#card-window').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#card-window').waitFor({ state: 'hidden' });
  assert.equal(await page.evaluate(() => window.fabrica.selected()), 'vertebrae_L2');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => window.fabrica.selected()), undefined);
  await page.getByText(/slices, 3 mm apart/).waitFor();
  await button('Undo (Ctrl Z)').click();
  assert.equal(await hash(page), before, 'one step of undo');
});

test('nothing of the bar below is cut off, from a small phone to a desktop', async () => {
  for (const [width, height] of [[360, 640], [844, 390], [932, 430], [1200, 700], [1280, 720]]) {
    await page.setViewportSize({ width, height });
    const out = await page.evaluate(() => [...document.querySelectorAll('.rail button, .dock-bar > button')].filter((b) => {
      const [box, stage] = [b, document.querySelector('.stage')].map((e) => e.getBoundingClientRect());
      const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
      return box.right > stage.right || box.bottom > stage.bottom || !b.contains(top);
    }).map((b) => b.textContent || b.title));
    assert.deepEqual(out, [], `${width} x ${height}`);
  }
  await page.setViewportSize({ width: 1000, height: 600 });
});

test('no WebGL: said, and not called a lost connection', async () => {
  const poor = await openPage(browser);
  await poor.context.addInitScript(() => { HTMLCanvasElement.prototype.getContext = () => null; });
  await poor.page.goto(await newLink());
  await poor.page.getByText('This browser shows no WebGL 2').waitFor();
  assert.equal(await poor.page.getByText('No connection').count(), 0);
  await poor.context.close();
});

test('the spine panel shows the manifest\'s Cobb angle', async () => {
  await page.getByRole('tab', { name: 'Spine' }).click();
  const curve = manifest.measurements.spine.coronal_curves[0];
  assert.match(await page.locator('.curve').first().innerText(), new RegExp(curve.cobb_deg.toFixed(1)));
});

test('WebGL lost and restored: said, and the picture comes back', async () => {
  const before = await hash(page);
  await page.evaluate(() => { window.lose = window.fabrica.gl().getExtension('WEBGL_lose_context'); window.lose.loseContext(); });
  await page.getByText('The graphics were interrupted').waitFor();
  await page.evaluate(() => window.lose.restoreContext());
  await page.getByText('The graphics were interrupted').waitFor({ state: 'hidden' });
  await drawn(page, 1000);
  assert.equal(await hash(page), before);
  assert.equal(await page.evaluate(() => window.fabrica.gl().isContextLost()), false);
});

const serious = (found) => found.violations.filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.target).join('; ')}`);

test('axe-core finds nothing serious, dark and light, on every tab', async () => {
  await page.evaluate(readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
  for (const tab of ['Findings', 'Spine', 'Details']) {
    await page.getByRole('tab', { name: tab }).click();
    assert.deepEqual(serious(await page.evaluate(() => window.axe.run())), [], tab);
  }
  await page.keyboard.press('Escape');
  await page.keyboard.press('t');
  assert.deepEqual(serious(await page.evaluate(() => window.axe.run())), [], 'light');
});

test('no request left the server, nothing was written to the console as an error', () => {
  assert.deepEqual(seen.requests.filter((url) => !url.startsWith(server.url) && !(real && url.startsWith(real.url)) && !url.startsWith('blob:') && !url.startsWith('data:')), []);
  assert.deepEqual(seen.errors.filter((text) => !/status of (401|429)/.test(text) && !/CONTEXT_LOST|Context Lost/i.test(text)), []);
});

let usedLink;

test('a phone: by link, sheets, no sideways scroll, touch picks', async () => {
  const phone = await openPage(browser, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  usedLink = await newLink();
  await phone.page.goto(usedLink);
  await ready(phone.page);
  assert.equal(new URL(phone.page.url()).hash, '', 'the token is gone from the address');
  assert.ok(await phone.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  const beyond = await phone.page.evaluate(() => [...document.querySelectorAll('.topbar button, .dock-bar button')].filter((b) => b.getBoundingClientRect().right > innerWidth).map((b) => b.title || b.textContent));
  assert.deepEqual(beyond, [], 'every button is on the screen');
  await phone.page.locator('#notice').waitFor({ state: 'visible' });
  await phone.page.getByRole('navigation').getByRole('button', { name: 'Structures' }).tap();
  await phone.page.getByLabel('Search structures').fill('liver');
  await phone.page.locator('.row:visible .row-main').first().tap();
  assert.equal(await phone.page.evaluate(() => window.fabrica.selected()), 'liver');
  await phone.context.close();
});

test('a headset (emulated): table height, one hand carries, two hands scale, leaving puts it back', async () => {
  const xr = await openPage(browser, { viewport: { width: 640, height: 400 } });
  await xr.context.addInitScript({ path: require.resolve('iwer/build/iwer.min.js') });
  await xr.context.addInitScript(() => {
    const device = new window.IWER.XRDevice(window.IWER.metaQuest3);
    device.installRuntime({ forceInstall: true });
    device.position.set(0, 1.6, 0);
    window.device = device;
  });
  await xr.page.goto(await newLink());
  await ready(xr.page);
  const start = await hash(xr.page);
  const opened = await state(xr.page);
  const shown = manifest.structures.map((s) => s.value).filter((id) => opened.structures[id]?.visible !== false);
  await xr.page.getByRole('button', { name: 'Enter headset' }).click();
  const spine = (await xr.page.evaluate(() => window.fabrica.structures().filter((s) => /^vertebrae_L/.test(s.name)).map((s) => s.id)));
  await xr.page.waitForFunction(() => window.fabrica.state().model.position.some((v) => v !== 0));
  await xr.page.evaluate((ids) => window.fabrica.dispatch({ op: 'structure.only', args: { ids } }), spine); // fewer triangles for a software GPU
  const placed = (await state(xr.page)).model;
  const hand = (side, x, y, z, grip) => xr.page.evaluate(([s, px, py, pz, g]) => {
    const controller = window.device.controllers[s];
    controller.position.set(px, py, pz);
    if (g !== undefined) controller.updateButtonValue('squeeze', g);
  }, [side, x, y, z, grip]);
  await hand('right', 0.1, 1, -0.4);
  await xr.page.waitForTimeout(300);
  await hand('right', 0.1, 1, -0.4, 1);
  await xr.page.waitForTimeout(300);
  await hand('right', 0.3, 1.1, -0.4);
  await xr.page.waitForFunction((x) => Math.abs(window.fabrica.state().model.position[0] - x - 2000) < 40, placed.position[0], { timeout: 8000 });
  await hand('left', -0.1, 1.1, -0.4);
  await xr.page.waitForTimeout(300);
  await hand('left', -0.1, 1.1, -0.4, 1);
  await xr.page.waitForTimeout(300);
  await hand('left', -0.5, 1.1, -0.4);
  await xr.page.waitForFunction(() => Math.abs(window.fabrica.state().model.scale - 2000) < 40, null, { timeout: 8000 });
  await xr.page.evaluate(() => window.device.activeSession.end());
  await xr.page.waitForFunction(() => window.fabrica.state().model.scale === 1000);
  await xr.page.evaluate((ids) => window.fabrica.dispatch({ op: 'structure.only', args: { ids } }), shown);
  assert.equal(await hash(xr.page), start);
  await xr.context.close();
});

test('a used link is refused with words', async () => {
  const other = await openPage(browser);
  await other.page.goto(real ? real.link : usedLink);
  await other.page.getByText('Ask for a new link').waitFor();
  await other.context.close();
});
