/** The panel above the player's bar in which a teacher edits a copy of the lesson. */
import { fill, h, icon, iconButton } from './dom';
import { clockText } from './lessonbar';
import type { Editing, Part } from './lessonedit';

/** 1:02.5 */
const tenths = (us: number): string => `${clockText(us)}.${Math.floor(us / 1e5 + 1e-6) % 10}`;

interface EditorActions { close: () => void; saved: (name: string) => void }

function voiceWords(editing: Editing, part: Part): string {
  if (editing.speaking?.part === part) return 'Speak now';
  if (part.voice) return `New voice, ${clockText(part.voice.packets.length * 20000)}`;
  return part.silent ? 'Without voice' : '';
}

function voiceButtons(editing: Editing, part: Part): HTMLElement[] {
  const title = part.title || 'the beginning';
  if (editing.speaking?.part === part) return [iconButton('stop', 'Stop speaking', () => void editing.hush(), { class: 'speaking' })];
  const off = editing.busy;
  if (part.voice || part.silent) return [iconButton('undo', `The old voice again: ${title}`, () => editing.silence(part, false), { disabled: off })];
  return [iconButton('mic', `Speak anew: ${title}`, () => void editing.speak(part), { disabled: off }), iconButton('micOff', `Without voice: ${title}`, () => editing.silence(part, true), { disabled: off })];
}

/** One chapter: its time, title and voice. What is typed stays, as the row is kept while the list is. */
function chapterRow(editing: Editing, part: Part, first: boolean): { element: HTMLElement; update: () => void } {
  const name = h('input', { type: 'text', class: 'text', maxlength: 120, value: part.title, placeholder: first ? 'Beginning, without a title' : 'Title', 'aria-label': `Title of the chapter at ${clockText(part.time)}`, oninput: () => { part.title = name.value; } });
  const jump = h('button', { type: 'button', class: 'button time', title: 'Go there', onclick: () => void editing.playing.seek(part.time) }, clockText(part.time));
  const state = h('span', { class: 'quiet', role: 'status' });
  const tools = h('span', { class: 'chapter-tools' });
  const trash = iconButton('trash', `Remove the chapter at ${clockText(part.time)}`, () => editing.remove(part));
  const element = h('li', {}, jump, name, state, tools, first ? h('span', { class: 'no-tool' }) : trash);
  let shown = '';
  const update = (): void => {
    const now = `${voiceWords(editing, part)} ${editing.busy}`;
    element.classList.toggle('outside', !editing.inside(part));
    element.classList.toggle('speaks', editing.speaking?.part === part);
    if (now === shown) return;
    shown = now;
    trash.disabled = editing.busy;
    state.textContent = voiceWords(editing, part);
    fill(tools, voiceButtons(editing, part));
  };
  return { element, update };
}

function captionsField(editing: Editing): { element: HTMLElement; update: () => void } {
  const pick = h('input', { type: 'file', accept: '.vtt,text/vtt', class: 'visually-hidden', 'aria-label': 'Captions, a WebVTT file', onchange: () => {
    const [file] = pick.files ?? [];
    void file?.text().then((text) => { editing.captions = { name: file.name, text }; update(); });
  } });
  const words = h('span', {});
  const element = h('label', { class: 'button file' }, icon('captions'), words, pick);
  const update = (): void => { words.textContent = editing.captions ? editing.captions.name : 'Captions (.vtt)'; };
  return { element, update };
}

/** `bar`: the player's, whose line of time shows what is cut off. */
export function lessonEditor(editing: Editing, bar: HTMLElement, actions: EditorActions): { element: HTMLElement; update: () => void; close: () => void } {
  const { duration } = editing.playing.lesson;
  const cuts = [h('i', { class: 'cut-off' }), h('i', { class: 'cut-off end' })] as const;
  bar.querySelector('.scrub-box')?.append(...cuts);
  const title = h('input', { type: 'text', class: 'text', maxlength: 120, value: editing.title, 'aria-label': 'Title of the copy', oninput: () => { editing.title = title.value; } });
  const range = h('span', { class: 'quiet edit-range', role: 'status' });
  const list = h('ul', { class: 'edit-chapters' });
  const captions = captionsField(editing);
  const save = h('button', { type: 'button', class: 'button primary', onclick: () => void editing.save().then((done) => done && actions.saved(done.name)) });
  const problem = h('p', { class: 'callout', role: 'alert' });
  const leave = iconButton('close', 'Close without saving', () => {
    if (!editing.dirty || leave.classList.contains('sure')) return actions.close();
    leave.classList.add('sure');
    fill(leave, 'Discard changes');
  });
  const small = (name: 'previous' | 'next' | 'flag', text: string, run: () => void): HTMLButtonElement => h('button', { type: 'button', class: 'button', onclick: run }, icon(name), text);
  const places = [small('previous', 'Begin here', () => editing.beginHere()), small('next', 'End here', () => editing.endHere()), small('flag', 'Chapter here', () => editing.add())];
  const element = h('section', { class: 'lesson-edit', 'aria-label': 'Edit a copy' },
    h('header', {}, h('h3', {}, 'Edit a copy'), h('span', { class: 'quiet' }, 'The lesson itself stays as it is.'), leave),
    h('div', { class: 'edit-row' }, title, places, captions.element, range),
    list, problem, h('footer', {}, h('span', { class: 'quiet' }, 'A voice spoken anew is heard by all who open this twin. Name no patient.'), save));
  let rows: { part: Part; row: ReturnType<typeof chapterRow> }[] = [];
  const update = (): void => {
    if (rows.map((r) => r.part).some((part, i) => part !== editing.parts[i]) || rows.length !== editing.parts.length) {
      rows = editing.parts.map((part, i) => ({ part, row: rows.find((r) => r.part === part)?.row ?? chapterRow(editing, part, i === 0) }));
      fill(list, rows.map(({ row }) => row.element));
    }
    for (const { row } of rows) row.update();
    captions.update();
    range.textContent = editing.from > 0 || editing.to < duration ? `${tenths(editing.from)} to ${tenths(editing.to)} is kept` : '';
    cuts[0].style.width = `${(100 * editing.from) / Math.max(1, duration)}%`;
    cuts[1].style.width = `${100 - (100 * editing.to) / Math.max(1, duration)}%`;
    problem.hidden = editing.problem === '';
    if (problem.textContent !== editing.problem) problem.textContent = editing.problem;
    for (const button of [save, ...places]) button.disabled = editing.busy;
    save.textContent = editing.saving === undefined ? 'Save as a copy' : `Saving, ${Math.round(100 * editing.saving)} %`;
  };
  return { element, update, close: () => { for (const cut of cuts) cut.remove(); element.remove(); } };
}
