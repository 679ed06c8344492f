/** Elements in one call, and icons. All the framework there is (ADR 0110). */
import { icons } from './icons';
import type { IconName } from './icons';

export type Child = Node | string | number | null | undefined | false | readonly Child[];
type Handlers = { [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => void };
export type Props = Handlers & { class?: string; [name: string]: unknown };

function append(parent: Element, children: readonly Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(parent, child as readonly Child[]);
    else parent.append(child instanceof Node ? child : String(child));
  }
}

/** An element. `on...` are listeners, booleans are attributes present or not, the rest are attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false || value === null) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value as EventListener);
    else if (name === 'value') (element as unknown as HTMLInputElement).value = String(value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

const svgSpace = 'http://www.w3.org/2000/svg';

/** An SVG element with attributes. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Record<string, string | number>, ...children: Element[]): SVGElementTagNameMap[K] {
  const element = document.createElementNS(svgSpace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** A 20 px line icon. */
export function icon(name: IconName): SVGElement {
  const paths = icons[name].split('|').map((d) => svg('path', { d }));
  return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' }, ...paths);
}

/** A button with an icon and a name for those who cannot see it. */
export function iconButton(name: IconName, label: string, onclick: (event: MouseEvent) => void, extra: Props = {}): HTMLButtonElement {
  const { class: more, ...rest } = extra;
  return h('button', { type: 'button', class: `icon-button ${more ?? ''}`, 'aria-label': label, title: label, onclick, ...rest }, icon(name));
}

/** Replaces all children. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

/** Sets a boolean ARIA state. */
export const pressed = (element: Element, on: boolean): void => element.setAttribute('aria-pressed', String(on));
