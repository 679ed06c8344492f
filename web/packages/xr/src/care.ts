/** Acts on what the guard says: takes detail away from the picture, and says so. */
import { eyeBudget, levelWithin } from '@fabrica/scene';
import type { Stage } from '@fabrica/scene';
import { Guard, levels } from './guard';
import type { Level } from './guard';

type ScaledView = XRView & { requestViewportScale?: (scale: number) => void };

export class Care {
  readonly guard: Guard;
  private scale = 1;
  /** What the page had. */
  private readonly before: number;

  /** `due`: ms a frame may take. */
  constructor(private readonly stage: Stage, due: number, private readonly told: () => void) {
    this.guard = new Guard(due);
    this.before = stage.detail;
    this.show(levels[0] as Level);
  }

  get said(): string { return levels[this.guard.level]?.said ?? ''; }

  /** Once a frame. */
  step(time: number, frame: XRFrame): void {
    if (!this.guard.frame(time)) return;
    const level = levels[this.guard.level] as Level;
    this.show(level);
    this.resize(level.scale, frame);
    this.told();
  }

  private show({ foveation, image, detail }: Level): void {
    const { stage } = this;
    const { body } = stage.model;
    stage.renderer.xr.setFoveation(foveation);
    stage.detail = Math.max(detail, this.before, body ? levelWithin(eyeBudget, (level) => body.trianglesAt(level)) : 0);
    stage.image = image;
  }

  /** Draws fewer pixels from the next frame on, where the device lets us. */
  private resize(scale: number, frame: XRFrame): void {
    if (scale === this.scale) return;
    this.scale = scale;
    const space = this.stage.renderer.xr.getReferenceSpace();
    const pose = space && frame.getViewerPose(space);
    for (const view of pose?.views ?? []) (view as ScaledView).requestViewportScale?.(scale);
  }

  /** The page gets its own detail back. */
  end(): void {
    this.stage.detail = this.before;
    this.stage.image = true;
  }
}
