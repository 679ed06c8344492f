/** Rows and the scene's state. Units: 0.1 mm LPS, 1/32767, per mille, HU (ADR 0111). */

export type Point = [number, number, number];
export type Quaternion = [number, number, number, number];
export type Rgb = [number, number, number];
export type Axis = 'axial' | 'coronal' | 'sagittal';
export type VolumePreset = 'bone' | 'vessels' | 'soft' | 'lung';
export type MeasureKind = 'distance' | 'angle' | 'volume' | 'height';
export type AnnotationKind = 'stroke' | 'arrow' | 'label';

/** Arguments by operation; `contract.test.ts` holds this against the table. */
export interface Args {
  'structure.show': { ids: number[]; visible: boolean };
  'structure.only': { ids: number[] };
  'structure.fade': { ids: number[]; opacity: number };
  'structure.paint': { ids: number[]; rgb?: Rgb };
  'structure.highlight': { ids: number[]; on: boolean };
  'structure.move': { id: number; offset: Point; turn: Quaternion };
  explode: { amount: number };
  'model.place': { position: Point; rotation: Quaternion; scale: number };
  'clip.set': { plane: number; on: boolean; point: Point; normal: Point };
  'slice.set': { axis: Axis; on: boolean; at: number };
  'window.set': { centre: number; width: number };
  'volume.show': { on: boolean; preset: VolumePreset };
  'measure.add': { name: string; kind: MeasureKind; points: Point[]; ids: number[] };
  'measure.remove': { name: string };
  'annotation.add': {
    name: string; kind: AnnotationKind; points: Point[]; text?: string; rgb: Rgb; width: number;
    id?: number;
  };
  'annotation.remove': { name: string };
  chapter: { title: string };
  'question.ask': { name: string; text: string; ids: number[]; seconds: number; near?: Point; within?: number };
  'question.answer': { name: string; point: Point; id: number; right: boolean; ms: number };
  'scene.reset': Record<string, never>;
}

export type OpName = keyof Args;

/** An operation with its arguments, not yet numbered. */
export type Change = { [K in OpName]: { op: K; args: Args[K] } }[OpName];

/** A row as it is recorded and sent. `t`: microseconds since the session began. */
export type Row = Change & { seq: number; by: string; t: number; undoes?: number };

export interface StructureState {
  visible: boolean;
  opacity: number;
  rgb: Rgb | null;
  highlight: boolean;
  offset: Point;
  turn: Quaternion;
}

export interface ClipState { on: boolean; point: Point; normal: Point }
export interface SliceState { on: boolean; at: number }
export interface Measure { kind: MeasureKind; points: Point[]; ids: number[] }
export type Annotation = Omit<Args['annotation.add'], 'name'>;

export interface State {
  structures: Record<string, StructureState>;
  explode: number;
  model: { position: Point; rotation: Quaternion; scale: number };
  clips: Record<string, ClipState>;
  slices: Record<Axis, SliceState>;
  window: { centre: number; width: number };
  volume: { on: boolean; preset: VolumePreset };
  measures: Record<string, Measure>;
  annotations: Record<string, Annotation>;
  chapter: string | null;
}
