/** Pointer work in the 3D pane: select, measure, mark, and the clip plane's handle. */
import { addLabel, directionOf, moveSlices, PenStroke, sceneOf, tenthsOf, useTool } from '@fabrica/scene';
import type { Pick } from '@fabrica/scene';
import type { App } from './app';
import { askText } from './dialogs';

/** A press that moves less than this is a click, CSS pixels. */
const still = 5;
async function askLabel(app: App, pick: Pick): Promise<void> {
  const text = await askText('Label', app.nameOf(pick.part.id));
  if (text) addLabel(app, pick, text);
}

function clicked(app: App, event: PointerEvent): void {
  const pick = app.stage.pick(event.clientX, event.clientY);
  const { tool } = app.ui;
  if (!pick) {
    if (tool === 'select') app.select(undefined);
    return;
  }
  if (tool === 'select') {
    const point = tenthsOf(pick.patient);
    app.select(pick.part.id, point);
    if (app.ui.layout !== 'model' || Object.values(app.state.slices).some((s) => s.on)) moveSlices(app, point, `pick-${performance.now()}`);
  }
  useTool(app, pick, (at) => void askLabel(app, at));
}

/** The pen: from press to release, one stroke on one structure. */
function drawStroke(app: App, pane: HTMLElement, down: PointerEvent): void {
  const first = app.stage.pick(down.clientX, down.clientY);
  if (!first) return;
  const stroke = new PenStroke(app, first);
  app.stage.controls.enabled = false;
  pane.setPointerCapture(down.pointerId);
  const move = (event: PointerEvent): void => stroke.add(app.stage.pick(event.clientX, event.clientY));
  const up = (): void => {
    pane.removeEventListener('pointermove', move);
    app.stage.controls.enabled = true;
    stroke.finish();
  };
  pane.addEventListener('pointermove', move);
  pane.addEventListener('pointerup', up, { once: true });
  pane.addEventListener('pointercancel', up, { once: true });
}

/** Moves a clip plane along its normal by screen pixels. */
function dragHandle(app: App, plane: number, down: PointerEvent): void {
  const clip = app.state.clips[plane];
  if (!clip) return;
  const { stage } = app;
  const gesture = `clip-${performance.now()}`;
  const from = sceneOf(clip.point);
  const normal = directionOf(clip.normal);
  const at = stage.project(from.clone().applyMatrix4(stage.model.root.matrixWorld));
  const to = stage.project(from.clone().addScaledVector(normal, 0.05).applyMatrix4(stage.model.root.matrixWorld));
  if (!at || !to) return;
  let way = { x: to.x - at.x, y: to.y - at.y };
  if (Math.hypot(way.x, way.y) < 12) way = { x: 0, y: -60 }; // seen along its normal: up is out
  const square = way.x ** 2 + way.y ** 2;
  stage.controls.enabled = false;
  const move = (event: PointerEvent): void => {
    const share = ((event.clientX - down.clientX) * way.x + (event.clientY - down.clientY) * way.y) / square;
    const point = tenthsOf(from.clone().addScaledVector(normal, share * 0.05));
    app.act({ op: 'clip.set', args: { plane, on: true, point, normal: clip.normal } }, gesture);
  };
  const up = (): void => {
    removeEventListener('pointermove', move);
    stage.controls.enabled = true;
  };
  addEventListener('pointermove', move);
  addEventListener('pointerup', up, { once: true });
  addEventListener('pointercancel', up, { once: true });
}

/** Moves a clip plane by a step along its normal, mm; for keys. */
export function nudgeClip(app: App, plane: number, mm: number): void {
  const clip = app.state.clips[plane];
  if (!clip) return;
  const point = tenthsOf(sceneOf(clip.point).addScaledVector(directionOf(clip.normal), mm / 1000));
  app.act({ op: 'clip.set', args: { plane, on: clip.on, point, normal: clip.normal } });
}

/** Listens to the 3D pane. `overlay`: the SVG that holds the handles. */
export function modelTools(app: App, pane: HTMLElement, overlay: SVGElement): void {
  let press: { x: number; y: number; id: number } | undefined;
  pane.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    if (app.ui.tool === 'pen' && event.isPrimary) drawStroke(app, pane, event);
    press = event.isPrimary ? { x: event.clientX, y: event.clientY, id: event.pointerId } : undefined;
  }, { capture: true });
  pane.addEventListener('pointerup', (event) => {
    if (!press || press.id !== event.pointerId || app.ui.tool === 'pen') return;
    if (Math.hypot(event.clientX - press.x, event.clientY - press.y) < still) clicked(app, event);
    press = undefined;
  });
  overlay.addEventListener('pointerdown', (event) => {
    const grip = (event.target as Element).closest<SVGElement>('.handle');
    if (!grip) return;
    event.preventDefault();
    event.stopPropagation();
    dragHandle(app, Number(grip.dataset['plane']), event);
  });
  overlay.addEventListener('keydown', (event) => {
    const grip = (event.target as Element).closest<SVGElement>('.handle');
    const step = event.key === 'ArrowUp' || event.key === 'ArrowRight' ? 2 : event.key === 'ArrowDown' || event.key === 'ArrowLeft' ? -2 : 0;
    if (!grip || step === 0) return;
    event.preventDefault();
    event.stopPropagation();
    nudgeClip(app, Number(grip.dataset['plane']), step);
  });
}

