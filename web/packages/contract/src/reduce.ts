/** apply(): the one place where a row becomes a state. Pure; a refused row changes nothing. */
import { limits } from './table';
import { same, start, unset, withStructures } from './state';
import { RowError } from './validate';
import type { Args, Change, OpName, State } from './types';

/** `ids`: every structure of the twin, which `structure.only` needs. */
type Reducer<K extends OpName> = (state: State, args: Args[K], ids: readonly number[]) => State;

function without<T>(record: Record<string, T>, name: string): Record<string, T> {
  const copy = { ...record };
  delete copy[name];
  return copy;
}

function added<T>(record: Record<string, T>, name: string, value: T, max: number): Record<string, T> {
  if (!Object.hasOwn(record, name) && Object.keys(record).length >= max) throw new RowError('args.name', `more than ${max}`);
  return { ...record, [name]: value };
}

function setClip(state: State, args: Args['clip.set']): State {
  const { plane, ...entry } = args;
  const clips = same(entry, unset()) ? without(state.clips, String(plane)) : { ...state.clips, [plane]: entry };
  return { ...state, clips };
}

function only(state: State, args: Args['structure.only'], ids: readonly number[]): State {
  const kept = new Set(args.ids);
  const hidden = ids.filter((id) => kept.size > 0 && !kept.has(id));
  const shown = kept.size > 0 ? [...kept] : [...ids];
  const cleared = withStructures(state, shown, () => ({ visible: true }));
  return withStructures(cleared, hidden, () => ({ visible: false }));
}

const reducers: { [K in OpName]: Reducer<K> } = {
  'structure.show': (s, a) => withStructures(s, a.ids, () => ({ visible: a.visible })),
  'structure.only': only,
  'structure.fade': (s, a) => withStructures(s, a.ids, () => ({ opacity: a.opacity })),
  'structure.paint': (s, a) => withStructures(s, a.ids, () => ({ rgb: a.rgb ?? null })),
  'structure.highlight': (s, a) => withStructures(s, a.ids, () => ({ highlight: a.on })),
  'structure.move': (s, a) => withStructures(s, [a.id], () => ({ offset: a.offset, turn: a.turn })),
  explode: (s, a) => ({ ...s, explode: a.amount }),
  'model.place': (s, a) => ({ ...s, model: { position: a.position, rotation: a.rotation, scale: a.scale } }),
  'clip.set': setClip,
  'slice.set': (s, a) => ({ ...s, slices: { ...s.slices, [a.axis]: { on: a.on, at: a.at } } }),
  'window.set': (s, a) => ({ ...s, window: { centre: a.centre, width: a.width } }),
  'volume.show': (s, a) => ({ ...s, volume: { on: a.on, preset: a.preset } }),
  'measure.add': (s, { name, ...rest }) => ({ ...s, measures: added(s.measures, name, rest, limits.measures) }),
  'measure.remove': (s, a) => ({ ...s, measures: without(s.measures, a.name) }),
  'annotation.add': (s, { name, ...rest }) => ({ ...s, annotations: added(s.annotations, name, rest, limits.annotations) }),
  'annotation.remove': (s, a) => ({ ...s, annotations: without(s.annotations, a.name) }),
  chapter: (s, a) => ({ ...s, chapter: a.title }),
  'question.ask': (s) => s,
  'question.answer': (s) => s,
  'scene.reset': (s) => ({ ...start(), measures: s.measures, annotations: s.annotations }),
};

/** The state after `change`. Throws a RowError where a count would pass its limit. The change must be valid. */
export function apply(state: State, change: Change, ids: readonly number[]): State {
  const reduce = reducers[change.op] as Reducer<OpName>;
  return reduce(state, change.args, ids);
}
