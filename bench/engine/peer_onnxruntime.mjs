// ONNX Runtime on the network of network.py: one process, one setting; JSON of one timed run out.
//
//   peer_onnxruntime.mjs FILE.onnx INPUT.f32 Z Y X THREADS arena|plain [LOGITS]
//
// Threads that spin while they wait would count as CPU time: that is switched off.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
let ort;
try {
  ort = require('onnxruntime-node');
} catch (error) {
  console.error(`skipped: no onnxruntime-node (${error.code}); npm ci --prefix bench/engine installs it`);
  process.exit(77);
}

const [file, input, z, y, x, threads, memory, logits] = process.argv.slice(2);
const session = await ort.InferenceSession.create(file, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  executionMode: 'sequential',
  enableCpuMemArena: memory === 'arena',
  extra: { session: { intra_op: { allow_spinning: '0' } } },
});
const bytes = readFileSync(input);
const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
const feeds = { x: new ort.Tensor('float32', values, [1, 1, Number(z), Number(y), Number(x)]) };
await session.run(feeds); // warm up
const cpu = process.cpuUsage();
const wall = performance.now();
const result = await session.run(feeds);
const used = process.cpuUsage(cpu);
const elapsed = performance.now() - wall;
const peak = process.resourceUsage().maxRSS * 1024;
if (logits) {
  const data = result.y.data;
  writeFileSync(logits, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}
console.log(JSON.stringify({
  version: require('onnxruntime-node/package.json').version,
  threads: Number(threads),
  cpu_s: (used.user + used.system) * 1e-6,
  wall_s: elapsed * 1e-3,
  peak_rss_bytes: peak,
}));
