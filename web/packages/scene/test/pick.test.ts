/** What a ray picks: what is seen through is picked through. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Plane, Ray, Vector3 } from 'three';
import type { Model } from '../src/model';
import { Picker } from '../src/pick';
import { spheres } from './spheres';

const ray = new Ray(new Vector3(0, 0, 1), new Vector3(0, 0, -1));

/** Three spheres of 20 mm behind each other, from the front, and what they are faded to. */
function row(...opacities: number[]): { model: Model; picker: Picker } {
  const model = spheres(opacities.map((_, i) => [0, 0, -0.1 * i]));
  opacities.forEach((opacity, i) => {
    const part = model.list[i];
    if (part) Object.assign(part, { opacity, shown: opacity > 0 });
  });
  return { model, picker: new Picker(model) };
}

const met = (picker: Picker): number | undefined => (picker.along(ray, []) ?? picker.faint(ray, []))?.part.id;

test('the first solid structure, through all that is seen through', () => {
  assert.equal(met(row(1, 1, 1).picker), 1);
  assert.equal(met(row(0.25, 1, 1).picker), 2);
  assert.equal(met(row(0.4, 0.49, 1).picker), 3);
  assert.equal(met(row(0.6, 1, 1).picker), 1, 'most of what one sees is the first');
  assert.equal(met(row(0, 0.5, 1).picker), 2, 'hidden is not there');
});

test('with nothing solid behind it, what is seen through is picked, the nearest first', () => {
  const { picker } = row(0.25, 0.1, 0);
  assert.equal(picker.along(ray, []), undefined);
  assert.equal(met(picker), 1);
  assert.ok(Math.abs((picker.faint(ray, [])?.distance ?? 0) - 0.98) < 1e-3);
  assert.equal(met(row(0, 0, 0).picker), undefined);
});

test('what is cut away is neither, and a reach holds for both', () => {
  const behind = [new Plane(new Vector3(0, 0, -1), -0.05)]; // keeps what is behind z = -50 mm
  assert.equal(row(1, 0.25, 1).picker.along(ray, behind)?.part.id, 3);
  assert.equal(row(0.25, 0.3, 0).picker.faint(ray, behind)?.part.id, 2);
  assert.equal(row(0.25, 1, 0).picker.along(ray, [], 1.0), undefined);
  assert.equal(row(0.25, 1, 0).picker.faint(ray, [], 0.9), undefined);
});

test('a tip touches solid surfaces alone', () => {
  const tip = new Vector3(0, 0, 0.022);
  assert.equal(row(1, 1).picker.near(tip, [], 0.01)?.part.id, 1);
  assert.equal(row(0.25, 1).picker.near(tip, [], 0.01), undefined);
});
