// compare_headset.mjs PLAIN.glb HEADSET.glb: three.js loads both; every vertex of the headset file's
// finest level must lie on a vertex of the plain file within half a quantisation step, with the
// same normal within 2 degrees; every coarser node must decode and fill the same box. Both files'
// transforms are applied, so this also checks the scene graph. Works where the finest level is
// the full mesh, as in the tests' twin.
import { readFileSync } from 'node:fs';
import { Vector3, Box3, Matrix3 } from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { MeshoptDecoder } from 'meshoptimizer';

const half_step_m = 0.00001, normal_degrees = 2, most_triangles = 300000;

async function load(file) {
  const bytes = readFileSync(file);
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  await MeshoptDecoder.ready;
  return loader.parseAsync(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length), '');
}

function vertices(mesh) {
  mesh.updateWorldMatrix(true, false);
  const p = mesh.geometry.attributes.position, n = mesh.geometry.attributes.normal;
  const turn = new Matrix3().getNormalMatrix(mesh.matrixWorld), out = [];
  for (let i = 0; i < p.count; i++)
    out.push({
      at: new Vector3().fromBufferAttribute(p, i).applyMatrix4(mesh.matrixWorld),
      normal: new Vector3().fromBufferAttribute(n, i).applyMatrix3(turn).normalize(),
    });
  return out;
}

const meshes_of = (scene) => {
  const map = new Map();
  scene.traverse((o) => { if (o.isMesh) map.set(o.name, o); });
  return map;
};
const cell = (v, d) => [0, 1, 2].map((i) => Math.floor(v.getComponent(i) / 0.001) + d[i]).join();
const offsets = [-1, 0, 1].flatMap((x) => [-1, 0, 1].flatMap((y) => [-1, 0, 1].map((z) => [x, y, z])));

function compare(name, plain, small) {
  const grid = new Map();
  for (const v of vertices(plain)) {
    const key = cell(v.at, [0, 0, 0]);
    if (!grid.has(key)) grid.set(key, []);
    grid.get(key).push(v);
  }
  let worst = 0, turned = 0, count = 0;
  for (const v of vertices(small)) {
    let best = null, distance = Infinity;
    for (const d of offsets)
      for (const w of grid.get(cell(v.at, d)) ?? []) {
        const e = Math.max(...v.at.clone().sub(w.at).toArray().map(Math.abs));
        if (e < distance) { distance = e; best = w; }
      }
    worst = Math.max(worst, distance);
    if (best) turned = Math.max(turned, v.normal.angleTo(best.normal) * 180 / Math.PI);
    count++;
  }
  const same = plain.geometry.index.count === small.geometry.index.count;
  const ok = worst <= half_step_m * 1.02 + 1e-7 && turned <= normal_degrees && same && count > 0;
  console.log(`${ok ? 'ok  ' : 'BAD '} ${name}: ${count} vertices, worst ` +
    `${(worst * 1000).toFixed(4)} mm, ${turned.toFixed(2)} degrees`);
  return ok;
}

const [plain, headset] = await Promise.all(process.argv.slice(2, 4).map(load));
const a = meshes_of(plain.scene), b = meshes_of(headset.scene);
let bad = a.size !== b.size || a.size === 0;
for (const [name, mesh] of a) bad = !(b.has(name) && compare(name, mesh, b.get(name))) || bad;

const json = headset.parser.json, count = (m) => json.accessors[json.meshes[m].primitives[0].indices].count / 3;
let triangles = 0, coarser = 0;
for (const mesh of json.meshes.keys()) triangles += count(mesh);
for (const node of json.nodes) {
  const ids = node.extensions?.MSFT_lod?.ids ?? [];
  let last = count(node.mesh ?? 0);
  for (const id of ids) {
    const object = await headset.parser.getDependency('node', id);
    const fine = new Box3().setFromObject(b.get(node.name)), coarse = new Box3().setFromObject(object);
    const apart = Math.max(fine.min.distanceTo(coarse.min), fine.max.distanceTo(coarse.max));
    const fewer = count(json.nodes[id].mesh) <= last;
    last = count(json.nodes[id].mesh);
    if (!(apart < 0.01) || !fewer) { console.log(`BAD  ${node.name}: level is ${apart} m off`); bad = true; }
    coarser++;
  }
  if (ids.length && node.extras.MSFT_screencoverage.length !== ids.length + 1) bad = true;
}
console.log(`${triangles} triangles in all levels, ${coarser} coarser nodes`);
if (triangles > most_triangles || coarser === 0) bad = true;
process.exit(bad ? 1 : 0);
