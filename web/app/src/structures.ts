/** The list of structures by system, with search and visibility. */
import { structureOf } from '@fabrica/contract';
import type { App } from './app';
import { fill, h, icon, iconButton, pressed } from './dom';
import { goToPoint } from './slices';
import { displayOf, millilitres, systemOf, systems, wraps } from './twin';
import type { Structure, System } from './twin';

type Update = () => void;

/** Whole numbers of per cent, and a word for the colour. */
export function trust(confidence: number | null): { text: string; level: 'good' | 'fair' | 'poor' | 'none' } {
  if (confidence === null) return { text: '–', level: 'none' };
  const level = confidence >= 0.8 ? 'good' : confidence >= 0.6 ? 'fair' : 'poor';
  return { text: `${Math.round(confidence * 100)} %`, level };
}

const worst = (s: Structure): 'error' | 'warning' | undefined =>
  s.findings?.some((f) => f.severity === 'error') ? 'error' : s.findings?.some((f) => f.severity === 'warning') ? 'warning' : undefined;

/** Shows or hides all of `ids`. */
function toggle(app: App, ids: number[]): void {
  const shown = ids.some((id) => structureOf(app.state, id).visible);
  app.act({ op: 'structure.show', args: { ids, visible: !shown } });
}

/** Selects a structure of the list; where slices are in sight they go to its middle, as by a click in 3D. */
function choose(app: App, s: Structure): void {
  app.select(s.value);
  if (app.stage.volume && (app.ui.layout !== 'model' || Object.values(app.state.slices).some(({ on }) => on))) goToPoint(app, s.centroid_mm, 'list');
}

function row(app: App, s: Structure): { element: HTMLElement; update: Update; matches: (words: string) => boolean } {
  const confidence = trust(s.confidence);
  const swatch = h('span', { class: 'swatch' });
  const alarm = worst(s);
  const main = h('button', { type: 'button', class: 'row-main', 'data-name': s.name, onclick: () => choose(app, s), ondblclick: () => app.stage.look(undefined, [s.value]) },
    swatch, h('span', { class: 'row-name' }, displayOf(s)),
    alarm && h('span', { class: `alarm ${alarm}`, title: s.findings?.[0]?.text ?? '' }, icon('warning')),
    h('span', { class: 'row-volume' }, millilitres(s.volume_ml)),
    h('span', { class: `meter ${confidence.level}`, title: `Confidence ${confidence.text}` }, h('span', { class: 'visually-hidden' }, `, confidence ${confidence.text}`)));
  const only = iconButton('only', `Show only ${displayOf(s)}`, () => app.act({ op: 'structure.only', args: { ids: [s.value] } }), { class: 'row-only' });
  const eye = iconButton('eye', `Show ${displayOf(s)}`, () => toggle(app, [s.value]), { class: 'row-eye' });
  const element = h('li', { class: 'row' }, main, only, eye);
  const text = ` ${displayOf(s)} ${s.name} ${s.code?.meaning ?? ''}`.toLowerCase().replace(/[_/]/g, ' ');
  const update = (): void => {
    const entry = structureOf(app.state, s.value);
    const [r, g, b] = entry.rgb ?? s.rgb;
    swatch.style.background = `rgb(${r} ${g} ${b})`;
    element.classList.toggle('hidden-structure', !entry.visible);
    element.classList.toggle('faded', entry.visible && entry.opacity < 1000);
    element.classList.toggle('selected', app.ui.selected === s.value);
    if (app.ui.selected === s.value) main.setAttribute('aria-current', 'true');
    else main.removeAttribute('aria-current');
    if (pressedState(eye) !== entry.visible) {
      pressed(eye, entry.visible);
      fill(eye, icon(entry.visible ? 'eye' : 'eyeOff'));
    }
  };
  return { element, update, matches: (words) => words.split(/\s+/).every((word) => text.includes(` ${word}`)) };
}

const pressedState = (element: Element): boolean | undefined => {
  const value = element.getAttribute('aria-pressed');
  return value === null ? undefined : value === 'true';
};

function group(app: App, system: System): { element: HTMLElement; update: Update; search: (words: string) => number } {
  const rows = system.members.map((s) => row(app, s));
  const ids = system.members.map((s) => s.value);
  const list = h('ul', { class: 'rows' }, rows.map((r) => r.element));
  const total = system.members.reduce((sum, s) => sum + s.volume_ml, 0);
  const fold = h('button', { type: 'button', class: 'group-name', 'aria-expanded': 'true' }, icon('chevron'), h('span', {}, system.name),
    h('span', { class: 'count' }, system.members.length), h('span', { class: 'row-volume' }, millilitres(total)));
  const open = (on: boolean): void => { fold.setAttribute('aria-expanded', String(on)); list.hidden = !on; };
  fold.addEventListener('click', () => open(list.hidden));
  const only = iconButton('only', `Show only ${system.name}`, () => app.act({ op: 'structure.only', args: { ids } }), { class: 'row-only' });
  const eye = iconButton('eye', `Show ${system.name}`, () => toggle(app, ids), { class: 'row-eye' });
  const element = h('section', { class: 'group', 'aria-label': system.name }, h('div', { class: 'group-head' }, fold, only, eye), list);
  const update = (): void => {
    for (const r of rows) r.update();
    const shown = ids.some((id) => structureOf(app.state, id).visible);
    if (pressedState(eye) !== shown) {
      pressed(eye, shown);
      fill(eye, icon(shown ? 'eye' : 'eyeOff'));
    }
  };
  const search = (words: string): number => {
    const found = rows.filter((r) => {
      const on = r.matches(words) || system.name.toLowerCase().includes(words);
      r.element.hidden = !on;
      return on;
    }).length;
    element.hidden = found === 0;
    if (words && found) open(true);
    return found;
  };
  return { element, update, search };
}

/** Sets people ask for; each is one row. */
function quickSets(app: App, all: System[]): HTMLElement {
  const of = (...names: string[]): number[] => all.filter((s) => names.includes(s.name)).flatMap((s) => s.members.map((m) => m.value));
  const { structures } = app.manifest;
  const inside = structures.filter((s) => !wraps(s));
  const valued = (list: readonly Structure[]): number[] => list.map((s) => s.value);
  const sets: [string, number[]][] = [['All', []], ['Spine', of('Spine')], ['Bones', of('Spine', 'Skeleton')], ['Organs', of('Organs', 'Digestive tract')],
    ['Vessels', of('Heart and vessels')], ['Inside', inside.length < structures.length ? valued(inside) : []], ['No muscles', valued(inside.filter((s) => systemOf(s) !== 'Muscles'))]];
  return h('div', { class: 'chips', role: 'group', 'aria-label': 'Sets of structures' }, sets.filter(([name, ids]) => name === 'All' || ids.length > 0).map(([name, ids]) =>
    h('button', { type: 'button', class: 'chip', onclick: () => app.act({ op: 'structure.only', args: { ids } }) }, name)));
}

/** The panel. */
export function structuresPanel(app: App): HTMLElement {
  const all = systems(app.manifest.structures);
  const groups = all.map((system) => group(app, system));
  const none = h('p', { class: 'empty', hidden: true }, 'No structure of that name.');
  const box = h('input', { type: 'search', id: 'search', placeholder: `Search ${app.manifest.structures.length} structures`, 'aria-label': 'Search structures', autocomplete: 'off', spellcheck: 'false' });
  box.addEventListener('input', () => {
    const words = box.value.trim().toLowerCase();
    const found = groups.reduce((sum, g) => sum + g.search(words), 0);
    none.hidden = found > 0;
  });
  let shown: { structures?: object; selected?: number | undefined } = {};
  const update = (): void => {
    const { state: { structures }, ui: { selected } } = app;
    if (shown.structures === structures && shown.selected === selected) return;
    shown = { structures, selected };
    for (const g of groups) g.update();
  };
  app.watch(update);
  update();
  return h('section', { class: 'panel structures', 'aria-label': 'Structures' },
    h('div', { class: 'panel-head' }, h('div', { class: 'search' }, icon('search'), box), quickSets(app, all)),
    h('div', { class: 'panel-body', tabindex: '-1' }, groups.map((g) => g.element), none));
}
