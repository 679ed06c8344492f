/** What the sample lesson points at, taken from a twin's own files. Millimetres, LPS, patient as scanned. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';

const add = (a, b, k = 1) => a.map((v, i) => v + k * b[i]);
const mean = (...points) => points[0].map((_, i) => points.reduce((s, p) => s + p[i], 0) / points.length);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const distance = (a, b) => Math.hypot(...add(a, b, -1));

const readers = { 2: ['readUInt8', 1], 4: ['readInt16LE', 2], 512: ['readUInt16LE', 2] };

/** A NIfTI-1 image of integers (sform): voxels, size, affine to LPS. */
function readImage(file) {
  const raw = gunzipSync(readFileSync(file));
  const size = [0, 1, 2].map((i) => raw.readInt16LE(42 + 2 * i));
  const [name, bytes] = readers[raw.readInt16LE(70)] ?? [];
  if (!name) throw new Error(`${file}: voxels of type ${raw.readInt16LE(70)}`);
  const from = raw.readFloatLE(108);
  const rows = [0, 1, 2].map((r) => [0, 1, 2, 3].map((c) => raw.readFloatLE(280 + 16 * r + 4 * c) * (r < 2 ? -1 : 1)));
  return { size, at: (i) => raw[name](from + bytes * i), rows, place: (x, y, z) => rows.map((r) => r[0] * x + r[1] * y + r[2] * z + r[3]) };
}

/** The value at a point, nearest voxel, of an image whose axes are the patient's; undefined outside. */
function valueAt(image, point) {
  const index = [0, 0, 0];
  image.rows.forEach((row, i) => {
    const axis = [0, 1, 2].find((c) => Math.abs(row[c]) > 1e-6);
    index[axis] = Math.round((point[i] - row[3]) / row[axis]);
  });
  const [nx, ny, nz] = image.size;
  if (index.some((v, i) => v < 0 || v >= [nx, ny, nz][i])) return undefined;
  return image.at((index[2] * ny + index[1]) * nx + index[0]);
}

/** Points of each label, of those in `wanted` if it is given. */
function pointsByValue(map, wanted) {
  const found = new Map();
  let i = 0;
  for (let z = 0; z < map.size[2]; z++) {
    for (let y = 0; y < map.size[1]; y++) {
      for (let x = 0; x < map.size[0]; x++) {
        const value = map.at(i++);
        if (value === 0 || (wanted && !wanted.has(value))) continue;
        if (!found.has(value)) found.set(value, []);
        found.get(value).push(map.place(x, y, z));
      }
    }
  }
  return found;
}

/** The point farthest along `way`: the mean of the outermost twentieth, so that no single voxel decides. */
function tip(points, way) {
  const sorted = [...points].sort((a, b) => dot(b, way) - dot(a, way));
  return mean(...sorted.slice(0, Math.max(1, Math.round(points.length / 20))));
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`${file}: ${error.message}`);
  }
}

export function readAnatomy(folder) {
  const manifest = readJson(path.join(folder, 'manifest.json'));
  const spine = manifest.measurements?.spine;
  if (!spine) throw new Error(`${folder}: this twin has no spine measurements`);
  const values = new Map(readJson(path.join(folder, 'spine_parts.json')).labels.map((l) => [l.name, l.value]));
  const points = pointsByValue(readImage(path.join(folder, 'spine_parts.nii.gz')));
  const vertebra = new Map(spine.vertebrae.filter((v) => v.measured).map((v) => [v.level, v]));
  const structures = new Map(manifest.structures.map((s) => [s.name, s]));
  const part = (name) => {
    const found = points.get(values.get(name));
    if (!found) throw new Error(`${folder}: spine_parts has no ${name}`);
    return found;
  };
  const id = (name) => {
    const found = structures.get(name);
    if (!found) throw new Error(`${folder}: the twin has no ${name}`);
    return found.value;
  };
  return {
    id, vertebra, structures, curve: spine.coronal_curves.find((c) => c.kind === 'main'),
    ids: (test) => [...structures.values()].filter((s) => test(s.name)).map((s) => s.value),
    centre: (level) => vertebra.get(level).centre_mm,
    back: (level) => vertebra.get(level).axes.back,
    centroid: (name) => structures.get(name).centroid_mm,
    /** The end that a finger feels under the skin. */
    spinousTip: (level) => tip(part(`spinous_process_${level}`), vertebra.get(level).axes.back),
    /** Between the laminae of one side: [lower edge of the upper, upper edge of the lower]. */
    window: (upper, lower, side) => {
      const { up } = vertebra.get(upper).axes;
      return [tip(part(`lamina_${side}_${upper}`), up.map((v) => -v)), tip(part(`lamina_${side}_${lower}`), up)];
    },
    /** The highest points of the iliac crests, left and right. */
    crests: () => {
      const wanted = ['left', 'right'].map((side) => id(`hip_${side}`));
      const found = pointsByValue(readImage(path.join(folder, 'labels.nii.gz')), new Set(wanted));
      return wanted.map((value) => tip(found.get(value), [0, 0, 1]));
    },
    /** Where a line from `inside` along `way` leaves the body; CT in HU, air below -300. */
    skin: (inside, way) => {
      const image = readImage(path.join(folder, 'volume.nii.gz'));
      let last = inside;
      for (let mm = 0; mm < 200; mm += 0.5) {
        const point = add(inside, way, mm);
        const hu = valueAt(image, point);
        if (hu === undefined || hu < -300) return last;
        last = point;
      }
      throw new Error(`${folder}: no skin within 200 mm`);
    },
  };
}

export { add, distance, dot, mean };
