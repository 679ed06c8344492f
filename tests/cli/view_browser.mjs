// node view_browser.mjs WEB_PACKAGE_JSON CHROMIUM OWNER_LINK NETWORK_URL CODE
// The viewer shows the twin and its CT, in a secure, isolated context, without a word on the console.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [packages, executablePath, link, network, code] = process.argv.slice(2);
const { chromium } = createRequire(packages)('playwright-core');
const args = ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-dev-shm-usage'];
const browser = await chromium.launch({ executablePath, args });

async function open(url, role, typed) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const errors = [];
  const elsewhere = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (line) => { if (line.type() === 'error') errors.push(line.text()); });
  page.on('request', (request) => {
    if (/^(http|ws)/.test(request.url()) && new URL(request.url()).origin !== new URL(url).origin) elsewhere.push(request.url());
  });
  await page.goto(url);
  if (typed) await page.getByLabel('Six-digit code').fill(typed);
  await page.waitForFunction(() => window.fabrica?.frames() > 0, null, { timeout: 60000 });
  await page.waitForFunction(() => performance.getEntriesByName('fabrica-ct').length > 0, null, { timeout: 60000 });
  assert.deepEqual(await page.evaluate(() => [isSecureContext, crossOriginIsolated]), [true, true]);
  const heard = await page.evaluate(() => new Promise((resolve, reject) => {
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/api/v1/live', 'fabrica.live.1');
    const messages = [];
    socket.onerror = () => reject(new Error('no live channel'));
    socket.onmessage = (event) => {
      if (messages.push(JSON.parse(event.data)) === 2) resolve(messages);
      else socket.send('{"type":"ping","t":7}');
    };
  }));
  assert.equal(heard[0].role, role);
  assert.deepEqual(heard[1], { type: 'pong', t: 7 });
  assert.ok(!(await page.evaluate(() => location.href)).includes('link='), 'the token leaves the address');
  assert.deepEqual(errors, []);
  assert.deepEqual(elsewhere, []);
  await context.close();
  console.log(`ok ${role}`);
}

await open(link, 'owner');
await open(network, 'view', code);
await browser.close();
