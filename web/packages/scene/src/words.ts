/**
 * Words in the room: plates that face the eye and are as high at any distance (capitals 1 degree), all of them
 * one draw call. Their pictures lie in one canvas that all share.
 */
import { BufferAttribute, CanvasTexture, GLSL3, InstancedBufferAttribute, InstancedBufferGeometry, LinearFilter, Mesh, ShaderMaterial } from 'three';
import type { DataTexture, Vector3 } from 'three';
import { partShader } from './surface';

/** Pixels of the canvas, of a row of it, of the letters. */
const sheet = { width: 2048, height: 1024, row: 64, font: 40 };
/** Height of a plate, radians at the eye: letters of 40 px on 64, capitals 0.71 of them: 1 degree is 0.0175. */
const plate = 0.0395;
const most = 256;

const vertexShader = /* glsl */ `
in vec4 anchor;
in vec4 cell;
in float lift;
out vec2 at;
out vec2 half_;
out vec4 where;
${partShader}
void main() {
  int row = int(anchor.w + 0.5);
  vec4 eye = modelViewMatrix * vec4(placed(row, anchor.xyz), 1.0);
  float high = length(eye.xyz) * ${plate};
  half_ = vec2(0.5 * cell.z / cell.w * ${(sheet.width / sheet.height).toFixed(1)}, lift);
  at = vec2(position.x * half_.x, position.y * (lift + 1.0));
  where = cell;
  eye.xy += at * high;
  gl_Position = projectionMatrix * eye;
  if (texelFetch(parts, ivec2(1, row), 0).w < 0.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;

const fragmentShader = /* glsl */ `
precision highp float;
uniform sampler2D picture;
in vec2 at;
in vec2 half_;
in vec4 where;
out vec4 colour;
void main() {
  if (at.y < half_.y) {
    if (abs(at.x) > 0.03) discard;
    colour = vec4(0.95, 0.97, 1.0, 0.9);
    return;
  }
  vec2 uv = vec2((at.x / half_.x + 1.0) * 0.5, at.y - half_.y);
  colour = texture(picture, where.xy + uv * where.zw);
  if (colour.a < 0.05) discard;
}`;

interface Cell { x: number; y: number; w: number }

export class Words {
  readonly mesh: Mesh<InstancedBufferGeometry, ShaderMaterial>;
  count = 0;
  /** The canvas was begun anew: what was added before has lost its picture and must be added again. */
  stale = false;
  private readonly brush: CanvasRenderingContext2D;
  private readonly texture: CanvasTexture;
  private readonly cells = new Map<string, Cell>();
  private readonly anchor = new Float32Array(4 * most);
  private readonly cell = new Float32Array(4 * most);
  private readonly lift = new Float32Array(most);
  private next = { x: 0, y: 0 };

  constructor(parts: DataTexture) {
    const canvas = document.createElement('canvas');
    canvas.width = sheet.width;
    canvas.height = sheet.height;
    this.brush = canvas.getContext('2d') as CanvasRenderingContext2D;
    this.texture = new CanvasTexture(canvas);
    this.texture.minFilter = this.texture.magFilter = LinearFilter;
    this.texture.generateMipmaps = false;
    const geometry = new InstancedBufferGeometry();
    geometry.setAttribute('position', new BufferAttribute(new Float32Array([-1, 0, 0, 1, 0, 0, -1, 1, 0, 1, 1, 0]), 3));
    geometry.setIndex([0, 1, 2, 2, 1, 3]);
    geometry.setAttribute('anchor', new InstancedBufferAttribute(this.anchor, 4));
    geometry.setAttribute('cell', new InstancedBufferAttribute(this.cell, 4));
    geometry.setAttribute('lift', new InstancedBufferAttribute(this.lift, 1));
    this.mesh = new Mesh(geometry, new ShaderMaterial({
      glslVersion: GLSL3, transparent: true, depthTest: false, depthWrite: false, uniforms: { picture: { value: this.texture }, parts: { value: parts } }, vertexShader, fragmentShader,
    }));
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = 18;
    this.mesh.visible = false;
  }

  clear(): void {
    this.count = 0;
    this.stale = false;
  }

  /** A plate that stands `lift` plate heights over `at` (the part's space, metres). `tint`: its edge. What is over 256 is not shown. */
  add(text: string, at: Vector3, lift: number, tint: string, row = 0): void {
    if (this.count === most) return;
    const cell = this.cellOf(text, tint);
    const i = this.count++;
    at.toArray(this.anchor, 4 * i);
    this.anchor[4 * i + 3] = row;
    this.cell.set([cell.x / sheet.width, 1 - (cell.y + sheet.row) / sheet.height, cell.w / sheet.width, sheet.row / sheet.height], 4 * i);
    this.lift[i] = lift;
  }

  flush(): void {
    this.mesh.visible = this.count > 0;
    this.mesh.geometry.instanceCount = this.count;
    const { attributes } = this.mesh.geometry;
    (attributes['anchor'] as BufferAttribute).needsUpdate = true;
    (attributes['cell'] as BufferAttribute).needsUpdate = true;
    (attributes['lift'] as BufferAttribute).needsUpdate = true;
  }

  /** The place of a text's picture; painted when first needed. A full canvas is begun anew. */
  private cellOf(text: string, tint: string): Cell {
    const key = `${tint} ${text}`;
    const known = this.cells.get(key);
    if (known) return known;
    const { brush, next } = this;
    brush.font = `600 ${sheet.font}px Inter, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", system-ui, sans-serif`;
    let words = text;
    while (words.length > 1 && brush.measureText(words).width > 900) words = `${words.slice(0, -2).trimEnd()}…`;
    const w = Math.ceil(brush.measureText(words).width) + 44;
    if (next.x + w > sheet.width) {
      next.x = 0;
      next.y += sheet.row;
    }
    if (next.y + sheet.row > sheet.height) {
      this.cells.clear();
      brush.clearRect(0, 0, sheet.width, sheet.height);
      next.x = next.y = 0;
      this.stale = this.count > 0;
    }
    const cell = { x: next.x, y: next.y, w };
    this.paint(words, tint, cell);
    next.x += w;
    this.cells.set(key, cell);
    this.texture.needsUpdate = true;
    return cell;
  }

  private paint(words: string, tint: string, { x, y, w }: Cell): void {
    const { brush } = this;
    brush.beginPath();
    brush.roundRect(x + 3, y + 3, w - 6, sheet.row - 6, 14);
    brush.fillStyle = 'rgba(13, 19, 25, 0.88)';
    brush.fill();
    brush.lineWidth = 3;
    brush.strokeStyle = tint;
    brush.stroke();
    brush.fillStyle = '#ffffff';
    brush.textAlign = 'center';
    brush.textBaseline = 'middle';
    brush.fillText(words, x + w / 2, y + sheet.row / 2 + 2);
  }

  dispose(): void {
    this.mesh.removeFromParent();
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
    this.texture.dispose();
  }
}
