/* repair.c - UIDs that are empty, malformed or used twice (docs/adr/0012).
 *
 * A replaced UID is 2.25 plus 128 bits of SHA-256: of the file's bytes for an instance, of the
 * attributes that make a series or a study for those. The same files therefore always get the
 * same UIDs, and nothing is replaced without being counted and reported.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom_internal.h"

static fab_status hash_file(fab_dicom_file *f, fab_error *err)
{
    return f->sha256[0] ? FAB_OK : fab_sha256_file(f->path, f->sha256, err);
}

static void repair_study(fab_dicom_file *f, fab_repair_counts *n)
{
    char seed[2048];
    const fab_wire_header *h = &f->head;
    if (fab_dicom_uid_valid(h->study_uid)) return;
    snprintf(seed, sizeof seed, "%s\n%s\n%s\n%s\n%s\n%s", h->patient_id, h->patient_name,
             h->study_date, h->study_time, h->study_id, h->accession);
    fab_dicom_uid_derive(f->head.study_uid, "study", seed, 0);
    n->study = 1;
}

static void repair_series(fab_dicom_file *f, fab_repair_counts *n)
{
    char seed[2048];
    const fab_wire_header *h = &f->head;
    const double *o = f->frames[0].orientation;
    if (fab_dicom_uid_valid(h->series_uid)) return;
    snprintf(seed, sizeof seed, "%s\n%s\n%d\n%s\n%s\n%s\n%s\n%u %u\n%.3f %.3f %.3f %.3f %.3f %.3f",
             h->study_uid, h->modality, h->series_number, h->series_description, h->series_date,
             h->series_time, h->protocol, h->rows, h->columns, o[0] + 0.0, o[1] + 0.0, o[2] + 0.0,
             o[3] + 0.0, o[4] + 0.0, o[5] + 0.0);
    fab_dicom_uid_derive(f->head.series_uid, "series", seed, 0);
    n->series = 1;
}

static fab_status repair_file(fab_dicom_file *f, fab_repair_counts *n, fab_error *err)
{
    repair_study(f, n);
    repair_series(f, n);
    if (!fab_dicom_uid_valid(f->head.frame_uid)) {
        fab_dicom_uid_derive(f->head.frame_uid, "frame", f->head.series_uid, 0);
        n->frame = 1;
    }
    if (fab_dicom_uid_valid(f->head.sop_instance)) return FAB_OK;
    FAB_TRY(hash_file(f, err));
    fab_dicom_uid_derive(f->head.sop_instance, "instance", f->sha256, 0);
    n->sop = 1;
    return FAB_OK;
}

typedef struct entry {
    fab_dicom_file *file;
    fab_repair_counts *counts;
} entry;

static int by_instance(const void *a, const void *b)
{
    const fab_dicom_file *x = ((const entry *)a)->file, *y = ((const entry *)b)->file;
    int c = strcmp(x->head.sop_instance, y->head.sop_instance);
    return c ? c : strcmp(x->path, y->path);
}

/* Files that claim one SOP Instance UID: identical ones are one, different ones get new UIDs. */
static fab_status repair_run(entry *run, size_t count, fab_error *err)
{
    size_t different = 0;
    for (size_t i = 0; i < count; i++) FAB_TRY(hash_file(run[i].file, err));
    for (size_t i = 1; i < count; i++) {
        size_t same = 0;
        while (same < i && (run[same].file->reason ||
                            strcmp(run[same].file->sha256, run[i].file->sha256) != 0))
            same++;
        if (same < i) {
            FAB_TRY(fab_dicom_file_reject(run[i].file, err, "%s: an identical copy of %s",
                                          run[i].file->path, run[same].file->path));
            run[same].counts->copies++;
        } else {
            different++;
        }
    }
    for (size_t i = 0; different > 0 && i < count; i++) {
        if (run[i].file->reason) continue;
        fab_dicom_uid_derive(run[i].file->head.sop_instance, "instance", run[i].file->sha256, 0);
        run[i].counts->duplicate_sop = 1;
    }
    return FAB_OK;
}

fab_status fab_dicom_repair(fab_dicom_scan *scan, fab_repair_counts *per_file, fab_error *err)
{
    FAB_AUTO_FREE entry *entries = fab_alloc_array(scan->file_count + 1, sizeof *entries);
    if (!entries) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of files");
    size_t n = 0;
    for (size_t i = 0; i < scan->file_count; i++) {
        if (scan->files[i].reason) continue;
        FAB_TRY(repair_file(&scan->files[i], &per_file[i], err));
        entries[n++] = (entry){&scan->files[i], &per_file[i]};
    }
    if (n > 1) qsort(entries, n, sizeof *entries, by_instance);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && strcmp(entries[i].file->head.sop_instance,
                                 entries[end].file->head.sop_instance) == 0)
            end++;
        if (end - i > 1) FAB_TRY(repair_run(entries + i, end - i, err));
        i = end;
    }
    return FAB_OK;
}
