/** The right panel: the selected structure, findings, spine measurements, measures and annotations. */
import { structureOf } from '@fabrica/contract';
import { measured, said } from '@fabrica/scene';
import type { App, Tab } from './app';
import { fill, h, icon, iconButton } from './dom';
import type { Child } from './dom';
import { goToPoint } from './slices';
import { curveCard, spinePanel } from './spine';
import { trust } from './structures';
import { displayOf, millilitres, readable, spoken, systemOf, worstFirst } from './twin';
import type { Finding, Structure } from './twin';

/** Selects what a finding speaks of and brings slices and camera there. */
function goTo(app: App, finding: Finding): void {
  const ids = (finding.structures ?? []).map((name) => app.byName.get(name)?.value).filter((id): id is number => id !== undefined);
  if (ids[0] !== undefined) app.set({ selected: ids[0] });
  const box = finding.box_mm;
  if (box && box.length === 6) {
    const middle = [0, 1, 2].map((i) => ((box[i] ?? 0) + (box[i + 3] ?? 0)) / 2);
    goToPoint(app, middle, 'finding');
  }
  if (ids.length > 0) app.stage.look(undefined, ids);
}

const severityWord: Record<string, string> = { error: 'Error', warning: 'Check', info: 'Note', note: 'Note' };

function findingRow(app: App, finding: Finding, withName: boolean): HTMLElement {
  const names = (finding.structures ?? []).map((name) => app.byName.get(name)).map((s, i) => (s ? displayOf(s) : spoken(finding.structures?.[i] ?? '')));
  return h('li', {}, h('button', { type: 'button', class: `finding ${finding.severity}`, onclick: () => goTo(app, finding) },
    h('span', { class: `alarm ${finding.severity}` }, icon(finding.severity === 'error' || finding.severity === 'warning' ? 'warning' : 'info')),
    h('span', {}, h('strong', {}, withName && names.length > 0 ? names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '') : severityWord[finding.severity] ?? 'Note'),
      h('span', { class: 'finding-text' }, readable(finding.text)))));
}

function facts(pairs: readonly (readonly [string, Child])[]): HTMLElement {
  return h('dl', { class: 'facts' }, pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

function fadeSlider(app: App, s: Structure): HTMLElement {
  const entry = structureOf(app.state, s.value);
  const out = h('output', {}, `${Math.round(entry.opacity / 10)} %`);
  const slider = h('input', { type: 'range', min: 0, max: 1000, step: 50, value: entry.opacity, 'aria-label': 'Opacity', 'data-key': `fade-${s.value}` });
  const gesture = (): string => (slider.dataset['gesture'] ??= `fade-${performance.now()}`);
  slider.addEventListener('input', () => {
    out.textContent = `${Math.round(slider.valueAsNumber / 10)} %`;
    app.act({ op: 'structure.fade', args: { ids: [s.value], opacity: slider.valueAsNumber } }, gesture());
  });
  slider.addEventListener('change', () => { delete slider.dataset['gesture']; });
  return h('label', { class: 'slider' }, h('span', {}, 'Opacity'), slider, out);
}

const paints: readonly [string, [number, number, number]][] = [['Red', [224, 82, 82]], ['Amber', [240, 173, 60]], ['Green', [92, 190, 120]], ['Teal', [60, 190, 190]], ['Blue', [90, 140, 235]], ['Violet', [176, 122, 230]]];

function paintRow(app: App, s: Structure): HTMLElement {
  return h('div', { class: 'paints', role: 'group', 'aria-label': 'Colour' },
    h('button', { type: 'button', class: 'paint own', title: 'Own colour', 'aria-label': 'Own colour', style: `--paint: rgb(${s.rgb.join(' ')})`, onclick: () => app.act({ op: 'structure.paint', args: { ids: [s.value] } }) }),
    paints.map(([name, rgb]) => h('button', { type: 'button', class: 'paint', title: name, 'aria-label': name, style: `--paint: rgb(${rgb.join(' ')})`, onclick: () => app.act({ op: 'structure.paint', args: { ids: [s.value], rgb } }) })));
}

function detailButtons(app: App, s: Structure): HTMLElement {
  const entry = structureOf(app.state, s.value);
  const ids = [s.value];
  const button = (name: Parameters<typeof icon>[0], text: string, onclick: () => void, on = false): HTMLElement =>
    h('button', { type: 'button', class: `button ${on ? 'on' : ''}`, onclick, 'aria-pressed': on }, icon(name), text);
  return h('div', { class: 'buttons' },
    button(entry.visible ? 'eyeOff' : 'eye', entry.visible ? 'Hide' : 'Show', () => app.act({ op: 'structure.show', args: { ids, visible: !entry.visible } })),
    button('only', 'Isolate', () => app.act({ op: 'structure.only', args: { ids } })),
    button('sparkle', 'Highlight', () => app.act({ op: 'structure.highlight', args: { ids, on: !entry.highlight } }), entry.highlight),
    button('fit', 'Focus', () => app.stage.look(undefined, ids)),
    button('ruler', 'Keep volume', () => app.act({ op: 'measure.add', args: { name: app.name('volume'), kind: 'volume', points: [], ids } })),
    button('target', 'Slices here', () => goToPoint(app, s.centroid_mm, 'centroid')));
}

function confidenceBar(app: App, s: Structure): HTMLElement {
  const t = trust(s.confidence);
  const note = app.manifest.quality?.calibrated ? '' : ', not calibrated';
  return h('span', { class: 'confidence' }, h('span', { class: `bar ${t.level}` }, h('span', { style: `width:${Math.round((s.confidence ?? 0) * 100)}%` })), `${t.text}${s.confidence === null ? '' : note}`);
}

function overviewSpine(app: App): Child {
  const spine = app.manifest.measurements?.spine;
  if (!spine || spine.coronal_curves.length === 0) return null;
  return [h('h3', {}, 'Spine'), h('div', { class: 'curves flush' }, spine.coronal_curves.slice(0, 2).map((c) => curveCard(app, c)))];
}

function overviewFindings(app: App): Child {
  const all = worstFirst(app.manifest.quality?.findings ?? []);
  if (all.length === 0) return null;
  return [h('h3', {}, 'Look at first'), h('ul', { class: 'findings' }, all.slice(0, 4).map((f) => findingRow(app, f, true))),
    all.length > 4 && h('div', { class: 'buttons single' }, h('button', { type: 'button', class: 'button', onclick: () => app.set({ tab: 'findings' }) }, `All ${all.length} findings`))];
}

function overview(app: App): Child {
  const { manifest } = app;
  const { grid } = manifest.geometry;
  const source = manifest.segmentation.model ? `${manifest.segmentation.model.name} ${manifest.segmentation.model.version}` : manifest.segmentation.source;
  return [
    h('div', { class: 'hero' }, h('h2', {}, app.view.name), h('p', { class: 'quiet' }, 'Select a structure in the model, in a slice or in the list.')),
    facts([
      ['Scan', `${manifest.input.modality}, ${readable(manifest.geometry.text, false)}`],
      ['Voxel', grid.spacing_mm.map((v) => v.toFixed(2)).join(' × ') + ' mm'],
      ['Structures', `${manifest.structures.length}`],
      ['Segmented by', source],
      ['Looks like', manifest.quality?.scan?.looks_like ?? '–'],
      ['Findings', `${manifest.quality?.findings.length ?? 0}`],
      ['Not segmented', `${manifest.not_found?.length ?? 0}`],
    ]),
    overviewSpine(app),
    overviewFindings(app),
  ];
}

function details(app: App): Child {
  const s = app.selected;
  if (!s) return overview(app);
  const own = worstFirst(s.findings ?? []);
  const [r, g, b] = structureOf(app.state, s.value).rgb ?? s.rgb;
  return [
    h('div', { class: 'hero' }, h('span', { class: 'swatch large', style: `background: rgb(${r} ${g} ${b})` }), h('div', {}, h('h2', {}, displayOf(s)), h('p', { class: 'quiet' }, systemOf(s))),
      iconButton('close', 'Clear selection', () => app.select(undefined))),
    facts([
      ['Volume', millilitres(s.volume_ml)],
      ['Confidence', confidenceBar(app, s)],
      ['Surface error', s.mesh ? `${s.mesh.mean_mm.toFixed(2)} mm mean, ${s.mesh.hd95_mm.toFixed(2)} mm HD95` : '–'],
      ['Code', s.code ? `${s.code.scheme} ${s.code.value}` : '–'],
    ]),
    detailButtons(app, s), fadeSlider(app, s), paintRow(app, s),
    own.length > 0 && [h('h3', {}, 'Findings'), h('ul', { class: 'findings' }, own.map((f) => findingRow(app, f, false)))],
  ];
}

function findings(app: App): Child {
  const all = worstFirst(app.manifest.quality?.findings ?? []);
  if (all.length === 0) return h('p', { class: 'empty' }, 'No findings. The label map passed every check.');
  return [h('p', { class: 'quiet pad' }, `${all.length} findings of the automatic checks, worst first. Select one to see its place.`),
    h('ul', { class: 'findings' }, all.map((f) => findingRow(app, f, true)))];
}

function notes(app: App): Child {
  const { measures, annotations } = app.state;
  const volume = (id: number): number | undefined => app.byId.get(id)?.volume_ml;
  const kindIcon = { distance: 'ruler', angle: 'angle', volume: 'info', height: 'ruler' } as const;
  const measureRows = Object.entries(measures).map(([name, m]) => {
    const value = measured(m, volume);
    return h('li', { class: 'note', 'data-measure': name }, icon(kindIcon[m.kind]),
      h('span', {}, h('strong', {}, value ? said(value) : '–'), h('span', { class: 'quiet' }, [...new Set(m.ids)].map((id) => app.nameOf(id)).join(' – ') || 'on the CT')),
      iconButton('trash', `Remove ${name}`, () => app.act({ op: 'measure.remove', args: { name } })));
  });
  const annotationRows = Object.entries(annotations).map(([name, a]) =>
    h('li', { class: 'note' }, h('span', { class: 'swatch', style: `background: rgb(${a.rgb.join(' ')})` }),
      h('span', {}, h('strong', {}, a.text || spoken(a.kind)), h('span', { class: 'quiet' }, app.nameOf(a.id))),
      iconButton('trash', `Remove ${name}`, () => app.act({ op: 'annotation.remove', args: { name } }))));
  if (measureRows.length + annotationRows.length === 0) return h('p', { class: 'empty' }, 'Nothing measured or marked yet. Take the ruler, the pen, an arrow or a label from the tools on the left.');
  return [measureRows.length > 0 && [h('h3', {}, 'Measures'), h('ul', { class: 'notes' }, measureRows)],
    annotationRows.length > 0 && [h('h3', {}, 'Annotations'), h('ul', { class: 'notes' }, annotationRows)]];
}

const tabs: readonly [Tab, string, (app: App) => Child][] = [['details', 'Details', details], ['findings', 'Findings', findings], ['spine', 'Spine', spinePanel], ['notes', 'Notes', notes]];

/** Tabs by arrow keys, as the ARIA practice has it. */
function tabKeys(app: App, event: KeyboardEvent): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  if (step === 0) return;
  const i = tabs.findIndex(([name]) => name === app.ui.tab);
  const next = tabs[(i + step + tabs.length) % tabs.length]?.[0] ?? 'details';
  app.set({ tab: next });
  document.getElementById(`tab-${next}`)?.focus();
}

/** The panel. */
export function inspectorPanel(app: App): HTMLElement {
  const heads = tabs.map(([name, text]) => h('button', { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': 'inspector-body', onclick: () => app.set({ tab: name }) }, text));
  const body = h('div', { class: 'panel-body', id: 'inspector-body', role: 'tabpanel', tabindex: '0' });
  let shown = '';
  const update = (): void => {
    const entry = app.ui.selected === undefined ? 0 : structureOf(app.state, app.ui.selected);
    const key = app.ui.tab === 'findings' ? 'findings' : app.ui.tab === 'spine' ? `spine ${app.ui.selected}` : JSON.stringify([app.ui.tab, app.ui.selected, entry, app.ui.tab === 'notes' && [app.state.measures, app.state.annotations]]);
    if (key === shown || (document.activeElement instanceof HTMLInputElement && body.contains(document.activeElement) && document.activeElement.dataset['gesture'])) return;
    shown = key;
    heads.forEach((head, i) => {
      const on = tabs[i]?.[0] === app.ui.tab;
      head.setAttribute('aria-selected', String(on));
      head.tabIndex = on ? 0 : -1;
    });
    body.setAttribute('aria-labelledby', `tab-${app.ui.tab}`);
    const focus = body.contains(document.activeElement) ? document.activeElement?.textContent : undefined;
    fill(body, tabs.find(([name]) => name === app.ui.tab)?.[2](app));
    if (focus) ([...body.querySelectorAll('button')].find((b) => b.textContent === focus) ?? body).focus();
  };
  app.watch(update);
  update();
  return h('section', { class: 'panel inspector', 'aria-label': 'Inspector' }, h('div', { class: 'tabs', role: 'tablist', onkeydown: (event) => tabKeys(app, event) }, heads), body);
}
