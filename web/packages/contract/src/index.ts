/** The scene contract: types, validator, reducer, undo, hash and session (ADR 0110, 0111). */
export * from './types';
export { RowError, validate } from './validate';
export { apply } from './reduce';
export { readState } from './check';
export { differences, layered } from './layer';
export { start, structureOf, untouched } from './state';
export { inverse } from './undo';
export { canonical, hash } from './hash';
export { Session } from './session';
export { limits, operations } from './table';
