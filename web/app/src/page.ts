/**
 * The "network" of a bundle: a page that answers from itself. build.mjs puts this `fetch` in the place of
 * the browser's in all of the bundle's code, so that nothing in it can ask a server; the page's policy
 * forbids it besides. What `fabrica view --bundle` put into the page are blocks
 *
 *     <script type="text/plain" data-path="/api/v1/..." data-type="MEDIA TYPE" data-packed>base64</script>
 *
 * data-packed: gzip below the base64.
 */
const blocks = new Map<string, HTMLElement>();

for (const block of document.querySelectorAll<HTMLElement>('script[data-path]')) blocks.set(block.dataset['path'] ?? '', block);

/** A lesson that came with the page is in its address, as in the links that a server prints. */
function nameLesson(): void {
  const path = [...blocks.keys()].find((key) => key.startsWith('/api/v1/lessons/'));
  if (path === undefined || location.search !== '') return;
  try {
    history.replaceState(null, '', `?lesson=${path.slice(path.lastIndexOf('/') + 1)}${location.hash}`);
  } catch { /* a browser that lets no page from the disk name its address: the list has the lesson */ }
}

nameLesson();

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function refusal(status: number, code: string, message: string): Response {
  return new Response(JSON.stringify({ error: { code, message } }), { status, headers: { 'content-type': 'application/json' } });
}

/** As the browser's, for what the page holds: GET of a path. Ranges are not given: the whole is in memory anyway. */
export async function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const path = new URL(input instanceof Request ? input.url : input, 'file:///').pathname;
  if ((init?.method ?? 'GET') !== 'GET') return refusal(405, 'bundle', 'This page is one file: there is no server to change anything.');
  const block = blocks.get(decodeURIComponent(path));
  if (!block) return refusal(404, 'not-found', 'This page does not hold that.');
  const bytes = bytesOf(block.textContent ?? '');
  const body = block.dataset['packed'] === undefined ? bytes : new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(body, { headers: { 'content-type': block.dataset['type'] ?? 'application/octet-stream' } });
}
