/**
 * The panel in the room: one quad with a painted picture, one draw call. It knows commands, not what they do.
 * It is pointed at (ray and trigger or pinch) or touched with a finger tip; its bar carries it about.
 */
import { CanvasTexture, LinearFilter, LinearMipmapLinearFilter, Matrix4, Mesh, PlaneGeometry, ShaderMaterial, SRGBColorSpace, Vector3 } from 'three';
import type { Commands } from '@fabrica/scene';
import { itemAt, layOut, metrics, shareAt } from './panel-layout';
import type { Item, Layout } from './panel-layout';
import { measureWith, paint, signature } from './panel-paint';
import type { Side } from './inputs';

/** Milliseconds between two paintings. */
const pause = 66;

export const panelSize = { width: metrics.width * metrics.pixel, height: metrics.height * metrics.pixel };

const fragment = /* glsl */ `
uniform sampler2D picture;
uniform vec4 hover;
uniform vec3 cursors[2];
uniform vec2 size;
varying vec2 place;
void main() {
  gl_FragColor = texture2D(picture, place);
  vec2 at = vec2(place.x, 1.0 - place.y) * size;
  vec2 d = abs(at - hover.xy - hover.zw * 0.5) - hover.zw * 0.5 + 20.0;
  float edge = length(max(d, 0.0)) - 20.0;
  float inside = hover.z > 0.0 ? smoothstep(2.0, -2.0, edge) : 0.0;
  gl_FragColor.rgb += inside * (0.035 + 0.25 * smoothstep(-7.0, -3.0, edge));
  for (int i = 0; i < 2; i++) {
    float r = length(at - cursors[i].xy);
    gl_FragColor.rgb = mix(gl_FragColor.rgb, vec3(1.0), cursors[i].z * smoothstep(10.0, 7.0, r));
    gl_FragColor.rgb = mix(gl_FragColor.rgb, vec3(0.0), cursors[i].z * smoothstep(3.0, 0.0, abs(r - 11.0)) * 0.6);
  }
  if (gl_FragColor.a < 0.02) discard;
  #include <colorspace_fragment>
}`;

/** A place on the panel: pixels, and metres in front of it (negative: behind). Numbers in an array are never boxed. */
export class Spot {
  inside = false;
  private readonly numbers = new Float64Array(3);

  get x(): number { return this.numbers[0] as number; }
  get y(): number { return this.numbers[1] as number; }
  get depth(): number { return this.numbers[2] as number; }

  /** From the panel's own metres, its middle at 0; z: in front of it, or along a ray. */
  take(local: Vector3): void {
    const { numbers } = this;
    const x = (local.x + panelSize.width / 2) / metrics.pixel;
    const y = (panelSize.height / 2 - local.y) / metrics.pixel;
    numbers[0] = x;
    numbers[1] = y;
    numbers[2] = local.z;
    this.inside = x >= 0 && y >= 0 && x <= metrics.width && y <= metrics.height;
  }

  copy(from: Spot): void {
    this.numbers.set(from.numbers);
    this.inside = from.inside;
  }
}

const nothing = { x: 0, y: 0, w: 0, h: 0 } as const;

interface Press { item: Item; gesture: string }

export class Panel {
  readonly mesh: Mesh<PlaneGeometry, ShaderMaterial>;
  layout: Layout;
  private readonly brush: CanvasRenderingContext2D;
  private readonly texture: CanvasTexture;
  private wanted = { page: '', screen: 0 };
  private painted = '';
  private dirty = true;
  private last = -Infinity;
  private readonly presses: Record<Side, Press | undefined> = { left: undefined, right: undefined };
  private readonly hovers: Record<Side, Item | undefined> = { left: undefined, right: undefined };
  /** Uniforms: what is under the ray (x, y, w, h), and two places with how much of each is seen. */
  private readonly lit = new Float32Array(4);
  private readonly cursors = new Float32Array(6);
  private readonly inverse = new Matrix4();
  private readonly a = new Vector3();
  private readonly b = new Vector3();
  private count = 0;
  private readonly unwatch: () => void;

  /** `foot`: the words that are always there. */
  constructor(private readonly commands: Commands, private readonly foot: () => string) {
    const canvas = document.createElement('canvas');
    canvas.width = metrics.width;
    canvas.height = metrics.height;
    const brush = canvas.getContext('2d');
    if (!brush) throw new Error('this browser draws no canvas');
    this.brush = brush;
    this.texture = new CanvasTexture(canvas);
    this.texture.colorSpace = SRGBColorSpace;
    this.texture.anisotropy = 8;
    this.texture.minFilter = LinearMipmapLinearFilter;
    this.texture.magFilter = LinearFilter;
    const material = new ShaderMaterial({
      transparent: true,
      uniforms: { picture: { value: this.texture }, hover: { value: this.lit }, cursors: { value: this.cursors }, size: { value: new Float32Array([metrics.width, metrics.height]) } },
      vertexShader: 'varying vec2 place; void main() { place = uv; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }',
      fragmentShader: fragment,
    });
    this.mesh = new Mesh(new PlaneGeometry(panelSize.width, panelSize.height), material);
    this.mesh.renderOrder = 20;
    this.mesh.name = 'panel';
    this.layout = this.fresh();
    this.unwatch = commands.watch(() => { this.dirty = true; });
  }

  private fresh(): Layout {
    const layout = layOut(this.commands.list, this.wanted, this.foot(), measureWith(this.brush));
    this.wanted = { page: layout.page, screen: layout.screen };
    return layout;
  }

  /** Paints what has changed; at most 15 times a second. `time`: ms. */
  step(time: number): void {
    if (!this.dirty || time - this.last < pause) return;
    this.last = time;
    this.dirty = false;
    this.layout = this.fresh();
    const now = signature(this.layout);
    if (now === this.painted) return;
    this.painted = now;
    paint(this.brush, this.layout);
    this.texture.needsUpdate = true;
  }

  /** Something said by `foot` has changed. */
  refresh(): void { this.dirty = true; }

  open(page: string): void {
    this.wanted = { page, screen: 0 };
    this.dirty = true;
    this.layout = this.fresh();
  }

  /** Where a ray meets the panel; `depth` is the way along the ray. False if it does not come from the front. */
  aim(origin: Vector3, direction: Vector3, out: Spot): boolean {
    this.inverse.copy(this.mesh.matrixWorld).invert();
    this.a.copy(origin).applyMatrix4(this.inverse);
    this.b.copy(direction).transformDirection(this.inverse);
    if (this.a.z <= 0 || this.b.z >= -1e-4) return false;
    const t = -this.a.z / this.b.z;
    this.a.x += t * this.b.x;
    this.a.y += t * this.b.y;
    this.a.z = t;
    out.take(this.a);
    return out.inside;
  }

  /** Where a finger tip is over the panel; `depth` in front of it. */
  over(tip: Vector3, out: Spot): boolean {
    this.inverse.copy(this.mesh.matrixWorld).invert();
    this.a.copy(tip).applyMatrix4(this.inverse);
    out.take(this.a);
    return out.inside;
  }

  /** World metres of the middle of a command's button, or of a page's tab; undefined where it is not on this screen. */
  placeOf(name: string): Vector3 | undefined {
    const item = this.layout.items.find((i) => i.command?.id === name || i.page === name || (name === 'bar' && i.kind === 'bar'));
    return item && this.pointAt(item.x + item.w / 2, item.y + item.h / 2, new Vector3());
  }

  /** World metres of a place on the panel. */
  pointAt(x: number, y: number, out: Vector3): Vector3 {
    return out.set(x * metrics.pixel - panelSize.width / 2, panelSize.height / 2 - y * metrics.pixel, 0).applyMatrix4(this.mesh.matrixWorld);
  }

  /** Shows where a device points; undefined: nowhere. True where something new lies under it. */
  hover(side: Side, spot: Spot | undefined): boolean {
    const at = side === 'left' ? 0 : 3;
    this.cursors[at + 2] = spot ? 1 : 0;
    if (spot) {
      this.cursors[at] = spot.x;
      this.cursors[at + 1] = spot.y;
    }
    const item = spot && itemAt(this.layout, spot);
    const before = this.hovers[side];
    const fresh = item !== undefined && (item.x !== before?.x || item.y !== before.y);
    this.hovers[side] = item;
    const shown = this.hovers.right ?? this.hovers.left;
    const rect = shown && shown.kind !== 'bar' ? shown : nothing;
    this.lit[0] = rect.x;
    this.lit[1] = rect.y;
    this.lit[2] = rect.w;
    this.lit[3] = rect.h;
    return fresh;
  }

  /** A press at a place; what was pressed. The bar is the caller's to drag. */
  press(side: Side, spot: Spot): Item | undefined {
    const item = itemAt(this.layout, spot);
    if (!item) return undefined;
    this.presses[side] = { item, gesture: `panel-${++this.count}-${performance.now().toFixed(0)}` };
    this.drag(side, spot);
    return item;
  }

  /** Moves a slider that is pressed. */
  drag(side: Side, spot: Spot): void {
    const press = this.presses[side];
    const command = press?.item.command;
    if (press && command?.kind === 'slider') command.set(shareAt(press.item, spot.x), press.gesture);
    this.dirty = true;
  }

  /** Let go: a button is run where it was pressed and let go on it. `spot` undefined: let go elsewhere. */
  release(side: Side, spot: Spot | undefined): void {
    const press = this.presses[side];
    this.presses[side] = undefined;
    this.dirty = true;
    if (!press || !spot) return;
    const under = itemAt(this.layout, spot);
    if (!under || under.kind !== press.item.kind || under.x !== press.item.x || under.y !== press.item.y) return;
    this.run(press.item);
  }

  private run(item: Item): void {
    if (item.command?.kind === 'button') item.command.run();
    if (item.page !== undefined) this.open(item.page);
    if (item.kind === 'more') this.wanted = { page: this.layout.page, screen: (this.layout.screen + 1) % this.layout.screens };
  }

  pressed(side: Side): boolean { return this.presses[side] !== undefined; }

  dispose(): void {
    this.unwatch();
    this.mesh.removeFromParent();
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
    this.texture.dispose();
  }
}
