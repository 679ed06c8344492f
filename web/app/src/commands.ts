/** The viewer's own commands (scene/src/command.ts): what the panel in the headset offers before anybody adds to it. */
import { structureOf } from '@fabrica/contract';
import type { Axis, Change, Rgb } from '@fabrica/contract';
import type { ButtonCommand, Command, SliderCommand, Tool } from '@fabrica/scene';
import type { App } from './app';
import { choosePlane, chosenPlane, clouds, cutAt, cuts, showSlice, toggleCut, windows } from './dock';
import { spoken, systems } from './twin';

type More = Partial<Pick<ButtonCommand, 'on' | 'hidden' | 'disabled'>>;

const button = (page: string, id: string, label: string | (() => string), run: () => void, more: More = {}): ButtonCommand =>
  ({ kind: 'button', id, page, label: typeof label === 'string' ? () => label : label, run, ...more });

const percent = (share: number): string => `${Math.round(share * 100)} %`;
const permille = (share: number): number => Math.round(share * 20) * 50;

/** What is picked, as the structure commands need it. */
function picked(app: App): { ids: number[]; entry: ReturnType<typeof structureOf> } | undefined {
  const { selected } = app.ui;
  return selected === undefined ? undefined : { ids: [selected], entry: structureOf(app.state, selected) };
}

function structureCommands(app: App): Command[] {
  const page = 'Structures';
  const none = (): boolean => app.ui.selected === undefined;
  const own = (change: (at: NonNullable<ReturnType<typeof picked>>) => Change) => (): void => {
    const at = picked(app);
    if (at) app.act(change(at));
  };
  const fade: SliderCommand = {
    kind: 'slider', id: 'structure.fade', page, label: () => 'Opacity', disabled: none,
    value: () => (picked(app)?.entry.opacity ?? 1000) / 1000, text: () => percent((picked(app)?.entry.opacity ?? 1000) / 1000),
    set: (value, gesture) => { const at = picked(app); if (at) app.act({ op: 'structure.fade', args: { ids: at.ids, opacity: permille(value) } }, gesture); },
  };
  const explode: SliderCommand = {
    kind: 'slider', id: 'explode', page, label: () => 'Explode', value: () => app.state.explode / 1000, text: () => percent(app.state.explode / 1000),
    set: (value, gesture) => { app.act({ op: 'explode', args: { amount: Math.round(value * 100) * 10 } }, gesture); },
  };
  return [
    { kind: 'text', id: 'structure.name', page, label: () => (none() ? 'Pick a structure: tool Point, then trigger or pinch' : app.nameOf(app.ui.selected)) },
    button(page, 'structure.hide', () => (picked(app)?.entry.visible === false ? 'Show' : 'Hide'), own(({ ids, entry }) => ({ op: 'structure.show', args: { ids, visible: !entry.visible } })), { disabled: none }),
    button(page, 'structure.only', 'Isolate', own(({ ids }) => ({ op: 'structure.only', args: { ids } })), { disabled: none }),
    button(page, 'structure.highlight', 'Highlight', own(({ ids, entry }) => ({ op: 'structure.highlight', args: { ids, on: !entry.highlight } })), { disabled: none, on: () => picked(app)?.entry.highlight === true }),
    button(page, 'structure.all', 'Show all', () => app.act({ op: 'structure.only', args: { ids: [] } })),
    fade, explode,
    ...systemCommands(app),
  ];
}

/** One button a body system: shows or hides all of it. */
function systemCommands(app: App): Command[] {
  return systems(app.manifest.structures).map(({ name, members }) => {
    const ids = members.map((s) => s.value);
    const shown = (): boolean => ids.some((id) => structureOf(app.state, id).visible);
    return button('Structures', `system.${name}`, name, () => app.act({ op: 'structure.show', args: { ids, visible: !shown() } }), { on: shown });
  });
}

function cutCommands(app: App): Command[] {
  const page = 'Cut';
  const clip = (): { on: boolean; point: [number, number, number]; normal: [number, number, number] } | undefined => app.state.clips[chosenPlane()];
  const flip = (): void => {
    const now = clip();
    if (now) app.act({ op: 'clip.set', args: { plane: chosenPlane(), on: true, point: now.point, normal: [-now.normal[0] + 0, -now.normal[1] + 0, -now.normal[2] + 0] } });
  };
  const named = (axis: Axis): string => axis.charAt(0).toUpperCase() + axis.slice(1);
  return [
    button(page, 'clip.toggle', 'Cut', () => toggleCut(app), { on: () => clip()?.on === true }),
    button(page, 'clip.flip', 'Other side', flip, { disabled: () => clip()?.on !== true }),
    ...[0, 1, 2].map((plane) => button(page, `clip.plane${plane}`, `Plane ${plane + 1}`, () => choosePlane(app, plane), { on: () => chosenPlane() === plane && app.state.clips[plane]?.on === true })),
    ...cuts.filter(([name]) => name !== 'Right').map(([name, normal]) => button(page, `clip.${name.toLowerCase()}`, `From ${name === 'Top' ? 'above' : name === 'Left' ? 'the left' : 'the front'}`, () => cutAt(app, normal))),
    ...(['axial', 'coronal', 'sagittal'] as Axis[]).map((axis) =>
      button(page, `slice.${axis}`, named(axis), () => showSlice(app, axis, !app.state.slices[axis].on), { on: () => app.state.slices[axis].on, disabled: () => !app.stage.volume })),
    button(page, 'volume.toggle', 'CT cloud', () => app.act({ op: 'volume.show', args: { on: !app.state.volume.on, preset: app.state.volume.preset } }), { on: () => app.state.volume.on, disabled: () => !app.stage.volume }),
    ...clouds.map(([preset, name]) => button(page, `volume.${preset}`, `Cloud: ${name.toLowerCase()}`, () => app.act({ op: 'volume.show', args: { on: true, preset } }), { hidden: () => !app.state.volume.on, on: () => app.state.volume.preset === preset })),
    ...windows.slice(0, 4).map(([name, centre, width]) =>
      button(page, `window.${name.toLowerCase().replace(' ', '-')}`, name, () => app.act({ op: 'window.set', args: { centre, width } }), { on: () => app.state.window.centre === centre && app.state.window.width === width })),
  ];
}

const toolNames: readonly [Tool, string][] = [['hold', 'Hold'], ['select', 'Point'], ['distance', 'Distance'], ['angle', 'Angle'], ['pen', 'Pen'], ['arrow', 'Arrow'], ['label', 'Label']];
const inks: readonly [string, Rgb][] = [['Amber', [255, 196, 61]], ['Red', [239, 83, 80]], ['Green', [102, 204, 136]], ['Blue', [100, 160, 255]]];

/** Takes the marks and measures away: one step of undo. */
function clearMarks(app: App): void {
  const gesture = `clear-${performance.now()}`;
  for (const name of Object.keys(app.state.measures)) app.act({ op: 'measure.remove', args: { name } }, gesture);
  for (const name of Object.keys(app.state.annotations)) app.act({ op: 'annotation.remove', args: { name } }, gesture);
}

function toolCommands(app: App): Command[] {
  const page = 'Tools';
  const empty = (): boolean => Object.keys(app.state.measures).length + Object.keys(app.state.annotations).length === 0;
  return [
    ...toolNames.map(([tool, name]) => button(page, `tool.${tool}`, name, () => app.set({ tool }), { on: () => app.ui.tool === tool })),
    button(page, 'marks.clear', 'Clear marks', () => clearMarks(app), { disabled: empty }),
    ...inks.map(([name, colour]) => button(page, `ink.${name.toLowerCase()}`, name, () => app.set({ colour }), { on: () => app.ui.colour.join() === colour.join() })),
    button(page, 'undo', 'Undo', () => { app.session.undo(); }, { disabled: () => !app.session.canUndo }),
    button(page, 'redo', 'Redo', () => { app.session.redo(); }, { disabled: () => !app.session.canRedo }),
    button(page, 'scene.reset', 'Reset', () => app.reset()),
  ];
}

/** Names on one text of the panel. */
const listed = 14;

/** What was looked for and not found, by name: in the headset as on the page. */
function noticeCommands(app: App): Command[] {
  const missing = app.manifest.not_found ?? [];
  const lists = Array.from({ length: Math.ceil(missing.length / listed) }, (_, i) => missing.slice(i * listed, (i + 1) * listed).map(spoken).join(', '));
  return [
    { kind: 'text', id: 'notice.use', page: 'Notice', label: () => 'For research and training. Not for diagnosis, planning or treatment of a patient.' },
    { kind: 'text', id: 'notice.missing', page: 'Notice', label: () => (missing.length === 0 ? 'All structures that were looked for were found.' : `Not segmented (${missing.length}):`) },
    ...lists.map((list, i): Command => ({ kind: 'text', id: `notice.missing${i}`, page: 'Notice', label: () => list })),
  ];
}

/** Registers them; the order of pages is Tools, Structures, Cut, Notice, then what others add. */
export function viewerCommands(app: App): void {
  app.commands.add(...toolCommands(app), ...structureCommands(app), ...cutCommands(app), ...noticeCommands(app));
}
