/** From the address to the picture: pairing, manifest, structures, CT small then large. */
import '../styles/main.css';
import '../styles/lesson.css';
import { hash, Session } from '@fabrica/contract';
import { Labels, levelWithin, sceneOfMm, tenthsOf, Volume } from '@fabrica/scene';
import type { Stage } from '@fabrica/scene';
import type { Probe } from '@fabrica/xr';
import type { Rgb } from '@fabrica/contract';
import { ApiError, filePath, getBytes, getJson, getSession, pair } from './api';
import type { CaseView, VolumeLevel } from './api';
import { App } from './app';
import { viewerCommands } from './commands';
import { fill, h, icon, iconButton } from './dom';
import { Lessons } from './lessons';
import { linkInAddress, pairingPage } from './pairing';
import { shareDialog } from './share';
import { startTheme } from './theme';
import { openingOf } from './twin';
import type { Manifest } from './twin';
import { makeShell, makeStage, showViewer } from './viewer';
import type { Shell } from './viewer';

const root = document.getElementById('app') as HTMLElement;
const model = 'export/twin.headset.glb';
/** The CT loads by itself up to this size; more on request. */
const ownBytes = 40e6;

function message(title: string, text: string, again: boolean): void {
  fill(root, h('main', { class: 'pairing' }, h('div', { class: 'pair-card', role: 'alert' }, h('span', { class: 'mark big' }, icon('warning')), h('h1', {}, title), h('p', {}, text),
    again && h('button', { type: 'button', class: 'button primary wide', onclick: () => location.reload() }, 'Try again'))));
}

/** The loading page: what is being done, and how far. */
function loading(): (text: string, share?: number) => void {
  const bar = h('progress', { max: 1, 'aria-label': 'Loading' });
  const words = h('p', { role: 'status' }, 'Opening the twin');
  fill(root, h('main', { class: 'pairing' }, h('div', { class: 'pair-card loading' }, h('span', { class: 'mark big pulse' }, icon('spine')), words, bar)));
  return (text, share) => {
    if (words.textContent !== text) words.textContent = text;
    if (share === undefined) bar.removeAttribute('value');
    else bar.value = share;
  };
}

async function paired(): Promise<void> {
  const link = linkInAddress();
  let first: unknown;
  if (link !== undefined) {
    try {
      await pair({ link });
    } catch (error) { first = error; }
  }
  const session = await getSession();
  if (!session.paired) await pairingPage(root, first);
}

const megabytes = (n: number): string => `${(n / 1e6).toFixed(1)} MB`;

async function loadLevel(app: App, level: VolumeLevel): Promise<void> {
  const { view, stage } = app;
  const bytes = await getBytes(`/api/v1/case/volume/${level.level}`, level.bytes);
  stage.setVolume(new Volume(level, new Int16Array(bytes)));
  const info = view.labels?.levels?.find((l) => l.level === level.level) ?? level;
  const map = await getBytes(`/api/v1/case/labels/${level.level}`, 0);
  const wide = map.byteLength === info.size[0] * info.size[1] * info.size[2];
  stage.setLabels(new Labels(info, wide ? Uint16Array.from(new Uint8Array(map)) : new Uint16Array(map)));
  app.changed();
}

/** The smallest level first, then the next while it is small enough; the rest on request. */
async function loadVolume(app: App): Promise<void> {
  const levels = [...(app.view.volume?.levels ?? [])].sort((a, b) => a.bytes - b.bytes);
  for (const [i, level] of levels.entries()) {
    if (i > 0 && (level.bytes > ownBytes || level.bytes === levels[i - 1]?.bytes)) break;
    await loadLevel(app, level);
  }
}

function fullLoader(get: () => App, view: CaseView): (() => Promise<void>) | undefined {
  const native = view.volume?.levels.find((l) => l.level === 0);
  if (!native || native.bytes <= ownBytes) return undefined;
  return () => loadLevel(get(), native);
}

/** Others are let in by the owner alone. */
function shareButton(view: CaseView, lessons: Lessons): HTMLElement[] {
  if (view.role !== 'owner') return [];
  const button = iconButton('share', 'Share', () => {
    const { playing } = lessons;
    shareDialog(playing && { name: playing.info.name, title: playing.info.title || playing.info.name });
  }, { class: 'worded' });
  button.append(h('span', {}, 'Share'));
  return [button];
}

async function openTwin(): Promise<void> {
  const say = loading();
  const view = await getJson<CaseView>('/api/v1/case');
  document.title = `${view.name} – Fabrica`;
  const manifest = await getJson<Manifest>(view.manifest);
  const file = view.files.find((f) => f.path === model);
  if (!file) throw new ApiError(404, 'no-model', `This twin holds no ${model}. Make one: fabrica export CASE --format glb-headset`);
  const data = await getBytes(filePath(model), file.bytes, (got, of) => say(`Structures, ${megabytes(got)} of ${megabytes(of)}`, got / of));
  say('Building the model');
  const shell = makeShell();
  const app = await makeApp(view, manifest, data, shell, say);
  const lessons = new Lessons(app, shell.stageBox);
  expose(app, lessons);
  const enter = await headset(app);
  showViewer(root, app, shell, { full: fullLoader(() => app, view), extra: [...enter, lessons.button(), ...shareButton(view, lessons)], below: lessons.below });
  app.stage.look('oblique', undefined, true);
  performance.mark('fabrica-first-picture');
  const wanted = new URLSearchParams(location.search).get('lesson');
  if (wanted !== null) void lessons.playNamed(wanted);
  requestAnimationFrame(() => { void loadVolume(app).then(() => { performance.mark('fabrica-ct'); if (enter.length > 0) void app.stage.lighten(idle); }, (error: unknown) => app.toast(`The CT could not be loaded: ${(error as Error).message}`)); });
}

/** More triangles than this are drawn coarser on a page too. */
const pageBudget = 1_500_000;

/** A very large model is made lighter before its first picture, with words. Picking keeps the full surfaces. */
async function fit(stage: Stage, say: (text: string, share?: number) => void): Promise<void> {
  const { body, triangles } = stage.model;
  if (!body || triangles <= pageBudget) return;
  const text = `${(triangles / 1e6).toFixed(1)} million triangles: making it lighter to show`;
  say(text, 0);
  await stage.lighten((share) => { say(text, share); return new Promise((done) => { setTimeout(done, 0); }); });
  stage.detail = levelWithin(pageBudget, (level) => body.trianglesAt(level));
}

async function makeApp(view: CaseView, manifest: Manifest, data: ArrayBuffer, shell: Shell, say: (text: string, share?: number) => void): Promise<App> {
  let stage;
  try {
    stage = makeStage(shell);
  } catch {
    throw new ApiError(0, 'no-webgl', 'This browser shows no WebGL 2. Turn on hardware acceleration, or open the address in a recent Chrome, Edge, Firefox or Safari.');
  }
  await stage.model.load(data, new Map(manifest.structures.map((s) => [s.value, s.rgb as Rgb])));
  await fit(stage, say);
  const session = new Session(manifest.structures.map((s) => s.value));
  const opening = openingOf(manifest.structures);
  if (opening) session.open(opening);
  const app = new App(session, stage, manifest, view);
  stage.apply(session.state);
  viewerCommands(app);
  return app;
}

/** How somebody in the headset is looked at; undefined while nobody is. */
let inside: (() => Probe) | undefined;

const modes = [['immersive-vr', 'Enter headset'], ['immersive-ar', 'In this room']] as const;

/** Buttons that enter the headset, where there is one. Its code is fetched then. */
async function headset(app: App): Promise<HTMLElement[]> {
  const able = await Promise.all(modes.map(([mode]) => navigator.xr?.isSessionSupported(mode).catch(() => false)));
  return modes.filter((_, i) => able[i]).map(([mode, text]) => {
    const button = h('button', { type: 'button', class: 'button headset' }, icon('headset'), text);
    button.addEventListener('click', () => {
      import('@fabrica/xr').then(({ enter }) => enter(app, mode, (look) => { inside = look; }), (error: unknown) => app.toast((error as Error).message))
        .catch((error: unknown) => app.toast(`The headset said: ${(error as Error).message}`));
    });
    return button;
  });
}

/** Coarser structures for the headset, made while the page is idle. */
const idle = (): Promise<void> => new Promise((done) => { if ('requestIdleCallback' in window) requestIdleCallback(() => done(), { timeout: 500 }); else setTimeout(done, 50); });

/** For tests and the curious: what the scene is. Reads only, but for `dispatch`, which is checked as any row. */
function expose(app: App, lessons: Lessons): void {
  const hook = {
    state: () => app.session.state, hash: () => hash(app.session.state), rows: () => app.session.rows,
    dispatch: (change: unknown) => app.session.dispatch(change as never),
    structures: () => app.manifest.structures.map((s) => ({ id: s.value, name: s.name })),
    /** Page pixels of a point in mm LPS in the 3D pane. */
    project: (mm: number[]) => {
      const at = app.stage.project(sceneOfMm(mm).applyMatrix4(app.stage.model.root.matrixWorld));
      const box = app.stage.panes.view3d.getBoundingClientRect();
      return at && { x: box.left + at.x, y: box.top + at.y };
    },
    pick: (x: number, y: number) => app.stage.pick(x, y)?.part.name,
    look: (preset: never, ids?: number[]) => app.stage.look(preset, ids, true),
    frames: () => app.stage.frames, triangles: () => app.stage.model.triangles, volume: () => app.stage.volume?.info,
    selected: () => app.selected?.name, tool: () => app.ui.tool, gl: () => app.stage.renderer.getContext(), draws: () => ({ ...app.stage.renderer.info.render }),
    inside: () => inside?.(), rigs: app.rigs.listen.bind(app.rigs),
    /** World metres of a point in mm LPS of a structure. */
    world: (mm: number[], id?: number) => app.stage.worldOf(tenthsOf(sceneOfMm(mm)), id).toArray(),
    lesson: Object.freeze(lessons.hook()),
  };
  Object.defineProperty(window, 'fabrica', { value: Object.freeze(hook) });
}

async function main(): Promise<void> {
  startTheme();
  try {
    await paired();
    await openTwin();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return location.reload();
    const text = error instanceof Error ? error.message : String(error);
    message(error instanceof ApiError && error.code === 'offline' ? 'No connection' : 'The twin could not be opened', text, true);
  }
}

void main();
