/**
 * Holding the model: one hand moves it, two hands move, turn and scale it. Pure: poses in, placement out.
 *
 *   one hand:  model' = hand_now * hand_then^-1 * model
 *   two hands: the line between the hands carries the model: its middle, its direction, its length
 */
import { Quaternion, Vector3 } from 'three';

export interface Pose { position: Vector3; rotation: Quaternion }
export interface Placement extends Pose { scale: number }

/** Of life size, in the headset; a model that is beyond (by a row) is not pulled back before it is scaled. */
export const limits = { low: 0.5, high: 5 };

/** The placement after one hand went from `then` to `now`. */
export function byOneHand(model: Placement, then: Pose, now: Pose): Placement {
  const turn = now.rotation.clone().multiply(then.rotation.clone().invert());
  return {
    position: model.position.clone().sub(then.position).applyQuaternion(turn).add(now.position),
    rotation: turn.clone().multiply(model.rotation),
    scale: model.scale,
  };
}

/** The placement after two hands went from `then` to `now`. Scale stays within 0.5 to 5 of life size. */
export function byTwoHands(model: Placement, then: readonly [Pose, Pose], now: readonly [Pose, Pose]): Placement {
  const lineThen = then[1].position.clone().sub(then[0].position);
  const lineNow = now[1].position.clone().sub(now[0].position);
  const wanted = model.scale * (lineNow.length() / Math.max(lineThen.length(), 1e-4));
  const scale = Math.min(Math.max(limits.high, model.scale), Math.max(Math.min(limits.low, model.scale), wanted));
  const turn = new Quaternion().setFromUnitVectors(lineThen.normalize(), lineNow.normalize());
  const middleThen = then[0].position.clone().add(then[1].position).multiplyScalar(0.5);
  const middleNow = now[0].position.clone().add(now[1].position).multiplyScalar(0.5);
  const position = model.position.clone().sub(middleThen).multiplyScalar(scale / model.scale).applyQuaternion(turn).add(middleNow);
  return { position, rotation: turn.multiply(model.rotation), scale };
}

/** Upright, its middle (the model's own metres) at `place`, turned about the vertical by `facing` radians. */
export function standingAt(middle: Vector3, place: Vector3, scale: number, facing: number): Placement {
  const rotation = new Quaternion().setFromAxisAngle(new Vector3(0, 1, 0), facing);
  return { position: middle.clone().multiplyScalar(-scale).applyQuaternion(rotation).add(place), rotation, scale };
}
