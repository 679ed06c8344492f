/**
 * Where a person's head and hands are, in the room's frame (metres, y up), as WebXR gives it. The headset makes
 * one a frame, the desktop one from its camera and pointer; lessons record them and show them again.
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
  left?: RigDevice;
  right?: RigDevice;
  hands?: { left?: RigJoints; right?: RigJoints };
}

export type DeviceKind = 'controller' | 'hand' | 'pointer';

/** What the two devices are; told before the first sample and when it changes. */
export interface RigKinds { left?: DeviceKind; right?: DeviceKind; space: 'grip' | 'target-ray' }

/** Who gives rigs. Returns what ends it. */
export interface RigSource { listen(on: (rig: Rig, kinds: RigKinds) => void): () => void }
