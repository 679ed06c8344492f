/** The server's routes. Errors become an ApiError with the server's own words. */
import type { LevelInfo } from '@fabrica/scene';

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
    this.name = 'ApiError';
  }
}

export interface SessionInfo { paired: boolean; role?: string; expires_s?: number }
export interface CaseFile { path: string; bytes: number; sha256: string; type?: string }
/** low, high: null until the level was read. */
export interface VolumeLevel extends LevelInfo { bytes: number; low?: number | null; high?: number | null }
export interface CaseView {
  format: string;
  format_version: number;
  name: string;
  manifest: string;
  /** SHA-256 of the manifest on the disk: what lessons name. A viewer is sent another one, without the patient. */
  manifest_sha256?: string;
  files: CaseFile[];
  volume?: { levels: VolumeLevel[] } | null;
  labels?: { levels?: VolumeLevel[] } | null;
  role: string;
  read_only: boolean;
}

export type Progress = (got: number, of: number) => void;

async function failure(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as { error?: { code?: string; message?: string } };
    return new ApiError(response.status, error?.code ?? 'error', error?.message ?? `The server answered ${response.status}.`);
  } catch {
    return new ApiError(response.status, 'error', `The server answered ${response.status}.`);
  }
}

async function ask(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...init });
  } catch {
    throw new ApiError(0, 'offline', 'The server does not answer. Is "fabrica view" still running, and are you on the same network?');
  }
  if (!response.ok) throw await failure(response);
  return response;
}

export const getSession = async (): Promise<SessionInfo> => (await ask('/api/v1/session')).json() as Promise<SessionInfo>;

/** Pairs by code or link. Throws an ApiError: 401 wrong, 429 locked, 410 expired. */
export async function pair(by: { code: string } | { link: string }): Promise<void> {
  await ask('/api/v1/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(by) });
}

/** Asks for a change that answers nothing. */
export async function send(method: 'DELETE', path: string): Promise<void> { await ask(path, { method }); }

export interface Link { url: string; token: string; expires_s: number }

/** A link for others to look; the owner alone may make one. */
export const makeLink = async (minutes: number): Promise<Link> =>
  (await ask('/api/v1/links', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ role: 'view', minutes }) })).json() as Promise<Link>;

export const getJson = async <T>(path: string): Promise<T> => (await ask(path)).json() as Promise<T>;

/** A file whole, told of as it comes. `bytes`: how many are expected, where known. */
export async function getBytes(path: string, bytes: number, progress?: Progress): Promise<ArrayBuffer> {
  const response = await ask(path);
  if (!response.body || !progress) return response.arrayBuffer();
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let got = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    got += value.length;
    progress(got, Math.max(bytes, got));
  }
  const whole = new Uint8Array(got);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.buffer;
}

/** Path of a file of the case. */
export const filePath = (path: string): string => `/api/v1/case/files/${path.split('/').map(encodeURIComponent).join('/')}`;
