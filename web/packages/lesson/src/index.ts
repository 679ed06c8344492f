/** Lessons: read, play, record (ADR 0115). */
export { LessonError } from './bytes';
export { cueAt, cuesOf, retimed } from './captions';
export type { Cue } from './captions';
export * from './codec';
export { Container } from './container';
export { EditError, rewrite, whyNot } from './editor';
export type { Edit, Edited, NewVoice } from './editor';
export { Lesson } from './reader';
export type { About, Body, Chapter, Keyframe, Other, Piece } from './reader';
export { fromBytes, fromUrl } from './source';
export type { Source } from './source';
export { Player, rates } from './player';
export type { PlayerEvents, Question, Speaker } from './player';
export { envelope, Recorder } from './recorder';
export type { RecordOptions, RecordPhase, Wire } from './recorder';
export { Figure } from './rig';
export type { Shown, ShownDevice } from './rig';
