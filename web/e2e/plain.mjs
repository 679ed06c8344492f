/** The client as it is, but not minified: what a profiler finds in it can be told by source file. */
import { build } from 'esbuild';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));

/** Builds into a folder that goes away with `remove()`. `sourceOf(url, line)`: the file a line (from 0) was made of. */
export async function plainClient() {
  const out = mkdtempSync(path.join(tmpdir(), 'fabrica-client-'));
  await build({ entryPoints: [path.join(here, 'app/src/main.ts')], bundle: true, splitting: true, format: 'esm', target: 'es2022', outdir: path.join(out, 'assets'), loader: { '.worklet.js': 'file', '.worker.js': 'file' }, absWorkingDir: here, logLevel: 'warning' });
  const page = readFileSync(path.join(here, 'app/index.html'), 'utf8').replace('%SCRIPT%', '/assets/main.js').replace('%STYLE%', '/assets/main.css').replace('%ICON%', '/assets/none.svg');
  writeFileSync(path.join(out, 'index.html'), page);
  writeFileSync(path.join(out, 'assets/none.svg'), readFileSync(path.join(here, 'app/icon.svg')));
  const files = new Map(readdirSync(path.join(out, 'assets')).filter((f) => f.endsWith('.js')).map((f) => [f, readFileSync(path.join(out, 'assets', f), 'utf8').split('\n')]));
  /** esbuild writes `// packages/xr/src/aim.ts` before each file's code. */
  const sourceOf = (url, line) => {
    const lines = files.get(path.posix.basename(new URL(url, 'http://x').pathname));
    for (let i = Math.min(line, (lines?.length ?? 0) - 1); i >= 0; i--) {
      const found = /^\/\/ ((?:packages|app|node_modules|\.\.)\/\S+)$/.exec(lines[i]);
      if (found) return found[1];
    }
    return url;
  };
  return { folder: out, sourceOf, remove: () => rmSync(out, { recursive: true, force: true }) };
}

/** Bytes allocated by source file while `work` runs, those collected since included. `devtools`: a CDP session. */
export async function allocatedBy(devtools, sourceOf, work) {
  await devtools.send('HeapProfiler.enable');
  await devtools.send('HeapProfiler.startSampling', { samplingInterval: 64, includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true });
  await work();
  const { profile } = await devtools.send('HeapProfiler.stopSampling');
  const bytes = new Map();
  const visit = (node) => {
    const { url, lineNumber, functionName } = node.callFrame;
    if (node.selfSize > 0 && url !== '') {
      const key = `${sourceOf(url, lineNumber)} ${functionName}`;
      bytes.set(key, (bytes.get(key) ?? 0) + node.selfSize);
    }
    for (const child of node.children) visit(child);
  };
  visit(profile.head);
  return bytes;
}
