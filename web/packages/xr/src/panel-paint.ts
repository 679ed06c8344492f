/** Paints the panel's picture. Colours are those of the page's dark theme. */
import { metrics, trackOf } from './panel-layout';
import type { Box, Item, Layout, Measure } from './panel-layout';

const colour = {
  ground: '#10171e', edge: '#3a4957', button: '#223040', on: '#35c3b8', ink: '#f2f6fa', quiet: '#a9b7c4', onInk: '#04211e', track: '#33424f', warn: '#ffc24a',
};
const family = 'Inter, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", system-ui, sans-serif';
export const font = (px: number, weight = 600): string => `${weight} ${px}px ${family}`;

type Brush = CanvasRenderingContext2D;

export const measureWith = (brush: Brush): Measure => (text) => {
  brush.font = font(metrics.font);
  return brush.measureText(text).width;
};

function rounded(brush: Brush, { x, y, w, h }: Box, radius: number, fill: string): void {
  brush.beginPath();
  brush.roundRect(x, y, w, h, radius);
  brush.fillStyle = fill;
  brush.fill();
}

function words(brush: Brush, lines: readonly string[], box: Box, ink: string, align: 'center' | 'left', px = metrics.font): void {
  brush.font = font(px);
  brush.textAlign = align;
  brush.textBaseline = 'middle';
  brush.fillStyle = ink;
  const x = align === 'center' ? box.x + box.w / 2 : box.x + 8;
  const size = lines.length > 1 ? metrics.line - 4 : metrics.line;
  lines.forEach((line, i) => brush.fillText(line, x, box.y + box.h / 2 + (i - (lines.length - 1) / 2) * size + 2));
}

function slider(brush: Brush, item: Item): void {
  const { command } = item;
  if (command?.kind !== 'slider') return;
  const share = Math.min(1, Math.max(0, command.value()));
  const track = trackOf(item);
  const middle = track.y + track.h / 2;
  words(brush, item.lines, item, item.disabled ? colour.track : colour.ink, 'left');
  rounded(brush, { x: track.x, y: middle - 9, w: track.w, h: 18 }, 9, colour.track);
  if (!item.disabled) rounded(brush, { x: track.x, y: middle - 9, w: Math.max(18, track.w * share), h: 18 }, 9, colour.on);
  brush.beginPath();
  brush.arc(track.x + track.w * share, middle, 25, 0, 2 * Math.PI);
  brush.fillStyle = item.disabled ? colour.track : '#ffffff';
  brush.fill();
  words(brush, [command.text()], { x: track.x + track.w + 30, y: item.y, w: 170, h: item.h }, item.disabled ? colour.track : colour.quiet, 'left');
}

function foot(brush: Brush, item: Item): void {
  const x = item.x + 24;
  const y = item.y + item.h / 2;
  brush.beginPath();
  brush.moveTo(x, y - 19);
  brush.lineTo(x + 22, y + 18);
  brush.lineTo(x - 22, y + 18);
  brush.closePath();
  brush.fillStyle = colour.warn;
  brush.fill();
  brush.fillStyle = colour.ground;
  brush.fillRect(x - 2.5, y - 7, 5, 14);
  brush.fillRect(x - 2.5, y + 10, 5, 5);
  words(brush, item.lines, { ...item, x: x + 34, w: item.w - 60 }, colour.warn, 'left', metrics.footFont);
}

const painters: Record<Item['kind'], (brush: Brush, item: Item) => void> = {
  tab: (brush, item) => {
    if (item.on) rounded(brush, { x: item.x + 20, y: item.y + item.h - 8, w: item.w - 40, h: 6 }, 3, colour.on);
    words(brush, item.lines, item, item.on ? colour.ink : colour.quiet, 'center');
  },
  button: (brush, item) => {
    rounded(brush, item, 22, item.on ? colour.on : colour.button);
    words(brush, item.lines, item, item.disabled ? '#60707e' : item.on ? colour.onInk : colour.ink, 'center');
  },
  more: (brush, item) => {
    rounded(brush, item, 22, colour.track);
    words(brush, item.lines, item, colour.ink, 'center');
  },
  text: (brush, item) => words(brush, item.lines, item, colour.ink, 'left'),
  slider,
  foot,
  bar: (brush, item) => rounded(brush, { x: item.x, y: item.y + 12, w: item.w, h: 12 }, 6, '#8fa0af'),
};

/** Draws the whole panel. */
export function paint(brush: Brush, layout: Layout): void {
  brush.clearRect(0, 0, metrics.width, metrics.height);
  const sheet = { x: 2, y: 2, w: metrics.width - 4, h: metrics.height - metrics.bar - 4 };
  rounded(brush, sheet, 44, colour.ground);
  brush.lineWidth = 3;
  brush.strokeStyle = colour.edge;
  brush.stroke();
  brush.fillStyle = colour.edge;
  brush.fillRect(metrics.margin, metrics.margin + metrics.tab, metrics.width - 2 * metrics.margin, 2);
  for (const item of layout.items) painters[item.kind](brush, item);
}

/** What the picture depends on: painted again only when this changes. */
export const signature = (layout: Layout): string => layout.items.map((i) =>
  `${i.kind}${i.lines.join('|')}${i.on ? 1 : 0}${i.disabled ? 1 : 0}${i.command?.kind === 'slider' ? `${i.command.value().toFixed(3)}${i.command.text()}` : ''}`).join('\n');
