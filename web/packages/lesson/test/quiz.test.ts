/** Answers, scores, and statements held against what xAPI 1.0.3 demands of them. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Answers, statements } from '../src/quiz';
import type { Learning, Statement } from '../src/quiz';
import type { Question } from '../src/index';

const question = (name: string, more: Partial<Question> = {}): Question => ({ name, text: `Point at ${name}`, ids: [7, 8], seconds: 0, time: 0, ...more });

test('right is one of the structures, and near enough where a part is meant', () => {
  const answers = new Answers();
  assert.equal(answers.add(question('a'), 8, [0, 0, 0], 900).right, true);
  assert.equal(answers.add(question('b'), 9, [0, 0, 0], 900).right, false);
  assert.equal(answers.add(question('c', { near: [100, 0, 0], within: 50 }), 7, [60, 30, 0], 900).right, true);
  assert.equal(answers.add(question('d', { near: [100, 0, 0], within: 49 }), 7, [60, 30, 0], 900).right, false);
  assert.equal(answers.add(question('e'), undefined, [0, 0, 0], 900).right, false);
  assert.deepEqual(answers.score, { asked: 5, right: 2, share: 0.4 });
  answers.add(question('b'), 7, [0, 0, 0], 10);
  assert.equal(answers.score.right, 2, 'the first answer counts');
});

const iri = /^[a-z][a-z0-9+.-]*:\S+$/;
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const allowed = new Set(['id', 'actor', 'verb', 'object', 'result', 'context', 'timestamp', 'stored', 'authority', 'version', 'attachments']);

/** The rules of xAPI-Data.md that a record store refuses by. */
function check(s: Statement): void {
  for (const key of Object.keys(s)) assert.ok(allowed.has(key), key);
  assert.match(s['id'] as string, uuid);
  assert.equal(s['version'], '1.0.3');
  assert.equal(new Date(s['timestamp'] as string).toISOString(), s['timestamp']);
  const actor = s['actor'] as { objectType: string; account: { homePage: string; name: string } };
  assert.deepEqual(Object.keys(actor).sort(), ['account', 'objectType'], 'exactly one identifier');
  assert.match(actor.account.homePage, iri);
  assert.ok(actor.account.name.length > 0);
  assert.match((s['verb'] as { id: string }).id, iri);
  const object = s['object'] as { objectType: string; id: string; definition: { type: string; interactionType?: string; correctResponsesPattern?: string[] } };
  assert.equal(object.objectType, 'Activity');
  assert.match(object.id, iri);
  assert.match(object.definition.type, iri);
  if (object.definition.type.endsWith('cmi.interaction')) assert.ok(['other'].includes(object.definition.interactionType ?? ''));
  const result = s['result'] as { duration: string; score?: { scaled: number; raw: number; min: number; max: number } };
  assert.match(result.duration, /^PT\d+(\.\d+)?S$/);
  const { score } = result;
  if (score) {
    assert.ok(score.scaled >= -1 && score.scaled <= 1);
    assert.ok(score.min < score.max && score.raw >= score.min && score.raw <= score.max);
  }
  for (const parent of (s['context'] as { contextActivities?: { parent: { id: string }[] } }).contextActivities?.parent ?? []) assert.match(parent.id, iri);
}

test('statements keep the rules of xAPI 1.0.3', () => {
  const about: Learning = { learner: 'A. Learner', homePage: 'https://hospital.example', lesson: 'https://hospital.example/lessons/spine', title: 'The spine', language: 'en', nameOf: (id) => `structure-${id}` };
  const answers = new Answers();
  answers.add(question('a b/c'), 8, [0, 0, 0], 1234);
  answers.add(question('b'), undefined, [0, 0, 0], 60000);
  const list = statements(about, answers.list, 61234);
  assert.equal(list.length, 3);
  list.forEach(check);
  assert.equal(new Set(list.map((s) => s['id'])).size, 3);
  assert.deepEqual(list.map((s) => (s['verb'] as { id: string }).id.split('/').at(-1)), ['answered', 'answered', 'completed']);
  assert.equal((list[0]?.['result'] as { response: string }).response, 'structure-8');
  assert.deepEqual((list[2]?.['result'] as { score: object }).score, { scaled: 0.5, raw: 1, min: 0, max: 2 });
  assert.deepEqual(Object.keys((statements(about, [], 5)[0]?.['result'] as object)), ['completion', 'duration']);
});
