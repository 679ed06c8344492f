/** Captions as words and times; what is no cue is passed over. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { cueAt, cuesOf, fromBytes, Lesson } from '../src/index';

test('cues: hours or none, identifiers, markup, what is broken', () => {
  const cues = cuesOf('WEBVTT\r\n\r\nNOTE no cue\r\n\r\n1\r\n00:01.500 --> 00:02.000 align:start\r\n<v Anna>Here &amp; <b>there</b>\r\n\r\n01:00:00.000 --> 01:00:01.000\r\ntwo\r\nlines\r\n\r\n00:05.000 --> 00:04.000\r\nbackwards\r\n\r\nx --> y\r\nnone');
  assert.deepEqual(cues, [{ from: 1.5e6, to: 2e6, text: 'Here & there' }, { from: 3600e6, to: 3601e6, text: 'two\nlines' }]);
  assert.equal(cueAt(cues, 1.6e6), 'Here & there');
  assert.equal(cueAt(cues, 2e6), '');
});

test('those of a lesson, by language', async () => {
  const root = process.env['FAB_SOURCE_ROOT'] ?? path.join(process.cwd(), '..');
  const lesson = await Lesson.open(fromBytes(new Uint8Array(readFileSync(path.join(root, 'contract/fixtures/lessons/small.mcap')))));
  const text = (await lesson.captions()).get('en') ?? '';
  assert.equal(cueAt(cuesOf(text), 1e6), 'Here it divides.');
});
