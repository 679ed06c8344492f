/** Makes web/dist: the page, hashed assets, and each of them as .gz beside. `node build.mjs`. */
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, 'dist');
const budget = 1.5 * 1024 * 1024;
let total = 0;

function put(name, data) {
  const file = path.join(dist, name);
  mkdirSync(path.dirname(file), { recursive: true });
  const zipped = gzipSync(data, { level: 9 });
  writeFileSync(file, data);
  writeFileSync(`${file}.gz`, zipped);
  total += zipped.length;
}

const hashed = (name, data) => name.replace(/(\.\w+)$/, `-${createHash('sha256').update(data).digest('hex').slice(0, 10)}$1`);

/**
 * dist/bundle/bundle.html: all of the viewer in one page without a request, for `fabrica view --bundle`, which puts the
 * twin where <!--fabrica-data--> stands. One script, allowed by its hash; `fetch` is page.ts's.
 */
async function bundle() {
  const one = await build({
    entryPoints: [path.join(here, 'app/src/main.ts')], bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', outdir: path.join(dist, 'bundle'),
    inject: [path.join(here, 'app/src/page.ts')], define: { 'import.meta.url': 'document.baseURI' }, loader: { '.worklet.js': 'dataurl', '.worker.js': 'dataurl' }, absWorkingDir: here, legalComments: 'eof', logLevel: 'warning',
  });
  const text = (ending) => one.outputFiles.filter((f) => f.path.endsWith(ending)).map((f) => f.text).join('\n');
  const script = text('.js');
  const style = text('.css');
  if (/<\/script|<!--|\bimport\s*\(|sourceMappingURL/i.test(script) || /<\/style|@import|url\((?!["']?data:)/i.test(style)) throw new Error('the bundle cannot stand in one page');
  const hash = createHash('sha256').update(script).digest('base64');
  const policy = `default-src 'none'; script-src 'sha256-${hash}' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; media-src blob:; worker-src blob:; base-uri 'none'; form-action 'none'`;
  const icon = `data:image/svg+xml;base64,${readFileSync(path.join(here, 'app/icon.svg')).toString('base64')}`;
  const page = readFileSync(path.join(here, 'app/index.html'), 'utf8')
    .replace('<head>', () => `<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="${policy}">`).replace('<meta charset="utf-8">\n<meta name="viewport"', '<meta name="viewport"')
    .replace('<link rel="stylesheet" href="%STYLE%">', () => `<style>${style}</style>`).replace('%ICON%', () => icon)
    .replace('<script type="module" src="%SCRIPT%"></script>', () => `<!--fabrica-data--><script>${script}</script>`);
  if (/%(SCRIPT|STYLE|ICON)%/.test(page)) throw new Error('index.html has changed: the bundle is not whole');
  mkdirSync(path.join(dist, 'bundle'), { recursive: true });
  writeFileSync(path.join(dist, 'bundle', 'bundle.html'), page);
  console.log(`web/dist/bundle: ${(page.length / 1024).toFixed(0)} KiB`);
}

const made = await build({
  entryPoints: [path.join(here, 'app/src/main.ts')], bundle: true, minify: true, splitting: true, write: false, format: 'esm', target: 'es2022',
  outdir: path.join(dist, 'assets'), entryNames: '[name]-[hash]', chunkNames: '[name]-[hash]', assetNames: '[name]-[hash]',
  loader: { '.worklet.js': 'file', '.worker.js': 'file' }, absWorkingDir: here, legalComments: 'linked', logLevel: 'warning', metafile: true,
});
rmSync(dist, { recursive: true, force: true });
let script = '';
let style = '';
for (const file of made.outputFiles) {
  const name = path.relative(dist, file.path);
  put(name, file.contents);
  if (/main-\w+\.js$/.test(name)) script = name;
  if (/main-\w+\.css$/.test(name)) style = name;
}
const icon = readFileSync(path.join(here, 'app/icon.svg'));
const iconName = hashed('assets/icon.svg', icon);
put(iconName, icon);
const page = readFileSync(path.join(here, 'app/index.html'), 'utf8')
  .replace('%SCRIPT%', `/${script}`).replace('%STYLE%', `/${style}`).replace('%ICON%', `/${iconName}`);
put('index.html', Buffer.from(page));
await bundle();
console.log(`web/dist: ${(total / 1024).toFixed(0)} KiB gz of ${(budget / 1024).toFixed(0)}`);
if (total > budget) {
  console.error('web/dist is over its budget');
  process.exit(1);
}
