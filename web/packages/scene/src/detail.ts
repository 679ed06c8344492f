/**
 * Coarser versions of structures, made in the browser when somebody may enter a headset: fewer triangles over the
 * same vertices (meshoptimizer), so each costs indices alone. Structure by structure, with pauses between.
 */
import { MeshoptSimplifier } from 'three/examples/jsm/libs/meshopt_simplifier.module.js';
import type { Indices, Part } from './parts';

/** Share of the finest triangles, and how far a surface may move, of the structure's size. */
const levels = [{ share: 0.4, error: 0.01 }, { share: 0.13, error: 0.04 }] as const;
/** Fewer triangles than this are kept. */
const enough = 300;

/** Triangles an eye can be shown at once (ADR 0116). */
export const eyeBudget = 400_000;

type Simplifier = Pick<typeof MeshoptSimplifier, 'simplify'>;

/** The coarser lists of one structure. */
export function coarser(simplifier: Simplifier, fine: Indices, positions: Float32Array): Indices[] {
  const out: Indices[] = [];
  let from: Uint32Array = Uint32Array.from(fine);
  for (const { share, error } of levels) {
    const count = Math.max(3 * enough, 3 * Math.floor((fine.length * share) / 3));
    if (from.length > count) [from] = simplifier.simplify(from, positions, 3, count, error);
    out.push(positions.length / 3 < 65536 ? Uint16Array.from(from) : from);
  }
  return out;
}

/** Gives every part its coarser lists; `pause` is awaited after each, with the share that is done, so that the page stays alive. */
export async function lighten(parts: readonly Part[], pause: (share: number) => Promise<void>): Promise<void> {
  await MeshoptSimplifier.ready;
  for (const [i, part] of parts.entries()) {
    if (part.levels.length > 1) continue;
    const fine = part.levels[0] as Indices;
    part.levels.push(...coarser(MeshoptSimplifier, fine, part.geometry.getAttribute('position').array as Float32Array));
    await pause((i + 1) / parts.length);
  }
}

/** The finest level that keeps within a budget of triangles. */
export function levelWithin(budget: number, count: (level: number) => number): number {
  for (let level = 0; level < levels.length; level++) if (count(level) <= budget) return level;
  return levels.length;
}
