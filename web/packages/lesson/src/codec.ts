/**
 * Poses, hands and voice as a lesson's batches, bit for bit as src/record/pose.c and track.c
 * (docs/formats/lesson.md): a pose is the difference from the one before it in the batch.
 */
import { Cursor, Growing } from './bytes';

/** Metres and a unit quaternion x y z w, in the room's frame (y up). */
export interface PoseReal { position: [number, number, number]; rotation: [number, number, number, number] }

/** Position in 0.1 mm (joints: 0.5 mm); the three smaller components times sqrt(2) times 16383 (joints: 2047). */
export interface Pose { position: [number, number, number]; rotation: [number, number, number]; largest: number; emulated: boolean }

export type Device = 'head' | 'left' | 'right';
export const devices: readonly Device[] = ['head', 'left', 'right'];

/** `time`: microseconds, a multiple of 100. `controls`: bits 0-7 buttons, 8-15 trigger, 16-23 squeeze. */
export interface PoseSample { time: number; pose: { [K in Device]?: Pose }; controls: { [K in Device]?: number } }

/** A hand: the wrist, then joints 1 to 24 in the wrist's frame. */
export interface HandPose { wrist: Pose; joints: Pose[] }
export interface HandSample { time: number; left?: HandPose; right?: HandPose }

export interface VoicePacket { time: number; sequence: number; data: Uint8Array }

const scalePose = 16383;
const scaleJoint = 2047;
const mostTenths = 1000000;
const jointCount = 25;
export const limits = { batch: 400, packet: 1500, tick: 100, packetUs: 20000 } as const;

/** C's round(): halves away from zero, exactly (x + 0.5 is not, just below a half). */
function roundC(x: number): number {
  const size = Math.abs(x);
  const low = Math.floor(size);
  const value = size - low >= 0.5 ? low + 1 : low;
  return x < 0 ? -value + 0 : value;
}

function packRotation(q: readonly number[], scale: number): { rotation: Pose['rotation']; largest: number } {
  const [x, y, z, w] = q as [number, number, number, number];
  const norm = Math.sqrt(x * x + y * y + z * z + w * w);
  if (!(Math.abs(norm - 1) <= 0.01)) throw new RangeError(`rotation: the quaternion's length is ${norm}, not 1`);
  let largest = 0;
  for (let i = 1; i < 4; i++) if (Math.abs(q[i] as number) > Math.abs(q[largest] as number)) largest = i;
  const factor = (Math.sqrt(2) * scale) / ((q[largest] as number) < 0 ? -norm : norm);
  const rest = [0, 1, 2, 3].filter((i) => i !== largest).map((i) => Math.max(-scale, Math.min(scale, roundC((q[i] as number) * factor))) + 0);
  return { rotation: rest as Pose['rotation'], largest };
}

function unpackRotation(pose: Pose, scale: number, q: PoseReal['rotation']): void {
  let rest = 1;
  let n = 0;
  for (let i = 0; i < 4; i++) {
    if (i === pose.largest) continue;
    const v = (pose.rotation[n++] as number) / (Math.sqrt(2) * scale);
    q[i] = v;
    rest -= v * v;
  }
  q[pose.largest] = rest > 0 ? Math.sqrt(rest) : 0;
}

function packPosition(m: readonly number[], perMetre: number, most: number): Pose['position'] {
  return m.map((metres) => {
    const v = roundC(metres * perMetre) + 0;
    if (!(Math.abs(v) <= most)) throw new RangeError(`position: ${metres} m, at most ${most / perMetre}`);
    return v;
  }) as Pose['position'];
}

/** Rounds. Throws a RangeError: not finite, over 100 m, or no unit quaternion (1 %). */
export function quantise(real: PoseReal, emulated = false): Pose {
  return { position: packPosition(real.position, 1e4, mostTenths), ...packRotation(real.rotation, scalePose), emulated };
}

/** A pose to be filled. */
export const blank = (): PoseReal => ({ position: [0, 0, 0], rotation: [0, 0, 0, 1] });

/** Into `out`, which it gives back. */
export function restore<T extends PoseReal>(pose: Pose, out: T): T {
  for (let i = 0; i < 3; i++) out.position[i] = (pose.position[i] as number) * 1e-4;
  unpackRotation(pose, scalePose, out.rotation);
  return out;
}

/** v turned by q; with sign -1 by its inverse. In place. */
function turn(q: PoseReal['rotation'], sign: 1 | -1, v: PoseReal['position']): void {
  const x = sign * q[0];
  const y = sign * q[1];
  const z = sign * q[2];
  const w = q[3];
  const a = v[0];
  const b = v[1];
  const c = v[2];
  const t0 = 2 * (y * c - z * b);
  const t1 = 2 * (z * a - x * c);
  const t2 = 2 * (x * b - y * a);
  v[0] = a + w * t0 + y * t2 - z * t1;
  v[1] = b + w * t1 + z * t0 - x * t2;
  v[2] = c + w * t2 + x * t1 - y * t0;
}

/** b becomes a b; with sign -1: a's inverse b. */
function multiply(a: PoseReal['rotation'], sign: 1 | -1, b: PoseReal['rotation']): void {
  const x = sign * a[0];
  const y = sign * a[1];
  const z = sign * a[2];
  const w = a[3];
  const p = b[0];
  const q = b[1];
  const r = b[2];
  const s = b[3];
  b[0] = w * p + x * s + y * r - z * q;
  b[1] = w * q - x * r + y * s + z * p;
  b[2] = w * r + x * q - y * p + z * s;
  b[3] = w * s - x * p - y * q - z * r;
}

/** A joint relative to its wrist as restored. Throws a RangeError also: more than 1 m away. */
export function quantiseJoint(wrist: Pose, joint: PoseReal): Pose {
  const base = restore(wrist, blank());
  const local = joint.position.map((v, i) => v - (base.position[i] as number)) as PoseReal['position'];
  const rotation: PoseReal['rotation'] = [...joint.rotation];
  turn(base.rotation, -1, local);
  multiply(base.rotation, -1, rotation);
  return { position: packPosition(local, 2000, scaleJoint), ...packRotation(rotation, scaleJoint), emulated: false };
}

/** A joint in the frame of its wrist, as restored, into `out`, which it gives back. */
export function restoreJoint<T extends PoseReal>(wrist: PoseReal, joint: Pose, out: T): T {
  const { position, rotation } = out;
  for (let i = 0; i < 3; i++) position[i] = (joint.position[i] as number) / 2000;
  turn(wrist.rotation, 1, position);
  for (let i = 0; i < 3; i++) position[i] = (position[i] as number) + (wrist.position[i] as number);
  unpackRotation(joint, scaleJoint, rotation);
  multiply(wrist.rotation, 1, rotation);
  return out;
}

// ---- coded poses -----------------------------------------------------------------------------

type Three = [number, number, number];
const zero = (): Pose => ({ position: [0, 0, 0], rotation: [0, 0, 0], largest: 0, emulated: false });

function widthOf(d: Three): number {
  const low = Math.min(0, ...d);
  const high = Math.max(0, ...d);
  if (low === 0 && high === 0) return 0;
  if (low >= -16 && high < 16) return 1;
  return low >= -128 && high < 128 ? 2 : 3;
}

function putGroup(to: Growing, d: Three, width: number): void {
  if (width === 1) to.uint((d[0] & 31) | ((d[1] & 31) << 5) | ((d[2] & 31) << 10), 2);
  if (width === 2) for (const v of d) to.uint(v & 255, 1);
  if (width === 3) for (const v of d) to.varint(v < 0 ? -2 * v - 1 : 2 * v);
}

function takeGroup(c: Cursor, width: number): Three {
  if (width === 0) return [0, 0, 0];
  if (width === 1) {
    const v = c.u16('differences');
    if (v >> 15) c.fail('differences', 'bit 15 is set');
    return [0, 5, 10].map((shift) => (((v >> shift) & 31) ^ 16) - 16) as Three;
  }
  if (width === 2) return [c.i8('differences'), c.i8('differences'), c.i8('differences')];
  return [0, 0, 0].map(() => {
    const v = c.varint('differences');
    if (v > 0xffffffff) c.fail('differences', 'over 32 bits');
    return v % 2 === 1 ? -Math.floor(v / 2) - 1 : v / 2;
  }) as Three;
}

function putPose(to: Growing, pose: Pose, before: Pose, controls: boolean): void {
  const moved = pose.position.map((v, i) => v - (before.position[i] as number)) as Three;
  const base = pose.largest === before.largest ? before.rotation : [0, 0, 0];
  const turned = pose.rotation.map((v, i) => v - (base[i] as number)) as Three;
  const a = widthOf(moved);
  const r = widthOf(turned);
  to.uint(pose.largest | (a << 2) | (r << 4) | (controls ? 0x40 : 0) | (pose.emulated ? 0x80 : 0), 1);
  putGroup(to, moved, a);
  putGroup(to, turned, r);
}

function takePose(c: Cursor, before: Pose, most: number, scale: number): { pose: Pose; controls: boolean } {
  const head = c.u8('head');
  const moved = takeGroup(c, (head >> 2) & 3);
  const turned = takeGroup(c, (head >> 4) & 3);
  const same = (head & 3) === before.largest;
  const position = moved.map((v, i) => v + (before.position[i] as number)) as Three;
  const rotation = turned.map((v, i) => v + (same ? (before.rotation[i] as number) : 0)) as Three;
  if (position.some((v) => Math.abs(v) > most)) c.fail('position', 'out of range');
  if (rotation.some((v) => Math.abs(v) > scale)) c.fail('rotation', 'out of range');
  return { pose: { position, rotation, largest: head & 3, emulated: head >= 128 }, controls: (head & 0x40) !== 0 };
}

function putHead(to: Growing, count: number): void {
  if (count < 1 || count > limits.batch) throw new RangeError(`a batch of ${count}, not 1 to ${limits.batch}`);
  to.uint(1, 1);
  to.uint(0, 1);
  to.uint(count, 2);
}

function takeHead(c: Cursor): number {
  const version = c.u8('version');
  if (c.u8('flags') !== 0 || version !== 1) c.fail('version', 'a batch of another version');
  const count = c.u16('count');
  if (count < 1 || count > limits.batch) c.fail('count', 'none, or more than 400');
  return count;
}

function takeTime(c: Cursor, before: number): number {
  const ticks = c.varint('time');
  if (ticks > 1e6 / limits.tick) c.fail('time', 'a batch holds one second');
  return before + ticks * limits.tick;
}

const whole = (c: Cursor): void => { if (c.left > 0) c.fail('data', 'bytes are left behind the last sample'); };

/** The batch of samples in order of time, at most 400 within a second. */
export function encodePoses(samples: readonly PoseSample[]): Uint8Array {
  const to = new Growing();
  const before: Record<Device, Pose> = { head: zero(), left: zero(), right: zero() };
  const controls: Record<Device, number> = { head: 0, left: 0, right: 0 };
  let time = samples[0]?.time ?? 0;
  putHead(to, samples.length);
  for (const sample of samples) {
    to.varint((sample.time - time) / limits.tick);
    time = sample.time;
    const here = devices.filter((d) => sample.pose[d]);
    to.uint(here.reduce((bits, d) => bits | (1 << devices.indexOf(d)), 0), 1);
    for (const device of here) {
      const pose = sample.pose[device] as Pose;
      const value = sample.controls[device] ?? 0;
      putPose(to, pose, before[device], value !== controls[device]);
      if (value !== controls[device]) {
        to.uint(value & 0xffff, 2);
        to.uint(value >>> 16, 1);
      }
      before[device] = pose;
      controls[device] = value;
    }
  }
  return to.done();
}

/** Samples of a batch whose log time is `time`, microseconds. Throws a LessonError. */
export function decodePoses(data: Uint8Array, time: number, file: string, origin = 0): PoseSample[] {
  const c = new Cursor(data, file, 'pose', origin);
  const before: Record<Device, Pose> = { head: zero(), left: zero(), right: zero() };
  const controls: Record<Device, number> = { head: 0, left: 0, right: 0 };
  const out: PoseSample[] = [];
  for (let n = takeHead(c), now = time; n > 0; n--) {
    now = takeTime(c, now);
    const bits = c.u8('devices');
    if (bits === 0 || bits > 7) c.fail('devices', 'none, or one not known');
    const sample: PoseSample = { time: now, pose: {}, controls: {} };
    devices.forEach((device, i) => {
      if (!(bits & (1 << i))) return;
      const taken = takePose(c, before[device], mostTenths, scalePose);
      if (taken.controls) controls[device] = c.u16('controls') + c.u8('controls') * 65536;
      before[device] = taken.pose;
      sample.pose[device] = taken.pose;
      sample.controls[device] = controls[device];
    });
    out.push(sample);
  }
  whole(c);
  return out;
}

const sides = ['left', 'right'] as const;

export function encodeHands(samples: readonly HandSample[]): Uint8Array {
  const to = new Growing();
  const before = { left: Array.from({ length: jointCount }, zero), right: Array.from({ length: jointCount }, zero) };
  let time = samples[0]?.time ?? 0;
  putHead(to, samples.length);
  for (const sample of samples) {
    to.varint((sample.time - time) / limits.tick);
    time = sample.time;
    to.uint((sample.left ? 1 : 0) | (sample.right ? 2 : 0), 1);
    for (const side of sides) {
      const hand = sample[side];
      if (!hand) continue;
      [hand.wrist, ...hand.joints].forEach((pose, i) => putPose(to, pose, before[side][i] as Pose, false));
      before[side] = [hand.wrist, ...hand.joints];
    }
  }
  return to.done();
}

export function decodeHands(data: Uint8Array, time: number, file: string, origin = 0): HandSample[] {
  const c = new Cursor(data, file, 'hand', origin);
  const before = { left: Array.from({ length: jointCount }, zero), right: Array.from({ length: jointCount }, zero) };
  const out: HandSample[] = [];
  for (let n = takeHead(c), now = time; n > 0; n--) {
    now = takeTime(c, now);
    const bits = c.u8('hands');
    if (bits === 0 || bits > 3) c.fail('hands', 'none, or more than two');
    const sample: HandSample = { time: now };
    sides.forEach((side, h) => {
      if (!(bits & (1 << h))) return;
      before[side] = before[side].map((old, i) => {
        const taken = i === 0 ? takePose(c, old, mostTenths, scalePose) : takePose(c, old, scaleJoint, scaleJoint);
        if (taken.controls) c.fail('head', 'a hand has no controls');
        return taken.pose;
      });
      sample[side] = { wrist: before[side][0] as Pose, joints: before[side].slice(1) };
    });
    out.push(sample);
  }
  whole(c);
  return out;
}

/** Packets with ascending sequence, within one second of the first. */
export function encodeVoice(packets: readonly Pick<VoicePacket, 'sequence' | 'data'>[]): Uint8Array {
  const to = new Growing();
  putHead(to, packets.length);
  let before = packets[0]?.sequence ?? 0;
  to.uint(before, 4);
  packets.forEach((packet, i) => {
    const missing = i === 0 ? 0 : packet.sequence - before - 1;
    if (missing < 0 || missing > 1000) throw new RangeError(`voice: sequence ${packet.sequence} after ${before}`);
    if (packet.data.length < 1 || packet.data.length > limits.packet) throw new RangeError(`voice: a packet of ${packet.data.length} bytes`);
    to.uint(missing, 2);
    to.uint(packet.data.length, 2);
    to.bytes(packet.data);
    before = packet.sequence;
  });
  return to.done();
}

export function decodeVoice(data: Uint8Array, time: number, file: string, origin = 0): VoicePacket[] {
  const c = new Cursor(data, file, 'voice', origin);
  const count = takeHead(c);
  const first = c.u32('sequence');
  const out: VoicePacket[] = [];
  for (let i = 0, sequence = first; i < count; i++) {
    const missing = c.u16('gap');
    const length = c.u16('length');
    const packet = c.bytes(length, 'packet');
    sequence += missing + (i > 0 ? 1 : 0);
    if (length < 1 || length > limits.packet || sequence - first > 1000 || sequence > 0xffffffff) c.fail('length', "no packet of a batch's second");
    out.push({ time: time + (sequence - first) * limits.packetUs, sequence, data: packet });
  }
  whole(c);
  return out;
}
