/** Rigs from the headset: one object, filled anew each frame (scene/src/rig.ts). */
import { Matrix4, Quaternion, Vector3 } from 'three';
import type { Rig, RigDevice, RigHub, RigKinds, RigPose } from '@fabrica/scene';
import { jointCount } from './inputs';
import type { Device, Inputs } from './inputs';

const pose = (): RigPose => ({ position: [0, 0, 0], rotation: [0, 0, 0, 1], emulated: false });
const device = (): RigDevice => ({ ...pose(), pressed: 0, trigger: 0, squeeze: 0 });

function fill(out: RigPose, position: Vector3, rotation: Quaternion): void {
  out.position[0] = position.x;
  out.position[1] = position.y;
  out.position[2] = position.z;
  out.rotation[0] = rotation.x;
  out.rotation[1] = rotation.y;
  out.rotation[2] = rotation.z;
  out.rotation[3] = rotation.w;
}

export class Rigs {
  private readonly rig: Rig = { time: 0, head: pose(), left: undefined, right: undefined, hands: undefined };
  private readonly kinds: RigKinds = { left: undefined, right: undefined, space: 'grip' };
  private readonly two = { left: device(), right: device() };
  private readonly hands: { left: RigPose[] | undefined; right: RigPose[] | undefined } = { left: undefined, right: undefined };
  private readonly joints = { left: Array.from({ length: jointCount }, pose), right: Array.from({ length: jointCount }, pose) };
  private readonly matrix = new Matrix4();
  private readonly position = new Vector3();
  private readonly rotation = new Quaternion();
  private readonly size = new Vector3();

  constructor(private readonly hub: RigHub) {}

  /** `head`: the viewer in the room; `time`: ms of the frame. */
  emit(time: number, head: Matrix4, inputs: Inputs): void {
    if (this.hub.idle) return;
    const { rig, kinds } = this;
    rig.time = time;
    head.decompose(this.position, this.rotation, this.size);
    fill(rig.head, this.position, this.rotation);
    kinds.space = 'target-ray'; // where somebody points matters more in a lesson than how they hold it
    kinds.left = inputs.left.tracked ? inputs.left.kind : undefined;
    kinds.right = inputs.right.tracked ? inputs.right.kind : undefined;
    rig.left = this.device(inputs.left, this.two.left);
    rig.right = this.device(inputs.right, this.two.right);
    this.hands.left = this.hand(inputs.left, this.joints.left);
    this.hands.right = this.hand(inputs.right, this.joints.right);
    rig.hands = this.hands.left || this.hands.right ? this.hands : undefined;
    this.hub.emit(rig, kinds);
  }

  private device(from: Device, out: RigDevice): RigDevice | undefined {
    if (!from.tracked) return undefined;
    fill(out, from.origin, from.ray);
    out.emulated = from.emulated;
    out.pressed = from.buttons;
    out.trigger = from.trigger;
    out.squeeze = from.squeeze;
    return out;
  }

  private hand(from: Device, out: RigPose[]): RigPose[] | undefined {
    if (!from.hasJoints) return undefined;
    for (let i = 0; i < jointCount; i++) {
      this.matrix.fromArray(from.joints, 16 * i).decompose(this.position, this.rotation, this.size);
      fill(out[i] as RigPose, this.position, this.rotation);
    }
    return out;
  }
}
