/**
 * A session: the rows so far, the state they lead to, and undo.
 *
 *   dispatch(change) -> validate -> apply -> numbered row -> listeners
 *
 * Nothing else changes a scene. Rows of one gesture (a drag) are one step of undo.
 */
import { apply } from './reduce';
import { hash } from './hash';
import { inverse } from './undo';
import { limits } from './table';
import { same, start } from './state';
import { validate } from './validate';
import type { Change, Row, State } from './types';

interface Step { seq: number; back: Change[]; again: Change[]; gesture: string | undefined }

export type Listener = (state: State, row: Row, before: State) => void;

export class Session {
  private current: State = start();
  private readonly log: Row[] = [];
  private done: Step[] = [];
  private undone: Step[] = [];
  private readonly listeners = new Set<Listener>();
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
    } else if (row.back.length > 0) {
      this.done.push({ seq: row.row.seq, back: row.back, again: [change], gesture });
      if (this.done.length > limits.rows_undo) this.done.shift();
    }
    return row.row;
  }

  /** Takes the last step back with rows of its own. False where there is none. */
  undo(): boolean {
    const step = this.done.pop();
    if (!step) return false;
    for (const change of collapsed(step.back)) this.commit(change, step.seq);
    this.undone.push(step);
    return true;
  }

  /** Makes the last step taken back again, as new rows. */
  redo(): boolean {
    const step = this.undone.pop();
    if (!step) return false;
    let seq = step.seq;
    const back: Change[] = [];
    for (const change of step.again) {
      const made = this.commit(change);
      if (!made) continue;
      seq = made.row.seq;
      back.unshift(...made.back);
    }
    this.done.push({ ...step, seq, back });
    return true;
  }

  private commit(change: Change, undoes?: number): { row: Row; back: Change[] } | undefined {
    validate(change);
    const before = this.current;
    const after = apply(before, change, this.ids);
    const event = change.op === 'chapter' || change.op.startsWith('question.');
    if (!event && same(before, after)) return undefined;
    const row = {
      ...change, seq: this.log.length + 1, by: this.by, t: Math.round((performance.now() - this.began) * 1000),
      ...(undoes === undefined ? {} : { undoes }),
    } as Row;
    this.current = after;
    this.log.push(row);
    for (const listener of this.listeners) listener(after, row, before);
    return { row, back: inverse(change, before, after) };
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
