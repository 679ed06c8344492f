/** Where a lesson's bytes come from: memory, or an address that gives ranges. */
import { LessonError } from './bytes';

export interface Source {
  readonly name: string;
  readonly size: number;
  /** Exactly `count` bytes, or a LessonError. */
  read(offset: number, count: number): Promise<Uint8Array>;
  /** These bytes will be read: one request for all of them. */
  expect?(offset: number, end: number): void;
}

export function fromBytes(data: Uint8Array, name = 'lesson'): Source {
  return {
    name, size: data.length,
    read: (offset, count) => (offset + count <= data.length
      ? Promise.resolve(data.subarray(offset, offset + count))
      : Promise.reject(new LessonError(`${name}: ${count} bytes at ${offset} are wanted, the file has ${data.length}`))),
  };
}

const block = 16384;
/** Blocks kept: 16 MiB. */
const kept = 1024;
/** How much is read of a file before anything is known of it: header, metadata, the first chunks. */
const first = 65536;

/** A file read by ranges in blocks of 16 KiB, two or three chunks of a lesson; neighbours come in one request. */
class Ranges implements Source {
  private readonly blocks = new Map<number, Promise<Uint8Array>>();
  requests = 0;

  constructor(readonly name: string, private readonly url: string, readonly size: number) {}

  expect(offset: number, end: number): void {
    if (end > offset && end - offset <= (kept * block) / 4) this.want(Math.floor(offset / block), Math.floor((Math.min(end, this.size) - 1) / block));
  }

  keep(index: number, data: Promise<Uint8Array>): void {
    this.blocks.delete(index);
    this.blocks.set(index, data);
    while (this.blocks.size > kept) this.blocks.delete(this.blocks.keys().next().value as number);
  }

  private async ask(from: number, to: number): Promise<Uint8Array> {
    this.requests++;
    const response = await get(this.name, this.url, `bytes=${from}-${to - 1}`);
    if (response.status !== 206) throw new LessonError(`${this.name}: the server gave no range (${response.status})`);
    const data = new Uint8Array(await response.arrayBuffer());
    if (data.length !== to - from) throw new LessonError(`${this.name}: ${data.length} bytes came, ${to - from} were asked for`);
    return data;
  }

  /** Asks for the blocks from `first` to `last` that are not here, neighbours in one request. */
  private want(first: number, last: number): void {
    for (let i = first; i <= last; i++) {
      if (this.blocks.has(i)) continue;
      let end = i;
      while (end < last && !this.blocks.has(end + 1)) end++;
      const start = i;
      const whole = this.ask(start * block, Math.min((end + 1) * block, this.size));
      for (; i <= end; i++) {
        const at = (i - start) * block;
        const part = whole.then((data) => data.subarray(at, at + block));
        part.catch(() => { if (this.blocks.get(i) === part) this.blocks.delete(i); });
        this.keep(i, part);
      }
      i = end;
      whole.catch(() => { for (let k = start; k <= end; k++) this.blocks.delete(k); });
    }
  }

  async read(offset: number, count: number): Promise<Uint8Array> {
    if (offset + count > this.size) throw new LessonError(`${this.name}: ${count} bytes at ${offset} are wanted, the file has ${this.size}`);
    if (count > (kept * block) / 4) return this.ask(offset, offset + count);
    const first = Math.floor(offset / block);
    const last = Math.floor(Math.max(offset, offset + count - 1) / block);
    this.want(first, last);
    const found = await Promise.all(Array.from({ length: last - first + 1 }, (_, i) => this.blocks.get(first + i) as Promise<Uint8Array>));
    if (found.length === 1) return (found[0] as Uint8Array).subarray(offset - first * block, offset - first * block + count);
    const out = new Uint8Array(count);
    found.forEach((data, i) => {
      const at = (first + i) * block - offset;
      const part = data.subarray(Math.max(0, -at), Math.max(0, Math.min(data.length, count - at)));
      out.set(part, Math.max(0, at));
    });
    return out;
  }
}

async function get(name: string, url: string, range: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { range }, credentials: 'same-origin', cache: 'no-store' });
  } catch {
    throw new LessonError(`${name}: the server does not answer`);
  }
  if (!response.ok) throw new LessonError(response.status === 404 ? `${name}: there is no such lesson` : `${name}: the server answered ${response.status}`);
  return response;
}

/** Opens an address. A server that gives no ranges gives the whole, which is then in memory. */
export async function fromUrl(url: string, name = url): Promise<Source> {
  const response = await get(name, url, `bytes=0-${first - 1}`);
  const data = new Uint8Array(await response.arrayBuffer());
  const total = Number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]);
  if (response.status !== 206 || !Number.isSafeInteger(total)) return fromBytes(data, name);
  const source = new Ranges(name, url, total);
  for (let at = 0; at < data.length; at += block) {
    if (at + block <= data.length || data.length === total) source.keep(at / block, Promise.resolve(data.subarray(at, at + block)));
  }
  return source;
}
