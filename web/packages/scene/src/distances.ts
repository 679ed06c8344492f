/**
 * How far away the structures are, seen from a camera, as a picture: the cloud ends there. A cap is as far as the
 * plane that made it, not as its back face, which stands for it (surface.ts).
 *
 * Drawn while the cloud is being drawn, for each camera: a page and each eye of a headset alike.
 */
import { DoubleSide, FloatType, FrontSide, GLSL3, Mesh, NearestFilter, RedFormat, ShaderMaterial, Vector4, WebGLRenderTarget } from 'three';
import type { BufferGeometry, Camera, DataTexture, Matrix4, Plane, Texture, WebGLRenderer } from 'three';
import { capFirst, planeEntry, partShader } from './surface';

const vertexShader = /* glsl */ `
in float part;
out vec3 at;
#include <clipping_planes_pars_vertex>
${partShader}
void main() {
  int row = int(part + 0.5);
  vec4 mvPosition = modelViewMatrix * vec4(placed(row, position), 1.0);
  vec3 transformedNormal = normalMatrix * turned(texelFetch(parts, ivec2(0, row), 0), normal);
  gl_Position = projectionMatrix * mvPosition;
  at = mvPosition.xyz;
  ${capFirst}
  #include <clipping_planes_vertex>
}`;

/** 1 / metres from the camera: 0, where nothing was drawn, is endlessly far. */
const fragmentShader = /* glsl */ `
in vec3 at;
out vec4 near;
#include <clipping_planes_pars_fragment>
${planeEntry}
void main() {
  #include <clipping_planes_fragment>
  vec3 place = at;
  #if NUM_CLIPPING_PLANES > 0
  float facing;
  if (!gl_FrontFacing) place *= entryOf(at, facing);
  #endif
  near = vec4(1.0 / max(length(place), 1e-4), 0.0, 0.0, 1.0);
}`;

export class Distances {
  private readonly target = new WebGLRenderTarget(1, 1, { type: FloatType, format: RedFormat, minFilter: NearestFilter, magFilter: NearestFilter });
  private readonly material: ShaderMaterial;
  private readonly mesh: Mesh<BufferGeometry, ShaderMaterial>;
  private readonly viewport = new Vector4();

  /** `root`: the model's world matrix. */
  constructor(geometry: BufferGeometry, parts: DataTexture, root: Matrix4) {
    this.material = new ShaderMaterial({ glslVersion: GLSL3, clipping: true, uniforms: { parts: { value: parts } }, vertexShader, fragmentShader });
    this.mesh = new Mesh(geometry, this.material);
    this.mesh.matrixWorld = root;
    this.mesh.matrixAutoUpdate = this.mesh.matrixWorldAutoUpdate = false;
    this.mesh.frustumCulled = false;
  }

  get texture(): Texture { return this.target.texture; }

  /** Draws the picture anew, and leaves the renderer as it was. `planes`: what is on their negative side is cut away. */
  draw(renderer: WebGLRenderer, camera: Camera, planes: readonly Plane[]): void {
    const eye = (camera as Camera & { viewport?: Vector4 }).viewport;
    const { z, w } = eye ?? renderer.getCurrentViewport(this.viewport);
    const share = eye ? 0.5 : 1;
    this.target.setSize(Math.max(1, Math.round(z * share)), Math.max(1, Math.round(w * share)));
    this.cut(planes);
    const { xr, info, autoClear } = renderer;
    const before = renderer.getRenderTarget();
    const { enabled } = xr;
    const { autoReset } = info;
    xr.enabled = info.autoReset = renderer.autoClear = false;
    renderer.setRenderTarget(this.target);
    renderer.clear();
    renderer.render(this.mesh, camera);
    renderer.setRenderTarget(before);
    if (eye) renderer.state.viewport(eye);
    renderer.autoClear = autoClear;
    xr.enabled = enabled;
    info.autoReset = autoReset;
  }

  private cut(planes: readonly Plane[]): void {
    const { material } = this;
    material.clippingPlanes = planes.length > 0 ? planes as Plane[] : null;
    const side = planes.length > 0 ? DoubleSide : FrontSide;
    if (material.side === side) return;
    material.side = side;
    material.needsUpdate = true;
  }

  dispose(): void {
    this.target.dispose();
    this.material.dispose();
  }
}
