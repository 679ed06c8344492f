/** The scene as it starts, and what of it is held. */
import type { ClipState, State, StructureState } from './types';

/** A structure nobody has changed. */
export const untouched = (): StructureState => ({
  visible: true, opacity: 1000, rgb: null, highlight: false, offset: [0, 0, 0], turn: [0, 0, 0, 32767],
});

/** A clip plane nobody has set. */
export const unset = (): ClipState => ({ on: false, point: [0, 0, 0], normal: [0, 0, 32767] });

/** The scene before the first row. */
export const start = (): State => ({
  structures: {},
  explode: 0,
  model: { position: [0, 0, 0], rotation: [0, 0, 0, 32767], scale: 1000 },
  clips: {},
  slices: { axial: { on: false, at: 0 }, coronal: { on: false, at: 0 }, sagittal: { on: false, at: 0 } },
  window: { centre: 40, width: 400 },
  volume: { on: false, preset: 'bone' },
  measures: {},
  annotations: {},
  chapter: null,
});

/** Equal whatever the order of keys: state holds integers, texts, booleans, null, lists and objects. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]));
}

/** A structure's entry, or how it would be if it had none. */
export const structureOf = (state: State, id: number): StructureState => state.structures[id] ?? untouched();

/** The state with one structure's fields changed; an entry that is as at the start is taken out. */
export function withStructures(state: State, ids: readonly number[], change: (old: StructureState) => Partial<StructureState>): State {
  const structures = { ...state.structures };
  for (const id of ids) {
    const old = structures[id] ?? untouched();
    const entry = { ...old, ...change(old) };
    if (same(entry, untouched())) delete structures[id];
    else structures[id] = entry;
  }
  return { ...state, structures };
}
