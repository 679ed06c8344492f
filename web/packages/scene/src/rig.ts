/**
 * Where a person's head and hands are, in the room's frame (metres, y up), as WebXR gives it. The headset makes
 * one a frame, the desktop one from its camera and pointer; lessons record them and show them again.
 *
 * A rig and all in it is used again for the next frame: who keeps something copies it.
 */

/** Position, metres, and unit quaternion x y z w. */
export interface RigPose { position: [number, number, number]; rotation: [number, number, number, number]; emulated?: boolean }

export interface RigDevice extends RigPose {
  /** Gamepad buttons 0 to 7 that are pressed, as bits. */
  pressed: number;
  /** 0 to 1. */
  trigger: number;
  squeeze: number;
}

/** The 25 joints of WebXR Hand Input in its order: 0 is the wrist. */
export type RigJoints = readonly RigPose[];

export interface Rig {
  /** performance.now() of the frame, ms. */
  time: number;
  head: RigPose;
  left?: RigDevice | undefined;
  right?: RigDevice | undefined;
  hands?: { left?: RigJoints | undefined; right?: RigJoints | undefined } | undefined;
}

export type DeviceKind = 'controller' | 'hand' | 'pointer';

/** What the two devices are; told before the first sample and when it changes. */
export interface RigKinds { left?: DeviceKind | undefined; right?: DeviceKind | undefined; space: 'grip' | 'target-ray' }

export type RigListener = (rig: Rig, kinds: RigKinds) => void;

/** Who gives rigs. Returns what ends it. */
export interface RigSource { listen(on: RigListener): () => void }

/** Passes rigs on to those who listen; the headset feeds it while somebody is inside. */
export class RigHub implements RigSource {
  private readonly listeners: RigListener[] = [];

  listen(on: RigListener): () => void {
    this.listeners.push(on);
    return () => {
      const i = this.listeners.indexOf(on);
      if (i >= 0) this.listeners.splice(i, 1);
    };
  }

  /** Nobody listens: no rig need be made. */
  get idle(): boolean { return this.listeners.length === 0; }

  emit(rig: Rig, kinds: RigKinds): void {
    for (let i = 0; i < this.listeners.length; i++) this.listeners[i]?.(rig, kinds);
  }
}
