/**
 * Spaces. The patient: LPS, mm (rows hold 0.1 mm). The scene: glTF's, metres, y up.
 *
 *   patient L -> scene +x     patient S -> scene +y     patient P -> scene -z
 */
import { Matrix4, Vector3 } from 'three';
import type { Point } from '@fabrica/contract';

export const sceneFromPatient = new Matrix4().set(0.001, 0, 0, 0, 0, 0, 0.001, 0, 0, -0.001, 0, 0, 0, 0, 0, 1);
export const patientFromScene = sceneFromPatient.clone().invert();

/** Scene metres of a point in 0.1 mm LPS. */
export const sceneOf = (p: Point, out = new Vector3()): Vector3 => out.set(p[0] / 10000, p[2] / 10000, -p[1] / 10000);

/** 0.1 mm LPS of a point in scene metres, rounded as rows are. */
export const tenthsOf = (v: Vector3): Point => [whole(v.x * 10000), whole(-v.z * 10000), whole(v.y * 10000)];

/** Rounds, and makes -0 to 0. */
export const whole = (x: number): number => Math.round(x) + 0;

/** A unit vector in scene axes as 1/32767 of LPS. */
export const unitsOf = (v: Vector3): Point => [whole(v.x * 32767), whole(-v.z * 32767), whole(v.y * 32767)];

/** A direction in 1/32767 LPS as a unit vector in scene axes; up where it has no length. */
export function directionOf(n: Point, out = new Vector3()): Vector3 {
  out.set(n[0], n[2], -n[1]);
  return out.lengthSq() === 0 ? out.set(0, 1, 0) : out.normalize();
}

/** Scene metres of a point in mm LPS, as a manifest gives them. */
export const sceneOfMm = (p: readonly number[]): Vector3 => new Vector3((p[0] ?? 0) / 1000, (p[2] ?? 0) / 1000, -(p[1] ?? 0) / 1000);
