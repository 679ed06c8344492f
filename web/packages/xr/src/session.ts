/** WebXR: the model at table height, held by one hand or two. */
import type { Session } from '@fabrica/contract';
import type { Stage } from '@fabrica/scene';

/** Enters immersive VR. */
export async function enter(stage: Stage, _session: Session): Promise<void> {
  const xr = navigator.xr;
  if (!xr) throw new Error('no headset');
  await stage.renderer.xr.setSession(await xr.requestSession('immersive-vr', { optionalFeatures: ['local-floor', 'hand-tracking'] }));
}
