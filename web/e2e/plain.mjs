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

/**
 * Every allocation in the page while `work` runs, by the function that made it: counted by V8, not sampled, what was
 * collected since included. What a function of the engine (Map, sort, values) allocates counts for who called it.
 * `devtools`: a CDP session. Returns a map from `file function` to { count, bytes }; a script without an address,
 * such as one put in before the page's own, is `(injected) function`.
 */
export async function allocations(devtools, sourceOf, work) {
  const chunks = [];
  const keep = ({ chunk }) => chunks.push(chunk);
  devtools.on('HeapProfiler.addHeapSnapshotChunk', keep);
  await devtools.send('HeapProfiler.enable');
  await devtools.send('HeapProfiler.startTrackingHeapObjects', { trackAllocations: true });
  await work();
  await devtools.send('HeapProfiler.stopTrackingHeapObjects', { reportProgress: false });
  devtools.off('HeapProfiler.addHeapSnapshotChunk', keep);
  return byFunction(JSON.parse(chunks.join('')), sourceOf);
}

/** Reads the tree of call stacks in a heap snapshot: each node has its function, and how much that one allocated. */
function byFunction({ snapshot: { meta }, trace_function_infos: infos, trace_tree: tree, strings }, sourceOf) {
  const wide = meta.trace_node_fields.length;
  const field = (i, name) => infos[i * meta.trace_function_info_fields.length + meta.trace_function_info_fields.indexOf(name)];
  const made = new Map();
  const labels = new Map();
  const label = (i) => {
    if (field(i, 'script_id') === 0) return undefined;
    const url = strings[field(i, 'script_name')];
    return `${url === '' ? '(injected)' : sourceOf(url, field(i, 'line'))} ${strings[field(i, 'name')]}`;
  };
  const visit = (nodes, caller) => {
    for (let at = 0; at < nodes.length; at += wide) {
      const [, info, count, bytes, children] = nodes.slice(at, at + wide);
      if (!labels.has(info)) labels.set(info, label(info));
      const who = labels.get(info) ?? caller;
      const sum = made.get(who) ?? { count: 0, bytes: 0 };
      made.set(who, { count: sum.count + count, bytes: sum.bytes + bytes });
      visit(children, who);
    }
  };
  visit(tree, '(browser)');
  return made;
}
