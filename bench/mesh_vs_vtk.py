#!/usr/bin/python3
"""Meshes all structures of one label map with bench_mesh and with VTK, in turns, by CPU time.

VTK (python3-vtk9) runs vtkDiscreteMarchingCubes and vtkWindowedSincPolyDataFilter per label: over
the whole volume (the usual recipe), and, as the fairest rival, over each label's own box only.
"""
import argparse, json, os, subprocess, sys, tempfile, time
import numpy as np


# 512 x 512 x 300 voxels of the phantom, thorax to thighs.
PHANTOM = ["--seed", "1", "--fov", "409.6,409.6", "--spacing", "0.8,0.8,1.5", "--range", "-100,350"]


def phantom_labels(program, folder):
    subprocess.run([program, "phantom", "-q", *PHANTOM, "-o", folder], check=True)
    return os.path.join(folder, "truth", "labels.nii.gz")


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
    p.add_argument("--labels", help="a label map as NIfTI; otherwise the phantom's, 512x512x300")
    p.add_argument("--program", default=os.path.join(root, "fabrica"))
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
    import nibabel
    rows = {"fabrica": [], "vtk": [], "vtk_cropped": []}
    with tempfile.TemporaryDirectory() as folder:
        image = nibabel.load(a.labels or phantom_labels(a.program, os.path.join(folder, "phantom")))
        data = np.ascontiguousarray(np.asarray(image.dataobj).astype(np.uint8).T)
        spacing, shape = tuple(float(s) for s in image.header.get_zooms()[:3]), data.shape[::-1]
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
