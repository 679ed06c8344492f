/**
 * The server's routes for tests, as `fabrica view` has them (ADR 0110): session, case, files by range,
 * volume and label levels. Node only; no dependency. `node e2e/serve.mjs CASE [PORT] [CODE] [LESSONS]`.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(here, '..', 'dist');
const csp = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
  + "img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self' blob:; frame-ancestors 'none'";
const mime = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json',
  '.glb': 'model/gltf-binary', '.png': 'image/png', '.svg': 'image/svg+xml', '.webmanifest': 'application/manifest+json',
};

/** Reads a NIfTI-1 file of integers: size, and a function from index to value. */
function readNifti(file) {
  const raw = readFileSync(file);
  const data = file.endsWith('.gz') ? gunzipSync(raw) : raw;
  const size = [data.readInt16LE(42), data.readInt16LE(44), data.readInt16LE(46)];
  const type = data.readInt16LE(70);
  const offset = data.readFloatLE(108);
  const count = size[0] * size[1] * size[2];
  const kinds = { 2: Uint8Array, 4: Int16Array, 8: Int32Array, 16: Float32Array, 512: Uint16Array };
  const Kind = kinds[type];
  if (!Kind) throw new Error(`${file}: NIfTI type ${type} is not known here`);
  const bytes = data.buffer.slice(data.byteOffset + offset, data.byteOffset + offset + count * Kind.BYTES_PER_ELEMENT);
  return { size, voxels: new Kind(bytes) };
}

/** Every `factor`th voxel (labels) or the mean of a block (CT). */
function shrink({ size, voxels }, factor, mean) {
  const small = size.map((n) => Math.max(1, Math.floor(n / factor)));
  const out = mean ? new Int16Array(small[0] * small[1] * small[2]) : new Uint16Array(small[0] * small[1] * small[2]);
  const step = mean ? 1 : factor;
  let o = 0;
  for (let z = 0; z < small[2]; z++) for (let y = 0; y < small[1]; y++) for (let x = 0; x < small[0]; x++) {
    let sum = 0;
    let n = 0;
    for (let k = 0; k < factor; k += step) for (let j = 0; j < factor; j += step) for (let i = 0; i < factor; i += step) {
      sum += voxels[((z * factor + k) * size[1] + y * factor + j) * size[0] + x * factor + i];
      n++;
    }
    out[o++] = Math.round(sum / n);
  }
  return { size: small, voxels: out };
}

/** The case's CT and labels by level: 2 <= 96 a side, 1 <= 256, 0 as it is. */
export function levelsOf(caseDir) {
  const manifest = JSON.parse(readFileSync(path.join(caseDir, 'manifest.json'), 'utf8'));
  const ct = readNifti(path.join(caseDir, 'volume.nii.gz'));
  const map = readNifti(path.join(caseDir, 'labels.nii.gz'));
  const world = manifest.geometry.grid.world_from_voxel;
  const level = (number, limit) => {
    const factor = Math.ceil(Math.max(...ct.size) / limit);
    const shift = (factor - 1) / 2;
    const flat = world.flatMap((row) => [row[0] * factor, row[1] * factor, row[2] * factor, row[3] + shift * (row[0] + row[1] + row[2])]);
    const volume = shrink(ct, factor, true);
    const labels = shrink(map, factor, false);
    return { info: { level: number, size: volume.size, world_from_voxel: flat, bytes: volume.voxels.byteLength, low: -1024, high: 3071 }, volume, labels };
  };
  return { manifest, levels: new Map([[2, level(2, 96)], [1, level(1, 256)], [0, level(0, 1e9)]]) };
}

function sendFile(request, response, file, headers = {}) {
  if (!existsSync(file) || !statSync(file).isFile()) return send(response, 404, { error: { code: 'not-found', message: 'No such file' } });
  const zipped = existsSync(`${file}.gz`) && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  const real = zipped ? `${file}.gz` : file;
  const size = statSync(real).size;
  const all = { 'content-type': mime[path.extname(file)] ?? 'application/octet-stream', 'content-length': size, ...headers, ...(zipped ? { 'content-encoding': 'gzip' } : {}) };
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (range && !zipped) {
    const from = Number(range[1]);
    const to = Math.min(range[2] ? Number(range[2]) : size - 1, size - 1);
    response.writeHead(206, { ...all, 'content-length': to - from + 1, 'content-range': `bytes ${from}-${to}/${size}` });
    return createReadStream(real, { start: from, end: to }).pipe(response);
  }
  response.writeHead(200, all);
  return createReadStream(real).pipe(response);
}

function send(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json', 'content-security-policy': csp });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

const sendVoxels = (response, { voxels }) => {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': voxels.byteLength });
  response.end(Buffer.from(voxels.buffer, voxels.byteOffset, voxels.byteLength));
};

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  try { return JSON.parse(Buffer.concat(parts).toString('utf8')); } catch { return {}; }
}

/** Five wrong codes lock the server for `lock_s`; a link works once. */
function pairing(code, link, lockSeconds) {
  let wrong = 0;
  let lockedUntil = 0;
  const tokens = new Set([link]);
  return async (request, response, session) => {
    const given = await bodyOf(request);
    if (Date.now() < lockedUntil) return send(response, 429, { error: { code: 'locked', message: `Too many wrong codes. Try again in ${Math.ceil((lockedUntil - Date.now()) / 1000)} seconds.` } });
    if (given.link !== undefined && !tokens.delete(given.link)) return send(response, 410, { error: { code: 'expired', message: 'This link was used or has expired.' } });
    if (given.link === undefined && given.code !== code) {
      if (++wrong >= 5) { lockedUntil = Date.now() + lockSeconds * 1000; wrong = 0; }
      return send(response, 401, { error: { code: 'wrong-code', message: 'That is not the code. Look at the screen of the computer that shows it.' } });
    }
    response.writeHead(204, { 'set-cookie': `fabrica=${session}; HttpOnly; SameSite=Strict; Path=/` });
    return response.end();
  };
}

/** Starts the server; resolves to { url, close }. */
export async function serve(caseDir, { port = 0, code = '123456', link = 'let-me-in', lockSeconds = 30, open = false, lessons = '' } = {}) {
  const { manifest, levels } = levelsOf(caseDir);
  const session = createHash('sha256').update(String(Math.random())).digest('hex');
  const pair = pairing(code, link, lockSeconds);
  const view = {
    format: 'fabrica-case-view', format_version: 1, name: path.basename(path.resolve(caseDir)), manifest: '/api/v1/case/files/manifest.json',
    files: manifest.files, volume: { levels: [...levels.values()].map((l) => l.info) },
    labels: { levels: [...levels.values()].map((l) => ({ ...l.info, bytes: l.labels.voxels.byteLength })) }, role: 'host', read_only: true,
  };
  const server = http.createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const paired = open || (request.headers.cookie ?? '').includes(`fabrica=${session}`);
    if (url.pathname === '/api/v1/session') {
      if (request.method === 'POST') return pair(request, response, session);
      return send(response, 200, paired ? { paired, role: 'host', expires_s: 3600 } : { paired });
    }
    if (url.pathname.startsWith('/api/')) {
      if (!paired) return send(response, 401, { error: { code: 'not-paired', message: 'Please pair first.' } });
      return api(url.pathname, request, response);
    }
    const page = url.pathname === '/' ? '/index.html' : path.posix.normalize(url.pathname);
    return sendFile(request, response, path.join(dist, page), { 'content-security-policy': csp });
  });
  function api(name, request, response) {
    if (name === '/api/v1/lessons') return send(response, 200, { lessons: lessons ? readdirSync(lessons).filter((f) => f.endsWith('.mcap')).map((f) => ({ name: f.slice(0, -5), title: f.slice(0, -5), bytes: statSync(path.join(lessons, f)).size })) : [] });
    const lesson = /^\/api\/v1\/lessons\/([\w-]+)$/.exec(name)?.[1];
    if (lesson) return sendFile(request, response, path.join(lessons, `${lesson}.mcap`));
    if (name === '/api/v1/case') return send(response, 200, view);
    const [, kind, rest] = /^\/api\/v1\/case\/(files|volume|labels)\/(.+)$/.exec(name) ?? [];
    if (kind === 'files' && !rest.includes('..')) return sendFile(request, response, path.join(caseDir, decodeURIComponent(rest)));
    const level = levels.get(Number(rest));
    if (kind && kind !== 'files' && level) return sendVoxels(response, kind === 'volume' ? level.volume : level.labels);
    return send(response, 404, { error: { code: 'not-found', message: 'No such thing' } });
  }
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => { server.closeAllConnections(); server.close(); } };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [caseDir, port = '8377', code = '123456', lessons = ''] = process.argv.slice(2);
  const { url } = await serve(caseDir, { port: Number(port), code, lessons });
  console.log(`${url}  code ${code}`);
}
