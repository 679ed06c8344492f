/** The viewer's page: header, panels, panes, and the states between them. */
import { axes, Stage } from '@fabrica/scene';
import type { Labels } from '@fabrica/scene';
import type { Axis } from '@fabrica/contract';
import { structureOf } from '@fabrica/contract';
import { App } from './app';
import { dock, layoutSwitch, toggleCut, toggleSlices, toolRail } from './dock';
import { helpDialog, noticeDialog } from './dialogs';
import { fill, h, icon, iconButton, pressed, svg } from './dom';
import { flatPane } from './flatpane';
import { inspectorPanel } from './inspector';
import { listenToKeys } from './keys';
import { overlays } from './overlay';
import { structuresPanel } from './structures';
import { setTheme, theme } from './theme';
import { modelTools } from './tools';

export interface Shell {
  canvas: HTMLCanvasElement;
  view3d: HTMLElement;
  overlay: SVGElement;
  flats: Record<Axis, ReturnType<typeof flatPane>>;
  stageBox: HTMLElement;
}

/** The canvas and its panes, made before the twin is known. */
export function makeShell(): Shell {
  const canvas = h('canvas', { class: 'canvas', 'aria-hidden': 'true' });
  const overlay = svg('svg', { class: 'overlay' });
  const view3d = h('div', { class: 'pane model', tabindex: '0', role: 'application', 'aria-label': 'Model: drag to turn, wheel to zoom' });
  view3d.append(overlay);
  const flats = Object.fromEntries(axes.map((axis) => [axis, flatPane(axis)])) as Shell['flats'];
  const panes = h('div', { class: 'panes' }, view3d, axes.map((axis) => flats[axis].element));
  const stageBox = h('main', { class: 'stage', 'data-layout': 'model' }, canvas, panes);
  return { canvas, view3d, overlay, flats, stageBox };
}

export const makeStage = (shell: Shell): Stage => new Stage(shell.canvas, {
  view3d: shell.view3d, flat: { axial: shell.flats.axial.element, coronal: shell.flats.coronal.element, sagittal: shell.flats.sagittal.element },
});

/** Colours the stage reads from the page's style. */
function applyTheme(app: App): void {
  const style = getComputedStyle(document.documentElement);
  document.querySelector('meta[name="theme-color"]')?.setAttribute('content', style.getPropertyValue('--surface').trim());
  app.stage.invalidate();
}

function header(app: App, flipTheme: () => void, extra: HTMLElement[]): HTMLElement {
  const missing = app.manifest.not_found?.length ?? 0;
  const badge = h('button', { type: 'button', class: 'badge', id: 'notice', onclick: () => noticeDialog(app), title: 'Not for diagnostic use. What is missing, and the limits.' },
    icon('warning'), h('span', { class: 'badge-text' }, 'Not for diagnostic use'), missing > 0 && h('span', { class: 'badge-more' }, String(missing), h('span', { class: 'badge-words' }, ' not segmented')));
  const undo = iconButton('undo', 'Undo (Ctrl Z)', () => app.session.undo());
  const redo = iconButton('redo', 'Redo (Ctrl Y)', () => app.session.redo());
  const themeButton = iconButton('sun', 'Light or dark (T)', flipTheme);
  const update = (): void => {
    undo.disabled = !app.session.canUndo;
    redo.disabled = !app.session.canRedo;
    fill(themeButton, icon(theme() === 'dark' ? 'sun' : 'moon'));
  };
  app.watch(update);
  update();
  return h('header', { class: 'topbar' }, h('div', { class: 'brand' }, h('span', { class: 'mark' }, icon('spine')), h('span', { class: 'brand-name' }, 'Fabrica'), h('h1', {}, app.view.name)),
    badge, h('div', { class: 'top-actions' }, extra, undo, redo, layoutSwitch(app), themeButton, iconButton('help', 'Keys and mouse (?)', helpDialog, { class: 'desk' })));
}

function phoneBar(app: App): HTMLElement {
  const button = (name: Parameters<typeof icon>[0], text: string, on: () => boolean, go: () => void): HTMLElement => {
    const element = h('button', { type: 'button', onclick: go }, icon(name), h('span', {}, text));
    app.watch(() => pressed(element, on()));
    return element;
  };
  const sheet = (kind: 'structures' | 'details') => () => app.set({ sheet: app.ui.sheet === kind ? 'none' : kind });
  return h('nav', { class: 'phone-bar', 'aria-label': 'Panels' },
    button('camera', 'Model', () => app.ui.sheet === 'none' && app.ui.layout === 'model', () => app.set({ sheet: 'none', layout: 'model' })),
    button('layout2', 'Slices', () => app.ui.sheet === 'none' && app.ui.layout !== 'model', () => app.set({ sheet: 'none', layout: 'split' })),
    button('list', 'Structures', () => app.ui.sheet === 'structures', sheet('structures')),
    button('info', 'Details', () => app.ui.sheet === 'details', sheet('details')));
}

function toaster(app: App): HTMLElement {
  const box = h('div', { class: 'toast', role: 'status', 'aria-live': 'polite' });
  let timer = 0;
  app.toast = (text) => {
    box.textContent = text;
    box.classList.add('shown');
    clearTimeout(timer);
    timer = window.setTimeout(() => box.classList.remove('shown'), 5000);
  };
  return box;
}

/** The label table follows what is shown: hidden structures have no outline. */
function labelPainter(app: App): () => void {
  let painted: { labels?: object; structures?: object } = {};
  return () => {
    const { stage: { labels }, state: { structures } } = app;
    if (!labels || (painted.labels === labels && painted.structures === structures)) return;
    painted = { labels, structures };
    paintLabels(app, labels);
  };
}

function paintLabels(app: App, labels: Labels): void {
  for (const s of app.manifest.structures) {
    const entry = structureOf(app.state, s.value);
    const [r, g, b] = entry.rgb ?? s.rgb;
    labels.paint(s.value, r, g, b, entry.visible ? Math.max(60, Math.round(entry.opacity * 0.255)) : 0);
  }
}

/** A notice over the stage when the GPU is lost, with a way on. */
function watchGpu(app: App, shell: Shell): void {
  const notice = h('div', { class: 'cover', role: 'alert', hidden: true }, h('div', { class: 'cover-card' }, h('h2', {}, 'The graphics were interrupted'), h('p', {}, 'The picture comes back by itself as soon as the graphics card answers. Nothing you did is lost.'),
    h('button', { type: 'button', class: 'button primary', onclick: () => location.reload() }, 'Reload the page')));
  shell.stageBox.append(notice);
  shell.canvas.addEventListener('webglcontextlost', () => { notice.hidden = false; });
  shell.canvas.addEventListener('webglcontextrestored', () => {
    notice.hidden = true;
    app.stage.apply(app.state);
  });
}

function layOut(app: App, shell: Shell): void {
  let last = '';
  app.watch(() => {
    document.documentElement.dataset['sheet'] = app.ui.sheet;
    if (last === app.ui.layout) return;
    const first = last === '';
    last = app.ui.layout;
    shell.stageBox.dataset['layout'] = last;
    if (!first) requestAnimationFrame(() => { app.stage.fitFlats(); app.stage.invalidate(); });
  });
}

/** Puts the page together. `full` loads the CT at its own resolution; undefined where there is none to load. */
export function showViewer(root: HTMLElement, app: App, shell: Shell, options: { full: (() => Promise<void>) | undefined; extra: HTMLElement[]; below: HTMLElement }): void {
  const flipTheme = (): void => {
    setTheme(theme() === 'dark' ? 'light' : 'dark', true);
    applyTheme(app);
    app.changed();
  };
  shell.stageBox.append(toolRail(app), dock(app, options.full));
  fill(root, h('div', { class: 'viewer' }, header(app, flipTheme, options.extra), structuresPanel(app), shell.stageBox, inspectorPanel(app), options.below, phoneBar(app), toaster(app)));
  for (const axis of axes) shell.flats[axis].connect(app);
  modelTools(app, shell.view3d, shell.overlay);
  shell.view3d.addEventListener('dblclick', (event) => {
    const pick = app.stage.pick(event.clientX, event.clientY);
    if (pick) app.stage.look(undefined, [pick.part.id]);
  });
  overlays(app, shell.overlay, { axial: shell.flats.axial.overlay, coronal: shell.flats.coronal.overlay, sagittal: shell.flats.sagittal.overlay });
  listenToKeys(app, { help: helpDialog, theme: flipTheme, toggleCut: () => toggleCut(app), toggleSlices: () => toggleSlices(app) });
  watchGpu(app, shell);
  layOut(app, shell);
  app.watch(labelPainter(app));
  applyTheme(app);
  app.changed();
}

