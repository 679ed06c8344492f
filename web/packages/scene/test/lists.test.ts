/** The steady list of what is drawn, against three's own. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { BufferGeometry, Mesh, PerspectiveCamera, ShaderMaterial } from 'three';
import { WebGLRenderList } from 'three/src/renderers/webgl/WebGLRenderLists.js';
import { SteadyList } from '../src/steady';

interface List { opaque: { object: object }[]; transmissive: { object: object }[]; transparent: { object: object }[] }
/** As it is; the types are of an older one. */
interface Theirs extends List { init(): void; push(...what: unknown[]): void; finish(): void; sort(): void }
const objects = (list: List): object[][] => [list.opaque, list.transmissive, list.transparent].map((items) => items.map((i) => i.object));

test('frames of changing things are drawn in the order of three, in the same arrays', () => {
  let seed = 5;
  const below = (n: number): number => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor((seed / 2147483648) * n); };
  const geometry = new BufferGeometry();
  const camera = new PerspectiveCamera();
  const materials = Array.from({ length: 6 }, (_, i) => Object.assign(new ShaderMaterial({ transparent: i > 2 }), i === 5 ? { transmission: 0.5 } : {}));
  const meshes = Array.from({ length: 24 }, () => {
    const mesh = new Mesh(geometry, materials[below(6)]);
    mesh.renderOrder = below(3) - 1;
    return mesh;
  });
  const ours = new SteadyList();
  const { opaque, transparent } = ours;
  const theirs = new (WebGLRenderList as unknown as new () => Theirs)();
  for (let frame = 0; frame < 60; frame++) {
    ours.init();
    theirs.init();
    for (const mesh of meshes) {
      if (below(4) === 0) continue; // hidden
      const [group, z] = [below(2), below(5) / 4];
      ours.push(mesh, geometry, mesh.material as ShaderMaterial, group, z, null);
      theirs.push(mesh, geometry, mesh.material as ShaderMaterial, group, z, null, camera);
    }
    ours.finish();
    theirs.finish();
    ours.sort();
    theirs.sort();
    assert.deepEqual(objects(ours), objects(theirs), `frame ${frame}`);
    assert.ok(theirs.opaque.length > 0 && theirs.transparent.length > 0);
  }
  assert.ok(ours.opaque === opaque && ours.transparent === transparent);
});
