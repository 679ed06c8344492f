/** The room where there is no other: a floor with a quiet grid and the model's shadow, walls that fade upwards. Two draw calls. */
import { BackSide, CircleGeometry, GLSL3, Group, Mesh, ShaderMaterial, SphereGeometry, Vector3 } from 'three';
import type { Stage } from '@fabrica/scene';

const toScreen = 'vec3 screen(vec3 c) { return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c)); }';

const wallShader = /* glsl */ `
precision highp float;
in vec3 way;
out vec4 colour;
${toScreen}
void main() {
  float h = normalize(way).y;
  vec3 c = mix(vec3(0.026, 0.037, 0.048), vec3(0.006, 0.009, 0.014), smoothstep(0.0, 0.75, h));
  c = mix(c, vec3(0.014, 0.019, 0.025), smoothstep(0.0, -0.25, h));
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  colour = vec4(screen(c) + grain / 255.0, 1.0);
}`;

const floorShader = /* glsl */ `
precision highp float;
in vec3 place;
uniform vec4 shadow;
out vec4 colour;
${toScreen}
float grid(vec2 p, float step_, float wide) {
  vec2 d = abs(fract(p / step_ - 0.5) - 0.5) * step_;
  vec2 soft = fwidth(p);
  vec2 l = 1.0 - smoothstep(vec2(wide), vec2(wide) + 1.5 * soft, d);
  return max(l.x, l.y) * clamp(0.012 / max(soft.x, soft.y), 0.0, 1.0);
}
void main() {
  float r = length(place.xz);
  vec3 c = mix(vec3(0.030, 0.040, 0.050), vec3(0.014, 0.019, 0.025), smoothstep(0.0, 4.5, r));
  c += vec3(0.014, 0.024, 0.028) * (grid(place.xz, 1.0, 0.004) + 0.4 * grid(place.xz, 0.25, 0.002)) * smoothstep(5.0, 1.0, r);
  float d = length(place.xz - shadow.xy) / shadow.z;
  c *= 1.0 - shadow.w * exp(-1.6 * d * d);
  float grain = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) - 0.5;
  colour = vec4(screen(c) + grain / 255.0, smoothstep(6.0, 4.5, r));
}`;

export class Room {
  readonly group = new Group();
  private readonly floor: Mesh<CircleGeometry, ShaderMaterial>;
  private readonly middle = new Vector3();
  /** Where it lies (x, z), how wide, how dark. */
  private readonly shadow = new Float32Array([0, 0, 0.4, 0.6]);

  constructor(private readonly stage: Stage) {
    const wall = new Mesh(new SphereGeometry(9, 24, 16), new ShaderMaterial({
      glslVersion: GLSL3, side: BackSide, depthWrite: false,
      vertexShader: 'out vec3 way; void main() { way = position; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }', fragmentShader: wallShader,
    }));
    wall.renderOrder = -2;
    const material = new ShaderMaterial({
      glslVersion: GLSL3, transparent: true, depthWrite: false, uniforms: { shadow: { value: this.shadow } },
      vertexShader: 'out vec3 place; void main() { vec4 w = modelMatrix * vec4(position, 1.0); place = w.xyz; gl_Position = projectionMatrix * viewMatrix * w; }', fragmentShader: floorShader,
    });
    this.floor = new Mesh(new CircleGeometry(6, 48).rotateX(-Math.PI / 2), material);
    this.floor.renderOrder = -1;
    this.group.add(wall, this.floor);
  }

  /** Once a frame: the shadow lies under the model, softer the higher it is. */
  step(): void {
    const { root, middle, box } = this.stage.model;
    this.middle.copy(middle).applyMatrix4(root.matrixWorld);
    const low = Math.max(0, this.middle.y - 0.5 * root.scale.x * (box.max.y - box.min.y));
    const size = 0.3 * root.scale.x * (box.max.x - box.min.x + box.max.z - box.min.z);
    this.shadow[0] = this.middle.x;
    this.shadow[1] = this.middle.z;
    this.shadow[2] = size + 0.45 * low;
    this.shadow[3] = 0.75 / (1 + low);
  }

  dispose(): void {
    this.group.removeFromParent();
    for (const mesh of this.group.children as Mesh<SphereGeometry, ShaderMaterial>[]) {
      mesh.geometry.dispose();
      mesh.material.dispose();
    }
  }
}
