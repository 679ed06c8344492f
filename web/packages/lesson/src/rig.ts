/** Somebody at a time: between the two samples around it, as metres and quaternions. */
import { devices, restore, restoreJoint } from './codec';
import type { Device, HandPose, HandSample, Pose, PoseReal, PoseSample } from './codec';
import type { Body } from './reader';

export interface ShownDevice extends PoseReal { emulated: boolean; trigger: number; squeeze: number; pressed: number }
export interface Shown { head?: ShownDevice; left?: ShownDevice; right?: ShownDevice; hands: { left?: PoseReal[]; right?: PoseReal[] } }

/** Samples further apart than this are not joined: the device was gone. Microseconds. */
const gap = 250000;

/** The shorter way between two quaternions, normalised; good for the small turns between samples. */
export function between(a: PoseReal, b: PoseReal, share: number): PoseReal {
  const dot = a.rotation.reduce((sum, v, i) => sum + v * (b.rotation[i] as number), 0);
  const sign = dot < 0 ? -1 : 1;
  const q = a.rotation.map((v, i) => v + (sign * (b.rotation[i] as number) - v) * share);
  const norm = Math.hypot(...q) || 1;
  return {
    position: a.position.map((v, i) => v + ((b.position[i] as number) - v) * share) as PoseReal['position'],
    rotation: q.map((v) => v / norm) as PoseReal['rotation'],
  };
}

interface Timed { time: number }

/** The last sample at or before `time` and the first after it, over chunks in order. */
export function around<T extends Timed>(lists: readonly (readonly T[])[], time: number): [T | undefined, T | undefined] {
  let before: T | undefined;
  let after: T | undefined;
  for (const list of lists) {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as T).time <= time) low = middle + 1;
      else high = middle;
    }
    const [a, b] = [list[low - 1], list[low]];
    if (a && (!before || a.time > before.time)) before = a;
    if (b && (!after || b.time < after.time)) after = b;
  }
  return [before, after];
}

const shareOf = (a: Timed, b: Timed | undefined, time: number): number => (b && b.time - a.time <= gap ? (time - a.time) / Math.max(1, b.time - a.time) : 0);

function deviceAt(a: PoseSample, b: PoseSample | undefined, device: Device, share: number): ShownDevice | undefined {
  const from = a.pose[device];
  if (!from) return undefined;
  const to = share > 0 ? b?.pose[device] : undefined;
  const controls = a.controls[device] ?? 0;
  const pose = to ? between(restore(from), restore(to), share) : restore(from);
  return { ...pose, emulated: from.emulated, pressed: controls & 255, trigger: ((controls >> 8) & 255) / 255, squeeze: ((controls >> 16) & 255) / 255 };
}

const joints = (hand: HandPose): PoseReal[] => [restore(hand.wrist), ...hand.joints.map((joint: Pose) => restoreJoint(hand.wrist, joint))];

function handAt(a: HandSample, b: HandSample | undefined, side: 'left' | 'right', share: number): PoseReal[] | undefined {
  const from = a[side];
  if (!from) return undefined;
  const first = joints(from);
  const to = share > 0 ? b?.[side] : undefined;
  if (!to) return first;
  const second = joints(to);
  return first.map((pose, i) => between(pose, second[i] as PoseReal, share));
}

/** Where head, devices and joints are at `time`; what had no sample for a quarter of a second is not shown. */
export function shownAt(pieces: readonly Body[], time: number): Shown {
  const out: Shown = { hands: {} };
  const [a, b] = around(pieces.map((p) => p.poses), time);
  if (a && time - a.time <= gap) {
    for (const device of devices) {
      const shown = deviceAt(a, b, device, shareOf(a, b, time));
      if (shown) out[device] = shown;
    }
  }
  const [c, d] = around(pieces.map((p) => p.hands), time);
  if (c && time - c.time <= gap) {
    for (const side of ['left', 'right'] as const) {
      const hand = handAt(c, d, side, shareOf(c, d, time));
      if (hand) out.hands[side] = hand;
    }
  }
  return out;
}
