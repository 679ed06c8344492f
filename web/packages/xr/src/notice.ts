/**
 * The words that must always be in sight: that this is no diagnosis, and how much was not segmented. A small plate
 * low in view that comes along with the head, a little late, over everything.
 */
import { CanvasTexture, LinearFilter, Matrix4, Mesh, PlaneGeometry, Quaternion, ShaderMaterial, SRGBColorSpace, Vector3 } from 'three';
import { font } from './panel-paint';

/** Pixels; metres at its distance; letters of 40 px are 26 mm at 1.1 m: capitals of 1 degree. */
const sheet = { width: 720, line: 54, font: 40 };
const away = { down: -0.6, ahead: -1.02 };
const pixel = 0.00068;

export class Notice {
  readonly mesh: Mesh<PlaneGeometry, ShaderMaterial>;
  private readonly brush: CanvasRenderingContext2D;
  private readonly texture: CanvasTexture;
  private shown = '';
  private readonly turn = new Quaternion();
  private readonly at = new Vector3();
  private readonly size = new Vector3();
  private started = false;
  private readonly now = new Quaternion();

  constructor() {
    const canvas = document.createElement('canvas');
    canvas.width = sheet.width;
    canvas.height = 3 * sheet.line;
    this.brush = canvas.getContext('2d') as CanvasRenderingContext2D;
    this.texture = new CanvasTexture(canvas);
    this.texture.colorSpace = SRGBColorSpace;
    this.texture.minFilter = LinearFilter;
    this.texture.generateMipmaps = false;
    this.mesh = new Mesh(new PlaneGeometry(sheet.width * pixel, 3 * sheet.line * pixel), new ShaderMaterial({
      transparent: true, depthTest: false, depthWrite: false, uniforms: { picture: { value: this.texture } },
      vertexShader: 'varying vec2 at; void main() { at = uv; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }',
      fragmentShader: 'uniform sampler2D picture; varying vec2 at; void main() { gl_FragColor = texture2D(picture, at);\n#include <colorspace_fragment>\n}',
    }));
    this.mesh.renderOrder = 30;
    this.mesh.frustumCulled = false;
    this.mesh.name = 'notice';
  }

  /** What it says, at most three lines, parted by ` · `. Painted where it differs. */
  say(text: string): void {
    if (text === this.shown) return;
    this.shown = text;
    const { brush } = this;
    const lines = text.split(' · ').slice(0, 3);
    brush.clearRect(0, 0, sheet.width, 3 * sheet.line);
    brush.font = font(sheet.font);
    brush.textAlign = 'center';
    brush.textBaseline = 'middle';
    const wide = Math.min(sheet.width, Math.max(...lines.map((l) => brush.measureText(l).width)) + 56);
    brush.beginPath();
    brush.roundRect((sheet.width - wide) / 2, 2, wide, lines.length * sheet.line - 4, 24);
    brush.fillStyle = 'rgba(13, 19, 25, 0.72)';
    brush.fill();
    lines.forEach((line, i) => {
      brush.fillStyle = i === 0 ? '#ffc24a' : '#e6edf3';
      brush.fillText(line, sheet.width / 2, (i + 0.5) * sheet.line + 2, sheet.width - 40);
    });
    this.texture.needsUpdate = true;
  }

  get text(): string { return this.shown; }

  /** Once a frame: low before the eyes. */
  follow(head: Matrix4, tick: { readonly seconds: number }): void {
    head.decompose(this.at, this.turn, this.size);
    if (this.started) this.turnTowards(tick);
    else this.now.copy(this.turn);
    this.started = true;
    this.mesh.quaternion.copy(this.now);
    this.mesh.position.set(0, away.down, away.ahead).applyQuaternion(this.now).add(this.at);
  }

  /** A share of the way to where the head looks; straight through, as the way is short. */
  private turnTowards(tick: { readonly seconds: number }): void {
    const { now, turn } = this;
    const share = Math.min(1, 7 * tick.seconds);
    const sign = now.x * turn.x + now.y * turn.y + now.z * turn.z + now.w * turn.w < 0 ? -1 : 1;
    now.x += share * (sign * turn.x - now.x);
    now.y += share * (sign * turn.y - now.y);
    now.z += share * (sign * turn.z - now.z);
    now.w += share * (sign * turn.w - now.w);
    now.normalize();
  }

  dispose(): void {
    this.mesh.removeFromParent();
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
    this.texture.dispose();
  }
}
