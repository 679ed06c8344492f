/**
 * The headset: the model stands at table height; grip, trigger or pinch holds it. What is done there are the
 * same rows as on the desktop (`model.place`), so a lesson records it. Hands are told apart by handedness,
 * never by index: controllers come and go in any order.
 */
import { BufferGeometry, Color, Line, LineBasicMaterial, Mesh, MeshBasicMaterial, SphereGeometry, Vector3 } from 'three';
import type { Matrix4, XRTargetRaySpace } from 'three';
import type { Quaternion as Turn, Session } from '@fabrica/contract';
import type { Stage } from '@fabrica/scene';
import { byOneHand, byTwoHands, poseOf, standing } from './grab';
import type { Placement, Pose } from './grab';

/** Height of the model's middle above the floor and distance from the person, metres. */
const table = new Vector3(0, 1.05, -0.75);
/** Rows a second while the model is held. */
const rate = 36;
const snap = Math.PI / 6;

interface Hand { space: XRTargetRaySpace; handedness: XRHandedness; held: Pose | undefined; gamepad: Gamepad | undefined; turned: boolean }

const whole = (x: number): number => Math.round(x) + 0;

class Headset {
  private readonly hands: Hand[] = [];
  private from: Placement | undefined;
  private gesture = '';
  private last = 0;
  private readonly before;

  constructor(private readonly stage: Stage, private readonly scene: Session) {
    this.before = scene.state.model;
    for (const i of [0, 1]) this.addHand(i);
  }

  private addHand(index: number): void {
    const space = this.stage.renderer.xr.getController(index);
    const hand: Hand = { space, handedness: 'none', held: undefined, gamepad: undefined, turned: false };
    const ray = new Line(new BufferGeometry().setFromPoints([new Vector3(), new Vector3(0, 0, -0.4)]), new LineBasicMaterial({ color: '#7fe0d6', transparent: true, opacity: 0.7 }));
    space.add(ray, new Mesh(new SphereGeometry(0.012, 12, 8), new MeshBasicMaterial({ color: '#3fd0c2' })));
    space.addEventListener('connected', (event) => {
      hand.handedness = event.data.handedness;
      hand.gamepad = event.data.gamepad;
    });
    space.addEventListener('disconnected', () => this.drop(hand));
    for (const kind of ['selectstart', 'squeezestart'] as const) space.addEventListener(kind, () => this.take(hand));
    for (const kind of ['selectend', 'squeezeend'] as const) space.addEventListener(kind, () => this.drop(hand));
    this.stage.scene.add(space);
    this.hands.push(hand);
  }

  /** The model's placement now, as floats: only rows are rounded. */
  private placement(): Placement {
    const { root } = this.stage.model;
    return { position: root.position.clone(), rotation: root.quaternion.clone(), scale: root.scale.x };
  }

  private take(hand: Hand): void {
    hand.held = poseOf(hand.space.matrixWorld);
    this.begin();
  }

  private drop(hand: Hand): void {
    hand.held = undefined;
    this.begin();
  }

  /** A change of hands starts from where the model is. */
  private begin(): void {
    this.from = this.placement();
    for (const hand of this.hands) if (hand.held) hand.held = poseOf(hand.space.matrixWorld);
    if (!this.hands.some((hand) => hand.held)) this.from = undefined;
    this.gesture = `grab-${performance.now()}`;
  }

  place(to: Placement, gesture: string): void {
    const { position: p, rotation: q } = to;
    const turn = q.clone().normalize().toArray().map((v) => whole(v * 32767)) as Turn;
    const within = (v: number): number => Math.min(100000, Math.max(-100000, whole(v * 10000)));
    this.scene.dispatch({ op: 'model.place', args: { position: [within(p.x), within(p.y), within(p.z)], rotation: turn, scale: Math.min(20000, Math.max(100, whole(to.scale * 1000))) } }, gesture);
  }

  start(): void { this.place(standing(this.stage.model.middle, table, 1), 'headset'); }

  /** Once a frame. */
  step(time: number): void {
    for (const hand of this.hands) this.snapTurn(hand);
    if (!this.from || time - this.last < 1000 / rate) return;
    this.last = time;
    const held = this.hands.filter((hand) => hand.held);
    const now = held.map((hand) => poseOf(hand.space.matrixWorld));
    const [a, b] = held;
    if (a?.held && b?.held && now[0] && now[1]) this.place(byTwoHands(this.from, [a.held, b.held], [now[0], now[1]]), this.gesture);
    else if (a?.held && now[0]) this.place(byOneHand(this.from, a.held, now[0]), this.gesture);
  }

  /** The right stick turns the person by 30 degrees about where they stand. */
  private snapTurn(hand: Hand): void {
    if (hand.handedness !== 'right' || !hand.gamepad) return;
    const x = hand.gamepad.axes[2] ?? 0;
    if (Math.abs(x) < 0.4) hand.turned = false;
    if (Math.abs(x) < 0.7 || hand.turned) return;
    hand.turned = true;
    const { xr } = this.stage.renderer;
    const space = xr.getReferenceSpace();
    if (!space) return;
    const angle = Math.sign(x) * snap;
    const eye = this.stage.camera.getWorldPosition(new Vector3());
    const shifted = eye.clone().setY(0);
    const turned = shifted.clone().applyAxisAngle(new Vector3(0, 1, 0), angle);
    const offset = shifted.sub(turned);
    xr.setReferenceSpace(space.getOffsetReferenceSpace(new XRRigidTransform({ x: offset.x, y: 0, z: offset.z }, { x: 0, y: Math.sin(angle / 2), z: 0, w: Math.cos(angle / 2) })));
  }

  end(): void {
    for (const hand of this.hands) hand.space.removeFromParent();
    this.scene.dispatch({ op: 'model.place', args: this.before }, 'headset-end');
  }
}

/** Enters immersive VR; resolves when the session ended. Throws what the device says if it refuses. */
export async function enter(stage: Stage, scene: Session): Promise<void> {
  const { xr: system } = navigator;
  if (!system) throw new Error('this browser has no WebXR');
  const session = await system.requestSession('immersive-vr', { optionalFeatures: ['local-floor', 'hand-tracking'] });
  const { renderer } = stage;
  renderer.xr.enabled = true;
  renderer.xr.setReferenceSpaceType('local-floor');
  const pose = stage.camera.matrix.clone() as Matrix4;
  await renderer.xr.setSession(session);
  const headset = new Headset(stage, scene);
  headset.start();
  stage.scene.background = new Color('#141c24');
  stage.camera.near = 0.03;
  stage.camera.far = 20;
  renderer.autoClear = true;
  await new Promise<void>((resolve) => {
    session.addEventListener('end', () => resolve(), { once: true });
    renderer.setAnimationLoop((time) => {
      headset.step(time);
      renderer.render(stage.scene, stage.camera);
    });
  });
  renderer.setAnimationLoop(null);
  renderer.xr.enabled = false;
  renderer.autoClear = false;
  stage.scene.background = null;
  pose.decompose(stage.camera.position, stage.camera.quaternion, stage.camera.scale);
  headset.end();
  stage.apply(scene.state);
}
