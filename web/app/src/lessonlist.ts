/** The dialog of lessons: play one, record one. */
import { open } from './dialogs';
import { fill, h, icon, iconButton } from './dom';
import { clockText } from './lessonbar';
import { lessonPath, listLessons, removeLesson } from './lessonapi';
import type { LessonInfo } from './lessonapi';

export interface ListActions {
  play: (info: LessonInfo) => void;
  /** Undefined where this person may not record. */
  record: ((wish: RecordWish) => void) | undefined;
  /** May this person remove lessons? */
  remove: boolean;
  /** The lesson that plays: it is not removed below the player. */
  playing: string | undefined;
}

export interface RecordWish { title: string; microphone: string | undefined; voice: boolean }

const megabytes = (bytes: number): string => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** Pressed once it asks, pressed again it removes. */
function removeButton(info: LessonInfo, removed: () => void, failed: (error: Error) => void): HTMLElement {
  const button = iconButton('trash', `Remove ${info.title || info.name}`, () => {
    if (!button.classList.contains('sure')) {
      button.classList.add('sure');
      button.setAttribute('aria-label', `Remove for good: ${info.title || info.name}`);
      fill(button, 'Remove for good');
      return;
    }
    button.disabled = true;
    removeLesson(info.name).then(removed, failed);
  });
  return button;
}

interface RowActions { play: () => void; remove: HTMLElement | undefined }

function row(info: LessonInfo, { play, remove }: RowActions): HTMLElement {
  const chapters = info.chapters?.length ?? 0;
  const details = [info.duration_us === undefined ? '' : clockText(info.duration_us), chapters > 1 ? `${chapters} chapters` : '', info.created ?? '', megabytes(info.bytes)].filter(Boolean).join(' · ');
  const warning = info.error ?? [info.model === 'other' ? 'Recorded in another twin' : '', info.cut ? 'Ended suddenly' : ''].filter(Boolean).join(' · ');
  const file = info.error === undefined && location.protocol !== 'file:' && h('a', { class: 'icon-button', href: lessonPath(info.name), download: `${info.name}.mcap`, title: 'Save the file', 'aria-label': `Save the file of ${info.title || info.name}` }, icon('download'));
  return h('li', { class: 'lesson-line' }, h('button', { type: 'button', class: 'lesson-item', 'data-lesson': info.name, disabled: info.error !== undefined, onclick: play }, h('span', { class: 'lesson-play' }, icon(info.error ? 'warning' : 'play')),
    h('span', {}, h('strong', {}, info.title || info.name), h('span', { class: 'quiet' }, details), warning && h('span', { class: 'lesson-warning' }, warning))), file, remove);
}

/** Microphones, named once the person has allowed one. */
async function microphones(select: HTMLSelectElement): Promise<void> {
  fill(select, h('option', { value: 'default' }, 'Default microphone'), h('option', { value: '' }, 'No voice'));
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  const found = devices.filter((d) => d.kind === 'audioinput' && d.deviceId !== 'default' && d.deviceId !== '');
  select.lastElementChild?.before(...found.map((d, i) => h('option', { value: d.deviceId }, d.label || `Microphone ${i + 1}`)));
}

function recordForm(start: (wish: RecordWish) => void): HTMLElement {
  const title = h('input', { type: 'text', class: 'text', maxlength: 120, required: true, placeholder: 'What is taught', 'aria-label': 'Title' });
  const voice = h('select', { class: 'text', 'aria-label': 'Microphone' });
  void microphones(voice);
  const agree = h('input', { type: 'checkbox', required: true });
  const form = h('form', { class: 'record-form', method: 'dialog', onsubmit: () => start({ title: title.value.trim(), voice: voice.value !== '', microphone: voice.value === 'default' ? undefined : voice.value || undefined }) },
    h('h3', {}, 'Record a lesson'),
    h('label', { class: 'field' }, h('span', {}, 'Title'), title), h('label', { class: 'field' }, h('span', {}, 'Voice'), voice),
    h('label', { class: 'check consent' }, agree, h('span', {}, 'I agree that my movements, what I do in the twin and, if chosen, my voice are recorded and shown to those who open this twin. I will name no patient.')),
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'button primary' }, icon('record'), 'Record')));
  return form;
}

export function lessonsDialog(actions: ListActions): void {
  const list = h('ul', { class: 'lesson-list' }, h('li', { class: 'quiet' }, 'Looking for lessons'));
  const { record } = actions;
  const dialog = open('Lessons', 'lessons', list, record && recordForm((wish) => record(wish)));
  const failed = (error: Error): void => fill(list, h('li', { class: 'callout' }, icon('warning'), h('span', {}, error.message)));
  const ask = (): void => {
    listLessons().then((lessons) => {
      const rows = lessons.map((info) => row(info, { play: () => { dialog.close(); actions.play(info); }, remove: actions.remove && actions.playing !== info.name ? removeButton(info, ask, failed) : undefined }));
      fill(list, rows.length > 0 ? rows : h('li', { class: 'quiet empty' }, record ? 'No lesson yet. Record the first.' : 'No lesson yet.'));
    }, failed);
  };
  ask();
}
