/**
 * What tools do where they touch the model: the same for a mouse, a finger on glass, a controller and a hand.
 * Only how the place is found differs.
 */
import type { Point, Rgb } from '@fabrica/contract';
import type { Pick } from './pick';
import { tenthsOf } from './space';
import type { Viewer } from './viewer';

/** Points of a stroke are at least this far apart, 0.1 mm; it has at most so many. */
const strokeStep = 6;
const strokeMost = 4000;

/** Brings the three slices to a point: one step of undo. */
export function moveSlices(viewer: Viewer, patient: Point, gesture: string): void {
  const { slices } = viewer.session.state;
  viewer.act({ op: 'slice.set', args: { axis: 'sagittal', on: slices.sagittal.on, at: patient[0] } }, gesture);
  viewer.act({ op: 'slice.set', args: { axis: 'coronal', on: slices.coronal.on, at: patient[1] } }, gesture);
  viewer.act({ op: 'slice.set', args: { axis: 'axial', on: slices.axial.on, at: patient[2] } }, gesture);
}

/** Adds a point to the measure under way; makes it when it has all. */
export function addPoint(viewer: Viewer, point: Point, id: number | undefined): void {
  const kind = viewer.ui.tool === 'angle' ? 'angle' : 'distance';
  const points = [...viewer.ui.pending, { point, id }];
  if (points.length < (kind === 'angle' ? 3 : 2)) {
    viewer.set({ pending: points });
    return;
  }
  const ids = points.map((p) => p.id);
  const known = ids.every((i) => i !== undefined) ? (ids as number[]) : [];
  viewer.set({ pending: [] });
  viewer.act({ op: 'measure.add', args: { name: viewer.name(kind), kind, points: points.map((p) => p.point), ids: known } });
}

/** An arrow to the place, coming along the surface's normal. */
function addArrow(viewer: Viewer, pick: Pick): void {
  const tail = pick.patient.clone().addScaledVector(pick.normal, 0.05);
  viewer.act({ op: 'annotation.add', args: { name: viewer.name('arrow'), kind: 'arrow', points: [tenthsOf(tail), tenthsOf(pick.patient)], rgb: ink(viewer), width: 20, id: pick.part.id } });
}

export function addLabel(viewer: Viewer, pick: Pick, text: string): void {
  viewer.act({ op: 'annotation.add', args: { name: viewer.name('label'), kind: 'label', points: [tenthsOf(pick.patient)], text, rgb: ink(viewer), width: 10, id: pick.part.id } });
}

const ink = (viewer: Viewer): Rgb => [...viewer.ui.colour];

/** The tool in hand, used once at a place. Labels need words: `label` is asked for them. */
export function useTool(viewer: Viewer, pick: Pick, label: (pick: Pick) => void): void {
  const { tool } = viewer.ui;
  if (tool === 'distance' || tool === 'angle') addPoint(viewer, tenthsOf(pick.patient), pick.part.id);
  else if (tool === 'arrow') addArrow(viewer, pick);
  else if (tool === 'label') label(pick);
}

/** A stroke of the pen under way: on one structure, from press to release. */
export class PenStroke {
  readonly points: Point[] = [];
  readonly id: number;

  constructor(private readonly viewer: Viewer, first: Pick) {
    this.id = first.part.id;
    this.add(first);
  }

  /** Goes on to a place; those on another structure, or too near, are left out. */
  add(pick: Pick | undefined): void {
    if (!pick || pick.part.id !== this.id || this.points.length > strokeMost) return;
    const point = tenthsOf(pick.patient.clone().addScaledVector(pick.normal, 0.0006));
    const last = this.points[this.points.length - 1];
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1], point[2] - last[2]) < strokeStep) return;
    this.points.push(point);
    this.viewer.set({ pending: this.points.map((p) => ({ point: p, id: this.id })) });
  }

  /** One row, where there is more than a dot. */
  finish(): void {
    const { viewer, points, id } = this;
    viewer.set({ pending: [] });
    if (points.length > 1) viewer.act({ op: 'annotation.add', args: { name: viewer.name('stroke'), kind: 'stroke', points, rgb: ink(viewer), width: 16, id } });
  }
}
