/** Recording in the viewer: who is heard and seen, the red bar, chapters and questions. */
import type { Microphone } from '@fabrica/lesson/src/browser';
import type { Recorder } from '@fabrica/lesson';
import type { Point } from '@fabrica/contract';
import { tenthsOf } from '@fabrica/scene';
import type { Rig, RigKinds } from '@fabrica/scene';
import type { App } from './app';
import { open } from './dialogs';
import { fill, h, icon } from './dom';
import { desktopRigs } from './lessonrig';
import { liveWire } from './lessonapi';
import { clockText } from './lessonbar';
import type { RecordWish } from './lessonlist';
import { library } from './lessonplay';

const desktop: RigKinds = { right: 'pointer', space: 'target-ray' };

export class Recording {
  recorder!: Recorder;
  microphone: Microphone | undefined;
  /** Why there is no voice; empty where there is, or none was wanted. */
  silent = '';
  /** Where the teacher clicked last, as scanned. */
  clicked: { id: number; point: Point } | undefined;
  private chapters = 0;
  private questions = 0;
  private readonly ends: (() => void)[] = [];

  private constructor(readonly app: App, readonly title: string, private readonly changed: () => void) {}

  /** Asks for the microphone, then begins; without one it records the rest and says so. */
  static async start(app: App, wish: RecordWish, changed: () => void): Promise<Recording> {
    const recording = new Recording(app, wish.title, changed);
    const lib = await library();
    if (wish.voice) {
      try {
        recording.microphone = await lib.openMicrophone(wish.microphone, (error) => recording.lostVoice(error));
      } catch (error) {
        recording.silent = `No voice: ${(error as Error).message}.`;
      }
    }
    recording.begin(lib);
    return recording;
  }

  private lostVoice(error: Error): void {
    this.silent = `The voice ended: ${error.message}.`;
    this.recorder?.silent();
    this.changed();
  }

  private begin({ Recorder }: Awaited<ReturnType<typeof library>>): void {
    const { app, microphone } = this;
    const consent = { agreed: true, movements: true, voice: microphone !== undefined };
    this.recorder = new Recorder(liveWire(), app.session, {
      title: this.title, language: document.documentElement.lang || 'en', software: 'fabrica-web 0.1', kinds: desktop, consent,
      voice: microphone && { preSkip: microphone.preSkip },
    }, () => this.onPhase());
    microphone?.start((packet) => this.recorder.packet(packet));
    this.ends.push(desktopRigs(app, (rig: Rig) => this.recorder.rig(rig, desktop)), app.rigs.listen((rig, kinds) => this.recorder.rig(rig, kinds)));
    const pane = app.stage.panes.view3d;
    const click = (event: PointerEvent): void => {
      const pick = app.stage.pick(event.clientX, event.clientY);
      if (pick) this.clicked = { id: pick.part.id, point: tenthsOf(pick.patient) };
    };
    pane.addEventListener('pointerup', click, { capture: true });
    this.ends.push(() => pane.removeEventListener('pointerup', click, { capture: true }));
    const stay = (event: BeforeUnloadEvent): void => event.preventDefault(); // the browser asks before it closes the page
    addEventListener('beforeunload', stay);
    this.ends.push(() => removeEventListener('beforeunload', stay));
    const timer = window.setInterval(this.changed, 500);
    this.ends.push(() => clearInterval(timer));
  }

  get going(): boolean { return this.recorder.going; }

  private onPhase(): void {
    if (!this.recorder.going) this.end();
    this.changed();
  }

  private end(): void {
    for (const end of this.ends.splice(0)) end();
    if (this.recorder.phase !== 'stopping') this.microphone?.stop();
  }

  stop(): void {
    if (!this.recorder.going) return;
    this.recorder.stop(this.microphone?.finish());
    this.end();
    this.changed();
  }

  /** Begins a chapter; without a title it is numbered. */
  chapter(title: string): void {
    this.chapters++;
    this.app.act({ op: 'chapter', args: { title: title || `Part ${this.chapters}` } });
  }

  /** `near`: the answer is a point within so many 0.1 mm of this one. */
  question(text: string, ids: number[], seconds: number, near?: { point: Point; within: number }): void {
    this.questions++;
    this.app.act({ op: 'question.ask', args: { name: `q-${this.questions}`, text, ids, seconds, ...(near && { near: near.point, within: near.within }) } });
  }

  words(): string {
    const { phase, time, saved, problem, name } = this.recorder;
    if (phase === 'starting') return 'Starting';
    if (phase === 'recording') return `Recording ${clockText(time)}, saved to ${clockText(saved)}`;
    if (phase === 'stopping') return 'Saving';
    if (phase === 'saved') return `Saved as ${name}, ${clockText(saved)}`;
    if (phase === 'ended' || phase === 'lost') return `Stopped: ${problem}. Saved to ${clockText(saved)}${name ? ` as ${name}` : ''}.`;
    return `Not recorded: ${problem}`;
  }

  told(): object {
    const { phase, name, saved, problem, rows, time, dropped, refused, moved } = this.recorder;
    const { heardAt } = this.microphone ?? {};
    const voice = { voice: this.microphone !== undefined, level: this.microphone?.level ?? 0, moved, heard: heardAt === undefined ? null : this.recorder.timeOf(heardAt) };
    return { phase, name, saved, problem, rows, time, dropped, refused, silent: this.silent, ...voice };
  }
}

/** A question about the selected structure, or those the teacher picks in the form. */
function questionDialog(recording: Recording): void {
  const { app } = recording;
  const { selected } = app;
  const text = h('input', { type: 'text', class: 'text', maxlength: 300, required: true, value: selected ? `Point at: ${app.nameOf(selected.value)}` : '', placeholder: 'Point at ...', 'aria-label': 'Question' });
  const pick = h('select', { class: 'text', multiple: true, size: 4, required: true, 'aria-label': 'Right answers' }, [...app.manifest.structures].sort((a, b) => app.nameOf(a.value).localeCompare(app.nameOf(b.value), 'en', { numeric: true })).map((s) => h('option', { value: String(s.value), selected: s.value === selected?.value }, app.nameOf(s.value))));
  const seconds = h('input', { type: 'number', class: 'text', min: 0, max: 3600, value: 0, 'aria-label': 'Seconds to answer' });
  const { clicked } = recording;
  const near = h('input', { type: 'checkbox' });
  const within = h('input', { type: 'number', class: 'text', min: 1, max: 1000, value: 15, 'aria-label': 'Millimetres' });
  const ask = (): void => recording.question(text.value.trim(), [...pick.selectedOptions].map((o) => Number(o.value)), whole(seconds, 0, 3600),
    clicked && near.checked ? { point: clicked.point, within: whole(within, 1, 1000) * 10 } : undefined);
  open('Ask a question', 'ask-question', h('form', { method: 'dialog', class: 'record-form', onsubmit: ask },
    h('label', { class: 'field' }, h('span', {}, 'Question'), text), h('label', { class: 'field' }, h('span', {}, 'Right answers (several: with Ctrl)'), pick),
    clicked && h('div', { class: 'near' }, h('label', { class: 'check' }, near, h('span', {}, `Only near where I clicked last, on ${app.nameOf(clicked.id)}, within`)), within, h('span', { class: 'quiet' }, 'mm')),
    h('label', { class: 'field' }, h('span', {}, 'Seconds to answer, 0: no limit'), seconds), h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'button primary' }, 'Ask'))));
}

/** What a field of numbers says, within its limits. */
const whole = (input: HTMLInputElement, low: number, high: number): number => Math.max(low, Math.min(high, Math.round(input.valueAsNumber || 0)));

function chapterDialog(recording: Recording): void {
  const title = h('input', { type: 'text', class: 'text', maxlength: 120, placeholder: 'What comes now', 'aria-label': 'Chapter' });
  open('New chapter', 'ask', h('form', { method: 'dialog', onsubmit: () => recording.chapter(title.value.trim()) }, title, h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'button primary' }, 'Begin'))));
  title.focus();
}

/** The bar while a lesson is recorded, and after, until it is closed. */
export function recordBar(recording: Recording, close: () => void): { element: HTMLElement; update: () => void } {
  const state = h('div', { class: 'record-state' });
  const words = h('p', { role: 'status' });
  const meter = h('span', { class: 'mic-meter', 'aria-hidden': 'true' }, h('i', {}));
  const voice = h('span', { class: 'quiet record-voice' });
  const buttons = h('div', { class: 'lesson-more' },
    h('button', { type: 'button', class: 'button', onclick: () => chapterDialog(recording) }, icon('flag'), h('span', {}, 'Chapter')),
    h('button', { type: 'button', class: 'button', onclick: () => questionDialog(recording) }, icon('question'), h('span', {}, 'Question')),
    h('button', { type: 'button', class: 'button stop', onclick: () => recording.stop() }, icon('stop'), h('span', {}, 'Stop')));
  const end = h('button', { type: 'button', class: 'button primary', onclick: close }, 'Close');
  const element = h('section', { class: 'lesson-bar record-bar', 'aria-label': 'Recording' }, h('div', { class: 'lesson-row' }, h('div', { class: 'lesson-main' }, state, h('div', { class: 'lesson-about' }, h('strong', {}, recording.title), words), meter, voice), buttons, end));
  const update = (): void => {
    const { phase } = recording.recorder;
    element.dataset['phase'] = phase;
    document.documentElement.dataset['recording'] = String(recording.going);
    const text = recording.words();
    if (words.textContent !== text) words.textContent = text;
    fill(voice, icon(recording.microphone && !recording.silent ? 'mic' : 'micOff'), recording.silent || (recording.microphone ? '' : 'Without voice'));
    (meter.firstElementChild as HTMLElement).style.width = `${Math.round(100 * Math.min(1, Math.sqrt(recording.microphone?.level ?? 0)))}%`;
    meter.hidden = !recording.microphone || !recording.going;
    buttons.hidden = !recording.going;
    end.hidden = recording.going || phase === 'stopping';
  };
  return { element, update };
}
