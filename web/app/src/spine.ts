/** Spine measurements as the program made them; nothing is computed here. */
import type { App } from './app';
import { h, icon } from './dom';
import type { Child } from './dom';
import type { Angle, Curve, Spine, Vertebra } from './twin';

const number = (v: number | null | undefined, digits = 1): string => (v === null || v === undefined ? '–' : v.toFixed(digits));

function angleRow(name: string, angle: Angle | null | undefined): Child {
  if (!angle) return null;
  const value = angle.deg === null ? h('span', { class: 'quiet' }, angle.why ?? 'not measured') : [h('strong', {}, `${number(angle.deg)}°`), h('span', { class: 'quiet' }, ` ± ${number(angle.sigma_deg)}`)];
  return h('div', {}, h('dt', {}, name), h('dd', {}, value));
}

/** A curve: press to highlight its end vertebrae and apex. */
export function curveCard(app: App, curve: Curve): HTMLElement {
  const open = [curve.may_continue_above && 'above', curve.may_continue_below && 'below'].filter(Boolean).join(' and ');
  const ids = (): number[] => [curve.upper_end_vertebra, curve.apex, curve.lower_end_vertebra].map((level) => app.byName.get(`vertebrae_${level}`)?.value).filter((id): id is number => id !== undefined);
  return h('button', { type: 'button', class: 'curve', title: 'Highlight end vertebrae and apex', onclick: () => {
    const on = !ids().every((id) => app.state.structures[id]?.highlight);
    app.act({ op: 'structure.highlight', args: { ids: ids(), on } });
    if (on) app.stage.look('front', ids());
  } },
  h('span', { class: 'cobb' }, `${number(curve.cobb_deg)}°`, h('small', {}, `± ${number(curve.sigma_deg)}`)),
  h('span', {}, h('strong', {}, `${curve.upper_end_vertebra} – ${curve.lower_end_vertebra}`), h('span', { class: 'quiet' }, `${curve.kind} curve, convex ${curve.convex_side}, apex ${curve.apex}`),
    curve.apical_rotation_deg !== null && h('span', { class: 'quiet' }, `rotation at the apex ${number(curve.apical_rotation_deg)}°`),
    open && h('span', { class: 'quiet' }, `may continue ${open} the image`)));
}

function vertebraRow(app: App, v: Vertebra): HTMLElement {
  const id = app.byName.get(v.name)?.value;
  const cells = v.measured
    ? [number(v.heights_mm?.anterior), number(v.heights_mm?.posterior), number(v.ratios?.wedge, 2), number(v.axial_rotation_deg), number(v.trabecular_hu?.mean, 0)].map((t) => h('td', {}, t))
    : [h('td', { colspan: 5, class: 'quiet' }, v.why ?? 'not measured')];
  return h('tr', { class: id !== undefined && id === app.ui.selected ? 'selected' : '' },
    h('th', { scope: 'row' }, h('button', { type: 'button', class: 'link', onclick: () => {
      if (id === undefined) return;
      app.set({ selected: id });
      app.stage.look(undefined, [id]);
    } }, v.level)), cells);
}

function content(app: App, spine: Spine): Child {
  return [
    spine.coronal_curves.length > 0 ? h('div', { class: 'curves' }, spine.coronal_curves.map((c) => curveCard(app, c))) : h('p', { class: 'quiet pad' }, 'No coronal curve was measured.'),
    h('dl', { class: 'facts' }, angleRow('Largest coronal angle', spine.largest_coronal_angle), angleRow('Lordosis L1–S1', spine.lumbar_lordosis_L1_S1), angleRow('Kyphosis T4–T12', spine.thoracic_kyphosis_T4_T12),
      angleRow('Kyphosis T5–T12', spine.thoracic_kyphosis_T5_T12), angleRow('Sacral slope', spine.sacral_slope), angleRow('Pelvic tilt', spine.pelvic_tilt), angleRow('Pelvic incidence', spine.pelvic_incidence)),
    h('h3', {}, 'Vertebrae'),
    h('div', { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': 'Vertebrae' }, h('table', {}, h('thead', {}, h('tr', {}, ['', 'Ant.', 'Post.', 'Wedge', 'Rot.', 'HU'].map((t, i) => h('th', { scope: 'col', title: ['Level', 'Anterior height, mm', 'Posterior height, mm', 'Anterior by posterior height', 'Axial rotation, degrees', 'Trabecular density, mean HU'][i] ?? '' }, t || h('span', { class: 'visually-hidden' }, 'Level'))))),
      h('tbody', {}, spine.vertebrae.map((v) => vertebraRow(app, v))))),
    h('p', { class: 'quiet pad' }, icon('info'), ' Heights in mm, rotation in degrees, supine. ', spine.notice),
  ];
}

/** The panel's content. */
export function spinePanel(app: App): Child {
  const spine = app.manifest.measurements?.spine;
  return spine ? content(app, spine) : h('p', { class: 'empty' }, 'This twin holds no spine measurements.');
}
