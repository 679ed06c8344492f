/**
 * What is seen of the person's own doing: hands or controllers, rays that end where they meet something, what a
 * press would do there, the arc of a throw. All lines are one draw call, all words another. Made anew each frame
 * without garbage; words only when they change.
 */
import { Group, Vector3 } from 'three';
import { angleDeg, distanceMm, inkOf, inks, Lines, said, tenthsOf, Words } from '@fabrica/scene';
import type { Ink, Viewer } from '@fabrica/scene';
import type { Aim, Aimer } from './aim';
import type { Device, Side } from './inputs';
import { sides } from './inputs';
import type { Spot } from './panel';
import type { PanelHands } from './panel-hand';
import type { ToolHand } from './toolhand';
import { arcPoints } from './walk';
import type { Walk } from './walk';

const ink = { skin: inkOf([150, 166, 178]), tool: inkOf([86, 100, 112]), ray: inkOf([120, 226, 216], 0.75), end: inkOf([90, 240, 226]), ring: inkOf([53, 195, 184], 0.9) } as const;
/** Bones by joint numbers of WebXR Hand Input. */
const bones = [0, 1, 1, 2, 2, 3, 3, 4, 0, 5, 5, 6, 6, 7, 7, 8, 8, 9, 0, 10, 10, 11, 11, 12, 12, 13, 13, 14, 0, 15, 15, 16, 16, 17, 17, 18, 18, 19, 0, 20, 20, 21, 21, 22, 22, 23, 23, 24];
const tips = new Set([4, 9, 14, 19, 24]);
const ringPoints = 28;

/** What is said at a device, and of which look of the aimer. */
interface Plate { text: string; look: number }

export class Ghosts {
  readonly group = new Group();
  private readonly lines: Lines;
  private readonly words: Words;
  private readonly a = new Vector3();
  private readonly b = new Vector3();
  private readonly plates: Record<Side, Plate> = { left: { text: '', look: -1 }, right: { text: '', look: -1 } };

  constructor(private readonly viewer: Viewer, private readonly aimer: Aimer, private readonly panel: PanelHands, private readonly tools: ToolHand, private readonly walk: Walk) {
    const table = viewer.stage.model.body?.table.texture;
    if (!table) throw new Error('the model was not read');
    this.lines = new Lines(table, 'true', 256);
    this.words = new Words(table);
    this.group.add(...this.lines.meshes, this.words.mesh);
  }

  /** Once a frame, after aims are known. */
  step(devices: readonly Device[]): void {
    this.lines.clear();
    for (let i = 0; i < devices.length; i++) this.device(devices[i] as Device);
    this.way();
    if (this.viewer.ui.pending.length > 0) this.pending();
    this.lines.flush();
    this.label();
  }

  private device(device: Device): void {
    if (!device.tracked) return;
    if (device.hasJoints) this.hand(device);
    else if (device.kind === 'controller') this.wand(device);
    const aim = this.aimer.aims[device.side];
    if (aim.handle) this.edge(aim);
    if (this.panel.busy[device.side]) this.ray(device, this.panel.spots[device.side], undefined);
    else if (aim.near && aim.pick) this.lines.add(aim.pick.world, aim.pick.world, 0.003, 0.003, ink.end);
    else this.ray(device, undefined, aim);
  }

  private hand(device: Device): void {
    for (let i = 0; i < bones.length; i += 2) {
      const from = bones[i] as number;
      const to = bones[i + 1] as number;
      this.joint(device, from, this.a);
      this.joint(device, to, this.b);
      this.lines.add(this.a, this.b, from === 0 ? 0.012 : 0.0085, tips.has(to) ? 0.006 : 0.008, ink.skin);
    }
  }

  private joint(device: Device, i: number, out: Vector3): void {
    out.fromArray(device.joints, 16 * i + 12);
  }

  /** A controller: a handle and a pointed end. */
  private wand(device: Device): void {
    this.a.copy(device.origin).addScaledVector(device.direction, -0.02);
    this.lines.add(device.grip.position, this.a, 0.013, 0.0155, ink.tool);
    this.lines.add(this.a, device.tip, 0.011, 0.0015, ink.skin);
  }

  /** As long as it is to the panel, or to what it is at. */
  private ray(device: Device, spot: Spot | undefined, aim: Aim | undefined): void {
    const length = spot ? spot.depth : aim ? aim.length : 0;
    const met = aim !== undefined && (aim.pick !== undefined || aim.image !== undefined);
    if (length <= 0) return;
    this.a.copy(device.origin).addScaledVector(device.direction, 0.045);
    this.b.copy(device.origin).addScaledVector(device.direction, Math.max(0.05, length));
    this.lines.add(this.a, this.b, 0.0016, 0.0006, ink.ray);
    if (met) this.lines.add(this.b, this.b, 0.0045, 0.0045, ink.end);
  }

  /** The frame that a press would take hold of. */
  private edge(aim: Aim): void {
    if (!aim.handle) return;
    const { root } = this.viewer.stage.model;
    const { corners } = aim.handle;
    for (let i = 0; i < 4; i++) {
      this.a.copy(corners[i] as Vector3).applyMatrix4(root.matrixWorld);
      this.b.copy(corners[(i + 1) % 4] as Vector3).applyMatrix4(root.matrixWorld);
      this.lines.add(this.a, this.b, 0.003, 0.003, inks.plain);
    }
  }

  private way(): void {
    const { walk } = this;
    for (let i = 1; i < walk.arcCount && i < arcPoints; i++) this.lines.add(walk.arc[i - 1] as Vector3, walk.arc[i] as Vector3, 0.006, 0.006, ink.ring);
    if (!walk.ringShown) return;
    for (let i = 0; i < ringPoints; i++) {
      const at = (2 * Math.PI * i) / ringPoints;
      const next = (2 * Math.PI * (i + 1)) / ringPoints;
      this.a.set(walk.ring.x + 0.25 * Math.cos(at), 0.012, walk.ring.z + 0.25 * Math.sin(at));
      this.b.set(walk.ring.x + 0.25 * Math.cos(next), 0.012, walk.ring.z + 0.25 * Math.sin(next));
      this.lines.add(this.a, this.b, 0.008, 0.008, ink.ring);
    }
  }

  /** Points of a measure that is not finished, with a line to where the next would be; a stroke under way. */
  private pending(): void {
    const { ui, stage } = this.viewer;
    const pen = this.tools.strokes.size > 0;
    const colour: Ink = pen ? inkOf([...ui.colour]) : inks.measure;
    let last: Vector3 | undefined;
    for (const { point, id } of ui.pending) {
      const at = stage.worldOf(point, id);
      if (!pen) this.lines.add(at, at, 0.003, 0.003, colour);
      if (last) this.lines.add(last, at, 0.0012, 0.0012, colour);
      last = at;
    }
    if (pen || !last) return;
    for (const side of sides) {
      const aim = this.aimer.aims[side];
      const to = aim.pick?.world ?? aim.image;
      if (to) this.lines.add(last, to, 0.0008, 0.0008, colour);
    }
  }

  /** The name of what is under a ray, or what the measure would be. */
  private label(): void {
    let fresh = false;
    for (let i = 0; i < sides.length; i++) {
      const side = sides[i] as Side;
      const plate = this.plates[side];
      const aim = this.aimer.aims[side];
      if (aim.look === plate.look) continue;
      plate.look = aim.look;
      const before = plate.text;
      plate.text = this.textFor(aim);
      if (before !== '' || plate.text !== '') fresh = true;
    }
    if (!fresh) return;
    this.build();
    if (this.words.stale) this.build();
  }

  private build(): void {
    this.words.clear();
    for (let i = 0; i < sides.length; i++) {
      const side = sides[i] as Side;
      const { text } = this.plates[side];
      const aim = this.aimer.aims[side];
      const at = aim.pick?.world ?? aim.image;
      if (text !== '' && at) this.words.add(text, at, 0.8, 'rgba(120, 226, 216, 0.8)');
    }
    this.words.flush();
  }

  private textFor(aim: Aim): string {
    const { ui, stage } = this.viewer;
    const at = aim.pick?.patient ?? (aim.image && stage.model.root.worldToLocal(aim.image.clone()));
    if (!at) return '';
    const [first, second] = ui.pending;
    if (ui.tool === 'distance' && first) return said({ value: distanceMm(first.point, tenthsOf(at)), unit: 'mm' });
    if (ui.tool === 'angle' && first && second) return said({ value: angleDeg(first.point, second.point, tenthsOf(at)), unit: '°' });
    return aim.pick ? this.viewer.nameOf(aim.pick.part.id) : 'CT';
  }

  dispose(): void {
    this.group.removeFromParent();
    this.lines.dispose();
    this.words.dispose();
  }
}
