/** The reducer against the table, the fixtures (which C checks too) and its own undo. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { apply, canonical, hash, inverse, operations, RowError, Session, start, validate } from '../src/index';
import type { Change, Row, State } from '../src/index';

const fixtures = path.join(process.env['FAB_SOURCE_ROOT'] ?? path.join(process.cwd(), '..'), 'contract/fixtures/operations');
const ids = [10, 11, 12, 40, 200];

interface Fixture { structures: number[]; rows: Row[]; canonical?: string; hash?: string; refused?: { row: number; field: string } }

const load = (name: string): Fixture => JSON.parse(readFileSync(path.join(fixtures, name), 'utf8')) as Fixture;

function replay(fixture: Fixture): State {
  return fixture.rows.reduce<State>((state, row) => {
    validate(row);
    return apply(state, row, fixture.structures);
  }, start());
}

/** Writes what this program finds into the good fixtures: FAB_WRITE_FIXTURES=1, then read the difference. */
function rewrite(name: string, state: State): void {
  const file = path.join(fixtures, name);
  const text = readFileSync(file, 'utf8').replace(/"canonical": .*,\n "hash": .*/, () => `"canonical": ${JSON.stringify(canonical(state))},\n "hash": "${hash(state)}"`);
  writeFileSync(file, text);
}

for (const name of readdirSync(fixtures).sort()) {
  test(`fixture ${name}`, () => {
    const fixture = load(name);
    if (!fixture.refused) {
      const state = replay(fixture);
      if (process.env['FAB_WRITE_FIXTURES']) rewrite(name, state);
      assert.equal(canonical(state), load(name).canonical);
      assert.equal(hash(state), load(name).hash);
      assert.equal(hash(state), createHash('sha256').update(canonical(state), 'utf8').digest('hex'), 'Node agrees with the hash');
      return;
    }
    const { row, field } = fixture.refused;
    let state = start();
    for (const before of fixture.rows.slice(0, row - 1)) {
      validate(before);
      state = apply(state, before, fixture.structures);
    }
    assert.throws(() => validate(fixture.rows[row - 1]), (error: unknown) => error instanceof RowError && error.field === field);
  });
}

const every = load('every-operation.json');

test('every operation of the table is in the fixtures and known to the reducer', () => {
  assert.deepEqual(Object.keys(operations).filter((op) => !every.rows.some((row) => row.op === op)), ['scene.reset']);
  assert.doesNotThrow(() => apply(start(), { op: 'scene.reset', args: {} }, ids));
});

test('the inverse of every operation restores the hash', () => {
  let state = start();
  for (const row of [...every.rows, { op: 'scene.reset', args: {}, seq: 99, by: 'test', t: 0 } as Row]) {
    const after = apply(state, row, ids);
    if (operations[row.op]?.undo) {
      const back = inverse(row, state, after).reduce((s, change) => {
        validate(change);
        return apply(s, change, ids);
      }, after);
      assert.equal(hash(back), hash(state), `undo of ${row.op}`);
      if (hash(after) === hash(state)) assert.fail(`${row.op} changed nothing: the test proves nothing`);
    }
    state = after;
  }
});

test('a state is never changed in place', () => {
  let state = start();
  for (const row of every.rows) {
    const text = canonical(state);
    const after = apply(state, row, ids);
    assert.equal(canonical(state), text, row.op);
    state = after;
  }
});

test('a session: undo to the start, redo to the end, rows replay to the same hash', () => {
  const session = new Session(ids);
  const hashes = [session.hash];
  const undoable = every.rows.filter((row) => operations[row.op]?.undo).map(({ op, args }) => ({ op, args }) as Change);
  for (const change of undoable) {
    session.dispatch(change);
    hashes.push(session.hash);
  }
  for (let i = undoable.length - 1; i >= 0; i--) {
    assert.ok(session.undo());
    assert.equal(session.hash, hashes[i], `after taking back ${undoable[i]?.op}`);
  }
  assert.equal(session.undo(), false);
  for (let i = 1; i <= undoable.length; i++) {
    assert.ok(session.redo());
    assert.equal(session.hash, hashes[i]);
  }
  const again = session.rows.reduce((state, row) => apply(state, row, ids), start());
  assert.equal(hash(again), session.hash);
  assert.ok(session.rows.some((row) => row.undoes !== undefined));
});

test('a gesture is one step of undo', () => {
  const session = new Session(ids);
  for (let i = 1; i <= 20; i++) session.dispatch({ op: 'explode', args: { amount: i * 10 } }, 'drag');
  session.dispatch({ op: 'window.set', args: { centre: 0, width: 100 } });
  session.undo();
  session.undo();
  assert.equal(session.hash, hash(start()));
  assert.equal(session.canUndo, false);
  assert.equal(session.rows.length, 23, 'twenty steps of the drag, the window, and one row each to take them back');
});

test('a refused row changes nothing and spends no number', () => {
  const session = new Session(ids);
  assert.throws(() => session.dispatch({ op: 'explode', args: { amount: 2000 } }), RowError);
  assert.equal(session.rows.length, 0);
  assert.equal(session.hash, hash(start()));
});

test('two hundred steps are kept for undo', () => {
  const session = new Session(ids);
  for (let i = 1; i <= 210; i++) session.dispatch({ op: 'explode', args: { amount: i } });
  let steps = 0;
  while (session.undo()) steps++;
  assert.equal(steps, 200);
});
