/** Keyboard shortcuts: one table for the keys and for the help sheet. */
import { structureOf } from '@fabrica/contract';
import type { Preset } from '@fabrica/scene';
import type { App } from './app';

export interface Commands {
  help: () => void;
  theme: () => void;
  toggleCut: () => void;
  toggleSlices: () => void;
}

export const shortcuts: readonly { title: string; keys: readonly [string, string][] }[] = [
  { title: 'View', keys: [['1 … 6', 'front, back, left, right, top, bottom'], ['0', 'oblique'], ['F', 'focus on the selection, or all'], ['D', 'model alone, with slices, four panes'], ['T', 'light or dark']] },
  { title: 'Structures', keys: [['H', 'hide or show the selected'], ['I', 'isolate the selected'], ['A', 'show all'], ['G', 'fade the selected'], ['/', 'search'], ['Esc', 'leave a tool, clear the selection']] },
  { title: 'Scene', keys: [['C', 'cut on or off'], ['S', 'slices in the model on or off'], ['E', 'explode, more with each press'], ['Ctrl Z', 'undo'], ['Ctrl Y', 'redo'], ['R', 'reset the scene']] },
  { title: 'Tools', keys: [['V', 'select'], ['M', 'measure a distance'], ['N', 'measure an angle'], ['P', 'pen'], ['W', 'arrow'], ['L', 'label'], ['?', 'this sheet']] },
  { title: 'Lessons', keys: [['J', 'lessons'], ['Space', 'play or pause'], [', .', 'chapter before, after'], ["; '", 'five seconds back, on'], ['B', 'see what the instructor sees'], ['U', 'captions'], ['Backspace', 'return to the instructor']] },
  { title: 'Mouse and touch', keys: [['Drag', 'turn the model'], ['Right drag', 'move it; in a slice: window and level'], ['Wheel', 'zoom; in a slice: next slice'], ['Ctrl Wheel', 'in a slice: zoom'], ['Double click', 'focus on a structure']] },
];

const views: readonly Preset[] = ['front', 'back', 'left', 'right', 'top', 'bottom'];

function structureKeys(app: App): Record<string, () => void> {
  const selected = (act: (id: number) => void) => () => { if (app.ui.selected !== undefined) act(app.ui.selected); };
  return {
    h: selected((id) => app.act({ op: 'structure.show', args: { ids: [id], visible: !structureOf(app.state, id).visible } })),
    i: selected((id) => app.act({ op: 'structure.only', args: { ids: [id] } })),
    g: selected((id) => app.act({ op: 'structure.fade', args: { ids: [id], opacity: structureOf(app.state, id).opacity < 1000 ? 1000 : 250 } })),
    a: () => { app.act({ op: 'structure.only', args: { ids: [] } }); },
    f: () => app.stage.look(undefined, app.ui.selected === undefined ? undefined : [app.ui.selected]),
    e: () => { app.act({ op: 'explode', args: { amount: app.state.explode >= 1000 ? 0 : Math.min(1000, app.state.explode + 250) } }); },
    r: () => app.reset(),
  };
}

function table(app: App, commands: Commands): Record<string, () => void> {
  const keys: Record<string, () => void> = {
    ...structureKeys(app),
    0: () => app.stage.look('oblique'),
    c: commands.toggleCut, s: commands.toggleSlices, t: commands.theme, '?': commands.help,
    d: () => app.set({ layout: app.ui.layout === 'model' ? 'split' : app.ui.layout === 'split' ? 'quad' : 'model' }),
    v: () => app.set({ tool: 'select' }), m: () => app.set({ tool: 'distance' }), n: () => app.set({ tool: 'angle' }),
    p: () => app.set({ tool: 'pen' }), w: () => app.set({ tool: 'arrow' }), l: () => app.set({ tool: 'label' }),
    '/': () => { app.set({ sheet: 'structures' }); document.getElementById('search')?.focus(); },
    escape: () => { if (app.ui.tool !== 'select' || app.ui.pending.length > 0) app.set({ tool: 'select', pending: [] }); else if (app.ui.sheet !== 'none') app.set({ sheet: 'none' }); else app.select(undefined); },
  };
  views.forEach((view, i) => { keys[String(i + 1)] = () => app.stage.look(view); });
  return keys;
}

/** Listens for shortcuts, but not while somebody types or a dialog is open. */
export function listenToKeys(app: App, commands: Commands): void {
  const keys = table(app, commands);
  addEventListener('keydown', (event) => {
    const target = event.target as HTMLElement;
    if (document.querySelector('dialog[open]')) return;
    const typing = target instanceof HTMLInputElement && target.type !== 'range' && target.type !== 'checkbox';
    if (typing) {
      if (event.key === 'Escape') target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase();
      const redo = key === 'y' || (key === 'z' && event.shiftKey);
      if (!redo && key !== 'z') return;
      event.preventDefault();
      if (redo) app.session.redo();
      else app.session.undo();
      return;
    }
    if (event.altKey) return;
    const run = keys[event.key.toLowerCase()];
    if (!run) return;
    event.preventDefault();
    run();
  });
}
