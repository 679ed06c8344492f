/** The rectangles in which cuts and slices are shown and taken hold of, in the model's own space, metres. */
import { Vector3 } from 'three';
import type { Axis, ClipState, State } from '@fabrica/contract';
import type { Model } from './model';
import { axisIndex, screenOf, slicePlace } from './slices';
import { directionOf, sceneOf } from './space';
import type { Volume } from './volume';

export interface Frame {
  middle: Vector3;
  /** Unit vectors: along the sides, and what the rectangle faces. */
  right: Vector3;
  up: Vector3;
  normal: Vector3;
  /** Half its sides, metres. */
  wide: number;
  tall: number;
}

/** A cut: a square about the model's middle, in the plane. */
export function clipFrame(model: Model, clip: ClipState): Frame {
  const normal = directionOf(clip.normal);
  const middle = model.middle.clone();
  middle.addScaledVector(normal, sceneOf(clip.point).sub(middle).dot(normal));
  const aside = Math.abs(normal.y) < 0.9 ? new Vector3(0, 1, 0) : new Vector3(0, 0, 1);
  const right = aside.clone().cross(normal).normalize();
  const reach = Math.max(0.05, 0.31 * model.box.getSize(new Vector3()).length());
  return { middle, right, up: normal.clone().cross(right), normal, wide: reach, tall: reach };
}

const sceneDirection = (v: Vector3): Vector3 => new Vector3(v.x, v.z, -v.y);

/** A slice: the whole of the scan's rectangle. */
export function sliceFrame(state: State, axis: Axis, volume: Volume): Frame {
  const { right, up } = screenOf(axis);
  const middle = volume.low.clone().add(volume.high).multiplyScalar(0.5);
  middle.setComponent(axisIndex[axis], slicePlace(state, axis, volume));
  const size = volume.high.clone().sub(volume.low).multiplyScalar(0.0005);
  return {
    middle: sceneDirection(middle).multiplyScalar(0.001), right: sceneDirection(right), up: sceneDirection(up), normal: sceneDirection(right.clone().cross(up)),
    wide: Math.abs(size.dot(right)), tall: Math.abs(size.dot(up)),
  };
}

/** The corners in order. */
export function cornersOf({ middle, right, up, wide, tall }: Frame): Vector3[] {
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x = 0, y = 0]) => middle.clone().addScaledVector(right, x * wide).addScaledVector(up, y * tall));
}

/** Where it is taken hold of: a knob in the middle of its upper edge. */
export const knobOf = ({ middle, up, tall }: Frame): Vector3 => middle.clone().addScaledVector(up, tall);
