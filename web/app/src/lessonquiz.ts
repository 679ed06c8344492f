/** Checkpoints: the lesson stops, the learner points, is told, goes on. Answers stay on this machine. */
import type { Question } from '@fabrica/lesson';
import { Answers } from '@fabrica/lesson/src/quiz';
import type { Answer } from '@fabrica/lesson/src/quiz';
import type { Point } from '@fabrica/contract';
import type { App } from './app';
import type { Playing } from './lessonplay';

export interface OpenQuestion { question: Question; since: number; given: Answer | undefined }

export class Checkpoints {
  readonly answers = new Answers();
  open: OpenQuestion | undefined;
  private timer = 0;

  constructor(private readonly app: App, private readonly playing: Playing, private readonly changed: () => void) {
    app.watch(() => this.watch());
  }

  ask(question: Question): void {
    this.app.set({ tool: 'select', selected: undefined, selectedAt: undefined });
    this.open = { question, since: performance.now(), given: undefined };
    if (question.seconds > 0) this.timer = window.setTimeout(() => this.answer(undefined), question.seconds * 1000);
    this.changed();
  }

  /** Whatever picks a structure answers: a click, the list, a ray in the headset. */
  private watch(): void {
    const { selected } = this.app.ui;
    if (this.open && !this.open.given && selected !== undefined) this.answer(selected);
  }

  /** `id`: the structure; undefined where the time is over or the learner passes. */
  answer(id: number | undefined): void {
    const { open, app } = this;
    if (!open || open.given) return;
    clearTimeout(this.timer);
    const ms = Math.round(performance.now() - open.since);
    const point = app.ui.selectedAt ?? this.middleOf(id);
    open.given = this.answers.add(open.question, id, point, ms);
    if (id !== undefined) app.act({ op: 'question.answer', args: { name: open.question.name, point, id, right: open.given.right, ms } });
    this.show(open);
    this.changed();
  }

  private middleOf(id: number | undefined): Point {
    const mm = id === undefined ? undefined : this.app.byId.get(id)?.centroid_mm;
    return mm ? [Math.round(mm[0] * 10), Math.round(mm[1] * 10), Math.round(mm[2] * 10)] : [0, 0, 0];
  }

  /** Where it is. */
  private show({ question, given }: OpenQuestion): void {
    const [first] = question.ids;
    if (given?.right || first === undefined || !this.app.byId.has(first)) return;
    this.app.set({ selected: first });
    this.app.stage.look(undefined, question.ids);
  }

  async goOn(): Promise<void> {
    this.leave();
    await this.playing.player.play();
  }

  /** Closes the question without another answer. */
  leave(): void {
    clearTimeout(this.timer);
    this.open = undefined;
    this.changed();
  }

  close(): void {
    this.leave();
  }
}
