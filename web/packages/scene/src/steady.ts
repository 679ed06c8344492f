/**
 * What three makes anew in each frame, made once instead: its lists of what is drawn, which it empties to nothing and
 * sorts into copies, and the frustums of both eyes, whose planes it passes as boxed numbers. A headset draws 72 to 120
 * frames a second; what they leave behind is collected in the middle of one (ADR 0116).
 *
 * The order of drawing is three's. Nothing is culled against the eyes' frustums: the scene is some fifteen calls.
 */
import { FrustumArray } from 'three';
import type { BufferGeometry, Group, Material, Object3D, WebGLRenderer } from 'three';

type RenderList = ReturnType<WebGLRenderer['renderLists']['get']>;
type Item = RenderList['opaque'][number];

/** Before (negative) or after: groups, what an object asks for, material, then the nearest first; of what is see-through the farthest, whatever its material. */
function compare(a: Item, b: Item, near: 1 | -1): number {
  if (a.groupOrder !== b.groupOrder) return a.groupOrder - b.groupOrder;
  if (a.renderOrder !== b.renderOrder) return a.renderOrder - b.renderOrder;
  if (near === 1 && a.material.id !== b.material.id) return a.material.id - b.material.id;
  if (a.z < b.z) return -near;
  if (a.z > b.z) return near;
  return a.id - b.id;
}

/** Insertion sort in place: some fifteen items whose order seldom changes. */
function sortItems(items: Item[], near: 1 | -1): void {
  for (let i = 1; i < items.length; i++) {
    const item = items[i] as Item;
    let k = i;
    while (k > 0 && compare(items[k - 1] as Item, item, near) > 0) {
      items[k] = items[k - 1] as Item;
      k--;
    }
    items[k] = item;
  }
}

/** A list that keeps its place from frame to frame. */
class Kept {
  readonly items: Item[] = [];
  private count = 0;

  begin(): void { this.count = 0; }

  add(item: Item): void {
    if (this.count < this.items.length) this.items[this.count] = item;
    else this.items.push(item);
    this.count++;
  }

  /** Cut to what was added. */
  end(): void { if (this.items.length !== this.count) this.items.length = this.count; }
}

export class SteadyList {
  private readonly kept = { opaque: new Kept(), transmissive: new Kept(), transparent: new Kept() };
  readonly opaque = this.kept.opaque.items;
  readonly transmissive = this.kept.transmissive.items;
  readonly transparent = this.kept.transparent.items;
  private readonly pool: Item[] = [];
  private used = 0;

  init(): void {
    this.used = 0;
    this.kept.opaque.begin();
    this.kept.transmissive.begin();
    this.kept.transparent.begin();
  }

  push(object: Object3D, geometry: BufferGeometry, material: Material, groupOrder: number, z: number, group: Group | null): void {
    const item = this.take(object, geometry, material, groupOrder, z, group);
    if ((material as Material & { transmission?: number }).transmission) this.kept.transmissive.add(item);
    else if (material.transparent) this.kept.transparent.add(item);
    else this.kept.opaque.add(item);
  }

  /** Asked for only by a background, and the scene has none. */
  unshift(): never { throw new Error('the scene has no background'); }

  private take(object: Object3D, geometry: BufferGeometry, material: Material, groupOrder: number, z: number, group: Group | null): Item {
    let item = this.pool[this.used];
    if (!item) {
      item = { id: 0, object, geometry, material, program: undefined, groupOrder: 0, renderOrder: 0, z: 0.5, group } as unknown as Item;
      this.pool.push(item);
    }
    this.used++;
    item.id = object.id;
    item.object = object;
    item.geometry = geometry;
    item.material = material as Item['material'];
    item.groupOrder = groupOrder;
    item.renderOrder = object.renderOrder;
    item.z = z;
    item.group = group;
    return item;
  }

  /** Forgets what is no longer drawn. */
  finish(): void {
    this.kept.opaque.end();
    this.kept.transmissive.end();
    this.kept.transparent.end();
    if (this.pool.length > this.used) this.pool.length = this.used;
  }

  sort(): void {
    sortItems(this.opaque, 1);
    sortItems(this.transmissive, -1);
    sortItems(this.transparent, -1);
  }
}

/** Lists by scene, and by how deep in other scenes' drawing it is drawn. */
function keepLists(renderer: WebGLRenderer): void {
  const made = new WeakMap<object, SteadyList[]>();
  renderer.renderLists.get = (scene, depth) => {
    let lists = made.get(scene);
    if (!lists) made.set(scene, lists = []);
    return (lists[depth] ??= new SteadyList()) as unknown as RenderList;
  };
}

/** Makes `renderer`'s frames steady, also after its context was lost and came back. */
export function steady(renderer: WebGLRenderer, canvas: HTMLCanvasElement): void {
  FrustumArray.prototype.setFromArrayCamera = function unchanged() { return this; };
  FrustumArray.prototype.intersectsObject = FrustumArray.prototype.intersectsSprite = () => true;
  keepLists(renderer);
  canvas.addEventListener('webglcontextrestored', () => keepLists(renderer)); // after three's own, which makes new ones
}
