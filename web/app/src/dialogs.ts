/** Dialogs on <dialog>: focus kept inside, Escape closes, the page behind is inert. */
import type { App } from './app';
import { h, icon, iconButton } from './dom';
import type { Child } from './dom';
import { shortcuts } from './keys';
import { spoken } from './twin';

/** Opens a dialog; it removes itself when closed. */
export function open(title: string, name: string, ...content: Child[]): HTMLDialogElement {
  const dialog = h('dialog', { class: `dialog ${name}`, 'aria-label': title });
  dialog.append(h('header', {}, h('h2', {}, title), iconButton('close', 'Close', () => dialog.close())), h('div', { class: 'dialog-body', tabindex: '-1' }, ...content));
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks for a line of text. Empty where the person changed their mind. */
export function askText(title: string, value: string): Promise<string> {
  return new Promise((resolve) => {
    const box = h('input', { type: 'text', class: 'text', maxlength: 200, value, 'aria-label': title });
    let answer = '';
    const form = h('form', { method: 'dialog', onsubmit: () => { answer = box.value.trim(); } }, box, h('div', { class: 'actions' }, h('button', { class: 'button primary', type: 'submit' }, 'Add')));
    const dialog = open(title, 'ask', form);
    dialog.addEventListener('close', () => resolve(answer));
    box.select();
  });
}

/** Keyboard shortcuts. */
export function helpDialog(): void {
  open('Keyboard and mouse', 'help', h('div', { class: 'help-grid' }, shortcuts.map(({ title, keys }) => h('section', {}, h('h3', {}, title),
    h('dl', {}, keys.map(([key, what]) => h('div', {}, h('dt', {}, key.split(/ (?=\S(?: |$))/).map((k) => h('kbd', {}, k))), h('dd', {}, what))))))));
}

/** What this is not for, what is missing, what the network cannot do. */
export function noticeDialog(app: App): void {
  const { manifest } = app;
  const missing = manifest.not_found ?? [];
  const limits = manifest.segmentation.model?.limitations ?? [];
  open('Not for diagnostic use', 'notice',
    h('p', { class: 'callout' }, icon('warning'), h('span', {}, 'Research and training software. Do not diagnose, plan or treat by it. Surfaces and numbers come from an automatic segmentation and may be wrong.')),
    h('h3', {}, `Looked for and not found (${missing.length})`),
    missing.length > 0 ? h('ul', { class: 'missing' }, missing.map((name) => h('li', {}, spoken(name)))) : h('p', { class: 'quiet' }, 'Every structure the network knows was found.'),
    h('p', { class: 'quiet' }, 'What is not in this list and not in the model is not known to the network at all: it may still be there.'),
    manifest.quality && !manifest.quality.trusted && h('p', { class: 'callout' }, icon('warning'), h('span', {}, manifest.quality.scan?.reasons ?? 'The scan is not what the network is made for.')),
    limits.length > 0 && [h('h3', {}, 'Limits of the network'), h('ul', { class: 'plain' }, limits.map((text) => h('li', {}, text)))]);
}
