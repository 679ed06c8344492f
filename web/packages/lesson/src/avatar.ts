/**
 * The instructor as glasses, hands and a pointing ray. It stands in the model's frame: who moves the model
 * moves the instructor with it, so that what is pointed at stays what is pointed at.
 *
 *   shown = model as shown * inverse(model as recorded) * pose
 */
import {
  BufferGeometry, CanvasTexture, CapsuleGeometry, Color, CylinderGeometry, Float32BufferAttribute, Group, InstancedMesh, Matrix4, Mesh, MeshBasicMaterial,
  Object3D, Quaternion, SphereGeometry, Sprite, SpriteMaterial, SRGBColorSpace, TorusGeometry, Vector3,
} from 'three';
import type { Material } from 'three';
import { mergeGeometries } from 'three/examples/jsm/utils/BufferGeometryUtils.js';
import type { State } from '@fabrica/contract';
import { SolidMaterial } from '@fabrica/scene';
import type { PoseReal } from './codec';
import type { Shown, ShownDevice } from './rig';

type Placement = State['model'];

/** Metres a ray is drawn where it meets nothing. */
const reach = 1.6;
/** A head nearer to the eye than this is not drawn: one looks out of it. Metres. */
const personal = 0.3;
interface Tint { frame: string; glow: string; point: string }
/** Of no tissue, in light and dark: the instructor's first, then those of the others in turn. */
const tints: readonly [Tint, ...Tint[]] = [
  { frame: '#7c6cff', glow: '#3a2bd0', point: '#9d8cff' }, { frame: '#14a3a8', glow: '#06585b', point: '#4fd0d4' },
  { frame: '#c857c0', glow: '#6f1d69', point: '#e58adf' }, { frame: '#6f9a1f', glow: '#39520b', point: '#a4d04a' },
];
/** The name above the glasses: metres above the eyes, and high. */
const label = { above: 0.11, high: 0.045 } as const;
/** Bones of a hand: each joint with the one before it on its finger (WebXR Hand Input). */
const bones: readonly [number, number][] = [1, 5, 10, 15, 20].flatMap((first, finger): [number, number][] => {
  const last = finger === 0 ? 4 : first + 4;
  return [[0, first], ...Array.from({ length: last - first }, (_, i): [number, number] => [first + i, first + i + 1])];
});

/** Of the frame that is being made: nothing new is made in one (ADR 0118). */
const scratch = { position: new Vector3(), rotation: new Quaternion(), size: new Vector3(), way: new Vector3(), from: new Vector3(), to: new Vector3(), place: new Matrix4(), back: new Matrix4() };
const upward = new Vector3(0, 1, 0);
const one = new Vector3(1, 1, 1);
const sides = ['left', 'right'] as const;

function placementMatrix(model: Placement, out: Matrix4): Matrix4 {
  const { position, rotation, size } = scratch;
  position.fromArray(model.position).multiplyScalar(1e-4);
  return out.compose(position, rotation.fromArray(model.rotation).normalize(), size.setScalar(model.scale / 1000));
}

function put(object: Object3D, pose: PoseReal): void {
  object.position.fromArray(pose.position);
  object.quaternion.fromArray(pose.rotation);
}

/** Two lenses, a bridge and temples: 14 cm wide, eyes at the origin, looking along -z. */
function glasses(colour: Tint): Group {
  const frame: BufferGeometry[] = [];
  for (const side of [-1, 1]) {
    frame.push(new TorusGeometry(0.025, 0.0032, 10, 40).scale(1.12, 0.92, 1).translate(side * 0.034, 0, -0.03));
    frame.push(new CapsuleGeometry(0.0026, 0.1, 4, 8).rotateX(Math.PI / 2).rotateY(side * 0.05).translate(side * 0.0605, 0.006, 0.022));
  }
  frame.push(new TorusGeometry(0.009, 0.0028, 8, 16, Math.PI).translate(0, 0.002, -0.03));
  const solid = new Mesh(mergeGeometries(frame), new SolidMaterial({ colour: colour.frame, roughness: 0.35, metalness: 0.2, glow: colour.glow, glowing: 0.45 }));
  const lens = [-1, 1].map((side) => new SphereGeometry(0.025, 24, 10).scale(1.1, 0.9, 0.12).translate(side * 0.034, 0, -0.03));
  const glass = new Mesh(mergeGeometries(lens), new SolidMaterial({ colour: '#bfe9ff', roughness: 0.05, metalness: 0.1, opacity: 0.28 }));
  const group = new Group();
  group.add(solid, glass);
  return group;
}

/** A tapering wand along -z, its tip at the origin of the target ray. */
function wand(colour: Tint): Mesh {
  const parts = [new CylinderGeometry(0.0045, 0.012, 0.11, 20).rotateX(-Math.PI / 2).translate(0, 0, 0.06), new SphereGeometry(0.0065, 16, 12), new SphereGeometry(0.012, 16, 12).translate(0, 0, 0.115)];
  return new Mesh(mergeGeometries(parts), new SolidMaterial({ colour: '#e8e6ff', roughness: 0.45, glow: colour.frame, glowing: 0.25 }));
}

/** A thin beam along -z, one metre long, that fades. */
function beam(colour: Tint): Mesh {
  const geometry = new CylinderGeometry(0.0011, 0.0015, 1, 8, 1, true).rotateX(-Math.PI / 2).translate(0, 0, -0.5);
  const place = geometry.getAttribute('position');
  const tint = new Color(colour.point);
  const colours = Array.from({ length: place.count }, (_, i) => [tint.r, tint.g, tint.b, place.getZ(i) > -0.5 ? 0.75 : 0.45]).flat();
  geometry.setAttribute('color', new Float32BufferAttribute(colours, 4));
  return new Mesh(geometry, new MeshBasicMaterial({ vertexColors: true, transparent: true, depthWrite: false }));
}

/** Where the ray meets something: in sight even inside a fold of the surface. */
function spot(colour: Tint): Mesh {
  const mesh = new Mesh(new SphereGeometry(0.0055, 20, 14), new MeshBasicMaterial({ color: colour.point, transparent: true, opacity: 0.95, depthTest: false }));
  mesh.renderOrder = 10;
  return mesh;
}

/** A name on a plate of the person's colour, upright at any turn of the head. */
function plate(name: string, colour: Tint): Sprite {
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d') as CanvasRenderingContext2D;
  const font = '600 40px system-ui, sans-serif';
  context.font = font;
  canvas.width = Math.min(1024, Math.ceil(context.measureText(name).width) + 48);
  canvas.height = 72;
  context.font = font;
  context.fillStyle = colour.glow;
  context.beginPath();
  context.roundRect(0, 0, canvas.width, canvas.height, 36);
  context.fill();
  context.fillStyle = '#ffffff';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(name, canvas.width / 2, canvas.height / 2 + 2, canvas.width - 40);
  const map = new CanvasTexture(canvas);
  map.colorSpace = SRGBColorSpace;
  const sprite = new Sprite(new SpriteMaterial({ map, transparent: true, depthWrite: false }));
  sprite.scale.set((label.high * canvas.width) / canvas.height, label.high, 1);
  return sprite;
}

interface Side { wand: Mesh; ray: Mesh; dot: Mesh; joints: InstancedMesh; bones: InstancedMesh }

export class Avatar {
  readonly group = new Group();
  /** Points along a world ray to where it meets what is shown; undefined: nothing. */
  meets: (origin: Vector3, direction: Vector3) => Vector3 | undefined = () => undefined;
  /** Are devices' poses target rays? A grip's pose does not say where it points. */
  points = true;
  private readonly tint: Tint;
  private readonly head: Group;
  private readonly name: Sprite | undefined;
  private readonly sides: Record<'left' | 'right', Side>;
  private hasHead = false;
  private readonly now = new Matrix4();
  private readonly then = new Matrix4();
  private readonly seen = { position: new Vector3(), rotation: new Quaternion() };

  /** `place`: 0 the instructor, then the others; `name`: shown above the glasses. */
  constructor(place = 0, name = '') {
    this.tint = tints[place % tints.length] ?? tints[0];
    this.head = glasses(this.tint);
    this.name = name ? plate(name, this.tint) : undefined;
    this.group.matrixAutoUpdate = false;
    this.group.add(this.head, ...(this.name ? [this.name] : []));
    this.sides = { left: this.side(), right: this.side() };
    this.hide();
  }

  private side(): Side {
    const skin = new SolidMaterial({ colour: this.tint.frame, roughness: 0.5, glow: this.tint.glow, glowing: 0.35 });
    const side: Side = {
      wand: wand(this.tint), ray: beam(this.tint), dot: spot(this.tint),
      joints: new InstancedMesh(new SphereGeometry(1, 12, 8), skin, 25), bones: new InstancedMesh(new CylinderGeometry(1, 1, 1, 8), skin, bones.length),
    };
    side.joints.frustumCulled = side.bones.frustumCulled = false;
    this.group.add(side.wand, side.ray, side.dot, side.joints, side.bones);
    return side;
  }

  hide(): void { this.group.visible = false; }

  /** Shows the person; `recorded` and `shown`: the model's places then and now; `eye`: the learner's, world metres. */
  show(rig: Shown, recorded: Placement, shown: Placement, eye?: Vector3): void {
    placementMatrix(shown, this.now);
    placementMatrix(recorded, this.then).invert();
    this.group.matrix.copy(this.now).multiply(this.then);
    this.group.updateMatrixWorld(true);
    this.group.visible = true;
    this.head.visible = this.hasHead = rig.head !== undefined;
    if (rig.head) put(this.head, rig.head);
    if (this.name) {
      this.name.position.copy(this.head.position);
      this.name.position.y += label.above;
      this.name.visible = this.hasHead;
    }
    for (let i = 0; i < sides.length; i++) this.showSide(this.sides[sides[i] as 'left'], rig[sides[i] as 'left'], rig.hands[sides[i] as 'left']);
    this.group.updateMatrixWorld(true);
    if (eye && rig.head && eye.distanceTo(scratch.position.setFromMatrixPosition(this.head.matrixWorld)) < personal) this.stepInto();
  }

  /** The eye is where the instructor's is: what would stand before it is not drawn. */
  private stepInto(): void {
    this.head.visible = this.sides.left.wand.visible = this.sides.right.wand.visible = false;
    if (this.name) this.name.visible = false;
  }

  private showSide(side: Side, device: ShownDevice | undefined, joints: readonly PoseReal[] | undefined): void {
    const pointing = device !== undefined;
    side.joints.visible = side.bones.visible = joints !== undefined;
    side.wand.visible = pointing && !joints;
    side.ray.visible = pointing && this.points;
    side.dot.visible = false;
    if (joints) this.showHand(side, joints);
    if (!device) return;
    put(side.wand, device);
    if (!this.points) return;
    put(side.ray, device);
    const { position, rotation, place, back, from, way } = scratch;
    place.compose(position.fromArray(device.position), rotation.fromArray(device.rotation), one).premultiply(this.group.matrix);
    const met = this.meets(from.setFromMatrixPosition(place), way.set(0, 0, -1).transformDirection(place));
    side.ray.scale.set(1, 1, reach);
    if (!met) return;
    side.dot.visible = true;
    side.dot.position.copy(met).applyMatrix4(back.copy(this.group.matrix).invert());
    side.dot.scale.setScalar(1 + 0.8 * device.trigger);
    side.ray.scale.z = side.dot.position.distanceTo(side.ray.position);
  }

  private showHand(side: Side, joints: readonly PoseReal[]): void {
    const { position, rotation, size, way, from, to, place } = scratch;
    for (let i = 0; i < joints.length; i++) side.joints.setMatrixAt(i, place.makeScale(0.0085, 0.0085, 0.0085).setPosition(position.fromArray((joints[i] as PoseReal).position)));
    for (let i = 0; i < bones.length; i++) {
      const bone = bones[i] as [number, number];
      from.fromArray((joints[bone[0]] as PoseReal).position);
      to.fromArray((joints[bone[1]] as PoseReal).position);
      const length = way.copy(to).sub(from).length();
      if (length > 0) way.divideScalar(length);
      else way.copy(upward);
      place.compose(position.copy(from).add(to).multiplyScalar(0.5), rotation.setFromUnitVectors(upward, way), size.set(0.0065, length, 0.0065));
      side.bones.setMatrixAt(i, place);
    }
    side.joints.instanceMatrix.needsUpdate = side.bones.instanceMatrix.needsUpdate = true;
  }

  /** The instructor's head in the world as shown now, good until it is asked again; undefined where none is shown. */
  headNow(): { readonly position: Vector3; readonly rotation: Quaternion } | undefined {
    if (!this.group.visible || !this.hasHead) return undefined;
    this.head.matrixWorld.decompose(this.seen.position, this.seen.rotation, scratch.size);
    return this.seen;
  }

  dispose(): void {
    this.group.removeFromParent();
    this.name?.material.map?.dispose();
    this.name?.material.dispose();
    this.group.traverse((object) => {
      if (!(object instanceof Mesh)) return;
      (object.geometry as BufferGeometry).dispose();
      (object.material as Material).dispose();
      if (object instanceof InstancedMesh) object.dispose();
    });
  }
}
