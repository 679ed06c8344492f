#!/usr/bin/python3
"""check_decode.py DICOM_DUMP DATA_FOLDER: our decoder against others, value for value.

Every file of dicom_fixtures either gives the stored values that an independent decoder gives (GDCM
by way of pydicom; pydicom itself for native, RLE and deflated), or is refused with a reason that
names it. All 16 transfer syntaxes of the folder must have been met.
"""
import os
import subprocess
import sys
import tempfile
import zlib

try:
    import gdcm  # noqa: F401
    import numpy as np
    import pydicom
    from pydicom.pixel_data_handlers import gdcm_handler, numpy_handler, rle_handler
except ImportError as e:
    print(f"skipped: {e}")
    sys.exit(77)

SYNTAXES = 16
DEFLATED_FRAME = "1.2.840.10008.1.2.8.1"
# not images of 1, 8 or 16 bits in one channel: refused, by these words
REFUSED = ["no Pixel Data", "Bits Allocated (0028,0100) is 32", "malformed", "Number of Frames",
           "not a DICOM file"]


def native(ds, frames):
    """Stored bits moved down, sign extended."""
    bits, high = ds.BitsStored, ds.HighBit
    raw = frames.astype(np.int64) & ((1 << ds.BitsAllocated) - 1)
    v = (raw >> (high + 1 - bits)) & ((1 << bits) - 1)
    return np.where((v >> (bits - 1)) & (ds.PixelRepresentation == 1), v - (1 << bits), v)


def deflated_frames(ds):
    count, size = int(ds.get("NumberOfFrames", 1)), ds.Rows * ds.Columns
    out = []
    for fragment in pydicom.encaps.generate_pixel_data(ds.PixelData):
        plain = zlib.decompressobj(-15).decompress(b"".join(fragment))
        out.append(np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")[:size])
    return np.stack(out).reshape(count, ds.Rows, ds.Columns)


def encapsulated_bits(ds, path):
    """Bit-packed frames in RLE or JPEG 2000: pydicom 2.3 and GDCM 3.0.21 do not read them."""
    count, size = int(ds.get("NumberOfFrames", 1)), ds.Rows * ds.Columns
    frames = [b"".join(f) for f in pydicom.encaps.generate_pixel_data(ds.PixelData, count)]
    if ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5":
        plain = [rle_handler._rle_decode_segment(f[64:]) for f in frames]
        bits = [np.unpackbits(np.frombuffer(bytes(p), np.uint8), bitorder="little")[:size] for p in plain]
        return np.stack(bits).reshape(count, ds.Rows, ds.Columns)
    out = []
    with tempfile.TemporaryDirectory() as top:
        for f in frames:
            open(f"{top}/f.j2k", "wb").write(f)
            subprocess.run(["opj_decompress", "-i", f"{top}/f.j2k", "-o", f"{top}/f.raw"],
                           check=True, capture_output=True)
            out.append(np.fromfile(f"{top}/f.raw", np.uint8).reshape(ds.Rows, ds.Columns))
    return np.stack(out)


def expected(path):
    ds = pydicom.dcmread(path, force=True)
    if not hasattr(ds, "file_meta") or "TransferSyntaxUID" not in ds.file_meta:
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    uid = ds.file_meta.TransferSyntaxUID
    count = int(ds.get("NumberOfFrames", 1))
    if uid == DEFLATED_FRAME:
        return uid, deflated_frames(ds)
    if ds.BitsAllocated == 1 and "PixelData" in ds and uid.is_compressed and uid != "1.2.840.10008.1.2.1.99":
        return uid, encapsulated_bits(ds, path)
    handler = gdcm_handler if uid.is_compressed and uid != "1.2.840.10008.1.2.1.99" else numpy_handler
    if handler is numpy_handler:
        flat = numpy_handler.get_pixeldata(ds)
    else:
        flat = gdcm_handler.get_pixeldata(ds)
    frames = flat.reshape(count, ds.Rows, ds.Columns)
    return uid, frames if ds.BitsAllocated == 1 else native(ds, frames)


def main():
    dump, folder = sys.argv[1], sys.argv[2]
    if not os.path.isdir(folder):
        print("skipped: shared data absent")
        sys.exit(77)
    met, exact, refused, bad = set(), 0, 0, []
    with tempfile.TemporaryDirectory() as top:
        for name in sorted(os.listdir(folder)):
            path, out = f"{folder}/{name}", f"{top}/out"
            r = subprocess.run([dump, "frames", path, out], capture_output=True, text=True)
            text = r.stdout.strip()
            if r.returncode:
                fine = any(w in text for w in REFUSED)
                refused += fine
                print(f"{'refused' if fine else 'FAILED '} {name}: {text[-150:]}")
                bad += [] if fine else [name]
                continue
            columns, rows, count, _, _, uid = text.split()
            got = np.fromfile(out, "<i4").reshape(int(count), int(rows), int(columns))
            try:
                want_uid, want = expected(path)
            except Exception as e:  # the other decoder's failure is not ours: say so
                print(f"unread  {name} ({uid}): the other decoder says {str(e)[:100]!r}")
                bad.append(name)
                continue
            met.add(uid)
            same = want_uid == uid and (got == want).all()
            exact += bool(same)
            worst = np.abs(got.astype(np.int64) - want).max()
            print(f"{'exact  ' if same else 'FAILED '} {name} ({uid}) {got.shape} worst {worst}")
            bad += [] if same else [name]
    print(f"{exact} exact, {refused} refused, {len(met)} transfer syntaxes, {len(bad)} bad")
    sys.exit(1 if bad or len(met) != SYNTAXES else 0)


main()
