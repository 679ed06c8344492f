/**
 * Cuts and slices in the hand: a cut follows position and turn of the hand, a slice slides along its own axis.
 * 36 rows a second at most, one gesture, and a last row where it is let go.
 */
import { Quaternion } from 'three';
import type { Vector3 } from 'three';
import { axisIndex, directionOf, sceneOf, slicePlace, tenthsOf, unitsOf, whole } from '@fabrica/scene';
import type { Point } from '@fabrica/contract';
import type { Viewer } from '@fabrica/scene';
import type { Aimer, Handle } from './aim';
import { gestureName, Pace } from './deed';
import type { Deed, Taker } from './deed';
import type { Device } from './inputs';

export class HandleHold implements Taker {
  private readonly turned = new Quaternion();

  constructor(private readonly viewer: Viewer, private readonly aimer: Aimer) {}

  take(device: Device): Deed | undefined {
    const { handle } = this.aimer.look(device);
    if (!handle) return undefined;
    device.pulse(0.4, 20);
    const set = handle.kind === 'clip' ? this.clip(device, handle) : this.slice(device, handle);
    const pace = new Pace();
    return { move: (_device, time) => { if (pace.due(time)) set(); }, end: set };
  }

  /** The hand's way since it took hold, in the model's space. */
  private way(device: Device, from: Vector3): Vector3 {
    const { root } = this.viewer.stage.model;
    return device.grip.position.clone().sub(from).applyQuaternion(this.turned.copy(root.quaternion).invert()).divideScalar(root.scale.x);
  }

  private clip(device: Device, handle: Handle & { kind: 'clip' }): () => void {
    const { plane } = handle;
    const clip = this.viewer.session.state.clips[plane];
    const point = sceneOf(clip?.point ?? [0, 0, 0]);
    const normal = directionOf(clip?.normal ?? [0, 0, 32767]);
    const from = { position: device.grip.position.clone(), rotation: device.grip.rotation.clone().invert() };
    const gesture = gestureName('clip');
    const { root } = this.viewer.stage.model;
    return () => {
      const turn = device.grip.rotation.clone().multiply(from.rotation);
      const now = normal.clone().applyQuaternion(root.quaternion).applyQuaternion(turn).applyQuaternion(this.turned.copy(root.quaternion).invert()).normalize();
      const at = tenthsOf(point.clone().add(this.way(device, from.position)));
      this.viewer.act({ op: 'clip.set', args: { plane, on: true, point: within(at), normal: unitsOf(now) } }, gesture);
    };
  }

  private slice(device: Device, { axis }: Handle & { kind: 'slice' }): () => void {
    const { stage, session } = this.viewer;
    const from = device.grip.position.clone();
    const gesture = gestureName('slice');
    const { volume } = stage;
    const start = volume ? slicePlace(session.state, axis, volume) : 0;
    const i = axisIndex[axis];
    return () => {
      const way = this.way(device, from);
      const mm = [way.x, -way.z, way.y].map((v) => 1000 * v)[i] ?? 0;
      const low = volume?.low.getComponent(i) ?? -Infinity;
      const high = volume?.high.getComponent(i) ?? Infinity;
      const at = whole(10 * Math.min(high, Math.max(low, start + mm)));
      this.viewer.act({ op: 'slice.set', args: { axis, on: true, at } }, gesture);
    };
  }
}

const within = ([x, y, z]: Point): Point => {
  const limit = (v: number): number => Math.min(100000, Math.max(-100000, v));
  return [limit(x), limit(y), limit(z)];
};
