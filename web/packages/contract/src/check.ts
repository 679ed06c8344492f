/** A state from outside (a keyframe): held against the table by the rows that would make it. */
import { limits } from './table';
import { start, untouched } from './state';
import { RowError, validate } from './validate';
import type { State } from './types';

type Fields = Record<string, unknown>;

function fieldsOf(value: unknown, field: string, names?: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RowError(field, 'not an object');
  const known = Object.keys(value);
  const missing = names?.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw new RowError(`${field}.${missing}`, 'missing');
  const more = names && known.find((name) => !names.includes(name));
  if (more !== undefined) throw new RowError(`${field}.${more}`, 'unknown');
  return value as Fields;
}

function held(field: string, op: string, args: Fields): void {
  try {
    validate({ op, args });
  } catch (error) {
    throw error instanceof RowError ? new RowError(field, error.message) : error;
  }
}

function checkStructures(value: unknown): void {
  for (const [key, entry] of Object.entries(fieldsOf(value, 'structures'))) {
    const field = `structures.${key}`;
    const id = Number(key);
    const { visible, opacity, rgb, highlight, offset, turn } = fieldsOf(entry, field, Object.keys(untouched()));
    if (String(id) !== key) throw new RowError(field, 'not a label value');
    held(field, 'structure.show', { ids: [id], visible });
    held(field, 'structure.fade', { ids: [id], opacity });
    held(field, 'structure.paint', rgb === null ? { ids: [id] } : { ids: [id], rgb });
    held(field, 'structure.highlight', { ids: [id], on: highlight });
    held(field, 'structure.move', { id, offset, turn });
  }
}

function checkNamed(value: unknown, field: 'measures' | 'annotations', op: string): void {
  const entries = Object.entries(fieldsOf(value, field));
  if (entries.length > limits[field]) throw new RowError(field, `more than ${limits[field]}`);
  for (const [name, entry] of entries) held(`${field}.${name}`, op, { name, ...fieldsOf(entry, `${field}.${name}`) });
}

/** The value as a state; throws a RowError that names the field. */
export function readState(value: unknown): State {
  const state = fieldsOf(value, 'state', Object.keys(start()));
  checkStructures(state['structures']);
  held('explode', 'explode', { amount: state['explode'] });
  held('model', 'model.place', fieldsOf(state['model'], 'model'));
  for (const [plane, clip] of Object.entries(fieldsOf(state['clips'], 'clips'))) held(`clips.${plane}`, 'clip.set', { plane: Number(plane), ...fieldsOf(clip, `clips.${plane}`) });
  const slices = fieldsOf(state['slices'], 'slices', Object.keys(start().slices));
  for (const [axis, slice] of Object.entries(slices)) held(`slices.${axis}`, 'slice.set', { axis, ...fieldsOf(slice, `slices.${axis}`) });
  held('window', 'window.set', fieldsOf(state['window'], 'window'));
  held('volume', 'volume.show', fieldsOf(state['volume'], 'volume'));
  checkNamed(state['measures'], 'measures', 'measure.add');
  checkNamed(state['annotations'], 'annotations', 'annotation.add');
  if (state['chapter'] !== null) held('chapter', 'chapter', { title: state['chapter'] });
  return value as State;
}
