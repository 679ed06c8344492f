/**
 * MCAP as lessons use it (https://mcap.dev/spec; src/record/mcap_*.c is its twin in C): by the index if
 * there is one, else by a scan to the last whole record. Every length is held against a limit before
 * anything is read.
 */
import { Cursor, crc32, LessonError } from './bytes';
import type { Source } from './source';

export const limits = {
  file: 64 * 2 ** 30, chunk: 16 * 2 ** 20, summary: 256 * 2 ** 20, record: 2 ** 20, attachment: 64 * 2 ** 20,
  attachments: 256, chunks: 400000, channels: 1024, metadata: 256, schemas: 256,
} as const;

const magic = [0x89, 0x4d, 0x43, 0x41, 0x50, 0x30, 0x0d, 0x0a];
const op = { header: 1, footer: 2, schema: 3, channel: 4, message: 5, chunk: 6, messageIndex: 7, chunkIndex: 8, attachment: 9, attachmentIndex: 10, statistics: 11, metadata: 12, metadataIndex: 13, summaryOffset: 14, dataEnd: 15 } as const;
const prefix = 9;
const chunkHead = 40;
const footerBytes = 20;

export interface Channel { id: number; topic: string; encoding: string; metadata: ReadonlyMap<string, string> }
export interface Message { channel: Channel; sequence: number; ns: number; data: Uint8Array; at: number }
export interface Attachment { name: string; mediaType: string; offset: number; length: number; bytes: number }

/** Times in nanoseconds; `channels`: ids of those inside, where known. */
export interface Chunk { start: number; end: number; offset: number; length: number; records: number; bytes: number; cut: boolean; channels: ReadonlySet<number> | undefined }

interface Place { name: string; offset: number; length: number }

export class Container {
  profile = '';
  /** No footer: the recording did not end well. Up to `whole` bytes are used. */
  cut = false;
  whole = 0;
  readonly chunks: Chunk[] = [];
  readonly channels = new Map<number, Channel>();
  readonly attachments: Attachment[] = [];
  private readonly metadata: Place[] = [];
  private readonly schemas = new Map<number, number>();
  private start = 0;
  private hasFooter = false;

  private constructor(readonly source: Source) {}

  /** Throws a LessonError that names byte and field. */
  static async open(source: Source): Promise<Container> {
    const container = new Container(source);
    await container.readHeader();
    const summary = await container.readFooter();
    if (summary) await container.readSummary(summary.start, summary.crc);
    if (container.chunks.length === 0) await container.scan();
    return container;
  }

  private wrong(at: number, reason: string): never {
    throw new LessonError(`${this.source.name}: byte ${at}: ${reason}`);
  }

  private async readHeader(): Promise<void> {
    const { size, name } = this.source;
    if (size > limits.file) throw new LessonError(`${name}: more than 64 GiB`);
    if (size < magic.length) throw new LessonError(`${name}: no MCAP file: it has ${size} bytes`);
    const first = await this.source.read(0, magic.length);
    if (magic.some((byte, i) => first[i] !== byte)) throw new LessonError(`${name}: no MCAP file: the magic at byte 0 is not MCAP's`);
    const { opcode, length } = await this.head(magic.length);
    if (opcode !== op.header) this.wrong(8, `record ${opcode}, not the header`);
    const c = await this.content(magic.length, length, 'header');
    this.profile = c.text('profile');
    c.text('library');
    this.start = this.whole = magic.length + prefix + length;
  }

  private async head(offset: number): Promise<{ opcode: number; length: number }> {
    const c = new Cursor(await this.source.read(offset, prefix), this.source.name, 'record', offset);
    return { opcode: c.u8('opcode'), length: c.u64('length') };
  }

  private async content(offset: number, length: number, what: string): Promise<Cursor> {
    const at = offset + prefix;
    if (length > this.source.size - at) this.wrong(offset, `length ${length} goes past the end`);
    if (length > limits.record) this.wrong(offset, `length ${length}, at most ${limits.record} are read`);
    return new Cursor(await this.source.read(at, length), this.source.name, what, at);
  }

  private async readFooter(): Promise<{ start: number; crc: number } | undefined> {
    const tail = prefix + footerBytes + magic.length;
    const { size } = this.source;
    if (size < this.whole + tail) return undefined;
    const c = new Cursor(await this.source.read(size - tail, tail), this.source.name, 'footer', size - tail);
    const isFooter = c.u8('opcode') === op.footer && c.u64('length') === footerBytes;
    const start = c.u64('summary_start');
    c.u64('summary_offset_start');
    const crc = c.u32('summary_crc');
    const end = c.bytes(magic.length, 'magic');
    if (!isFooter || magic.some((byte, i) => end[i] !== byte)) return undefined;
    this.hasFooter = true;
    if (start === 0) return undefined;
    if (start < this.whole || start > size - tail) c.fail('summary_start', `${start} is outside`);
    if (size - start > limits.summary) c.fail('summary_start', `a summary of more than ${limits.summary} bytes`);
    return { start, crc };
  }

  // ---- by the index ----------------------------------------------------------------------------

  private async readSummary(start: number, crc: number): Promise<void> {
    const data = await this.source.read(start, this.source.size - magic.length - 4 - start);
    if (crc !== 0 && crc32(data) !== crc) this.wrong(start, "the summary's CRC does not match");
    const c = new Cursor(data.subarray(0, data.length - (prefix + footerBytes - 4)), this.source.name, 'summary', start);
    while (c.left > 0) {
      const opcode = c.u8('opcode');
      const content = c.bytes(c.u64('length'), 'content');
      this.onSummary(opcode, new Cursor(content, this.source.name, 'summary', start + c.at - content.length), start, c);
    }
    this.chunks.sort((a, b) => a.offset - b.offset);
    this.whole = this.source.size;
    this.checkChunks();
  }

  private onSummary(opcode: number, c: Cursor, limit: number, outer: Cursor): void {
    if (opcode === op.schema) this.addSchema(c);
    else if (opcode === op.channel) this.addChannel(c);
    else if (opcode === op.chunkIndex) this.addChunkIndex(c, limit);
    else if (opcode === op.attachmentIndex) this.addAttachmentIndex(c, limit);
    else if (opcode === op.metadataIndex) this.addMetadataIndex(c, limit);
    else if (opcode !== op.statistics && opcode !== op.summaryOffset && opcode <= op.dataEnd) outer.fail('opcode', 'not a record of a summary');
  }

  private addSchema(c: Cursor): void {
    const id = c.u16('id');
    for (const field of ['name', 'encoding', 'data']) c.bytes(c.u32(field), field);
    const crc = crc32(c.data.subarray(0, c.at));
    const known = this.schemas.get(id);
    if (id === 0 || known === crc) return;
    if (known !== undefined) c.fail('id', 'another schema has this id');
    if (this.schemas.size >= limits.schemas) c.fail('id', 'too many schemas');
    this.schemas.set(id, crc);
  }

  private addChannel(c: Cursor): void {
    const id = c.u16('id');
    const schema = c.u16('schema_id');
    const channel: Channel = { id, topic: c.text('topic'), encoding: c.text('message_encoding'), metadata: c.map('metadata') };
    const known = this.channels.get(id);
    if (known) {
      if (known.topic !== channel.topic || known.encoding !== channel.encoding) c.fail('id', 'another channel has this id');
      return;
    }
    if (schema !== 0 && !this.schemas.has(schema)) c.fail('schema_id', 'no schema before has this id');
    if (this.channels.size >= limits.channels) c.fail('id', 'too many channels');
    this.channels.set(id, channel);
  }

  private addChunkIndex(c: Cursor, limit: number): void {
    const chunk = { start: c.u64('message_start_time'), end: c.u64('message_end_time'), offset: c.u64('chunk_start_offset'), length: c.u64('chunk_length') };
    const map = c.bytes(c.u32('message_index_offsets'), 'message_index_offsets');
    if (map.length % 10 !== 0 || map.length > 10 * limits.channels) c.fail('message_index_offsets', 'no such map');
    const ids = new Set(Array.from({ length: map.length / 10 }, (_, i) => (map[10 * i] as number) + 256 * (map[10 * i + 1] as number)));
    c.u64('message_index_length');
    const compression = c.bytes(c.u32('compression'), 'compression');
    const bytes = c.u64('compressed_size');
    this.checkPacking(c, compression.length, bytes, c.u64('uncompressed_size'));
    if (chunk.offset > limit || chunk.length > limit - chunk.offset) c.fail('chunk_start_offset', 'outside the data');
    if (chunk.length < prefix + chunkHead + bytes) c.fail('chunk_length', 'less than its records');
    if (chunk.end < chunk.start) c.fail('message_end_time', 'is before the start');
    if (this.chunks.length >= limits.chunks) c.fail('chunk', 'too many chunks');
    this.chunks.push({ ...chunk, records: chunk.offset + prefix + chunkHead, bytes, cut: false, channels: ids.size > 0 ? ids : undefined });
  }

  private checkPacking(c: Cursor, compression: number, stored: number, unpacked: number): void {
    if (compression > 0) c.fail('compression', 'lessons are not compressed');
    if (unpacked !== stored) c.fail('uncompressed_size', 'is not that of records');
    if (stored > limits.chunk) c.fail('records', 'chunk larger than 16 MiB');
  }

  private addAttachmentIndex(c: Cursor, limit: number): void {
    const offset = c.u64('offset');
    const length = c.u64('length');
    c.u64('log_time');
    c.u64('create_time');
    const bytes = c.u64('data_size');
    if (offset > limit || length > limit - offset) c.fail('offset', 'outside the data');
    if (bytes > length || bytes > limits.attachment) c.fail('data_size', 'larger than its record or 64 MiB');
    this.keepAttachment(c, { name: c.text('name'), mediaType: c.text('media_type'), offset, length, bytes });
  }

  private keepAttachment(c: Cursor, attachment: Attachment): void {
    if (this.attachments.length >= limits.attachments) c.fail('attachment', 'too many');
    this.attachments.push(attachment);
  }

  private addMetadataIndex(c: Cursor, limit: number): void {
    const offset = c.u64('offset');
    const length = c.u64('length');
    if (offset > limit || length > limit - offset || length < prefix) c.fail('offset', 'outside the data');
    this.keepMetadata(c, { offset, length, name: c.text('name') });
  }

  private keepMetadata(c: Cursor, place: Place): void {
    if (this.metadata.length >= limits.metadata) c.fail('metadata', 'too many');
    this.metadata.push(place);
  }

  private checkChunks(): void {
    let before = magic.length;
    for (const chunk of this.chunks) {
      if (chunk.offset < before) this.wrong(chunk.offset, 'two chunks overlap');
      before = chunk.offset + chunk.length;
      for (const id of chunk.channels ?? []) if (!this.channels.has(id)) this.wrong(chunk.offset, `channel ${id} is not in the summary`);
    }
  }

  // ---- by a scan -------------------------------------------------------------------------------

  private async scan(): Promise<void> {
    this.attachments.length = this.metadata.length = 0;
    const { size } = this.source;
    let at = this.start;
    let ended = false;
    const endHere = (): void => { this.cut = true; this.whole = at; };
    while (!this.cut && !ended) {
      if (at > size - prefix) { endHere(); break; }
      const { opcode, length } = await this.head(at);
      const fits = length <= size - at - prefix;
      if (this.hasFooter && (!fits || opcode === 0)) this.wrong(at, `record ${opcode}: length ${length} is wrong`);
      if (opcode === 0 || (!fits && opcode !== op.chunk)) { endHere(); break; }
      if (opcode === op.footer && this.hasFooter) ended = true;
      else if (opcode === op.dataEnd) ended = true;
      else if (opcode === op.chunk) await this.scanChunk(at, length, fits);
      else await this.scanRecord(opcode, at, length);
      at += prefix + length;
    }
    if (!this.cut) this.whole = size;
    this.cut ||= !this.hasFooter;
  }

  private async scanRecord(opcode: number, at: number, length: number): Promise<void> {
    if (opcode === op.schema) this.addSchema(await this.content(at, length, 'schema'));
    else if (opcode === op.channel) this.addChannel(await this.content(at, length, 'channel'));
    else if (opcode === op.metadata) {
      const c = await this.content(at, length, 'metadata');
      this.keepMetadata(c, { name: c.text('name'), offset: at, length: length + prefix });
      c.map('metadata');
    } else if (opcode === op.attachment) await this.scanAttachment(at, length);
    else if (opcode === op.message) this.wrong(at, 'a message outside chunks');
    else if (opcode !== op.messageIndex && opcode <= op.dataEnd) this.wrong(at, `record ${opcode}: not allowed in the data`);
  }

  private async scanAttachment(at: number, length: number): Promise<void> {
    if (length > limits.attachment + limits.record) this.wrong(at, `an attachment of ${length} bytes`);
    const data = await this.source.read(at + prefix, length);
    const c = new Cursor(data, this.source.name, 'attachment', at + prefix);
    const { name, mediaType, body } = attachmentOf(c);
    this.keepAttachment(c, { name, mediaType, offset: at, length: length + prefix, bytes: body.length });
  }

  private async scanChunk(at: number, length: number, fits: boolean): Promise<void> {
    const from = at + prefix;
    let left = this.source.size - from;
    if (!fits) { this.cut = true; this.whole = at; }
    if (!fits && left < chunkHead) return;
    const some = Math.min(length, left, chunkHead + 16);
    const c = new Cursor(await this.source.read(from, some), this.source.name, 'chunk', from);
    const head = this.chunkHead(c);
    if (head.bytes > length - chunkHead) c.fail('records', 'longer than the chunk');
    const chunk: Chunk = { start: head.start, end: head.end, offset: at, length: length + prefix, records: from + chunkHead, bytes: head.bytes, cut: false, channels: undefined };
    left -= chunkHead;
    if (!fits && chunk.bytes > left) {
      chunk.bytes = wholeRecords(await this.source.read(chunk.records, left));
      chunk.cut = true;
      if (chunk.bytes === 0) return;
      this.whole = chunk.records + chunk.bytes;
    }
    await this.keepScanned(chunk);
  }

  private async keepScanned(chunk: Chunk): Promise<void> {
    if (this.chunks.length >= limits.chunks) this.wrong(chunk.offset, 'too many chunks');
    let messages: Message[];
    try {
      messages = await this.load(chunk);
    } catch (error) {
      if (!(error instanceof BadCrc) || this.hasFooter || !(await this.deadBehind(chunk))) throw error;
      this.cut = true; // a crash of the machine: the last chunk has holes, and nothing whole follows
      this.whole = chunk.offset;
      return;
    }
    chunk.channels = new Set(messages.map((m) => m.channel.id));
    this.chunks.push(chunk);
  }

  /** Does nothing whole follow? Message indexes may. */
  private async deadBehind(chunk: Chunk): Promise<boolean> {
    for (let at = chunk.offset + chunk.length; ;) {
      if (at > this.source.size - prefix) return true;
      const { opcode, length } = await this.head(at);
      if (opcode === 0 || length > this.source.size - at - prefix) return true;
      if (opcode !== op.messageIndex) return false;
      at += prefix + length;
    }
  }

  // ---- one chunk -------------------------------------------------------------------------------

  private chunkHead(c: Cursor): { start: number; end: number; bytes: number; crc: number } {
    const start = c.u64('message_start_time');
    const end = c.u64('message_end_time');
    const unpacked = c.u64('uncompressed_size');
    const crc = c.u32('uncompressed_crc');
    const compression = c.u32('compression');
    if (compression > 0) c.fail('compression', 'lessons are not compressed');
    const bytes = c.u64('records');
    if (end < start) c.fail('message_end_time', 'is before the start');
    this.checkPacking(c, 0, bytes, unpacked);
    return { start, end, bytes, crc };
  }

  /** Reads one chunk, checks its CRC; its messages in the file's order. Throws a LessonError. */
  async load(chunk: Chunk): Promise<Message[]> {
    const data = await this.source.read(chunk.offset, prefix + chunkHead + chunk.bytes);
    if (data[0] !== op.chunk) this.wrong(chunk.offset, `record ${data[0] ?? 0}, not a chunk`);
    const head = this.chunkHead(new Cursor(data.subarray(prefix, prefix + chunkHead), this.source.name, 'chunk', chunk.offset + prefix));
    if (head.start !== chunk.start || head.end !== chunk.end || (head.bytes !== chunk.bytes && !chunk.cut)) this.wrong(chunk.offset, 'times or size of the chunk are not those of the index');
    const records = data.subarray(prefix + chunkHead);
    if (head.crc !== 0 && !chunk.cut && crc32(records) !== head.crc) throw new BadCrc(`${this.source.name}: byte ${chunk.offset}: the chunk's CRC does not match`);
    return this.messages(new Cursor(records, this.source.name, 'chunk', chunk.records), chunk);
  }

  private messages(c: Cursor, chunk: Chunk): Message[] {
    const out: Message[] = [];
    while (c.left > 0) {
      const opcode = c.u8('opcode');
      const at = c.at + 8;
      const content = new Cursor(c.bytes(c.u64('length'), 'content'), this.source.name, 'message', c.origin + at);
      if (opcode === op.schema) this.addSchema(content);
      else if (opcode === op.channel) this.addChannel(content);
      else if (opcode === op.message) out.push(this.message(content, chunk));
      else if (opcode <= op.dataEnd) c.fail('opcode', `record ${opcode} is not allowed in a chunk`);
      if (out.length > 65536) c.fail('message', 'more than 65536 in a chunk');
    }
    return out;
  }

  private message(c: Cursor, chunk: Chunk): Message {
    const id = c.u16('channel_id');
    const channel = this.channels.get(id);
    if (!channel) return c.fail('channel_id', `no channel ${id}`);
    const sequence = c.u32('sequence');
    const ns = c.u64('log_time');
    c.u64('publish_time');
    if (ns < chunk.start || ns > chunk.end) c.fail('log_time', "outside its chunk's times");
    return { channel, sequence, ns, data: c.data.subarray(c.at), at: c.origin + c.at };
  }

  // ---- beside the chunks -----------------------------------------------------------------------

  /** The first metadata record of that name. */
  async readMetadata(name: string): Promise<ReadonlyMap<string, string>> {
    const place = this.metadata.find((m) => m.name === name);
    if (!place) throw new LessonError(`${this.source.name}: no metadata "${name}"`);
    const { opcode, length } = await this.head(place.offset);
    if (opcode !== op.metadata) this.wrong(place.offset, `record ${opcode}, not metadata`);
    const c = await this.content(place.offset, length, 'metadata');
    if (c.text('name') !== name) c.fail('name', 'not the one of the index');
    return c.map('metadata');
  }

  /** An attachment's data; its CRC is checked. */
  async readAttachment(attachment: Attachment): Promise<Uint8Array> {
    const { opcode, length } = await this.head(attachment.offset);
    if (opcode !== op.attachment) this.wrong(attachment.offset, `record ${opcode}, not an attachment`);
    if (length > attachment.length - prefix) this.wrong(attachment.offset, `an attachment of ${length} bytes, not that of the index`);
    return attachmentOf(new Cursor(await this.source.read(attachment.offset + prefix, length), this.source.name, 'attachment', attachment.offset + prefix)).body;
  }
}

function attachmentOf(c: Cursor): { name: string; mediaType: string; body: Uint8Array } {
  c.u64('log_time');
  c.u64('create_time');
  const name = c.text('name');
  const mediaType = c.text('media_type');
  const body = c.bytes(c.u64('data_size'), 'data');
  const end = c.at;
  const crc = c.u32('crc');
  if (crc !== 0 && crc32(c.data.subarray(0, end)) !== crc) c.fail('crc', 'does not match');
  return { name, mediaType, body };
}

class BadCrc extends LessonError {}

/** Bytes of whole records at the start. */
function wholeRecords(data: Uint8Array): number {
  let at = 0;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  while (data.length - at >= prefix) {
    const length = view.getUint32(at + 5, true) * 2 ** 32 + view.getUint32(at + 1, true);
    if (data[at] === 0 || length > data.length - at - prefix) break;
    at += prefix + length;
  }
  return at;
}
