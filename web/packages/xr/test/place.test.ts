/** Standing and going in the room: the frames that WebXR is told. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Matrix4, Quaternion, Vector3 } from 'three';
import type { WebXRManager } from 'three';
import { Standing } from '../src/place';

class Transform { constructor(readonly position: DOMPointInit, readonly orientation: DOMPointInit) {} }
Object.assign(globalThis, { XRRigidTransform: Transform });

/** A standing and what maps the real floor to the room by what it told. */
function setUp(): { standing: Standing; roomFromFloor: () => Matrix4 } {
  let told: Transform | undefined;
  const floor = { getOffsetReferenceSpace: (t: Transform) => { told = t; return {}; } } as unknown as XRReferenceSpace;
  const standing = new Standing({ setReferenceSpace: () => undefined } as unknown as WebXRManager, floor);
  const roomFromFloor = (): Matrix4 => {
    const { position: p, orientation: q } = told as Transform;
    return new Matrix4().compose(new Vector3(p.x, p.y, p.z), new Quaternion(q.x, q.y, q.z, q.w), new Vector3(1, 1, 1)).invert();
  };
  return { standing, roomFromFloor };
}

const near = (a: Vector3, b: readonly number[]): void => a.toArray().forEach((v, i) => assert.ok(Math.abs(v - (b[i] ?? NaN)) < 1e-9, `${a.toArray()} is not ${b.join()}`));

test('turning keeps the eyes where they are', () => {
  const { standing, roomFromFloor } = setUp();
  const eye = new Vector3(1, 1.6, -2);
  standing.turn(eye, Math.PI / 2);
  near(eye.clone().applyMatrix4(roomFromFloor()), [1, 1.6, -2]);
  near(new Vector3(0, 0, -1).transformDirection(roomFromFloor()), [-1, 0, 0]);
});

test('going and turning, again and again, is one frame of the real floor', () => {
  const { standing, roomFromFloor } = setUp();
  const real = new Vector3(0.3, 1.6, 0.2);
  const eye = real.clone();
  for (let i = 0; i < 12; i++) {
    standing.go(eye, new Vector3(i, 0, -i));
    eye.copy(real).applyMatrix4(roomFromFloor());
    near(eye, [i, 1.6, -i]);
    standing.turn(eye, -Math.PI / 6);
    eye.copy(real).applyMatrix4(roomFromFloor());
    near(eye, [i, 1.6, -i]);
  }
  near(new Vector3(0, 0, -1).transformDirection(roomFromFloor()), [0, 0, -1]);
});

test('a device without a floor: the person is raised', () => {
  const { standing, roomFromFloor } = setUp();
  standing.raise(1.6);
  near(new Vector3().applyMatrix4(roomFromFloor()), [0, 1.6, 0]);
});
