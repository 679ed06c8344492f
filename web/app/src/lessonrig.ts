/** The rig of somebody at a desk: the camera is the head, the pointer's ray the right device, 36 times a second. */
import { Matrix4, Quaternion, Vector3 } from 'three';
import type { Rig, RigDevice } from '@fabrica/scene';
import type { App } from './app';

const every = 1000 / 36;
/** Where the hand is held beside the eyes, metres: right, down, ahead. */
const hand = new Vector3(0.1, -0.085, -0.22);

/** Calls `on` with a rig 36 times a second; returns what ends it. Silent while somebody is in the headset. */
export function desktopRigs(app: App, on: (rig: Rig) => void): () => void {
  const pane = app.stage.panes.view3d;
  let at: { x: number; y: number; pressed: boolean } | undefined;
  const move = (event: PointerEvent): void => { at = { x: event.clientX, y: event.clientY, pressed: event.buttons > 0 }; };
  const gone = (event: PointerEvent): void => { if (event.type === 'pointerleave' && event.buttons === 0) at = undefined; };
  for (const kind of ['pointermove', 'pointerdown', 'pointerup'] as const) pane.addEventListener(kind, move, { capture: true });
  pane.addEventListener('pointerleave', gone);
  const timer = window.setInterval(() => { if (!app.stage.renderer.xr.isPresenting) on(rigOf(app, at)); }, every);
  return () => {
    clearInterval(timer);
    for (const kind of ['pointermove', 'pointerdown', 'pointerup'] as const) pane.removeEventListener(kind, move, { capture: true });
    pane.removeEventListener('pointerleave', gone);
  };
}

function rigOf(app: App, at: { x: number; y: number; pressed: boolean } | undefined): Rig {
  const { camera } = app.stage;
  camera.updateMatrixWorld();
  const position = camera.getWorldPosition(new Vector3());
  const rotation = camera.getWorldQuaternion(new Quaternion());
  const right = at && pointer(app, at);
  return { time: performance.now(), head: { position: position.toArray(), rotation: rotation.toArray() }, ...(right && { right }) };
}

/** A ray from beside the eyes to what the pointer is on. */
function pointer(app: App, at: { x: number; y: number; pressed: boolean }): RigDevice {
  const { camera, controls } = app.stage;
  const box = app.stage.panes.view3d.getBoundingClientRect();
  const far = new Vector3(((at.x - box.left) / box.width) * 2 - 1, 1 - ((at.y - box.top) / box.height) * 2, 0.5).unproject(camera);
  const eye = camera.getWorldPosition(new Vector3());
  const target = app.stage.pick(at.x, at.y)?.world ?? eye.clone().addScaledVector(far.sub(eye).normalize(), eye.distanceTo(controls.target));
  const from = hand.clone().applyMatrix4(camera.matrixWorld);
  const rotation = new Quaternion().setFromRotationMatrix(new Matrix4().lookAt(from, target, new Vector3(0, 1, 0)));
  return { position: from.toArray(), rotation: rotation.toArray(), pressed: at.pressed ? 1 : 0, trigger: at.pressed ? 1 : 0, squeeze: 0 };
}
