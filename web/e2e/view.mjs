/** `fabrica view` on a free port. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Starts it; resolves to its address, the owner's link, and what ends it. `web`: the client it serves. */
export function view(program, caseDir, web = fileURLToPath(new URL('../dist', import.meta.url))) {
  const child = spawn(program, ['view', caseDir, '--host', '127.0.0.1', '--port', '0', '--web', web]);
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout.on('data', (text) => {
      said += text;
      const link = /http:\S+#link=\S+/.exec(said);
      if (link && /code +\d{6}/.test(said)) resolve({ url: new URL(link[0]).origin, link: link[0], close: () => child.kill() });
    });
    child.stderr.on('data', (text) => { said += text; });
    child.on('exit', (code) => reject(new Error(`fabrica view ended with ${code}: ${said}`)));
  });
}
