/** The operations table (contract/operations.json, ADR 0111) as TypeScript sees it. */
import table from '../../../../contract/operations.json';

/** A type of the table: by name, or written out where it is used. */
export type TypeRef = string | TypeSpec;

export interface TypeSpec {
  kind: 'integer' | 'text' | 'boolean' | 'list' | 'choice';
  low?: number;
  high?: number;
  pattern?: string;
  max?: number;
  length?: number;
  of?: TypeRef | string[];
}

export interface OperationSpec {
  args: Record<string, TypeRef>;
  optional?: string[];
  undo: boolean;
  about?: string;
}

export const operations = table.operations as unknown as Record<string, OperationSpec>;
export const types = table.types as unknown as Record<string, TypeSpec>;
export const limits = table.limits;

/** Looks a type up by its name; a type written out is its own answer. */
export function typeOf(ref: TypeRef): TypeSpec {
  if (typeof ref !== 'string') return ref;
  const found = types[ref];
  if (!found) throw new Error(`operations.json names no type "${ref}"`);
  return found;
}
