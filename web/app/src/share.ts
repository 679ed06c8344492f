/** The owner's dialog for letting others in: a link for a time, or the code. */
import { makeLink } from './api';
import type { Link } from './api';
import { open } from './dialogs';
import { fill, h, icon } from './dom';

const times: readonly [number, string][] = [[60, 'One hour'], [480, 'Eight hours'], [1440, 'One day']];

/** The address with the lesson that it shall open. */
export function withLesson(url: string, lesson: string | undefined): string {
  if (lesson === undefined) return url;
  const made = new URL(url);
  made.searchParams.set('lesson', lesson);
  return made.href;
}

function linkBox(url: string): HTMLElement {
  const box = h('input', { type: 'text', class: 'text', readonly: true, value: url, 'aria-label': 'Link', onfocus: () => box.select() });
  const copy = h('button', { type: 'button', class: 'button primary' }, 'Copy');
  const said = h('span', { class: 'visually-hidden', role: 'status' });
  copy.addEventListener('click', () => {
    box.select();
    const done = (): void => { copy.textContent = 'Copied'; said.textContent = 'The link was copied.'; };
    const byHand = (): void => { copy.textContent = 'Press Ctrl C'; };
    if (!navigator.clipboard) return byHand();
    navigator.clipboard.writeText(url).then(done, byHand);
  });
  return h('div', { class: 'share-link' }, box, copy, said);
}

const here = (url: string): boolean => ['localhost', '127.0.0.1'].includes(new URL(url).hostname);

/** `lesson`: name and title of the one that plays. */
export function shareDialog(lesson: { name: string; title: string } | undefined): void {
  const time = h('select', { class: 'text', 'aria-label': 'Good for' }, times.map(([minutes, text]) => h('option', { value: String(minutes) }, text)));
  const along = h('input', { type: 'checkbox', checked: true });
  const result = h('div', { class: 'share-result' });
  const make = h('button', { type: 'submit', class: 'button primary' }, icon('share'), 'Make a link');
  const show = ({ url }: Link): void => fill(result, linkBox(withLesson(url, along.checked ? lesson?.name : undefined)),
    here(url) && h('p', { class: 'callout' }, icon('warning'), h('span', {}, 'This link works on this machine only: "fabrica view" was started without the network.')));
  const ask = (): void => {
    make.disabled = true;
    makeLink(Number(time.value)).then(show, (error: Error) => fill(result, h('p', { class: 'callout' }, icon('warning'), h('span', {}, error.message)))).finally(() => { make.disabled = false; });
  };
  open('Share', 'share',
    h('p', {}, 'Who has the link looks at this twin and plays its lessons while "fabrica view" runs. They may change nothing, and the patient is not named to them.'),
    h('form', { class: 'record-form', onsubmit: (event) => { event.preventDefault(); ask(); } },
      h('label', { class: 'field' }, h('span', {}, 'Good for'), time),
      lesson && h('label', { class: 'check' }, along, h('span', {}, `Open the lesson "${lesson.title}"`)),
      h('div', { class: 'actions' }, make)), result,
    h('p', { class: 'quiet' }, 'On a headset or tablet: type the network address and the six digits that "fabrica view" prints, or scan its code.'));
}
