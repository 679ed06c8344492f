/**
 * The CT as a cloud: a ray through the volume for each pixel, front to back. Presets say which densities are
 * seen, and in which colours. It ends at the structures that are shown and at slices; what is see-through is drawn
 * under it.
 */
import { BackSide, BoxGeometry, GLSL3, Matrix4, Mesh, ShaderMaterial, Vector3 } from 'three';
import type { Object3D, Plane } from 'three';
import type { State } from '@fabrica/contract';
import type { Body } from './parts';
import { sceneFromPatient } from './space';
import type { Volume } from './volume';

/** HU from which something is seen, HU at which it is opaque, opacity a sample, two colours. */
const looks: Record<State['volume']['preset'], { low: number; high: number; density: number; dark: string; light: string }> = {
  bone: { low: 150, high: 600, density: 0.6, dark: '0.80,0.58,0.42', light: '1.0,0.97,0.90' },
  vessels: { low: 140, high: 420, density: 0.35, dark: '0.75,0.16,0.12', light: '1.0,0.92,0.84' },
  soft: { low: -20, high: 260, density: 0.05, dark: '0.62,0.32,0.26', light: '0.98,0.90,0.82' },
  lung: { low: -920, high: -550, density: 0.03, dark: '0.35,0.55,0.75', light: '0.85,0.92,1.0' },
};

/** Steps along a ray: the budget of ADR 0110 for a weak GPU. */
const steps = 192;

const fragment = (preset: State['volume']['preset']): string => {
  const look = looks[preset];
  return /* glsl */ `
precision highp float;
precision highp sampler3D;
uniform sampler3D volume;
uniform mat4 textureFromWorld;
uniform vec4 planes[3];
uniform vec4 slices[3];
uniform vec3 voxel;
uniform sampler2D distances;
uniform float hasDistances;
in vec3 world;
in vec3 seen;
out vec4 colour;
float at(vec3 t) { return texture(volume, t).r; }
bool cutAway(vec3 w) {
  for (int i = 0; i < 3; i++) if (dot(planes[i].xyz, w) + planes[i].w < 0.0) return true;
  return false;
}
/** The share of the way from the eye to the box's far side at which something solid is. */
float solidAt(vec3 a, vec3 way) {
  float end = 1.0;
  float inverse = hasDistances > 0.5 ? texture(distances, seen.xy / seen.z * 0.5 + 0.5).r : 0.0;
  if (inverse > 0.0) end = min(end, 1.0 / (inverse * length(world - cameraPosition)));
  for (int i = 0; i < 3; i++) {
    float s = -(dot(slices[i].xyz, cameraPosition) + slices[i].w) / dot(slices[i].xyz, world - cameraPosition);
    if (!(s > 0.0 && s < end)) continue;
    vec3 t = a + way * s;
    if (all(greaterThan(t, vec3(0.0))) && all(lessThan(t, vec3(1.0))) && at(t) >= -900.0) end = s;
  }
  return end;
}
void main() {
  vec3 a = (textureFromWorld * vec4(cameraPosition, 1.0)).xyz;
  vec3 b = (textureFromWorld * vec4(world, 1.0)).xyz;
  vec3 way = b - a;
  vec3 t0 = -a / way;
  vec3 t1 = (1.0 - a) / way;
  vec3 lo = min(t0, t1);
  float near = max(max(lo.x, max(lo.y, lo.z)), 0.0);
  float jitter = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453);
  float end = solidAt(a, way);
  if (end <= near) discard;
  float size = (end - near) / float(${steps});
  vec4 sum = vec4(0.0);
  for (int i = 0; i < ${steps}; i++) {
    float s = near + (float(i) + jitter) * size;
    vec3 t = a + way * s;
    float share = smoothstep(${look.low.toFixed(1)}, ${look.high.toFixed(1)}, at(t));
    if (share <= 0.0 ${preset === 'lung' ? '|| at(t) > -400.0' : ''}) continue;
    if (cutAway(mix(cameraPosition, world, s))) continue;
    vec3 slope = vec3(at(t + vec3(voxel.x, 0, 0)) - at(t - vec3(voxel.x, 0, 0)), at(t + vec3(0, voxel.y, 0)) - at(t - vec3(0, voxel.y, 0)), at(t + vec3(0, 0, voxel.z)) - at(t - vec3(0, 0, voxel.z)));
    float facing = abs(dot(normalize(slope / voxel + 1e-6), normalize(way / voxel)));
    vec3 own = mix(vec3(${look.dark}), vec3(${look.light}), sqrt(share)) * (0.42 + 0.72 * facing);
    float alpha = 1.0 - pow(1.0 - ${look.density.toFixed(3)} * share, length(way / voxel) * size);
    sum += (1.0 - sum.a) * vec4(own * alpha, alpha);
    if (sum.a > 0.97) break;
  }
  if (sum.a < 0.01) discard;
  colour = sum;
}`;
};

const facing = new Vector3();
const middle = new Vector3();

/** World planes of those that are shown; nothing meets (0, 0, 0, 0). */
function placeSlices(slices: readonly Object3D[], out: Float32Array): void {
  out.fill(0);
  for (let i = 0; 4 * i < out.length; i++) {
    const slice = slices[i];
    if (!slice?.visible) continue;
    facing.setFromMatrixColumn(slice.matrixWorld, 2).normalize();
    facing.toArray(out, 4 * i);
    out[4 * i + 3] = -facing.dot(middle.setFromMatrixPosition(slice.matrixWorld));
  }
}

/** What is on their negative side is cut away; (0, 0, 0, 1) cuts nothing. */
function placePlanes(planes: readonly Plane[], out: Float32Array): void {
  for (let i = 0; 4 * i < out.length; i++) {
    const plane = planes[i];
    out.fill(0, 4 * i, 4 * i + 3);
    plane?.normal.toArray(out, 4 * i);
    out[4 * i + 3] = plane ? plane.constant : 1;
  }
}

/** A child of the model's root; drawn last. */
export class Cloud {
  readonly mesh: Mesh<BoxGeometry, ShaderMaterial>;
  private preset: State['volume']['preset'] = 'bone';
  private readonly textureFromScene = new Matrix4();

  /** `body`: the structures, once they are read; `slices`: meshes whose z looks along their normal. */
  constructor(planes: readonly Plane[], rootWorld: Matrix4, body: () => Body | undefined, slices: readonly Object3D[]) {
    const material = new ShaderMaterial({
      glslVersion: GLSL3, side: BackSide, transparent: true, premultipliedAlpha: true, depthWrite: false, depthTest: false,
      uniforms: { volume: { value: null }, textureFromWorld: { value: new Matrix4() }, planes: { value: new Float32Array(12) },
        slices: { value: new Float32Array(12) }, distances: { value: null }, hasDistances: { value: 0 }, voxel: { value: new Float32Array(3) } },
      vertexShader: 'out vec3 world; out vec3 seen; void main() { vec4 w = modelMatrix * vec4(position, 1.0); world = w.xyz; gl_Position = projectionMatrix * viewMatrix * w; seen = gl_Position.xyw; }',
      fragmentShader: fragment('bone'),
    });
    this.mesh = new Mesh(new BoxGeometry(1, 1, 1), material);
    this.mesh.matrixAutoUpdate = false;
    this.mesh.visible = false;
    this.mesh.renderOrder = 10;
    const back = new Matrix4();
    const { uniforms } = material;
    this.mesh.onBeforeRender = (renderer, _scene, camera) => {
      const structures = body();
      const solid = structures?.opaque.mesh.visible === true;
      uniforms['hasDistances']!.value = solid ? 1 : 0;
      if (structures && solid) {
        structures.distances.draw(renderer, camera, planes);
        uniforms['distances']!.value = structures.distances.texture;
      }
      placeSlices(slices, uniforms['slices']!.value as Float32Array);
      (material.uniforms['textureFromWorld']!.value as Matrix4).copy(this.textureFromScene).multiply(back.copy(rootWorld).invert());
      placePlanes(planes, uniforms['planes']!.value as Float32Array);
    };
  }

  apply(state: State, volume: Volume | undefined): void {
    this.mesh.visible = state.volume.on && volume !== undefined;
    if (!volume || !this.mesh.visible) return;
    const { material } = this.mesh;
    if (state.volume.preset !== this.preset) {
      this.preset = state.volume.preset;
      material.fragmentShader = fragment(this.preset);
      material.needsUpdate = true;
    }
    const patientFromTexture = volume.textureFromPatient.clone().invert();
    this.mesh.matrix.copy(sceneFromPatient).multiply(patientFromTexture).multiply(new Matrix4().makeTranslation(0.5, 0.5, 0.5));
    this.textureFromScene.copy(volume.textureFromPatient).multiply(sceneFromPatient.clone().invert());
    material.uniforms['volume']!.value = volume.texture;
    const [x, y, z] = volume.info.size;
    (material.uniforms['voxel']!.value as Float32Array).set([1 / x, 1 / y, 1 / z]);
  }
}
