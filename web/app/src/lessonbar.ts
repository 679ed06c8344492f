/** The bar below the stage while a lesson plays, its captions, its notices and its questions. */
import { rates } from '@fabrica/lesson/src/player';
import { fill, h, icon, iconButton, pressed } from './dom';
import { scoreDialog } from './lessonscore';
import type { Playing } from './lessonplay';

/** Microseconds as 1:02:03. */
export function clockText(us: number): string {
  const s = Math.floor(us / 1e6 + 1e-6);
  const two = (n: number): string => String(n).padStart(2, '0');
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

interface Part { element: HTMLElement; update: () => void }

function scrubber(playing: Playing): Part & { move: () => void } {
  const { player } = playing;
  const input = h('input', { type: 'range', class: 'scrub', min: 0, max: Math.max(1, Math.round(player.lesson.duration / 1000)), step: 100, 'aria-label': 'Time' });
  const marks = h('div', { class: 'marks', 'aria-hidden': 'true' });
  const time = h('span', { class: 'lesson-time' });
  let held = false;
  let shown = 0;
  input.addEventListener('input', () => { held = true; void playing.seek(input.valueAsNumber * 1000); });
  input.addEventListener('change', () => { held = false; });
  const move = (): void => {
    if (!held) input.value = String(Math.round(player.time / 1000));
    const text = `${clockText(player.time)} / ${clockText(player.lesson.duration)}`;
    if (time.textContent !== text) time.textContent = text;
    input.style.setProperty('--share', `${(100 * player.time) / Math.max(1, player.lesson.duration)}%`);
    input.setAttribute('aria-valuetext', clockText(player.time));
  };
  const update = (): void => {
    move();
    if (shown === player.chapters.length) return;
    shown = player.chapters.length;
    fill(marks, player.chapters.map((c) => h('i', { style: `left: ${(100 * c.time) / Math.max(1, player.lesson.duration)}%` })));
  };
  return { element: h('div', { class: 'scrub-row' }, h('div', { class: 'scrub-box' }, marks, input), time), update, move };
}

/** A button that opens a list above it; a choice closes it. */
function menu(label: string, content: () => { text: string; detail?: string; on: boolean; run: () => void }[], face: () => (Node | string)[]): Part {
  const list = h('div', { class: 'menu', role: 'menu', 'aria-label': label, hidden: true });
  const button = h('button', { type: 'button', class: 'button menu-button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': label, title: label });
  const show = (on: boolean): void => {
    list.hidden = !on;
    button.setAttribute('aria-expanded', String(on));
    if (!on) return;
    fill(list, content().map((item) => h('button', { type: 'button', role: 'menuitemradio', 'aria-checked': String(item.on), onclick: () => { show(false); item.run(); button.focus(); } }, item.text, item.detail && h('span', { class: 'quiet' }, item.detail))));
    ((list.querySelector('[aria-checked="true"]') ?? list.firstElementChild) as HTMLElement | null)?.focus();
  };
  button.addEventListener('click', () => show(list.hidden));
  const element = h('div', { class: 'menu-place' }, list, button);
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !list.hidden) { event.stopPropagation(); show(false); button.focus(); }
    const way = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (way === 0 || list.hidden) return;
    event.preventDefault();
    const all = [...list.children] as HTMLElement[];
    all[(all.indexOf(document.activeElement as HTMLElement) + way + all.length) % all.length]?.focus();
  });
  element.addEventListener('focusout', (event) => { if (!element.contains(event.relatedTarget as Node | null)) show(false); });
  return { element, update: () => {
    const shown = face();
    fill(button, shown);
    button.setAttribute('aria-label', [label, ...shown.filter((part) => typeof part === 'string')].join(' '));
  } };
}

function notices(playing: Playing): Part {
  const element = h('div', { class: 'lesson-notices' });
  const update = (): void => {
    const lines = [...playing.notices, ...(playing.problem ? [playing.problem] : [])];
    const { skipped } = playing.lesson;
    if (skipped > 0) lines.push(`${skipped} ${skipped === 1 ? 'entry was' : 'entries were'} left out: not known to this program.`);
    fill(element, lines.map((text) => h('p', { role: 'status' }, icon('warning'), h('span', {}, text))));
    element.hidden = lines.length === 0;
  };
  return { element, update };
}

function seconds(us: number): string { return `${(us / 1000).toFixed(1)} s`; }

function verdict(given: { right: boolean; id: number | undefined } | undefined): string {
  if (!given) return 'Checkpoint';
  return given.right ? 'Right' : given.id === undefined ? 'Shown' : 'Not this';
}

/** The question over the stage: asked, answered, and on. */
export function questionCard(playing: Playing): Part {
  const element = h('section', { class: 'question-card', 'aria-label': 'Checkpoint', hidden: true });
  let last: unknown;
  let state: unknown;
  const update = (): void => {
    const { open, answers } = playing.checkpoints;
    element.hidden = !open;
    if (open === last && open?.given === state) return;
    last = open;
    state = open?.given;
    if (!open) return;
    const { question, given } = open;
    const names = question.ids.map((id) => playing.app.nameOf(id)).join(' or ');
    const on = h('button', { type: 'button', class: 'button primary', onclick: () => void playing.checkpoints.goOn() }, icon('play'), 'Go on');
    element.className = `question-card ${given ? (given.right ? 'right' : 'wrong') : ''}`;
    fill(element, h('p', { class: 'question-kind' }, icon(given ? (given.right ? 'check' : given.id === undefined ? 'info' : 'close') : 'question'), verdict(given)),
      h('h2', {}, question.text),
      given
        ? h('p', { class: 'quiet', role: 'status' }, given.right ? `${names}, found in ${seconds(given.ms)}.` : `${given.id === undefined ? '' : question.ids.includes(given.id) ? 'The right structure, but not the place. ' : `That was ${playing.app.nameOf(given.id)}. `}It is ${names}: shown now.`)
        : h('p', { class: 'quiet', role: 'status' }, question.seconds > 0 ? `Click or tap it in the model. ${question.seconds} seconds.` : 'Click or tap it in the model. You may turn, hide and cut.'),
      h('div', { class: 'question-end' }, answers.list.length > 0 && h('span', { class: 'quiet' }, `${answers.score.right} of ${answers.score.asked} right`),
        given ? on : h('button', { type: 'button', class: 'button', onclick: () => playing.checkpoints.answer(undefined) }, 'Show me')));
    if (given) on.focus();
  };
  return { element, update };
}

/** Captions over the stage. */
export function captionLine(playing: Playing): Part {
  const element = h('p', { class: 'caption', 'aria-live': 'off' });
  return { element, update: () => {
    const text = playing.caption();
    if (element.textContent !== text) element.textContent = text;
    element.hidden = text === '';
  } };
}

function toggles(playing: Playing): Part {
  const captions = iconButton('captions', 'Captions (U)', () => { playing.captionsOn = !playing.captionsOn; update(); });
  const sound = iconButton('sound', 'Voice on or off', () => { playing.muted = !playing.muted; update(); });
  const follow = h('button', { type: 'button', class: 'button follow', 'aria-label': 'Follow', title: 'See what the instructor sees (B)', onclick: () => playing.setFollow(!playing.follow) }, icon('follow'), h('span', {}, 'Follow'));
  const back = h('button', { type: 'button', class: 'button back', 'aria-label': 'Return to instructor', title: 'Return to the instructor: your own changes are given back (Backspace)', onclick: () => playing.comeBack() }, icon('back'), h('span', {}, 'Return to instructor'));
  const update = (): void => {
    captions.hidden = playing.captions.size === 0;
    pressed(captions, playing.captionsOn);
    sound.hidden = !playing.hasVoice;
    fill(sound, icon(playing.muted ? 'soundOff' : 'sound'));
    pressed(sound, !playing.muted);
    pressed(follow, playing.follow);
    follow.classList.toggle('on', playing.follow);
    back.hidden = playing.own === 0;
  };
  return { element: h('div', { class: 'lesson-toggles' }, back, sound, captions, follow), update };
}

/** The bar. `leave`: ends the lesson; `edit`: undefined where this person may not. `moved` is called each frame, `update` when something changed. */
export function lessonBar(playing: Playing, leave: () => void, edit: (() => void) | undefined): Part & { moved: () => void } {
  const { player } = playing;
  const play = iconButton('play', 'Play (Space)', () => void playing.toggle(), { class: 'play' });
  const scrub = scrubber(playing);
  const about = h('div', { class: 'lesson-about' }, h('strong', {}, playing.lesson.about.title), h('span', { class: 'quiet lesson-chapter' }));
  const speed = menu('Speed', () => rates.map((rate) => ({ text: `${rate}×`, on: rate === player.rate, run: () => player.setRate(rate) })), () => [`${player.rate}×`]);
  const chapters = menu('Chapters', () => player.chapters.map((c) => ({ text: c.title || 'Chapter', detail: clockText(c.time), on: c === player.chapter, run: () => void playing.seek(c.time) })), () => [icon('list')]);
  const tools = toggles(playing);
  const warn = notices(playing);
  const score = h('button', { type: 'button', class: 'button', onclick: () => scoreDialog(playing) }, icon('check'), 'Score');
  let chapterText = '';
  const moved = (): void => {
    scrub.move();
    const title = player.chapter?.title ?? '';
    if (title !== chapterText) (about.lastElementChild as HTMLElement).textContent = chapterText = title;
  };
  const update = (): void => {
    for (const part of [scrub, speed, chapters, tools, warn]) part.update();
    chapters.element.hidden = player.chapters.length === 0;
    score.hidden = playing.checkpoints.answers.list.length === 0;
    fill(play, icon(player.playing ? 'pause' : 'play'));
    play.setAttribute('aria-label', player.playing ? 'Pause (Space)' : 'Play (Space)');
    play.disabled = playing.checkpoints.open !== undefined;
    element.classList.toggle('waiting', player.playing && player.waiting);
    moved();
  };
  const element = h('section', { class: 'lesson-bar', 'aria-label': 'Lesson' }, warn.element, scrub.element,
    h('div', { class: 'lesson-row' }, h('div', { class: 'lesson-main' }, iconButton('previous', 'Chapter before (,)', () => void player.step(-1)), play, iconButton('next', 'Next chapter (.)', () => void player.step(1)), about),
      h('div', { class: 'lesson-more' }, score, tools.element, chapters.element, speed.element, edit && iconButton('scissors', 'Edit a copy', edit, { class: 'edit' }), iconButton('close', 'Leave the lesson', leave))));
  return { element, update, moved };
}
