/** What page and headset share: the scene, its picture, and the viewer's own state (the tool in hand, the selection). */
import type { Change, Point, Rgb, Session } from '@fabrica/contract';
import type { Commands } from './command';
import type { RigHub } from './rig';
import type { Stage } from './stage';

export type Tool = 'hold' | 'select' | 'distance' | 'angle' | 'pen' | 'arrow' | 'label';

/** A point of a measure or arrow that is not finished, on a structure or on the CT. */
export interface Pending { point: Point; id: number | undefined }

export interface Viewer {
  readonly session: Session;
  readonly stage: Stage;
  readonly commands: Commands;
  readonly rigs: RigHub;
  readonly ui: { readonly tool: Tool; readonly pending: Pending[]; readonly colour: Rgb; readonly selected: number | undefined };
  /** Makes one row; false, and said to the person, where it is refused. Rows of one `gesture` are one step of undo. */
  act(change: Change, gesture?: string): boolean;
  set(patch: { tool?: Tool; pending?: Pending[]; selected?: number | undefined }): void;
  /** `at`: the place on it that was pointed at, if one was. */
  select(id: number | undefined, at?: Point): void;
  /** A name for a measure or annotation, unused so far. */
  name(kind: string): string;
  /** What a structure is called; `CT` for none. */
  nameOf(id: number | undefined): string;
  /** What must always be in sight: that this is no diagnosis, and what was not segmented. */
  notice(): string;
}
