/** The panel's page `View`: what makes sense only inside. */
import type { Command } from '@fabrica/scene';

export interface ViewActions { recentre: () => void; scaleTo: (scale: number) => void; scale: () => number; seat: () => void; seated: () => boolean; leave: () => void }

const page = 'View';

export function viewCommands(act: ViewActions): Command[] {
  const button = (id: string, text: string, run: () => void, on?: () => boolean): Command => ({ kind: 'button', id, page, label: () => text, run, ...(on ? { on } : {}) });
  const sized = (id: string, text: string, scale: number): Command => button(id, text, () => act.scaleTo(scale), () => Math.abs(act.scale() - scale) < 0.005);
  return [
    button('xr.recentre', 'Bring to me', act.recentre),
    button('xr.seated', 'Seated', act.seat, act.seated),
    button('xr.leave', 'Leave', act.leave),
    sized('xr.life', 'Life size', 1), sized('xr.double', 'Twice', 2), sized('xr.half', 'Half', 0.5), sized('xr.large', 'Five times', 5),
    { kind: 'text', id: 'xr.help', page, label: () => 'Squeeze, or pinch on the model, holds it; two hands turn and scale it. Stick forward: go there. Stick aside: turn. Hands: pinch on the ring on the floor.' },
  ];
}
