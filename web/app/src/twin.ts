/** What the manifest says, as the panels need it (docs/formats/case.md). */
import type { Change, Rgb } from '@fabrica/contract';

export interface Finding { code: string; severity: 'error' | 'warning' | 'info' | 'note'; text: string; box_mm?: number[]; structures?: string[] }

export interface Structure {
  value: number;
  name: string;
  display: string;
  code?: { scheme: string; value: string; meaning: string };
  laterality: string;
  tissue: string;
  rgb: Rgb;
  volume_ml: number;
  centroid_mm: [number, number, number];
  confidence: number | null;
  findings?: Finding[];
  mesh?: { triangles: number; closed: boolean; hd95_mm: number; mean_mm: number; volume_ml: number };
}

export interface Angle { deg: number | null; sigma_deg: number | null; why: string | null }

export interface Curve {
  kind: string; cobb_deg: number; sigma_deg: number; upper_end_vertebra: string; lower_end_vertebra: string; apex: string;
  apical_rotation_deg: number | null; convex_side: string; may_continue_above: boolean; may_continue_below: boolean;
}

export interface Endplate { centre_mm: number[]; normal: number[]; front_mm: number[]; middle_mm: number[]; back_mm: number[] }

export interface Vertebra {
  level: string; name: string; measured: boolean; quality?: string; why: string | null; centre_mm?: number[];
  endplate_upper?: Endplate; endplate_lower?: Endplate;
  heights_mm?: { anterior: number; middle: number; posterior: number; sigma: number }; width_mm?: number; depth_mm?: number;
  ratios?: { wedge: number; biconcave: number; crush: number } | null; axial_rotation_deg?: number | null; trabecular_hu?: { mean: number; sd: number } | null;
  canal?: { area_mm2: number; ap_mm: number; transverse_mm: number } | null;
}

export interface Spine {
  notice: string;
  coronal_curves: Curve[];
  largest_coronal_angle?: Angle | null;
  lumbar_lordosis_L1_S1?: Angle | null;
  thoracic_kyphosis_T4_T12?: Angle | null;
  thoracic_kyphosis_T5_T12?: Angle | null;
  sacral_slope?: Angle | null;
  pelvic_tilt?: Angle | null;
  pelvic_incidence?: Angle | null;
  vertebrae: Vertebra[];
}

export interface Manifest {
  notice: string;
  software: { name: string; version: string };
  input: { modality: string; kind: string };
  geometry: { verdict: string; text: string; grid: { size: number[]; spacing_mm: number[] } };
  segmentation: { source: string; notes?: string; model?: { name: string; version: string; limitations?: string[] } | null };
  quality?: { trusted: boolean; calibrated: boolean; scan?: { verdict: string; looks_like: string; reasons: string } | null; findings: Finding[] } | null;
  structures: Structure[];
  not_found?: string[];
  measurements?: { spine?: Spine | null } | null;
}

export interface System { name: string; members: Structure[] }

const spinal = /^(vertebrae|disc|sacrum|spinal|facet|ligamentum|thecal|nerve_root|coccyx)/;
const cardiac = /^(heart|aorta|atri|ventric|pulmonary|myocard|pericard)/;

const covering = new Set(['body_extremities', 'body_trunc', 'fat', 'soft_tissue', 'subcutaneous_fat', 'torso_fat']);

const covers = (s: Pick<Structure, 'name' | 'tissue'>): boolean => s.tissue === 'skin' || covering.has(s.name);

/** Does it wrap the body or fill it up, so that nothing else is seen? The report's picture leaves them out too. `skeletal_muscle` is all that has no name of its own. */
export const wraps = (s: Pick<Structure, 'name' | 'tissue'>): boolean => covers(s) || s.name === 'skeletal_muscle';

/** How a twin is opened: without what wraps it; undefined where nothing does, or nothing else is there. */
export function openingOf(structures: readonly Structure[]): Change | undefined {
  const ids = structures.filter(wraps).map((s) => s.value);
  return ids.length > 0 && ids.length < structures.length ? { op: 'structure.show', args: { ids, visible: false } } : undefined;
}

/** The body system a structure is listed under. */
export function systemOf(s: Structure): string {
  if (covers(s)) return 'Skin and fat';
  if (spinal.test(s.name) || s.tissue === 'disc' || s.tissue === 'nerve') return 'Spine';
  if (cardiac.test(s.name) || s.tissue === 'vessel') return 'Heart and vessels';
  const byTissue: Record<string, string> = {
    bone: 'Skeleton', cartilage: 'Skeleton', lung: 'Lungs and airways', airway: 'Lungs and airways', organ: 'Organs', bowel: 'Digestive tract',
    muscle: 'Muscles', brain: 'Brain',
  };
  if (/cartilage|bone/.test(s.name)) return 'Skeleton';
  return byTissue[s.tissue] ?? 'Other';
}

const order = ['Spine', 'Skeleton', 'Organs', 'Heart and vessels', 'Lungs and airways', 'Digestive tract', 'Muscles', 'Brain', 'Skin and fat', 'Other'];

/** Structures by system, in the order they are listed. */
export function systems(structures: readonly Structure[]): System[] {
  const found = new Map<string, Structure[]>();
  for (const s of structures) {
    const name = systemOf(s);
    found.set(name, [...(found.get(name) ?? []), s]);
  }
  return [...found].map(([name, members]) => ({ name, members })).sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
}

const rank: Record<string, number> = { error: 0, warning: 1, info: 2, note: 2 };

/** All findings, worst first; the manifest's order among equals. */
export const worstFirst = (findings: readonly Finding[]): Finding[] =>
  findings.map((f, i) => ({ f, i })).sort((a, b) => (rank[a.f.severity] ?? 3) - (rank[b.f.severity] ?? 3) || a.i - b.i).map(({ f }) => f);

/** "vertebrae_C1" as people say it. */
export function spoken(name: string): string {
  const vertebra = /^vertebrae_(\w+)$/.exec(name);
  if (vertebra) return `${vertebra[1]} vertebra`;
  const disc = /^disc_(\w+)_(\w+)$/.exec(name);
  if (disc) return `${disc[1]}/${disc[2]} disc`;
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A text of the checks for people: names of structures in words, lengths without digits nobody measured; `capital`: of the first letter. */
export function readable(text: string, capital = true): string {
  const words = text.replace(/\b(?:[a-z]+(?:_[A-Za-z0-9]+)+)\b/g, (name) => (/^(vertebrae|disc)_/.test(name) ? spoken(name) : name.replaceAll('_', ' ')))
    .replace(/\b\d+\.\d{3,}(?= mm)/g, (number) => String(Number(Number(number).toFixed(2))));
  return capital ? words.charAt(0).toUpperCase() + words.slice(1) : words;
}

/** Name for a list: the manifest's display text, or the name made readable. */
export const displayOf = (s: Structure): string => (s.display && s.display !== s.name ? s.display : spoken(s.name));

/** Millilitres with sensible digits. */
export const millilitres = (v: number): string => `${v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2)} ml`;
