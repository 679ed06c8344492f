/** The server's lessons and its live channel, as a recorder needs it. */
import type { Wire } from '@fabrica/lesson';
import { getJson, send } from './api';

/** A row of GET /api/v1/lessons. `model`: was it recorded on this twin; `error`: why it is not served. */
export interface LessonInfo {
  name: string; bytes: number; title?: string; language?: string; created?: string; duration_us?: number; cut?: boolean;
  chapters?: { t: number; title: string }[]; model?: 'same' | 'other' | 'unknown'; sha256?: string; error?: string;
}

export const listLessons = async (): Promise<LessonInfo[]> => (await getJson<{ lessons: LessonInfo[] }>('/api/v1/lessons')).lessons;

export const lessonPath = (name: string): string => `/api/v1/lessons/${encodeURIComponent(name)}`;

/** Takes a lesson away for good; the owner alone may. */
export const removeLesson = (name: string): Promise<void> => send('DELETE', lessonPath(name));

/** Opens the live channel; what is sent before it is open waits. */
export function liveWire(): Wire {
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/live`, 'fabrica.live.1');
  const waiting: (string | Uint8Array)[] = [];
  const send = (data: string | Uint8Array): void => socket.send(data as string);
  socket.addEventListener('open', () => { for (const data of waiting.splice(0)) send(data); });
  return {
    send: (data) => { if (socket.readyState === WebSocket.CONNECTING) waiting.push(data); else if (socket.readyState === WebSocket.OPEN) send(data); },
    listen: (on, closed) => {
      socket.addEventListener('message', ({ data }) => { if (typeof data === 'string') on(JSON.parse(data) as Record<string, unknown>); });
      socket.addEventListener('close', closed, { once: true });
    },
    close: () => socket.close(),
    pending: () => socket.bufferedAmount,
  };
}
