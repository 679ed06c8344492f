/**
 * A session: the rows so far, the state they lead to, and undo.
 *
 *   dispatch(change) -> validate -> apply -> numbered row -> listeners
 *
 * Rows of one gesture (a drag) are one step of undo. While a lesson plays, its state lies below: what
 * the person changed stays theirs, property by property, until it is taken back or given back.
 *
 *   state = layered(lesson's state, own changes)
 */
import { apply } from './reduce';
import { hash } from './hash';
import { inverse } from './undo';
import { differences, layered } from './layer';
import type { Key } from './layer';
import { limits } from './table';
import { same, start } from './state';
import { validate } from './validate';
import type { Change, Row, State } from './types';

interface Step { seq: number; back: Change[]; again: Change[]; gesture: string | undefined; keys: Key[] }

export type Listener = (state: State, row: Row, before: State) => void;

export class Session {
  private current: State = start();
  private readonly log: Row[] = [];
  private done: Step[] = [];
  private undone: Step[] = [];
  private readonly listeners = new Set<Listener>();
  private readonly watchers = new Set<(state: State) => void>();
  /** The lesson's state while one plays. */
  private below: State | undefined;
  /** Own properties of steps too old to be taken back. */
  private kept = new Set<Key>();
  private readonly began = performance.now();

  /** `ids`: every structure of the twin; `by`: who makes this session's rows. */
  constructor(readonly ids: readonly number[], private readonly by: string = 'local') {}

  get state(): State { return this.current; }
  get rows(): readonly Row[] { return this.log; }
  get canUndo(): boolean { return this.done.length > 0; }
  get canRedo(): boolean { return this.undone.length > 0; }
  get hash(): string { return hash(this.current); }

  /** Calls `listener` after each row; returns what ends that. */
  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Calls `watcher` whenever the state changed, by a row or by a lesson; returns what ends that. */
  watch(watcher: (state: State) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  private become(state: State): void {
    this.current = state;
    for (const watcher of this.watchers) watcher(state);
  }

  /** Properties that are the person's own while a lesson plays. */
  get own(): ReadonlySet<Key> {
    const keys = new Set(this.kept);
    if (this.below) for (const step of this.done) for (const key of step.keys) keys.add(key);
    return keys;
  }

  /** Is a lesson's state below? */
  get following(): boolean { return this.below !== undefined; }

  /** Shows `state` below the person's own changes, without a row. The first call forgets undo: it belonged to another scene. */
  follow(state: State): void {
    if (!this.below) this.forget();
    this.below = state;
    this.become(layered(state, this.current, this.own));
  }

  /** Gives all own changes back: the lesson's state alone. */
  comeBack(): void {
    this.forget();
    if (this.below) this.become(this.below);
  }

  /** Ends following; the scene is `state` then. */
  leave(state: State): void {
    this.forget();
    this.below = undefined;
    this.become(state);
  }

  private forget(): void {
    this.done = [];
    this.undone = [];
    this.kept = new Set();
  }

  /**
   * Applies one change. Throws a RowError, and changes nothing, if it is refused. Returns the row, or
   * undefined where the scene is so already (no row is spent on that). `gesture` joins rows for undo.
   */
  dispatch(change: Change, gesture?: string): Row | undefined {
    const row = this.commit(change);
    if (!row) return undefined;
    this.undone = [];
    const last = this.done[this.done.length - 1];
    if (gesture !== undefined && last && last.gesture === gesture) {
      last.again.push(change);
      last.back = [...row.back, ...last.back];
      last.keys = [...new Set([...last.keys, ...row.keys])];
    } else if (row.back.length > 0) {
      this.done.push({ seq: row.row.seq, back: row.back, again: [change], gesture, keys: row.keys });
      if (this.done.length > limits.rows_undo) for (const key of this.done.shift()?.keys ?? []) this.kept.add(key);
    }
    return row.row;
  }

  /** How a viewer opens the scene: a row like any other, but no step of undo. */
  open(change: Change): void {
    this.commit(change);
  }

  /** Takes the last step back with rows of its own. False where there is none. */
  undo(): boolean {
    const step = this.done.pop();
    if (!step) return false;
    for (const change of collapsed(step.back)) this.commit(change, step.seq);
    this.undone.push(step);
    if (this.below) this.become(layered(this.below, this.current, this.own)); // what is no longer own is the lesson's again
    return true;
  }

  /** Makes the last step taken back again, as new rows. */
  redo(): boolean {
    const step = this.undone.pop();
    if (!step) return false;
    let seq = step.seq;
    const back: Change[] = [];
    const keys = new Set<Key>();
    for (const change of step.again) {
      const made = this.commit(change);
      if (!made) continue;
      seq = made.row.seq;
      back.unshift(...made.back);
      for (const key of made.keys) keys.add(key);
    }
    this.done.push({ ...step, seq, back, keys: [...keys] });
    return true;
  }

  private commit(change: Change, undoes?: number): { row: Row; back: Change[]; keys: Key[] } | undefined {
    validate(change);
    const before = this.current;
    const after = apply(before, change, this.ids);
    const event = change.op === 'chapter' || change.op.startsWith('question.');
    if (!event && same(before, after)) return undefined;
    const row = {
      ...change, seq: this.log.length + 1, by: this.by, t: Math.round((performance.now() - this.began) * 1000),
      ...(undoes === undefined ? {} : { undoes }),
    } as Row;
    this.log.push(row);
    this.become(after);
    for (const listener of this.listeners) listener(after, row, before);
    return { row, back: inverse(change, before, after), keys: this.below ? differences(before, after) : [] };
  }
}

/** Of rows that set the same thing again and again (a drag), the last alone matters. */
function collapsed(rows: readonly Change[]): Change[] {
  const single = new Set(['explode', 'model.place', 'window.set', 'volume.show']);
  const key = (row: Change): string | undefined => {
    if (single.has(row.op)) return row.op;
    if (row.op === 'slice.set') return `${row.op} ${row.args.axis}`;
    if (row.op === 'clip.set') return `${row.op} ${row.args.plane}`;
    if (row.op === 'structure.move') return `${row.op} ${row.args.id}`;
    if (row.op === 'structure.fade') return `${row.op} ${row.args.ids.join()}`;
    return undefined;
  };
  const last = new Map<string, number>();
  rows.forEach((row, i) => { const k = key(row); if (k) last.set(k, i); });
  return rows.filter((row, i) => { const k = key(row); return !k || last.get(k) === i; });
}
