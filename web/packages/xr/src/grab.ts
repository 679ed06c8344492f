/**
 * Holding the model: one hand moves it, two hands move, turn and scale it. Pure: poses in, placement out.
 *
 *   one hand:  model' = hand_now * hand_then^-1 * model
 *   two hands: the line between the hands carries the model: its middle, its direction, its length
 */
import { Matrix4, Quaternion, Vector3 } from 'three';

export interface Pose { position: Vector3; rotation: Quaternion }
export interface Placement extends Pose { scale: number }

const limits = { low: 0.1, high: 20 };

/** The placement after one hand went from `then` to `now`. */
export function byOneHand(model: Placement, then: Pose, now: Pose): Placement {
  const turn = now.rotation.clone().multiply(then.rotation.clone().invert());
  return {
    position: model.position.clone().sub(then.position).applyQuaternion(turn).add(now.position),
    rotation: turn.clone().multiply(model.rotation),
    scale: model.scale,
  };
}

/** The placement after two hands went from `then` to `now`. Scale stays within 0.1 to 20 of life size. */
export function byTwoHands(model: Placement, then: readonly [Pose, Pose], now: readonly [Pose, Pose]): Placement {
  const lineThen = then[1].position.clone().sub(then[0].position);
  const lineNow = now[1].position.clone().sub(now[0].position);
  const wanted = model.scale * (lineNow.length() / Math.max(lineThen.length(), 1e-4));
  const scale = Math.min(limits.high, Math.max(limits.low, wanted));
  const turn = new Quaternion().setFromUnitVectors(lineThen.normalize(), lineNow.normalize());
  const middleThen = then[0].position.clone().add(then[1].position).multiplyScalar(0.5);
  const middleNow = now[0].position.clone().add(now[1].position).multiplyScalar(0.5);
  const position = model.position.clone().sub(middleThen).multiplyScalar(scale / model.scale).applyQuaternion(turn).add(middleNow);
  return { position, rotation: turn.multiply(model.rotation), scale };
}

/** A placement that puts the model's middle (its own metres) at `place`, standing upright. */
export function standing(middle: Vector3, place: Vector3, scale: number): Placement {
  return { position: place.clone().addScaledVector(middle, -scale), rotation: new Quaternion(), scale };
}

export const poseOf = (matrix: Matrix4): Pose => {
  const pose = { position: new Vector3(), rotation: new Quaternion() };
  matrix.decompose(pose.position, pose.rotation, new Vector3());
  return pose;
};
