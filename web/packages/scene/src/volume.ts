/** The CT and its labels as 3D textures. HU are half floats: exact to 2048, to 2 HU up to 4096. */
import {
  Data3DTexture, DataTexture, DataUtils, HalfFloatType, LinearFilter, Matrix4, NearestFilter, RedFormat,
  RedIntegerFormat, RGBAFormat, UnsignedByteType, UnsignedShortType, Vector3,
} from 'three';

export interface LevelInfo {
  level: number;
  size: [number, number, number];
  /** 12 numbers, row by row: LPS mm from voxel indices. */
  world_from_voxel: number[];
}

let halves: Uint16Array | undefined;

/** Half floats by int16 value: a table, for millions of voxels. */
function halfTable(): Uint16Array {
  if (halves) return halves;
  halves = new Uint16Array(65536);
  for (let i = 0; i < 65536; i++) halves[i] = DataUtils.toHalfFloat(i < 32768 ? i : i - 65536);
  return halves;
}

/** Texture coordinates from mm LPS. */
export function textureFromPatient(info: LevelInfo): Matrix4 {
  const [a = 1, b = 0, c = 0, d = 0, e = 0, f = 1, g = 0, h = 0, i = 0, j = 0, k = 1, l = 0] = info.world_from_voxel;
  const patientFromVoxel = new Matrix4().set(a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 1);
  const [x, y, z] = info.size;
  return new Matrix4().makeScale(1 / x, 1 / y, 1 / z)
    .multiply(new Matrix4().makeTranslation(0.5, 0.5, 0.5)).multiply(patientFromVoxel.invert());
}

/** One level of the CT on the GPU, its voxels kept for reading HU. */
export class Volume {
  readonly texture: Data3DTexture;
  readonly textureFromPatient: Matrix4;
  /** Corners of the box in mm LPS, axis by axis. */
  readonly low = new Vector3(Infinity, Infinity, Infinity);
  readonly high = new Vector3(-Infinity, -Infinity, -Infinity);

  constructor(readonly info: LevelInfo, private readonly voxels: Int16Array) {
    const table = halfTable();
    const half = new Uint16Array(voxels.length);
    for (let i = 0; i < voxels.length; i++) half[i] = table[(voxels[i] as number) & 0xffff] as number;
    this.texture = new Data3DTexture(half, ...info.size);
    this.texture.format = RedFormat;
    this.texture.type = HalfFloatType;
    this.texture.minFilter = this.texture.magFilter = LinearFilter;
    this.texture.unpackAlignment = 2;
    this.texture.needsUpdate = true;
    this.textureFromPatient = textureFromPatient(info);
    const back = this.textureFromPatient.clone().invert();
    const corner = new Vector3();
    for (let i = 0; i < 8; i++) {
      corner.set(i & 1, (i >> 1) & 1, i >> 2).applyMatrix4(back);
      this.low.min(corner);
      this.high.max(corner);
    }
  }

  /** Smallest voxel side, mm. */
  get spacing(): number {
    const m = this.info.world_from_voxel;
    const side = (c: number): number => Math.hypot(m[c] ?? 0, m[4 + c] ?? 0, m[8 + c] ?? 0);
    return Math.min(side(0), side(1), side(2));
  }

  /** HU of the voxel a point in mm LPS lies in; undefined outside. */
  at(patient: Vector3): number | undefined {
    const t = patient.clone().applyMatrix4(this.textureFromPatient);
    const [sx, sy, sz] = this.info.size;
    const x = Math.floor(t.x * sx);
    const y = Math.floor(t.y * sy);
    const z = Math.floor(t.z * sz);
    if (x < 0 || y < 0 || z < 0 || x >= sx || y >= sy || z >= sz) return undefined;
    return this.voxels[(z * sy + y) * sx + x];
  }

  dispose(): void { this.texture.dispose(); }
}

/** The label map on the GPU, with a table of colours; alpha 0 where a structure is not shown. */
export class Labels {
  readonly texture: Data3DTexture;
  readonly colours: DataTexture;
  readonly textureFromPatient: Matrix4;

  constructor(readonly info: LevelInfo, private readonly voxels: Uint16Array) {
    this.texture = new Data3DTexture(voxels, ...info.size);
    this.texture.format = RedIntegerFormat;
    this.texture.type = UnsignedShortType;
    this.texture.internalFormat = 'R16UI';
    this.texture.minFilter = this.texture.magFilter = NearestFilter;
    this.texture.unpackAlignment = 2;
    this.texture.needsUpdate = true;
    this.colours = new DataTexture(new Uint8Array(1024 * 4), 1024, 1, RGBAFormat, UnsignedByteType);
    this.textureFromPatient = textureFromPatient(info);
  }

  /** Label value at a point in mm LPS; 0 outside. */
  at(patient: Vector3): number {
    const t = patient.clone().applyMatrix4(this.textureFromPatient);
    const [sx, sy, sz] = this.info.size;
    const x = Math.floor(t.x * sx);
    const y = Math.floor(t.y * sy);
    const z = Math.floor(t.z * sz);
    if (x < 0 || y < 0 || z < 0 || x >= sx || y >= sy || z >= sz) return 0;
    return this.voxels[(z * sy + y) * sx + x] ?? 0;
  }

  /** Sets the colour of a label, bytes; alpha 0 hides its outline. */
  paint(label: number, r: number, g: number, b: number, alpha: number): void {
    const data = this.colours.image.data as Uint8Array;
    if (label < 1024) data.set([r, g, b, alpha], label * 4);
    this.colours.needsUpdate = true;
  }

  dispose(): void {
    this.texture.dispose();
    this.colours.dispose();
  }
}
