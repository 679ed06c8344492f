/**
 * Lines, dots and arrow heads with a width in metres: each a tapered capsule that faces the eye, all of them one
 * draw call. A dot is a line without length, a head a line that ends in nothing. They move with the part whose
 * row they name.
 */
import {
  BufferAttribute, DoubleSide, DynamicDrawUsage, GLSL3, GreaterDepth, InstancedBufferAttribute, InstancedBufferGeometry, LessEqualDepth, Mesh, ShaderMaterial,
} from 'three';
import type { DataTexture, Vector3 } from 'three';
import { partShader } from './surface';

/** Thinnest line, radians at the eye: about a pixel of a headset. */
const thinnest = 0.0011;

const vertexShader = /* glsl */ `
in vec4 start;
in vec4 end;
in vec4 ink;
in vec2 part;
out vec2 at;
out vec3 shape;
out vec4 colour;
${partShader}
void main() {
  int row = int(part.x + 0.5);
  int last = int(part.y + 0.5);
  float size = length(modelViewMatrix[0].xyz);
  vec3 a = (modelViewMatrix * vec4(placed(row, start.xyz), 1.0)).xyz;
  vec3 b = (modelViewMatrix * vec4(placed(last, end.xyz), 1.0)).xyz;
  float ra = start.w > 0.0 ? max(start.w * size, -a.z * ${thinnest}) : 0.0;
  float rb = end.w > 0.0 ? max(end.w * size, -b.z * ${thinnest}) : 0.0;
  vec3 way = b - a;
  float far = length(way);
  vec3 along = far > 1e-6 ? way / far : vec3(0.0, 1.0, 0.0);
  vec3 aside = cross(along, normalize(a + b));
  aside = length(aside) > 1e-3 ? normalize(aside) : vec3(1.0, 0.0, 0.0);
  float r = max(ra, rb);
  bool first = position.y < 0.5;
  vec3 p = (first ? a - along * r : b + along * r) + aside * position.x * r;
  at = vec2(position.x * r, first ? -r : far + r);
  shape = vec3(far, ra, rb);
  colour = ink;
  gl_Position = projectionMatrix * vec4(p, 1.0);
  if (texelFetch(parts, ivec2(1, row), 0).w < 0.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;

const fragmentShader = /* glsl */ `
precision highp float;
in vec2 at;
in vec3 shape;
in vec4 colour;
uniform float share;
out vec4 outColour;
void main() {
  float t = shape.x > 1e-6 ? clamp(at.y / shape.x, 0.0, 1.0) : 0.0;
  float r = mix(shape.y, shape.z, t);
  float d = length(vec2(at.x, at.y - t * shape.x)) / max(r, 1e-6);
  if (d > 1.0) discard;
  float lit = 0.62 + 0.38 * sqrt(1.0 - d * d);
  outColour = vec4(colour.rgb * lit, colour.a * share);
  outColour.rgb = mix(outColour.rgb * 12.92, 1.055 * pow(outColour.rgb, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, outColour.rgb));
}`;

/** Where it lies against surfaces: at its depth; also seen, faintly, behind them; or over all. */
export type Depth = 'true' | 'through' | 'over';

export class Lines {
  readonly meshes: Mesh<InstancedBufferGeometry, ShaderMaterial>[];
  count = 0;
  private geometry: InstancedBufferGeometry;
  private start!: Float32Array;
  private end!: Float32Array;
  private ink!: Float32Array;
  private part!: Float32Array;
  private room = 0;

  /** `room`: how many there is place for at first; it grows by itself. */
  constructor(parts: DataTexture, depth: Depth, room = 64) {
    this.geometry = this.make(room);
    this.meshes = [this.mesh(parts, false, depth === 'over')];
    if (depth === 'through') this.meshes.push(this.mesh(parts, true, false));
  }

  private mesh(parts: DataTexture, behind: boolean, over: boolean): Mesh<InstancedBufferGeometry, ShaderMaterial> {
    const mesh = new Mesh(this.geometry, new ShaderMaterial({
      glslVersion: GLSL3, side: DoubleSide, transparent: true, depthWrite: !behind && !over, depthTest: !over, depthFunc: behind ? GreaterDepth : LessEqualDepth,
      polygonOffset: !over, polygonOffsetFactor: behind ? 0 : -4, polygonOffsetUnits: behind ? 0 : -4,
      uniforms: { parts: { value: parts }, share: { value: behind ? 0.28 : 1 } }, vertexShader, fragmentShader,
    }));
    mesh.frustumCulled = false;
    mesh.renderOrder = over ? 16 : behind ? 12 : 11;
    mesh.visible = false;
    return mesh;
  }

  private make(room: number): InstancedBufferGeometry {
    this.room = room;
    const geometry = new InstancedBufferGeometry();
    geometry.setAttribute('position', new BufferAttribute(new Float32Array([-1, 0, 0, 1, 0, 0, -1, 1, 0, 1, 1, 0]), 3));
    geometry.setIndex([0, 1, 2, 2, 1, 3]);
    const list = (name: string, size: number): Float32Array => {
      const array = new Float32Array(room * size);
      geometry.setAttribute(name, new InstancedBufferAttribute(array, size).setUsage(DynamicDrawUsage));
      return array;
    };
    this.start = list('start', 4);
    this.end = list('end', 4);
    this.ink = list('ink', 4);
    this.part = list('part', 2);
    return geometry;
  }

  /** Forgets all lines. */
  clear(): void { this.count = 0; }

  /** One line, its ends in their parts' spaces, metres; radii in metres; colour 0 to 1, linear. */
  add(a: Vector3, b: Vector3, ra: number, rb: number, ink: readonly [number, number, number, number], row = 0, rowOfEnd = row): void {
    if (this.count === this.room) this.grow();
    const i = this.count++;
    const { start, end } = this;
    start[4 * i] = a.x;
    start[4 * i + 1] = a.y;
    start[4 * i + 2] = a.z;
    start[4 * i + 3] = ra;
    end[4 * i] = b.x;
    end[4 * i + 1] = b.y;
    end[4 * i + 2] = b.z;
    end[4 * i + 3] = rb;
    for (let k = 0; k < 4; k++) this.ink[4 * i + k] = ink[k] as number;
    this.part[2 * i] = row;
    this.part[2 * i + 1] = rowOfEnd;
  }

  private grow(): void {
    const old = [this.start, this.end, this.ink, this.part];
    const before = this.geometry;
    this.geometry = this.make(2 * this.room);
    [this.start, this.end, this.ink, this.part].forEach((list, i) => list.set(old[i] as Float32Array));
    for (const mesh of this.meshes) mesh.geometry = this.geometry;
    before.dispose();
  }

  /** Shows what was added. */
  flush(): void {
    this.geometry.instanceCount = this.count;
    for (let i = 0; i < this.meshes.length; i++) (this.meshes[i] as Mesh).visible = this.count > 0;
    if (this.count === 0) return;
    const { attributes } = this.geometry;
    (attributes['start'] as BufferAttribute).needsUpdate = true;
    (attributes['end'] as BufferAttribute).needsUpdate = true;
    (attributes['ink'] as BufferAttribute).needsUpdate = true;
    (attributes['part'] as BufferAttribute).needsUpdate = true;
  }

  dispose(): void {
    for (const mesh of this.meshes) {
      mesh.removeFromParent();
      mesh.material.dispose();
    }
    this.geometry.dispose();
  }
}
