/** What tests ask of somebody inside: where things are, as plain numbers; world metres. */
import { Vector3 } from 'three';
import { clipFrame, knobOf, sliceFrame, axes } from '@fabrica/scene';
import type { DeviceKind, Viewer } from '@fabrica/scene';
import type { Aim } from './aim';
import type { Headset } from './headset';
import type { Device, Side } from './inputs';

type Both<T> = Record<Side, T>;

export interface Probe {
  eye: number[];
  ahead: number[];
  notice: string;
  /** A room is drawn; not where the person sees their own. */
  walls: boolean;
  /** The guard's level: 0 is the finest. */
  level: number;
  kinds: Both<DeviceKind | undefined>;
  tips: Both<number[]>;
  rays: Both<{ origin: number[]; direction: number[] }>;
  pressed: Both<{ press: boolean; squeeze: boolean }>;
  sticks: Both<[number, number]>;
  /** What a device is at: a structure's name, `clip`, `slice`, `CT`, `floor`. */
  aims: Both<string>;
  standing: { yaw: number; shift: number[] };
  panel: number[];
  /** What the panel's front looks along. */
  facing: number[];
  /** Middle of a command's button, of a page's tab, of the bar. */
  place: (name: string) => number[] | undefined;
  /** Where cuts and slices that are on are taken hold of. */
  knobs: () => number[][];
}

const what = ({ pick, handle, floor, image }: Aim): string => (handle ? handle.kind : pick ? pick.part.name : image ? 'CT' : floor ? 'floor' : '');

export function probe(headset: Headset, viewer: Viewer): Probe {
  const { left, right } = headset.inputs;
  const both = <T>(read: (device: Device) => T): Both<T> => ({ left: read(left), right: read(right) });
  const { mesh } = headset.panel;
  return {
    eye: headset.eye.toArray(), ahead: headset.ahead.toArray(), notice: headset.notice.text, walls: headset.walls, level: headset.care.guard.level,
    kinds: both((d) => (d.tracked ? d.kind : undefined)), tips: both((d) => d.tip.toArray()), rays: both((d) => ({ origin: d.origin.toArray(), direction: d.direction.toArray() })),
    pressed: both((d) => ({ press: d.pressing, squeeze: d.squeezing })), sticks: both((d) => [d.stickX, d.stickY]), aims: both((d) => what(headset.aimer.aims[d.side])),
    standing: { yaw: headset.standing.yaw, shift: headset.standing.shift.toArray() },
    panel: mesh.position.toArray(), facing: new Vector3(0, 0, 1).applyQuaternion(mesh.quaternion).toArray(),
    place: (name) => headset.panel.placeOf(name)?.toArray(), knobs: () => knobs(viewer),
  };
}

function knobs({ session, stage }: Viewer): number[][] {
  const { clips, slices } = session.state;
  const { volume, model } = stage;
  const frames = Object.values(clips).filter((clip) => clip.on).map((clip) => clipFrame(model, clip));
  if (volume) for (const axis of axes) if (slices[axis].on) frames.push(sliceFrame(session.state, axis, volume));
  return frames.map((frame) => knobOf(frame).applyMatrix4(model.root.matrixWorld).toArray());
}
