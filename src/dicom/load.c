/* load.c - a judged stack of slices to one volume: decode in the sandboxes, rescale, correct. */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom_internal.h"

#define SLICES_PER_STEP 32
#define CT_AIR_HU (-1024)

typedef struct load_job {
    const fab_dicom_scan *scan;
    const fab_dicom_stack *stack;
    const fab_progress *progress;
    fab_dtype type;
    void *voxels;
    size_t cells, first;
    bool is_ct;
    atomic_flag failed;
    atomic_bool overflow;
    atomic_size_t padded;
    fab_status status;
    fab_error error;
} load_job;

static bool is_padding(const fab_wire_header *h, int32_t v)
{
    return v >= h->padding_low && v <= h->padding_high;
}

/* Stored to real values (PS3.3 C.11.1: slope * stored + intercept), integers only. */
static void rescale_i16(load_job *job, const fab_wire_header *h, const fab_wire_frame *f,
                        const int32_t *stored, int16_t *out)
{
    int64_t slope = (int64_t)f->slope, intercept = (int64_t)f->intercept;
    size_t padded = 0, outside = 0;
    bool pad = h->has_padding && job->is_ct;
    for (size_t i = 0; i < job->cells; i++) {
        int64_t v = slope * stored[i] + intercept;
        if (pad && is_padding(h, stored[i]) && v < CT_AIR_HU) {
            v = CT_AIR_HU;
            padded++;
        }
        outside += v < INT16_MIN || v > INT16_MAX;
        out[i] = (int16_t)v;
    }
    if (outside) atomic_store(&job->overflow, true);
    atomic_fetch_add(&job->padded, padded);
}

static void rescale_f32(load_job *job, const fab_wire_header *h, const fab_wire_frame *f,
                        const int32_t *stored, float *out)
{
    size_t padded = 0;
    bool pad = h->has_padding && job->is_ct;
    for (size_t i = 0; i < job->cells; i++) {
        double v = f->slope * stored[i] + f->intercept;
        if (pad && is_padding(h, stored[i]) && v < CT_AIR_HU) {
            v = CT_AIR_HU;
            padded++;
        }
        out[i] = (float)v;
    }
    atomic_fetch_add(&job->padded, padded);
}

static void load_slice(void *ctx, int64_t index, int worker)
{
    load_job *job = ctx;
    size_t k = job->first + (size_t)index;
    const fab_dicom_slice *s = &job->stack->slices[k];
    const fab_dicom_file *file = &job->scan->files[s->file];
    const int32_t *stored = NULL;
    fab_sandbox **box = &job->scan->sandboxes[worker];
    fab_error err = {0};
    fab_status status = *box ? FAB_OK : fab_dicom_sandbox_create(box, &err);
    if (status == FAB_OK)
        status = fab_dicom_sandbox_frames(*box, file->path, s->file + 1u, s->frame, 1, job->cells,
                                          job->progress, &stored, &err);
    if (status != FAB_OK) {
        if (atomic_flag_test_and_set(&job->failed)) return;
        job->error = err;
        job->status = status;
        return;
    }
    const fab_wire_frame *f = fab_dicom_slice_frame(job->scan, s);
    if (job->type == FAB_I16)
        rescale_i16(job, &file->head, f, stored, (int16_t *)job->voxels + job->cells * k);
    else rescale_f32(job, &file->head, f, stored, (float *)job->voxels + job->cells * k);
}

static fab_status decode_all(load_job *job, fab_error *err)
{
    size_t count = job->stack->count;
    for (job->first = 0; job->first < count; job->first += SLICES_PER_STEP) {
        size_t n = count - job->first < SLICES_PER_STEP ? count - job->first : SLICES_PER_STEP;
        FAB_TRY(
            fab_progress_step(job->progress, "decode", (double)job->first / (double)count, err));
        fab_parallel_for((int64_t)n, load_slice, job);
        if (job->status < 0) FAB_FAIL(err, job->status, "%s", job->error.message);
        if (atomic_load(&job->overflow)) return FAB_OK;
    }
    return fab_progress_step(job->progress, "decode", 1.0, err);
}

/* True if every slice's rescale keeps whole numbers. */
static bool whole_numbers(const fab_dicom_scan *scan, const fab_dicom_stack *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const fab_wire_frame *f = fab_dicom_slice_frame(scan, &s->slices[i]);
        if (f->slope != floor(f->slope) || f->intercept != floor(f->intercept)) return false;
        if (fabs(f->slope) > 32768.0 || fabs(f->intercept) > 1e6) return false;
    }
    return true;
}

static fab_status decode_as(const fab_dicom_scan *scan, const fab_dicom_stack *stack,
                            fab_dtype type, const fab_progress *progress, fab_series *series,
                            bool *overflow, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_volume_create(&stack->source, type, &v, err));
    load_job job = {.scan = scan, .stack = stack, .progress = progress, .type = type,
                    .voxels = fab_volume_data_mut(v),
                    .cells = (size_t)stack->source.size[0] * (size_t)stack->source.size[1],
                    .is_ct = strcmp(stack->info.modality, "CT") == 0,
                    .failed = ATOMIC_FLAG_INIT};
    FAB_TRY(decode_all(&job, err));
    *overflow = atomic_load(&job.overflow);
    if (*overflow) return FAB_OK;
    size_t padded = atomic_load(&job.padded);
    if (padded > 0)
        fab_dicom_note(series->info.repairs, sizeof series->info.repairs,
                       "%zu %s of Pixel Padding Value set to %d HU", padded,
                       fab_plural((int64_t)padded, "voxel", "voxels"), CT_AIR_HU);
    series->volume = v;
    v = NULL;
    return FAB_OK;
}

static void note_rescale(const fab_dicom_scan *scan, const fab_dicom_stack *s, fab_series *out)
{
    if (strcmp(s->info.modality, "CT") != 0) return;
    for (size_t i = 0; i < s->count; i++) {
        if (fab_dicom_slice_frame(scan, &s->slices[i])->has & FAB_FRAME_RESCALE) continue;
        fab_dicom_note(out->info.repairs, sizeof out->info.repairs,
                       "no Rescale Slope and Intercept: stored values taken as HU");
        return;
    }
}

/* ---- references and hashes ------------------------------------------------------------------ */

static fab_status copy_references(const fab_dicom_scan *scan, const fab_dicom_stack *stack,
                                  fab_series *out, fab_error *err)
{
    size_t n = stack->count;
    out->sop_class_uid = fab_calloc(n, sizeof *out->sop_class_uid);
    out->sop_instance_uid = fab_calloc(n, sizeof *out->sop_instance_uid);
    out->slice_position = fab_calloc(n, sizeof *out->slice_position);
    out->frame_number = fab_calloc(n, sizeof *out->frame_number);
    if (!out->sop_class_uid || !out->sop_instance_uid || !out->slice_position ||
        !out->frame_number)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu references", n);
    out->slice_count = n;
    for (size_t i = 0; i < n; i++) {
        const fab_dicom_slice *s = &stack->slices[i];
        const fab_wire_header *h = &scan->files[s->file].head;
        snprintf(out->sop_class_uid[i], FAB_UID_BYTES, "%.64s", h->sop_class);
        snprintf(out->sop_instance_uid[i], FAB_UID_BYTES, "%.64s", h->sop_instance);
        memcpy(out->slice_position[i], s->position, sizeof s->position);
        out->frame_number[i] = h->frames > 1 ? (int)s->frame + 1 : 0;
    }
    return FAB_OK;
}

typedef struct hash_job {
    char (*hex)[65];
    const fab_dicom_scan *scan;
    const uint32_t *files;
    atomic_flag failed;
    fab_status status;
    fab_error error;
} hash_job;

static void hash_one(void *ctx, int64_t index, int worker)
{
    hash_job *job = ctx;
    const fab_dicom_file *f = &job->scan->files[job->files[index]];
    fab_error err = {0};
    fab_status s = FAB_OK;
    (void)worker;
    if (f->sha256[0]) memcpy(job->hex[index], f->sha256, sizeof f->sha256);
    else s = fab_sha256_file(f->path, job->hex[index], &err);
    if (s == FAB_OK || atomic_flag_test_and_set(&job->failed)) return;
    job->status = s;
    job->error = err;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int by_index(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* SHA-256 over the sorted hex hashes of the files: does not depend on names or order. */
static fab_status hash_input(const fab_dicom_scan *scan, const fab_dicom_stack *stack,
                             fab_series *out, fab_error *err)
{
    FAB_AUTO_FREE uint32_t *files = fab_alloc_array(stack->count, sizeof *files);
    FAB_AUTO_FREE char(*hex)[65] = fab_calloc(stack->count, sizeof *hex);
    if (!files || !hex) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu hashes", stack->count);
    for (size_t i = 0; i < stack->count; i++) files[i] = stack->slices[i].file;
    qsort(files, stack->count, sizeof *files, by_index);
    size_t n = 0;
    for (size_t i = 0; i < stack->count; i++)
        if (n == 0 || files[n - 1] != files[i]) files[n++] = files[i];
    hash_job job = {.hex = hex, .scan = scan, .files = files, .failed = ATOMIC_FLAG_INIT};
    fab_parallel_for((int64_t)n, hash_one, &job);
    if (job.status < 0) FAB_FAIL(err, job.status, "%s", job.error.message);
    qsort(hex, n, sizeof *hex, by_text);
    fab_sha256 h;
    uint8_t digest[32];
    fab_sha256_init(&h);
    for (size_t i = 0; i < n; i++) fab_sha256_update(&h, hex[i], 64);
    fab_sha256_final(&h, digest);
    fab_sha256_hex(digest, out->input_sha256);
    return FAB_OK;
}

/* ---- the call ------------------------------------------------------------------------------- */

static fab_status check_usable(const fab_dicom_scan *scan, size_t index, fab_error *err)
{
    if (index >= scan->stack_count)
        FAB_FAIL(err, FAB_ERR_ARG, "series %zu of %zu", index, scan->stack_count);
    const fab_series_info *s = &scan->stacks[index].info;
    if (!fab_geometry_verdict_usable(s->verdict))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the series is refused, %s: %s",
                 fab_geometry_verdict_name(s->verdict), s->verdict_text);
    return FAB_OK;
}

fab_status fab_dicom_load(const fab_dicom_scan *scan, size_t index, const fab_progress *progress,
                          fab_series **out, fab_error *err)
{
    FAB_TRY(check_usable(scan, index, err));
    const fab_dicom_stack *stack = &scan->stacks[index];
    FAB_AUTO(fab_series_free) fab_series *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a series");
    s->info = stack->info;
    s->resampled = stack->resampled;
    s->source_grid = stack->source;
    bool overflow = !whole_numbers(scan, stack);
    if (!overflow) FAB_TRY(decode_as(scan, stack, FAB_I16, progress, s, &overflow, err));
    if (overflow) FAB_TRY(decode_as(scan, stack, FAB_F32, progress, s, &overflow, err));
    note_rescale(scan, stack, s);
    FAB_TRY(copy_references(scan, stack, s, err));
    FAB_TRY(hash_input(scan, stack, s, err));
    if (stack->resampled) {
        fab_volume *straight = NULL;
        double outside = strcmp(stack->info.modality, "CT") == 0 ? CT_AIR_HU : 0;
        FAB_TRY(fab_dicom_straighten(s->volume, s->slice_position, &stack->target, outside,
                                     &straight, err));
        fab_volume_unref(s->volume);
        s->volume = straight;
    }
    *out = s;
    s = NULL;
    return FAB_OK;
}

fab_series *fab_series_free(fab_series *s)
{
    if (!s) return NULL;
    fab_volume_unref(s->volume);
    fab_free(s->sop_class_uid);
    fab_free(s->sop_instance_uid);
    fab_free(s->slice_position);
    fab_free(s->frame_number);
    return fab_free(s);
}
