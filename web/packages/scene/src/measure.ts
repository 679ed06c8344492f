/** Numbers of measures, from points in 0.1 mm as scanned. */
import type { Measure, Point } from '@fabrica/contract';

const minus = (a: Point, b: Point): Point => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const dot = (a: Point, b: Point): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const length = (a: Point): number => Math.sqrt(dot(a, a));

/** mm between two points. */
export const distanceMm = (a: Point, b: Point): number => length(minus(a, b)) / 10;

/** Degrees at `vertex`; 0 where a side has no length. */
export function angleDeg(a: Point, vertex: Point, b: Point): number {
  const u = minus(a, vertex);
  const v = minus(b, vertex);
  const sides = length(u) * length(v);
  if (sides === 0) return 0;
  return (Math.acos(Math.min(1, Math.max(-1, dot(u, v) / sides))) * 180) / Math.PI;
}

/** What a measure says: value and unit; undefined where points are missing. `volumeMl` of its structures. */
export function measured(measure: Measure, volumeMl: (id: number) => number | undefined): { value: number; unit: string } | undefined {
  const [a, b, c] = measure.points;
  if (measure.kind === 'volume') {
    const known = measure.ids.map(volumeMl).filter((v): v is number => v !== undefined);
    return known.length > 0 ? { value: known.reduce((x, y) => x + y, 0), unit: 'ml' } : undefined;
  }
  if (!a || !b) return undefined;
  if (measure.kind === 'angle') return c ? { value: angleDeg(a, b, c), unit: '°' } : undefined;
  if (measure.kind === 'height') return { value: Math.abs(a[2] - b[2]) / 10, unit: 'mm' };
  return { value: distanceMm(a, b), unit: 'mm' };
}

/** As it is shown: "23.4 mm", "101 ml". */
export const said = ({ value, unit }: { value: number; unit: string }): string =>
  `${value >= 100 && unit === 'ml' ? value.toFixed(0) : value.toFixed(1)}${unit === '°' ? '' : ' '}${unit}`;
