/**
 * Steady state makes no garbage: thousands of frames of everything the headset does, with devices in both hands, a
 * panel, marks and a listener for rigs, on a heap that is looked at before and after.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import { Matrix4, PerspectiveCamera, Scene, Vector3 } from 'three';
import { Session, start } from '@fabrica/contract';
import { Commands, RigHub } from '@fabrica/scene';
import type { Rig, Stage, Viewer } from '@fabrica/scene';
import { Picker } from '../../scene/src/pick';
import { spheres } from '../../scene/test/spheres';
import { Headset } from '../src/headset';

v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

/** A canvas that takes all and draws nothing. */
function canvas(): unknown {
  const brush = new Proxy({}, { get: (_, name) => (name === 'measureText' ? (text: string) => ({ width: 18 * text.length }) : () => undefined), set: () => true });
  return { width: 0, height: 0, getContext: () => brush };
}
Object.assign(globalThis, { document: { createElement: canvas, createElementNS: canvas } });

interface Setting { headset: Headset; frame: XRFrame; move: (x: number) => void }

function setUp(listen: (rig: Rig) => void): Setting {
  const model = spheres([[0, 0, 0], [0.05, 0, 0], [0.1, 0, 0]]);
  model.apply(start(), undefined);
  const camera = new PerspectiveCamera();
  camera.position.set(0, 1.6, 0);
  const cameras = { cameras: [camera, camera] };
  const floor = {} as XRReferenceSpace;
  const xr = { getCamera: () => cameras, getReferenceSpace: () => floor, setReferenceSpace: () => undefined, setFoveation: () => undefined };
  const stage = {
    renderer: { xr }, scene: new Scene(), model, picker: new Picker(model), planes: [], volume: undefined, inside: false, detail: 0, image: true,
    worldOf: () => new Vector3(), preview: () => undefined,
  } as unknown as Stage;
  const session = new Session([1, 2, 3]);
  session.watch((state) => model.apply(state, undefined));
  const commands = new Commands();
  commands.add({ kind: 'button', id: 'a', page: 'A', label: () => 'Do', run: () => undefined });
  const rigs = new RigHub();
  rigs.listen(listen);
  const viewer: Viewer = {
    session, stage, commands, rigs, ui: { tool: 'hold', pending: [], colour: [255, 0, 0], selected: undefined },
    act: (change, gesture) => session.dispatch(change, gesture) !== undefined, set: () => undefined, select: () => undefined, name: (kind) => kind, nameOf: () => 'sphere', notice: () => 'Not for diagnostic use',
  };
  const poses = [new Matrix4().makeTranslation(0.2, 1.3, -0.2), new Matrix4().makeTranslation(-0.2, 1.3, -0.2)].map((m) => ({ transform: { matrix: Float32Array.from(m.elements) }, emulatedPosition: false }));
  const source = (handedness: XRHandedness, pose: unknown): XRInputSource => ({ handedness, targetRayMode: 'tracked-pointer', targetRaySpace: pose, gripSpace: pose, profiles: [], gamepad: { buttons: [{ pressed: false, value: 0 }], axes: [0, 0, 0, 0] } }) as unknown as XRInputSource;
  const inner = Object.assign(new EventTarget(), { inputSources: [source('right', poses[0]), source('left', poses[1])], frameRate: 72 }) as unknown as XRSession;
  const frame = { getPose: (pose: unknown) => pose } as unknown as XRFrame;
  return { headset: new Headset(viewer, inner, floor, true), frame, move: (x) => { if (poses[0]) poses[0].transform.matrix[12] = x; } };
}

/** Bytes the heap grew by a frame. */
function grown(setting: Setting, frames: number, clock: { now: number }): number {
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < frames; i++) setting.headset.frame((clock.now += 1000 / 72), setting.frame);
  return (process.memoryUsage().heapUsed - before) / frames;
}

test('a frame in steady state leaves less than 512 bytes, numbers that the engine boxes; a few small objects a frame are noticed', () => {
  let garbage = false;
  const kept: unknown[] = [{}];
  const setting = setUp((rig) => { if (garbage) kept[0] = Array.from({ length: 8 }, (_, i) => ({ at: [rig.time, i] })); });
  const clock = { now: 1000 };
  for (let i = 0; i < 30000; i++) setting.headset.frame((clock.now += 1000 / 72), setting.frame);
  const steady = Math.min(...[1, 2, 3, 4].map(() => grown(setting, 1000, clock)));
  assert.ok(steady < 512, `${steady.toFixed(1)} bytes a frame`);
  garbage = true;
  for (let i = 0; i < 3000; i++) setting.headset.frame((clock.now += 1000 / 72), setting.frame);
  const control = Math.max(...[1, 2, 3].map(() => grown(setting, 1000, clock)));
  assert.ok(control > 600, `${control.toFixed(1)} bytes a frame where eight objects are made`);
  assert.equal(setting.headset.care.guard.level, 0, 'frames in time');
});
