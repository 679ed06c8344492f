/** A lesson that plays in the viewer: the player, the instructor's figure, the voice, and the learner beside them. */
import type { Cue, Lesson, Player, Question } from '@fabrica/lesson';
import type { Avatar, Voice } from '@fabrica/lesson/src/browser';
import type { State } from '@fabrica/contract';
import { Ray, Vector3 } from 'three';
import type { App } from './app';
import { getBytes } from './api';
import { Framing } from './framing';
import { lessonPath } from './lessonapi';
import type { LessonInfo } from './lessonapi';
import { Checkpoints } from './lessonquiz';

export type Library = typeof import('@fabrica/lesson') & typeof import('@fabrica/lesson/src/browser');

/** The code of lessons is fetched when the first is wanted. */
export const library = async (): Promise<Library> => {
  const [pure, browser] = await Promise.all([import('@fabrica/lesson'), import('@fabrica/lesson/src/browser')]);
  return { ...pure, ...browser };
};

async function sha256(data: ArrayBuffer): Promise<string | undefined> {
  if (!crypto.subtle) return undefined;
  return [...new Uint8Array(await crypto.subtle.digest('SHA-256', data))].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** In the headset nobody sees the page: what it says of the lesson follows this many ms late. */
const unseen = 250;

/** Was the lesson made in another twin? The server says; else by the label map, which all may see, or the manifest. */
async function isOfAnother(app: App, lesson: Lesson, info: LessonInfo): Promise<boolean> {
  if (info.model === 'same' || info.model === 'other') return info.model === 'other';
  const { labels, manifest } = lesson.about;
  const here = app.view.files.find((f) => f.path === 'labels.nii.gz')?.sha256;
  if (labels && here) return labels !== here;
  if (!manifest) return false;
  const hash = await sha256(await getBytes(app.view.manifest, 0));
  return hash !== undefined && hash !== manifest;
}

export class Playing {
  player!: Player;
  readonly notices: string[] = [];
  readonly checkpoints: Checkpoints;
  captions = new Map<string, Cue[]>();
  captionsOn = true;
  follow = false;
  /** What somebody should know now; shown until closed. */
  problem = '';
  private readonly avatar: Avatar;
  private readonly others: readonly Avatar[];
  private readonly at = { ear: new Vector3(), forward: new Vector3(), up: new Vector3() };
  private readonly before: State;
  private readonly framing: Framing;
  private voice: Voice | undefined;
  private frame = 0;
  private timer = 0;
  private readonly ends: (() => void)[] = [];

  private constructor(readonly app: App, private readonly lib: Library, readonly lesson: Lesson, readonly info: LessonInfo, private readonly changed: () => void) {
    this.before = app.session.state;
    this.framing = new Framing(app);
    this.avatar = new lib.Avatar(0, lesson.others.length > 0 ? lesson.who : '');
    this.others = lesson.others.map(({ who }, i) => new lib.Avatar(i + 1, who));
    this.checkpoints = new Checkpoints(app, this, () => this.changed());
  }

  /** Opens a lesson. Throws with words what cannot be read. */
  static async open(app: App, info: LessonInfo, changed: () => void): Promise<Playing> {
    const lib = await library();
    const lesson = await lib.Lesson.open(await lib.fromUrl(lessonPath(info.name), info.name));
    const playing = new Playing(app, lib, lesson, info, changed);
    await playing.begin();
    return playing;
  }

  private async begin(): Promise<void> {
    const { app, lesson, lib } = this;
    if (await isOfAnother(app, lesson, this.info)) this.notices.push('This lesson was recorded in another twin. What is pointed at may be something else here.');
    if (lesson.voices > 1) this.notices.push('Several people speak in this lesson. The first is heard.');
    if (lesson.cut) this.notices.push('The recording ended suddenly. It plays as far as it was saved.');
    await this.openVoice();
    this.player = new lib.Player(lesson, {
      state: (state) => app.session.follow(state), changed: this.changed,
      question: (question) => this.ask(question), error: (error) => { this.problem = error.message; this.changed(); },
    }, this.voice);
    this.showAvatar();
    await this.player.begin(this.info.chapters?.map(({ t, title }) => ({ time: t, title })));
    void this.readCaptions();
    this.loop();
  }

  private async openVoice(): Promise<void> {
    if (!this.lesson.has('voice')) return;
    const problem = await this.lib.voiceProblem();
    if (problem) this.notices.push(problem);
    else this.voice = new this.lib.Voice(Number(this.lesson.metadata('voice')?.get('pre_skip') ?? 312), (error) => { this.problem = `The voice: ${error.message}`; this.changed(); });
  }

  private async readCaptions(): Promise<void> {
    try {
      for (const [language, text] of await this.lesson.captions()) this.captions.set(language, this.lib.cuesOf(text));
    } catch (error) {
      this.notices.push(`Captions: ${(error as Error).message}`);
    }
    this.changed();
  }

  private showAvatar(): void {
    const { stage } = this.app;
    const ray = new Ray();
    for (const avatar of [this.avatar, ...this.others]) avatar.meets = (origin, direction) => stage.picker.along(ray.set(origin, direction), stage.planes)?.world;
    this.avatar.points = this.lesson.metadata('pose')?.get('space') !== 'grip';
    this.others.forEach((avatar, i) => { avatar.points = !this.lesson.others[i]?.grip; });
    stage.scene.add(this.avatar.group, ...this.others.map((avatar) => avatar.group));
    const before = stage.scene.onBeforeRender.bind(stage.scene);
    stage.scene.onBeforeRender = () => { if (stage.renderer.xr.isPresenting) this.tick(); }; // in the headset the page has no frames
    const free = (): void => { if (this.follow) this.setFollow(false); };
    stage.controls.addEventListener('start', free);
    this.ends.push(() => { stage.scene.onBeforeRender = before; stage.controls.removeEventListener('start', free); });
  }

  private loop(): void {
    const step = (): void => {
      this.frame = requestAnimationFrame(step);
      if (!this.player.playing) return;
      this.tick();
      this.app.stage.invalidate();
    };
    step();
    this.timer = window.setInterval(() => { if (document.hidden) this.player.update(); }, 500); // the voice goes on behind another tab
  }

  /** Once a frame: what is due, the instructor, the voice's place. */
  tick(): void {
    this.player.update();
    this.place();
    const now = performance.now();
    if (this.app.stage.renderer.xr.isPresenting && now - this.told < unseen) return;
    this.told = now;
    this.onTick();
  }

  onTick: () => void = () => undefined;
  private told = 0;

  /** Brings the figure and the ears to now. */
  place(): void {
    const { stage, session } = this.app;
    const { ear, forward, up } = this.at;
    stage.camera.updateWorldMatrix(true, false);
    ear.setFromMatrixPosition(stage.camera.matrixWorld);
    const { model } = this.player.state;
    this.avatar.show(this.player.instructor(), model, session.state.model, ear);
    for (let i = 0; i < this.others.length; i++) this.others[i]?.show(this.player.other(i), model, session.state.model, ear);
    const head = this.avatar.headNow();
    if (this.follow && head && !stage.renderer.xr.isPresenting) this.lookAs(head);
    if (!this.voice || !head) return;
    this.voice.place(head.position, ear, forward.set(0, 0, -1).transformDirection(stage.camera.matrixWorld), up.set(0, 1, 0).transformDirection(stage.camera.matrixWorld));
  }

  private lookAs(head: NonNullable<ReturnType<Avatar['headNow']>>): void {
    const { camera, controls, model } = this.app.stage;
    const ahead = new Vector3(0, 0, -1).applyQuaternion(head.rotation);
    const middle = model.middle.clone().applyMatrix4(model.root.matrixWorld);
    camera.position.copy(head.position);
    controls.target.copy(head.position).addScaledVector(ahead, Math.max(0.15, middle.sub(head.position).dot(ahead)));
  }

  setFollow(on: boolean): void {
    this.follow = on;
    this.place();
    this.app.stage.invalidate();
    this.changed();
  }

  /** Gives back what the learner changed, and the instructor's view if that was followed. */
  comeBack(): void {
    this.app.session.comeBack();
    this.framing.giveBack();
    this.place();
    this.changed();
  }

  get own(): number { return this.app.session.own.size; }

  async toggle(): Promise<void> {
    if (this.player.playing) this.player.pause();
    else if (!this.checkpoints.open) await this.player.play();
  }

  async seek(time: number): Promise<void> {
    this.checkpoints.leave();
    await this.player.seek(time);
    this.place();
    this.app.stage.invalidate();
    this.onTick();
  }

  private ask(question: Question): void {
    this.place();
    this.checkpoints.ask(question);
  }

  /** What is said now, in the lesson's own language if there is more than one. */
  caption(): string {
    const cues = this.captions.get(this.lesson.about.language) ?? [...this.captions.values()][0];
    return this.captionsOn && cues ? this.lib.cueAt(cues, this.player.time) : '';
  }

  /** Where the instructor's head is in the world as shown, metres. */
  get figure(): number[] | undefined { return this.avatar.headNow()?.position.toArray(); }

  get hasVoice(): boolean { return this.voice !== undefined; }
  get muted(): boolean { return this.voice?.muted ?? true; }
  set muted(value: boolean) { if (this.voice) this.voice.muted = value; }
  get planned(): Voice['planned'] { return this.voice?.planned ?? []; }

  /** Ends the lesson: the scene is what it was before. */
  close(): void {
    cancelAnimationFrame(this.frame);
    clearInterval(this.timer);
    for (const end of this.ends) end();
    this.checkpoints.close();
    this.player.close();
    this.voice?.close();
    for (const avatar of [this.avatar, ...this.others]) avatar.dispose();
    this.app.session.leave(this.before);
    this.framing.close();
  }
}
