/**
 * Being inside: reads the devices once a frame, lets what is held follow them, and asks in turn who answers a
 * press. All that changes the scene goes through the viewer's rows, so a lesson records it and undo takes it back.
 */
import { Matrix4, Quaternion, Vector3 } from 'three';
import type { Command, Viewer } from '@fabrica/scene';
import { gestureName } from './deed';
import type { Deed, Taker } from './deed';
import { standingAt } from './grab';
import { ModelHold, placeModel } from './hold';
import { Inputs } from './inputs';
import type { Device } from './inputs';
import { Panel } from './panel';
import { headingOf, PanelHands } from './panel-hand';
import { Standing } from './place';
import { Rays } from './rays';
import { Rigs } from './rigs';

/** The model's middle: this far in front of the person, and this far under the eyes; metres. */
const table = { ahead: 0.75, standing: 0.5, seated: 0.25, low: 0.6, high: 1.6 };
const snap = Math.PI / 6;

interface Doing { deed: Deed; device: Device; squeeze: boolean }

export class Headset {
  readonly inputs: Inputs;
  readonly panel: Panel;
  readonly standing: Standing;
  readonly eye = new Vector3(0, 1.6, 0);
  readonly ahead = new Vector3(0, 0, -1);
  private readonly head = new Matrix4();
  private readonly turned = new Quaternion();
  private readonly size = new Vector3();
  private readonly panelHands: PanelHands;
  private readonly hold: ModelHold;
  private readonly rays: Rays;
  private readonly rigs: Rigs;
  private readonly takers: readonly Taker[];
  private readonly doing: Doing[] = [];
  private readonly ends: (() => void)[] = [];
  private readonly before;
  private snapped = false;
  private seated = false;
  private last = 0;
  private begun = false;

  constructor(private readonly viewer: Viewer, private readonly session: XRSession, floor: XRReferenceSpace) {
    const { stage } = viewer;
    const { xr } = stage.renderer;
    this.before = viewer.session.state.model;
    this.standing = new Standing(xr, floor);
    this.rigs = new Rigs(viewer.rigs);
    this.panel = new Panel(viewer.commands, () => viewer.notice());
    this.panelHands = new PanelHands(this.panel);
    this.hold = new ModelHold(viewer, (_device, squeeze) => squeeze || viewer.ui.tool === 'hold');
    this.rays = new Rays();
    this.takers = [this.panelHands, this.hold];
    this.inputs = new Inputs(session, () => xr.getReferenceSpace(), {
      press: (device, squeeze) => this.press(device, squeeze),
      release: (device, squeeze, lost) => this.release(device, squeeze, lost),
      changed: () => undefined,
    });
    stage.scene.add(this.panel.mesh, this.rays.group);
    this.ends.push(viewer.commands.add(...this.commands()));
    if (viewer.ui.tool === 'select') viewer.set({ tool: 'hold' });
  }

  private commands(): Command[] {
    const page = 'View';
    const button = (id: string, label: () => string, run: () => void, on?: () => boolean): Command => ({ kind: 'button', id, page, label, run, ...(on ? { on } : {}) });
    return [
      button('xr.recentre', () => 'Bring to me', () => this.recentre()),
      button('xr.life', () => 'Life size', () => this.scaleTo(1)),
      button('xr.double', () => 'Twice', () => this.scaleTo(2)),
      button('xr.seated', () => 'Seated', () => { this.seated = !this.seated; this.recentre(); }, () => this.seated),
      button('xr.leave', () => 'Leave', () => void this.session.end()),
    ];
  }

  /** The model before the person, upright, its front to them, at a height that suits; the panel beside it. One step of undo. */
  recentre(): void {
    const place = this.ahead.clone().setY(0).normalize().multiplyScalar(table.ahead).add(this.eye);
    place.y = Math.min(table.high, Math.max(table.low, this.eye.y - (this.seated ? table.seated : table.standing)));
    const { model } = this.viewer.stage;
    placeModel(this.viewer, standingAt(model.middle, place, this.hold.placement().scale, headingOf(this.ahead)), gestureName('recentre'));
    this.panelHands.bring(this.eye, this.ahead);
  }

  /** Scales about the model's middle. */
  private scaleTo(scale: number): void {
    const { root, middle } = this.viewer.stage.model;
    const centre = middle.clone().applyMatrix4(root.matrixWorld);
    const position = middle.clone().multiplyScalar(-scale).applyQuaternion(root.quaternion).add(centre);
    placeModel(this.viewer, { position, rotation: root.quaternion.clone(), scale }, gestureName('scale'));
  }

  private press(device: Device, squeeze: boolean): void {
    for (const taker of this.takers) {
      const deed = taker.take(device, squeeze);
      if (!deed) continue;
      this.doing.push({ deed, device, squeeze });
      return;
    }
  }

  private release(device: Device, squeeze: boolean, lost: boolean): void {
    const i = this.doing.findIndex((d) => d.device === device && d.squeeze === squeeze);
    if (i < 0) return;
    const [done] = this.doing.splice(i, 1);
    done?.deed.end(device, lost);
  }

  /** Where the eyes are: between the cameras of this frame. */
  private look(): void {
    const { cameras } = this.viewer.stage.renderer.xr.getCamera();
    const [a, b] = cameras;
    if (!a) return;
    this.eye.copy(a.position);
    this.turned.copy(a.quaternion);
    if (b) {
      this.eye.lerp(b.position, 0.5);
      this.turned.slerp(b.quaternion, 0.5);
    }
    this.ahead.set(0, 0, -1).applyQuaternion(this.turned);
    this.head.compose(this.eye, this.turned, this.size.set(1, 1, 1));
  }

  /** Once a frame, before it is drawn. */
  frame(time: number, frame: XRFrame): void {
    const seconds = Math.min(0.1, (time - this.last) / 1000);
    this.last = time;
    this.look();
    this.inputs.read(frame);
    if (!this.begun) {
      this.begun = true;
      this.recentre();
    }
    this.panelHands.step(this.inputs.devices, this.eye, this.ahead, seconds);
    for (let i = 0; i < this.doing.length; i++) {
      const doing = this.doing[i] as Doing;
      doing.deed.move(doing.device, time);
    }
    this.snapTurn();
    this.panel.step(time);
    this.rays.step(this.inputs.devices, this.panelHands);
    this.rigs.emit(time, this.head, this.inputs);
  }

  /** The right stick turns the person by 30 degrees about where they stand. */
  private snapTurn(): void {
    const x = this.inputs.right.stickX;
    if (Math.abs(x) < 0.4) this.snapped = false;
    if (Math.abs(x) < 0.7 || this.snapped) return;
    this.snapped = true;
    this.standing.turn(this.eye, -Math.sign(x) * snap);
    this.panelHands.moved();
  }

  /** Leaves all as it was found but for what was done to the scene. */
  end(): void {
    this.inputs.end();
    for (const end of this.ends) end();
    this.panel.dispose();
    this.rays.dispose();
    if (this.viewer.ui.tool === 'hold') this.viewer.set({ tool: 'select' });
    this.viewer.act({ op: 'model.place', args: this.before }, gestureName('headset-end'));
  }
}
