/* dicom_internal.h - shared by the files of src/dicom that run in the parent. */
#ifndef FAB_DICOM_INTERNAL_H
#define FAB_DICOM_INTERNAL_H

#include "dicom_wire.h"
#include "fabrica/dicom.h"

/* ---- sandbox.c --------------------------------------------------------------------------- */

typedef struct fab_sandbox fab_sandbox; /* one worker process; one thread at a time */
fab_status fab_dicom_sandbox_create(fab_sandbox **out, fab_error *err);
fab_sandbox *fab_dicom_sandbox_free(fab_sandbox *s);
FAB_DEFINE_AUTO(fab_sandbox, fab_dicom_sandbox_free)
bool fab_dicom_sandbox_walled(const fab_sandbox *s, const char **why_not);
/* *frames is fab_malloc'd, header->frames of them. Messages begin with the path. */
fab_status fab_dicom_sandbox_header(fab_sandbox *s, const char *path, uint64_t file_id,
                                    const fab_progress *progress, fab_wire_header *header,
                                    fab_wire_frame **frames, fab_error *err);
/* *out: count x cells stored values in memory shared with the worker, until the next request. */
fab_status fab_dicom_sandbox_frames(fab_sandbox *s, const char *path, uint64_t file_id,
                                    uint32_t first, uint32_t count, size_t cells,
                                    const fab_progress *progress, const int32_t **out,
                                    fab_error *err);

/* ---- text.c, charset.cc ------------------------------------------------------------------ */

/* Ends every string of a header that came from outside. */
void fab_dicom_header_terminate(fab_wire_header *h);
/* raw in the given Specific Character Set to UTF-8; bytes that cannot be read become "?". */
void fab_dicom_text(const char *charset, const char *raw, char *into, size_t capacity);
/* charset.cc: false if DCMTK cannot. Never throws. */
bool fab_dicom_charset_convert(const char *charset, const char *raw, char *into, size_t capacity);
bool fab_dicom_uid_valid(const char *uid);
/* 2.25.<128 bits of SHA-256 over the parts>, a UUID of version 8 (PS3.5 B.2, RFC 9562). */
void fab_dicom_uid_derive(char into[FAB_UID_BYTES], const char *kind, const char *seed,
                          int64_t number);
/* Appends "; text" to a list in a fixed room, cut with "..." when full. */
void fab_dicom_note(char *list, size_t capacity, const char *format, ...) FAB_PRINTF(3, 4);

/* ---- scan.c ------------------------------------------------------------------------------ */

typedef struct fab_dicom_file {
    char *path;
    fab_wire_header head;
    fab_wire_frame *frames; /* NULL if rejected */
    char *reason;           /* NULL unless rejected */
    bool damaged;           /* rejected for what is wrong with it, not for what it is */
    char sha256[65];        /* "" until needed */
} fab_dicom_file;

typedef struct fab_dicom_slice {
    uint32_t file, frame;
    double position[3], along; /* mm; along the stack's normal */
} fab_dicom_slice;

/* One series entry: the slices in order, and what the geometry gate made of them. */
typedef struct fab_dicom_stack {
    fab_series_info info;
    fab_dicom_slice *slices;
    size_t count;
    fab_grid source;        /* of the slices as they are: sheared when tilted, mean step */
    fab_grid target;        /* what load makes: equal to source unless resampled */
    bool resampled;
} fab_dicom_stack;

struct fab_dicom_scan {
    fab_dicom_file *files;
    size_t file_count, file_capacity;
    fab_dicom_stack *stacks;
    size_t stack_count;
    size_t *rejected; /* indices of files */
    size_t rejected_count;
    fab_sandbox **sandboxes;
    int sandbox_count;
    char note[512];
};

const fab_wire_frame *fab_dicom_slice_frame(const fab_dicom_scan *scan, const fab_dicom_slice *s);
fab_status fab_dicom_file_reject(fab_dicom_file *f, fab_error *err, const char *format, ...)
    FAB_PRINTF(3, 4);

/* ---- repair.c, group.c, geometry.c ------------------------------------------------------- */

/* Copies dropped, empty or duplicate UIDs replaced; notes are kept for the stacks. */
typedef struct fab_repair_counts {
    size_t sop, series, study, frame, copies, duplicate_sop;
} fab_repair_counts;
fab_status fab_dicom_repair(fab_dicom_scan *scan, fab_repair_counts *per_file, fab_error *err);
/* Files to stacks, each with its info; geometry not yet judged. */
fab_status fab_dicom_group(fab_dicom_scan *scan, const fab_repair_counts *per_file,
                           fab_error *err);
/* Sorts the slices, fills grids, verdict and text. Fails only for want of memory. */
fab_status fab_dicom_judge(const fab_dicom_scan *scan, fab_dicom_stack *stack, fab_error *err);

/* straighten.c: slices at their own positions, sampled on an orthogonal grid parallel to them. */
fab_status fab_dicom_straighten(const fab_volume *slices, double (*position)[3],
                                const fab_grid *target, double outside, fab_volume **out,
                                fab_error *err);

#endif
