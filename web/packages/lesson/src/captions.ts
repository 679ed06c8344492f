/** WebVTT (https://www.w3.org/TR/webvtt1/): cues as plain text. Positions and styles are left out. */
export interface Cue { from: number; to: number; text: string }

const stamp = /^(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})$/;

function micros(text: string): number | undefined {
  const m = stamp.exec(text);
  return m ? ((Number(m[1] ?? 0) * 60 + Number(m[2])) * 60 + Number(m[3])) * 1e6 + Number(m[4]) * 1000 : undefined;
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', nbsp: ' ', lrm: '', rlm: '' };
const plain = (text: string): string => text.replace(/<[^>]*>/g, '').replace(/&(\w+);/g, (all, name: string) => entities[name] ?? all);

/** Cues with times in microseconds; what is no cue is passed over. */
export function cuesOf(text: string): Cue[] {
  const cues: Cue[] = [];
  for (const block of text.replace(/\r\n?/g, '\n').split(/\n{2,}/)) {
    const lines = block.split('\n');
    const at = lines.findIndex((line) => line.includes('-->'));
    if (at < 0 || at > 1) continue;
    const [from, to] = (lines[at] as string).split('-->').map((part) => micros(part.trim().split(/\s/)[0] ?? ''));
    if (from === undefined || to === undefined || to <= from) continue;
    cues.push({ from, to, text: plain(lines.slice(at + 1).join('\n')).trim() });
  }
  return cues;
}

/** What is said at `time`. */
export const cueAt = (cues: readonly Cue[], time: number): string => cues.filter((cue) => cue.from <= time && time < cue.to).map((cue) => cue.text).join('\n');

/** Microseconds as WebVTT writes them. */
function stampOf(us: number): string {
  const ms = Math.round(us / 1000);
  const digits = (n: number, width: number): string => String(n).padStart(width, '0');
  return `${digits(Math.floor(ms / 3600000), 2)}:${digits(Math.floor(ms / 60000) % 60, 2)}:${digits(Math.floor(ms / 1000) % 60, 2)}.${digits(ms % 1000, 3)}`;
}

/** The file with its cues moved by -`from` and cut to `to`, microseconds; those outside are left out, all else is kept. */
export function retimed(text: string, from: number, to: number): string {
  const blocks = text.replace(/\r\n?/g, '\n').split(/\n{2,}/).flatMap((block) => {
    const lines = block.split('\n');
    const at = lines.findIndex((line) => line.includes('-->'));
    const [, first, last, settings] = /^\s*(\S+)\s+-->\s+(\S+)(.*)$/.exec(lines[at] ?? '') ?? [];
    const begin = micros(first ?? '');
    const end = micros(last ?? '');
    if (at < 0 || at > 1 || begin === undefined || end === undefined) return [block];
    if (end <= from || begin >= to) return [];
    lines[at] = `${stampOf(Math.max(begin, from) - from)} --> ${stampOf(Math.min(end, to) - from)}${settings ?? ''}`;
    return [lines.join('\n')];
  });
  return `${blocks.map((block) => block.replace(/\n+$/, '')).join('\n\n')}\n`;
}
