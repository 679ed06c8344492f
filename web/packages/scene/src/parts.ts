/**
 * All structures as one body, so that a headset draws them in two calls an eye however many there are.
 *
 * Vertices of all structures lie in one buffer and each says which structure it is of. What a structure is like
 * now is a row of a small texture that both shaders read: moving, painting, fading and highlighting one is
 * writing 64 bytes. Which triangles are drawn is a list of indices, made again when structures are shown, hidden,
 * or become see-through: what is hidden costs nothing.
 *
 *   texel 0  turn: quaternion        texel 2  colour, opacity
 *   texel 1  shift, metres; shown    texel 3  glow; 1 where selected
 *
 * Row 0 is the model itself: marks that are anchored to no structure use it.
 */
import { BufferAttribute, BufferGeometry, Color, DataTexture, FloatType, Matrix4, Mesh, NearestFilter, Quaternion, RGBAFormat, SRGBColorSpace, Vector3 } from 'three';
import type { Box3 } from 'three';
import type { Rgb } from '@fabrica/contract';
import { Distances } from './distances';
import { SurfaceMaterial } from './surface';
import type { CutUniforms } from './surface';

export type Indices = Uint16Array | Uint32Array;

export interface Part {
  id: number;
  name: string;
  /** Of the table. */
  row: number;
  /** For picking: its vertices are a piece of the body's. */
  geometry: BufferGeometry;
  /** As scanned, scene metres. */
  box: Box3;
  centroid: Vector3;
  rgb: Rgb;
  /** The model's space from where it was scanned: explode and moves. */
  matrix: Matrix4;
  shown: boolean;
  /** 0 to 1. */
  opacity: number;
  /** Its first vertex in the body. */
  first: number;
  /** Triangles by level of detail, finest first; vertices counted from `first`. */
  levels: Indices[];
}

const texels = 4;

export class PartTable {
  readonly texture: DataTexture;
  private readonly data: Float32Array;
  private readonly colour = new Color();

  constructor(readonly rows: number) {
    this.data = new Float32Array(4 * texels * rows);
    this.texture = new DataTexture(this.data, texels, rows, RGBAFormat, FloatType);
    this.texture.minFilter = this.texture.magFilter = NearestFilter;
    for (let row = 0; row < rows; row++) {
      this.place(row, new Quaternion(), new Vector3(), true);
      this.paint(row, [200, 200, 200], 1);
    }
  }

  place(row: number, turn: Quaternion, shift: Vector3, shown: boolean): void {
    const at = 4 * texels * row;
    turn.toArray(this.data, at);
    shift.toArray(this.data, at + 4);
    this.data[at + 7] = shown ? 1 : 0;
    this.texture.needsUpdate = true;
  }

  paint(row: number, [r, g, b]: Rgb, opacity: number): void {
    this.colour.setRGB(r / 255, g / 255, b / 255, SRGBColorSpace).toArray(this.data, 4 * texels * row + 8);
    this.data[4 * texels * row + 11] = opacity;
    this.texture.needsUpdate = true;
  }

  /** `amount` of `colour` is added as light; `chosen`: with a bright rim. */
  glow(row: number, colour: string, amount: number, chosen: boolean): void {
    this.colour.set(colour).multiplyScalar(amount).toArray(this.data, 4 * texels * row + 12);
    this.data[4 * texels * row + 15] = chosen ? 1 : 0;
    this.texture.needsUpdate = true;
  }
}

/** One list of triangles of the body, drawn in one call. */
class Layer {
  readonly mesh: Mesh<BufferGeometry, SurfaceMaterial>;
  private index: Uint32Array | undefined;
  /** What the list was made of. */
  private made = '';

  constructor(private readonly body: BufferGeometry, material: SurfaceMaterial, private readonly most: number, rootFromView: Matrix4, root: Matrix4) {
    this.mesh = new Mesh(new BufferGeometry(), material);
    for (const name of ['position', 'normal', 'part']) this.mesh.geometry.setAttribute(name, this.body.getAttribute(name));
    this.mesh.frustumCulled = false;
    this.mesh.visible = false;
    this.mesh.onBeforeRender = (_renderer, _scene, camera) => { rootFromView.copy(root).invert().multiply(camera.matrixWorld); };
  }

  /** Draws `parts` in this order; `key` names order and detail. */
  show(parts: readonly Part[], level: number, key: string): void {
    this.mesh.visible = parts.length > 0;
    if (key === this.made || parts.length === 0) return;
    this.made = key;
    this.index ??= new Uint32Array(this.most);
    let at = 0;
    for (const part of parts) at = this.copy(part, level, at);
    const { geometry } = this.mesh;
    if (!geometry.index) geometry.setIndex(new BufferAttribute(this.index, 1));
    geometry.index?.addUpdateRange(0, at);
    if (geometry.index) geometry.index.needsUpdate = true;
    geometry.setDrawRange(0, at);
  }

  private copy(part: Part, level: number, at: number): number {
    const from = part.levels[Math.min(level, part.levels.length - 1)] as Indices;
    const index = this.index as Uint32Array;
    const { first } = part;
    for (let i = 0; i < from.length; i++) index[at + i] = (from[i] as number) + first;
    return at + from.length;
  }
}


export class Body {
  readonly table: PartTable;
  readonly opaque: Layer;
  readonly faded: Layer;
  readonly distances: Distances;
  readonly materials: readonly [SurfaceMaterial, SurfaceMaterial];
  level = 0;
  private readonly solid: Part[] = [];
  private readonly clear: Part[] = [];
  private readonly eye = new Vector3();
  private readonly point = new Vector3();
  private readonly away = new Float32Array(4096);

  /** `geometry`: position, normal and part of all; `root`: the model's world matrix. */
  constructor(geometry: BufferGeometry, private readonly parts: readonly Part[], cut: CutUniforms, root: Matrix4) {
    this.table = new PartTable(parts.length + 1);
    this.materials = [new SurfaceMaterial(cut, this.table.texture, false), new SurfaceMaterial(cut, this.table.texture, true)];
    const most = parts.reduce((sum, p) => sum + (p.levels[0]?.length ?? 0), 0);
    const [first, second] = this.materials;
    this.opaque = new Layer(geometry, first, most, first.rootFromView, root);
    this.faded = new Layer(geometry, second, most, second.rootFromView, root);
    this.faded.mesh.renderOrder = 1;
    this.distances = new Distances(this.opaque.mesh.geometry, this.table.texture, root);
  }

  /** Brings the lists to what is shown, faded and how fine. */
  refresh(): void {
    this.solid.length = this.clear.length = 0;
    for (const part of this.parts) if (part.shown) (part.opacity < 1 ? this.clear : this.solid).push(part);
    this.opaque.show(this.solid, this.level, `${this.level}:${this.solid.map((p) => p.row).join()}`);
    this.sortClear();
    this.faded.show(this.clear, this.level, `${this.level}:${this.clear.map((p) => p.row).join()}`);
  }

  /** See-through structures from far to near, as seen from `eye` in the model's space; makes nothing where the order holds. */
  sort(eye: Vector3): void {
    this.eye.copy(eye);
    if (this.clear.length < 2 || !this.sortClear()) return;
    this.faded.show(this.clear, this.level, `${this.level}:${this.clear.map((p) => p.row).join()}`);
  }

  /** Insertion sort: the order seldom changes. True where it did. */
  private sortClear(): boolean {
    const { clear, away } = this;
    let changed = false;
    for (let i = 0; i < clear.length; i++) {
      const part = clear[i] as Part;
      const far = this.point.copy(part.centroid).applyMatrix4(part.matrix).distanceToSquared(this.eye);
      let k = i;
      while (k > 0 && (away[k - 1] as number) < far) {
        clear[k] = clear[k - 1] as Part;
        away[k] = away[k - 1] as number;
        k--;
        changed = true;
      }
      clear[k] = part;
      away[k] = far;
    }
    return changed;
  }

  /** Triangles drawn at a level of detail if all structures are shown. */
  trianglesAt(level: number): number {
    return this.parts.reduce((sum, p) => sum + (p.levels[Math.min(level, p.levels.length - 1)]?.length ?? 0) / 3, 0);
  }

}
