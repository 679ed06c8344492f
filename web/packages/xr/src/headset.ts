/**
 * Being inside: reads the devices once a frame, lets what is held follow them, and asks in turn who answers a
 * press: the panel, the frames of cuts and slices, the tool in hand, the model, the floor. All that changes the
 * scene goes through the viewer's rows, so a lesson records it and undo takes it back.
 */
import { Matrix4, Quaternion, Vector3 } from 'three';
import type { State } from '@fabrica/contract';
import type { Viewer } from '@fabrica/scene';
import { Aimer } from './aim';
import { Care } from './care';
import { viewCommands } from './commands';
import { gestureName } from './deed';
import type { Deed, Taker } from './deed';
import { Ghosts } from './ghosts';
import { standingAt } from './grab';
import { HandleHold } from './handles';
import { ModelHold, placeModel } from './hold';
import { Inputs } from './inputs';
import type { Device } from './inputs';
import { Notice } from './notice';
import { Panel } from './panel';
import { headingOf, PanelHands } from './panel-hand';
import { Standing } from './place';
import { Rigs } from './rigs';
import { Room } from './room';
import { ToolHand } from './toolhand';
import { Walk } from './walk';

/** The model's middle: this far in front of the person, and this far under the eyes; metres. */
const table = { ahead: 0.75, standing: 0.34, seated: 0.2, low: 0.6, high: 1.7 };
/** A frame where the device does not say its rate, ms. */
const usual = 1000 / 72;

/** Bit of button 4: A or X. */
const summoning = 1 << 4;

/** Was the model ever put somewhere? At a desk it stands at the origin, which in a room is the floor. */
const hasPlace = (model: State['model']): boolean => model.position.some((v) => v !== 0);

interface Doing { deed: Deed; device: Device; squeeze: boolean }

export class Headset {
  readonly inputs: Inputs;
  readonly panel: Panel;
  readonly standing: Standing;
  readonly notice = new Notice();
  readonly aimer: Aimer;
  readonly care: Care;
  readonly eye = new Vector3(0, 1.6, 0);
  readonly ahead = new Vector3(0, 0, -1);
  private readonly head = new Matrix4();
  private readonly turned = new Quaternion();
  private readonly size = new Vector3(1, 1, 1);
  private readonly panelHands: PanelHands;
  private readonly hold: ModelHold;
  private readonly tools: ToolHand;
  private readonly walk: Walk;
  private readonly ghosts: Ghosts;
  private readonly rigs: Rigs;
  private readonly room: Room | undefined;
  private readonly takers: readonly Taker[];
  private readonly doing: Doing[] = [];
  private readonly ends: (() => void)[] = [];
  private readonly before;
  /** A lesson made in a headset has given the model its place in the room: there it stays, and the person comes to it. */
  private readonly placed: boolean;
  private seated = false;
  private summoned = false;
  private last = 0;
  /** Of this frame, handed on as an object: a number that is an argument would be boxed. */
  private readonly tick = { seconds: 0.01 };
  private begun = false;
  /** The scene gave the model no place in the room: a lesson from a desk, or an undo of the placing. */
  private unplaced = false;

  /** `floor`: the reference space the session began with; `walls`: draw a room, as the person sees no other. */
  constructor(private readonly viewer: Viewer, private readonly session: XRSession, floor: XRReferenceSpace, readonly walls: boolean) {
    const { stage } = viewer;
    const { xr } = stage.renderer;
    this.before = viewer.session.state.model;
    this.placed = hasPlace(this.before);
    stage.inside = true;
    this.standing = new Standing(xr, floor);
    this.rigs = new Rigs(viewer.rigs);
    this.aimer = new Aimer(viewer);
    this.care = new Care(stage, session.frameRate ? 1000 / session.frameRate : usual, () => this.say());
    this.panel = new Panel(viewer.commands, () => viewer.notice());
    this.panelHands = new PanelHands(this.panel);
    this.tools = new ToolHand(viewer, this.aimer);
    this.hold = new ModelHold(viewer, (device, squeeze) => squeeze || this.mayHold(device), (device) => this.tap(device));
    this.walk = new Walk(this.standing, this.aimer, this.eye, () => this.moved());
    this.ghosts = new Ghosts(viewer, this.aimer, this.panelHands, this.tools, this.walk);
    this.takers = [this.panelHands, new HandleHold(viewer, this.aimer), this.tools, this.hold, this.walk];
    this.inputs = new Inputs(session, () => xr.getReferenceSpace(), {
      press: (device, squeeze) => this.press(device, squeeze),
      release: (device, squeeze, lost) => this.release(device, squeeze, lost),
      changed: () => this.aimer.forget(),
    });
    stage.scene.add(this.panel.mesh, this.ghosts.group, this.notice.mesh);
    if (walls) {
      this.room = new Room(stage);
      stage.scene.add(this.room.group);
    }
    this.listen();
    this.say();
  }

  private listen(): void {
    const { viewer } = this;
    this.ends.push(viewer.session.watch(({ model }) => {
      this.aimer.version++;
      this.unplaced = !hasPlace(model);
    }));
    this.ends.push(viewer.commands.add(...viewCommands({
      recentre: () => this.recentre(), scaleTo: (scale) => this.scaleTo(scale), scale: () => viewer.stage.model.root.scale.x,
      seat: () => { this.seated = !this.seated; this.recentre(); }, seated: () => this.seated, leave: () => void this.session.end(),
    })));
    if (viewer.ui.tool === 'select') viewer.set({ tool: 'hold' });
  }

  /** What is always in sight, and what the guard took away. */
  private say(): void {
    const { said } = this.care;
    this.notice.say(said === '' ? this.viewer.notice() : `${this.viewer.notice()} · ${said}`);
  }

  /** Trigger or pinch holds the model with the tool for it, where it is; a second hand wherever it is. */
  private mayHold(device: Device): boolean {
    if (this.viewer.ui.tool !== 'hold') return false;
    return this.hold.held || this.aimer.look(device).pick !== undefined;
  }

  /** Pressed and let go on the spot: the structure is picked. */
  private tap(device: Device): void {
    const { pick } = this.aimer.look(device);
    if (pick) this.tools.select(pick);
  }

  /** The model before the person, upright, its front to them, at a height that suits; the panel beside it. One step of undo. */
  recentre(): void {
    const place = this.ahead.clone().setY(0).normalize().multiplyScalar(table.ahead).add(this.eye);
    place.y = Math.min(table.high, Math.max(table.low, this.eye.y - (this.seated ? table.seated : table.standing)));
    const { model } = this.viewer.stage;
    placeModel(this.viewer, standingAt(model.middle, place, this.hold.placement().scale, headingOf(this.ahead)), gestureName('recentre'));
    this.panelHands.bring(this.eye, this.ahead);
  }

  /** A model without a place would lie at the feet. Where an undo took it, that is made again, so that redo is kept. */
  private placeAgain(): void {
    const { session } = this.viewer;
    if (session.rows[session.rows.length - 1]?.undoes !== undefined) session.redo();
    if (!hasPlace(session.state.model)) this.recentre();
    this.unplaced = false;
  }

  /** Scales about the model's middle. */
  private scaleTo(scale: number): void {
    const { root, middle } = this.viewer.stage.model;
    const centre = middle.clone().applyMatrix4(root.matrixWorld);
    const position = middle.clone().multiplyScalar(-scale).applyQuaternion(root.quaternion).add(centre);
    placeModel(this.viewer, { position, rotation: root.quaternion.clone(), scale }, gestureName('scale'));
  }

  private moved(): void {
    this.aimer.version++;
    this.panelHands.moved();
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
    this.aimer.version++;
  }

  /** Where the eyes are: between the cameras of this frame. */
  private look(): void {
    const { cameras } = this.viewer.stage.renderer.xr.getCamera();
    const a = cameras[0];
    const b = cameras[1];
    if (!a) return;
    this.eye.copy(a.position);
    this.turned.copy(a.quaternion);
    if (b) {
      this.eye.lerp(b.position, 0.5);
      this.turned.slerp(b.quaternion, 0.5);
    }
    this.ahead.set(0, 0, -1).applyQuaternion(this.turned);
    this.head.compose(this.eye, this.turned, this.size);
  }

  /** Once a frame, before it is drawn. */
  frame(time: number, frame: XRFrame): void {
    this.tick.seconds = Math.min(0.1, (time - this.last) / 1000);
    this.last = time;
    this.look();
    this.inputs.read(frame);
    if (!this.begun) {
      this.begun = true;
      if (this.placed) this.panelHands.bring(this.eye, this.ahead);
      else this.recentre();
    }
    if (this.unplaced) this.placeAgain();
    const { devices } = this.inputs;
    this.panelHands.step(devices, this.eye, this.ahead, this.tick);
    for (let i = 0; i < this.doing.length; i++) {
      const doing = this.doing[i] as Doing;
      doing.deed.move(doing.device, time);
    }
    for (let i = 0; i < devices.length; i++) this.aimer.step(devices[i] as Device, this.panelHands.busy[(devices[i] as Device).side] || this.holds(devices[i] as Device), time);
    this.walk.step(devices, time);
    this.summon();
    this.panel.step(time);
    this.ghosts.step(devices);
    this.notice.follow(this.head, this.tick);
    this.room?.step();
    this.viewer.stage.model.sort(this.eye);
    this.rigs.emit(time, this.head, this.inputs);
    this.care.step(time, frame);
  }

  /** A or X, pressed anew, bring the panel. */
  private summon(): void {
    const now = ((this.inputs.left.buttons | this.inputs.right.buttons) & summoning) !== 0;
    if (now && !this.summoned) this.panelHands.bring(this.eye, this.ahead);
    this.summoned = now;
  }

  /** Something is in this hand: what its ray meets does not matter. The pen is not held but used. */
  private holds(device: Device): boolean {
    if (this.tools.strokes.size > 0) return false;
    for (let i = 0; i < this.doing.length; i++) if (this.doing[i]?.device === device) return true;
    return false;
  }

  /** Leaves all as it was found but for what was done to the scene. */
  end(): void {
    this.inputs.end();
    this.walk.end();
    for (const end of this.ends) end();
    this.panel.dispose();
    this.ghosts.dispose();
    this.notice.dispose();
    this.room?.dispose();
    this.care.end();
    this.viewer.stage.inside = false;
    if (this.viewer.ui.tool === 'hold') this.viewer.set({ tool: 'select' });
    if (!this.placed) this.viewer.act({ op: 'model.place', args: this.before }, gestureName('headset-end'));
  }
}
