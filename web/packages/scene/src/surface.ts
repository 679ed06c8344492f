/**
 * The material of structures: shaded outside; where a clip plane cuts them, the CT on the cut. Place, colour,
 * opacity and glow of each come from the table of parts (parts.ts).
 *
 * Structures are closed and do not overlap, so a ray that enters through the plane inside one meets that
 * one's back face first. So a back face IS the cap: drawn flat, with the colour of the place where the ray
 * passed the plane. No stencil, no second pass. Only its depth is off, which nothing sees.
 */
import { DoubleSide, FrontSide, Matrix4, MeshStandardMaterial } from 'three';
import type { Data3DTexture, DataTexture, IUniform } from 'three';

/** Shared by all structures. */
export interface CutUniforms {
  cutVolume: IUniform<Data3DTexture | null>;
  /** 1 where the CT is there to be drawn on cuts. */
  cutHas: IUniform<number>;
  /** Centre and width, HU. */
  cutWindow: IUniform<{ x: number; y: number }>;
  /** Texture coordinates from scene metres of the patient as scanned. */
  textureFromScene: IUniform<Matrix4>;
}

/** GLSL: a vector turned by a quaternion, and a point of a part put where it is now. */
export const partShader = /* glsl */ `
uniform highp sampler2D parts;
vec3 turned(vec4 q, vec3 v) { return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v); }
vec3 placed(int row, vec3 v) { return turned(texelFetch(parts, ivec2(0, row), 0), v) + texelFetch(parts, ivec2(1, row), 0).xyz; }
`;

const vertexHead = /* glsl */ `
attribute float part;
flat out highp int vPart;
${partShader}`;

const fragmentHead = /* glsl */ `
precision highp sampler3D;
flat in highp int vPart;
uniform sampler3D cutVolume;
uniform float cutHas;
uniform vec2 cutWindow;
uniform mat4 textureFromScene;
uniform mat4 rootFromView;
${partShader}`;

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

const cut = /* glsl */ `
#if NUM_CLIPPING_PLANES > 0
if (!gl_FrontFacing) {
  vec3 far = -vClipPosition;
  float facing;
  float entry = entryOf(far, facing);
  vec3 flatColour = partInk.rgb * (0.55 + 0.35 * facing);
  if (cutHas > 0.5 && entry > 0.0) {
    vec4 turn = texelFetch(parts, ivec2(0, vPart), 0);
    vec3 now = (rootFromView * vec4(far * entry, 1.0)).xyz - texelFetch(parts, ivec2(1, vPart), 0).xyz;
    vec3 p = (textureFromScene * vec4(turned(vec4(-turn.xyz, turn.w), now), 1.0)).xyz;
    float hu = texture(cutVolume, p).r;
    float grey = clamp((hu - cutWindow.x) / cutWindow.y + 0.5, 0.0, 1.0);
    vec3 lit = vec3(grey * grey);
    flatColour = mix(lit, partInk.rgb * (0.25 + 0.9 * lit), 0.45);
  }
  gl_FragColor = vec4(flatColour, partInk.a);
}
#endif
if (gl_FrontFacing) {
  float rim = pow(1.0 - clamp(dot(normalize(vViewPosition), normal), 0.0, 1.0), 2.5);
  gl_FragColor.rgb += mix(vec3(0.0376, 0.0488, 0.0627), vec3(0.086, 0.845, 0.732), partGlow.a) * rim;
}
`;

export class SurfaceMaterial extends MeshStandardMaterial {
  /** Set for each camera: the model's space from the camera's. */
  readonly rootFromView = new Matrix4();

  constructor(shared: CutUniforms, parts: DataTexture, faded: boolean) {
    super({ roughness: 0.58, metalness: 0, side: FrontSide, transparent: faded, depthWrite: !faded, forceSinglePass: true });
    this.onBeforeCompile = (shader) => {
      Object.assign(shader.uniforms, shared, { parts: { value: parts }, rootFromView: { value: this.rootFromView } });
      shader.vertexShader = vertexHead + shader.vertexShader
        .replace('#include <beginnormal_vertex>', 'vPart = int(part + 0.5);\n#include <beginnormal_vertex>\nobjectNormal = turned(texelFetch(parts, ivec2(0, vPart), 0), objectNormal);')
        .replace('#include <begin_vertex>', '#include <begin_vertex>\ntransformed = placed(vPart, transformed);')
        .replace('#include <project_vertex>', `#include <project_vertex>\n${capFirst}`);
      shader.fragmentShader = fragmentHead + shader.fragmentShader
        .replace('#include <clipping_planes_pars_fragment>', `#include <clipping_planes_pars_fragment>\n${planeEntry}`)
        .replace('vec4 diffuseColor = vec4( diffuse, opacity );', 'vec4 partInk = texelFetch(parts, ivec2(2, vPart), 0);\nvec4 partGlow = texelFetch(parts, ivec2(3, vPart), 0);\nvec4 diffuseColor = partInk;')
        .replace('vec3 totalEmissiveRadiance = emissive;', 'vec3 totalEmissiveRadiance = partGlow.rgb;')
        .replace('#include <opaque_fragment>', `#include <opaque_fragment>\n${cut}`);
    };
    this.customProgramCacheKey = () => 'fabrica-surface';
  }

  /** Back faces are the caps of cuts: drawn only while there is one. */
  set cutting(on: boolean) {
    const side = on ? DoubleSide : FrontSide;
    if (this.side === side) return;
    this.side = side;
    this.needsUpdate = true;
  }
}
