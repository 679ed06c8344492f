"""NIfTI files between us, nibabel and nifti_tool: the same voxels in the same places.
Usage: nifti.py NIFTI_CLI"""

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
OURS = [np.uint8, np.int16, np.uint16, np.int32, np.float32]  # fab_dtype


def rotation(rng):
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return q  # proper or not, as it comes


def affine(rng, sheared):
    m = np.eye(4)
    m[:3, :3] = rotation(rng) @ np.diag(rng.uniform(0.3, 5, 3))
    if sheared:
        m[:3, 2] += 0.2 * m[:3, 1]
    m[:3, 3] = rng.uniform(-600, 600, 3)
    return m


def make(rng, dtype, kind, path):
    shape = tuple(int(n) for n in rng.integers(1, 14, 3))
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        data = rng.integers(max(info.min, -30000), min(int(info.max), 30000), shape).astype(dtype)
    else:
        data = rng.standard_normal(shape).astype(dtype)
    matrix = affine(rng, kind == "sheared")
    cls = nib.Nifti2Image if kind == "nifti2" else nib.Nifti1Image
    image = cls(data, matrix, dtype=dtype)
    if kind == "qform":
        image.set_sform(None, 0)
        image.set_qform(matrix, 1)
    if kind == "big":
        image = cls(data.astype(np.dtype(dtype).newbyteorder(">")), matrix,
                    cls.header_class(endianness=">"), dtype=np.dtype(dtype).newbyteorder(">"))
    if kind == "scaled":
        image.header.set_slope_inter(0.5, -3)
    nib.save(image, path)


def check_read(cli, path, folder):
    """Our reading of a nibabel file against nibabel's own."""
    raw = folder / "raw"
    out = subprocess.run([cli, "show", path, raw], check=True, capture_output=True, text=True)
    ours = json.loads(out.stdout)
    theirs = nib.load(path)
    matrix = np.vstack([np.array(ours["matrix"]).reshape(3, 4), [0, 0, 0, 1]])
    assert np.allclose(matrix, LPS @ theirs.affine, atol=1e-3), (matrix, theirs.affine)
    data = np.fromfile(raw, OURS[ours["type"]]).reshape(ours["size"], order="F")
    expected = np.asanyarray(theirs.dataobj)
    assert data.shape == expected.shape
    assert np.array_equal(data.astype(np.float32), expected.astype(np.float32)), path
    return data


def check_written(path, data, matrix, sheared, tool):
    """nibabel's and nifti_tool's reading of a file we wrote."""
    image = nib.load(path)
    assert np.array_equal(np.asanyarray(image.dataobj).astype(np.float32), data.astype(np.float32))
    sform, scode = image.get_sform(coded=True)
    qform, qcode = image.get_qform(coded=True)
    assert scode == 1 and np.allclose(sform, matrix, atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_data_dtype() == data.dtype
    if sheared and min(data.shape[1:]) > 1:
        assert qform is None and qcode == 0
    elif not sheared:
        assert qcode == 1 and np.allclose(qform, sform, atol=2e-3), (qform, sform)
    if tool:
        for check in (["-check_hdr"], ["-check_nim"]):
            out = subprocess.run([tool, *check, "-infiles", path], capture_output=True, text=True)
            assert out.returncode == 0 and "GOOD" in out.stdout + out.stderr, out.stdout + out.stderr


def main():
    cli, tool, count = sys.argv[1], shutil.which("nifti_tool"), 0
    rng = np.random.default_rng(1)
    types = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64)
    kinds = ("plain", "sheared", "qform", "big", "nifti2", "scaled")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for (dtype, kind), suffix in itertools.product(itertools.product(types, kinds), (".nii", ".nii.gz")):
            source, copy = folder / f"in{suffix}", folder / f"out{suffix}"
            make(rng, dtype, kind, source)
            data = check_read(cli, source, folder)
            subprocess.run([cli, "copy", source, copy], check=True)
            check_written(copy, data, nib.load(source).affine, kind == "sheared", tool)
            count += 1
    print(f"{count} files agree with nibabel {nib.__version__}" + (" and nifti_tool" if tool else "; no nifti_tool"))


main()
