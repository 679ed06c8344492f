/** The tools at the stage's edge, and the cards they open: explode, cut, slices, window, views. */
import { unitsOf, tenthsOf, whole, axisIndex } from '@fabrica/scene';
import type { Preset } from '@fabrica/scene';
import { Vector3 } from 'three';
import type { Axis, Point, VolumePreset } from '@fabrica/contract';
import type { App, Layout, Tool } from './app';
import { h, icon, iconButton, pressed } from './dom';
import type { IconName } from './icons';

export const windows: readonly [string, number, number][] = [['Soft tissue', 40, 400], ['Bone', 400, 1800], ['Lung', -600, 1500], ['Abdomen', 60, 360], ['Mediastinum', 40, 350], ['Vessels', 200, 700], ['Brain', 40, 80]];
const views: readonly [Preset, string][] = [['front', 'Front'], ['back', 'Back'], ['left', 'Left'], ['right', 'Right'], ['top', 'Top'], ['bottom', 'Bottom'], ['oblique', 'Oblique']];
const tools: readonly [Tool, IconName, string][] = [['select', 'pointer', 'Select (V)'], ['distance', 'ruler', 'Measure a distance (M)'], ['angle', 'angle', 'Measure an angle (N)'], ['pen', 'pen', 'Pen on surfaces (P)'], ['arrow', 'arrow', 'Arrow (W)'], ['label', 'tag', 'Label (L)']];
const hints: Record<Tool, string> = {
  hold: '', select: '', distance: 'Click two points, on the model or on a slice', angle: 'Click three points: the second is the corner', pen: 'Draw on a structure', arrow: 'Click where the arrow points to', label: 'Click where the label belongs',
};

/** Directions of cuts, in scene axes: the side that is taken away. */
export const cuts: readonly [string, Vector3][] = [['Front', new Vector3(0, 0, 1)], ['Left', new Vector3(1, 0, 0)], ['Right', new Vector3(-1, 0, 0)], ['Top', new Vector3(0, 1, 0)]];

/** Which of the three planes the controls are for. */
let chosen = 0;

export const chosenPlane = (): number => chosen;

/** Takes a plane (0 to 2) for the controls; one that was never set starts as a cut from a side of its own. */
export function choosePlane(app: App, plane: number): void {
  chosen = plane;
  if (!app.state.clips[plane]) cutAt(app, [new Vector3(0, 0, 1), new Vector3(1, 0, 0), new Vector3(0, 1, 0)][plane] as Vector3);
  app.changed();
}

export function cutAt(app: App, normal: Vector3): void {
  app.act({ op: 'clip.set', args: { plane: chosen, on: true, point: tenthsOf(app.stage.model.middle), normal: unitsOf(normal) } });
}

/** Cut on, where it was or in the middle; or off. */
export function toggleCut(app: App): void {
  const clip = app.state.clips[chosen];
  if (!clip) choosePlane(app, chosen);
  else app.act({ op: 'clip.set', args: { plane: chosen, ...clip, on: !clip.on } });
}

/** All three slices in the model, or none. One step of undo. */
export function toggleSlices(app: App): void {
  const on = !Object.values(app.state.slices).some((s) => s.on);
  const gesture = `slices-${performance.now()}`;
  for (const axis of ['axial', 'coronal', 'sagittal'] as Axis[]) showSlice(app, axis, on, gesture);
}

export function showSlice(app: App, axis: Axis, on: boolean, gesture?: string): void {
  const { at } = app.state.slices[axis];
  const here = whole(app.stage.flats[axis].centre.getComponent(axisIndex[axis]) * 10);
  app.act({ op: 'slice.set', args: { axis, on, at: at === 0 ? here : at } }, gesture);
}

interface Card { name: string; icon: IconName; label: string; active: (app: App) => boolean; make: (app: App) => { body: HTMLElement; update: () => void } }

function slider(label: string, low: number, high: number, step: number, set: (value: number, gesture: string) => void): { element: HTMLElement; show: (value: number, text: string) => void } {
  const out = h('output', {}, '');
  const input = h('input', { type: 'range', min: low, max: high, step, 'aria-label': label });
  let gesture = '';
  input.addEventListener('input', () => set(input.valueAsNumber, (gesture ||= `${label}-${performance.now()}`)));
  input.addEventListener('change', () => { gesture = ''; });
  return { element: h('label', { class: 'slider' }, h('span', {}, label), input, out), show: (value, text) => { input.value = String(value); out.textContent = text; } };
}

function explodeCard(app: App): { body: HTMLElement; update: () => void } {
  const amount = slider('Apart', 0, 1000, 10, (v, gesture) => app.act({ op: 'explode', args: { amount: v } }, gesture));
  return { body: h('div', {}, amount.element), update: () => amount.show(app.state.explode, `${Math.round(app.state.explode / 10)} %`) };
}

/** How far a plane is along its normal from the model's middle, mm. */
function depthOf(app: App, point: Point, normal: Vector3): number {
  const p = new Vector3(point[0] / 10000, point[2] / 10000, -point[1] / 10000).sub(app.stage.model.middle);
  return p.dot(normal) * 1000;
}

function cutCard(app: App): { body: HTMLElement; update: () => void } {
  const clip = (): { on: boolean; point: Point; normal: Point } | undefined => app.state.clips[chosen];
  const normalNow = (): Vector3 => {
    const n = clip()?.normal ?? [0, -32767, 0];
    return new Vector3(n[0], n[2], -n[1]).normalize();
  };
  const depth = slider('Depth', -250, 250, 1, (v, gesture) => {
    const now = clip();
    if (!now) return;
    const point = tenthsOf(app.stage.model.middle.clone().addScaledVector(normalNow(), v / 1000));
    app.act({ op: 'clip.set', args: { plane: chosen, on: true, point, normal: now.normal } }, gesture);
  });
  const on = h('button', { type: 'button', class: 'button', onclick: () => toggleCut(app) }, icon('cut'), 'Cut');
  const planes = [0, 1, 2].map((plane) => h('button', { type: 'button', class: 'chip', onclick: () => choosePlane(app, plane) }, `Cut ${plane + 1}`));
  const body = h('div', {}, h('div', { class: 'chips', role: 'group', 'aria-label': 'Which cut' }, planes), h('div', { class: 'chips', role: 'group', 'aria-label': 'Cut away' }, cuts.map(([name, normal]) => h('button', { type: 'button', class: 'chip', onclick: () => cutAt(app, normal) }, name)),
    h('button', { type: 'button', class: 'chip', onclick: () => cutAt(app, app.stage.camera.position.clone().sub(app.stage.controls.target).normalize()) }, 'Facing me')),
  depth.element, h('div', { class: 'buttons' }, on, h('button', { type: 'button', class: 'button', onclick: () => {
    const now = clip();
    if (now) app.act({ op: 'clip.set', args: { plane: chosen, on: true, point: now.point, normal: [-now.normal[0] + 0, -now.normal[1] + 0, -now.normal[2] + 0] } });
  } }, icon('flip'), 'Other side')));
  return { body, update: () => {
    const now = clip();
    planes.forEach((chip, plane) => {
      pressed(chip, plane === chosen);
      chip.classList.toggle('on', app.state.clips[plane]?.on === true);
    });
    pressed(on, now?.on ?? false);
    on.classList.toggle('on', now?.on ?? false);
    const mm = now ? depthOf(app, now.point, normalNow()) : 0;
    depth.show(mm, `${mm.toFixed(0)} mm`);
  } };
}

function slicesCard(app: App, full: (() => Promise<void>) | undefined): { body: HTMLElement; update: () => void } {
  const rows = (['axial', 'coronal', 'sagittal'] as Axis[]).map((axis) => {
    const box = h('input', { type: 'checkbox' });
    box.addEventListener('change', () => showSlice(app, axis, box.checked));
    return { axis, box, element: h('label', { class: 'check' }, box, h('span', { class: `pane-name ${axis}` }, axis.charAt(0).toUpperCase() + axis.slice(1))) };
  });
  const sharp = h('button', { type: 'button', class: 'button', onclick: () => {
    sharp.disabled = true;
    void full?.().then(() => { sharp.hidden = true; }, (error: Error) => { sharp.disabled = false; app.toast(error.message); });
  } }, 'Full resolution');
  sharp.hidden = !full;
  return { body: h('div', {}, h('div', { class: 'checks' }, rows.map((r) => r.element)), sharp), update: () => { for (const r of rows) r.box.checked = app.state.slices[r.axis].on; } };
}

export const clouds: readonly [VolumePreset, string][] = [['bone', 'Bone'], ['vessels', 'Vessels'], ['soft', 'Soft tissue'], ['lung', 'Lungs']];

function volumeCard(app: App): { body: HTMLElement; update: () => void } {
  const off = h('button', { type: 'button', class: 'chip', onclick: () => app.act({ op: 'volume.show', args: { on: false, preset: app.state.volume.preset } }) }, 'Off');
  const chips = clouds.map(([preset, text]) => ({ preset, element: h('button', { type: 'button', class: 'chip', onclick: () => app.act({ op: 'volume.show', args: { on: true, preset } }) }, text) }));
  return { body: h('div', {}, h('div', { class: 'chips', role: 'group', 'aria-label': 'Volume' }, off, chips.map((c) => c.element)), h('p', { class: 'quiet small' }, 'The CT itself by its densities, whatever was segmented. Slow on a weak graphics card.')), update: () => {
    const { on, preset } = app.state.volume;
    pressed(off, !on);
    for (const c of chips) pressed(c.element, on && c.preset === preset);
  } };
}

function windowCard(app: App): { body: HTMLElement; update: () => void } {
  const chips = windows.map(([name, centre, width]) => ({ centre, width, element: h('button', { type: 'button', class: 'chip', onclick: () => app.act({ op: 'window.set', args: { centre, width } }) }, name) }));
  const centre = slider('Centre', -1000, 2000, 5, (v, gesture) => app.act({ op: 'window.set', args: { centre: v, width: app.state.window.width } }, gesture));
  const width = slider('Width', 10, 4000, 10, (v, gesture) => app.act({ op: 'window.set', args: { centre: app.state.window.centre, width: v } }, gesture));
  return { body: h('div', {}, h('div', { class: 'chips', role: 'group', 'aria-label': 'Window presets' }, chips.map((c) => c.element)), centre.element, width.element), update: () => {
    const w = app.state.window;
    for (const c of chips) pressed(c.element, c.centre === w.centre && c.width === w.width);
    centre.show(w.centre, `${w.centre} HU`);
    width.show(w.width, `${w.width} HU`);
  } };
}

function viewCard(app: App): { body: HTMLElement; update: () => void } {
  return { body: h('div', { class: 'chips', role: 'group', 'aria-label': 'Views' }, views.map(([name, text]) => h('button', { type: 'button', class: 'chip', onclick: () => app.stage.look(name) }, text)),
    h('button', { type: 'button', class: 'chip', onclick: () => app.stage.look(undefined) }, 'Fit')), update: () => undefined };
}

const cards = (full: (() => Promise<void>) | undefined): readonly Card[] => [
  { name: 'view', icon: 'camera', label: 'View', active: () => false, make: viewCard },
  { name: 'explode', icon: 'explode', label: 'Explode', active: (app) => app.state.explode > 0, make: explodeCard },
  { name: 'cut', icon: 'cut', label: 'Cut', active: (app) => Object.values(app.state.clips).some((c) => c.on), make: cutCard },
  { name: 'slices', icon: 'slices', label: 'Slices', active: (app) => Object.values(app.state.slices).some((s) => s.on), make: (app) => slicesCard(app, full) },
  { name: 'volume', icon: 'cloud', label: 'Volume', active: (app) => app.state.volume.on, make: volumeCard },
  { name: 'window', icon: 'window', label: 'Window', active: () => false, make: windowCard },
];

/** The bar below: one card open at a time. */
export function dock(app: App, full: (() => Promise<void>) | undefined): HTMLElement {
  let shown = '';
  const place = h('div', { class: 'card-place' });
  const parts = cards(full).map((card) => {
    const made = card.make(app);
    const panel = h('section', { class: 'card', 'aria-label': card.label, id: `card-${card.name}` }, h('h3', {}, card.label), made.body);
    panel.hidden = true;
    const button = h('button', { type: 'button', class: 'dock-button', 'aria-expanded': 'false', 'aria-controls': `card-${card.name}`, onclick: () => show(shown === card.name ? '' : card.name) }, icon(card.icon), h('span', {}, card.label));
    place.append(panel);
    return { card, made, panel, button };
  });
  function show(name: string): void {
    shown = name;
    for (const p of parts) {
      p.panel.hidden = p.card.name !== name;
      p.button.setAttribute('aria-expanded', String(p.card.name === name));
      if (!p.panel.hidden && p.card.name === 'cut' && !app.state.clips[0]?.on) toggleCut(app);
    }
  }
  const update = (): void => {
    for (const p of parts) {
      p.made.update();
      p.button.classList.toggle('active', p.card.active(app));
    }
  };
  app.watch(update);
  update();
  const reset = h('button', { type: 'button', class: 'dock-button', onclick: () => app.reset() }, icon('reset'), h('span', {}, 'Reset'));
  return h('div', { class: 'dock' }, place, h('div', { class: 'dock-bar', role: 'toolbar', 'aria-label': 'Scene' }, parts.map((p) => p.button), reset));
}

/** The rail at the left: tools, and what the tool in hand wants. */
export function toolRail(app: App): HTMLElement {
  const buttons = tools.map(([tool, name, label]) => ({ tool, element: iconButton(name, label, () => app.set({ tool: app.ui.tool === tool ? 'select' : tool })) }));
  const hint = h('p', { class: 'hint', role: 'status' });
  const colours = h('div', { class: 'paints rail-paints', role: 'group', 'aria-label': 'Colour of marks' }, ([['Amber', [255, 196, 61]], ['Red', [239, 83, 80]], ['Green', [102, 204, 136]], ['Blue', [100, 160, 255]]] as [string, [number, number, number]][]).map(([name, rgb]) =>
    h('button', { type: 'button', class: 'paint', title: name, 'aria-label': name, 'data-rgb': rgb.join(), style: `--paint: rgb(${rgb.join(' ')})`, onclick: () => app.set({ colour: rgb }) })));
  const update = (): void => {
    for (const b of buttons) pressed(b.element, b.tool === app.ui.tool);
    const left = app.ui.tool === 'angle' ? 3 - app.ui.pending.length : 2 - app.ui.pending.length;
    hint.textContent = app.ui.pending.length > 0 && app.ui.tool !== 'pen' ? `${left} more ${left === 1 ? 'point' : 'points'}` : hints[app.ui.tool];
    colours.hidden = !['pen', 'arrow', 'label'].includes(app.ui.tool);
    for (const b of colours.children) pressed(b, (b as HTMLElement).dataset['rgb'] === app.ui.colour.join());
    document.documentElement.dataset['tool'] = app.ui.tool;
  };
  app.watch(update);
  update();
  return h('div', { class: 'rail-place' }, h('div', { class: 'rail', role: 'toolbar', 'aria-label': 'Tools', 'aria-orientation': 'vertical' }, buttons.map((b) => b.element)), colours, hint);
}

/** Which panes are shown. */
export function layoutSwitch(app: App): HTMLElement {
  const kinds: readonly [Layout, IconName, string][] = [['model', 'layout1', 'Model alone'], ['split', 'layout2', 'Model and three slices'], ['quad', 'layout4', 'Four panes']];
  const buttons = kinds.map(([layout, name, label]) => ({ layout, element: iconButton(name, label, () => app.set({ layout })) }));
  const update = (): void => { for (const b of buttons) pressed(b.element, b.layout === app.ui.layout); };
  app.watch(update);
  update();
  return h('div', { class: 'segmented', role: 'group', 'aria-label': 'Panes' }, buttons.map((b) => b.element));
}
