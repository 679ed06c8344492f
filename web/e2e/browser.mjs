/** A real Chromium without a screen, and what the tests ask of the page. */
import { chromium } from 'playwright-core';

export const executable = process.env.FAB_CHROMIUM ?? '/usr/bin/chromium';

const flags = ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-dev-shm-usage', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--no-first-run', '--mute-audio'];

/** A microphone that hums, without asking anybody. */
export const sound = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required'];

/** `more`: further flags. */
export const launch = (more = []) => chromium.launch({ executablePath: executable, args: [...flags, ...more] });

/** A page that notes every request and every error; `origin`: where requests may go. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 600 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const seen = { requests: [], errors: [] };
  page.on('request', (request) => seen.requests.push(request.url()));
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('console', (line) => { if (line.type() === 'error' || /GL_INVALID/.test(line.text())) seen.errors.push(line.text()); });
  return { page, seen, context };
}

/** The twin is on the screen, its CT too. */
export async function ready(page) {
  await page.waitForFunction(() => window.fabrica?.frames() > 0, null, { timeout: 60000 });
  await page.waitForFunction(() => performance.getEntriesByName('fabrica-ct').length > 0, null, { timeout: 60000 });
}

export const state = (page) => page.evaluate(() => window.fabrica.state());
export const hash = (page) => page.evaluate(() => window.fabrica.hash());

/** Label value by name. */
export const idOf = (page, name) => page.evaluate((wanted) => window.fabrica.structures().find((s) => s.name === wanted).id, name);

/** Waits until the next picture has been drawn; no longer than `timeout` ms, as it may have been already. */
export async function drawn(page, timeout = 5000) {
  const before = await page.evaluate(() => window.fabrica.frames());
  await page.waitForFunction((n) => window.fabrica.frames() > n, before, { timeout }).catch(() => undefined);
}
