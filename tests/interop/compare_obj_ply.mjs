// compare_obj_ply.mjs FOLDER: three.js reads twin.obj, twin.mtl and each ply/NAME.ply; every
// structure must have the same triangles, volume and centroid in both, right side out (positive
// volume), unit normals, and the colour of its material.
import { readFileSync } from 'node:fs';
import { OBJLoader } from 'three/examples/jsm/loaders/OBJLoader.js';
import { PLYLoader } from 'three/examples/jsm/loaders/PLYLoader.js';

const folder = process.argv[2];

function solid(geometry) {
  const p = geometry.attributes.position, n = geometry.attributes.normal, index = geometry.index;
  const count = index ? index.count : p.count, at = (i) => (index ? index.getX(i) : i);
  let volume = 0, normals = 0;
  const centroid = [0, 0, 0];
  for (let t = 0; t < count; t += 3) {
    const [a, b, c] = [0, 1, 2].map((k) => at(t + k)).map((i) => [p.getX(i), p.getY(i), p.getZ(i)]);
    const v = (a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
      a[2] * (b[0] * c[1] - b[1] * c[0])) / 6;
    volume += v;
    for (let k = 0; k < 3; k++) centroid[k] += v * (a[k] + b[k] + c[k]) / 4;
  }
  for (let i = 0; i < n.count; i++)
    normals = Math.max(normals, Math.abs(Math.hypot(n.getX(i), n.getY(i), n.getZ(i)) - 1));
  return { triangles: count / 3, volume, centroid: centroid.map((x) => x / volume), normals };
}

const kd = new Map();
let name;
for (const line of readFileSync(`${folder}/twin.mtl`, 'utf8').split('\n')) {
  if (line.startsWith('newmtl ')) name = line.slice(7);
  if (line.startsWith('Kd ')) kd.set(name, line.slice(3).split(' ').map(Number));
}
const groups = new OBJLoader().parse(readFileSync(`${folder}/twin.obj`, 'utf8')).children;
let bad = groups.length === 0;
for (const group of groups) {
  const bytes = readFileSync(`${folder}/ply/${group.name}.ply`);
  const geometry = new PLYLoader().parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const a = solid(group.geometry), b = solid(geometry), colour = kd.get(group.material.name);
  const header = bytes.subarray(0, bytes.indexOf('end_header')).toString();
  const body = bytes.length - geometry.attributes.position.count * 27 - b.triangles * 13;
  const first = bytes.subarray(body + 24, body + 27); // red, green, blue of the first vertex
  const apart = Math.max(...a.centroid.map((x, k) => Math.abs(x - b.centroid[k])));
  const ok = a.triangles === b.triangles && b.volume > 0 && apart < 1e-3 &&
    Math.abs(a.volume / b.volume - 1) < 1e-4 && Math.max(a.normals, b.normals) < 1e-4 &&
    header.includes('comment space LPS') &&
    colour.every((c, k) => Math.abs(c * 255 - first[k]) < 0.05);
  console.log(`${ok ? 'ok  ' : 'BAD '} ${group.name}: ${a.triangles} triangles, ` +
    `${(b.volume / 1000).toFixed(3)} ml, ${apart.toExponential(1)} mm apart`);
  bad ||= !ok;
}
process.exit(bad ? 1 : 0);
