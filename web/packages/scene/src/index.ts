/** The scene: structures, slices, cuts, picking and measures of one twin (ADR 0110). */
export { Stage, presets } from './stage';
export type { Panes, Preset } from './stage';
export { Labels, Volume } from './volume';
export type { LevelInfo } from './volume';
export { axes, axisIndex, crosshair, paneAt, patientAt, screenOf, slicePlace } from './slices';
export type { Flat } from './slices';
export type { Pick } from './pick';
export type { Part } from './model';
export { angleDeg, distanceMm, measured, said } from './measure';
export { directionOf, patientFromScene, sceneFromPatient, sceneOf, sceneOfMm, tenthsOf, unitsOf, whole } from './space';
export { Commands } from './command';
export type { ButtonCommand, Command, SliderCommand, TextCommand } from './command';
export { RigHub } from './rig';
export type { DeviceKind, Rig, RigDevice, RigJoints, RigKinds, RigListener, RigPose, RigSource } from './rig';
export type { Pending, Tool, Viewer } from './viewer';
