/** Rows from outside are held against the table: unknown names and limits are refused. */
import { limits, operations, typeOf } from './table';
import type { TypeRef, TypeSpec } from './table';
import type { Change } from './types';

/** Why a row was refused; `field` is the path within the row, as `args.ids[3]`. */
export class RowError extends Error {
  constructor(readonly field: string, reason: string) {
    super(`${field}: ${reason}`);
    this.name = 'RowError';
  }
}

type Check = (value: unknown, spec: TypeSpec, field: string) => void;

function checkInteger(value: unknown, spec: TypeSpec, field: string): void {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new RowError(field, 'not an integer');
  const low = spec.low ?? -Infinity;
  const high = spec.high ?? Infinity;
  if (value < low || value > high) throw new RowError(field, `${value} is not within ${low} to ${high}`);
}

/** True for a lone half of a surrogate pair or U+0000, which no row may hold. */
function hasBadCharacter(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code === 0 || (code >= 0xd800 && code <= 0xdfff)) return true;
  }
  return false;
}

function checkText(value: unknown, spec: TypeSpec, field: string): void {
  if (typeof value !== 'string') throw new RowError(field, 'not a text');
  if (spec.max !== undefined && [...value].length > spec.max) throw new RowError(field, `longer than ${spec.max}`);
  if (spec.pattern && !new RegExp(spec.pattern).test(value)) throw new RowError(field, `does not match ${spec.pattern}`);
  if (hasBadCharacter(value)) throw new RowError(field, 'holds a character no text may hold');
}

function checkList(value: unknown, spec: TypeSpec, field: string): void {
  if (!Array.isArray(value)) throw new RowError(field, 'not a list');
  if (spec.length !== undefined && value.length !== spec.length) throw new RowError(field, `has ${value.length} values, not ${spec.length}`);
  if (spec.max !== undefined && value.length > spec.max) throw new RowError(field, `has ${value.length} values, more than ${spec.max}`);
  value.forEach((item, i) => checkValue(item, spec.of as TypeRef, `${field}[${i}]`));
}

const checks: Record<TypeSpec['kind'], Check> = {
  integer: checkInteger,
  text: checkText,
  list: checkList,
  boolean: (value, _spec, field) => {
    if (typeof value !== 'boolean') throw new RowError(field, 'not true or false');
  },
  choice: (value, spec, field) => {
    if (!(spec.of as string[]).includes(value as string)) throw new RowError(field, `not one of ${(spec.of as string[]).join(', ')}`);
  },
};

function checkValue(value: unknown, ref: TypeRef, field: string): void {
  const spec = typeOf(ref);
  checks[spec.kind](value, spec, field);
}

/** Throws a RowError unless `row` is an operation of the table with arguments within limits. */
export function validate(row: unknown): asserts row is Change {
  if (typeof row !== 'object' || row === null) throw new RowError('row', 'not an object');
  const { op, args } = row as { op?: unknown; args?: unknown };
  const spec = typeof op === 'string' && Object.hasOwn(operations, op) ? operations[op] : undefined;
  if (!spec) throw new RowError('op', `unknown operation ${JSON.stringify(op)}`);
  if (typeof args !== 'object' || args === null || Array.isArray(args)) throw new RowError('args', 'not an object');
  const given = args as Record<string, unknown>;
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(spec.args, name)) throw new RowError(`args.${name}`, 'unknown argument');
  }
  for (const [name, type] of Object.entries(spec.args)) {
    if (Object.hasOwn(given, name)) checkValue(given[name], type, `args.${name}`);
    else if (!spec.optional?.includes(name)) throw new RowError(`args.${name}`, 'missing');
  }
  if (JSON.stringify(row).length > limits.row_bytes) throw new RowError('row', `longer than ${limits.row_bytes} bytes`);
}
