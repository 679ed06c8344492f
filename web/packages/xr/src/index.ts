/** The headset (ADR 0116). Fetched when somebody enters it. */
export { enter } from './session';
export type { Mode } from './session';
export type { Probe } from './probe';
