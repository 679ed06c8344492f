/** What lies under the pointer: visible, not cut away, exploded or not. */
import { Matrix3, Raycaster, Vector2, Vector3 } from 'three';
import type { Camera, Intersection, Plane, Ray } from 'three';
import type { Model, Part } from './model';

export interface Pick {
  part: Part;
  /** Scene metres in the patient as scanned: where the structure was before it was moved. */
  patient: Vector3;
  /** Where it is now, world metres. */
  world: Vector3;
  /** Of the surface, as scanned. */
  normal: Vector3;
}

/** Below this a faded structure is seen through, not picked. */
const solid = 0.35;

export class Picker {
  private readonly caster = new Raycaster();
  private readonly entry = new Vector3();

  constructor(private readonly model: Model) {
    this.caster.firstHitOnly = true;
  }

  /** `at`: normalised device coordinates. `planes`: what is on their negative side is cut away. */
  at(at: Vector2, camera: Camera, planes: readonly Plane[]): Pick | undefined {
    this.caster.setFromCamera(at, camera);
    return this.along(this.caster.ray, planes);
  }

  /** The first structure a ray in world metres meets. */
  along(ray: Ray, planes: readonly Plane[]): Pick | undefined {
    this.caster.ray.copy(ray);
    const limit = this.clipRay(planes);
    if (limit <= 0) return undefined;
    this.caster.far = limit;
    let best: { hit: Intersection; part: Part } | undefined;
    for (const part of this.model.parts.values()) {
      if (!part.group.visible || part.mesh.material.opacity < solid) continue;
      this.model.prepare(part);
      const hit = this.caster.intersectObject(part.mesh, false)[0];
      if (hit && (!best || hit.distance < best.hit.distance)) best = { hit, part };
    }
    return best && this.picked(best.hit, best.part, planes.length > 0);
  }

  /** Moves the ray's origin to where it comes in through the planes; returns how far it may go. */
  private clipRay(planes: readonly Plane[]): number {
    const { origin, direction } = this.caster.ray;
    let near = 0;
    let far = Infinity;
    for (const plane of planes) {
      const slope = plane.normal.dot(direction);
      const height = plane.distanceToPoint(origin);
      if (Math.abs(slope) < 1e-9) {
        if (height < 0) return 0;
        continue;
      }
      const t = -height / slope;
      if (slope > 0) near = Math.max(near, t);
      else far = Math.min(far, t);
    }
    this.caster.ray.at(near, this.entry);
    origin.copy(this.entry);
    return far - near;
  }

  private picked(hit: Intersection, part: Part, cutting: boolean): Pick {
    const direction = this.caster.ray.direction;
    const facing = hit.face?.normal.clone() ?? new Vector3(0, 1, 0);
    facing.applyNormalMatrix(new Matrix3().getNormalMatrix(part.mesh.matrixWorld));
    const onCut = cutting && facing.dot(direction) > 0; // a back face first: the cut itself was hit
    const world = onCut ? this.entry.clone() : hit.point.clone();
    const back = part.group.matrixWorld.clone().invert();
    return { part, world, patient: world.clone().applyMatrix4(back), normal: facing.transformDirection(back) };
  }
}
