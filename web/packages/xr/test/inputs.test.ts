/** Devices by handedness, whatever comes and goes: with sessions made of plain objects. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Matrix4, Quaternion, Vector3 } from 'three';
import { RigHub } from '@fabrica/scene';
import type { Rig, RigKinds } from '@fabrica/scene';
import { Inputs } from '../src/inputs';
import { Rigs } from '../src/rigs';

const space = {} as XRReferenceSpace;
const at = (x: number, y: number, z: number, turn = new Quaternion()): Matrix4 => new Matrix4().compose(new Vector3(x, y, z), turn, new Vector3(1, 1, 1));

interface Made { handedness: XRHandedness; mode?: XRTargetRayMode; ray?: Matrix4; grip?: Matrix4; hand?: boolean; gamepad?: Partial<Gamepad>; profiles?: string[] }

function source({ handedness, mode = 'tracked-pointer', ray = at(0, 1, 0), grip, hand, gamepad, profiles = [] }: Made): XRInputSource {
  return { handedness, targetRayMode: mode, targetRaySpace: { matrix: ray }, gripSpace: grip && { matrix: grip }, gamepad, profiles,
    hand: hand ? new Map(Array.from({ length: 25 }, (_, i) => [`joint ${i}`, { matrix: at(i / 100, 1, 0) }])) : undefined } as unknown as XRInputSource;
}

type Place = { matrix: Matrix4 };
const frame = {
  getPose: (s: unknown) => ({ transform: { matrix: Float32Array.from((s as Place).matrix.elements) }, emulatedPosition: false }),
  fillPoses: (spaces: Place[], _base: unknown, out: Float32Array) => { spaces.forEach((s, i) => out.set(s.matrix.elements, 16 * i)); return true; },
} as unknown as XRFrame;

function setUp(sources: XRInputSource[] = []) {
  const session = Object.assign(new EventTarget(), { inputSources: sources }) as unknown as XRSession;
  const log: string[] = [];
  const inputs = new Inputs(session, () => space, {
    press: (d, squeeze) => log.push(`${d.side} ${d.kind} ${squeeze ? 'squeeze' : 'press'} ${d.origin.x}`),
    release: (d, squeeze, lost) => log.push(`${d.side} ${squeeze ? 'squeeze' : 'press'} ${lost ? 'lost' : 'let go'}`),
    changed: () => undefined,
  });
  const tell = (type: string, more: object): void => { session.dispatchEvent(Object.assign(new Event(type), more)); };
  const change = (added: XRInputSource[], removed: XRInputSource[]): void => tell('inputsourceschange', { added, removed });
  const button = (type: string, inputSource: XRInputSource): void => tell(type, { inputSource, frame });
  return { inputs, log, change, button };
}

test('the right hand comes first: it is the right hand', () => {
  const right = source({ handedness: 'right', ray: at(3, 1, 0) });
  const left = source({ handedness: 'left', ray: at(-3, 1, 0) });
  const { inputs, log, change, button } = setUp([right]);
  change([left], []);
  inputs.read(frame);
  assert.equal(inputs.right.origin.x, 3);
  assert.equal(inputs.left.origin.x, -3);
  button('selectstart', right);
  button('squeezestart', left);
  button('selectend', right);
  assert.deepEqual(log, ['right controller press 3', 'left controller squeeze -3', 'right press let go']);
});

test('a controller that vanishes lets go of what it held; the same hand may come back as a hand', () => {
  const right = source({ handedness: 'right' });
  const { inputs, log, change, button } = setUp([right]);
  button('selectstart', right);
  change([], [right]);
  assert.deepEqual(log, ['right controller press 0', 'right press lost']);
  assert.equal(inputs.right.kind, undefined);
  assert.equal(inputs.right.tracked, false);
  const hand = source({ handedness: 'right', hand: true });
  change([hand], []);
  inputs.read(frame);
  assert.equal(inputs.right.kind, 'hand');
  assert.ok(inputs.right.hasJoints);
  assert.ok(Math.abs(inputs.right.tip.x - 0.09) < 1e-6, 'the tip of the index finger is joint 9');
  button('selectend', right);
  assert.equal(log.length, 2, 'an end of what is gone is nothing');
});

test('a transient pointer points while it is there; the hand behind it stays', () => {
  const hand = source({ handedness: 'left', hand: true, ray: at(1, 1, 0) });
  const { inputs, log, change, button } = setUp([hand]);
  const pinch = source({ handedness: 'left', mode: 'transient-pointer', ray: at(7, 1, 0), grip: at(7, 1, 1) });
  change([pinch], []);
  button('selectstart', pinch);
  assert.deepEqual(log, ['left hand press 7']);
  assert.equal(inputs.left.grip.position.z, 1);
  button('selectend', pinch);
  change([], [pinch]);
  inputs.read(frame);
  assert.equal(inputs.left.origin.x, 1);
  assert.deepEqual(log, ['left hand press 7', 'left press let go']);
});

test('without hand tracking a transient pointer is all there is, then nothing', () => {
  const pinch = source({ handedness: 'right', mode: 'transient-pointer', ray: at(2, 1, 0) });
  const { inputs, log, change, button } = setUp();
  change([pinch], []);
  button('selectstart', pinch);
  change([], [pinch]);
  assert.deepEqual(log, ['right pointer press 2', 'right press lost']);
  assert.equal(inputs.right.kind, undefined);
});

test('an eye that only looks is no device', () => {
  const { inputs } = setUp([source({ handedness: 'none', mode: 'gaze', profiles: ['eye-gaze'] })]);
  assert.equal(inputs.right.kind, undefined);
});

test('rigs: rays, buttons, joints in order, one object again and again', () => {
  const pad = { buttons: [{ pressed: true, value: 0.5 }, { pressed: false, value: 0.25 }, { pressed: true, value: 1 }], axes: [0, 0, 0.5, -1] } as unknown as Gamepad;
  const left = source({ handedness: 'left', ray: at(0, 1, 3), grip: at(0, 1, 2), gamepad: pad });
  const right = source({ handedness: 'right', hand: true, grip: at(1, 1, 2) });
  const { inputs } = setUp([left, right]);
  inputs.read(frame);
  const hub = new RigHub();
  const rigs = new Rigs(hub);
  const seen: { rig: Rig; kinds: RigKinds }[] = [];
  const end = hub.listen((rig, kinds) => seen.push({ rig, kinds }));
  rigs.emit(5, at(0, 1.6, 0, new Quaternion(0, 0.6, 0, 0.8)), inputs);
  rigs.emit(6, at(0, 1.7, 0), inputs);
  end();
  rigs.emit(7, at(0, 1.8, 0), inputs);
  assert.equal(seen.length, 2);
  const [{ rig, kinds } = { rig: undefined, kinds: undefined }] = seen;
  assert.equal(rig, seen[1]?.rig);
  assert.equal(rig?.time, 6);
  assert.deepEqual(kinds, { left: 'controller', right: 'hand', space: 'target-ray' });
  assert.deepEqual(rig?.left?.position, [0, 1, 3]);
  assert.deepEqual([rig?.left?.pressed, rig?.left?.trigger, rig?.left?.squeeze], [5, 0.5, 0.25]);
  assert.equal(rig?.hands?.left, undefined);
  assert.ok(Math.abs((rig?.hands?.right?.[24]?.position[0] ?? 0) - 0.24) < 1e-6);
  assert.deepEqual([inputs.left.stickX, inputs.left.stickY], [0.5, -1]);
});
