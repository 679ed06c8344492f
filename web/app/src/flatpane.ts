/** A flat slice: pointer, wheel and touch; its head with position, HU and label under the pointer. */
import { addPoint, axisIndex, patientAt, sceneFromPatient, tenthsOf, whole } from '@fabrica/scene';
import type { Axis, Point } from '@fabrica/contract';
import type { Vector3 } from 'three';
import type { App } from './app';
import { h, iconButton, pressed, svg } from './dom';

const title: Record<Axis, string> = { axial: 'Axial', coronal: 'Coronal', sagittal: 'Sagittal' };
const letters: Record<Axis, [string, string, string, string]> = { axial: ['R', 'L', 'A', 'P'], coronal: ['R', 'L', 'S', 'I'], sagittal: ['A', 'P', 'S', 'I'] };

const tenths = (patient: Vector3): Point => tenthsOf(patient.clone().applyMatrix4(sceneFromPatient));

/** Moves one slice to a place, 0.1 mm; kept in the volume. */
function setSlice(app: App, axis: Axis, at: number, gesture: string): void {
  const { volume } = app.stage;
  if (!volume) return;
  const i = axisIndex[axis];
  const kept = Math.min(Math.max(at, Math.ceil(volume.low.getComponent(i) * 10)), Math.floor(volume.high.getComponent(i) * 10));
  app.act({ op: 'slice.set', args: { axis, on: app.state.slices[axis].on, at: kept === 0 ? 1 : kept } }, gesture);
}

class FlatPane {
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private gesture = '';
  private pinch = 0;

  constructor(private readonly app: App, private readonly axis: Axis, readonly element: HTMLElement, private readonly read: HTMLElement) {
    element.addEventListener('contextmenu', (event) => event.preventDefault());
    element.addEventListener('pointerdown', (event) => this.down(event));
    element.addEventListener('pointermove', (event) => this.move(event));
    element.addEventListener('pointerup', (event) => this.up(event));
    element.addEventListener('pointercancel', (event) => this.up(event));
    element.addEventListener('pointerleave', () => { this.read.textContent = ''; });
    element.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    element.addEventListener('keydown', (event) => this.key(event));
  }

  private patient(event: { clientX: number; clientY: number }): Vector3 {
    const box = this.element.getBoundingClientRect();
    return patientAt(this.app.stage.flats[this.axis], event.clientX - box.left, event.clientY - box.top, box.width, box.height);
  }

  private down(event: PointerEvent): void {
    if ((event.target as Element).closest('button') || !this.app.stage.volume) return;
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.gesture = `flat-${this.axis}-${performance.now()}`;
    this.pinch = this.spread();
    if (this.pointers.size > 1 || event.button !== 0) return;
    const { tool } = this.app.ui;
    if (tool === 'distance' || tool === 'angle') addPoint(this.app, tenths(this.patient(event)), undefined);
    else this.cross(event, true);
  }

  /** Moves the two other slices to the pointer; a press also selects what lies there. */
  private cross(event: PointerEvent, select: boolean): void {
    const patient = this.patient(event);
    const point = tenths(patient);
    for (const other of ['sagittal', 'coronal', 'axial'] as Axis[]) {
      if (other !== this.axis) setSlice(this.app, other, point[axisIndex[other]], this.gesture);
    }
    const label = select ? this.app.stage.labels?.at(patient) : undefined;
    if (label && this.app.byId.has(label)) this.app.select(label, point);
  }

  private spread(): number {
    const [a, b] = [...this.pointers.values()];
    return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  }

  private move(event: PointerEvent): void {
    this.tell(event);
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const dx = event.clientX - last.x;
    const dy = event.clientY - last.y;
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const { stage, state, ui } = this.app;
    const flat = stage.flats[this.axis];
    if (this.pointers.size === 2) {
      const spread = this.spread();
      if (this.pinch > 0 && spread > 0) flat.scale *= this.pinch / spread;
      this.pinch = spread;
      this.pan(dx / 2, dy / 2);
    } else if (event.buttons & 2) {
      const { centre, width } = state.window;
      const step = Math.max(1, width / 300);
      this.app.act({ op: 'window.set', args: { centre: clamp(whole(centre + dy * step), -32768, 32767), width: clamp(whole(width + dx * step), 1, 65535) } }, this.gesture);
    } else if (event.buttons & 4) this.pan(dx, dy);
    else if (event.buttons & 1 && ui.tool === 'select') this.cross(event, false);
  }

  private pan(dx: number, dy: number): void {
    const flat = this.app.stage.flats[this.axis];
    const box = this.element.getBoundingClientRect();
    const moved = patientAt(flat, box.width / 2 - dx, box.height / 2 - dy, box.width, box.height);
    flat.centre.copy(moved);
    this.app.stage.invalidate();
  }

  private up(event: PointerEvent): void { this.pointers.delete(event.pointerId); }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { stage } = this.app;
    if (event.ctrlKey) {
      stage.flats[this.axis].scale *= Math.exp(event.deltaY / 400);
      stage.invalidate();
      return;
    }
    this.step(Math.sign(event.deltaY) * -1, `wheel-${this.axis}-${Math.floor(event.timeStamp / 1000)}`);
  }

  private step(by: number, gesture: string): void {
    const { stage } = this.app;
    if (!stage.volume) return;
    const now = stage.flats[this.axis].centre.getComponent(axisIndex[this.axis]) * 10;
    setSlice(this.app, this.axis, whole(now + by * Math.max(10, stage.volume.spacing * 10)), gesture);
  }

  private key(event: KeyboardEvent): void {
    const by = { ArrowUp: 1, ArrowRight: 1, PageUp: 10, ArrowDown: -1, ArrowLeft: -1, PageDown: -10 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    this.step(by, `key-${this.axis}-${Math.floor(event.timeStamp / 1000)}`);
  }

  /** What is under the pointer: density and structure. */
  private tell(event: PointerEvent): void {
    const { stage } = this.app;
    const patient = this.patient(event);
    const hu = stage.volume?.at(patient);
    const label = stage.labels?.at(patient) ?? 0;
    this.read.textContent = hu === undefined ? '' : `${hu} HU${label ? ` · ${this.app.nameOf(label)}` : ''}`;
  }
}

const clamp = (v: number, low: number, high: number): number => Math.min(high, Math.max(low, v));

/** Makes a pane; returns the area that is drawn in, and its overlay. */
export function flatPane(axis: Axis): { element: HTMLElement; overlay: SVGElement; connect: (app: App) => void } {
  const overlay = svg('svg', { class: 'overlay', 'aria-hidden': 'true' });
  const place = h('span', { class: 'place' });
  const read = h('span', { class: 'reading' });
  const [left, right, top, bottom] = letters[axis];
  const head = h('div', { class: 'pane-head' }, h('span', { class: `pane-name ${axis}` }, title[axis]), place);
  const element = h('div', { class: `pane flat ${axis}`, tabindex: '0', role: 'application', 'aria-label': `${title[axis]} slice; arrow keys move it` });
  element.append(overlay, head, read, h('span', { class: 'side left' }, left), h('span', { class: 'side right' }, right), h('span', { class: 'side top' }, top), h('span', { class: 'side bottom' }, bottom));
  const connect = (app: App): void => {
    const eye = iconButton('slices', `Show the ${axis} slice in the model`, () => {
      const { on, at } = app.state.slices[axis];
      const here = whole(app.stage.flats[axis].centre.getComponent(axisIndex[axis]) * 10);
      app.act({ op: 'slice.set', args: { axis, on: !on, at: at === 0 ? here : at } });
    }, { class: 'small' });
    head.append(eye);
    new FlatPane(app, axis, element, read);
    app.watch(() => {
      place.textContent = app.stage.volume ? `${app.stage.flats[axis].centre.getComponent(axisIndex[axis]).toFixed(1)} mm` : '';
      pressed(eye, app.state.slices[axis].on);
    });
  };
  return { element, overlay, connect };
}
