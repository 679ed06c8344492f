// lesson.mjs LESSON_INTEROP FOLDER: @mcap/core reads what we write, by its index and as a stream; we read what it writes.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { McapIndexedReader, McapStreamReader, McapWriter } from '@mcap/core';

const [, , program, folder] = process.argv;
const hex = (data) => table(data).toString(16).padStart(8, '0');
// zlib.crc32 came with node 20.15 and 22.2; before them, bit by bit
function table(data) {
  if (zlib.crc32) return zlib.crc32(data);
  let crc = ~0;
  for (const byte of data) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
const lines = (mode, path) => execFileSync(program, [mode, path], { maxBuffer: 1 << 26 }).toString().trimEnd().split('\n');
const readable = (bytes) => ({
  size: async () => BigInt(bytes.length),
  read: async (offset, length) => new Uint8Array(bytes.subarray(Number(offset), Number(offset + length))),
});

// ours, read by @mcap/core
const ours = join(folder, 'ours.mcap');
execFileSync(program, ['write', ours]);
const bytes = readFileSync(ours);
const reader = await McapIndexedReader.Initialize({ readable: readable(bytes) });
assert.equal(reader.header.profile, 'fabrica-lesson');
const mine = lines('read', ours).filter((line) => line.startsWith('message')).sort();
const theirs = [];
for await (const m of reader.readMessages()) {
  theirs.push(`message ${reader.channelsById.get(m.channelId).topic} ${m.sequence} ${m.logTime} ${m.data.length} ${hex(m.data)}`);
}
assert.deepEqual(theirs.sort(), mine);
assert.equal(reader.statistics.messageCount, BigInt(mine.length));
for (const channel of reader.channelsById.values()) {
  assert.equal(reader.statistics.channelMessageCounts.get(channel.id),
    BigInt(mine.filter((line) => line.startsWith(`message ${channel.topic} `)).length));
}
const some = [];
for await (const m of reader.readMessages({ topics: ['op'], startTime: 3000000000n, endTime: 5000000000n })) {
  some.push(JSON.parse(new TextDecoder().decode(m.data)).seq);
}
assert.deepEqual(some, [4, 5]);
for await (const a of reader.readAttachments()) {
  assert.equal(a.name, 'captions.en.vtt');
  assert.match(new TextDecoder().decode(a.data), /^WEBVTT/);
}
for await (const m of reader.readMetadata()) assert.equal(m.metadata.get('format_version'), '1');
const stream = new McapStreamReader({ validateCrcs: true });
stream.append(bytes);
const kinds = {};
for (let record; (record = stream.nextRecord());) kinds[record.type] = (kinds[record.type] ?? 0) + 1;
assert.ok(stream.done() && kinds.Message === mine.length && kinds.Footer === 1, JSON.stringify(kinds));

// theirs, read by us: with and without what is optional
class Memory {
  parts = [];
  length = 0n;
  position() { return this.length; }
  async write(part) {
    this.parts.push(part.slice());
    this.length += BigInt(part.byteLength);
  }
}
let files = 0;
for (const options of [{}, { useSummaryOffsets: false }, { useStatistics: false }, { repeatChannels: false, useChunkIndex: false },
  { chunkSize: 100 }]) {
  const writable = new Memory();
  const writer = new McapWriter({ writable, ...options });
  await writer.start({ profile: 'x', library: 'y' });
  const schemaId = await writer.registerSchema({ name: 's', encoding: 'jsonschema', data: new Uint8Array([123, 125]) });
  const ids = [];
  for (const topic of ['a', 'b']) {
    ids.push(await writer.registerChannel({ schemaId, topic, messageEncoding: 'json', metadata: new Map([['k', topic]]) }));
  }
  const expected = [];
  for (let i = 0; i < 100; i++) {
    const data = new Uint8Array(i).fill(i);
    await writer.addMessage({ channelId: ids[i % 2], sequence: i, logTime: BigInt(i * 1000), publishTime: 0n, data });
    expected.push(`message ${'ab'[i % 2]} ${i} ${i * 1000} ${i} ${hex(data)}`);
  }
  await writer.addAttachment({ name: 'note', mediaType: 'text/plain', logTime: 1n, createTime: 2n, data: new Uint8Array([104, 105]) });
  await writer.addMetadata({ name: 'm', metadata: new Map([['k', 'v']]) });
  await writer.end();
  const path = join(folder, `theirs-${files++}.mcap`);
  writeFileSync(path, Buffer.concat(writable.parts));
  for (const mode of ['read', 'scan']) {
    const found = lines(mode, path);
    assert.deepEqual(found.filter((line) => line.startsWith('message')), expected, `${mode} ${JSON.stringify(options)}`);
    assert.ok(found.includes(`attachment note 2 ${hex(new Uint8Array([104, 105]))}`), mode);
  }
}
console.log(`${mine.length} messages of ours, ${files} files of @mcap/core`);
