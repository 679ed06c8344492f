/** What is seen of the devices: a ray that ends where it meets something, and a dot at the tip. */
import { BufferAttribute, BufferGeometry, Group, Line, LineBasicMaterial, Mesh, MeshBasicMaterial, SphereGeometry } from 'three';
import type { Device } from './inputs';
import type { PanelHands } from './panel-hand';

const free = 0.5;

class Ray {
  readonly line: Line<BufferGeometry, LineBasicMaterial>;
  readonly dot: Mesh<SphereGeometry, MeshBasicMaterial>;

  constructor() {
    const geometry = new BufferGeometry().setAttribute('position', new BufferAttribute(new Float32Array([0, 0, 0, 0, 0, -1]), 3));
    this.line = new Line(geometry, new LineBasicMaterial({ color: '#7fe0d6', transparent: true, opacity: 0.7 }));
    this.dot = new Mesh(new SphereGeometry(0.008, 12, 8), new MeshBasicMaterial({ color: '#3fd0c2' }));
    this.line.frustumCulled = false;
  }

  show(device: Device, length: number): void {
    this.line.visible = this.dot.visible = device.tracked;
    this.line.position.copy(device.origin);
    this.line.quaternion.copy(device.ray);
    this.line.scale.set(1, 1, length);
    this.dot.position.copy(device.hasTip ? device.tip : device.origin);
  }
}

export class Rays {
  readonly group = new Group();
  private readonly rays = [new Ray(), new Ray()];

  constructor() {
    for (const ray of this.rays) this.group.add(ray.line, ray.dot);
  }

  step(devices: readonly Device[], panel: PanelHands): void {
    for (let i = 0; i < devices.length; i++) {
      const device = devices[i] as Device;
      this.rays[i]?.show(device, panel.busy[device.side] ? panel.spots[device.side].depth : free);
    }
  }

  dispose(): void {
    this.group.removeFromParent();
    for (const { line, dot } of this.rays) {
      line.geometry.dispose();
      line.material.dispose();
      dot.geometry.dispose();
      dot.material.dispose();
    }
  }
}
