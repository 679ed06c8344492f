/* fabrica/dicom.h - layer 2: DICOM files to geometry-checked volumes, and back. DCMTK inside. */
#ifndef FABRICA_DICOM_H
#define FABRICA_DICOM_H

#include "fabrica/anatomy.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fab_geometry_verdict {
    FAB_GEOMETRY_OK,
    FAB_GEOMETRY_CORRECTED_TILT,       /* gantry tilt: resampled exactly, reported */
    FAB_GEOMETRY_CORRECTED_SPACING,    /* irregular spacing: resampled, reported */
    FAB_GEOMETRY_MISSING_SLICE,
    FAB_GEOMETRY_DUPLICATE_SLICE,
    FAB_GEOMETRY_MIXED_ORIENTATION,
    FAB_GEOMETRY_MIXED_SIZE,
    FAB_GEOMETRY_TOO_FEW_SLICES,
    FAB_GEOMETRY_NO_POSITION,
    FAB_GEOMETRY_BAD_VALUES,
    FAB_GEOMETRY_MIXED_PATIENT
} fab_geometry_verdict;
const char *fab_geometry_verdict_name(fab_geometry_verdict v); /* "ok", "missing-slice", ... */
bool fab_geometry_verdict_usable(fab_geometry_verdict v);

#define FAB_UID_BYTES 65

/* What is known of one series without decoding pixels. Strings are UTF-8. */
typedef struct fab_series_info {
    char patient_id[65], patient_name[325], patient_sex[17], patient_birth_date[17];
    char study_uid[FAB_UID_BYTES], series_uid[FAB_UID_BYTES], frame_of_reference_uid[FAB_UID_BYTES];
    char study_date[17], study_time[17], study_id[17], accession_number[17], study_description[257];
    char modality[17], series_description[257], manufacturer[257], body_part[65], kernel[65];
    int series_number;
    int files, frames, columns, rows;
    double spacing_mm[3], slice_thickness_mm;
    char orientation[4];
    fab_geometry_verdict verdict;
    char verdict_text[512];   /* for a person: why refused, what was corrected, with numbers */
    char repairs[512];        /* e.g. "3 empty SOP Instance UIDs derived by hash"; "" if none */
    char transfer_syntax[FAB_UID_BYTES];
    char part[160];           /* "" or which image of a series that holds several of each place */
} fab_series_info;

typedef struct fab_dicom_scan fab_dicom_scan;

/* Reads every file under path (file, folder; zip archives by the caller through a folder), any mix;
 * non-DICOM files are counted, not fatal. */
fab_status fab_dicom_scan_path(const char *path, const fab_progress *progress,
                               fab_dicom_scan **out, fab_error *err);
fab_dicom_scan *fab_dicom_scan_free(fab_dicom_scan *scan);
FAB_DEFINE_AUTO(fab_dicom_scan, fab_dicom_scan_free)
size_t fab_dicom_scan_series_count(const fab_dicom_scan *scan);
const fab_series_info *fab_dicom_scan_series(const fab_dicom_scan *scan, size_t index);
/* Files that were not usable: path, reason. */
size_t fab_dicom_scan_rejected_count(const fab_dicom_scan *scan);
void fab_dicom_scan_rejected(const fab_dicom_scan *scan, size_t index, const char **path,
                             const char **reason);
/* "" if pixels are decoded behind all walls; else which wall could not be had, and why. */
const char *fab_dicom_scan_note(const fab_dicom_scan *scan);
/* The series a torso twin wants: usable CT/MR with most slices; FAB_ERR_NOTFOUND says why not. */
fab_status fab_dicom_scan_pick(const fab_dicom_scan *scan, size_t *index, fab_error *err);

/* A loaded series: rescaled values (HU for CT) as I16 where exact, else F32, on an LPS grid; with
 * the UIDs of every source frame in slice order (for SEG references). */
typedef struct fab_series {
    fab_series_info info;
    fab_volume *volume;
    size_t slice_count;                       /* source images, sorted along the normal */
    char (*sop_class_uid)[FAB_UID_BYTES];
    char (*sop_instance_uid)[FAB_UID_BYTES];
    double (*slice_position)[3];              /* Image Position (Patient) of each */
    char input_sha256[65];                    /* over the sorted file hashes */
    bool resampled;                           /* the voxel grid is not the source's */
    fab_grid source_grid;                     /* of the slices as they are (sheared if tilted) */
    int *frame_number;                        /* 1.. in a multi-frame source, else 0; per slice */
} fab_series;
fab_status fab_dicom_load(const fab_dicom_scan *scan, size_t index, const fab_progress *progress,
                          fab_series **out, fab_error *err);
fab_series *fab_series_free(fab_series *s);

/* The frames of any one file that has monochrome pixels of 1, 8 or 16 bits, as stored (no rescale):
 * what the decoder makes of it, without asking for a place in space. */
typedef struct fab_frames {
    int32_t columns, rows, count;
    int bits_stored;
    bool is_signed;
    char transfer_syntax[FAB_UID_BYTES];
    int32_t *values; /* columns x rows x count, column fastest */
} fab_frames;
fab_status fab_dicom_read_frames(const char *path, fab_frames **out, fab_error *err);
fab_frames *fab_frames_free(fab_frames *f);
FAB_DEFINE_AUTO(fab_frames, fab_frames_free)

/* Test hook: the decoder misbehaves ("segv", "spin", "open", "socket", "exec", "memory"; NULL or
 * "none": no more) on files whose path ends in file_suffix. */
void fab_dicom_test_fault(const char *fault, const char *file_suffix);
FAB_DEFINE_AUTO(fab_series, fab_series_free)

/* Writes a volume as a classic single-frame CT or MR series into a folder (made if needed), one
 * slice per k, IMG00001.dcm... UIDs derive from `uid_seed` by hash (2.25.*): same input, same
 * bytes. Study and Frame of Reference depend on the seed alone, so that a CT and an MR written with
 * one seed share them. Voxels are I16 or U16; columns i and j of the grid must be at a right angle,
 * column k may lean (a tilted series) or point against i x j (feet first). */
typedef struct fab_series_write {
    const char *modality; /* "CT" or "MR" */
    const char *patient_id, *patient_name, *patient_sex, *patient_birth_date;
    const char *study_description, *series_description, *study_date, *study_time, *manufacturer;
    const char *uid_seed;
    int series_number;
    double slice_thickness_mm;
    const char *transfer_syntax; /* UID; NULL: Explicit VR Little Endian. Also written: Implicit,
                                    Big Endian, Deflated, RLE, JPEG Lossless */
    /* The voxels are the stored values; value = slope * stored + intercept. slope 0: 1 and 0 */
    double rescale_slope, rescale_intercept;
} fab_series_write;
fab_status fab_dicom_write_series(const fab_volume *v, const fab_series_write *how,
                                  const char *folder, fab_error *err);

/* DICOM SEG (BINARY) of a label map on the series' own grid (PS3.3 A.51; interop.md lists what it
 * must honour). algorithm_name/version/weights go to Segmentation Algorithm Identification; without
 * a name the segments are MANUAL: drawn or brought along by a person. */
#define FAB_SEG_DESCRIPTION_BYTES 1025
typedef struct fab_seg_write {
    const char *algorithm_name, *algorithm_version; /* NULL: none */
    const char *series_description;
    const char *uid_seed;
    const char *content_label;        /* CS: capitals, digits, space, underscore; at most 16 */
    const char *algorithm_parameters; /* NULL or a line, such as the hash of the weights */
    /* Segment Description of a label value (ST: UTF-8, at most FAB_SEG_DESCRIPTION_BYTES with the
     * final zero, "" for none); NULL: none */
    void (*describe)(const void *ctx, int value, char *into, size_t capacity);
    const void *describe_ctx;
} fab_seg_write;
fab_status fab_dicom_write_seg(const fab_series *source, const fab_volume *labels,
                               const fab_label_set *set, const fab_seg_write *how,
                               const char *path, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
