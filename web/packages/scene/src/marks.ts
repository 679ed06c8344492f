/**
 * What the state holds besides structures, drawn in 3D: strokes, arrows, labels, measures with their numbers,
 * the frames of cuts and slices. A page draws numbers and words itself and asks only for strokes and frames.
 */
import { Color, SRGBColorSpace, Vector3 } from 'three';
import type { Annotation, Axis, Measure, Point, Rgb, State } from '@fabrica/contract';
import { clipFrame, cornersOf, knobOf, sliceFrame } from './frames';
import type { Frame } from './frames';
import { Lines } from './lines';
import { measured, said } from './measure';
import type { Model } from './model';
import { axes } from './slices';
import { sceneOf } from './space';
import type { Volume } from './volume';
import { Words } from './words';

export type Ink = readonly [number, number, number, number];

const scratch = new Color();

/** A colour of a row as shaders have it. */
export function inkOf([r, g, b]: Rgb, alpha = 1): Ink {
  scratch.setRGB(r / 255, g / 255, b / 255, SRGBColorSpace);
  return [scratch.r, scratch.g, scratch.b, alpha];
}

export const inks = {
  measure: inkOf([255, 214, 102]), accent: inkOf([53, 195, 184]), plain: inkOf([235, 242, 248]),
  axial: inkOf([239, 108, 96]), coronal: inkOf([102, 187, 106]), sagittal: inkOf([100, 160, 255]),
} as const;

/** Half widths, metres as scanned. */
const width = { measure: 0.0007, dot: 0.0018, frame: 0.0008, knob: 0.009 };

/** What is known of structures only outside the scene. */
export interface Facts { volumeMl: (id: number) => number | undefined; nameOf: (id: number) => string }

export class Marks {
  readonly through: Lines;
  readonly words: Words;
  readonly lines: Lines;
  /** True in the headset: numbers, words, arrows, and knobs to take hold of. */
  full = false;
  facts: Facts = { volumeMl: () => undefined, nameOf: () => '' };
  private readonly a = new Vector3();
  private readonly b = new Vector3();
  private made: unknown[] = [];

  constructor(private readonly model: Model) {
    const body = model.body;
    if (!body) throw new Error('marks are made after the model was read');
    this.lines = new Lines(body.table.texture, 'true', 256);
    this.through = new Lines(body.table.texture, 'through', 64);
    this.words = new Words(body.table.texture);
    model.root.add(...this.lines.meshes, ...this.through.meshes, this.words.mesh);
  }

  private rowOf(id: number | undefined): number { return (id === undefined ? undefined : this.model.parts.get(id)?.row) ?? 0; }

  /** Makes lines and words anew if what they show has changed. */
  apply(state: State, volume: Volume | undefined): void {
    const now = [state.annotations, state.measures, state.clips, this.full ? state.slices : undefined, this.full, volume, this.facts];
    if (now.every((value, i) => value === this.made[i]) && this.made.length > 0) return;
    this.made = now;
    this.build(state, volume);
    if (this.words.stale) this.build(state, volume); // the sheet of words was begun anew
  }

  private build(state: State, volume: Volume | undefined): void {
    this.lines.clear();
    this.through.clear();
    this.words.clear();
    for (const annotation of Object.values(state.annotations)) this.annotation(annotation);
    for (const clip of Object.values(state.clips)) if (clip.on) this.frame(clipFrame(this.model, clip), inks.accent);
    if (this.full) {
      for (const measure of Object.values(state.measures)) this.measure(measure);
      if (volume) for (const axis of axes) if (state.slices[axis].on) this.frame(sliceFrame(state, axis, volume), inks[axis as Axis]);
    }
    this.lines.flush();
    this.through.flush();
    this.words.flush();
  }

  private frame(frame: Frame, ink: Ink): void {
    const corners = cornersOf(frame);
    corners.forEach((corner, i) => this.lines.add(corner, corners[(i + 1) % 4] as Vector3, width.frame, width.frame, ink));
    if (!this.full) return;
    const knob = knobOf(frame);
    this.lines.add(knob, knob, width.knob, width.knob, ink);
    const tip = this.b.copy(knob).addScaledVector(frame.normal, 0.045);
    this.lines.add(knob, tip, 0.0035, 0.0035, ink);
    this.lines.add(tip, this.a.copy(tip).addScaledVector(frame.normal, 0.016), 0.008, 0, ink);
  }

  private annotation(annotation: Annotation): void {
    const ink = inkOf(annotation.rgb);
    const row = this.rowOf(annotation.id);
    const half = annotation.width / 20000;
    const [first, second] = annotation.points;
    if (annotation.kind === 'stroke') this.stroke(annotation.points, half, ink, row);
    else if (this.full && annotation.kind === 'arrow' && first && second) this.arrow(first, second, half, ink, row);
    else if (this.full && annotation.kind === 'label' && first) {
      sceneOf(first, this.a);
      this.through.add(this.a, this.a, width.dot, width.dot, ink, row);
      this.words.add(annotation.text || 'Label', this.a, 1.1, `rgb(${annotation.rgb.join()})`, row);
    }
  }

  private stroke(points: readonly Point[], half: number, ink: Ink, row: number): void {
    for (let i = 1; i < points.length; i++) {
      this.lines.add(sceneOf(points[i - 1] as Point, this.a), sceneOf(points[i] as Point, this.b), half, half, ink, row);
    }
  }

  /** From tail to tip; the head is a fifth of it, at most 12 mm. */
  private arrow(tail: Point, tip: Point, half: number, ink: Ink, row: number): void {
    sceneOf(tail, this.a);
    sceneOf(tip, this.b);
    const head = Math.min(0.012, this.a.distanceTo(this.b) / 4);
    const neck = this.b.clone().lerp(this.a, head / Math.max(this.a.distanceTo(this.b), 1e-6));
    this.through.add(this.a, neck, half, half, ink, row);
    this.through.add(neck, this.b, 3.2 * half, 0, ink, row);
  }

  private measure(measure: Measure): void {
    const value = measured(measure, this.facts.volumeMl);
    if (!value) return;
    if (measure.kind === 'volume') return this.volume(measure, said(value));
    const { points, ids } = measure;
    points.forEach((point, i) => {
      const row = this.rowOf(ids[i]);
      this.through.add(sceneOf(point, this.a), this.a, width.dot, width.dot, inks.measure, row);
      const next = points[i + 1];
      if (next) this.through.add(this.a, sceneOf(next, this.b), width.measure, width.measure, inks.measure, row, this.rowOf(ids[i + 1]));
    });
    const [a, b] = points as [Point, Point];
    if (measure.kind === 'angle') this.words.add(said(value), sceneOf(b, this.a), 0.7, '#ffd666', this.rowOf(ids[1]));
    else if (this.rowOf(ids[0]) === this.rowOf(ids[1])) this.words.add(said(value), sceneOf(a, this.a).add(sceneOf(b, this.b)).multiplyScalar(0.5), 0.7, '#ffd666', this.rowOf(ids[0]));
    else this.words.add(said(value), sceneOf(b, this.b), 0.7, '#ffd666', this.rowOf(ids[1]));
  }

  private volume(measure: Measure, text: string): void {
    const part = this.model.parts.get(measure.ids[0] ?? -1);
    if (part) this.words.add(`${this.facts.nameOf(part.id)} ${text}`, part.centroid, 0.7, '#ffd666', part.row);
  }

  dispose(): void {
    this.lines.dispose();
    this.through.dispose();
    this.words.dispose();
  }
}
