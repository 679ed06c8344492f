/** The panel's boxes: by counts and places, without a picture. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Command } from '@fabrica/scene';
import { itemAt, layOut, metrics, shareAt, trackOf, wrapped } from '../src/panel-layout';

const measure = (text: string): number => text.length * 18;
const button = (page: string, id: string, more: object = {}): Command => ({ kind: 'button', id, page, label: () => id, run: () => undefined, ...more });
const slider: Command = { kind: 'slider', id: 's', page: 'A', label: () => 'Opacity', value: () => 0.5, set: () => undefined, text: () => '50 %' };

test('four buttons a row, a slider over all columns, hidden ones not there', () => {
  const layout = layOut([...[1, 2, 3, 4, 5].map((i) => button('A', `b${i}`)), slider, button('A', 'gone', { hidden: () => true }), button('B', 'other')], { page: 'A', screen: 0 }, 'foot', measure);
  const buttons = layout.items.filter((i) => i.kind === 'button');
  assert.equal(buttons.length, 5);
  assert.equal(buttons[3]?.y, buttons[0]?.y);
  assert.equal(buttons[4]?.x, buttons[0]?.x);
  const bar = layout.items.find((i) => i.kind === 'slider');
  assert.ok(bar && bar.y > (buttons[4]?.y ?? Infinity) && bar.w === metrics.width - 2 * metrics.margin);
  assert.deepEqual(layout.items.filter((i) => i.kind === 'tab').map((i) => [i.lines[0], i.on]), [['A', true], ['B', false]]);
  assert.deepEqual(layout.items.find((i) => i.kind === 'foot')?.lines, ['foot']);
});

test('more than a screen: the last cell leads on, nothing is lost, nothing overlaps', () => {
  const commands = [...Array.from({ length: 30 }, (_, i) => button('A', `b${i}`)), slider, button('A', 'last')];
  const seen: string[] = [];
  const first = layOut(commands, { page: 'A', screen: 0 }, '', measure);
  assert.equal(first.screens, 2);
  for (let screen = 0; screen < first.screens; screen++) {
    const { items } = layOut(commands, { page: 'A', screen }, '', measure);
    for (const item of items) if (item.command) seen.push(item.command.id);
    for (const a of items) {
      assert.ok(a.x >= 0 && a.y >= 0 && a.x + a.w <= metrics.width + 0.01 && a.y + a.h <= metrics.height);
      for (const b of items) if (a !== b) assert.ok(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y, `${a.kind} over ${b.kind}`);
    }
  }
  assert.deepEqual([...seen].sort(), commands.map((c) => c.id).sort());
  assert.equal(layOut(commands, { page: 'A', screen: 7 }, '', measure).screen, 0, 'a screen that is gone');
  assert.equal(layOut(commands, { page: 'gone', screen: 0 }, '', measure).page, 'A');
});

test('a press finds buttons, not words nor what is disabled', () => {
  const layout = layOut([button('A', 'x'), button('A', 'y', { disabled: () => true }), { kind: 'text', id: 't', page: 'A', label: () => 'words' }], { page: 'A', screen: 0 }, '', measure);
  const middle = (id: string): { x: number; y: number } => {
    const i = layout.items.find((item) => item.command?.id === id);
    return { x: (i?.x ?? 0) + (i?.w ?? 0) / 2, y: (i?.y ?? 0) + (i?.h ?? 0) / 2 };
  };
  assert.equal(itemAt(layout, middle('x'))?.command?.id, 'x');
  assert.equal(itemAt(layout, middle('y')), undefined);
  assert.equal(itemAt(layout, middle('t')), undefined);
});

test('a slider\'s ends, words that fit', () => {
  const box = { x: 10, y: 0, w: 1000, h: 90 };
  const track = trackOf(box);
  assert.equal(shareAt(box, track.x - 50), 0);
  assert.equal(shareAt(box, track.x + track.w / 2), 0.5);
  assert.equal(shareAt(box, 5000), 1);
  assert.deepEqual(wrapped('one two three', 130, 3, measure), ['one two', 'three']);
  const cut = wrapped('one two three four five', 130, 2, measure);
  assert.equal(cut.length, 2);
  assert.ok(cut[1]?.endsWith('…') && measure(cut[1]) <= 130);
});

test('tabs: whole words while they fit, then cut alike', () => {
  const few = layOut(['Tools', 'Structures', 'Cut', 'Notice', 'Lesson', 'View'].map((p) => button(p, p)), { page: 'Cut', screen: 0 }, '', measure).items.filter((i) => i.kind === 'tab');
  assert.deepEqual(few.map((i) => i.lines[0]), ['Tools', 'Structures', 'Cut', 'Notice', 'Lesson', 'View']);
  const many = layOut(Array.from({ length: 9 }, (_, i) => button(`A long page ${i}`, `b${i}`)), { page: '', screen: 0 }, '', measure).items.filter((i) => i.kind === 'tab');
  assert.ok(many.every((i) => i.lines[0]?.endsWith('…') && i.x + i.w <= metrics.width - metrics.margin + 0.01));
});
