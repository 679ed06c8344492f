/** Little-endian bytes in and out, with words for what is wrong: a place, a field, a reason. */

/** Why a lesson cannot be read. The message names file, byte and field. */
export class LessonError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LessonError';
  }
}

export class Cursor {
  at = 0;
  private readonly view: DataView;

  /** `origin`: where `data` stands in the file; `what` and `file`: for messages. */
  constructor(readonly data: Uint8Array, readonly file: string, readonly what: string, readonly origin = 0) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get left(): number { return this.data.length - this.at; }

  fail(field: string, reason: string): never {
    throw new LessonError(`${this.file}: ${this.what} at byte ${this.origin + this.at}: ${field}: ${reason}`);
  }

  private need(count: number, field: string): number {
    if (count > this.left) this.fail(field, `${count} bytes are wanted, ${this.left} are left`);
    const at = this.at;
    this.at += count;
    return at;
  }

  u8(field: string): number { return this.view.getUint8(this.need(1, field)); }
  i8(field: string): number { return this.view.getInt8(this.need(1, field)); }
  u16(field: string): number { return this.view.getUint16(this.need(2, field), true); }
  u32(field: string): number { return this.view.getUint32(this.need(4, field), true); }

  /** As a number: beyond 2^53 it is larger than anything a lesson may say, and stays so. */
  u64(field: string): number {
    const at = this.need(8, field);
    return this.view.getUint32(at + 4, true) * 2 ** 32 + this.view.getUint32(at, true);
  }

  varint(field: string): number {
    let value = 0;
    for (let shift = 0; shift < 49; shift += 7) {
      const byte = this.u8(field);
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    return this.fail(field, 'a number of more than 49 bits');
  }

  bytes(count: number, field: string): Uint8Array {
    const at = this.need(count, field);
    return this.data.subarray(at, at + count);
  }

  text(field: string): string {
    const length = this.u32(field);
    if (length > 65536) this.fail(field, `a text of ${length} bytes`);
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.bytes(length, field));
      return text.includes('\0') ? this.fail(field, 'a text with a NUL in it') : text;
    } catch (error) {
      if (error instanceof LessonError) throw error;
      return this.fail(field, 'not UTF-8');
    }
  }

  map(field: string): Map<string, string> {
    const inside = new Cursor(this.bytes(this.u32(field), field), this.file, this.what, this.origin + this.at);
    const map = new Map<string, string>();
    while (inside.left > 0) {
      if (map.size >= 1024) this.fail(field, 'more than 1024 entries');
      map.set(inside.text(field), inside.text(field));
    }
    return map;
  }
}

/** Bytes that grow. */
export class Growing {
  private data = new Uint8Array(512);
  length = 0;

  private room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.data.length) {
      const more = new Uint8Array(Math.max(this.length, 2 * this.data.length));
      more.set(this.data);
      this.data = more;
    }
    return at;
  }

  uint(value: number, bytes: 1 | 2 | 4): void {
    const at = this.room(bytes);
    for (let i = 0; i < bytes; i++) this.data[at + i] = Math.floor(value / 2 ** (8 * i)) & 255;
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 128) {
      this.uint((rest % 128) + 128, 1);
      rest = Math.floor(rest / 128);
    }
    this.uint(rest, 1);
  }

  bytes(part: Uint8Array): void {
    const at = this.room(part.length);
    this.data.set(part, at);
  }

  done(): Uint8Array { return this.data.slice(0, this.length); }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

/** CRC-32 as in zlib and MCAP. */
export function crc32(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < data.length; i++) crc = (crc >>> 8) ^ (crcTable[(crc ^ (data[i] as number)) & 255] as number);
  return ~crc >>> 0;
}
