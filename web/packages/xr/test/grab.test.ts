/** Holding the model, by numbers. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Quaternion, Vector3 } from 'three';
import { byOneHand, byTwoHands, standingAt } from '../src/grab';
import type { Pose } from '../src/grab';

const pose = (x: number, y: number, z: number, rotation = new Quaternion()): Pose => ({ position: new Vector3(x, y, z), rotation });
const near = (a: Vector3, b: number[]): void => a.toArray().forEach((v, i) => assert.ok(Math.abs(v - (b[i] ?? NaN)) < 1e-9, `${a.toArray()} is not ${b}`));
const model = { position: new Vector3(0, 1, 0), rotation: new Quaternion(), scale: 1 };
const quarter = new Quaternion().setFromAxisAngle(new Vector3(0, 1, 0), Math.PI / 2);

test('one hand carries and turns', () => {
  near(byOneHand(model, pose(0, 1, 1), pose(0.5, 1, 1)).position, [0.5, 1, 0]);
  const turned = byOneHand(model, pose(0, 1, 1), pose(0, 1, 1, quarter));
  near(turned.position, [-1, 1, 1]);
  near(new Vector3(1, 0, 0).applyQuaternion(turned.rotation), [0, 0, -1]);
});

test('two hands scale about their middle, within limits', () => {
  const then = [pose(-0.1, 1, 0), pose(0.1, 1, 0)] as const;
  const grown = byTwoHands({ ...model, position: new Vector3(0.1, 1, 0) }, then, [pose(-0.2, 1, 0), pose(0.2, 1, 0)]);
  assert.ok(Math.abs(grown.scale - 2) < 1e-9);
  near(grown.position, [0.2, 1, 0]);
  assert.equal(byTwoHands(model, then, [pose(-9, 1, 0), pose(9, 1, 0)]).scale, 5);
  assert.equal(byTwoHands(model, then, [pose(-0.001, 1, 0), pose(0.001, 1, 0)]).scale, 0.5);
  assert.equal(byTwoHands({ ...model, scale: 8 }, then, then).scale, 8, 'what is beyond stays until it is scaled');
});

test('standing on the table', () => {
  near(standingAt(new Vector3(0, 0.1, -0.02), new Vector3(0, 1, -0.7), 2, 0).position, [0, 0.8, -0.66]);
  near(standingAt(new Vector3(0, 0.1, -0.02), new Vector3(0, 1, -0.7), 1, Math.PI / 2).position, [0.02, 0.9, -0.7]);
});
