/** The twin's structures in the scene: read from the headset GLB, moved and coloured by the state. */
import { Box3, DoubleSide, FrontSide, Group, Matrix4, Mesh, Quaternion, SRGBColorSpace, Vector3 } from 'three';
import type { BufferGeometry, Camera, Object3D } from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';
import { MeshoptDecoder } from 'three/examples/jsm/libs/meshopt_decoder.module.js';
import { acceleratedRaycast, MeshBVH } from 'three-mesh-bvh';
import { structureOf } from '@fabrica/contract';
import type { Rgb, State } from '@fabrica/contract';
import { SurfaceMaterial } from './surface';
import type { CutUniforms } from './surface';
import { patientFromScene, sceneOf } from './space';

/** Farthest a structure goes at 1000 per mille, as a share of its distance from the middle. */
const explodeReach = 1.1;

export interface Part {
  id: number;
  name: string;
  group: Group;
  mesh: Mesh<BufferGeometry, SurfaceMaterial>;
  /** Scene metres, as scanned. */
  centroid: Vector3;
  rgb: Rgb;
}

export class Model {
  /** The whole model: placed in the room. */
  readonly root = new Group();
  readonly parts = new Map<number, Part>();
  readonly box = new Box3();
  readonly middle = new Vector3();
  triangles = 0;
  private readonly turn = new Quaternion();
  private readonly view = new Matrix4();

  constructor(readonly cut: CutUniforms) {}

  /** Reads the GLB; `rgb` gives the manifest's colours by label. */
  async load(data: ArrayBuffer, rgb: ReadonlyMap<number, Rgb>): Promise<void> {
    await MeshoptDecoder.ready;
    const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
    const { scene } = await loader.parseAsync(data, '');
    scene.updateMatrixWorld(true);
    const found: Mesh[] = [];
    scene.traverse((object) => {
      if (object instanceof Mesh && typeof object.userData['label'] === 'number') found.push(object);
    });
    for (const mesh of found) this.add(mesh, rgb);
    this.box.getCenter(this.middle);
  }

  private add(source: Mesh, colours: ReadonlyMap<number, Rgb>): void {
    const id = source.userData['label'] as number;
    const rgb = colours.get(id) ?? [200, 200, 200];
    const material = new SurfaceMaterial(this.cut);
    const mesh = new Mesh(source.geometry as BufferGeometry, material);
    source.matrixWorld.decompose(mesh.position, mesh.quaternion, mesh.scale);
    mesh.raycast = acceleratedRaycast;
    mesh.userData['id'] = id;
    const box = new Box3().setFromObject(mesh);
    const group = new Group();
    group.add(mesh);
    const part: Part = { id, name: source.name, group, mesh, centroid: box.getCenter(new Vector3()), rgb };
    mesh.onBeforeRender = (_renderer, _scene, camera) => this.aim(part, camera);
    this.box.union(box);
    this.triangles += (source.geometry.index?.count ?? 0) / 3;
    this.parts.set(id, part);
    this.root.add(group);
  }

  /** Texture coordinates of the CT from the camera's space, through where this structure now is. */
  private aim(part: Part, camera: Camera): void {
    if (this.cut.cutHas.value < 0.5) return;
    this.view.copy(part.group.matrixWorld).invert().multiply(camera.matrixWorld);
    part.mesh.material.textureFromView.copy(this.textureFromScene).multiply(this.view);
  }

  /** Set with the volume: texture coordinates from scene metres of the patient as scanned. */
  readonly textureFromScene = new Matrix4();

  setVolume(textureFromPatient: Matrix4): void {
    this.textureFromScene.copy(textureFromPatient).multiply(patientFromScene);
  }

  /** Search trees for picking, made when first needed: 10 ms for a large structure. */
  prepare(part: Part): void {
    const geometry = part.mesh.geometry;
    if (!geometry.boundsTree) geometry.boundsTree = new MeshBVH(geometry);
  }

  /** Brings the structures to `state`. `selected` is the viewer's own, no part of the scene. */
  apply(state: State, selected: number | undefined): void {
    const cutting = Object.values(state.clips).some((clip) => clip.on);
    for (const part of this.parts.values()) this.applyPart(part, state, selected, cutting);
    const { position, rotation, scale } = state.model;
    this.root.position.set(position[0] / 10000, position[1] / 10000, position[2] / 10000);
    this.root.quaternion.set(...rotation).normalize();
    this.root.scale.setScalar(scale / 1000);
    this.root.updateMatrixWorld(true);
  }

  private applyPart(part: Part, state: State, selected: number | undefined, cutting: boolean): void {
    const entry = structureOf(state, part.id);
    const material = part.mesh.material;
    const opacity = entry.opacity / 1000;
    part.group.visible = entry.visible && opacity > 0;
    const [r, g, b] = entry.rgb ?? part.rgb;
    material.color.setRGB(r / 255, g / 255, b / 255, SRGBColorSpace);
    material.opacity = opacity;
    this.setBlending(material, opacity < 1, cutting);
    const bright = entry.highlight ? 0.45 : part.id === selected ? 0.16 : 0;
    material.emissive.set(entry.highlight ? '#ffb020' : '#35c3b8');
    material.emissiveIntensity = bright;
    material.rimAmount.value = part.id === selected ? 1.1 : 0.16;
    material.rim.value.set(part.id === selected ? '#4fe3d5' : '#8596a8');
    this.placePart(part, state);
  }

  private setBlending(material: SurfaceMaterial, faded: boolean, cutting: boolean): void {
    const side = cutting ? DoubleSide : FrontSide;
    if (material.transparent === faded && material.side === side) return;
    material.transparent = faded;
    material.depthWrite = !faded;
    material.side = side;
    material.forceSinglePass = true;
    material.needsUpdate = true;
  }

  private placePart(part: Part, state: State): void {
    const entry = structureOf(state, part.id);
    const away = part.centroid.clone().sub(this.middle).multiplyScalar((state.explode / 1000) * explodeReach);
    const [x, y, z, w] = entry.turn;
    this.turn.set(x, z, -y, w).normalize(); // the quaternion's axis is LPS
    const offset = sceneOf(entry.offset);
    part.group.quaternion.copy(this.turn);
    part.group.position.copy(part.centroid).sub(part.centroid.clone().applyQuaternion(this.turn)).add(offset).add(away);
    part.group.updateMatrix();
  }

  /** The box of all that is visible now, in the model's own space. */
  visibleBox(ids?: readonly number[]): Box3 {
    const box = new Box3();
    for (const part of this.parts.values()) {
      if (!part.group.visible || (ids && !ids.includes(part.id))) continue;
      box.union(new Box3().setFromObject(part.group as Object3D));
    }
    return box.isEmpty() ? this.box.clone() : box;
  }
}
