/**
 * The material of structures: shaded outside; where a clip plane cuts them, the CT on the cut. Place, colour,
 * opacity and glow of each come from the table of parts (parts.ts).
 *
 * Structures are closed and do not overlap, so a ray that enters through the plane inside one meets that
 * one's back face first. So a back face IS the cap: drawn flat, with the colour of the place where the ray
 * passed the plane. No stencil, no second pass. Only its depth is off, which nothing sees.
 */
import { DoubleSide, FrontSide, Matrix4, ShaderMaterial } from 'three';
import type { Data3DTexture, DataTexture, IUniform } from 'three';
import { lightShader } from './light';

/** Shared by all structures. */
export interface CutUniforms {
  cutVolume: IUniform<Data3DTexture | null>;
  /** 1 where the CT is there to be drawn on cuts. */
  cutHas: IUniform<number>;
  /** Centre and width, HU. */
  cutWindow: IUniform<Float32Array>;
  /** Texture coordinates from scene metres of the patient as scanned. */
  textureFromScene: IUniform<Matrix4>;
}

/** GLSL: a vector turned by a quaternion, and a point of a part put where it is now. */
export const partShader = /* glsl */ `
uniform highp sampler2D parts;
vec3 turned(vec4 q, vec3 v) { return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v); }
vec3 placed(int row, vec3 v) { return turned(texelFetch(parts, ivec2(0, row), 0), v) + texelFetch(parts, ivec2(1, row), 0).xyz; }
`;

/** How much nearer than they are back faces are drawn while something is cut, metres as scanned. */
const nearer = 0.0015;

/**
 * Where two structures touch, one's back face and the other's front face are the same surface, and whichever wins by
 * the last bit of depth shows: stripes of the neighbour on the cut. What turns away from the eye is moved towards it,
 * along its own ray, so that the cap wins. At a silhouette a structure is thicker than that within a hundredth of a
 * pixel. Only the depth changes.
 */
export const capFirst = /* glsl */ `
#if NUM_CLIPPING_PLANES > 0
{
  vec3 ray = normalize(mvPosition.xyz);
  float away = smoothstep(0.0, 0.05, dot(ray, normalize(transformedNormal)));
  vec4 moved = projectionMatrix * vec4(mvPosition.xyz - ray * away * ${nearer} * length(modelViewMatrix[0].xyz), 1.0);
  gl_Position.z = moved.z / moved.w * gl_Position.w; // to the last bit where it was on the screen: no cracks
}
#endif
`;

/** GLSL: where on the way to `far` (from the eye at 0) the last plane lets it in, as a share; how squarely it meets that plane. */
export const planeEntry = /* glsl */ `
#if NUM_CLIPPING_PLANES > 0
float entryOf(vec3 far, out float facing) {
  float entry = 0.0;
  facing = 1.0;
  for (int i = 0; i < NUM_CLIPPING_PLANES; i++) {
    float slope = dot(clippingPlanes[i].xyz, far);
    float t = slope > 0.0 ? -clippingPlanes[i].w / slope : 0.0;
    if (t > entry && t <= 1.0001) { entry = t; facing = abs(dot(clippingPlanes[i].xyz, normalize(far))); }
  }
  return entry;
}
#endif
`;

const vertexShader = /* glsl */ `
attribute float part;
flat varying highp int row;
varying vec3 away;
varying vec3 facing;
#include <clipping_planes_pars_vertex>
${partShader}
void main() {
  row = int(part + 0.5);
  vec3 transformedNormal = normalMatrix * turned(texelFetch(parts, ivec2(0, row), 0), normal);
  vec4 mvPosition = modelViewMatrix * vec4(placed(row, position), 1.0);
  gl_Position = projectionMatrix * mvPosition;
  away = -mvPosition.xyz;
  facing = transformedNormal;
  ${capFirst}
  #include <clipping_planes_vertex>
}`;

const fragmentShader = /* glsl */ `
precision highp sampler3D;
flat varying highp int row;
varying vec3 away;
varying vec3 facing;
uniform sampler3D cutVolume;
uniform float cutHas;
uniform vec2 cutWindow;
uniform mat4 textureFromScene;
uniform mat4 rootFromView;
#include <clipping_planes_pars_fragment>
${partShader}
${planeEntry}
${lightShader}
#if NUM_CLIPPING_PLANES > 0
/** The colour of a cap: flat, with the CT where it is there. */
vec3 capColour(vec3 ink) {
  vec3 far = -away;
  float squarely;
  float entry = entryOf(far, squarely);
  if (cutHas < 0.5 || entry <= 0.0) return ink * (0.55 + 0.35 * squarely);
  vec4 turn = texelFetch(parts, ivec2(0, row), 0);
  vec3 now = (rootFromView * vec4(far * entry, 1.0)).xyz - texelFetch(parts, ivec2(1, row), 0).xyz;
  vec3 p = (textureFromScene * vec4(turned(vec4(-turn.xyz, turn.w), now), 1.0)).xyz;
  float grey = clamp((texture(cutVolume, p).r - cutWindow.x) / cutWindow.y + 0.5, 0.0, 1.0);
  vec3 ct = vec3(grey * grey);
  return mix(ct, ink * (0.25 + 0.9 * ct), 0.45);
}
#endif
void main() {
  #include <clipping_planes_fragment>
  vec4 ink = texelFetch(parts, ivec2(2, row), 0);
  vec4 glow = texelFetch(parts, ivec2(3, row), 0);
  vec3 n = normalize(facing);
  vec3 toEye = normalize(away);
  vec3 colour = lit(ink.rgb, n, toEye, 0.58, 0.0) + glow.rgb;
  float rim = pow(1.0 - clamp(dot(toEye, n), 0.0, 1.0), 2.5);
  colour += mix(vec3(0.0376, 0.0488, 0.0627), vec3(0.086, 0.845, 0.732), glow.a) * rim;
  #if NUM_CLIPPING_PLANES > 0
  if (!gl_FrontFacing) colour = capColour(ink.rgb);
  #endif
  gl_FragColor = vec4(colour, ink.a);
  #include <colorspace_fragment>
}`;

export class SurfaceMaterial extends ShaderMaterial {
  /** Set for each camera: the model's space from the camera's. */
  readonly rootFromView: Matrix4;

  constructor(shared: CutUniforms, parts: DataTexture, faded: boolean) {
    const rootFromView = new Matrix4();
    super({ clipping: true, side: FrontSide, transparent: faded, depthWrite: !faded, forceSinglePass: true, vertexShader, fragmentShader, uniforms: { ...shared, parts: { value: parts }, rootFromView: { value: rootFromView } } });
    this.rootFromView = rootFromView;
  }

  /** Back faces are the caps of cuts: drawn only while there is one. */
  set cutting(on: boolean) {
    const side = on ? DoubleSide : FrontSide;
    if (this.side === side) return;
    this.side = side;
    this.needsUpdate = true;
  }
}
