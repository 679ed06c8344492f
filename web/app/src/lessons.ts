/** Lessons in the viewer: the button, the dialog, what plays or records, keys, commands, and a hook for tests. */
import type { Command } from '@fabrica/scene';
import type { App } from './app';
import { h, iconButton } from './dom';
import { listLessons } from './lessonapi';
import type { LessonInfo } from './lessonapi';
import { captionLine, clockText, lessonBar, questionCard } from './lessonbar';
import { Editing } from './lessonedit';
import { lessonEditor } from './lessoneditor';
import { lessonsDialog } from './lessonlist';
import type { RecordWish } from './lessonlist';
import { Playing } from './lessonplay';
import { scoreDialog, statementsOf } from './lessonscore';
import { recordBar, Recording } from './lessonrecord';

const page = 'Lesson';

export class Lessons {
  playing: Playing | undefined;
  recording: Recording | undefined;
  /** Where the bars go: below the stage; over the stage. */
  readonly below = document.createElement('div');
  /** The headset's panel asks first. */
  private asking = false;
  private opening = 0;
  private over: HTMLElement[] = [];
  private update: () => void = () => undefined;

  constructor(readonly app: App, private readonly stageBox: HTMLElement) {
    this.below.className = 'lesson-place';
    app.watch(() => this.update());
    app.commands.add(...this.commandList());
    document.addEventListener('keydown', (event) => this.key(event), { capture: true });
    app.stage.renderer.xr.addEventListener('sessionstart', () => void this.offer());
  }

  /** The button of the page's header. */
  button(): HTMLElement {
    const button = iconButton('lesson', 'Lessons (J)', () => this.list(), { class: 'lessons-button worded' });
    button.append(h('span', {}, 'Lessons'));
    return button;
  }

  list(): void {
    if (this.recording?.going) return;
    lessonsDialog({ play: (info) => void this.play(info), record: this.mayRecord ? (wish) => void this.record(wish) : undefined, remove: this.app.view.role === 'owner', playing: this.playing?.info.name });
  }

  private get mayRecord(): boolean { return this.app.view.role !== 'view' && this.playing === undefined && !this.recording?.going; }

  /** Takes the bar of a recording that is over away. */
  private closeRecording(): void {
    if (!this.recording || this.recording.going) return;
    this.recording = undefined;
    this.clear();
  }

  /** The headset's panel lists what can be played. */
  private async offer(): Promise<void> {
    const lessons = await listLessons().catch(() => []);
    this.offered();
    const hidden = (): boolean => this.playing !== undefined || this.recording?.going === true || this.asking;
    const found = lessons.filter((l) => !l.error).slice(0, 8).map((info): Command => (
      { kind: 'button', id: `lesson.open.${info.name}`, page, label: () => info.title || info.name, run: () => void this.play(info), hidden }));
    this.offered = this.app.commands.add(...(found.length > 0 ? [{ kind: 'text', id: 'lesson.list', page, label: () => 'Lessons of this twin:', hidden } as Command] : []), ...found);
  }

  private offered: () => void = () => undefined;

  /** Opens a lesson by its name, from an address or a test. */
  async playNamed(name: string): Promise<void> {
    const info = (await listLessons().catch(() => [])).find((l) => l.name === name);
    await this.play(info ?? { name, bytes: 0 });
  }

  /** Opens a lesson; plays at once where the browser lets it. */
  async play(info: LessonInfo): Promise<void> {
    if (this.recording?.going) return;
    this.closeRecording();
    this.leave();
    this.app.set({ card: '' });
    const ticket = ++this.opening;
    try {
      const playing = await Playing.open(this.app, info, () => this.changed());
      if (ticket !== this.opening) return playing.close();
      this.playing = playing;
      const bar = lessonBar(playing, () => this.leave(), this.mayEdit(playing) ? () => this.edit(playing, bar.element) : undefined);
      const caption = captionLine(playing);
      const card = questionCard(playing);
      playing.onTick = () => { bar.moved(); caption.update(); };
      this.show(bar.element, [caption.element, card.element], () => { bar.update(); caption.update(); card.update(); this.editor?.update(); this.ended(playing); });
      await playing.player.play();
    } catch (error) {
      this.app.toast((error as Error).message);
    }
    this.changed();
  }

  /** The owner edits lessons of this twin. */
  private mayEdit({ info, lesson }: Playing): boolean {
    return this.app.view.role === 'owner' && location.protocol !== 'file:' && info.model === 'same' && lesson.others.length === 0 && lesson.voices <= 1;
  }

  /** Opens the panel for a copy. */
  private edit(playing: Playing, bar: HTMLElement): void {
    if (this.editor) return;
    const editing = new Editing(playing, () => this.changed());
    const panel = lessonEditor(editing, bar, { close: () => this.closeEditor(), saved: (name) => { this.app.toast(`Saved as ${name}.`); void this.playNamed(name); } });
    this.editor = { editing, update: panel.update, close: panel.close };
    if (playing.player.playing) playing.player.pause();
    this.below.prepend(panel.element);
    panel.update();
  }

  private editor: { editing: Editing; update: () => void; close: () => void } | undefined;

  private closeEditor(): void {
    this.editor?.editing.close();
    this.editor?.close();
    this.editor = undefined;
    this.changed();
  }

  private told: Playing | undefined;

  /** The score, once, when a lesson with questions is over. */
  private ended(playing: Playing): void {
    if (!playing.player.ended || this.told === playing || this.editor || playing.checkpoints.answers.list.length === 0) return;
    this.told = playing;
    if (!this.app.stage.renderer.xr.isPresenting) scoreDialog(playing);
  }

  private show(below: HTMLElement, over: HTMLElement[], update: () => void): void {
    this.below.replaceChildren(below);
    this.over = over;
    this.stageBox.append(...over);
    this.update = update;
    update();
  }

  /** Ends what plays. */
  leave(): void {
    if (!this.playing) return;
    this.closeEditor();
    this.playing.close();
    this.playing = undefined;
    this.clear();
  }

  private clear(): void {
    this.below.replaceChildren();
    for (const element of this.over) element.remove();
    this.update = () => undefined;
    this.changed();
  }

  async record(wish: RecordWish): Promise<void> {
    if (this.recording?.going) return;
    this.leave();
    const recording = await Recording.start(this.app, wish, () => this.changed());
    this.recording = recording;
    const bar = recordBar(recording, () => this.closeRecording());
    this.show(bar.element, [], bar.update);
    this.changed();
  }

  private changed(): void {
    this.app.commands.changed();
    this.app.changed();
  }

  /** Keys of a lesson; they win over the viewer's while one plays. */
  private key(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && (target as HTMLInputElement).type !== 'range';
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const run = this.keys()[event.key.toLowerCase()];
    if (!run || (event.key === ' ' && target.closest('button, [role="menu"]'))) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  }

  private keys(): Record<string, () => void> {
    const { playing } = this;
    if (!playing) return { j: () => this.list() };
    const jump = (s: number) => () => void playing.seek(playing.player.time + s * 1e6);
    return {
      ' ': () => void playing.toggle(), k: () => void playing.toggle(), ',': () => void playing.player.step(-1), '.': () => void playing.player.step(1),
      ';': jump(-5), "'": jump(5), u: () => { playing.captionsOn = !playing.captionsOn; this.changed(); },
      b: () => playing.setFollow(!playing.follow), backspace: () => playing.comeBack(), j: () => this.list(),
    };
  }

  private commandList(): Command[] {
    const off = (): boolean => this.playing === undefined;
    const player = (): Playing['player'] | undefined => this.playing?.player;
    const button = (id: string, label: () => string, run: () => void, hidden: () => boolean, on?: () => boolean): Command => ({ kind: 'button', id, page, label, run, hidden, ...(on ? { on } : {}) });
    return [
      { kind: 'text', id: 'lesson.caption', page, label: () => this.playing?.caption() ?? '', hidden: () => !this.playing?.caption() },
      { kind: 'text', id: 'lesson.question', page, label: () => this.questionText(), hidden: () => !this.playing?.checkpoints.open },
      button('lesson.goon', () => 'Go on', () => void this.playing?.checkpoints.goOn(), () => !this.playing?.checkpoints.open?.given),
      button('lesson.pass', () => 'Show me', () => this.playing?.checkpoints.answer(undefined), () => !this.playing?.checkpoints.open || this.playing.checkpoints.open.given !== undefined),
      button('lesson.play', () => (player()?.playing ? 'Pause' : 'Play'), () => void this.playing?.toggle(), off, () => player()?.playing === true),
      button('lesson.before', () => 'Chapter before', () => void player()?.step(-1), off),
      button('lesson.next', () => 'Next chapter', () => void player()?.step(1), off),
      button('lesson.return', () => 'Return to instructor', () => this.playing?.comeBack(), () => !this.playing || this.playing.own === 0),
      { kind: 'slider', id: 'lesson.time', page, label: () => 'Time', hidden: off, value: () => (player() ? (player()?.time ?? 0) / Math.max(1, player()?.lesson.duration ?? 1) : 0), text: () => clockText(player()?.time ?? 0), set: (value) => { void this.playing?.seek(value * (player()?.lesson.duration ?? 0)); } },
      button('lesson.record', () => (this.asking ? 'Do not' : 'Record'), () => { this.asking = !this.asking; this.changed(); }, () => !this.mayRecord, () => this.asking),
      { kind: 'text', id: 'lesson.consent', page, label: () => 'Your movements, deeds and voice will be recorded and shown to those who open this twin. Name no patient.', hidden: () => !this.asking },
      button('lesson.agree', () => 'I agree: record', () => this.agreed(), () => !this.asking),
      { kind: 'text', id: 'lesson.recording', page, label: () => this.recording?.words() ?? '', hidden: () => !this.recording },
      button('lesson.chapter', () => 'New chapter', () => this.recording?.chapter(''), () => !this.recording?.going),
      { kind: 'button', id: 'lesson.ask', page, label: () => (this.app.selected ? `Ask: where is ${this.app.nameOf(this.app.selected.value)}?` : 'Ask: pick a structure first'), run: () => this.askPicked(), hidden: () => !this.recording?.going, disabled: () => !this.app.selected },
      button('lesson.stop', () => 'Stop recording', () => this.recording?.stop(), () => !this.recording?.going),
      button('lesson.leave', () => 'Leave the lesson', () => this.leave(), off),
    ];
  }

  private agreed(): void {
    this.asking = false;
    void this.record({ title: `Lesson ${new Date().toISOString().slice(0, 10)}`, voice: true, microphone: undefined });
  }

  /** A checkpoint about the structure the teacher picked: any place of it is right. */
  private askPicked(): void {
    const { selected } = this.app;
    if (selected) this.recording?.question(`Point at ${this.app.nameOf(selected.value)}`, [selected.value], 0);
  }

  private questionText(): string {
    const open = this.playing?.checkpoints.open;
    if (!open) return '';
    const names = open.question.ids.map((id) => this.app.nameOf(id)).join(' or ');
    return open.given ? `${open.given.right ? 'Right' : 'Not this'}: ${names}` : open.question.text;
  }

  /** For tests: what plays or records, in numbers. */
  hook(): object {
    return {
      play: (name: string) => this.playNamed(name), leave: () => this.leave(), list: () => this.list(),
      record: (wish: RecordWish) => this.record(wish), stop: () => this.recording?.stop(),
      chapter: (title: string) => this.recording?.chapter(title), ask: (text: string, ids: number[], seconds: number) => this.recording?.question(text, ids, seconds),
      recording: () => this.recording && this.recording.told(),
      toggle: () => this.playing?.toggle(), seek: (us: number) => this.playing?.seek(us), rate: (rate: number) => this.playing?.player.setRate(rate),
      asks: (on: boolean) => { if (this.playing) this.playing.player.asks = on; },
      playing: () => this.playing && {
        name: this.playing.info.name,
        time: this.playing.player.time, duration: this.playing.lesson.duration, playing: this.playing.player.playing, ended: this.playing.player.ended, own: this.playing.own,
        chapters: this.playing.player.chapters, notices: this.playing.notices, problem: this.playing.problem, voice: this.playing.planned.length, caption: this.playing.caption(),
        instructor: this.playing.player.instructor(), figure: this.playing.figure, others: this.playing.lesson.others.map((_other, i) => this.playing?.player.other(i)), question: this.playing.checkpoints.open?.question.name, answers: this.playing.checkpoints.answers.list,
      },
      recorded: () => this.playing?.player.state, planned: () => this.playing?.planned, statements: () => this.playing && statementsOf(this.playing, 'tester'),
    };
  }
}

