/* syntax.c - the transfer syntaxes read, and names for those that are not (PS3.6 annex A). */
#include <string.h>

#include "dicom_wire.h"

static const fab_syntax read_syntaxes[] = {
    {"1.2.840.10008.1.2", "Implicit VR Little Endian", FAB_SYNTAX_NATIVE, false},
    {"1.2.840.10008.1.2.1", "Explicit VR Little Endian", FAB_SYNTAX_NATIVE, false},
    {"1.2.840.10008.1.2.1.99", "Deflated Explicit VR Little Endian", FAB_SYNTAX_DEFLATED, false},
    {"1.2.840.10008.1.2.2", "Explicit VR Big Endian", FAB_SYNTAX_NATIVE, false},
    {"1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)", FAB_SYNTAX_DCMTK, true},
    {"1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)", FAB_SYNTAX_DCMTK, true},
    {"1.2.840.10008.1.2.4.53", "JPEG Spectral Selection (Process 6 and 8)", FAB_SYNTAX_DCMTK,
     true},
    {"1.2.840.10008.1.2.4.55", "JPEG Full Progression (Process 10 and 12)", FAB_SYNTAX_DCMTK,
     true},
    {"1.2.840.10008.1.2.4.57", "JPEG Lossless (Process 14)", FAB_SYNTAX_DCMTK, false},
    {"1.2.840.10008.1.2.4.70", "JPEG Lossless (Process 14, Selection Value 1)", FAB_SYNTAX_DCMTK,
     false},
    {"1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", FAB_SYNTAX_DCMTK, false},
    {"1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", FAB_SYNTAX_DCMTK, true},
    {"1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", FAB_SYNTAX_JPEG2000, false},
    {"1.2.840.10008.1.2.4.91", "JPEG 2000", FAB_SYNTAX_JPEG2000, true},
    {"1.2.840.10008.1.2.5", "RLE Lossless", FAB_SYNTAX_DCMTK, false},
    {"1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", FAB_SYNTAX_DEFLATED_FRAME,
     false},
};

static const char *const other_syntaxes[][2] = {
    {"1.2.840.10008.1.2.4.92", "JPEG 2000 Multi-component Lossless"},
    {"1.2.840.10008.1.2.4.93", "JPEG 2000 Multi-component"},
    {"1.2.840.10008.1.2.4.94", "JPIP Referenced"},
    {"1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate"},
    {"1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"},
    {"1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level"},
    {"1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile"},
    {"1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible"},
    {"1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile"},
    {"1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile"},
    {"1.2.840.10008.1.2.4.110", "JPEG XL Lossless"},
    {"1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"},
    {"1.2.840.10008.1.2.4.112", "JPEG XL"},
    {"1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless"},
    {"1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 RPCL Lossless"},
    {"1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"},
};

const fab_syntax *fab_dicom_syntax_find(const char *uid)
{
    for (size_t i = 0; i < sizeof read_syntaxes / sizeof read_syntaxes[0]; i++)
        if (strcmp(uid, read_syntaxes[i].uid) == 0) return &read_syntaxes[i];
    return NULL;
}

const char *fab_dicom_syntax_name(const char *uid)
{
    const fab_syntax *s = fab_dicom_syntax_find(uid);
    if (s) return s->name;
    for (size_t i = 0; i < sizeof other_syntaxes / sizeof other_syntaxes[0]; i++)
        if (strcmp(uid, other_syntaxes[i][0]) == 0) return other_syntaxes[i][1];
    return uid;
}
