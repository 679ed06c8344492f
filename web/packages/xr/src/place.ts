/**
 * Where the person stands in the room: the real floor's frame, turned about the vertical and shifted.
 *
 *   room = turn(yaw) * floor + shift
 */
import { Vector3 } from 'three';
import type { WebXRManager } from 'three';

const up = new Vector3(0, 1, 0);

export class Standing {
  yaw = 0;
  readonly shift = new Vector3();

  /** `floor`: the reference space the session began with. */
  constructor(private readonly xr: WebXRManager, private readonly floor: XRReferenceSpace) {}

  /** Turns the person to the left by `angle` radians about where they stand. */
  turn(eye: Vector3, angle: number): void {
    this.yaw += angle;
    const [x, z] = [this.shift.x - eye.x, this.shift.z - eye.z];
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    this.shift.set(eye.x + c * x + s * z, this.shift.y, eye.z - s * x + c * z);
    this.tell();
  }

  /** Puts the person's eyes above a place of the floor. */
  go(eye: Vector3, place: Vector3): void {
    this.shift.x += place.x - eye.x;
    this.shift.z += place.z - eye.z;
    this.tell();
  }

  /** Raises the person by metres, where the device knows no floor. */
  raise(metres: number): void {
    this.shift.y += metres;
    this.tell();
  }

  private tell(): void {
    const back = this.shift.clone().negate().applyAxisAngle(up, -this.yaw);
    this.xr.setReferenceSpace(this.floor.getOffsetReferenceSpace(
      new XRRigidTransform({ x: back.x, y: back.y, z: back.z }, { x: 0, y: Math.sin(-this.yaw / 2), z: 0, w: Math.cos(this.yaw / 2) })));
  }
}
