/** Coarser structures, the body's lists, and picking: on spheres, without a GPU. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Plane, Quaternion, Ray, SphereGeometry, Vector3 } from 'three';
import { MeshoptSimplifier } from 'three/examples/jsm/libs/meshopt_simplifier.module.js';
import { start } from '@fabrica/contract';
import type { State } from '@fabrica/contract';
import { coarser, levelWithin, lighten } from '../src/detail';
import type { Model } from '../src/model';
import type { Body } from '../src/parts';
import { Picker } from '../src/pick';
import { spheres } from './spheres';

const drawn = (model: Model, layer: 'opaque' | 'faded'): number => (model.body?.[layer].mesh.visible ? model.body[layer].mesh.geometry.drawRange.count / 3 : 0);
const change = (state: State, id: number, entry: object): State =>
  ({ ...state, structures: { ...state.structures, [id]: { visible: true, opacity: 1000, rgb: null, highlight: false, offset: [0, 0, 0], turn: [0, 0, 0, 32767], ...entry } } });

test('each level has fewer triangles, over the same vertices, and stays near the surface', async () => {
  await MeshoptSimplifier.ready;
  const sphere = new SphereGeometry(0.02, 96, 64);
  const position = sphere.getAttribute('position').array as Float32Array;
  const fine = sphere.index?.array as Uint16Array;
  const [half, rough] = coarser(MeshoptSimplifier, fine, position);
  assert.ok(half && rough && half.length < 0.6 * fine.length && rough.length < 0.6 * half.length, `${fine.length}, ${half?.length}, ${rough?.length}`);
  const v = new Vector3();
  for (let i = 0; i < rough.length; i += 3) {
    v.set(0, 0, 0);
    for (let k = 0; k < 3; k++) for (let c = 0; c < 3; c++) v.setComponent(c, v.getComponent(c) + (position[3 * (rough[i + k] as number) + c] as number) / 3);
    assert.ok(v.length() > 0.0165, `a triangle's middle ${v.length() * 1000} mm from the centre`);
  }
});

test('lighten pauses after each structure; the budget picks the level', async () => {
  const model = spheres([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]], 64);
  const shares: number[] = [];
  await lighten([...model.parts.values()], async (share) => { shares.push(share); });
  assert.deepEqual(shares, [1 / 3, 2 / 3, 1]);
  const body = model.body as Body;
  const counts = [0, 1, 2].map((level) => body.trianglesAt(level));
  assert.ok((counts[0] ?? 0) > (counts[1] ?? 0) && (counts[1] ?? 0) > (counts[2] ?? 0));
  assert.equal(levelWithin(counts[1] ?? 0, (level) => body.trianglesAt(level)), 1);
  assert.equal(levelWithin(1e9, (level) => body.trianglesAt(level)), 0);
  assert.equal(levelWithin(1, (level) => body.trianglesAt(level)), 2, 'the coarsest where none is coarse enough');
});

test('hidden structures cost no triangles; faded ones are a list of their own, far ones first', () => {
  const model = spheres([[0, 0, 0], [0, 0, 0.1], [0, 0, 0.2]]);
  const each = (model.parts.get(1)?.levels[0]?.length ?? 0) / 3;
  model.apply(start(), undefined);
  assert.deepEqual([drawn(model, 'opaque'), drawn(model, 'faded')], [3 * each, 0]);
  model.apply(change(start(), 2, { visible: false }), undefined);
  assert.deepEqual([drawn(model, 'opaque'), drawn(model, 'faded')], [2 * each, 0]);
  model.apply(change(change(start(), 2, { opacity: 500 }), 3, { opacity: 500 }), undefined);
  assert.deepEqual([drawn(model, 'opaque'), drawn(model, 'faded')], [each, 2 * each]);
  const firstDrawn = (): number => model.body?.faded.mesh.geometry.index?.getX(0) ?? -1;
  const second = model.parts.get(2)?.first ?? 0;
  const third = model.parts.get(3)?.first ?? 0;
  model.sort(new Vector3(0, 0, -1));
  assert.ok(firstDrawn() >= third, 'from behind, the third is farther');
  model.sort(new Vector3(0, 0, 1));
  assert.ok(firstDrawn() >= second && firstDrawn() < third, 'from the front, the second is');
});

test('picking: by ray and by tip, moved, exploded, cut', () => {
  const model = spheres([[0, 0, 0], [0, 0, 0.1]]);
  const picker = new Picker(model);
  const ray = new Ray(new Vector3(0, 0, 1), new Vector3(0, 0, -1));
  model.apply(start(), undefined);
  const hit = picker.along(ray, []);
  assert.equal(hit?.part.id, 2);
  assert.ok(hit && Math.abs(hit.distance - 0.88) < 1e-3 && hit.normal.z > 0.9);
  assert.equal(picker.along(ray, [], 0.5), undefined, 'out of reach');
  model.apply(change(start(), 2, { visible: false }), undefined);
  assert.equal(picker.along(ray, [])?.part.id, 1);
  model.apply(change(start(), 2, { offset: [0, -2000, 0], turn: [0, 0, 23170, 23170] }), undefined); // 0.2 m to the front, turned
  const moved = picker.along(ray, []);
  assert.ok(moved && Math.abs(moved.world.z - 0.32) < 1e-3 && Math.abs(moved.patient.distanceTo(new Vector3(0, 0, 0.1)) - 0.02) < 1e-3);
  model.apply({ ...start(), model: { position: [0, 10000, 0], rotation: [0, 0, 0, 32767], scale: 2000 } }, undefined);
  const near = picker.near(new Vector3(0, 1, 0.245), [], 0.02);
  assert.ok(near && near.part.id === 2 && Math.abs(near.distance - 0.005) < 1e-3 && near.normal.z > 0.9, 'a tip 5 mm before a sphere at twice its size');
  assert.equal(picker.near(new Vector3(0, 1, 0.3), [], 0.02), undefined);
  model.apply({ ...start(), clips: { 0: { on: true, point: [0, 0, 0], normal: [0, -32767, 0] } } }, undefined);
  const plane = new Plane(new Vector3(0, 0, -1), 0); // what is before z = 0 is cut away
  const cut = picker.along(ray, [plane]);
  assert.ok(cut && cut.part.id === 1 && Math.abs(cut.world.z) < 1e-6 && Math.abs(cut.distance - 1) < 1e-6, 'the cut itself');
});

test('a part\'s row: place, colour, glow', () => {
  const model = spheres([[0, 0, 0], [0.1, 0, 0]]);
  model.apply({ ...change(start(), 1, { rgb: [255, 0, 0], opacity: 250, highlight: true }), explode: 1000 }, 2);
  const data = model.body?.table.texture.image.data as Float32Array;
  const row = (i: number): number[] => [...data.slice(16 * i, 16 * (i + 1))];
  assert.deepEqual(row(0).slice(0, 8), [0, 0, 0, 1, 0, 0, 0, 1], 'row 0 stays');
  const [x] = row(1).slice(4);
  assert.ok(Math.abs((x ?? 0) + 0.055) < 1e-6, 'away from the middle by 1.1 of the way');
  assert.deepEqual(row(1).slice(8, 12), [1, 0, 0, 0.25]);
  assert.ok((row(1)[12] ?? 0) > 0.3 && row(1)[15] === 0 && row(2)[15] === 1);
  assert.ok(new Quaternion().fromArray(row(1)).equals(new Quaternion()));
});

test('a twin without structures is an empty model, not an error', () => {
  const model = spheres([]);
  model.apply(start(), undefined);
  assert.equal(drawn(model, 'opaque'), 0);
  assert.ok(!model.visibleBox().isEmpty());
  assert.equal(new Picker(model).along(new Ray(new Vector3(), new Vector3(0, 0, -1)), []), undefined);
});
