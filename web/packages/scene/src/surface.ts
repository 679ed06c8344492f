/**
 * The material of a structure: shaded outside; where a clip plane cuts it, the CT on the cut.
 *
 * Structures are closed and do not overlap, so a ray that enters through the plane inside one meets that
 * one's back face first. So a back face IS the cap: drawn flat, with the colour of the place where the ray
 * passed the plane. No stencil, no second pass. Only its depth is off, which nothing sees.
 */
import { Color, FrontSide, Matrix4, MeshStandardMaterial } from 'three';
import type { Data3DTexture, IUniform } from 'three';

/** Shared by all structures. */
export interface CutUniforms {
  cutVolume: IUniform<Data3DTexture | null>;
  /** 1 where the CT is there to be drawn on cuts. */
  cutHas: IUniform<number>;
  /** Centre and width, HU. */
  cutWindow: IUniform<{ x: number; y: number }>;
}

const declarations = /* glsl */ `
uniform highp sampler3D cutVolume;
uniform float cutHas;
uniform vec2 cutWindow;
uniform mat4 textureFromView;
uniform vec3 rimColour;
uniform float rimAmount;
`;

const cut = /* glsl */ `
#if NUM_CLIPPING_PLANES > 0
if (!gl_FrontFacing) {
  vec3 far = -vClipPosition;
  float entry = 0.0;
  float facing = 1.0;
  for (int i = 0; i < NUM_CLIPPING_PLANES; i++) {
    float slope = dot(clippingPlanes[i].xyz, far);
    float t = slope > 0.0 ? -clippingPlanes[i].w / slope : 0.0;
    if (t > entry && t <= 1.0001) { entry = t; facing = abs(dot(clippingPlanes[i].xyz, normalize(far))); }
  }
  vec3 flatColour = diffuse * (0.55 + 0.35 * facing);
  if (cutHas > 0.5 && entry > 0.0) {
    vec3 p = (textureFromView * vec4(far * entry, 1.0)).xyz;
    float hu = texture(cutVolume, p).r;
    float grey = clamp((hu - cutWindow.x) / cutWindow.y + 0.5, 0.0, 1.0);
    vec3 lit = vec3(grey * grey);
    flatColour = mix(lit, diffuse * (0.25 + 0.9 * lit), 0.45);
  }
  gl_FragColor = vec4(flatColour, opacity);
}
#endif
if (gl_FrontFacing) {
  float rim = pow(1.0 - clamp(dot(normalize(vViewPosition), normal), 0.0, 1.0), 2.5);
  gl_FragColor.rgb += rimColour * rim * rimAmount;
}
`;

export class SurfaceMaterial extends MeshStandardMaterial {
  readonly textureFromView = new Matrix4();
  readonly rim = { value: new Color(0.35, 0.42, 0.5) };
  readonly rimAmount = { value: 0.16 };

  constructor(shared: CutUniforms) {
    super({ roughness: 0.58, metalness: 0, side: FrontSide });
    this.onBeforeCompile = (shader) => {
      Object.assign(shader.uniforms, shared, {
        textureFromView: { value: this.textureFromView }, rimColour: this.rim, rimAmount: this.rimAmount,
      });
      shader.fragmentShader = declarations + shader.fragmentShader.replace('#include <opaque_fragment>', `#include <opaque_fragment>\n${cut}`);
    };
    this.customProgramCacheKey = () => 'fabrica-surface';
  }
}
