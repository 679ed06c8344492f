/** Spaces, slices and measures: numbers that can be checked by hand. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Vector3 } from 'three';
import { angleDeg, directionOf, distanceMm, Labels, measured, paneAt, patientAt, said, sceneOf, sceneOfMm, slicePlace, tenthsOf, unitsOf, Volume } from '../src/index';
import type { Flat } from '../src/index';
import { start } from '@fabrica/contract';

test('LPS to the scene and back', () => {
  assert.deepEqual(sceneOf([10000, 20000, 30000]).toArray(), [1, 3, -2]);
  assert.deepEqual(tenthsOf(new Vector3(1, 3, -2)), [10000, 20000, 30000]);
  assert.deepEqual(sceneOfMm([1, 2, 3]).toArray().map((v) => Math.round(v * 1e6)), [1000, 3000, -2000]);
  assert.deepEqual(unitsOf(directionOf([0, -32767, 0])), [0, -32767, 0]);
  assert.deepEqual(directionOf([0, 0, 0]).toArray(), [0, 1, 0]);
});

test('measures', () => {
  assert.equal(distanceMm([0, 0, 0], [30, 40, 0]), 5);
  assert.equal(Math.round(angleDeg([10, 0, 0], [0, 0, 0], [0, 10, 0])), 90);
  assert.equal(angleDeg([0, 0, 0], [0, 0, 0], [1, 0, 0]), 0);
  assert.deepEqual(measured({ kind: 'height', points: [[0, 0, 0], [50, 0, -20]], ids: [] }, () => undefined), { value: 2, unit: 'mm' });
  assert.deepEqual(measured({ kind: 'volume', points: [], ids: [1, 2] }, (id) => id * 10), { value: 30, unit: 'ml' });
  assert.equal(measured({ kind: 'angle', points: [[0, 0, 0]], ids: [] }, () => undefined), undefined);
  assert.equal(said({ value: 23.44, unit: 'mm' }), '23.4 mm');
  assert.equal(said({ value: 34.52, unit: '°' }), '34.5°');
});

const info = { level: 1, size: [4, 3, 2] as [number, number, number], world_from_voxel: [2, 0, 0, -10, 0, 2, 0, 20, 0, 0, 5, 100] };

test('voxels by place, and the box', () => {
  const voxels = Int16Array.from({ length: 24 }, (_, i) => i * 10 - 100);
  const volume = new Volume(info, voxels);
  assert.equal(volume.at(new Vector3(-10, 20, 100)), -100);
  assert.equal(volume.at(new Vector3(-4, 24, 105)), 130);
  assert.equal(volume.at(new Vector3(-12, 20, 100)), undefined);
  assert.deepEqual(volume.low.toArray(), [-11, 19, 97.5]);
  assert.deepEqual(volume.high.toArray(), [-3, 25, 107.5]);
  assert.equal(volume.spacing, 2);
  const labels = new Labels(info, Uint16Array.from({ length: 24 }, (_, i) => i));
  assert.equal(labels.at(new Vector3(-4, 24, 105)), 23);
  assert.equal(labels.at(new Vector3(0, 0, 0)), 0);
  const state = start();
  assert.equal(slicePlace(state, 'axial', volume), 102.5, 'the middle until it is set');
  assert.equal(slicePlace({ ...state, slices: { ...state.slices, axial: { on: true, at: 1010 } } }, 'axial', volume), 101);
  assert.ok(slicePlace({ ...state, slices: { ...state.slices, axial: { on: true, at: 99999 } } }, 'axial', volume) < 107.5, 'kept inside');
});

test('panes: radiological convention, there and back', () => {
  const flat: Flat = { axis: 'axial', centre: new Vector3(0, 0, 50), scale: 0.5 };
  const leftOfPane = patientAt(flat, 0, 100, 200, 200);
  assert.deepEqual(leftOfPane.toArray(), [-50, 0, 50], 'the patient\'s right is at the left');
  assert.deepEqual(patientAt(flat, 100, 0, 200, 200).toArray(), [0, -50, 50], 'the front is at the top');
  const back = paneAt(flat, new Vector3(-50, 0, 53), 200, 200);
  assert.deepEqual(back, { x: 0, y: 100, off: 3 });
  const side: Flat = { axis: 'sagittal', centre: new Vector3(), scale: 1 };
  assert.deepEqual(patientAt(side, 0, 50, 100, 100).toArray().map((v) => v + 0), [0, -50, 0], 'the front is at the left');
});
