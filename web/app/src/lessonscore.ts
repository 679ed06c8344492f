/** How the learner did, and xAPI statements of it for those who want to take them along. */
import { statements } from '@fabrica/lesson/src/quiz';
import { open } from './dialogs';
import { h, icon } from './dom';
import type { Playing } from './lessonplay';

/** Hands a file to the person. */
export function download(name: string, type: string, text: string): void {
  const link = h('a', { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** The statements of what was answered so far. */
export function statementsOf(playing: Playing, learner: string): Record<string, unknown>[] {
  const { about } = playing.lesson;
  const { answers } = playing.checkpoints;
  const took = answers.list.reduce((sum, a) => sum + a.ms, 0);
  return statements({
    learner, homePage: location.origin, lesson: playing.info.sha256 ? `urn:sha256:${playing.info.sha256}` : `${location.origin}/lessons/${encodeURIComponent(playing.info.name)}`, title: about.title,
    language: about.language || 'en', nameOf: (id) => playing.app.byId.get(id)?.name ?? String(id),
  }, answers.list, took);
}

export function scoreDialog(playing: Playing): void {
  const { answers } = playing.checkpoints;
  const { right, asked } = answers.score;
  const name = h('input', { type: 'text', class: 'text', maxlength: 100, value: 'learner', 'aria-label': 'Your name in the file' });
  const rows = answers.list.map((a) => h('li', { class: a.right ? 'right' : 'wrong' }, icon(a.right ? 'check' : 'close'), h('span', {}, h('strong', {}, a.question.text),
    h('span', { class: 'quiet' }, `${a.id === undefined ? 'no answer' : playing.app.nameOf(a.id)}${a.right ? '' : `; it is ${a.question.ids.map((id) => playing.app.nameOf(id)).join(' or ')}`}, ${(a.ms / 1000).toFixed(1)} s`))));
  open('Checkpoints', 'score', h('p', { class: 'score-big' }, h('strong', {}, `${right} of ${asked}`), ' right'), h('ul', { class: 'score-list' }, rows),
    h('h3', {}, 'Take it along'), h('p', { class: 'quiet' }, 'A file of xAPI statements for a learning record store. Nothing is sent: the answers are on this machine alone.'),
    h('label', { class: 'field' }, h('span', {}, 'Your name in the file'), name),
    h('div', { class: 'actions' }, h('button', { type: 'button', class: 'button primary', onclick: () => download(`${playing.info.name}.xapi.json`, 'application/json', JSON.stringify(statementsOf(playing, name.value.trim() || 'learner'), null, 1)) }, icon('download'), 'Download')));
}
