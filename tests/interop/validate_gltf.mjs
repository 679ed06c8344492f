// validate_gltf.mjs FILE.glb ...: Khronos' validator must find no error and no warning. Notes
// (infos and hints) are printed; those a loader could stumble over fail too: only the extensions
// the validator does not know, and the fallback buffer and coarser nodes it therefore thinks
// unused, are allowed.
import { readFileSync } from 'node:fs';
import { validateBytes } from 'gltf-validator';

const allowed = new Set(['UNSUPPORTED_EXTENSION', 'UNUSED_OBJECT', 'NODE_EMPTY']);
let bad = 0;
for (const file of process.argv.slice(2)) {
  const bytes = new Uint8Array(readFileSync(file));
  const report = await validateBytes(bytes, { maxIssues: 0 });
  const { numErrors, numWarnings, numInfos, numHints, messages } = report.issues;
  console.log(`${file}: ${numErrors} errors, ${numWarnings} warnings, ${numInfos} infos, ` +
    `${numHints} hints, ${report.info.totalTriangleCount} triangles, ${bytes.length} bytes`);
  const seen = new Map();
  for (const m of messages) {
    if (m.severity <= 1 || !allowed.has(m.code)) bad++;
    const key = `${m.severity} ${m.code}`;
    if (!seen.has(key)) seen.set(key, { count: 0, first: m });
    seen.get(key).count++;
  }
  for (const [key, { count, first }] of seen)
    console.log(`  ${key} x${count}: ${first.pointer ?? ''} ${first.message}`);
}
process.exit(bad ? 1 : 0);
