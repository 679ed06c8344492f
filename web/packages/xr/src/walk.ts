/**
 * Going about: a stick forward throws an arc and letting it go leads to its ring; a stick aside turns by 30 degrees.
 * A hand points at the floor until the ring is there and pinches. The person moves, the scene does not.
 */
import { Vector3 } from 'three';
import type { Aimer } from './aim';
import type { Deed, Taker } from './deed';
import type { Device } from './inputs';
import { sides } from './inputs';
import type { Side } from './inputs';
import type { Standing } from './place';

const snap = Math.PI / 6;
const speed = 5.2;
const gravity = 9.8;
export const arcPoints = 20;
/** The ring must have been seen this long before a pinch on it goes there, ms. */
const seen = 250;
const step = { low: 0.5, high: 6 };

interface Stick { turned: boolean; throwing: boolean }

export class Walk implements Taker {
  /** The arc of a throw: points from the hand to the floor; none while nobody throws. */
  readonly arc = Array.from({ length: arcPoints }, () => new Vector3());
  arcCount = 0;
  /** Where one would stand. */
  readonly ring = new Vector3();
  ringShown = false;
  private readonly sticks: Record<Side, Stick> = { left: { turned: false, throwing: false }, right: { turned: false, throwing: false } };
  private readonly since: Record<Side, number> = { left: Infinity, right: Infinity };
  private now = 0;

  /** `went`: told after the person was moved. */
  constructor(private readonly standing: Standing, private readonly aimer: Aimer, private readonly eye: Vector3, private readonly went: () => void) {}

  /** Once a frame. */
  step(devices: readonly Device[], time: number): void {
    this.now = time;
    this.ringShown = false;
    this.arcCount = 0;
    for (let i = 0; i < devices.length; i++) {
      const device = devices[i] as Device;
      this.stick(device);
      this.pointed(device, time);
    }
  }

  private stick(device: Device): void {
    const state = this.sticks[device.side];
    const { stickX: x, stickY: y } = device;
    if (Math.abs(x) < 0.4) state.turned = false;
    if (Math.abs(x) > 0.7 && Math.abs(x) > Math.abs(y) && !state.turned && !state.throwing) {
      state.turned = true;
      this.standing.turn(this.eye, -Math.sign(x) * snap);
      this.went();
    }
    if (y < -0.7 && Math.abs(y) > Math.abs(x)) state.throwing = true;
    if (!state.throwing) return;
    this.throwArc(device);
    if (Math.hypot(x, y) > 0.35) return;
    state.throwing = false;
    if (this.ringShown) this.go(device);
  }

  /** A ball's way from the hand to the floor. */
  private throwArc(device: Device): void {
    const { origin, direction } = device;
    const up = direction.y * speed;
    const t = (up + Math.sqrt(Math.max(0, up * up + 2 * gravity * Math.max(0, origin.y)))) / gravity;
    this.arcCount = arcPoints;
    for (let i = 0; i < arcPoints; i++) {
      const at = (t * i) / (arcPoints - 1);
      (this.arc[i] as Vector3).copy(origin).addScaledVector(direction, speed * at).setY(origin.y + up * at - (gravity * at * at) / 2);
    }
    this.ring.copy(this.arc[arcPoints - 1] as Vector3).setY(0);
    this.ringShown = true;
  }

  /** The ring where a ray meets the floor; controllers have their sticks. */
  private pointed(device: Device, time: number): void {
    const { floor } = this.aimer.aims[device.side];
    const may = device.kind !== 'controller' && floor !== undefined && this.far(floor);
    if (!may) this.since[device.side] = Infinity;
    else if (this.since[device.side] === Infinity) this.since[device.side] = time;
    if (!may || !floor || this.ringShown) return;
    this.ring.copy(floor);
    this.ringShown = true;
  }

  private far(place: Vector3): boolean {
    const way = Math.hypot(place.x - this.eye.x, place.z - this.eye.z);
    return way > step.low && way < step.high;
  }

  private go(device: Device): void {
    this.standing.go(this.eye, this.ring);
    device.pulse(0.5, 30);
    this.went();
  }

  take(device: Device, squeeze: boolean): Deed | undefined {
    if (squeeze || device.kind === 'controller') return undefined;
    const { floor } = this.aimer.look(device);
    const transient = device.transient !== undefined; // its ray is there only since it was pinched
    if (!floor || !this.far(floor) || (!transient && this.now - this.since[device.side] < seen)) return undefined;
    const place = floor.clone();
    return { move: () => undefined, end: (_device, lost) => {
      if (lost && !transient) return;
      this.ring.copy(place);
      this.go(device);
    } };
  }

  end(): void { for (const side of sides) this.sticks[side].throwing = false; }
}
