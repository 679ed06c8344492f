/** Rows that take a row back (ADR 0111: undo is a row, so replay knows no undo). */
import { structureOf, same, unset } from './state';
import { operations } from './table';
import type { Axis, Change, State, StructureState } from './types';

/** One row for each value the given structures had, so that many structures make few rows. */
function byValue<T>(before: State, ids: readonly number[], read: (s: StructureState) => T, row: (ids: number[], value: T) => Change): Change[] {
  const groups = new Map<string, { ids: number[]; value: T }>();
  for (const id of ids) {
    const value = read(structureOf(before, id));
    const key = JSON.stringify(value);
    const group = groups.get(key);
    if (group) group.ids.push(id);
    else groups.set(key, { ids: [id], value });
  }
  return [...groups.values()].map((group) => row(group.ids, group.value));
}

function structureRows(before: State, after: State): Change[] {
  const ids = [...new Set([...Object.keys(before.structures), ...Object.keys(after.structures)])].map(Number);
  const changed = (read: (s: StructureState) => unknown): number[] =>
    ids.filter((id) => !same(read(structureOf(before, id)), read(structureOf(after, id))));
  const moved = changed((s) => [s.offset, s.turn]);
  return [
    ...byValue(before, changed((s) => s.visible), (s) => s.visible, (list, visible) => ({ op: 'structure.show', args: { ids: list, visible } })),
    ...byValue(before, changed((s) => s.opacity), (s) => s.opacity, (list, opacity) => ({ op: 'structure.fade', args: { ids: list, opacity } })),
    ...byValue(before, changed((s) => s.rgb), (s) => s.rgb, (list, rgb) => ({ op: 'structure.paint', args: rgb ? { ids: list, rgb } : { ids: list } })),
    ...byValue(before, changed((s) => s.highlight), (s) => s.highlight, (list, on) => ({ op: 'structure.highlight', args: { ids: list, on } })),
    ...moved.map((id): Change => {
      const { offset, turn } = structureOf(before, id);
      return { op: 'structure.move', args: { id, offset, turn } };
    }),
  ];
}

function clipRows(before: State, after: State): Change[] {
  return [0, 1, 2].filter((plane) => !same(before.clips[plane], after.clips[plane]))
    .map((plane) => ({ op: 'clip.set', args: { plane, ...(before.clips[plane] ?? unset()) } }));
}

function namedRows(before: State, after: State): Change[] {
  const rows: Change[] = [];
  for (const name of Object.keys(after.measures)) {
    if (!before.measures[name]) rows.push({ op: 'measure.remove', args: { name } });
  }
  for (const name of Object.keys(after.annotations)) {
    if (!before.annotations[name]) rows.push({ op: 'annotation.remove', args: { name } });
  }
  for (const [name, measure] of Object.entries(before.measures)) {
    if (!same(measure, after.measures[name])) rows.push({ op: 'measure.add', args: { name, ...measure } });
  }
  for (const [name, annotation] of Object.entries(before.annotations)) {
    if (!same(annotation, after.annotations[name])) rows.push({ op: 'annotation.add', args: { name, ...annotation } });
  }
  return rows;
}

function sceneRows(before: State, after: State): Change[] {
  const rows: Change[] = [];
  if (before.explode !== after.explode) rows.push({ op: 'explode', args: { amount: before.explode } });
  if (!same(before.model, after.model)) rows.push({ op: 'model.place', args: before.model });
  for (const axis of ['axial', 'coronal', 'sagittal'] as Axis[]) {
    if (!same(before.slices[axis], after.slices[axis])) rows.push({ op: 'slice.set', args: { axis, ...before.slices[axis] } });
  }
  if (!same(before.window, after.window)) rows.push({ op: 'window.set', args: before.window });
  if (!same(before.volume, after.volume)) rows.push({ op: 'volume.show', args: before.volume });
  if (before.chapter !== after.chapter && before.chapter !== null) rows.push({ op: 'chapter', args: { title: before.chapter } });
  return rows;
}

/** The rows that lead from `after` back to `before`; none where the operation cannot be undone. */
export function inverse(change: Change, before: State, after: State): Change[] {
  if (!operations[change.op]?.undo) return [];
  return [...structureRows(before, after), ...clipRows(before, after), ...namedRows(before, after), ...sceneRows(before, after)];
}
