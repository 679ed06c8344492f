/**
 * The camera of somebody at a screen while a lesson moves the model through a room. Where the model goes and grows, the camera goes
 * along, so that it stays in the picture as large as it was; that it turns is seen. When other structures come into
 * view the camera turns to those, until the person takes the camera; coming back to the instructor gives it back.
 */
import { Quaternion, Vector3 } from 'three';
import { structureOf } from '@fabrica/contract';
import type { State } from '@fabrica/contract';
import type { App } from './app';

type Placement = State['model'];

export class Framing {
  private model: Placement;
  private shown: string;
  private taken = false;
  private readonly ends: (() => void)[] = [];

  constructor(private readonly app: App) {
    this.model = app.state.model;
    this.shown = this.visible(app.state);
    this.ends.push(app.session.watch((state) => this.follow(state)));
    const take = (): void => { this.taken = true; };
    app.stage.controls.addEventListener('start', take);
    this.ends.push(() => app.stage.controls.removeEventListener('start', take));
  }

  /** The camera is the lesson's again. */
  giveBack(): void {
    this.taken = false;
    this.look();
  }

  private visible(state: State): string {
    return this.app.manifest.structures.filter((s) => structureOf(state, s.value).visible).map((s) => s.value).join();
  }

  private middle(model: Placement): Vector3 {
    const [x, y, z] = model.position;
    return this.app.stage.model.middle.clone().multiplyScalar(model.scale / 1000).applyQuaternion(new Quaternion(...model.rotation).normalize()).add(new Vector3(x / 1e4, y / 1e4, z / 1e4));
  }

  private follow(state: State): void {
    const { stage } = this.app;
    if (state.model !== this.model) {
      if (!stage.renderer.xr.isPresenting) stage.carry(this.middle(this.model), this.middle(state.model), state.model.scale / this.model.scale);
      this.model = state.model;
    }
    const shown = this.visible(state);
    if (shown === this.shown) return;
    this.shown = shown;
    if (!this.taken && !stage.renderer.xr.isPresenting) this.look();
  }

  private look(): void { this.app.stage.look(); }

  close(): void { for (const end of this.ends) end(); }
}
