/**
 * Somebody at a time: between the two samples around it, as metres and quaternions. A figure is filled anew for each
 * frame and makes nothing: in a headset that would be fifty joints, a hundred times a second.
 */
import { blank, devices, restore, restoreJoint } from './codec';
import type { Device, HandPose, HandSample, PoseReal, PoseSample } from './codec';
import type { Body } from './reader';

export interface ShownDevice extends PoseReal { emulated: boolean; trigger: number; squeeze: number; pressed: number }
/** What is not there is undefined. */
export interface Shown {
  readonly head: ShownDevice | undefined;
  readonly left: ShownDevice | undefined;
  readonly right: ShownDevice | undefined;
  /** 25 joints each, in the order of WebXR Hand Input. */
  readonly hands: { readonly left: readonly PoseReal[] | undefined; readonly right: readonly PoseReal[] | undefined };
}

interface Timed { time: number }
interface Around<T extends Timed> { before: T | undefined; after: T | undefined; share: number }
/** A chunk: the first person, and those beside them. */
type Chunk = Body & { readonly others?: readonly Body[] };

/** Samples further apart than this are not joined: the device was gone. Microseconds. */
const gap = 250000;
const sides = ['left', 'right'] as const;

/** Puts `a` on the shorter way to `b`, normalised; good for the small turns between samples. */
function towards(a: PoseReal, b: PoseReal, share: number): void {
  const p = a.position;
  const q = a.rotation;
  const r = b.rotation;
  for (let i = 0; i < 3; i++) p[i] = (p[i] as number) + ((b.position[i] as number) - (p[i] as number)) * share;
  const sign = q[0] * r[0] + q[1] * r[1] + q[2] * r[2] + q[3] * r[3] < 0 ? -1 : 1;
  for (let i = 0; i < 4; i++) q[i] = (q[i] as number) + (sign * (r[i] as number) - (q[i] as number)) * share;
  const norm = Math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]) || 1;
  for (let i = 0; i < 4; i++) q[i] = (q[i] as number) / norm;
}

/** How many of a list, in order, are at or before `time`. */
function countTo(list: readonly Timed[], time: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle] as Timed).time <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Takes the last sample of `list` at or before `time` and the first after it where they are nearer than those it has. */
function narrow<T extends Timed>(found: Around<T>, list: readonly T[], time: number): void {
  const n = countTo(list, time);
  const a = list[n - 1];
  const b = list[n];
  if (a && (!found.before || a.time > found.before.time)) found.before = a;
  if (b && (!found.after || b.time < found.after.time)) found.after = b;
}

/** False where there is no sample of the last quarter second. */
function settle<T extends Timed>(found: Around<T>, time: number): boolean {
  const { before, after } = found;
  if (!before || time - before.time > gap) return false;
  found.share = after && after.time - before.time <= gap ? (time - before.time) / Math.max(1, after.time - before.time) : 0;
  return true;
}

const device = (): ShownDevice => ({ ...blank(), emulated: false, trigger: 0.5, squeeze: 0.5, pressed: 0 });
const joints = (): PoseReal[] => Array.from({ length: 25 }, blank);

function fillHand(hand: HandPose, out: readonly PoseReal[]): void {
  const wrist = restore(hand.wrist, out[0] as PoseReal);
  for (let i = 1; i < out.length; i++) restoreJoint(wrist, hand.joints[i - 1] as HandPose['wrist'], out[i] as PoseReal);
}

export class Figure implements Shown {
  head: ShownDevice | undefined;
  left: ShownDevice | undefined;
  right: ShownDevice | undefined;
  readonly hands: { left: PoseReal[] | undefined; right: PoseReal[] | undefined } = { left: undefined, right: undefined };
  private readonly kept = { head: device(), left: device(), right: device() };
  private readonly keptHands = { left: joints(), right: joints() };
  private readonly next = blank();
  private readonly nextHand = joints();
  private readonly poses: Around<PoseSample> = { before: undefined, after: undefined, share: 0.5 };
  private readonly grasps: Around<HandSample> = { before: undefined, after: undefined, share: 0.5 };

  /** `other`: who of those beside the first one; undefined: the first. */
  constructor(private readonly other?: number) {}

  /** Where head, devices and joints are at `time`, microseconds; what had no sample for a quarter of a second is not shown. Gives back itself. */
  at(pieces: readonly Chunk[], time: number): this {
    const { poses, grasps } = this;
    poses.before = poses.after = grasps.before = grasps.after = undefined;
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i] as Chunk;
      const body = this.other === undefined ? piece : piece.others?.[this.other];
      if (!body) continue;
      narrow(poses, body.poses, time);
      narrow(grasps, body.hands, time);
    }
    const posed = settle(poses, time);
    for (let i = 0; i < devices.length; i++) this.fillDevice(devices[i] as Device, posed);
    const grasped = settle(grasps, time);
    for (let i = 0; i < sides.length; i++) this.fillSide(sides[i] as 'left' | 'right', grasped);
    return this;
  }

  private fillDevice(name: Device, posed: boolean): void {
    const { before, after, share } = this.poses;
    const from = posed ? before?.pose[name] : undefined;
    this[name] = undefined;
    if (!from) return;
    const out = restore(from, this.kept[name]);
    const to = share > 0 ? after?.pose[name] : undefined;
    if (to) towards(out, restore(to, this.next), share);
    const controls = before?.controls[name] ?? 0;
    out.emulated = from.emulated;
    out.pressed = controls & 255;
    out.trigger = ((controls >> 8) & 255) / 255;
    out.squeeze = ((controls >> 16) & 255) / 255;
    this[name] = out;
  }

  private fillSide(side: 'left' | 'right', grasped: boolean): void {
    const { before, after, share } = this.grasps;
    const from = grasped ? before?.[side] : undefined;
    this.hands[side] = undefined;
    if (!from) return;
    const out = this.keptHands[side];
    fillHand(from, out);
    const to = share > 0 ? after?.[side] : undefined;
    if (to) {
      fillHand(to, this.nextHand);
      for (let i = 0; i < out.length; i++) towards(out[i] as PoseReal, this.nextHand[i] as PoseReal, share);
    }
    this.hands[side] = out;
  }
}
