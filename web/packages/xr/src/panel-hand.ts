/**
 * Hands on the panel: pointing with ray and trigger or pinch, touching with a finger tip, carrying by its bar.
 * Where nobody carries it, it stands at the person's left and comes along when they walk or turn away.
 */
import { Matrix4, Vector3 } from 'three';
import type { Deed, Taker } from './deed';
import type { Device, Side } from './inputs';
import { Spot } from './panel';
import type { Panel } from './panel';

/** A tip presses this near, metres, and lets go this far off; so near, the ray is silent. */
const touch = { press: 0.006, release: 0.02, quiet: 0.1, behind: -0.05 };
/** Where it stands: left of and below the eyes, metres, in the person's heading. */
const home = new Vector3(-0.46, -0.22, -0.6);
/** It comes along when its place is this far from where it should be, metres. */
const slack = 0.45;

const up = new Vector3(0, 1, 0);
const back = new Matrix4();

interface Finger { touching: boolean; armed: boolean }

export class PanelHands implements Taker {
  /** Where each device meets the panel now. */
  readonly spots: Record<Side, Spot> = { left: new Spot(), right: new Spot() };
  /** True where the ray, or a tip, is on the panel: nothing behind it is meant. */
  readonly busy: Record<Side, boolean> = { left: false, right: false };
  private readonly fingers: Record<Side, Finger> = { left: { touching: false, armed: false }, right: { touching: false, armed: false } };
  private carried = false;
  private pinned = false;
  private coming = true;
  private readonly goal = new Vector3();
  private readonly heading = new Vector3();
  private readonly near = new Spot();

  constructor(private readonly panel: Panel) {}

  take(device: Device, squeeze: boolean): Deed | undefined {
    const spot = this.spots[device.side];
    if (!this.aimed(device, spot)) return undefined;
    if (squeeze) return this.carry(device);
    const item = this.panel.press(device.side, spot);
    if (!item) return { move: () => undefined, end: () => undefined }; // the panel is no window: nothing behind it is meant
    device.pulse(0.5, 15);
    if (item.kind === 'bar') {
      this.panel.release(device.side, undefined);
      return this.carry(device);
    }
    return {
      move: () => { if (this.aimed(device, spot)) this.panel.drag(device.side, spot); },
      end: (_device, lost) => this.panel.release(device.side, !lost && this.aimed(device, spot) ? spot : undefined),
    };
  }

  private aimed(device: Device, spot: Spot): boolean {
    return device.tracked && this.panel.mesh.visible && !this.fingers[device.side].touching && this.panel.aim(device.origin, device.direction, spot);
  }

  private carry(device: Device): Deed {
    const { mesh } = this.panel;
    const one = new Vector3(1, 1, 1);
    const from = new Matrix4().compose(device.grip.position, device.grip.rotation, one).invert().multiply(mesh.matrixWorld);
    const now = new Matrix4();
    const size = new Vector3();
    this.carried = this.pinned = true;
    return {
      move: () => now.compose(device.grip.position, device.grip.rotation, one).multiply(from).decompose(mesh.position, mesh.quaternion, size),
      end: () => { this.carried = false; },
    };
  }

  /** Once a frame, before takers are asked. `eye` and `ahead`: where the person is and looks. */
  step(devices: readonly Device[], eye: Vector3, ahead: Vector3, tick: { readonly seconds: number }): void {
    this.follow(eye, ahead, tick);
    for (let i = 0; i < devices.length; i++) {
      const device = devices[i] as Device;
      const touched = this.finger(device);
      const spot = this.spots[device.side];
      const on = !touched && this.aimed(device, spot);
      this.busy[device.side] = touched || on;
      if (this.panel.hover(device.side, touched || on ? spot : undefined)) device.pulse(0.15, 8);
    }
  }

  /** Touch; true while the tip is near enough that the ray must be silent. */
  private finger(device: Device): boolean {
    const finger = this.fingers[device.side];
    const { near } = this;
    const over = device.tracked && device.hasTip && this.panel.mesh.visible && this.panel.over(device.tip, near);
    const spot = this.spots[device.side];
    if (finger.touching && (!over || near.depth > touch.release || near.depth < touch.behind)) {
      finger.touching = false;
      this.panel.release(device.side, over ? spot : undefined);
    } else if (finger.touching) {
      spot.copy(near);
      this.panel.drag(device.side, spot);
    } else if (over && finger.armed && near.depth <= touch.press && near.depth > touch.behind && !device.pressing) {
      finger.touching = true;
      spot.copy(near);
      if (this.panel.press(device.side, spot)) device.pulse(0.6, 15);
    }
    finger.armed = over && near.depth > touch.press && near.depth < touch.quiet;
    if (finger.armed) spot.copy(near);
    return finger.touching || finger.armed;
  }

  /** It follows the person until it is carried somewhere; `bring` makes it follow again. */
  private follow(eye: Vector3, ahead: Vector3, tick: { readonly seconds: number }): void {
    const { mesh } = this.panel;
    if (this.carried || this.pinned) return;
    this.heading.copy(ahead).setY(0);
    if (this.heading.lengthSq() < 1e-4) return;
    this.heading.normalize();
    this.goal.set(-this.heading.z * home.x - this.heading.x * home.z, home.y, this.heading.x * home.x - this.heading.z * home.z).add(eye);
    const away = mesh.position.distanceTo(this.goal);
    if (away > slack) this.coming = true;
    if (!this.coming) return;
    mesh.position.lerp(this.goal, Math.min(1, 6 * tick.seconds));
    if (away < 0.01) this.coming = false;
    this.face(eye);
  }

  /** Turned to the eyes, like a reading desk. */
  private face(eye: Vector3): void {
    const { mesh } = this.panel;
    back.lookAt(eye, mesh.position, up);
    mesh.quaternion.setFromRotationMatrix(back);
  }

  /** To the person's side at once. */
  bring(eye: Vector3, ahead: Vector3): void {
    this.pinned = false;
    this.coming = true;
    this.follow(eye, ahead, { seconds: 10 });
    this.panel.mesh.updateMatrixWorld(true);
  }

  /** The person moved by teleport or turn: a panel that was put somewhere comes along. */
  moved(): void { this.pinned = false; }
}

/** A rotation's heading about the vertical, radians: 0 looks along -z. */
export function headingOf(ahead: Vector3): number { return Math.atan2(-ahead.x, -ahead.z); }
