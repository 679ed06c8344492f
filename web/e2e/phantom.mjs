/** What the phantom's manifest and truth say of a vertebra, for measuring by hand. */

/** The front edges of a vertebra's endplates, 1 mm inside so that the ray meets bone, and what is between them, mm. */
export function anterior(manifest, level) {
  const v = manifest.measurements.spine.vertebrae.find((x) => x.level === level);
  const { front_mm: upper } = v.endplate_upper;
  const { front_mm: lower } = v.endplate_lower;
  const inward = (a, b, mm) => a.map((x, i) => x + ((b[i] - x) * mm) / Math.hypot(...a.map((y, j) => b[j] - y)));
  return { upper: inward(upper, lower, 1), lower: inward(lower, upper, 1), manifest: v.heights_mm.anterior };
}
