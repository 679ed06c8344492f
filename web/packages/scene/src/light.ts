/**
 * The light, as GLSL constants: a key and a fill light that go with the head, sky and ground, and a little from all
 * sides. Physically based: Lambert and GGX (Walter et al., "Microfacet Models for Refraction through Rough Surfaces",
 * 2007; Smith's correlated visibility after Heitz, JCGT 2014). No lights of three: each of its materials would be sent
 * their colours and directions again for each eye of each frame, though they never change.
 */
import { Color, ShaderMaterial } from 'three';

const vec3 = (v: readonly number[]): string => `vec3(${v.map((n) => n.toFixed(6)).join(', ')})`;
const light = (colour: string, intensity: number): string => vec3(new Color(colour).multiplyScalar(intensity).toArray());

/** What is lit needs `viewMatrix`, and says where it lies (`toEye`: unit, camera's space) and which way it faces. */
export const lightShader = /* glsl */ `
/** From whence, in the camera's space; red, green, blue. */
const vec3 keyFrom = normalize(vec3(-0.5, 0.7, 2.0));
const vec3 keyLight = ${light('#fff4e6', 2.25)};
const vec3 fillFrom = normalize(vec3(1.0, -0.2, 1.4));
const vec3 fillLight = ${light('#bcd6ff', 0.55)};
const vec3 skyLight = ${light('#eef4ff', 1.05)};
const vec3 groundLight = ${light('#4a4038', 1.05)};
const vec3 everywhere = ${light('#ffffff', 0.18)};

vec3 reflected(vec3 from, vec3 n, vec3 toEye, vec3 diffuse, vec3 specular, float a2) {
  vec3 h = normalize(from + toEye);
  float nl = clamp(dot(n, from), 0.0, 1.0), nv = clamp(dot(n, toEye), 0.0, 1.0), nh = clamp(dot(n, h), 0.0, 1.0), vh = clamp(dot(toEye, h), 0.0, 1.0);
  vec3 fresnel = specular + (1.0 - specular) * exp2((-5.55473 * vh - 6.98316) * vh);
  float seen = 0.5 / max(nl * sqrt(a2 + (1.0 - a2) * nv * nv) + nv * sqrt(a2 + (1.0 - a2) * nl * nl), 1e-6);
  float d = nh * nh * (a2 - 1.0) + 1.0;
  return nl * (diffuse / 3.14159265 + fresnel * seen * a2 / (3.14159265 * d * d));
}

/** The light that a surface of \`colour\` sends to the eye; the edges of small facets are made rougher, as they would glitter. */
vec3 lit(vec3 colour, vec3 n, vec3 toEye, float rough, float metal) {
  vec3 turn = max(abs(dFdx(n)), abs(dFdy(n)));
  float r = min(max(rough, 0.0525) + max(max(turn.x, turn.y), turn.z), 1.0);
  float a2 = r * r * r * r;
  vec3 diffuse = colour * (1.0 - metal);
  vec3 specular = mix(vec3(0.04), colour, metal);
  vec3 up = (viewMatrix * vec4(0.0, 1.0, 0.0, 0.0)).xyz;
  vec3 around = everywhere + mix(groundLight, skyLight, 0.5 * dot(n, up) + 0.5);
  return around * diffuse / 3.14159265 + keyLight * reflected(keyFrom, n, toEye, diffuse, specular, a2) + fillLight * reflected(fillFrom, n, toEye, diffuse, specular, a2);
}
`;

export interface Finish { colour: string; roughness: number; metalness?: number; glow?: string; glowing?: number; opacity?: number }

/** A plain surface under that light; of instanced meshes too. */
export class SolidMaterial extends ShaderMaterial {
  constructor({ colour, roughness, metalness = 0, glow = '#000000', glowing = 0, opacity = 1 }: Finish) {
    super({
      transparent: opacity < 1,
      depthWrite: opacity >= 1,
      vertexShader: `varying vec3 away; varying vec3 facing;
        void main() {
          #include <beginnormal_vertex>
          #include <defaultnormal_vertex>
          #include <begin_vertex>
          #include <project_vertex>
          away = -mvPosition.xyz;
          facing = transformedNormal;
        }`,
      fragmentShader: `varying vec3 away; varying vec3 facing;
        ${lightShader}
        void main() {
          gl_FragColor = vec4(lit(${vec3(new Color(colour).toArray())}, normalize(facing), normalize(away), ${roughness.toFixed(4)}, ${metalness.toFixed(4)}) + ${light(glow, glowing)}, ${opacity.toFixed(4)});
          #include <colorspace_fragment>
        }`,
    });
  }
}
