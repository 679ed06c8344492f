/** Unit tests: bundled TypeScript run by `node --test`. Writes to a folder that goes away. */
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(path.join(tmpdir(), 'fabrica-web-'));
const folders = [...['contract', 'lesson', 'scene', 'xr'].map((name) => path.join(here, 'packages', name, 'test')), path.join(here, 'sample/test')];
const tests = folders.flatMap((folder) => readdirSync(folder).filter((f) => /\.test\.(ts|mjs)$/.test(f)).map((f) => path.join(folder, f)));
// what every browser has, and Node 18 keeps in a module
const banner = { js: "import { webcrypto as browsers } from 'node:crypto'; globalThis.crypto ??= browsers;" };
await build({ entryPoints: tests, bundle: true, banner, platform: 'node', format: 'esm', outdir: out, outExtension: { '.js': '.mjs' }, entryNames: '[name]', logLevel: 'warning', absWorkingDir: here });
const files = readdirSync(out).filter((f) => f.endsWith('.test.mjs')).map((f) => path.join(out, f));
const { status } = spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit', cwd: here });
rmSync(out, { recursive: true, force: true });
process.exit(status ?? 1);
