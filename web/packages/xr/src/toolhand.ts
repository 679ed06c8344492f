/** Tools in a hand: at the tip where it touches the model, by the ray elsewhere; the pen draws as long as it is pressed. */
import { PenStroke, addLabel, addPoint, moveSlices, tenthsOf, useTool } from '@fabrica/scene';
import type { Pick, Viewer } from '@fabrica/scene';
import type { Aimer } from './aim';
import { gestureName } from './deed';
import type { Deed, Taker } from './deed';
import type { Device } from './inputs';

const done: Deed = { move: () => undefined, end: () => undefined };

export class ToolHand implements Taker {
  /** Strokes under way, to be drawn. */
  readonly strokes = new Set<PenStroke>();

  constructor(private readonly viewer: Viewer, private readonly aimer: Aimer) {}

  take(device: Device, squeeze: boolean): Deed | undefined {
    const { tool } = this.viewer.ui;
    if (squeeze || tool === 'hold') return undefined;
    const { pick, image } = this.aimer.look(device);
    if (image && (tool === 'distance' || tool === 'angle')) {
      const { root } = this.viewer.stage.model;
      addPoint(this.viewer, tenthsOf(root.worldToLocal(image.clone())), undefined);
      device.pulse(0.5, 20);
      return done;
    }
    if (!pick) return tool === 'select' ? this.clear() : undefined;
    device.pulse(0.5, 20);
    if (tool === 'pen') return this.draw(pick);
    if (tool === 'select') this.select(pick);
    else useTool(this.viewer, pick, (at) => addLabel(this.viewer, at, this.viewer.nameOf(at.part.id)));
    return done;
  }

  /** A press on nothing selects nothing; the floor may still have it. */
  private clear(): undefined {
    this.viewer.select(undefined);
    return undefined;
  }

  select(pick: Pick): void {
    this.viewer.select(pick.part.id, tenthsOf(pick.patient));
    const { slices } = this.viewer.session.state;
    if (slices.axial.on || slices.coronal.on || slices.sagittal.on) moveSlices(this.viewer, tenthsOf(pick.patient), gestureName('pick'));
  }

  private draw(first: Pick): Deed {
    const stroke = new PenStroke(this.viewer, first);
    this.strokes.add(stroke);
    return {
      move: (device) => {
        const { pick } = this.aimer.look(device);
        stroke.add(pick);
      },
      end: () => {
        this.strokes.delete(stroke);
        stroke.finish();
      },
    };
  }
}
