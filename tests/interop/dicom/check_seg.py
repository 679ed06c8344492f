#!/usr/bin/python3
"""check_seg.py DICOM_MAKE: our SEG, read back by pydicom and judged by dciodvfy.

For series in several orientations: every voxel of every frame equals the label map, frames lie where
their source slices lie, segments are numbered without gaps, left and right carry different codes, and
a second run gives the same bytes.
"""
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import pydicom
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

VALUES = {1: 3, 2: 5, 3: 7, 4: 11, 5: 300}  # segment number -> label value; 9 is absent


def check(condition, text):
    if not condition:
        raise SystemExit(f"FAILED: {text}")


def frames_of(ds):
    bits = np.unpackbits(np.frombuffer(ds.PixelData, np.uint8), bitorder="little")
    n, rows, columns = int(ds.NumberOfFrames), ds.Rows, ds.Columns
    check(len(ds.PixelData) % 2 == 0, "Pixel Data of odd length")
    return bits[: n * rows * columns].reshape(n, rows, columns)


def check_dciodvfy(path):
    if not shutil.which("dciodvfy"):
        return "dciodvfy absent"
    r = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
    errors = [l for l in (r.stdout + r.stderr).splitlines() if l.startswith("Error")]
    check(not errors, f"dciodvfy {path}: {errors}")
    return "dciodvfy 0 errors"


def check_segments(ds):
    numbers = [s.SegmentNumber for s in ds.SegmentSequence]
    check(numbers == list(range(1, len(numbers) + 1)), f"segment numbers {numbers}")
    sides = {}
    for s in ds.SegmentSequence:
        t = s.SegmentedPropertyTypeCodeSequence[0]
        m = t.get("SegmentedPropertyTypeModifierCodeSequence")
        sides[s.TrackingID] = m[0].CodeValue if m else None
        check(len(s.RecommendedDisplayCIELabValue) == 3, "no colour")
        check(s.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "test boxes", "algorithm")
    check(sides["kidney_left"] == "7771000" and sides["kidney_right"] == "24028007", f"sides {sides}")
    check(len({s.TrackingUID for s in ds.SegmentSequence}) == len(numbers), "tracking UIDs")


def check_frames(ds, labels, matrix, resampled, sources):
    got = np.zeros_like(labels)
    step = matrix[:, 2]
    for f, g in zip(frames_of(ds), ds.PerFrameFunctionalGroupsSequence):
        position = np.array(g.PlanePositionSequence[0].ImagePositionPatient, float)
        k = float((position - matrix[:, 3]) @ step / (step @ step))
        check(abs(k - round(k)) < 1e-6, f"a frame at slice {k}")
        k = round(k)
        check(np.allclose(position, matrix[:, 3] + k * step, atol=1e-6), "a frame beside its slice")
        n = g.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        check(list(g.FrameContentSequence[0].DimensionIndexValues) == [n, k + 1], "dimension index")
        check(f.any(), "an empty frame")
        got[k][f == 1] = VALUES[n]
        images = g.DerivationImageSequence[0].SourceImageSequence
        for image in images:
            source = sources[image.ReferencedSOPInstanceUID]
            preserved = image.SpatialLocationsPreserved
            check(preserved == ("NO" if resampled else "YES"), f"locations preserved {preserved}")
            off = np.array(source.ImagePositionPatient, float) - position
            normal = np.cross(matrix[:, 0], matrix[:, 1])
            along = abs(off @ normal) / np.linalg.norm(normal)
            check(along < 1e-3, f"source image {along} mm from its frame")
            check(resampled or np.allclose(off, 0, atol=1e-6), "source image elsewhere")
    check((got == labels).all(), "voxels differ")


def check_kind(make, kind, folder):
    subprocess.run([make, folder, kind], check=True)
    ds = pydicom.dcmread(f"{folder}/seg.dcm")
    text = open(f"{folder}/grid.txt").read().split()
    size = [int(v) for v in text[:3]]
    matrix = np.array([float(v) for v in text[3:15]]).reshape(3, 4)
    labels = np.fromfile(f"{folder}/labels.bin", "<u2").reshape(size[2], size[1], size[0])
    sources = {}
    for name in sorted(os.listdir(f"{folder}/ct")):
        s = pydicom.dcmread(f"{folder}/ct/{name}", stop_before_pixels=True)
        sources[s.SOPInstanceUID] = s
    one = next(iter(sources.values()))
    check(ds.FrameOfReferenceUID == one.FrameOfReferenceUID, "frame of reference")
    check(ds.StudyInstanceUID == one.StudyInstanceUID, "study")
    check(ds.ReferencedSeriesSequence[0].SeriesInstanceUID == one.SeriesInstanceUID, "series")
    listed = {i.ReferencedSOPInstanceUID for i in ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
    check(listed == set(sources), "referenced instances")
    check_segments(ds)
    check_frames(ds, labels, matrix, text[15] == "1", sources)
    verdicts = {check_dciodvfy(f"{folder}/seg.dcm"), check_dciodvfy(f"{folder}/ct/IMG00002.dcm")}
    print(f"ok {kind}: {ds.NumberOfFrames} frames, {len(ds.SegmentSequence)} segments, {verdicts}")


def main():
    with tempfile.TemporaryDirectory() as top:
        for kind in ["axial", "feet", "coronal", "oblique", "tilted"]:
            for run in ["a", "b"]:
                os.makedirs(f"{top}/{run}/{kind}")
            check_kind(sys.argv[1], kind, f"{top}/a/{kind}")
            subprocess.run([sys.argv[1], f"{top}/b/{kind}", kind], check=True)
            check(filecmp.cmp(f"{top}/a/{kind}/seg.dcm", f"{top}/b/{kind}/seg.dcm", shallow=False),
                  "two runs, different bytes")


main()
