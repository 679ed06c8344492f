/* group.c - files to stacks: one for each Series Instance UID, and where one series holds several
 * images of the same place (echoes, phases, b values, Dixon parts) one for each of those.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom_internal.h"

#define SAME_PLACE_MM 0.01

/* ---- what the first file says about its series --------------------------------------------- */

static void fill_info(const fab_dicom_file *f, fab_series_info *s)
{
    const fab_wire_header *h = &f->head;
#define TEXT(to, from) fab_dicom_text(h->charset, h->from, s->to, sizeof s->to)
    TEXT(patient_id, patient_id);
    TEXT(patient_name, patient_name);
    TEXT(patient_sex, patient_sex);
    TEXT(patient_birth_date, birth_date);
    TEXT(study_uid, study_uid);
    TEXT(series_uid, series_uid);
    TEXT(frame_of_reference_uid, frame_uid);
    TEXT(study_date, study_date);
    TEXT(study_time, study_time);
    TEXT(study_id, study_id);
    TEXT(accession_number, accession);
    TEXT(study_description, study_description);
    TEXT(modality, modality);
    TEXT(series_description, series_description);
    TEXT(manufacturer, manufacturer);
    TEXT(body_part, body_part);
    TEXT(kernel, kernel);
    TEXT(transfer_syntax, transfer_syntax);
#undef TEXT
    s->series_number = h->series_number;
    s->columns = (int)h->columns;
    s->rows = (int)h->rows;
    s->slice_thickness_mm =
        f->frames[0].has & FAB_FRAME_THICKNESS ? f->frames[0].thickness : 0.0;
}

static void note_repairs(const fab_dicom_scan *scan, const fab_repair_counts *per_file,
                         fab_dicom_stack *stack)
{
    fab_repair_counts n = {0};
    char *list = stack->info.repairs;
    size_t room = sizeof stack->info.repairs;
    for (size_t i = 0; i < stack->count; i++) {
        if (stack->slices[i].frame != 0) continue;
        const fab_repair_counts *f = &per_file[stack->slices[i].file];
        n.sop += f->sop;
        n.series += f->series;
        n.study += f->study;
        n.frame += f->frame;
        n.copies += f->copies;
        n.duplicate_sop += f->duplicate_sop;
    }
    if (n.sop) fab_dicom_note(list, room, "%zu empty SOP Instance UIDs derived by hash", n.sop);
    if (n.series) fab_dicom_note(list, room, "empty Series Instance UID derived by hash");
    if (n.study) fab_dicom_note(list, room, "empty Study Instance UID derived by hash");
    if (n.frame) fab_dicom_note(list, room, "empty Frame of Reference UID derived by hash");
    if (n.duplicate_sop)
        fab_dicom_note(list, room, "%zu %s SOP Instance UID of another: derived by hash",
                       n.duplicate_sop,
                       fab_plural((int64_t)n.duplicate_sop, "file had the", "files had the"));
    if (n.copies)
        fab_dicom_note(list, room, "%zu %s left out", n.copies,
                       fab_plural((int64_t)n.copies, "identical copy of a file",
                                  "identical copies of files"));
    (void)scan;
}

/* ---- several images of one place ------------------------------------------------------------ */

typedef struct keyed {
    const fab_wire_frame *frame;
    fab_dicom_slice slice;
    bool with_acquisition;
} keyed;

static int compare_double(double a, double b)
{
    if (isnan(a) || isnan(b)) return (isnan(b) != 0) - (isnan(a) != 0);
    return a < b ? -1 : a > b ? 1 : 0;
}

static int compare_kind(const keyed *x, const keyed *y)
{
    const fab_wire_frame *a = x->frame, *b = y->frame;
    int c = strcmp(a->stack_id, b->stack_id);
    if (c == 0) c = strcmp(a->kind, b->kind);
    if (c == 0) c = compare_double(a->echo_time, b->echo_time);
    if (c == 0) c = compare_double(a->echo, b->echo);
    if (c == 0) c = compare_double(a->temporal, b->temporal);
    if (c == 0) c = compare_double(a->trigger_time, b->trigger_time);
    if (c == 0) c = compare_double(a->b_value, b->b_value);
    if (c == 0 && x->with_acquisition) c = compare_double(a->acquisition, b->acquisition);
    return c;
}

static int by_kind_then_place(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    int c = compare_kind(x, y);
    for (int i = 0; c == 0 && i < 3; i++)
        c = compare_double(x->frame->position[i], y->frame->position[i]);
    if (c == 0) c = x->slice.file < y->slice.file ? -1 : x->slice.file > y->slice.file;
    if (c == 0) c = x->slice.frame < y->slice.frame ? -1 : x->slice.frame > y->slice.frame;
    return c;
}

static bool same_place(const fab_wire_frame *a, const fab_wire_frame *b)
{
    for (int i = 0; i < 3; i++)
        if (!(fabs(a->position[i] - b->position[i]) < SAME_PLACE_MM)) return false;
    return true;
}

static bool same_direction(const fab_wire_frame *a, const fab_wire_frame *b)
{
    for (int i = 0; i < 6; i++)
        if (!(fabs(a->orientation[i] - b->orientation[i]) < 1e-3)) return false;
    return true;
}

/* Each run of equal kind has every place once and one orientation; counts the runs. */
static bool runs_are_clean(const keyed *k, size_t count, size_t *runs)
{
    bool clean = true;
    *runs = count > 0;
    for (size_t i = 1; i < count; i++) {
        if (compare_kind(&k[i - 1], &k[i]) != 0) {
            (*runs)++;
            continue;
        }
        clean &= !same_place(k[i - 1].frame, k[i].frame) &&
                 same_direction(k[i - 1].frame, k[i].frame);
    }
    return clean;
}

static bool is_simple(keyed *k, size_t count)
{
    const fab_wire_frame *first = k[0].frame;
    for (size_t i = 1; i < count; i++)
        if (same_place(k[i - 1].frame, k[i].frame) || !same_direction(first, k[i].frame))
            return false;
    return true;
}

static int by_place(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    int c = 0;
    for (int i = 0; c == 0 && i < 3; i++)
        c = compare_double(x->frame->position[i], y->frame->position[i]);
    return c;
}

/* Sorts k so that equal kinds are together if that separates the images; else one run. */
static size_t find_runs(keyed *k, size_t count)
{
    size_t runs = 1;
    qsort(k, count, sizeof *k, by_place);
    if (is_simple(k, count)) return 1;
    for (int with = 0; with < 2; with++) {
        for (size_t i = 0; i < count; i++) k[i].with_acquisition = with != 0;
        qsort(k, count, sizeof *k, by_kind_then_place);
        if (runs_are_clean(k, count, &runs) && runs * 2 <= count) return runs;
    }
    return 1;
}

static void name_part(const fab_wire_frame *f, size_t part, size_t parts, char *into, size_t room)
{
    snprintf(into, room, "part %zu of %zu: %.40s%s%s, echo %g ms, phase %d, b %g", part, parts,
             f->kind, f->stack_id[0] ? ", stack " : "", f->stack_id, f->echo_time, f->temporal,
             f->b_value);
}

static fab_status add_stack(fab_dicom_scan *scan, const keyed *k, size_t count, size_t part,
                            size_t parts, const fab_repair_counts *per_file, fab_error *err)
{
    if (scan->stack_count == FAB_DICOM_MAX_STACKS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d series (FAB_DICOM_MAX_STACKS)",
                 FAB_DICOM_MAX_STACKS);
    fab_dicom_stack *grown =
        fab_realloc(scan->stacks, (scan->stack_count + 1) * sizeof *scan->stacks);
    if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a series");
    scan->stacks = grown;
    fab_dicom_stack *s = &scan->stacks[scan->stack_count];
    memset(s, 0, sizeof *s);
    s->slices = fab_calloc(count, sizeof *s->slices);
    if (!s->slices) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu slices", count);
    scan->stack_count++;
    s->count = count;
    uint32_t first = k[0].slice.file;
    for (size_t i = 0; i < count; i++) {
        s->slices[i] = k[i].slice;
        if (k[i].slice.file < first) first = k[i].slice.file;
        if (k[i].slice.frame == 0 || i == 0) s->info.files++;
    }
    fill_info(&scan->files[first], &s->info);
    s->info.frames = (int)count;
    if (parts > 1) name_part(k[0].frame, part, parts, s->info.part, sizeof s->info.part);
    note_repairs(scan, per_file, s);
    return FAB_OK;
}

static fab_status add_series(fab_dicom_scan *scan, keyed *k, size_t count,
                             const fab_repair_counts *per_file, fab_error *err)
{
    size_t parts = find_runs(k, count), part = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && (parts == 1 || compare_kind(&k[i], &k[end]) == 0)) end++;
        FAB_TRY(add_stack(scan, k + i, end - i, ++part, parts, per_file, err));
        i = end;
    }
    return FAB_OK;
}

/* ---- by series ------------------------------------------------------------------------------ */

typedef struct member {
    const fab_dicom_file *file;
    uint32_t index;
} member;

static int by_series(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int c = strcmp(x->file->head.series_uid, y->file->head.series_uid);
    return c ? c : x->index < y->index ? -1 : 1;
}

/* One series: members [0, count) of the same UID. */
static fab_status expand(fab_dicom_scan *scan, const member *m, size_t count,
                         const fab_repair_counts *per_file, fab_error *err)
{
    size_t frames = 0, n = 0;
    for (size_t i = 0; i < count; i++) frames += m[i].file->head.frames;
    FAB_AUTO_FREE keyed *k = fab_calloc(frames, sizeof *k);
    if (!k) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu slices", frames);
    for (size_t i = 0; i < count; i++)
        for (uint32_t f = 0; f < m[i].file->head.frames; f++, n++) {
            k[n].frame = &m[i].file->frames[f];
            k[n].slice.file = m[i].index;
            k[n].slice.frame = f;
        }
    return add_series(scan, k, frames, per_file, err);
}

fab_status fab_dicom_group(fab_dicom_scan *scan, const fab_repair_counts *per_file,
                           fab_error *err)
{
    FAB_AUTO_FREE member *m = fab_alloc_array(scan->file_count + 1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the list of files");
    size_t n = 0;
    for (size_t i = 0; i < scan->file_count; i++)
        if (!scan->files[i].reason) m[n++] = (member){&scan->files[i], (uint32_t)i};
    if (n > 1) qsort(m, n, sizeof *m, by_series);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && strcmp(m[i].file->head.series_uid, m[end].file->head.series_uid) == 0)
            end++;
        FAB_TRY(expand(scan, m + i, end - i, per_file, err));
        i = end;
    }
    return FAB_OK;
}
