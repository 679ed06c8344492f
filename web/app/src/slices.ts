/** The slices brought to a place by a list, a finding or a panel. */
import { sceneOfMm, tenthsOf } from '@fabrica/scene';
import type { App } from './app';

/** Moves the three slices to a point in mm LPS: one step of undo. */
export function goToPoint(app: App, mm: readonly number[], why: string): void {
  const gesture = `${why}-${performance.now()}`;
  const [x, y, z] = tenthsOf(sceneOfMm(mm));
  const { slices } = app.state;
  app.act({ op: 'slice.set', args: { axis: 'sagittal', on: slices.sagittal.on, at: x } }, gesture);
  app.act({ op: 'slice.set', args: { axis: 'coronal', on: slices.coronal.on, at: y } }, gesture);
  app.act({ op: 'slice.set', args: { axis: 'axial', on: slices.axial.on, at: z } }, gesture);
}
