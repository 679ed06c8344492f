/**
 * What each device is at: a structure (under its tip, or where its ray ends), the CT on a slice, the frame of a cut
 * or slice, or the floor. Looked up twenty times a second while something moves, and at once for a press.
 */
import { Plane, Ray, Vector3 } from 'three';
import type { Axis } from '@fabrica/contract';
import { axes, clipFrame, cornersOf, knobOf, sliceFrame } from '@fabrica/scene';
import type { Frame, Pick, Viewer } from '@fabrica/scene';
import { sides } from './inputs';
import type { Device, Side } from './inputs';

/** A tip works this near to a surface; a frame's edge is taken this near to tip or ray; metres. */
const touch = 0.018;
const edge = { tip: 0.03, ray: 0.012, perMetre: 0.012, knob: 0.035 };
const reach = 6;
const pause = 50;

export type Handle = { kind: 'clip'; plane: number; frame: Frame } | { kind: 'slice'; axis: Axis; frame: Frame };

export interface Aim {
  pick: Pick | undefined;
  /** The pick is at the tip, not at the ray's end. */
  near: boolean;
  /** A point of the CT on a slice, world metres, where no structure is before it. */
  image: Vector3 | undefined;
  handle: Handle | undefined;
  /** Where the ray meets the floor, if nothing is before it. */
  floor: Vector3 | undefined;
  /** Length of the ray, metres. */
  length: number;
}

const nothing = (): Aim => ({ pick: undefined, near: false, image: undefined, handle: undefined, floor: undefined, length: 0.6 });

interface Seen { origin: Vector3; direction: Vector3; version: number; time: number }

export class Aimer {
  readonly aims: Record<Side, Aim> = { left: nothing(), right: nothing() };
  /** Counted up by whoever changes the scene or moves the model. */
  version = 0;
  private readonly seen: Record<Side, Seen>;
  private readonly ray = new Ray();
  private readonly plane = new Plane();
  private readonly point = new Vector3();

  constructor(private readonly viewer: Viewer) {
    const seen = (): Seen => ({ origin: new Vector3(), direction: new Vector3(), version: -1, time: -Infinity });
    this.seen = { left: seen(), right: seen() };
  }

  /** Once a frame. A device that is busy on the panel is at nothing. */
  step(device: Device, busy: boolean, time: number): void {
    const seen = this.seen[device.side];
    if (busy || !device.tracked) {
      if (seen.version !== -1) this.aims[device.side] = nothing();
      seen.version = -1;
      return;
    }
    if (time - seen.time < pause) return;
    const still = seen.version === this.version && seen.origin.distanceToSquared(device.origin) < 1e-7 && seen.direction.distanceToSquared(device.direction) < 1e-6;
    if (still) return;
    seen.time = time;
    seen.version = this.version;
    seen.origin.copy(device.origin);
    seen.direction.copy(device.direction);
    this.aims[device.side] = this.look(device);
  }

  forget(): void { for (const side of sides) this.seen[side].version = -2; }

  /** At once, for a press. */
  look(device: Device): Aim {
    const { stage } = this.viewer;
    const aim = nothing();
    this.ray.set(device.origin, device.direction);
    aim.pick = device.hasTip ? stage.picker.near(device.tip, stage.planes, touch) : undefined;
    aim.near = aim.pick !== undefined;
    aim.pick ??= stage.picker.along(this.ray, stage.planes, reach);
    let length = aim.near ? 0 : aim.pick?.distance ?? Infinity;
    const image = aim.near ? undefined : this.onSlices();
    if (image && image.distance < length) {
      aim.image = image.at;
      aim.pick = undefined;
      length = image.distance;
    }
    aim.handle = this.handleAt(device, length);
    if (!aim.pick && !aim.image && !aim.handle) aim.floor = this.onFloor();
    aim.length = Number.isFinite(length) ? length : aim.floor ? aim.floor.distanceTo(device.origin) : 0.6;
    this.aims[device.side] = aim;
    return aim;
  }

  private onFloor(): Vector3 | undefined {
    const { origin, direction } = this.ray;
    if (direction.y > -0.25 || origin.y <= 0.05) return undefined;
    const t = -origin.y / direction.y;
    return t < reach ? origin.clone().addScaledVector(direction, t) : undefined;
  }

  private onSlices(): { at: Vector3; distance: number } | undefined {
    const { stage, session } = this.viewer;
    if (!stage.volume) return undefined;
    let best: { at: Vector3; distance: number } | undefined;
    for (const axis of axes) {
      if (!session.state.slices[axis].on) continue;
      const frame = sliceFrame(session.state, axis, stage.volume);
      this.plane.setFromNormalAndCoplanarPoint(frame.normal, frame.middle).applyMatrix4(stage.model.root.matrixWorld);
      if (!this.ray.intersectPlane(this.plane, this.point)) continue;
      const at = this.point.clone();
      const distance = at.distanceTo(this.ray.origin);
      if (distance > reach || (best && distance > best.distance) || !inside(stage.model.root.worldToLocal(this.point), frame)) continue;
      if (stage.planes.every((p) => p.distanceToPoint(at) >= 0)) best = { at, distance };
    }
    return best;
  }

  /** The nearest frame whose edge or knob is at the tip or on the ray, not farther than what the ray meets. */
  private handleAt(device: Device, length: number): Handle | undefined {
    const { stage, session } = this.viewer;
    const handles: Handle[] = Object.entries(session.state.clips).filter(([, clip]) => clip.on).map(([plane, clip]) => ({ kind: 'clip', plane: Number(plane), frame: clipFrame(stage.model, clip) }));
    if (stage.volume) for (const axis of axes) if (session.state.slices[axis].on) handles.push({ kind: 'slice', axis, frame: sliceFrame(session.state, axis, stage.volume) });
    let best: { handle: Handle; off: number } | undefined;
    for (const handle of handles) {
      const off = this.offEdge(device, handle.frame, length);
      if (off < 1 && (!best || off < best.off)) best = { handle, off };
    }
    return best?.handle;
  }

  /** How far off a frame's edge is, as a share of what still takes it; over 1: not taken. */
  private offEdge(device: Device, frame: Frame, length: number): number {
    const { root } = this.viewer.stage.model;
    const corners = cornersOf(frame).map((c) => c.applyMatrix4(root.matrixWorld));
    const knob = knobOf(frame).applyMatrix4(root.matrixWorld);
    let best = device.hasTip ? knob.distanceTo(device.tip) / edge.knob : Infinity;
    const onRay = new Vector3();
    const onEdge = new Vector3();
    const allowed = (distance: number): number => edge.ray + edge.perMetre * distance;
    corners.forEach((corner, i) => {
      const next = corners[(i + 1) % 4] as Vector3;
      if (device.hasTip) best = Math.min(best, segmentDistance(device.tip, corner, next) / edge.tip);
      const off = Math.sqrt(this.ray.distanceSqToSegment(corner, next, onRay, onEdge));
      const far = onRay.distanceTo(this.ray.origin);
      if (far < length + 0.02) best = Math.min(best, off / allowed(far));
    });
    const far = knob.distanceTo(this.ray.origin);
    if (far < length + 0.05) best = Math.min(best, this.ray.distanceToPoint(knob) / (2 * allowed(far)));
    return best;
  }
}

function inside(local: Vector3, frame: Frame): boolean {
  const d = local.sub(frame.middle);
  return Math.abs(d.dot(frame.right)) <= frame.wide && Math.abs(d.dot(frame.up)) <= frame.tall;
}

function segmentDistance(p: Vector3, a: Vector3, b: Vector3): number {
  const ab = b.clone().sub(a);
  const t = Math.min(1, Math.max(0, p.clone().sub(a).dot(ab) / Math.max(ab.lengthSq(), 1e-12)));
  return ab.multiplyScalar(t).add(a).distanceTo(p);
}
