#!/usr/bin/python3
"""check_enhanced.py DICOM_MAKE DICOM_DUMP: a series as one multi-frame object is the same volume.

Our classic series are turned into Enhanced CT by pydicom, frames shuffled, rescale by frame, in
several syntaxes and without a meta header; the volume read back must equal the classic one's.
"""
import copy
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"


def item(**values):
    d = Dataset()
    for k, v in values.items():
        setattr(d, k, v)
    return Sequence([d])


def enhanced(files, order):
    slices = [pydicom.dcmread(f) for f in files]
    d = copy.deepcopy(slices[0])
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = ENHANCED_CT
    d.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=d.ImageOrientationPatient)
    shared.PixelMeasuresSequence = item(PixelSpacing=d.PixelSpacing, SliceThickness=d.SliceThickness)
    for k in ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
              "RescaleIntercept", "RescaleType", "SliceThickness"]:
        delattr(d, k)
    frames, pixels = [], []
    for n, i in enumerate(order):
        s, g = slices[i], Dataset()
        intercept = -100 - n  # stored values shifted the other way: the same HU
        g.PlanePositionSequence = item(ImagePositionPatient=s.ImagePositionPatient)
        g.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=intercept, RescaleType="HU")
        g.FrameContentSequence = item(StackID="1", InStackPositionNumber=i + 1)
        frames.append(g)
        pixels.append(s.pixel_array.astype(np.int32) - intercept)
    d.SharedFunctionalGroupsSequence = Sequence([shared])
    d.PerFrameFunctionalGroupsSequence = Sequence(frames)
    d.PixelData = np.stack(pixels).astype("<i2").tobytes()
    return d


def dump(tool, folder, out):
    r = subprocess.run([tool, "series", folder, out], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout
    text = r.stdout.split(None, 15)
    return [float(t) for t in text[:15]], text[15].split()[0], np.fromfile(out, "<f4")


def same(a, b):
    return np.allclose(a[0], b[0], atol=1e-9) and a[1] == b[1] and (a[2] == b[2]).all()


def main():
    make, tool = sys.argv[1:3]
    for kind in ["axial", "oblique", "tilted"]:
        with tempfile.TemporaryDirectory() as top:
            os.mkdir(f"{top}/e")
            subprocess.run([make, top, kind], check=True)
            files = sorted(f"{top}/ct/{n}" for n in os.listdir(f"{top}/ct"))
            order = np.random.RandomState(5).permutation(len(files))
            classic = dump(tool, f"{top}/ct", f"{top}/out")
            path = f"{top}/e/multi.dcm"
            enhanced(files, order).save_as(path, write_like_original=False)
            assert same(dump(tool, f"{top}/e", f"{top}/out"), classic), f"{kind}: explicit"
            met = ["explicit"]
            for program in [["dcmcjpls"], ["dcmcjpeg"], ["dcmcrle"], ["dcmconv", "+tb"],
                            ["dcmconv", "+ti", "-F"], ["dcmconv", "+td"]]:
                try:
                    subprocess.run(program + [path, f"{path}.2"], check=True, capture_output=True)
                except FileNotFoundError:
                    continue
                os.rename(f"{path}.2", f"{top}/two")
                os.rename(path, f"{top}/one")
                os.rename(f"{top}/two", path)
                assert same(dump(tool, f"{top}/e", f"{top}/out"), classic), f"{kind}: {program}"
                os.rename(f"{top}/one", path)
                met.append(" ".join(program))
            print(f"ok {kind}: {classic[1]}, {len(files)} frames; {', '.join(met)}")


main()
