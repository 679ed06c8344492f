/** The pairing page: six digits, or a link that carries a token. */
import { ApiError, pair } from './api';
import { h, icon } from './dom';

/** Takes a token out of the address (#link=...), so that it is not kept or shared by accident. */
export function linkInAddress(): string | undefined {
  const link = new URLSearchParams(location.hash.slice(1)).get('link') ?? undefined;
  if (link !== undefined) history.replaceState(null, '', location.pathname + location.search);
  return link;
}

function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Something went wrong in this page. Please reload it.';
  if (error.status === 429) return `Locked for a while: too many wrong codes. ${error.message}`;
  if (error.status === 410) return `${error.message} Ask for a new link, or type the code.`;
  return error.message;
}

/** Shows the page; resolves when paired. `first`: an error to begin with. */
export function pairingPage(root: HTMLElement, first?: unknown): Promise<void> {
  return new Promise((resolve) => {
    const message = h('p', { class: 'pair-error', role: 'alert', id: 'pair-error' }, first === undefined ? '' : explain(first));
    const box = h('input', { class: 'code', id: 'code', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 7, pattern: '[0-9 ]*', placeholder: '000 000', 'aria-label': 'Six-digit code', 'aria-describedby': 'pair-error' });
    const button = h('button', { class: 'button primary wide', type: 'submit', disabled: true }, 'Open the twin');
    const send = async (): Promise<void> => {
      const code = box.value.replace(/\D/g, '');
      if (code.length !== 6 || button.disabled) return;
      button.disabled = true;
      button.textContent = 'Pairing…';
      try {
        await pair({ code });
        resolve();
      } catch (error) {
        message.textContent = explain(error);
        box.setAttribute('aria-invalid', 'true');
        box.select();
      } finally {
        button.disabled = false;
        button.textContent = 'Open the twin';
      }
    };
    box.addEventListener('input', () => {
      const digits = box.value.replace(/\D/g, '').slice(0, 6);
      box.value = digits.length > 3 ? `${digits.slice(0, 3)} ${digits.slice(3)}` : digits;
      box.removeAttribute('aria-invalid');
      button.disabled = digits.length !== 6;
      if (digits.length === 6) void send();
    });
    root.replaceChildren(h('main', { class: 'pairing' }, h('form', { class: 'pair-card', novalidate: true, onsubmit: (event) => { event.preventDefault(); void send(); } },
      h('span', { class: 'mark big' }, icon('spine')), h('h1', {}, 'Fabrica'), h('p', {}, 'Type the six digits shown by ', h('code', {}, 'fabrica view'), ' on the computer that holds the twin.'),
      box, message, button, h('p', { class: 'quiet small' }, icon('warning'), ' Not for diagnostic use'))));
    box.focus();
  });
}
