/** Slices of the CT: as planes in the 3D view, and as flat pictures with outlines of structures. */
import {
  Data3DTexture, DoubleSide, GLSL3, Group, Matrix4, Mesh, PlaneGeometry, RedIntegerFormat, ShaderMaterial, UnsignedShortType, Vector2, Vector3, Vector4,
} from 'three';
import type { Axis, State } from '@fabrica/contract';
import type { Labels, Volume } from './volume';
import { sceneFromPatient } from './space';

export const axes: readonly Axis[] = ['axial', 'coronal', 'sagittal'];

/** Patient coordinate (0 x, 1 y, 2 z) an axis' slices are counted along. */
export const axisIndex: Record<Axis, 0 | 1 | 2> = { axial: 2, coronal: 1, sagittal: 0 };

/** On screen, in LPS: right and up. Axial from the feet, coronal from the front, sagittal from the left. */
const screen: Record<Axis, { right: Vector3; up: Vector3 }> = {
  axial: { right: new Vector3(1, 0, 0), up: new Vector3(0, -1, 0) },
  coronal: { right: new Vector3(1, 0, 0), up: new Vector3(0, 0, 1) },
  sagittal: { right: new Vector3(0, 1, 0), up: new Vector3(0, 0, 1) },
};

/** Directions of an axis' picture on screen, in LPS. */
export const screenOf = (axis: Axis): { right: Vector3; up: Vector3 } => screen[axis];

/** mm LPS where a slice is; its place is the volume's middle until somebody sets it. */
export function slicePlace(state: State, axis: Axis, volume: Volume): number {
  const { on, at } = state.slices[axis];
  const i = axisIndex[axis];
  const low = volume.low.getComponent(i);
  const high = volume.high.getComponent(i);
  if (!on && at === 0) return (low + high) / 2;
  return Math.min(Math.max(at / 10, low + 0.05), high - 0.05);
}

/** The three slices' common point, mm LPS. */
export const crosshair = (state: State, volume: Volume): Vector3 => new Vector3(
  slicePlace(state, 'sagittal', volume), slicePlace(state, 'coronal', volume), slicePlace(state, 'axial', volume));

const sample = /* glsl */ `
precision highp float;
precision highp sampler3D;
precision highp usampler3D;
uniform sampler3D volume;
uniform vec2 hounsfield;
uniform mat4 textureFromPatient;
float greyAt(vec3 t) {
  return clamp((texture(volume, t).r - hounsfield.x) / hounsfield.y + 0.5, 0.0, 1.0);
}
bool outside(vec3 t) { return any(lessThan(t, vec3(0.0))) || any(greaterThan(t, vec3(1.0))); }
`;

/** A slice as a plane in the scene. */
class SlicePlane {
  readonly mesh: Mesh<PlaneGeometry, ShaderMaterial>;

  constructor(readonly axis: Axis) {
    const material = new ShaderMaterial({
      glslVersion: GLSL3,
      side: DoubleSide,
      uniforms: { volume: { value: null }, hounsfield: { value: new Float32Array([40, 400]) }, textureFromPatient: { value: new Matrix4() } },
      vertexShader: `out vec3 patient;
        void main() { patient = (modelMatrixLocal * vec4(position, 1.0)).xyz; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }`
        .replace('out vec3', 'uniform mat4 modelMatrixLocal; out vec3'),
      fragmentShader: `${sample} in vec3 patient; out vec4 colour;
        void main() {
          vec3 t = (textureFromPatient * vec4(patient, 1.0)).xyz;
          if (outside(t) || texture(volume, t).r < -900.0) discard;
          colour = vec4(vec3(greyAt(t)), 1.0);
        }`,
    });
    material.uniforms['modelMatrixLocal'] = { value: new Matrix4() };
    this.mesh = new Mesh(new PlaneGeometry(1, 1), material);
    this.mesh.matrixAutoUpdate = false;
    this.mesh.visible = false;
    this.mesh.userData['axis'] = axis;
  }

  place(state: State, volume: Volume): void {
    const { right, up } = screen[this.axis];
    const middle = volume.low.clone().add(volume.high).multiplyScalar(0.5);
    middle.setComponent(axisIndex[this.axis], slicePlace(state, this.axis, volume));
    const size = volume.high.clone().sub(volume.low);
    const normal = right.clone().cross(up);
    const patientFromPlane = new Matrix4().makeBasis(
      right.clone().multiplyScalar(Math.abs(size.dot(right))), up.clone().multiplyScalar(Math.abs(size.dot(up))), normal).setPosition(middle);
    const { uniforms } = this.mesh.material;
    (uniforms['modelMatrixLocal']!.value as Matrix4).copy(patientFromPlane);
    this.mesh.matrix.copy(sceneFromPatient).multiply(patientFromPlane);
    uniforms['volume']!.value = volume.texture;
    (uniforms['textureFromPatient']!.value as Matrix4).copy(volume.textureFromPatient);
    (uniforms['hounsfield']!.value as Float32Array).set([state.window.centre, state.window.width]);
  }
}

/** The three slices in 3D; a child of the model's root. */
export class SlicePlanes {
  readonly group = new Group();
  private readonly planes = axes.map((axis) => new SlicePlane(axis));

  constructor() {
    for (const plane of this.planes) this.group.add(plane.mesh);
  }

  apply(state: State, volume: Volume | undefined): void {
    for (const plane of this.planes) {
      plane.mesh.visible = volume !== undefined && state.slices[plane.axis].on;
      if (volume && plane.mesh.visible) plane.place(state, volume);
    }
  }
}

/** One flat picture: what part of the patient fills the pane. */
export interface Flat {
  axis: Axis;
  /** mm LPS in the pane's middle. */
  centre: Vector3;
  /** mm per CSS pixel. */
  scale: number;
}

/** Stands in until the label map is there: an integer sampler must never see another kind of texture. */
function noLabels(): Data3DTexture {
  const texture = new Data3DTexture(new Uint16Array(1), 1, 1, 1);
  texture.format = RedIntegerFormat;
  texture.type = UnsignedShortType;
  texture.internalFormat = 'R16UI';
  texture.unpackAlignment = 2;
  texture.needsUpdate = true;
  return texture;
}

/** Draws flat pictures, one quad for all panes. */
export class FlatSlices {
  readonly mesh: Mesh<PlaneGeometry, ShaderMaterial>;

  constructor() {
    const v = (): { value: Vector3 } => ({ value: new Vector3() });
    this.mesh = new Mesh(new PlaneGeometry(2, 2), new ShaderMaterial({
      glslVersion: GLSL3,
      depthTest: false,
      depthWrite: false,
      uniforms: {
        volume: { value: null }, hounsfield: { value: new Vector2() }, textureFromPatient: { value: new Matrix4() }, centre: v(), right: v(), up: v(),
        labels: { value: noLabels() }, labelColours: { value: null }, labelFromPatient: { value: new Matrix4() }, hasLabels: { value: 0 },
        selected: { value: 0 }, texel: { value: new Vector4() },
      },
      vertexShader: 'out vec2 at; void main() { at = position.xy; gl_Position = vec4(position.xy, 0.0, 1.0); }',
      fragmentShader: `${sample}
        uniform usampler3D labels; uniform sampler2D labelColours; uniform mat4 labelFromPatient;
        uniform vec3 centre; uniform vec3 right; uniform vec3 up; uniform float hasLabels; uniform float selected; uniform vec4 texel;
        in vec2 at; out vec4 colour;
        uint labelAt(vec2 p) {
          vec3 t = (labelFromPatient * vec4(centre + right * p.x + up * p.y, 1.0)).xyz;
          return outside(t) ? 0u : texture(labels, t).r;
        }
        void main() {
          vec3 t = (textureFromPatient * vec4(centre + right * at.x + up * at.y, 1.0)).xyz;
          if (outside(t)) { colour = vec4(0.0, 0.0, 0.0, 1.0); return; }
          colour = vec4(vec3(greyAt(t)), 1.0);
          if (hasLabels < 0.5) return;
          uint here = labelAt(at);
          vec4 mine = here == 0u ? vec4(0.0) : texelFetch(labelColours, ivec2(int(here), 0), 0);
          if (mine.a == 0.0) return;
          bool edge = labelAt(at + vec2(texel.x, 0.0)) != here || labelAt(at - vec2(texel.x, 0.0)) != here
            || labelAt(at + vec2(0.0, texel.y)) != here || labelAt(at - vec2(0.0, texel.y)) != here;
          bool chosen = uint(selected) == here;
          colour.rgb = mix(colour.rgb, mine.rgb, edge ? (chosen ? 1.0 : 0.85) * mine.a : (chosen ? 0.3 : 0.0));
        }`,
    }));
    this.mesh.frustumCulled = false;
  }

  /** Sets what the next draw shows. `width`, `height`: CSS pixels. */
  aim(flat: Flat, width: number, height: number, state: State, volume: Volume, labels: Labels | undefined, selected: number): void {
    const u = this.mesh.material.uniforms;
    const { right, up } = screen[flat.axis];
    const set = (name: string, value: unknown): void => { u[name]!.value = value; };
    set('volume', volume.texture);
    set('textureFromPatient', volume.textureFromPatient);
    (u['hounsfield']!.value as Vector2).set(state.window.centre, state.window.width);
    (u['centre']!.value as Vector3).copy(flat.centre);
    (u['right']!.value as Vector3).copy(right).multiplyScalar((width / 2) * flat.scale);
    (u['up']!.value as Vector3).copy(up).multiplyScalar((height / 2) * flat.scale);
    (u['texel']!.value as Vector4).set(2 / width, 2 / height, 0, 0);
    set('hasLabels', labels ? 1 : 0);
    set('selected', selected);
    if (labels) {
      set('labels', labels.texture);
      set('labelColours', labels.colours);
      set('labelFromPatient', labels.textureFromPatient);
    }
  }
}

/** mm LPS of a point of a pane, CSS pixels from its top left. */
export function patientAt(flat: Flat, x: number, y: number, width: number, height: number): Vector3 {
  const { right, up } = screen[flat.axis];
  return flat.centre.clone().addScaledVector(right, (x - width / 2) * flat.scale).addScaledVector(up, (height / 2 - y) * flat.scale);
}

/** CSS pixels of a point in mm LPS, and how far it is from the slice, mm. */
export function paneAt(flat: Flat, patient: Vector3, width: number, height: number): { x: number; y: number; off: number } {
  const d = patient.clone().sub(flat.centre);
  const { right, up } = screen[flat.axis];
  return { x: width / 2 + d.dot(right) / flat.scale, y: height / 2 - d.dot(up) / flat.scale, off: d.getComponent(axisIndex[flat.axis]) };
}

