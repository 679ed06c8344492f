#!/usr/bin/python3
"""Meshes all structures of one label map with bench_mesh and with VTK, in turns, by CPU time.

VTK (python3-vtk9) runs vtkDiscreteMarchingCubes and vtkWindowedSincPolyDataFilter per label: over
the whole volume (the usual recipe), and, as the fairest rival, over each label's own box only.
"""
import argparse, json, os, subprocess, sys, tempfile, time
import numpy as np


def synthetic_body(shape, count, seed=1):
    """A body with a shell of fat, a muscle layer and many ellipsoid organs and bones, x fastest."""
    rng = np.random.default_rng(seed)
    nx, ny, nz = shape
    z, y, x = np.ogrid[0:nz, 0:ny, 0:nx]
    labels = np.zeros((nz, ny, nx), np.uint8)

    def paint(value, centre, radii):
        low = [max(0, int(c - r - 1)) for c, r in zip(centre, radii)]
        high = [min(n, int(c + r + 2)) for c, r, n in zip(centre, radii, shape)]
        part = tuple(slice(low[a], high[a]) for a in (2, 1, 0))
        xs, ys, zs = (np.arange(low[a], high[a]) for a in range(3))
        d = (((xs - centre[0]) / radii[0]) ** 2)[None, None, :] \
            + (((ys - centre[1]) / radii[1]) ** 2)[None, :, None] \
            + (((zs - centre[2]) / radii[2]) ** 2)[:, None, None]
        labels[part][d <= 1] = value

    for value, scale in ((1, 0.47), (2, 0.44), (3, 0.40)):
        body = ((x - nx / 2) / (scale * nx)) ** 2 + ((y - ny / 2) / (scale * 0.75 * ny)) ** 2
        labels[np.broadcast_to(body <= 1, labels.shape)] = value
    for value in range(4, count + 1):
        big = value % 6 == 0
        r = rng.uniform(0.05, 0.12, 3) if big else rng.uniform(0.015, 0.05, 3)
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.3)
        centre = (nx * (0.5 + reach * np.cos(angle)), ny * (0.5 + 0.7 * reach * np.sin(angle)),
                  rng.uniform(0, nz))
        paint(value, centre, (r[0] * nx, r[1] * ny, r[2] * nz * 1.3))
    return labels


def run_vtk(path, shape, spacing, crop):
    import vtk
    from vtk.util import numpy_support
    labels = np.fromfile(path, np.uint8).reshape(shape[::-1])
    values = [int(v) for v in np.unique(labels) if v]
    start, triangles = time.process_time(), 0

    def image_of(part, low):
        image = vtk.vtkImageData()
        image.SetDimensions(*part.shape[::-1])
        image.SetSpacing(*spacing)
        image.SetOrigin(*(l * s for l, s in zip(low, spacing)))
        array = numpy_support.numpy_to_vtk(np.ascontiguousarray(part).ravel(), deep=False)
        image.GetPointData().SetScalars(array)
        return image, array

    if crop:
        from scipy.ndimage import find_objects
        boxes = find_objects(labels)
    whole = image_of(labels, (0, 0, 0))
    for value in values:
        image = whole
        if crop:
            box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in boxes[value - 1])
            image = image_of(labels[box], [s.start for s in box[::-1]])
        cubes = vtk.vtkDiscreteMarchingCubes()
        cubes.SetInputData(image[0])
        cubes.GenerateValues(1, value, value)
        smooth = vtk.vtkWindowedSincPolyDataFilter()
        smooth.SetInputConnection(cubes.GetOutputPort())
        smooth.SetNumberOfIterations(20)
        smooth.BoundarySmoothingOff()
        smooth.FeatureEdgeSmoothingOff()
        smooth.SetPassBand(0.01)
        smooth.NonManifoldSmoothingOn()
        smooth.NormalizeCoordinatesOn()
        smooth.Update()
        triangles += smooth.GetOutput().GetNumberOfPolys()
    print(json.dumps({"structures": len(values), "triangles": triangles,
                      "cpu_s": round(time.process_time() - start, 3)}))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    root = os.environ.get("FAB_BUILD_ROOT", "build")
    p.add_argument("--bench", default=os.path.join(root, "bench", "bench_mesh"))
    p.add_argument("--labels", help="a label map as NIfTI; otherwise a synthetic body is made")
    p.add_argument("--size", type=int, nargs=3, default=(512, 512, 300))
    p.add_argument("--structures", type=int, default=60)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--out", default="-")
    p.add_argument("--vtk", nargs=8, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.vtk:
        run_vtk(a.vtk[0], tuple(map(int, a.vtk[1:4])), tuple(map(float, a.vtk[4:7])),
                a.vtk[7] == "crop")
        return
    if not os.path.exists(a.bench):
        subprocess.run(["ninja", "-C", root, "bench/bench_mesh"], check=True, stdout=sys.stderr)
    spacing = (0.8, 0.8, 1.0)
    if a.labels:
        import nibabel
        image = nibabel.load(a.labels)
        data = np.ascontiguousarray(np.asarray(image.dataobj).astype(np.uint8).T)
        spacing = tuple(float(s) for s in image.header.get_zooms()[:3])
    else:
        data = synthetic_body(a.size, a.structures)
    shape = data.shape[::-1]
    rows = {"fabrica": [], "vtk": [], "vtk_cropped": []}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "labels.u8")
        data.tofile(path)
        where = [path] + [str(n) for n in shape] + [str(s) for s in spacing]
        del data
        for _ in range(a.rounds):
            for name in rows:
                command = [a.bench] + where
                if name != "fabrica":
                    command = [sys.executable, __file__, "--vtk"] + where
                    command.append("crop" if name == "vtk_cropped" else "whole")
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                rows[name].append(json.loads(done.stdout))
                print(name, rows[name][-1], file=sys.stderr, flush=True)
    best = {name: min(r["cpu_s"] for r in runs) for name, runs in rows.items()}
    result = {"size": shape, "spacing_mm": spacing, "rounds": rows, "best_cpu_s": best,
              "times_less_cpu_than_vtk": round(best["vtk"] / best["fabrica"], 2),
              "times_less_cpu_than_vtk_cropped": round(best["vtk_cropped"] / best["fabrica"], 2),
              "load_average": os.getloadavg()}
    text = json.dumps(result, indent=1) + "\n"
    if a.out == "-":
        sys.stdout.write(text)
    else:
        with open(a.out, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()
