/**
 * Where things stand on the panel in the room: pages as tabs, buttons in four columns, sliders and words over
 * the whole width. Pure: commands in, boxes out, in pixels of the panel's picture.
 *
 * A pixel is 0.55 mm and the panel hangs 0.75 m away, so letters of 36 px (capitals 26 px) are 1.1 degrees
 * high, and a button of 92 px is a target of 50 mm: a finger tip hits it.
 */
import type { Command } from '@fabrica/scene';

export const metrics = { width: 1120, height: 860, pixel: 0.00055, margin: 28, tab: 88, row: 92, gap: 12, columns: 4, rows: 6, font: 36, line: 44, foot: 64, footFont: 31, bar: 40 };

export interface Box { x: number; y: number; w: number; h: number }
export interface Item extends Box {
  kind: 'tab' | 'button' | 'slider' | 'text' | 'more' | 'foot' | 'bar';
  command?: Command;
  /** A tab's page. */
  page?: string;
  /** Words of a tab, of `more`, of the foot; lines of a text. */
  lines: string[];
  /** The page that is open, the button that is on. */
  on: boolean;
  disabled: boolean;
}

export interface Layout { items: Item[]; page: string; screen: number; screens: number }

/** Width of a text in pixels at the panel's size of letters. */
export type Measure = (text: string) => number;

/** Breaks at spaces so that no line is wider than `width`; at most `most` lines, the last with an ellipsis. */
export function wrapped(text: string, width: number, most: number, measure: Measure): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line === '' || measure(longer) <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  lines.push(line);
  if (lines.length > most) lines.splice(most - 1, lines.length, `${lines[most - 1]}…`);
  return lines.map((l) => shortened(l, width, measure));
}

function shortened(line: string, width: number, measure: Measure): string {
  if (measure(line) <= width) return line;
  let cut = line.replace(/…$/, '');
  while (cut.length > 1 && measure(`${cut}…`) > width) cut = cut.slice(0, -1);
  return `${cut}…`;
}

const inner = metrics.width - 2 * metrics.margin;
const columnWidth = (inner - (metrics.columns - 1) * metrics.gap) / metrics.columns;
const bodyTop = metrics.margin + metrics.tab + metrics.gap;

interface Flow { command: Command; rows: number; columns: number; lines: string[] }

function flowOf(command: Command, measure: Measure): Flow {
  if (command.kind === 'button') return { command, rows: 1, columns: 1, lines: wrapped(command.label(), columnWidth - 24, 2, measure) };
  if (command.kind === 'slider') return { command, rows: 1, columns: metrics.columns, lines: [shortened(command.label(), 250, measure)] };
  const lines = wrapped(command.label(), inner - 16, 8, measure);
  return { command, rows: Math.ceil((lines.length * metrics.line + metrics.gap) / (metrics.row + metrics.gap)), columns: metrics.columns, lines };
}

interface Placed extends Flow { row: number; column: number; screen: number }

/** Fills screens row by row. `rows`: how many a screen has; the last cell is kept free where there are several screens. */
function fill(flows: readonly Flow[], keepLast: boolean): Placed[] {
  const out: Placed[] = [];
  let screen = 0;
  let row = 0;
  let column = 0;
  const next = (): void => { column = 0; row++; };
  const fits = (flow: Flow): boolean => {
    const last = metrics.rows - (keepLast && flow.columns === metrics.columns ? 1 : 0);
    if (row + flow.rows > last) return false;
    return !(keepLast && row === metrics.rows - 1 && column === metrics.columns - 1);
  };
  for (const flow of flows) {
    if (column > 0 && column + flow.columns > metrics.columns) next();
    if (!fits(flow)) { screen++; row = 0; column = 0; }
    out.push({ ...flow, row, column, screen });
    if (flow.columns === metrics.columns) row += flow.rows;
    else if (++column === metrics.columns) next();
  }
  return out;
}

const cell = (row: number, column: number): { x: number; y: number } =>
  ({ x: metrics.margin + column * (columnWidth + metrics.gap), y: bodyTop + row * (metrics.row + metrics.gap) });

function itemOf(placed: Placed): Item {
  const { command, rows, columns, lines } = placed;
  const w = columns === 1 ? columnWidth : inner;
  const h = rows * metrics.row + (rows - 1) * metrics.gap;
  return {
    ...cell(placed.row, placed.column), w, h, kind: command.kind, command, lines,
    on: command.kind === 'button' && command.on?.() === true, disabled: command.disabled?.() === true,
  };
}

/** As wide as their words need, what is left shared out; words are cut where all do not fit. */
function tabs(pages: readonly string[], open: string, measure: Measure): Item[] {
  const room = inner - (pages.length - 1) * metrics.gap;
  const needs = pages.map((name) => measure(name) + 24);
  const need = needs.reduce((a, b) => a + b, 0);
  const spare = Math.max(0, room - need) / Math.max(1, pages.length);
  const share = Math.min(1, room / Math.max(1, need));
  let x: number = metrics.margin;
  return pages.map((name, i) => {
    const w = (needs[i] ?? 0) * share + spare;
    const tab: Item = { x, y: metrics.margin, w, h: metrics.tab, kind: 'tab', page: name, lines: [shortened(name, w - 8, measure)], on: name === open, disabled: false };
    x += w + metrics.gap;
    return tab;
  });
}

/** The names of pages that have something to offer, in the order they came. */
export const pagesOf = (commands: readonly Command[]): string[] => [...new Set(commands.filter((c) => c.hidden?.() !== true).map((c) => c.page))];

/** Lays a page out. A page or screen that is gone gives way to the first. `foot`: the words that are always there. */
export function layOut(commands: readonly Command[], wanted: { page: string; screen: number }, foot: string, measure: Measure): Layout {
  const pages = pagesOf(commands);
  const page = pages.includes(wanted.page) ? wanted.page : pages[0] ?? '';
  const flows = commands.filter((c) => c.page === page && c.hidden?.() !== true).map((c) => flowOf(c, measure));
  let placed = fill(flows, false);
  if (placed.some((p) => p.screen > 0)) placed = fill(flows, true);
  const screens = 1 + Math.max(0, ...placed.map((p) => p.screen));
  const screen = wanted.screen < screens ? wanted.screen : 0;
  const items = [...tabs(pages, page, measure), ...placed.filter((p) => p.screen === screen).map(itemOf)];
  if (screens > 1) items.push({ ...cell(metrics.rows - 1, metrics.columns - 1), w: columnWidth, h: metrics.row, kind: 'more', lines: [`More ${screen + 1}/${screens}`], on: false, disabled: false });
  const footTop = metrics.height - metrics.bar - metrics.foot;
  items.push({ x: metrics.margin, y: footTop, w: inner, h: metrics.foot, kind: 'foot', lines: [shortened(foot, ((inner - 60) * metrics.font) / metrics.footFont, measure)], on: false, disabled: false });
  items.push({ x: metrics.width / 2 - 160, y: metrics.height - metrics.bar, w: 320, h: metrics.bar, kind: 'bar', lines: [], on: false, disabled: false });
  return { items, page, screen, screens };
}

/** What lies at a place of the panel (pixels) and answers to a press. Asked each frame: a loop, and no numbers handed on. */
export function itemAt(layout: Layout, at: { readonly x: number; readonly y: number }): Item | undefined {
  const { items } = layout;
  for (let k = 0; k < items.length; k++) {
    const i = items[k] as Item;
    if (i.kind !== 'text' && i.kind !== 'foot' && !i.disabled && at.x >= i.x - 4 && at.x <= i.x + i.w + 4 && at.y >= i.y - 4 && at.y <= i.y + i.h + 4) return i;
  }
  return undefined;
}

/** The bar of a slider within its box. */
export const trackOf = (item: Box): Box => ({ x: item.x + 290, y: item.y, w: item.w - 290 - 200, h: item.h });

/** 0 to 1 for a place on a slider. */
export function shareAt(item: Box, x: number): number {
  const track = trackOf(item);
  return Math.min(1, Math.max(0, (x - track.x) / track.w));
}
