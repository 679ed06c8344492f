/** Pen strokes: lines that lie on a structure and move with it. */
import { Vector3 } from 'three';
import type { Group } from 'three';
import { Line2 } from 'three/examples/jsm/lines/Line2.js';
import { LineGeometry } from 'three/examples/jsm/lines/LineGeometry.js';
import { LineMaterial } from 'three/examples/jsm/lines/LineMaterial.js';
import type { Annotation, State } from '@fabrica/contract';
import type { Model } from './model';
import { sceneOf } from './space';

function lineOf(annotation: Annotation): Line2 {
  const point = new Vector3();
  const flat = annotation.points.flatMap((p) => sceneOf(p, point).toArray());
  const geometry = new LineGeometry().setPositions(flat);
  const [r, g, b] = annotation.rgb;
  const material = new LineMaterial({ color: (r << 16) | (g << 8) | b, linewidth: annotation.width / 10000, worldUnits: true });
  material.polygonOffset = true;
  material.polygonOffsetFactor = -4;
  material.polygonOffsetUnits = -4;
  const line = new Line2(geometry, material);
  line.userData['annotation'] = annotation;
  return line;
}

export class Strokes {
  private readonly lines = new Map<string, Line2>();

  constructor(private readonly model: Model) {}

  /** Adds and removes lines so that they are those of `state`. */
  apply(state: State): void {
    for (const [name, line] of this.lines) {
      if (state.annotations[name] !== line.userData['annotation']) this.remove(name, line);
    }
    for (const [name, annotation] of Object.entries(state.annotations)) {
      if (annotation.kind === 'stroke' && annotation.points.length > 1 && !this.lines.has(name)) this.add(name, annotation);
    }
  }

  private add(name: string, annotation: Annotation): void {
    const line = lineOf(annotation);
    const parent: Group = (annotation.id === undefined ? undefined : this.model.parts.get(annotation.id)?.group) ?? this.model.root;
    parent.add(line);
    this.lines.set(name, line);
  }

  private remove(name: string, line: Line2): void {
    line.removeFromParent();
    line.geometry.dispose();
    line.material.dispose();
    this.lines.delete(name);
  }
}
