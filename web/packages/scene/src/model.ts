/** The twin's structures in the scene: read from the headset GLB, moved and coloured by the state. */
import { Box3, BufferAttribute, BufferGeometry, Group, Matrix4, Mesh, Quaternion, Vector3 } from 'three';
import type { Plane } from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { MeshoptDecoder } from 'three/examples/jsm/libs/meshopt_decoder.module.js';
import { MeshBVH } from 'three-mesh-bvh';
import { structureOf } from '@fabrica/contract';
import type { Rgb, State } from '@fabrica/contract';
import { Body } from './parts';
import type { Indices, Part } from './parts';
import type { CutUniforms } from './surface';
import { patientFromScene, sceneOf } from './space';

/** Farthest a structure goes at 1000 per mille, as a share of its distance from the middle. */
const explodeReach = 1.1;
const glow = { highlight: ['#ffb020', 0.45], chosen: ['#35c3b8', 0.16], none: ['#000000', 0] } as const;

/** Vertices and triangles of one mesh of the file, in scene metres. */
interface Piece { id: number; name: string; position: Float32Array; normal: Float32Array; index: Indices }

export class Model {
  /** The whole model: placed in the room. */
  readonly root = new Group();
  readonly parts = new Map<number, Part>();
  /** The same, to be gone through each frame. */
  list: readonly Part[] = [];
  readonly box = new Box3();
  readonly middle = new Vector3();
  body: Body | undefined;
  triangles = 0;
  /** What structures were last brought to. */
  private shown: { structures?: State['structures']; explode?: number; selected?: number | undefined } = {};
  private readonly turn = new Quaternion();
  private readonly shift = new Vector3();
  private readonly one = new Vector3(1, 1, 1);
  private readonly eye = new Vector3();
  private readonly back = new Matrix4();

  constructor(readonly cut: CutUniforms) {}

  /** Reads the GLB; `rgb` gives the manifest's colours by label. A file without structures is an empty model. */
  async load(data: ArrayBuffer, rgb: ReadonlyMap<number, Rgb>): Promise<void> {
    await MeshoptDecoder.ready;
    const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
    const { scene } = await loader.parseAsync(data, '');
    scene.updateMatrixWorld(true);
    const pieces: Piece[] = [];
    scene.traverse((object) => {
      if (object instanceof Mesh && typeof object.userData['label'] === 'number') pieces.push(pieceOf(object));
    });
    this.fill(pieces, rgb);
  }

  /** Makes one body of all pieces. */
  private fill(pieces: readonly Piece[], colours: ReadonlyMap<number, Rgb>): void {
    const vertices = pieces.reduce((sum, p) => sum + p.position.length / 3, 0);
    const position = new Float32Array(3 * vertices);
    const normal = new Float32Array(3 * vertices);
    const part = new Uint16Array(vertices);
    let first = 0;
    for (const piece of pieces) {
      const count = piece.position.length / 3;
      position.set(piece.position, 3 * first);
      normal.set(piece.normal, 3 * first);
      part.fill(this.parts.size + 1, first, first + count);
      this.add(piece, first, position.subarray(3 * first, 3 * (first + count)), colours);
      first += count;
    }
    const geometry = new BufferGeometry().setAttribute('position', new BufferAttribute(position, 3))
      .setAttribute('normal', new BufferAttribute(normal, 3)).setAttribute('part', new BufferAttribute(part, 1));
    this.list = [...this.parts.values()];
    this.body = new Body(geometry, this.list, this.cut, this.root.matrixWorld);
    this.root.add(this.body.opaque.mesh, this.body.faded.mesh);
    if (!this.box.isEmpty()) this.box.getCenter(this.middle);
  }

  private add(piece: Piece, first: number, position: Float32Array, colours: ReadonlyMap<number, Rgb>): void {
    const geometry = new BufferGeometry().setAttribute('position', new BufferAttribute(position, 3));
    const box = new Box3().setFromArray(position);
    this.parts.set(piece.id, {
      id: piece.id, name: piece.name, row: this.parts.size + 1, geometry, box, centroid: box.getCenter(new Vector3()), rgb: colours.get(piece.id) ?? [200, 200, 200],
      matrix: new Matrix4(), shown: true, opacity: 1, first, levels: [piece.index],
    });
    this.box.union(box);
    this.triangles += piece.index.length / 3;
  }

  setVolume(textureFromPatient: Matrix4): void {
    this.cut.textureFromScene.value.copy(textureFromPatient).multiply(patientFromScene);
  }

  /** Search tree for picking, made when first needed: 10 ms for a large structure. */
  treeOf(part: Part): MeshBVH {
    const { geometry } = part;
    geometry.boundsTree ??= new MeshBVH(geometry.setIndex(new BufferAttribute((part.levels[0] as Indices).slice(), 1)));
    return geometry.boundsTree as MeshBVH;
  }

  /** World from scanned, of a structure or of the model itself. */
  worldOf(part: Part | undefined, out: Matrix4): Matrix4 {
    return part ? out.multiplyMatrices(this.root.matrixWorld, part.matrix) : out.copy(this.root.matrixWorld);
  }

  /** Brings the structures to `state`. `selected` is the viewer's own, no part of the scene. */
  apply(state: State, selected: number | undefined): void {
    const cutting = Object.values(state.clips).some((clip) => clip.on);
    for (const material of this.body?.materials ?? []) material.cutting = cutting;
    this.applyParts(state, selected);
    const { position, rotation, scale } = state.model;
    this.root.position.set(position[0] / 10000, position[1] / 10000, position[2] / 10000);
    this.root.quaternion.set(...rotation).normalize();
    this.root.scale.setScalar(scale / 1000);
    this.root.updateMatrixWorld(true);
  }

  set clippingPlanes(planes: Plane[] | null) {
    for (const material of this.body?.materials ?? []) material.clippingPlanes = planes;
  }

  /** Only where something about them changed: the model that is carried, the cut that is dragged leave them as they are. */
  private applyParts(state: State, selected: number | undefined): void {
    const { shown, body } = this;
    if (!body || (shown.structures === state.structures && shown.explode === state.explode && shown.selected === selected)) return;
    this.shown = { structures: state.structures, explode: state.explode, selected };
    for (let i = 0; i < this.list.length; i++) this.applyPart(this.list[i] as Part, state, selected);
    body.refresh();
  }

  private applyPart(part: Part, state: State, selected: number | undefined): void {
    const entry = structureOf(state, part.id);
    part.opacity = entry.opacity / 1000;
    part.shown = entry.visible && part.opacity > 0;
    this.placePart(part, state);
    const { table } = this.body as Body;
    table.place(part.row, this.turn, this.shift, part.shown);
    table.paint(part.row, entry.rgb ?? part.rgb, part.opacity);
    const chosen = part.id === selected;
    const [colour, amount] = entry.highlight ? glow.highlight : chosen ? glow.chosen : glow.none;
    table.glow(part.row, colour, amount, chosen);
  }

  private placePart(part: Part, state: State): void {
    const entry = structureOf(state, part.id);
    const [x, y, z, w] = entry.turn;
    this.turn.set(x, z, -y, w).normalize(); // the quaternion's axis is LPS
    const { centroid } = part;
    this.shift.copy(centroid).applyQuaternion(this.turn).negate().add(centroid).add(sceneOf(entry.offset, this.eye));
    this.shift.addScaledVector(this.eye.copy(centroid).sub(this.middle), (state.explode / 1000) * explodeReach);
    part.matrix.compose(this.shift, this.turn, this.one);
  }

  /** Before a picture is drawn: see-through structures from far to near. `eye`: world metres. */
  sort(eye: Vector3): void {
    this.body?.sort(this.eye.copy(eye).applyMatrix4(this.back.copy(this.root.matrixWorld).invert()));
  }

  /** World box of all that is visible now, or of those of `ids` that are. */
  visibleBox(ids?: readonly number[]): Box3 {
    const box = new Box3();
    const matrix = new Matrix4();
    for (const part of this.parts.values()) {
      if (!part.shown || (ids && !ids.includes(part.id))) continue;
      box.union(part.box.clone().applyMatrix4(this.worldOf(part, matrix)));
    }
    if (!box.isEmpty()) return box;
    return this.box.isEmpty() ? new Box3(new Vector3(-0.1, -0.1, -0.1), new Vector3(0.1, 0.1, 0.1)) : this.box.clone();
  }
}

/** A mesh of the file as plain numbers: quantised and interleaved attributes are read, its place is applied. */
function pieceOf(mesh: Mesh): Piece {
  const geometry = mesh.geometry as BufferGeometry;
  if (!geometry.getAttribute('normal')) geometry.computeVertexNormals();
  const [p, n] = [geometry.getAttribute('position'), geometry.getAttribute('normal')];
  const position = new Float32Array(3 * p.count);
  const normal = new Float32Array(3 * p.count);
  const v = new Vector3();
  for (let i = 0; i < p.count; i++) {
    v.fromBufferAttribute(p, i).applyMatrix4(mesh.matrixWorld).toArray(position, 3 * i);
    v.fromBufferAttribute(n, i).transformDirection(mesh.matrixWorld).toArray(normal, 3 * i);
  }
  const given = geometry.index?.array;
  const index = given instanceof Uint16Array || given instanceof Uint32Array ? given : Uint32Array.from(given ?? Array.from({ length: p.count }, (_, i) => i));
  return { id: mesh.userData['label'] as number, name: mesh.name, position, normal, index };
}
