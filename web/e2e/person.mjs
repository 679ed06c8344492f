/** A person in an emulated headset (iwer): moves head and hands in the room, and waits until the page has seen it. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Puts a headset into every page of a context. */
export async function emulate(context) {
  await context.addInitScript({ path: require.resolve('iwer/build/iwer.min.js') });
  await context.addInitScript(() => {
    const device = new window.IWER.XRDevice(window.IWER.metaQuest3);
    device.installRuntime({ forceInstall: true });
    device.stereoEnabled = false;
    device.position.set(0, 1.6, 0);
    window.device = device;
    // iwer 2.5.0 takes the transform for its matrix
    const { getOffsetReferenceSpace: own } = window.XRReferenceSpace.prototype;
    window.XRReferenceSpace.prototype.getOffsetReferenceSpace = function offset(by) { return own.call(this, by.matrix); };
  });
}

const sub = (a, b) => a.map((v, i) => v - b[i]);
const add = (a, b, k = 1) => a.map((v, i) => v + k * b[i]);
const unit = (a) => a.map((v) => v / Math.hypot(...a));

export class Person {
  hands = false;

  constructor(page) { this.page = page; }

  probe() { return this.page.evaluate(() => JSON.parse(JSON.stringify(window.fabrica.inside()))); }

  /** Waits until `test`, run in the page, holds. */
  async until(test, argument) {
    await this.page.waitForFunction(test, argument, { timeout: 30000 });
  }

  /** Puts a hand at a place of the room, pointing along `way`; returns when the page has seen it. */
  async put(side, place, way) {
    await this.page.evaluate(([s, p, d, hands]) => {
      const { standing } = window.fabrica.inside();
      const turn = ([x, y, z], a) => [Math.cos(a) * x + Math.sin(a) * z, y, -Math.sin(a) * x + Math.cos(a) * z];
      const at = turn(p.map((v, i) => v - standing.shift[i]), -standing.yaw);
      const w = turn(d, -standing.yaw);
      const n = Math.hypot(...w);
      const [yaw, pitch] = [Math.atan2(-w[0], -w[2]), Math.asin(w[1] / n)];
      const [cy, sy, cp, sp] = [Math.cos(yaw / 2), Math.sin(yaw / 2), Math.cos(pitch / 2), Math.sin(pitch / 2)];
      const device = (hands ? window.device.hands : window.device.controllers)[s];
      device.position.set(...at);
      device.quaternion.set(cy * sp, sy * cp, -sy * sp, cy * cp);
    }, [side, place, way, this.hands]);
    await this.until(([s, p, d]) => {
      const ray = window.fabrica.inside()?.rays[s];
      return ray && Math.hypot(...ray.origin.map((v, i) => v - p[i])) < 0.002 && Math.hypot(...ray.direction.map((v, i) => v - d[i])) < 0.01;
    }, [side, place, unit(way)]);
  }

  async ray(side) { return (await this.probe()).rays[side]; }

  /** Moves a hand there; `turn`: to the left, radians. */
  reach(side, place, turn = 0) { return this.put(side, place, [-Math.sin(turn), 0, -Math.cos(turn)]); }

  async look(side, way) { return this.put(side, (await this.ray(side)).origin, way); }

  async nudge(side, by) {
    const { origin, direction } = await this.ray(side);
    return this.put(side, add(origin, by), direction);
  }

  /** From beside the body, the ray on a place of the room. */
  async aim(side, place) {
    const { eye } = await this.probe();
    const from = add(eye, [side === 'left' ? -0.18 : 0.18, -0.22, -0.12]);
    await this.put(side, from, sub(place, from));
  }

  /** A controller's tip on a place, pointing ahead. */
  touch(side, place) { return this.reach(side, add(place, [0, 0, 0.04])); }

  async button(side, id, value, flag) {
    await this.page.evaluate(([s, b, v]) => window.device.controllers[s].updateButtonValue(b, v), [side, id, value]);
    await this.until(([s, f, v]) => { const inside = window.fabrica.inside(); return !inside || inside.pressed[s][f] === (v > 0); }, [side, flag, value]);
  }

  trigger(side, value) { return this.button(side, 'trigger', value, 'press'); }
  squeeze(side, value) { return this.button(side, 'squeeze', value, 'squeeze'); }

  async pinch(side, value) {
    await this.page.evaluate(([s, v]) => window.device.hands[s].updatePinchValue(v), [side, value]);
    await this.until(([s, v]) => { const inside = window.fabrica.inside(); return !inside || inside.pressed[s].press === (v > 0); }, [side, value]);
  }

  async stick(side, x, y) {
    await this.page.evaluate(([s, h, v]) => window.device.controllers[s].updateAxes('thumbstick', h, v), [side, x, y]);
    await this.until(([s, h, v]) => { const [a, b] = window.fabrica.inside().sticks[s]; return Math.abs(a - h) < 0.01 && Math.abs(b - v) < 0.01; }, [side, x, y]);
  }

  /** Trigger, or pinch. */
  act(side, value) { return this.hands ? this.pinch(side, value) : this.trigger(side, value); }

  /** Squeeze, or pinch. */
  grip(side, value) { return this.hands ? this.pinch(side, value) : this.squeeze(side, value); }

  /** Trigger or pinch on a place of the room. */
  async pull(side, place) {
    await this.aim(side, place);
    await this.act(side, 1);
    await this.act(side, 0);
  }

  /** From controllers to hands, and back. */
  async use(mode) {
    await this.page.evaluate((m) => { window.device.primaryInputMode = m; }, mode);
    await this.until((m) => window.fabrica.inside().kinds.left === m && window.fabrica.inside().kinds.right === m, mode);
    this.hands = mode === 'hand';
  }

  /** Of a button or tab of the panel, once the panel, which may be on its way, stands still. */
  async placeOf(name) {
    await this.until((n) => {
      const place = window.fabrica.inside()?.place(n);
      const still = place && window.lastPlace && Math.hypot(...place.map((v, i) => v - window.lastPlace[i])) < 5e-4;
      window.lastPlace = place;
      return still;
    }, name);
    return this.page.evaluate((n) => window.fabrica.inside().place(n), name);
  }

  /** A button or tab of the panel, by ray and trigger or pinch. */
  async press(name) { await this.pull('left', await this.placeOf(name)); }

  /** The same with the tip of the index finger. */
  async poke(side, name) {
    const place = await this.placeOf(name);
    const { facing } = await this.probe();
    const way = facing.map((v) => -v);
    await this.put(side, add(place, facing, 0.3), way);
    const { tips, rays } = await this.probe();
    const offset = sub(tips[side], rays[side].origin);
    for (const depth of [0.05, -0.004, 0.06]) await this.put(side, sub(add(place, facing, depth), offset), way);
  }
}
