/**
 * The stage: one canvas behind all panes. The 3D pane and the flat panes are parts of it, so that one GPU
 * context holds the CT once. Draws only when something changed.
 */
import { Box3, Matrix4, OrthographicCamera, PerspectiveCamera, Plane, Quaternion, Scene, Vector2, Vector3, WebGLRenderer } from 'three';
import { OrbitControls } from 'three/examples/jsm/controls/OrbitControls.js';
import { start } from '@fabrica/contract';
import type { Axis, State } from '@fabrica/contract';
import { lighten } from './detail';
import { Model } from './model';
import { Picker } from './pick';
import type { Pick } from './pick';
import { Cloud } from './raycast';
import { axes, axisIndex, crosshair, FlatSlices, SlicePlanes } from './slices';
import type { Flat } from './slices';
import { directionOf, sceneOf } from './space';
import { Marks } from './marks';
import type { Facts } from './marks';
import type { Labels, Volume } from './volume';
import { steady } from './steady';
import type { CutUniforms } from './surface';

/** Camera presets: from where, in scene axes. */
export const presets = {
  front: new Vector3(0, 0, 1), back: new Vector3(0, 0, -1), left: new Vector3(1, 0, 0), right: new Vector3(-1, 0, 0),
  top: new Vector3(0, 1, 0.001), bottom: new Vector3(0, -1, 0.001), oblique: new Vector3(0.62, 0.22, 0.78),
};
export type Preset = keyof typeof presets;

export interface Panes { view3d: HTMLElement; flat: Record<Axis, HTMLElement> }

export class Stage {
  readonly renderer: WebGLRenderer;
  readonly scene = new Scene();
  readonly camera = new PerspectiveCamera(32, 1, 0.01, 12);
  readonly controls: OrbitControls;
  readonly model: Model;
  readonly picker: Picker;
  readonly flats: Record<Axis, Flat>;
  readonly planes: Plane[] = [];
  volume: Volume | undefined;
  labels: Labels | undefined;
  state: State = start();
  selected: number | undefined;
  /** Called after each drawn frame, for overlays. */
  onFrame: () => void = () => undefined;
  frames = 0;
  private readonly slices = new SlicePlanes();
  private readonly flatSlices = new FlatSlices();
  private readonly flatCamera = new OrthographicCamera();
  private readonly flatScene = new Scene();
  private marks: Marks | undefined;
  private readonly cloud: Cloud;
  private readonly cut: CutUniforms = { cutVolume: { value: null }, cutHas: { value: 0 }, cutWindow: { value: new Float32Array([40, 400]) }, textureFromScene: { value: new Matrix4() } };
  private facts: Facts = { volumeMl: () => undefined, nameOf: () => '' };
  private readonly matrix = new Matrix4();
  private readonly size = new Vector2();
  private flight: { from: Vector3; to: Vector3; targetFrom: Vector3; targetTo: Vector3; began: number } | undefined;
  private wanted = false;
  private lost = false;
  private imageAllowed = true;

  constructor(readonly canvas: HTMLCanvasElement, readonly panes: Panes) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true, powerPreference: 'high-performance' });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.autoClear = false;
    this.renderer.localClippingEnabled = true;
    steady(this.renderer, canvas);
    this.model = new Model(this.cut);
    this.picker = new Picker(this.model);
    this.cloud = new Cloud(this.planes, this.model.root.matrixWorld, () => this.model.body, this.slices.group.children);
    this.flats = Object.fromEntries(axes.map((axis) => [axis, { axis, centre: new Vector3(), scale: 1 }])) as Record<Axis, Flat>;
    this.scene.add(this.model.root, this.camera);
    this.model.root.add(this.slices.group, this.cloud.mesh);
    this.flatScene.add(this.flatSlices.mesh);
    this.controls = new OrbitControls(this.camera, panes.view3d);
    this.controls.enableDamping = !matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.controls.dampingFactor = 0.14;
    this.controls.zoomToCursor = true;
    this.controls.addEventListener('change', () => this.invalidate());
    canvas.addEventListener('webglcontextlost', (event) => { event.preventDefault(); this.lost = true; });
    canvas.addEventListener('webglcontextrestored', () => { this.lost = false; this.invalidate(); });
    new ResizeObserver(() => this.invalidate()).observe(canvas);
  }

  /** In the headset, numbers and words are drawn in the scene, and frames can be taken hold of. */
  set inside(on: boolean) {
    if (this.marks) this.marks.full = on;
    this.apply(this.state);
  }

  /** How fine structures are drawn: 0 is the finest (detail.ts). */
  get detail(): number { return this.model.body?.level ?? 0; }

  set detail(level: number) {
    const { body } = this.model;
    if (!body || body.level === level) return;
    body.level = level;
    body.refresh();
  }

  /** The CT on cuts and as a cloud; off where a device cannot afford it. */
  set image(on: boolean) {
    this.imageAllowed = on;
    this.apply(this.state);
  }

  /** Coarser structures, made in pauses (detail.ts). */
  async lighten(pause: (share: number) => Promise<void>): Promise<void> { await lighten([...this.model.parts.values()], pause); }

  /** What marks say of structures: volumes and names. */
  describe(facts: Facts): void { this.facts = facts; }

  /** Shows `state`. */
  apply(state: State): void {
    this.state = state;
    this.model.apply(state, this.selected);
    this.applyClips(state);
    this.slices.apply(state, this.volume);
    this.cloud.apply(state, this.imageAllowed ? this.volume : undefined);
    this.cut.cutHas.value = this.volume && this.imageAllowed ? 1 : 0;
    this.applyMarks(state);
    this.cut.cutWindow.value[0] = state.window.centre;
    this.cut.cutWindow.value[1] = state.window.width;
    this.followCrosshair();
    this.invalidate();
  }

  /** Shows the model at a place that no row has yet told, while it is held; the next row, or `apply`, has the last word. */
  preview(position: Vector3, rotation: Quaternion, scale: number): void {
    const { root } = this.model;
    root.position.copy(position);
    root.quaternion.copy(rotation);
    root.scale.setScalar(scale);
    root.updateMatrixWorld(true);
    if (this.planes.length > 0) this.applyClips(this.state);
  }

  private applyMarks(state: State): void {
    if (!this.model.body) return;
    this.marks ??= new Marks(this.model);
    this.marks.facts = this.facts;
    this.marks.apply(state, this.volume);
  }

  private applyClips(state: State): void {
    const on = [0, 1, 2].filter((i) => state.clips[i]?.on);
    while (this.planes.length > on.length) this.planes.pop();
    while (this.planes.length < on.length) this.planes.push(new Plane());
    on.forEach((number, i) => this.placeClip(number, this.planes[i] as Plane));
    this.model.clippingPlanes = this.planes.length > 0 ? this.planes : null;
  }

  private placeClip(number: number, plane: Plane): void {
    const clip = this.state.clips[number];
    if (!clip) return;
    plane.setFromNormalAndCoplanarPoint(directionOf(clip.normal).negate(), sceneOf(clip.point)).applyMatrix4(this.model.root.matrixWorld);
  }

  setVolume(volume: Volume): void {
    const first = this.volume === undefined;
    const old = this.volume;
    this.volume = volume;
    this.cut.cutVolume.value = volume.texture;
    this.model.setVolume(volume.textureFromPatient);
    if (first) this.fitFlats();
    this.apply(this.state);
    old?.dispose();
  }

  setLabels(labels: Labels): void {
    const old = this.labels;
    this.labels = labels;
    this.invalidate();
    old?.dispose();
  }

  /** Fits the flat pictures to their panes. */
  fitFlats(): void {
    if (!this.volume) return;
    const size = this.volume.high.clone().sub(this.volume.low);
    for (const axis of axes) {
      const pane = this.panes.flat[axis];
      const flat = this.flats[axis];
      const wide = axis === 'sagittal' ? size.y : size.x;
      const tall = axis === 'axial' ? size.y : size.z;
      flat.centre.copy(this.volume.low).add(this.volume.high).multiplyScalar(0.5);
      flat.scale = 1.04 * Math.max(wide / Math.max(pane.clientWidth, 50), tall / Math.max(pane.clientHeight, 50));
    }
    this.followCrosshair();
  }

  private followCrosshair(): void {
    if (!this.volume) return;
    const cross = crosshair(this.state, this.volume);
    for (const axis of axes) this.flats[axis].centre.setComponent(axisIndex[axis], cross.getComponent(axisIndex[axis]));
  }

  /** What is under a point of the 3D pane, CSS pixels of the page. */
  pick(clientX: number, clientY: number): Pick | undefined {
    const box = this.panes.view3d.getBoundingClientRect();
    const at = new Vector2(((clientX - box.left) / box.width) * 2 - 1, 1 - ((clientY - box.top) / box.height) * 2);
    return this.picker.at(at, this.camera, this.planes);
  }

  /** CSS pixels in the 3D pane of a point in world metres; undefined behind the camera. */
  project(world: Vector3): { x: number; y: number } | undefined {
    const v = world.clone().project(this.camera);
    if (v.z > 1) return undefined;
    return { x: ((v.x + 1) / 2) * this.panes.view3d.clientWidth, y: ((1 - v.y) / 2) * this.panes.view3d.clientHeight };
  }

  /** Where a point as scanned (0.1 mm) of a structure is now, world metres. */
  worldOf(point: readonly [number, number, number], id: number | undefined): Vector3 {
    return sceneOf([...point]).applyMatrix4(this.model.worldOf(id === undefined ? undefined : this.model.parts.get(id), this.matrix));
  }

  /** Flies to look at `ids` (all that is visible) from a preset's side, or from where the camera is. */
  look(preset?: Preset, ids?: readonly number[], fast = false): void {
    this.model.root.updateMatrixWorld(true);
    const box = this.model.visibleBox(ids);
    const centre = box.getCenter(new Vector3());
    const from = preset ? presets[preset].clone().normalize() : this.camera.position.clone().sub(this.controls.target).normalize();
    const to = centre.clone().addScaledVector(from, Math.max(this.distanceFor(box, from), 0.05));
    this.flight = { from: this.camera.position.clone(), to, targetFrom: this.controls.target.clone(), targetTo: centre, began: performance.now() };
    if (fast || !this.controls.enableDamping) this.flight.began -= 1000;
    this.invalidate();
  }

  /** Takes the camera along when the model went: its middle from `from` to `to`, `share` times as large. */
  carry(from: Vector3, to: Vector3, share: number): void {
    const { flight } = this;
    for (const point of [this.camera.position, this.controls.target, ...(flight ? [flight.from, flight.to, flight.targetFrom, flight.targetTo] : [])]) {
      point.sub(from).multiplyScalar(share).add(to);
    }
    this.invalidate();
  }

  /** How far away a box just fills the 3D pane, with room for the bars, seen along `from`. */
  private distanceFor(box: Box3, from: Vector3): number {
    const pane = this.panes.view3d;
    const tall = Math.tan((this.camera.fov * Math.PI) / 360) * Math.max(0.5, 1 - 150 / Math.max(pane.clientHeight, 1));
    const wide = Math.tan((this.camera.fov * Math.PI) / 360) * 0.92 * (Math.max(pane.clientWidth, 1) / Math.max(pane.clientHeight, 1));
    const right = new Vector3(0, 1, 0).cross(from).normalize();
    const up = from.clone().cross(right);
    const centre = box.getCenter(new Vector3());
    let distance = 0;
    for (let i = 0; i < 8; i++) {
      const corner = new Vector3(i & 1 ? box.max.x : box.min.x, i & 2 ? box.max.y : box.min.y, i & 4 ? box.max.z : box.min.z).sub(centre);
      distance = Math.max(distance, corner.dot(from) + Math.max(Math.abs(corner.dot(right)) / wide, Math.abs(corner.dot(up)) / tall));
    }
    return distance * 0.96;
  }

  private fly(): boolean {
    if (!this.flight) return false;
    const share = Math.min(1, (performance.now() - this.flight.began) / 420);
    const eased = 1 - (1 - share) ** 3;
    this.controls.target.lerpVectors(this.flight.targetFrom, this.flight.targetTo, eased);
    const { from, to, targetFrom, targetTo } = this.flight;
    const a = from.clone().sub(targetFrom);
    const b = to.clone().sub(targetTo);
    const length = a.length() + (b.length() - a.length()) * eased;
    const way = a.normalize().lerp(b.normalize(), eased);
    if (way.lengthSq() < 1e-6) way.set(0.2, 0, 1);
    this.camera.position.copy(this.controls.target).addScaledVector(way.normalize(), length);
    if (share >= 1) {
      this.camera.position.copy(to);
      this.flight = undefined;
    }
    return true;
  }

  invalidate(): void {
    if (this.wanted || this.lost || this.renderer.xr.isPresenting) return;
    this.wanted = true;
    requestAnimationFrame(() => {
      this.wanted = false;
      if (!this.lost) this.draw();
    });
  }

  private draw(): void {
    const moving = this.fly();
    if (this.controls.update() || moving) this.invalidate();
    this.resize();
    this.renderer.setScissorTest(true);
    this.drawModel();
    for (const axis of axes) this.drawFlat(axis);
    this.renderer.setScissorTest(false);
    this.frames++;
    this.onFrame();
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.canvas;
    this.renderer.getSize(this.size);
    if (this.size.x !== clientWidth || this.size.y !== clientHeight) this.renderer.setSize(clientWidth, clientHeight, false);
  }

  /** Sets the drawing area to a pane; false where it is not shown. */
  private toPane(pane: HTMLElement): boolean {
    const outer = this.canvas.getBoundingClientRect();
    const box = pane.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) return false;
    const x = box.left - outer.left;
    const y = outer.bottom - box.bottom;
    this.renderer.setViewport(x, y, box.width, box.height);
    this.renderer.setScissor(x, y, box.width, box.height);
    return true;
  }

  private drawModel(): void {
    if (!this.toPane(this.panes.view3d)) return;
    this.camera.aspect = this.panes.view3d.clientWidth / this.panes.view3d.clientHeight;
    const away = this.camera.position.distanceTo(this.controls.target);
    this.camera.near = Math.max(0.002, away / 50);
    this.camera.far = away + 5;
    this.camera.updateProjectionMatrix();
    this.renderer.setClearColor('#000000', 0); // the page's own background shows
    this.renderer.clear();
    this.model.sort(this.camera.position);
    this.renderer.render(this.scene, this.camera);
  }

  private drawFlat(axis: Axis): void {
    const pane = this.panes.flat[axis];
    if (!this.volume || !this.toPane(pane)) return;
    this.flatSlices.aim(this.flats[axis], pane.clientWidth, pane.clientHeight, this.state, this.volume, this.labels, this.selected ?? 0);
    this.renderer.setClearColor('#000000', 1);
    this.renderer.clear();
    this.renderer.render(this.flatScene, this.flatCamera);
  }

  /** Frees the GPU's memory. */
  dispose(): void {
    this.volume?.dispose();
    this.labels?.dispose();
    this.controls.dispose();
    this.renderer.dispose();
  }
}

