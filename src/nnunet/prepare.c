/* prepare.c - an image as nnU-Net's DefaultPreprocessor hands it to the network.
 *
 * nnU-Net reads a file's (x, y, z) as (z, y, x), permutes by transpose_forward, crops to the box of
 * what is not zero in any channel, normalises and resamples. Nothing of that is copied here: a
 * `reading` says where voxel (a0, a1, a2) of the cropped array lies in the images, and the
 * resampling asks for slices, which are converted and normalised on the way.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "moments.h"
#include "nnunet_internal.h"

typedef struct reading {
    const fab_volume *image;
    const void *data;
    fab_dtype dtype;
    int size[3];         /* of the cropped box */
    int order[3];        /* its axes as numpy's array has them in memory, slowest first */
    int64_t start;       /* voxel (0, 0, 0) of it in the image */
    int64_t step[3];
    fab_nnunet_norm norm;
    float low, high;     /* CT */
    float shift, divide; /* (v - shift) / divide */
    const uint8_t *mask; /* of the box, 1 inside; NULL: everything is normalised */
} reading;

void fab_nnunet_case_free(fab_nnunet_case *c)
{
    fab_free(c->data);
    fab_free(c->stage);
    memset(c, 0, sizeof *c);
}

static float voxel(const reading *r, int64_t at)
{
    switch (r->dtype) {
    case FAB_U8: return ((const uint8_t *)r->data)[at];
    case FAB_I16: return ((const int16_t *)r->data)[at];
    case FAB_U16: return ((const uint16_t *)r->data)[at];
    case FAB_I32: return (float)((const int32_t *)r->data)[at];
    case FAB_F32: break;
    }
    return ((const float *)r->data)[at];
}

#define READ_LINE(type)                                                                           \
    do {                                                                                          \
        const type *p = (const type *)r->data + at;                                               \
        if (step == 1)                                                                            \
            for (int i = 0; i < count; i++) to[i] = (float)p[i];                                  \
        else                                                                                      \
            for (int i = 0; i < count; i++) to[i * apart] = (float)p[i * step];                   \
    } while (0)

/* `count` voxels from `at` on, `step` voxels apart, to to[0], to[apart], ... */
static void read_line(const reading *r, int64_t at, int64_t step, int count, float *to,
                      ptrdiff_t apart)
{
    if (apart != 1 && step == 1) { /* the macro's fast way writes side by side */
        for (int i = 0; i < count; i++) to[i * apart] = voxel(r, at + i);
        return;
    }
    switch (r->dtype) {
    case FAB_U8: READ_LINE(uint8_t); break;
    case FAB_I16: READ_LINE(int16_t); break;
    case FAB_U16: READ_LINE(uint16_t); break;
    case FAB_I32: READ_LINE(int32_t); break;
    case FAB_F32: READ_LINE(float); break;
    }
}

/* Slice `index` across `axis`, as the image has it. */
static void read_plane(const reading *r, int axis, int index, float *into)
{
    const int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
    const int64_t start = r->start + index * r->step[axis];
    if (llabs(r->step[p]) < llabs(r->step[q])) /* run along what lies together in memory */
        for (int x = 0; x < r->size[q]; x++)
            read_line(r, start + x * r->step[q], r->step[p], r->size[p], into + x, r->size[q]);
    else
        for (int y = 0; y < r->size[p]; y++)
            read_line(r, start + y * r->step[p], r->step[q], r->size[q],
                      into + (ptrdiff_t)y * r->size[q], 1);
}

static void normalise(const reading *r, float *v, size_t count)
{
    const float low = r->low, high = r->high, shift = r->shift, divide = r->divide;
    if (r->norm == FAB_NNUNET_CT)
        for (size_t i = 0; i < count; i++) v[i] = v[i] < low ? low : v[i] > high ? high : v[i];
    if (r->norm != FAB_NNUNET_NONE)
        for (size_t i = 0; i < count; i++) v[i] = (v[i] - shift) / divide;
}

/* fab_nnunet_source of a reading. */
static void source_plane(const void *ctx, int axis, int index, float *into)
{
    const reading *r = ctx;
    const int p = axis == 0 ? 1 : 0, q = axis == 2 ? 1 : 2;
    read_plane(r, axis, index, into);
    if (!r->mask) {
        normalise(r, into, (size_t)r->size[p] * (size_t)r->size[q]);
        return;
    }
    const ptrdiff_t step[3] = {(ptrdiff_t)r->size[1] * r->size[2], r->size[2], 1};
    for (int y = 0; y < r->size[p]; y++) /* outside the mask values stay as they are */
        for (int x = 0; x < r->size[q]; x++)
            if (r->mask[index * step[axis] + y * step[p] + x * step[q]])
                normalise(r, into + (ptrdiff_t)y * r->size[q] + x, 1);
}

/* ---- axes ------------------------------------------------------------------------------- */

/* NIfTI's pixdim, which nibabel's zooms are, from a grid: float32. The length of an oblique
 * grid's column has lost its last bits; if a short decimal is that near, it was meant. */
static double zoom_of(double spacing_mm)
{
    if ((double)(float)spacing_mm == spacing_mm) return spacing_mm;
    const double unit = pow(10.0, floor(log10(spacing_mm)) - 5.0);
    const double decimal = nearbyint(spacing_mm / unit) * unit;
    const bool meant = fabs(decimal - spacing_mm) <= 2e-7 * spacing_mm;
    return (double)(float)(meant ? decimal : spacing_mm);
}

/* nnU-Net's axes of the images' grid, before and after transposing. */
static void set_axes(const fab_nnunet_plan *plan, fab_nnunet_case *c)
{
    int toward_lps[3] = {0, 1, 2};
    bool flip[3] = {false, false, false};
    double spacing[3];
    fab_grid_spacing(&c->grid, spacing);
    if (plan->reorients) {
        (void)fab_grid_canonical(&c->grid, toward_lps, flip);
        flip[0] = !flip[0]; /* nibabel's canonical order is RAS */
        flip[1] = !flip[1];
    }
    for (int a = 0; a < 3; a++) {
        c->axis_of[a] = toward_lps[2 - a];
        c->flipped[a] = flip[2 - a];
    }
    for (int a = 0; a < 3; a++) {
        const int axis = c->axis_of[plan->transpose_forward[a]];
        c->whole[a] = c->grid.size[axis];
        c->spacing_mm[a] = zoom_of(spacing[axis]);
    }
}

void fab_nnunet_case_steps(const fab_nnunet_plan *plan, const fab_nnunet_case *c, int64_t *start,
                           int64_t step[3])
{
    const int64_t stride[3] = {1, c->grid.size[0], (int64_t)c->grid.size[0] * c->grid.size[1]};
    *start = 0;
    for (int a = 0; a < 3; a++) {
        const int before = plan->transpose_forward[a], axis = c->axis_of[before];
        step[a] = c->flipped[before] ? -stride[axis] : stride[axis];
        if (c->flipped[before]) *start += (c->grid.size[axis] - 1) * stride[axis];
        *start += c->box[a][0] * step[a];
    }
}

void fab_nnunet_target_spacing(const fab_nnunet_plan *plan, const fab_nnunet_case *c, double mm[3])
{
    memcpy(mm, plan->spacing_mm, sizeof plan->spacing_mm);
    if (plan->flat) mm[0] = c->spacing_mm[0];
}

/* ---- the box of what is not zero -------------------------------------------------------- */

typedef struct box_job {
    reading *channel;
    int channels;
    float *planes;       /* worker */
    uint8_t *used[3];    /* [size]: whether that slice holds anything; [1] and [2] per worker */
} box_job;

static void mark_plane(void *ctx, int64_t index, int worker)
{
    const box_job *job = ctx;
    const int *size = job->channel[0].size;
    float *plane = job->planes + (size_t)worker * (size_t)size[1] * (size_t)size[2];
    uint8_t *rows = job->used[1] + (ptrdiff_t)worker * size[1];
    uint8_t *columns = job->used[2] + (ptrdiff_t)worker * size[2];
    for (int c = 0; c < job->channels; c++) {
        read_plane(&job->channel[c], 0, (int)index, plane);
        for (int y = 0; y < size[1]; y++) {
            const float *row = plane + (ptrdiff_t)y * size[2];
            uint8_t any = 0;
            for (int x = 0; x < size[2]; x++) {
                const uint8_t here = row[x] != 0.0f;
                columns[x] |= here;
                any |= here;
            }
            rows[y] |= any;
            job->used[0][index] |= any;
        }
    }
}

/* Box along one axis from `workers` rows of marks; everything if nothing is marked. */
static void box_of(const uint8_t *marks, int size, int workers, int box[2])
{
    box[0] = size;
    box[1] = 0;
    for (int w = 0; w < workers; w++)
        for (int i = 0; i < size; i++) {
            if (!marks[(ptrdiff_t)w * size + i]) continue;
            box[0] = i < box[0] ? i : box[0];
            box[1] = i + 1 > box[1] ? i + 1 : box[1];
        }
    if (box[1] > 0) return;
    box[0] = 0;
    box[1] = size;
}

static fab_status find_box(reading *channel, int channels, int box[3][2], fab_error *err)
{
    const int *size = channel[0].size, workers = fab_threads_get();
    const size_t w = (size_t)workers;
    FAB_AUTO_FREE float *planes = fab_alloc_array(w * (size_t)size[1] * (size_t)size[2],
                                                  sizeof *planes);
    FAB_AUTO_FREE uint8_t *marks =
        fab_calloc((size_t)size[0] + w * ((size_t)size[1] + (size_t)size[2]), 1);
    if (!planes || !marks) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to look for empty borders");
    box_job job = {channel, channels, planes,
                   {marks, marks + size[0], marks + size[0] + w * (size_t)size[1]}};
    fab_parallel_for(size[0], mark_plane, &job);
    box_of(job.used[0], size[0], 1, box[0]);
    box_of(job.used[1], size[1], workers, box[1]);
    box_of(job.used[2], size[2], workers, box[2]);
    return FAB_OK;
}

/* ---- the mask, its holes filled --------------------------------------------------------- */

typedef struct frontier {
    int64_t *at;
    size_t count, capacity;
} frontier;

static fab_status frontier_add(frontier *f, int64_t at, fab_error *err)
{
    if (f->count == f->capacity) {
        const size_t more = f->capacity ? 2 * f->capacity : 4096;
        int64_t *grown = fab_realloc(f->at, more * sizeof *grown);
        if (!grown) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to fill the holes of the mask");
        f->at = grown;
        f->capacity = more;
    }
    f->at[f->count++] = at;
    return FAB_OK;
}

/* Empty voxels next to the frontier's are outside too: mask 0 becomes 2. */
static fab_status flood_step(const int size[3], uint8_t *mask, const frontier *now,
                             frontier *next, fab_error *err)
{
    const int64_t step[3] = {(int64_t)size[1] * size[2], size[2], 1};
    next->count = 0;
    for (size_t i = 0; i < now->count; i++) {
        const int64_t at = now->at[i];
        const int64_t place[3] = {at / step[0], at / step[1] % size[1], at % size[2]};
        for (int a = 0; a < 3; a++)
            for (int side = -1; side <= 1; side += 2) {
                const int64_t to = at + side * step[a];
                if (place[a] + side < 0 || place[a] + side >= size[a] || mask[to] != 0) continue;
                mask[to] = 2;
                FAB_TRY(frontier_add(next, to, err));
            }
    }
    return FAB_OK;
}

/* Marks empty voxels that reach a face of the box (6-connected) with 2. */
static fab_status flood(const int size[3], uint8_t *mask, frontier two[2], fab_error *err)
{
    const int64_t step[3] = {(int64_t)size[1] * size[2], size[2], 1};
    for (int a = 0; a < 3; a++) {
        const int p = a == 0 ? 1 : 0, q = a == 2 ? 1 : 2;
        for (int end = 0; end < 2; end++)
            for (int y = 0; y < size[p]; y++)
                for (int x = 0; x < size[q]; x++) {
                    const int64_t at = (end ? size[a] - 1 : 0) * step[a] + y * step[p] +
                                       x * step[q];
                    if (mask[at] != 0) continue;
                    mask[at] = 2;
                    FAB_TRY(frontier_add(&two[0], at, err));
                }
    }
    for (int now = 0; two[now].count; now = !now)
        FAB_TRY(flood_step(size, mask, &two[now], &two[!now], err));
    return FAB_OK;
}

/* scipy's binary_fill_holes of "not zero in some channel", in the box: filling inside the box is
 * the same as in the whole image, because what lies outside it is empty. */
static fab_status make_mask(const reading *channel, int channels, uint8_t **out, fab_error *err)
{
    const int *size = channel[0].size;
    const size_t slice = (size_t)size[1] * (size_t)size[2], total = slice * (size_t)size[0];
    FAB_AUTO_FREE float *plane = fab_alloc_array(slice, sizeof *plane);
    FAB_AUTO_FREE uint8_t *mask = fab_calloc(total, 1);
    if (!plane || !mask)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the mask (%zu MiB)", total >> 20);
    for (int z = 0; z < size[0]; z++)
        for (int c = 0; c < channels; c++) {
            read_plane(&channel[c], 0, z, plane);
            uint8_t *to = mask + (size_t)z * slice;
            for (size_t i = 0; i < slice; i++) to[i] |= plane[i] != 0.0f;
        }
    frontier two[2] = {{0}, {0}};
    const fab_status status = flood(size, mask, two, err);
    fab_free(two[0].at);
    fab_free(two[1].at);
    FAB_TRY(status);
    for (size_t i = 0; i < total; i++) mask[i] = mask[i] != 2;
    *out = mask;
    mask = NULL;
    return FAB_OK;
}

/* ---- normalisation ---------------------------------------------------------------------- */

/* fab_nnunet_rows of a reading: a row of numpy's array. */
static int image_row(const void *ctx, int64_t index, float *into)
{
    const reading *r = ctx;
    const int slow = r->order[0], middle = r->order[1], fast = r->order[2];
    const int64_t at = r->start + index / r->size[middle] * r->step[slow] +
                       index % r->size[middle] * r->step[middle];
    read_line(r, at, r->step[fast], r->size[fast], into, 1);
    return r->size[fast];
}

/* What image[mask] makes: the values inside in the order of the transposed axes. */
static int masked_row(const void *ctx, int64_t index, float *into)
{
    const reading *r = ctx;
    const uint8_t *mask = r->mask + index * r->size[2];
    int count = 0;
    read_line(r, r->start + index / r->size[1] * r->step[0] + index % r->size[1] * r->step[1],
              r->step[2], r->size[2], into, 1);
    for (int x = 0; x < r->size[2]; x++)
        if (mask[x]) into[count++] = into[x];
    return count;
}

static fab_status set_score(reading *r, fab_error *err)
{
    const int64_t total = (int64_t)r->size[0] * r->size[1] * r->size[2];
    fab_nnunet_rows rows = {image_row, r, r->size[r->order[2]], total};
    if (r->mask) {
        rows = (fab_nnunet_rows){masked_row, r, r->size[2], 0};
        for (int64_t i = 0; i < total; i++) rows.count += r->mask[i];
    }
    FAB_TRY(fab_nnunet_moments(&rows, &r->shift, &r->divide, err));
    r->divide = fmaxf(r->divide, 1e-8f);
    return FAB_OK;
}

typedef struct range_job {
    const reading *r;
    float *planes;
    float *range; /* [slice][2] */
} range_job;

static void range_of_plane(void *ctx, int64_t index, int worker)
{
    const range_job *job = ctx;
    const size_t count = (size_t)job->r->size[1] * (size_t)job->r->size[2];
    float *plane = job->planes + (size_t)worker * count, low = INFINITY, high = -INFINITY;
    read_plane(job->r, 0, (int)index, plane);
    for (size_t i = 0; i < count; i++) {
        low = fminf(low, plane[i]);
        high = fmaxf(high, plane[i]);
    }
    job->range[2 * index] = low;
    job->range[2 * index + 1] = high;
}

static fab_status range_of_image(const reading *r, float range[2], fab_error *err)
{
    const size_t slice = (size_t)r->size[1] * (size_t)r->size[2];
    FAB_AUTO_FREE float *planes = fab_alloc_array((size_t)fab_threads_get() * slice,
                                                  sizeof *planes);
    FAB_AUTO_FREE float *ranges = fab_alloc_array(2 * (size_t)r->size[0], sizeof *ranges);
    if (!planes || !ranges) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the image's range");
    range_job job = {r, planes, ranges};
    fab_parallel_for(r->size[0], range_of_plane, &job);
    range[0] = INFINITY;
    range[1] = -INFINITY;
    for (int z = 0; z < r->size[0]; z++) {
        range[0] = fminf(range[0], ranges[2 * z]);
        range[1] = fmaxf(range[1], ranges[2 * z + 1]);
    }
    return FAB_OK;
}

static fab_status set_range(reading *r, fab_error *err)
{
    float range[2] = {0, 0};
    FAB_TRY(range_of_image(r, range, err));
    if (r->norm == FAB_NNUNET_RESCALE_01) {
        r->shift = range[0];
        r->divide = fmaxf(range[1] - range[0], 1e-8f);
        return FAB_OK;
    }
    if (!(range[0] >= 0.0f && range[1] <= 255.0f))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "values from %g to %g where the plan expects RGB (0 to "
                 "255)", (double)range[0], (double)range[1]);
    r->divide = 255.0f;
    return FAB_OK;
}

static fab_status set_normalisation(const fab_nnunet_channel *how, const uint8_t *mask, reading *r,
                                    fab_error *err)
{
    r->norm = how->norm;
    r->divide = 1;
    switch (how->norm) {
    case FAB_NNUNET_NONE: break;
    case FAB_NNUNET_CT:
        r->low = (float)how->low;
        r->high = (float)how->high;
        r->shift = (float)how->mean;
        r->divide = (float)fmax(how->std, 1e-8);
        break;
    case FAB_NNUNET_ZSCORE:
        r->mask = how->use_mask ? mask : NULL;
        return set_score(r, err);
    case FAB_NNUNET_RESCALE_01:
    case FAB_NNUNET_RGB_01: return set_range(r, err);
    }
    return FAB_OK;
}

/* ---- all of it -------------------------------------------------------------------------- */

/* Python's int(round(a / b * n)): halves to even. */
static fab_status set_size(const fab_nnunet_plan *plan, fab_nnunet_case *c, fab_error *err)
{
    double voxels = 1, target_mm[3];
    fab_nnunet_target_spacing(plan, c, target_mm);
    for (int a = 0; a < 3; a++) {
        const int n = c->box[a][1] - c->box[a][0];
        const double size = nearbyint(c->spacing_mm[a] / target_mm[a] * n);
        if (!(size >= 1 && size <= FAB_MAX_DIM))
            FAB_FAIL(err, FAB_ERR_LIMIT, "%d %s of %g mm %s %.0f of the network's %g mm; it needs "
                     "1 to %d", n, fab_plural(n, "voxel", "voxels"), c->spacing_mm[a],
                     fab_plural(n, "is", "are"), size, target_mm[a], FAB_MAX_DIM);
        c->size[a] = (int)size;
        voxels *= size;
    }
    if (voxels > (double)FAB_MAX_VOXELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%.0f network voxels, at most %lld", voxels,
                 (long long)FAB_MAX_VOXELS);
    return FAB_OK;
}

static void set_readings(const fab_nnunet_plan *plan, const fab_volume *const *images,
                         const fab_nnunet_case *c, reading *channel)
{
    for (int i = 0; i < plan->channels; i++) {
        reading *r = &channel[i];
        r->image = images[i];
        r->data = fab_volume_data(images[i]);
        r->dtype = fab_volume_dtype(images[i]);
        for (int a = 0; a < 3; a++) {
            r->size[a] = c->box[a][1] - c->box[a][0];
            r->order[plan->transpose_forward[a]] = a;
        }
        fab_nnunet_case_steps(plan, c, &r->start, r->step);
    }
}

static fab_status fill(const fab_nnunet_plan *plan, reading *channel, const fab_progress *progress,
                       fab_nnunet_case *c, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *mask = NULL;
    bool masked = false;
    double target_mm[3];
    fab_nnunet_target_spacing(plan, c, target_mm);
    for (int i = 0; i < plan->channels; i++)
        masked = masked || (plan->channel[i].norm == FAB_NNUNET_ZSCORE &&
                            plan->channel[i].use_mask);
    if (masked) FAB_TRY(make_mask(channel, plan->channels, &mask, err));
    const size_t count = (size_t)c->size[0] * (size_t)c->size[1] * (size_t)c->size[2];
    c->data = fab_alloc_array((size_t)plan->channels * count, sizeof *c->data);
    if (!c->data)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the resampled image (%zu MiB)",
                 (size_t)plan->channels * count * sizeof(float) >> 20);
    for (int i = 0; i < plan->channels; i++) {
        FAB_TRY(fab_progress_step(progress, "prepare", (double)i / plan->channels, err));
        FAB_TRY(set_normalisation(&plan->channel[i], mask, &channel[i], err));
        const fab_nnunet_source source = {source_plane, &channel[i]};
        FAB_TRY(fab_nnunet_resample(&source, channel[i].size, c->spacing_mm, target_mm,
                                    c->size, &plan->data, c->data + (size_t)i * count, err));
    }
    return fab_progress_step(progress, "prepare", 1.0, err);
}

static fab_status outline(const fab_nnunet_plan *plan, const fab_volume *const *images,
                          reading *channel, fab_nnunet_case *out, fab_error *err)
{
    fab_nnunet_case c = {.grid = *fab_volume_grid(images[0]), .channels = plan->channels};
    for (int i = 1; i < plan->channels; i++)
        if (memcmp(fab_volume_grid(images[i])->size, c.grid.size, sizeof c.grid.size) != 0)
            FAB_FAIL(err, FAB_ERR_GEOMETRY, "channel %d has another size than channel 0", i);
    set_axes(plan, &c);
    for (int a = 0; a < 3; a++) c.box[a][1] = c.whole[a];
    set_readings(plan, images, &c, channel);
    FAB_TRY(find_box(channel, plan->channels, c.box, err));
    set_readings(plan, images, &c, channel);
    FAB_TRY(set_size(plan, &c, err));
    *out = c;
    return FAB_OK;
}

fab_status fab_nnunet_outline(const fab_nnunet_plan *plan, const fab_volume *const *images,
                              fab_nnunet_case *out, fab_error *err)
{
    reading channel[FAB_NNUNET_MAX_CHANNELS] = {{0}};
    return outline(plan, images, channel, out, err);
}

fab_status fab_nnunet_prepare(const fab_nnunet_plan *plan, const fab_volume *const *images,
                              const fab_progress *progress, fab_nnunet_case *out, fab_error *err)
{
    fab_nnunet_case c;
    reading channel[FAB_NNUNET_MAX_CHANNELS] = {{0}};
    FAB_TRY(outline(plan, images, channel, &c, err));
    const fab_status status = fill(plan, channel, progress, &c, err);
    if (status < 0) {
        fab_nnunet_case_free(&c);
        return status;
    }
    *out = c;
    return FAB_OK;
}
