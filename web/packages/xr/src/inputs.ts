/**
 * What the person holds or is: two devices, told apart by handedness and never by index. Controllers, tracked
 * hands and transient pointers (visionOS: there while a pinch lasts) become one kind of thing:
 *
 *   ray    where it points: origin and direction          press   trigger or pinch (WebXR `select`)
 *   grip   what is held moves with it                      squeeze grip button, if it has one
 *   tip    the point that touches: finger tip, or 4 cm in front of a controller
 *
 * Read once a frame without making garbage of our own (the poses WebXR hands out are its own).
 */
import { Matrix4, Quaternion, Vector3 } from 'three';
import type { DeviceKind } from '@fabrica/scene';

export type Side = 'left' | 'right';
export const sides: readonly Side[] = ['left', 'right'];

/** Joints a hand has, and the place of the index finger's tip and the thumb's among them. */
export const jointCount = 25;
const indexTip = 9;
const indexProximal = 6;

/** How far in front of a controller its tip is, metres. */
const reach = 0.04;

const whole = new Matrix4();
const size = new Vector3();

export class Device {
  /** undefined: nothing there. */
  kind: DeviceKind | undefined;
  /** Controller or hand; stays. */
  source: XRInputSource | undefined;
  /** A pinch of visionOS, a look with a button: comes and goes, and points while it is there. */
  transient: XRInputSource | undefined;
  tracked = false;
  emulated = false;
  readonly origin = new Vector3();
  readonly direction = new Vector3(0, 0, -1);
  readonly ray = new Quaternion();
  readonly grip = { position: new Vector3(), rotation: new Quaternion() };
  hasGrip = false;
  readonly tip = new Vector3();
  hasTip = false;
  readonly joints = new Float32Array(16 * jointCount);
  hasJoints = false;
  /** The person presses or squeezes now. */
  pressing = false;
  squeezing = false;
  /** Gamepad: bits of pressed buttons, 0 to 1, -1 to 1. */
  buttons = 0;
  trigger = 0;
  squeeze = 0;
  stickX = 0;
  stickY = 0;
  private spaces: XRJointSpace[] = [];

  constructor(readonly side: Side) {}

  get pointing(): XRInputSource | undefined { return this.transient ?? this.source; }

  connect(source: XRInputSource): void {
    if (source.targetRayMode === 'tracked-pointer') this.source = source;
    else this.transient = source;
    this.spaces = this.source?.hand ? [...this.source.hand.values()] as XRJointSpace[] : [];
    this.kind = kindOf(this.source, this.transient);
  }

  /** Takes a source away; true if it was one of ours. */
  disconnect(source: XRInputSource): boolean {
    if (source !== this.source && source !== this.transient) return false;
    if (source === this.source) {
      this.source = undefined;
      this.spaces = [];
    } else this.transient = undefined;
    this.kind = kindOf(this.source, this.transient);
    if (!this.kind) this.lose();
    return true;
  }

  private lose(): void {
    this.tracked = this.hasGrip = this.hasTip = this.hasJoints = false;
    this.buttons = this.trigger = this.squeeze = this.stickX = this.stickY = 0;
  }

  read(frame: XRFrame, space: XRReferenceSpace): void {
    const { pointing } = this;
    if (!pointing) return;
    const pose = frame.getPose(pointing.targetRaySpace, space);
    this.tracked = pose !== null && pose !== undefined;
    if (!pose) return;
    this.emulated = pose.emulatedPosition;
    whole.fromArray(pose.transform.matrix).decompose(this.origin, this.ray, size);
    this.direction.set(0, 0, -1).applyQuaternion(this.ray);
    this.readGrip(frame, space, pointing);
    this.readJoints(frame, space);
    this.readPad(pointing.gamepad ?? this.source?.gamepad);
  }

  private readGrip(frame: XRFrame, space: XRReferenceSpace, from: XRInputSource): void {
    const pose = from.gripSpace ? frame.getPose(from.gripSpace, space) : undefined;
    this.hasGrip = pose !== undefined && pose !== null;
    if (pose) whole.fromArray(pose.transform.matrix).decompose(this.grip.position, this.grip.rotation, size);
    else {
      this.grip.position.copy(this.origin);
      this.grip.rotation.copy(this.ray);
    }
  }

  private readJoints(frame: XRFrame, space: XRReferenceSpace): void {
    const many = frame as XRFrame & { fillPoses?: (spaces: readonly XRSpace[], base: XRSpace, out: Float32Array) => boolean };
    this.hasJoints = this.spaces.length >= jointCount && many.fillPoses?.(this.spaces, space, this.joints) === true;
    this.hasTip = this.hasJoints || this.kind === 'controller';
    if (this.hasJoints) this.tip.fromArray(this.joints, 16 * indexTip + 12);
    else this.tip.copy(this.origin).addScaledVector(this.direction, reach);
  }

  /** The direction the index finger points in, or the ray's. */
  finger(out: Vector3): Vector3 {
    if (!this.hasJoints) return out.copy(this.direction);
    const { joints } = this;
    const at = (i: number): number => joints[16 * indexProximal + 12 + i] as number;
    return out.set(this.tip.x - at(0), this.tip.y - at(1), this.tip.z - at(2)).normalize();
  }

  private readPad(pad: Gamepad | undefined | null): void {
    if (!pad) {
      this.buttons = 0;
      this.trigger = this.pressing ? 1 : 0;
      this.squeeze = this.squeezing ? 1 : 0;
      this.stickX = this.stickY = 0;
      return;
    }
    let bits = 0;
    for (let i = 0; i < Math.min(8, pad.buttons.length); i++) if (pad.buttons[i]?.pressed) bits |= 1 << i;
    this.buttons = bits;
    this.trigger = pad.buttons[0]?.value ?? 0;
    this.squeeze = pad.buttons[1]?.value ?? 0;
    this.stickX = pad.axes[2] ?? 0;
    this.stickY = pad.axes[3] ?? 0;
  }

  /** A short pulse where the device can. `strength`: 0 to 1, `ms`: how long. */
  pulse(strength: number, ms: number): void {
    const pad = this.pointing?.gamepad as (Gamepad & { hapticActuators?: readonly { pulse?: (value: number, duration: number) => unknown }[] }) | undefined;
    pad?.hapticActuators?.[0]?.pulse?.(strength, ms);
  }
}

function kindOf(source: XRInputSource | undefined, transient: XRInputSource | undefined): DeviceKind | undefined {
  if (source) return source.hand ? 'hand' : 'controller';
  return transient ? 'pointer' : undefined;
}

/** What happens with a device, told at once with fresh poses. */
export interface InputEvents {
  press: (device: Device, squeeze: boolean) => void;
  /** Let go; `lost`: the device vanished, so nothing is to be finished. */
  release: (device: Device, squeeze: boolean, lost: boolean) => void;
  changed: () => void;
}

export class Inputs {
  readonly left = new Device('left');
  readonly right = new Device('right');
  readonly devices: readonly Device[] = [this.left, this.right];
  private readonly abort = new AbortController();

  constructor(session: XRSession, private readonly space: () => XRReferenceSpace | null, private readonly events: InputEvents) {
    const { signal } = this.abort;
    session.addEventListener('inputsourceschange', (event) => this.change(event.removed, event.added), { signal });
    const on = (type: 'selectstart' | 'selectend' | 'squeezestart' | 'squeezeend', squeeze: boolean, down: boolean): void =>
      session.addEventListener(type, (event: XRInputSourceEvent) => this.button(event, squeeze, down), { signal });
    on('selectstart', false, true);
    on('selectend', false, false);
    on('squeezestart', true, true);
    on('squeezeend', true, false);
    this.change([], session.inputSources ?? []);
  }

  /** By handedness; what has none is the right. */
  private deviceFor(source: XRInputSource): Device {
    return source.handedness === 'left' ? this.left : this.right;
  }

  private change(removed: Iterable<XRInputSource>, added: Iterable<XRInputSource>): void {
    for (const source of removed) {
      for (const device of this.devices) {
        const held = source === device.pointing;
        if (!device.disconnect(source) || !held) continue;
        this.let(device, false, true);
        this.let(device, true, true);
      }
    }
    for (const source of added) {
      if (source.targetRayMode === 'gaze' && source.handedness === 'none' && !source.gamepad && source.profiles.includes('eye-gaze')) continue; // looks, never presses
      this.deviceFor(source).connect(source);
    }
    this.events.changed();
  }

  private button(event: XRInputSourceEvent, squeeze: boolean, down: boolean): void {
    const device = this.deviceFor(event.inputSource);
    if (device.pointing !== event.inputSource) {
      if (device.source !== event.inputSource && device.transient !== event.inputSource) return;
    }
    const space = this.space();
    if (space) device.read(event.frame, space);
    if (!down) return this.let(device, squeeze, false);
    if (squeeze) device.squeezing = true;
    else device.pressing = true;
    this.events.press(device, squeeze);
  }

  private let(device: Device, squeeze: boolean, lost: boolean): void {
    if (squeeze ? !device.squeezing : !device.pressing) return;
    if (squeeze) device.squeezing = false;
    else device.pressing = false;
    this.events.release(device, squeeze, lost);
  }

  read(frame: XRFrame): void {
    const space = this.space();
    if (!space) return;
    this.left.read(frame, space);
    this.right.read(frame, space);
  }

  /** Lets go of all that is held, as if the devices had vanished. */
  end(): void {
    for (const device of this.devices) {
      this.let(device, false, true);
      this.let(device, true, true);
    }
    this.abort.abort();
  }
}
