/** The lesson's scene below, the learner's changes above, property by property. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { apply, hash, readState, RowError, Session, start } from '../src/index';
import type { Change, State } from '../src/index';

const ids = [10, 11, 12];
const after = (...changes: Change[]): State => changes.reduce((state, change) => apply(state, change, ids), start());
const hide = (id: number): Change => ({ op: 'structure.show', args: { ids: [id], visible: false } });
const explode = (amount: number): Change => ({ op: 'explode', args: { amount } });

test('what was touched stays, all else follows the lesson', () => {
  const session = new Session(ids);
  session.follow(start());
  session.dispatch(hide(10));
  session.follow(after(explode(300), { op: 'structure.fade', args: { ids: [10, 11], opacity: 400 } }));
  assert.equal(session.state.structures[10]?.visible, false);
  assert.equal(session.state.structures[10]?.opacity, 400, 'another field of the same structure is the lesson\'s');
  assert.equal(session.state.explode, 300);
  assert.deepEqual([...session.own], ['structures/10/visible']);
});

test('return gives all back, without a row', () => {
  const session = new Session(ids);
  const lesson = after(explode(300));
  session.follow(lesson);
  session.dispatch(hide(11));
  session.dispatch(explode(900));
  const rows = session.rows.length;
  session.comeBack();
  assert.equal(session.hash, hash(lesson));
  assert.equal(session.rows.length, rows);
  assert.equal(session.canUndo, false);
});

test('undo gives a property back to the lesson as it is now, not as it was', () => {
  const session = new Session(ids);
  session.follow(start());
  session.dispatch(explode(100));
  session.follow(after(explode(700), hide(12)));
  assert.equal(session.state.explode, 100);
  session.undo();
  assert.equal(session.state.explode, 700);
  session.redo();
  assert.equal(session.state.explode, 100);
  session.dispatch(hide(10));
  session.undo();
  session.undo();
  assert.equal(session.hash, hash(after(explode(700), hide(12))));
});

test('two steps on one property: the first undo keeps it the learner\'s', () => {
  const session = new Session(ids);
  session.follow(start());
  session.dispatch(explode(100));
  session.dispatch(explode(200));
  session.follow(after(explode(700)));
  session.undo();
  assert.equal(session.state.explode, 100);
  session.undo();
  assert.equal(session.state.explode, 700);
});

test('marks of the learner live beside the lesson\'s, and outlast those', () => {
  const measure = (name: string): Change => ({ op: 'measure.add', args: { name, kind: 'distance', points: [[0, 0, 0], [10, 0, 0]], ids: [] } });
  const session = new Session(ids);
  session.follow(after(measure('theirs')));
  session.dispatch(measure('mine'));
  assert.deepEqual(Object.keys(session.state.measures).sort(), ['mine', 'theirs']);
  session.follow(start());
  assert.deepEqual(Object.keys(session.state.measures), ['mine']);
});

test('leaving: the scene it was, and undo begins anew', () => {
  const session = new Session(ids);
  session.dispatch(hide(10));
  const before = session.state;
  session.follow(after(explode(500)));
  session.dispatch(hide(11));
  session.leave(before);
  assert.equal(session.state, before);
  assert.equal(session.canUndo || session.following, false);
  session.dispatch(explode(50));
  session.undo();
  assert.equal(session.hash, hash(before));
});

test('watchers hear rows and lessons, listeners rows alone', () => {
  const session = new Session(ids);
  let rows = 0;
  let states = 0;
  session.listen(() => rows++);
  session.watch(() => states++);
  session.follow(after(explode(1)));
  session.dispatch(hide(10));
  assert.deepEqual([rows, states], [1, 2]);
});

test('a state from outside is held against the table', () => {
  const good = after(hide(10), { op: 'clip.set', args: { plane: 1, on: true, point: [0, 0, 0], normal: [0, 0, 32767] } }, { op: 'chapter', args: { title: 'A' } });
  assert.equal(readState(JSON.parse(JSON.stringify(good))) !== undefined, true);
  const refused = (change: (state: State) => void, field: string): void => {
    const state = JSON.parse(JSON.stringify(good)) as State;
    change(state);
    assert.throws(() => readState(state), (e: unknown) => e instanceof RowError && e.field === field, field);
  };
  refused((s) => { s.explode = 1001; }, 'explode');
  refused((s) => { delete (s as Partial<State>).window; }, 'state.window');
  refused((s) => { Object.assign(s, { more: 1 }); }, 'state.more');
  refused((s) => { s.structures['010'] = s.structures['10'] as never; }, 'structures.010');
  refused((s) => { Object.assign(s.structures['10'] as object, { opacity: '1' }); }, 'structures.10');
  refused((s) => { s.clips['7'] = s.clips['1'] as never; }, 'clips.7');
  refused((s) => { s.measures['no name'] = { kind: 'distance', points: [], ids: [] }; }, 'measures.no name');
  refused((s) => { Object.assign(s, { structures: null }); }, 'structures');
});
