/** three carries meshoptimizer's simplifier without types. */
declare module 'three/examples/jsm/libs/meshopt_simplifier.module.js' {
  export const MeshoptSimplifier: {
    ready: Promise<void>;
    /** Indices of fewer triangles over the same vertices, and the error as a share of the mesh's size. `stride`: floats. */
    simplify(indices: Uint32Array, positions: Float32Array, stride: number, count: number, error: number, flags?: string[]): [Uint32Array, number];
  };
}
