/** A model without a file or a GPU, for tests. */
import { Box3, BufferAttribute, BufferGeometry, Matrix4, SphereGeometry, Vector3 } from 'three';
import { Model } from '../src/model';
import { Body } from '../src/parts';
import type { Part } from '../src/parts';

/** Spheres of 20 mm at these places (scene metres), ids 1, 2, ...; filled as `Model.load` fills it. */
export function spheres(places: readonly (readonly [number, number, number])[], segments = 24): Model {
  const model = new Model({ cutVolume: { value: null }, cutHas: { value: 0 }, cutWindow: { value: new Float32Array([0, 1]) }, textureFromScene: { value: new Matrix4() } });
  const position: number[] = [];
  places.forEach((place, i) => {
    const sphere = new SphereGeometry(0.02, segments, segments / 2).translate(...place);
    const p = sphere.getAttribute('position').array as Float32Array;
    const box = new Box3().setFromArray(p);
    const geometry = new BufferGeometry().setAttribute('position', new BufferAttribute(Float32Array.from(p), 3));
    const part: Part = {
      id: i + 1, name: `sphere ${i + 1}`, row: i + 1, geometry, box, centroid: box.getCenter(new Vector3()), rgb: [200, 200, 200], matrix: new Matrix4(),
      shown: true, opacity: 1, first: position.length / 3, levels: [Uint16Array.from(sphere.index?.array ?? [])],
    };
    position.push(...p);
    model.parts.set(part.id, part);
    model.box.union(box);
  });
  const all = new BufferGeometry().setAttribute('position', new BufferAttribute(Float32Array.from(position), 3))
    .setAttribute('normal', new BufferAttribute(new Float32Array(position.length), 3)).setAttribute('part', new BufferAttribute(new Uint16Array(position.length / 3), 1));
  model.list = [...model.parts.values()];
  model.body = new Body(all, model.list, model.cut, model.root.matrixWorld);
  if (!model.box.isEmpty()) model.box.getCenter(model.middle);
  return model;
}
