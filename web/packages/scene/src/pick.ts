/**
 * What lies under a ray or near a tip: visible, not cut away, exploded or not. What is seen through is picked through:
 * it is what a ray meets only where nothing solid is behind it (ADR 0110).
 */
import { DoubleSide, FrontSide, Matrix4, Ray, Raycaster, Vector3 } from 'three';
import type { Camera, Plane, Vector2 } from 'three';
import type { HitPointInfo } from 'three-mesh-bvh';
import type { Model } from './model';
import type { Part } from './parts';

export interface Pick {
  part: Part;
  /** Scene metres in the patient as scanned: where the structure was before it was moved. */
  patient: Vector3;
  /** Where it is now, world metres. */
  world: Vector3;
  /** Of the surface, as scanned. */
  normal: Vector3;
  /** From the ray's origin, or from the tip; world metres. */
  distance: number;
}

/** From here on a structure is most of what one sees at its place; below, what is behind it is. */
const solid = 0.5;

export class Picker {
  private readonly caster = new Raycaster();
  private readonly ray = new Ray();
  private readonly local = new Ray();
  private readonly matrix = new Matrix4();
  private readonly back = new Matrix4();
  private readonly point = new Vector3();
  private readonly nearby = new Vector3();
  /** Of the ray of now: metres to where it comes in through the planes, and how far it may go from there. */
  private readonly span = { start: 0.5, far: 0.5 };
  private readonly found: HitPointInfo = { point: new Vector3(), distance: 0, faceIndex: 0 };

  constructor(private readonly model: Model) {}

  /** `at`: normalised device coordinates. `planes`: what is on their negative side is cut away. */
  at(at: Vector2, camera: Camera, planes: readonly Plane[]): Pick | undefined {
    this.caster.setFromCamera(at, camera);
    const { ray } = this.caster;
    return this.along(ray, planes) ?? this.faint(ray, planes);
  }

  /** The first solid structure a ray in world metres meets, no farther than `reach`. */
  along(ray: Ray, planes: readonly Plane[], reach = Infinity): Pick | undefined {
    return this.first(ray, planes, reach, true);
  }

  /** The first see-through structure; for where a ray meets nothing else. */
  faint(ray: Ray, planes: readonly Plane[], reach = Infinity): Pick | undefined {
    return this.first(ray, planes, reach, false);
  }

  private first(ray: Ray, planes: readonly Plane[], reach: number, wanted: boolean): Pick | undefined {
    this.ray.copy(ray);
    if (!this.clipRay(planes, reach)) return undefined;
    const { span } = this;
    const { list } = this.model;
    let best: Pick | undefined;
    for (let i = 0; i < list.length; i++) {
      const part = list[i] as Part;
      if (!part.shown || (part.opacity >= solid) !== wanted) continue;
      const hit = this.hit(part, planes.length > 0);
      if (!hit) continue;
      best = hit;
      span.far = hit.distance;
    }
    if (best) best.distance += span.start;
    return best;
  }

  /** One structure's hit within the ray's span; its tree is made only where the ray meets its box. */
  private hit(part: Part, cutting: boolean): Pick | undefined {
    this.model.worldOf(part, this.matrix);
    this.back.copy(this.matrix).invert();
    this.local.copy(this.ray).applyMatrix4(this.back);
    if (!this.local.intersectsBox(part.box)) return undefined;
    const size = this.matrix.getMaxScaleOnAxis();
    const found = this.model.treeOf(part).raycastFirst(this.local, cutting ? DoubleSide : FrontSide, 0, this.span.far / size);
    if (!found?.face) return undefined;
    const normal = found.face.normal.clone();
    const onCut = cutting && normal.dot(this.local.direction) > 0; // a back face first: the cut itself was hit
    const patient = onCut ? this.local.origin.clone() : found.point.clone();
    return { part, patient, world: patient.clone().applyMatrix4(this.matrix), normal: onCut ? this.local.direction.clone().negate() : normal, distance: onCut ? 0 : found.distance * size };
  }

  /** The solid surface nearest to a tip, world metres, within `reach`; what is cut away is not there. */
  near(tip: Vector3, planes: readonly Plane[], reach: number): Pick | undefined {
    const { list } = this.model;
    let best: Pick | undefined;
    this.span.far = reach;
    for (let i = 0; i < list.length; i++) {
      const part = list[i] as Part;
      if (!part.shown || part.opacity < solid) continue;
      const hit = this.nearest(part, tip);
      if (!hit || !planes.every((plane) => plane.distanceToPoint(hit.world) >= 0)) continue;
      best = hit;
      this.span.far = hit.distance;
    }
    return best;
  }

  private nearest(part: Part, tip: Vector3): Pick | undefined {
    const reach = this.span.far;
    this.model.worldOf(part, this.matrix);
    const size = this.matrix.getMaxScaleOnAxis();
    this.point.copy(tip).applyMatrix4(this.back.copy(this.matrix).invert());
    if (part.box.clampPoint(this.point, this.nearby).distanceTo(this.point) * size > reach) return undefined;
    const found = this.model.treeOf(part).closestPointToPoint(this.point, this.found, 0, reach / size);
    if (!found || found.distance * size > reach) return undefined;
    const patient = found.point.clone();
    return { part, patient, world: patient.clone().applyMatrix4(this.matrix), normal: this.faceNormal(part, found.faceIndex), distance: found.distance * size };
  }

  private faceNormal(part: Part, face: number): Vector3 {
    const { index } = part.geometry;
    const position = part.geometry.getAttribute('position');
    const at = (i: number): Vector3 => new Vector3().fromBufferAttribute(position, index?.getX(3 * face + i) ?? 0);
    const [a, b, c] = [at(0), at(1), at(2)];
    return b.sub(a).cross(c.sub(a)).normalize();
  }

  /** Moves the ray's origin to where it comes in through the planes, and notes its span; false if it does nowhere. */
  private clipRay(planes: readonly Plane[], reach: number): boolean {
    const { origin, direction } = this.ray;
    let near = 0;
    let far = reach;
    for (let i = 0; i < planes.length; i++) {
      const plane = planes[i] as Plane;
      const slope = plane.normal.dot(direction);
      const height = plane.distanceToPoint(origin);
      if (Math.abs(slope) < 1e-9) {
        if (height < 0) return false;
        continue;
      }
      const t = -height / slope;
      if (slope > 0) near = Math.max(near, t);
      else far = Math.min(far, t);
    }
    if (far <= near) return false;
    origin.addScaledVector(direction, near);
    this.span.start = near;
    this.span.far = far - near;
    return true;
  }
}
