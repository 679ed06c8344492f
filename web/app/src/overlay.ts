/**
 * Lines and words over the panes, as SVG: measures, arrows, labels, crosshairs, the clip plane's handle.
 * Redrawn after each frame from the state; nothing is kept.
 */
import { Vector3 } from 'three';
import { axes, axisIndex, crosshair, directionOf, measured, paneAt, patientFromScene, said, sceneOf, screenOf } from '@fabrica/scene';
import type { Axis, Point } from '@fabrica/contract';
import type { App } from './app';
import { svg } from './dom';

interface Spot { x: number; y: number }
type Project = (point: Point, id: number | undefined) => Spot | undefined;

const css = (rgb: readonly number[]): string => `rgb(${rgb.join(' ')})`;

function tag(at: Spot, text: string, className: string): SVGElement {
  const width = Math.min(text.length, 40) * 7.3 + 18;
  const words = svg('text', { x: at.x, y: at.y + 4.2, 'text-anchor': 'middle' });
  words.textContent = text.length > 40 ? `${text.slice(0, 39)}…` : text;
  return svg('g', { class: `tag ${className}` }, svg('rect', { x: at.x - width / 2, y: at.y - 11, width, height: 22, rx: 6 }), words);
}

const line = (a: Spot, b: Spot, className: string): SVGElement => svg('line', { x1: a.x, y1: a.y, x2: b.x, y2: b.y, class: className });
const dot = (p: Spot, className: string): SVGElement => svg('circle', { cx: p.x, cy: p.y, r: 4, class: className });
const middle = (a: Spot, b: Spot): Spot => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });

function path(spots: Spot[], className: string): SVGElement[] {
  const lines = spots.slice(1).map((spot, i) => line(spots[i] as Spot, spot, className));
  return [...lines, ...spots.map((spot) => dot(spot, className))];
}

function measures(app: App, project: Project): SVGElement[] {
  const out: SVGElement[] = [];
  const volume = (id: number): number | undefined => app.byId.get(id)?.volume_ml;
  for (const m of Object.values(app.state.measures)) {
    const value = measured(m, volume);
    if (!value) continue;
    if (m.kind === 'volume') {
      const id = m.ids[0];
      const s = id === undefined ? undefined : app.byId.get(id);
      const at = s && app.stage.model.parts.get(s.value)?.shown ? project(tenths(s.centroid_mm), s.value) : undefined;
      if (at && s) out.push(tag(at, `${app.nameOf(s.value)} ${said(value)}`, 'measure'));
      continue;
    }
    const spots = m.points.map((p, i) => project(p, m.ids[i])).filter((s): s is Spot => s !== undefined);
    if (spots.length !== m.points.length || spots.length < 2) continue;
    out.push(...path(spots, 'measure'));
    const [a, b] = spots as [Spot, Spot];
    const place = m.kind === 'angle' ? { x: b.x, y: b.y - 22 } : middle(a, b);
    out.push(tag(place, said(value), 'measure'));
  }
  return out;
}

const tenths = (mm: readonly [number, number, number]): Point => [Math.round(mm[0] * 10), Math.round(mm[1] * 10), Math.round(mm[2] * 10)];

function arrowHead(from: Spot, to: Spot, colour: string): SVGElement {
  const angle = (Math.atan2(to.y - from.y, to.x - from.x) * 180) / Math.PI;
  return svg('path', { d: 'M0 0L-13 -5.5L-13 5.5z', fill: colour, transform: `translate(${to.x} ${to.y}) rotate(${angle})`, class: 'head' });
}

function annotations(app: App, project: Project): SVGElement[] {
  const out: SVGElement[] = [];
  for (const a of Object.values(app.state.annotations)) {
    const spots = a.points.map((p) => project(p, a.id));
    const [first, second] = spots;
    if (a.kind === 'arrow' && first && second) {
      const shaft = line(first, second, 'arrow');
      shaft.style.stroke = css(a.rgb);
      out.push(shaft, arrowHead(first, second, css(a.rgb)));
    }
    if (a.kind === 'label' && first) {
      const place = { x: first.x + 26, y: first.y - 34 };
      const lead = line(first, place, 'lead');
      lead.style.stroke = css(a.rgb);
      const spot = dot(first, 'pin');
      spot.style.fill = css(a.rgb);
      out.push(lead, spot, tag({ x: place.x + (a.text ?? '').length * 2, y: place.y - 6 }, a.text || 'Label', 'label'));
    }
  }
  return out;
}

function pending(app: App, project: Project): SVGElement[] {
  const spots = app.ui.pending.map((p) => project(p.point, p.id)).filter((s): s is Spot => s !== undefined);
  return path(spots, 'measure pending');
}

/** The clip planes' handles; pages find them by data-plane. */
function handles(app: App, project: Project): SVGElement[] {
  const out: SVGElement[] = [];
  for (const [plane, clip] of Object.entries(app.state.clips)) {
    if (!clip.on) continue;
    const tip = sceneOf(clip.point).addScaledVector(directionOf(clip.normal), 0.045);
    const from = project(clip.point, undefined);
    const to = project([Math.round(tip.x * 10000), Math.round(-tip.z * 10000), Math.round(tip.y * 10000)], undefined);
    if (!from || !to) continue;
    const grip = svg('g', { class: 'handle', 'data-plane': plane, role: 'slider', tabindex: 0, 'aria-label': `Cut ${Number(plane) + 1}`, 'aria-valuenow': 0, transform: `translate(${from.x} ${from.y})` },
      svg('circle', { r: 22, class: 'reach' }), svg('circle', { r: 9, class: 'knob' }));
    out.push(line(from, to, 'normal'), arrowHead(from, to, 'var(--accent)'), grip);
  }
  return out;
}

function compass(app: App): SVGElement[] {
  const basis: [string, Vector3][] = [['L', new Vector3(1, 0, 0)], ['S', new Vector3(0, 1, 0)], ['A', new Vector3(0, 0, 1)]];
  const turn = app.stage.camera.matrixWorldInverse;
  const out: SVGElement[] = [];
  for (const [name, axis] of basis) {
    const v = axis.clone().applyQuaternion(app.stage.model.root.quaternion).transformDirection(turn);
    const tip = { x: 44 + v.x * 24, y: 44 - v.y * 24 };
    const words = svg('text', { x: 44 + v.x * 34, y: 48 - v.y * 34, 'text-anchor': 'middle' });
    words.textContent = name;
    const g = svg('g', { class: `axis axis-${name}`, opacity: 0.55 + 0.45 * Math.max(0, v.z) }, line({ x: 44, y: 44 }, tip, ''), words);
    out.push(g);
  }
  return [svg('g', { class: 'compass' }, ...out)];
}

function drawModel(app: App, target: SVGElement): void {
  const { stage } = app;
  const project: Project = (point, id) => stage.project(stage.worldOf(point, id));
  const shown = handles(app, project);
  const held = document.activeElement?.closest('.handle') ? (document.activeElement as HTMLElement).dataset['plane'] : undefined;
  target.replaceChildren(...compass(app), ...annotations(app, project), ...measures(app, project), ...pending(app, project), ...shown);
  if (held !== undefined) target.querySelector<SVGElement>(`[data-plane="${held}"]`)?.focus();
}

/** Colour of an axis' slice, for crosshairs and pane names. */
export const axisColour: Record<Axis, string> = { axial: 'var(--axial)', coronal: 'var(--coronal)', sagittal: 'var(--sagittal)' };

function drawFlat(app: App, axis: Axis, target: SVGElement): void {
  const { stage } = app;
  const pane = stage.panes.flat[axis];
  if (!stage.volume || pane.clientWidth < 2) return;
  const flat = stage.flats[axis];
  const [w, h] = [pane.clientWidth, pane.clientHeight];
  const cross = paneAt(flat, crosshair(app.state, stage.volume), w, h);
  const { right, up } = screenOf(axis);
  const across = axes.find((a) => up.getComponent(axisIndex[a]) !== 0) as Axis;
  const along = axes.find((a) => right.getComponent(axisIndex[a]) !== 0) as Axis;
  const gap = 14;
  const cut = (a: Spot, b: Spot, of: Axis): SVGElement => {
    const l = line(a, b, 'cross');
    l.style.stroke = axisColour[of];
    return l;
  };
  const within: Project = (point) => {
    const p = paneAt(flat, sceneOf(point).applyMatrix4(patientFromScene), w, h);
    return Math.abs(p.off) < 3 ? p : undefined;
  };
  target.replaceChildren(
    cut({ x: 0, y: cross.y }, { x: cross.x - gap, y: cross.y }, across), cut({ x: cross.x + gap, y: cross.y }, { x: w, y: cross.y }, across),
    cut({ x: cross.x, y: 0 }, { x: cross.x, y: cross.y - gap }, along), cut({ x: cross.x, y: cross.y + gap }, { x: cross.x, y: h }, along),
    ...annotations(app, within), ...measures(app, within), ...pending(app, within));
}

/** Starts drawing overlays after each frame. */
export function overlays(app: App, model: SVGElement, flat: Record<Axis, SVGElement>): void {
  app.stage.onFrame = () => {
    drawModel(app, model);
    for (const axis of axes) drawFlat(app, axis, flat[axis]);
  };
}
