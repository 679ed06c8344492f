/**
 * Two scenes in one: below what a lesson shows, above what the learner changed. Layered property by
 * property, so that a learner who hides the liver still sees the lesson cut the spine.
 *
 * A property is named by a key: `explode`, `clips/0`, `slices/axial`, `structures/51/visible`, `measures/m-1`.
 */
import { same, structureOf, untouched } from './state';
import type { State, StructureState } from './types';

export type Key = string;

const single = ['explode', 'model', 'window', 'volume'] as const;
const named = ['clips', 'slices', 'measures', 'annotations'] as const;
const fields = Object.keys(untouched()) as (keyof StructureState)[];

const keysOf = (a: object, b: object): string[] => [...new Set([...Object.keys(a), ...Object.keys(b)])];

/** The properties that differ. The chapter is the lesson's alone. */
export function differences(a: State, b: State): Key[] {
  if (a === b) return [];
  const out: Key[] = single.filter((key) => !same(a[key], b[key]));
  for (const group of named) {
    if (a[group] === b[group]) continue;
    const [x, y] = [a[group] as Record<string, unknown>, b[group] as Record<string, unknown>];
    for (const name of keysOf(x, y)) if (!same(x[name], y[name])) out.push(`${group}/${name}`);
  }
  if (a.structures === b.structures) return out;
  for (const id of keysOf(a.structures, b.structures).map(Number)) {
    const [x, y] = [structureOf(a, id), structureOf(b, id)];
    for (const field of fields) if (!same(x[field], y[field])) out.push(`structures/${id}/${field}`);
  }
  return out;
}

function setStructure(state: State, mine: State, id: number, field: keyof StructureState): void {
  const entry = { ...structureOf(state, id), [field]: structureOf(mine, id)[field] };
  if (same(entry, untouched())) delete state.structures[id];
  else state.structures[id] = entry;
}

function setNamed(group: Record<string, unknown>, from: Record<string, unknown>, name: string): void {
  if (Object.hasOwn(from, name)) group[name] = from[name];
  else delete group[name];
}

/** `below` with the properties of `keys` as they are in `mine`. */
export function layered(below: State, mine: State, keys: Iterable<Key>): State {
  const out: State = { ...below, structures: { ...below.structures }, clips: { ...below.clips }, slices: { ...below.slices }, measures: { ...below.measures }, annotations: { ...below.annotations } };
  for (const key of keys) {
    const [group, name, field] = key.split('/') as [string, string?, string?];
    if (group === 'structures') setStructure(out, mine, Number(name), field as keyof StructureState);
    else if (name !== undefined) setNamed(out[group as 'measures'] as Record<string, unknown>, mine[group as 'measures'] as Record<string, unknown>, name);
    else Object.assign(out, { [group]: mine[group as 'explode'] });
  }
  return out;
}
