/** Light and dark: the system's choice until somebody makes their own. */
const key = 'fabrica-theme';
export type Theme = 'light' | 'dark';

const system = (): Theme => (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark');

function stored(): Theme | undefined {
  try {
    const value = localStorage.getItem(key);
    return value === 'light' || value === 'dark' ? value : undefined;
  } catch { return undefined; }
}

export const theme = (): Theme => (document.documentElement.dataset['theme'] as Theme | undefined) ?? system();

/** Sets a theme; remembers it if `keep`. */
export function setTheme(value: Theme, keep: boolean): void {
  document.documentElement.dataset['theme'] = value;
  if (!keep) return;
  try { localStorage.setItem(key, value); } catch { /* private window: for this visit alone */ }
}

export const startTheme = (): void => setTheme(stored() ?? system(), false);
