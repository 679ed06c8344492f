/** What all panels share: the session (the scene), the stage (its picture), the twin and the viewer's own state. */
import { RowError, Session } from '@fabrica/contract';
import type { Change, Point, State } from '@fabrica/contract';
import { Commands, RigHub } from '@fabrica/scene';
import type { Pending, Stage, Tool, Viewer } from '@fabrica/scene';
import type { CaseView } from './api';
import { displayOf, openingOf } from './twin';
import type { Manifest, Structure } from './twin';

export type { Tool } from '@fabrica/scene';
export type Layout = 'model' | 'split' | 'quad';
export type Tab = 'details' | 'findings' | 'spine' | 'notes';

/** The viewer's own: not of the scene, not recorded. */
export interface Ui {
  tool: Tool;
  layout: Layout;
  tab: Tab;
  selected: number | undefined;
  /** The place on it that was pointed at; undefined where a list or a key chose it. */
  selectedAt: Point | undefined;
  /** Points of a measure or arrow that is not finished. */
  pending: Pending[];
  colour: [number, number, number];
  /** On a phone: which sheet is open. */
  sheet: 'none' | 'structures' | 'details';
  /** The card of the bar below that is open; empty: none. */
  card: string;
}

/** DOM is brought up to date this often while somebody is in the headset, ms. */
const pauseInside = 200;

export class App implements Viewer {
  /** What can be done, for the panel in the headset (and whoever else lists it). */
  readonly commands = new Commands();
  /** Where head and hands are, while somebody is in the headset. */
  readonly rigs = new RigHub();
  readonly ui: Ui = { tool: 'select', layout: innerWidth > 1180 ? 'split' : 'model', tab: 'details', selected: undefined, selectedAt: undefined, pending: [], colour: [255, 196, 61], sheet: 'none', card: '' };
  readonly byId = new Map<number, Structure>();
  readonly byName = new Map<string, Structure>();
  private readonly watchers = new Set<() => void>();
  private queued = false;
  private counter = 0;
  toast: (text: string) => void = () => undefined;

  constructor(readonly session: Session, readonly stage: Stage, readonly manifest: Manifest, readonly view: CaseView) {
    for (const structure of manifest.structures) {
      this.byId.set(structure.value, structure);
      this.byName.set(structure.name, structure);
    }
    stage.describe({ volumeMl: (id) => this.byId.get(id)?.volume_ml, nameOf: (id) => this.nameOf(id) });
    session.watch((state) => {
      stage.apply(state);
      this.changed();
    });
  }

  get state(): State { return this.session.state; }

  get selected(): Structure | undefined { return this.ui.selected === undefined ? undefined : this.byId.get(this.ui.selected); }

  /** The one way to change the scene. A row that is refused is told to the person. */
  act(change: Change, gesture?: string): boolean {
    try {
      this.session.dispatch(change, gesture);
      return true;
    } catch (error) {
      if (!(error instanceof RowError)) throw error;
      this.toast(error.message);
      return false;
    }
  }

  /** The scene as the twin was opened, in one step of undo. In the headset the model stays where it is: the origin is the floor there. */
  reset(): void {
    const { model } = this.state;
    const gesture = `reset-${performance.now()}`;
    this.act({ op: 'scene.reset', args: {} }, gesture);
    const opening = openingOf(this.manifest.structures);
    if (opening) this.act(opening, gesture);
    if (this.stage.renderer.xr.isPresenting) this.act({ op: 'model.place', args: model }, gesture);
  }

  /** Changes the viewer's own state. */
  set(patch: Partial<Ui>): void {
    if (patch.tool !== undefined && patch.tool !== this.ui.tool) patch = { pending: [], ...patch };
    Object.assign(this.ui, patch);
    if ('selected' in patch) {
      this.stage.selected = this.ui.selected;
      this.stage.apply(this.state);
    }
    this.changed();
  }

  select(id: number | undefined, at?: Point): void {
    this.ui.selectedAt = at;
    this.set(id === undefined ? { selected: id } : { selected: id, tab: 'details' });
  }

  /** Calls `watcher` after changes, once a frame. */
  watch(watcher: () => void): void { this.watchers.add(watcher); }

  changed(): void {
    this.commands.changed();
    if (this.queued) return;
    this.queued = true;
    const tell = (): void => {
      this.queued = false;
      for (const watcher of this.watchers) watcher();
      this.stage.invalidate();
    };
    if (this.stage.renderer.xr.isPresenting) setTimeout(tell, pauseInside);
    else queueMicrotask(tell);
  }

  /** A name for a measure or annotation, unused so far. */
  name(kind: string): string {
    const { measures, annotations } = this.state;
    let name = '';
    do name = `${kind}-${++this.counter}`; while (measures[name] || annotations[name]);
    return name;
  }

  notice(): string {
    const missing = this.manifest.not_found?.length ?? 0;
    return `Not for diagnostic use${missing > 0 ? ` · ${missing} structures not segmented` : ''}`;
  }

  nameOf(id: number | undefined): string {
    const structure = id === undefined ? undefined : this.byId.get(id);
    return structure ? displayOf(structure) : 'CT';
  }
}
