/** Answers, their score, and xAPI 1.0.3 statements of them (https://github.com/adlnet/xAPI-Spec). */
import type { Point } from '@fabrica/contract';
import type { Question } from './player';

export interface Answer { question: Question; id: number | undefined; point: Point; right: boolean; ms: number; at: Date }

export interface Score { asked: number; right: number; share: number }

/** On one of the structures, and where the question is about a part, near enough to it. */
function isRight(question: Question, id: number | undefined, point: Point): boolean {
  if (id === undefined || !question.ids.includes(id)) return false;
  const { near, within } = question;
  return near === undefined || Math.hypot(...near.map((v, i) => v - (point[i] as number))) <= (within ?? 100);
}

/** The first answer to a question counts. */
export class Answers {
  private readonly known = new Map<string, Answer>();

  add(question: Question, id: number | undefined, point: Point, ms: number, at = new Date()): Answer {
    const answer = { question, id, point, right: isRight(question, id, point), ms, at };
    if (!this.known.has(question.name)) this.known.set(question.name, answer);
    return answer;
  }

  get list(): readonly Answer[] { return [...this.known.values()]; }

  get score(): Score {
    const right = this.list.filter((a) => a.right).length;
    const asked = this.known.size;
    return { asked, right, share: asked === 0 ? 0 : right / asked };
  }
}

export interface Learning {
  /** The learner, as they want to be called. */
  learner: string;
  /** Who vouches for that name: the page's origin. */
  homePage: string;
  /** What tells this lesson from all others: an IRI. */
  lesson: string;
  title: string;
  language: string;
  nameOf: (id: number) => string;
  /** For tests. */
  uuid?: () => string;
}

export type Statement = Record<string, unknown>;

const verb = (name: string): Statement => ({ id: `http://adlnet.gov/expapi/verbs/${name}`, display: { en: name } });

/** ISO 8601, hundredths of a second, as xAPI wants it. */
const duration = (ms: number): string => `PT${(Math.round(ms / 10) / 100).toFixed(2)}S`;

function uuid(): string {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = ((b[6] as number) & 15) | 64;
  b[8] = ((b[8] as number) & 63) | 128;
  const hex = [...b].map((v) => v.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function base(about: Learning, at: Date): Statement {
  return {
    id: (about.uuid ?? uuid)(), version: '1.0.3', timestamp: at.toISOString(),
    actor: { objectType: 'Agent', account: { homePage: about.homePage, name: about.learner } },
  };
}

const lessonObject = (about: Learning): Statement =>
  ({ objectType: 'Activity', id: about.lesson, definition: { type: 'http://adlnet.gov/expapi/activities/lesson', name: { [about.language]: about.title } } });

const contextOf = (about: Learning, parent: boolean): Statement =>
  ({ platform: 'Fabrica', language: about.language, ...(parent ? { contextActivities: { parent: [lessonObject(about)] } } : {}) });

function answered(about: Learning, answer: Answer): Statement {
  const { question, id, right, ms } = answer;
  const definition = {
    type: 'http://adlnet.gov/expapi/activities/cmi.interaction', interactionType: 'other', name: { [about.language]: question.name },
    description: { [about.language]: question.text }, correctResponsesPattern: question.ids.map(about.nameOf),
  };
  return {
    ...base(about, answer.at), verb: verb('answered'), object: { objectType: 'Activity', id: `${about.lesson}/question/${encodeURIComponent(question.name)}`, definition },
    result: { success: right, response: id === undefined ? '' : about.nameOf(id), duration: duration(ms), score: { scaled: right ? 1 : 0, raw: right ? 1 : 0, min: 0, max: 1 } },
    context: contextOf(about, true),
  };
}

/** One statement an answer, and one that the lesson was completed. Nothing here is sent anywhere. */
export function statements(about: Learning, answers: readonly Answer[], tookMs: number, at = new Date()): Statement[] {
  const right = answers.filter((a) => a.right).length;
  const score = answers.length > 0 ? { score: { scaled: right / answers.length, raw: right, min: 0, max: answers.length } } : {};
  return [
    ...answers.map((answer) => answered(about, answer)),
    { ...base(about, at), verb: verb('completed'), object: lessonObject(about), result: { completion: true, duration: duration(tookMs), ...score }, context: contextOf(about, false) },
  ];
}
