/**
 * Holding the model with one hand or two. What is seen follows the hands each frame; rows come 36 times a
 * second, and one more when it is let go, so that the scene ends where it was seen to end.
 */
import type { Quaternion as Turn } from '@fabrica/contract';
import type { Viewer } from '@fabrica/scene';
import { gestureName, Pace } from './deed';
import type { Deed, Taker } from './deed';
import { byOneHand, byTwoHands } from './grab';
import type { Placement, Pose } from './grab';
import type { Device } from './inputs';

/** What is held with trigger or pinch begins to move here; let go before, and within this time, it was a tap, ms. */
const start = { metres: 0.006, radians: 0.05 };
const tapTime = 450;

const whole = (x: number): number => Math.round(x) + 0;

/** A row that places the model; rounded as rows are. */
export function placeModel(viewer: Viewer, to: Placement, gesture?: string): void {
  const { position: p, rotation: q } = to;
  const turn = q.clone().normalize().toArray().map((v) => whole(v * 32767)) as Turn;
  const within = (v: number): number => Math.min(100000, Math.max(-100000, whole(v * 10000)));
  viewer.act({ op: 'model.place', args: { position: [within(p.x), within(p.y), within(p.z)], rotation: turn, scale: Math.min(20000, Math.max(100, whole(to.scale * 1000))) } }, gesture);
}

interface Hand { device: Device; then: Pose }

const poseOf = (device: Device): Pose => ({ position: device.grip.position.clone(), rotation: device.grip.rotation.clone() });

export class ModelHold implements Taker {
  private readonly hands: Hand[] = [];
  private from: Placement | undefined;
  private gesture = '';
  private readonly pace = new Pace();

  private since = 0;
  private moving = false;

  /** `may`: whether this press is for the model; `tap`: it was let go at once, where it was taken. */
  constructor(private readonly viewer: Viewer, private readonly may: (device: Device, squeeze: boolean) => boolean, private readonly tap: (device: Device) => void) {}

  take(device: Device, squeeze: boolean): Deed | undefined {
    if (!this.may(device, squeeze) || this.hands.some((h) => h.device === device)) return undefined;
    if (this.hands.length === 0) {
      this.gesture = gestureName('hold');
      this.since = performance.now();
      this.moving = squeeze;
    } else this.moving = true;
    this.hands.push({ device, then: poseOf(device) });
    this.begin();
    device.pulse(0.4, 20);
    return { move: (_device, time) => { if (this.hands[0]?.device === device) this.follow(time); }, end: (_device, lost) => this.drop(device, lost) };
  }

  /** The model's placement now, as floats: only rows are rounded. */
  placement(): Placement {
    const { root } = this.viewer.stage.model;
    return { position: root.position.clone(), rotation: root.quaternion.clone(), scale: root.scale.x };
  }

  /** A change of hands starts from where the model is. */
  private begin(): void {
    this.from = this.placement();
    for (const hand of this.hands) hand.then = poseOf(hand.device);
  }

  private drop(device: Device, lost: boolean): void {
    const now = this.now();
    if (now && this.moving) placeModel(this.viewer, now, this.gesture);
    else if (!lost && performance.now() - this.since < tapTime) this.tap(device);
    this.hands.splice(this.hands.findIndex((h) => h.device === device), 1);
    this.begin();
  }

  private now(): Placement | undefined {
    const [a, b] = this.hands;
    if (!this.from || !a) return undefined;
    if (!b) return byOneHand(this.from, a.then, a.device.grip);
    return byTwoHands(this.from, [a.then, b.then], [a.device.grip, b.device.grip]);
  }

  private follow(time: number): void {
    const now = this.now();
    if (!now || !this.begun()) return;
    if (this.pace.due(time)) placeModel(this.viewer, now, this.gesture);
    else this.viewer.stage.preview(now.position, now.rotation, now.scale);
  }

  /** A pinch trembles: nothing moves before the hand has gone a little way. */
  private begun(): boolean {
    const [hand] = this.hands;
    if (this.moving || !hand) return this.moving;
    const { position, rotation } = hand.device.grip;
    this.moving = position.distanceTo(hand.then.position) > start.metres || rotation.angleTo(hand.then.rotation) > start.radians;
    if (this.moving) this.begin();
    return this.moving;
  }

  get held(): boolean { return this.hands.length > 0; }
}
