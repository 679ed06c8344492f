/** Entering and leaving the headset; between them, `Headset` has the frames. */
import type { Viewer } from '@fabrica/scene';
import { Headset } from './headset';
import { probe } from './probe';
import type { Probe } from './probe';

export type Mode = 'immersive-vr' | 'immersive-ar';

const optional = ['local-floor', 'hand-tracking'];

/** What the page's picture had and gets back. */
function keep(viewer: Viewer): () => void {
  const { stage } = viewer;
  const { renderer, camera } = stage;
  const pose = camera.matrix.clone();
  const { near, far } = camera;
  return () => {
    renderer.setAnimationLoop(null);
    renderer.xr.enabled = false;
    renderer.autoClear = false;
    pose.decompose(camera.position, camera.quaternion, camera.scale);
    Object.assign(camera, { near, far });
  };
}

/** Enters the headset; resolves when the person left it. Throws what the device says if it refuses. `inside`: told how to look at the person inside, then that nobody is. */
export async function enter(viewer: Viewer, mode: Mode = 'immersive-vr', inside: (look: (() => Probe) | undefined) => void = () => undefined): Promise<void> {
  const { xr: system } = navigator;
  if (!system) throw new Error('this browser has no WebXR');
  const session = await system.requestSession(mode, { optionalFeatures: optional });
  const { stage } = viewer;
  const { renderer } = stage;
  const floor = session.enabledFeatures === undefined || session.enabledFeatures.includes('local-floor');
  renderer.xr.enabled = true;
  renderer.xr.setReferenceSpaceType(floor ? 'local-floor' : 'local');
  const restore = keep(viewer);
  await renderer.xr.setSession(session);
  const space = renderer.xr.getReferenceSpace();
  if (!space) throw new Error('the headset gave no reference space');
  const headset = new Headset(viewer, session, space, session.environmentBlendMode === undefined || session.environmentBlendMode === 'opaque');
  if (!floor) headset.standing.raise(1.6);
  renderer.setClearColor('#000000', 0);
  inside(() => probe(headset, viewer));
  stage.camera.near = 0.03;
  stage.camera.far = 20;
  renderer.autoClear = true;
  await new Promise<void>((resolve) => {
    session.addEventListener('end', () => resolve(), { once: true });
    stage.canvas.addEventListener('webglcontextlost', () => void session.end().catch(() => undefined), { once: true }); // nothing can be shown: back to the page, which says so
    renderer.setAnimationLoop((time, frame?: XRFrame) => {
      if (renderer.getContext().isContextLost()) return;
      if (frame) headset.frame(time, frame);
      renderer.render(stage.scene, stage.camera);
    });
  });
  restore();
  headset.end();
  inside(undefined);
  stage.apply(viewer.session.state);
}
