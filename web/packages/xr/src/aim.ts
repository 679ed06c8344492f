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

/** The frame of a cut or slice that can be taken hold of; its corners in the model's space, metres. */
interface Held { frame: Frame; corners: readonly Vector3[]; knob: Vector3 }
export type Handle = Held & ({ kind: 'clip'; plane: number } | { kind: 'slice'; axis: Axis });

/** Two for each side, used in turn: who keeps something of one copies it. */
export interface Aim {
  /** Counted up by each look: another number, another look. */
  look: number;
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

/** How long a ray is that meets nothing. */
const idle = 0.6;

const nothing = (): Aim => ({ look: 0, pick: undefined, near: false, image: undefined, handle: undefined, floor: undefined, length: idle });

interface Seen { origin: Vector3; direction: Vector3; version: number; time: number; spare: Aim; image: Vector3; floor: Vector3 }

export class Aimer {
  readonly aims: Record<Side, Aim> = { left: nothing(), right: nothing() };
  /** Counted up by whoever changes the scene or moves the model. */
  version = 0;
  private readonly seen: Record<Side, Seen>;
  private readonly ray = new Ray();
  private readonly plane = new Plane();
  private readonly point = new Vector3();
  private readonly local = new Vector3();
  private readonly corners = [new Vector3(), new Vector3(), new Vector3(), new Vector3()];
  private readonly knob = new Vector3();
  private readonly onRay = new Vector3();
  private readonly onEdge = new Vector3();
  private readonly way = new Vector3();
  private looks = 0;
  /** Frames that are shown, and what of the scene they were made of. */
  private handles: Handle[] = [];
  private made: { clips: unknown; slices: unknown; volume: unknown } = { clips: undefined, slices: undefined, volume: undefined };

  constructor(private readonly viewer: Viewer) {
    const seen = (): Seen => ({ origin: new Vector3(), direction: new Vector3(), version: -1, time: -Infinity, spare: nothing(), image: new Vector3(), floor: new Vector3() });
    this.seen = { left: seen(), right: seen() };
  }

  /** Once a frame. A device that is busy on the panel is at nothing. */
  step(device: Device, busy: boolean, time: number): void {
    const seen = this.seen[device.side];
    if (busy || !device.tracked) {
      if (seen.version !== -1) this.fresh(device.side);
      seen.version = -1;
      return;
    }
    if (time - seen.time < pause) return;
    const still = seen.version === this.version && near(seen.origin, device.origin, 3e-4) && near(seen.direction, device.direction, 1e-3);
    if (still) return;
    seen.time = time;
    seen.version = this.version;
    seen.origin.copy(device.origin);
    seen.direction.copy(device.direction);
    this.look(device);
  }

  forget(): void { for (const side of sides) this.seen[side].version = -2; }

  /** An aim at nothing takes the place of the side's last, which is the next one's spare. */
  private fresh(side: Side): Aim {
    const seen = this.seen[side];
    const aim = seen.spare;
    seen.spare = this.aims[side];
    this.aims[side] = aim;
    aim.look = ++this.looks;
    aim.pick = aim.image = aim.handle = aim.floor = undefined;
    aim.near = false;
    aim.length = idle;
    return aim;
  }

  /** At once, for a press. */
  look(device: Device): Aim {
    const { stage } = this.viewer;
    const seen = this.seen[device.side];
    const aim = this.fresh(device.side);
    this.ray.set(device.origin, device.direction);
    aim.pick = device.hasTip ? stage.picker.near(device.tip, stage.planes, touch) : undefined;
    aim.near = aim.pick !== undefined;
    aim.pick ??= stage.picker.along(this.ray, stage.planes, reach);
    aim.length = aim.near ? 0 : aim.pick ? aim.pick.distance : Infinity;
    this.refreshHandles();
    if (!aim.near && this.onSlices(aim, seen.image)) aim.pick = undefined;
    aim.handle = this.handleAt(device, aim);
    if (!aim.pick && !aim.image && !aim.handle) this.onFaint(aim);
    if (!aim.pick && !aim.image && !aim.handle && this.onFloor(seen.floor)) aim.floor = seen.floor;
    if (aim.length === Infinity) aim.length = aim.floor ? aim.floor.distanceTo(device.origin) : idle;
    return aim;
  }

  /** What is seen through, where nothing else is met. */
  private onFaint(aim: Aim): void {
    const { stage } = this.viewer;
    aim.pick = stage.picker.faint(this.ray, stage.planes, reach);
    if (aim.pick) aim.length = aim.pick.distance;
  }

  private onFloor(out: Vector3): boolean {
    const { origin, direction } = this.ray;
    if (direction.y > -0.25 || origin.y <= 0.05) return false;
    const t = -origin.y / direction.y;
    if (t >= reach) return false;
    out.copy(origin).addScaledVector(direction, t);
    return true;
  }

  /** The nearest place on a slice that is nearer than what the aim has; its length and image become that. */
  private onSlices(aim: Aim, out: Vector3): boolean {
    const { stage } = this.viewer;
    const { root } = stage.model;
    for (let i = 0; i < this.handles.length; i++) {
      const { kind, frame } = this.handles[i] as Handle;
      if (kind !== 'slice') continue;
      this.plane.setFromNormalAndCoplanarPoint(frame.normal, frame.middle).applyMatrix4(root.matrixWorld);
      if (!this.ray.intersectPlane(this.plane, this.point)) continue;
      const distance = this.point.distanceTo(this.ray.origin);
      if (distance > reach || distance >= aim.length || !inside(root.worldToLocal(this.local.copy(this.point)), frame) || this.cutAway()) continue;
      aim.length = distance;
      aim.image = out.copy(this.point);
    }
    return aim.image !== undefined;
  }

  private cutAway(): boolean {
    const { planes } = this.viewer.stage;
    for (let i = 0; i < planes.length; i++) if ((planes[i] as Plane).distanceToPoint(this.point) < 0) return true;
    return false;
  }

  /** The frames that are shown, made anew where the scene has others. */
  private refreshHandles(): void {
    const { clips, slices } = this.viewer.session.state;
    const { volume } = this.viewer.stage;
    const { made } = this;
    if (made.clips === clips && made.slices === slices && made.volume === volume) return;
    this.made = { clips, slices, volume };
    this.makeHandles();
  }

  private makeHandles(): void {
    const { stage, session } = this.viewer;
    const { clips, slices } = session.state;
    const { volume, model } = stage;
    const held = (frame: Frame): Held => ({ frame, corners: cornersOf(frame), knob: knobOf(frame) });
    this.handles = Object.entries(clips).filter(([, clip]) => clip.on).map(([plane, clip]) => ({ kind: 'clip', plane: Number(plane), ...held(clipFrame(model, clip)) }));
    if (volume) for (const axis of axes) if (slices[axis].on) this.handles.push({ kind: 'slice', axis, ...held(sliceFrame(session.state, axis, volume)) });
  }

  /** The nearest frame whose edge or knob is at the tip or on the ray, not farther than what the ray meets. */
  private handleAt(device: Device, aim: Aim): Handle | undefined {
    let best: Handle | undefined;
    let least = 1;
    for (let i = 0; i < this.handles.length; i++) {
      const handle = this.handles[i] as Handle;
      const off = this.offEdge(device, handle, aim);
      if (off >= least) continue;
      least = off;
      best = handle;
    }
    return best;
  }

  /** How far off a frame's edge is, as a share of what still takes it; over 1: not taken. */
  private offEdge(device: Device, handle: Handle, { length }: Aim): number {
    const { matrixWorld } = this.viewer.stage.model.root;
    const { corners, ray } = this;
    for (let i = 0; i < 4; i++) (corners[i] as Vector3).copy(handle.corners[i] as Vector3).applyMatrix4(matrixWorld);
    const knob = this.knob.copy(handle.knob).applyMatrix4(matrixWorld);
    let best = device.hasTip ? knob.distanceTo(device.tip) / edge.knob : Infinity;
    for (let i = 0; i < 4; i++) {
      const corner = corners[i] as Vector3;
      const next = corners[(i + 1) % 4] as Vector3;
      if (device.hasTip) best = Math.min(best, this.segmentDistance(device.tip, corner, next) / edge.tip);
      const off = Math.sqrt(ray.distanceSqToSegment(corner, next, this.onRay, this.onEdge));
      const far = this.onRay.distanceTo(ray.origin);
      if (far < length + 0.02) best = Math.min(best, off / (edge.ray + edge.perMetre * far));
    }
    const far = knob.distanceTo(ray.origin);
    if (far < length + 0.05) best = Math.min(best, ray.distanceToPoint(knob) / (2 * (edge.ray + edge.perMetre * far)));
    return best;
  }

  private segmentDistance(p: Vector3, a: Vector3, b: Vector3): number {
    const ab = this.way.copy(b).sub(a);
    const t = Math.min(1, Math.max(0, this.onEdge.copy(p).sub(a).dot(ab) / Math.max(ab.lengthSq(), 1e-12)));
    return ab.multiplyScalar(t).add(a).distanceTo(p);
  }
}

function inside(local: Vector3, frame: Frame): boolean {
  const d = local.sub(frame.middle);
  return Math.abs(d.dot(frame.right)) <= frame.wide && Math.abs(d.dot(frame.up)) <= frame.tall;
}

/** Each coordinate within `by`: a comparison that makes no number. */
function near(a: Vector3, b: Vector3, by: number): boolean {
  return Math.abs(a.x - b.x) < by && Math.abs(a.y - b.y) < by && Math.abs(a.z - b.z) < by;
}
