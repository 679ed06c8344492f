/* evaluate.c - Dice and surface measures of two label maps on one grid.
 *
 * Definitions are those of DeepMind's surface-distance (Nikolov et al. 2018): the surface lives on
 * the corners between voxels. A corner with some of its eight voxels inside and some outside is a
 * surface element at that point, with the area surfel.c gives it; what lies beyond the volume is
 * outside. An element's distance is that to the nearest element of the other surface.
 *
 * Only the box around both structures is looked at: counting is one pass over the volume, all else
 * is the size of the structure.
 */
#include "fabrica/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "surfel_internal.h"

enum { REFERENCE, PREDICTED, SIDES };
#define SAME_GRID_MM 0.01
#define LABEL_VALUES 65536
#define ROW_SEARCH_VALUES 8

typedef struct side {
    const uint8_t *u8; /* voxels: one of the two */
    const uint16_t *u16;
    const int *values;
    size_t value_count;
    bool inside[LABEL_VALUES]; /* by label value */
} side;

typedef struct comparison {
    side of[SIDES];
    int32_t size[3];
    double spacing[3];
    struct slice *slices;
} comparison;

/* ---- what is inside --------------------------------------------------------------------- */

static fab_status set_values(side *s, const fab_volume *labels, const int *values, size_t count,
                             fab_error *err)
{
    fab_dtype t = fab_volume_dtype(labels);
    if (t != FAB_U8 && t != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "label map of type %s; U8 or U16 is needed",
                 fab_dtype_name(t));
    for (size_t i = 0; i < count; i++) {
        if (values[i] < 0 || values[i] >= LABEL_VALUES)
            FAB_FAIL(err, FAB_ERR_ARG, "label value %d is outside 0..%d", values[i],
                     LABEL_VALUES - 1);
        s->inside[values[i]] = true;
    }
    s->values = values;
    s->value_count = count;
    if (t == FAB_U8) s->u8 = fab_volume_data(labels);
    else s->u16 = fab_volume_data(labels);
    return FAB_OK;
}

static inline bool is_inside(const side *s, int64_t index)
{
    return s->inside[s->u8 ? s->u8[index] : s->u16[index]];
}

/* Whether a row of n voxels can hold one of the values: memchr passes over a row of bytes some
 * twenty times faster than the loop that counts, and most rows hold none. */
static bool row_may_hold(const side *s, int64_t at, int32_t n)
{
    if (!s->u8 || s->value_count > ROW_SEARCH_VALUES) return true;
    for (size_t v = 0; v < s->value_count; v++)
        if (s->values[v] <= UINT8_MAX && memchr(s->u8 + at, s->values[v], (size_t)n)) return true;
    return false;
}

/* Sheared axes would make the distances wrong. */
static fab_status check_orthogonal(const fab_grid *g, fab_error *err)
{
    double spacing[3];
    fab_grid_spacing(g, spacing);
    for (int a = 0; a < 3; a++)
        for (int b = a + 1; b < 3; b++) {
            double dot = 0;
            for (int k = 0; k < 3; k++)
                dot += g->world_from_voxel.m[k][a] * g->world_from_voxel.m[k][b];
            if (fabs(dot) > 1e-3 * spacing[a] * spacing[b])
                FAB_FAIL(err, FAB_ERR_GEOMETRY, "surface distances need orthogonal axes; axes %d "
                         "and %d are not: resample first", a, b);
        }
    return FAB_OK;
}

/* ---- counting, one slice a job ---------------------------------------------------------- */

typedef struct slice {
    int64_t count[SIDES], both;
    int32_t low[2], high[2]; /* box of the union in i and j; low > high if empty */
} slice;

static void count_slice(void *ctx, int64_t k, int worker)
{
    comparison *c = ctx;
    slice s = {.low = {c->size[0], c->size[1]}, .high = {-1, -1}};
    (void)worker;
    for (int32_t j = 0; j < c->size[1]; j++) {
        int64_t row = c->size[0] * (j + c->size[1] * k);
        if (!row_may_hold(&c->of[REFERENCE], row, c->size[0]) &&
            !row_may_hold(&c->of[PREDICTED], row, c->size[0]))
            continue;
        for (int32_t i = 0; i < c->size[0]; i++) {
            int64_t at = row + i;
            bool a = is_inside(&c->of[REFERENCE], at), b = is_inside(&c->of[PREDICTED], at);
            if (!a && !b) continue;
            s.count[REFERENCE] += a;
            s.count[PREDICTED] += b;
            s.both += a && b;
            if (i < s.low[0]) s.low[0] = i;
            if (i > s.high[0]) s.high[0] = i;
            if (j < s.low[1]) s.low[1] = j;
            s.high[1] = j;
        }
    }
    c->slices[k] = s;
}

typedef struct counts {
    int64_t of[SIDES], both;
    int32_t low[3], high[3];
} counts;

static fab_status count_all(comparison *c, counts *out, fab_error *err)
{
    FAB_AUTO_FREE slice *slices = fab_calloc((size_t)c->size[2], sizeof *slices);
    if (!slices) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to compare label maps");
    c->slices = slices;
    fab_parallel_for(c->size[2], count_slice, c);
    c->slices = NULL;
    *out = (counts){.low = {c->size[0], c->size[1], c->size[2]}, .high = {-1, -1, -1}};
    for (int32_t k = 0; k < c->size[2]; k++) {
        const slice *s = &slices[k];
        if (s->high[0] < 0) continue;
        for (int which = 0; which < SIDES; which++) out->of[which] += s->count[which];
        out->both += s->both;
        for (int a = 0; a < 2; a++) {
            if (s->low[a] < out->low[a]) out->low[a] = s->low[a];
            if (s->high[a] > out->high[a]) out->high[a] = s->high[a];
        }
        if (k < out->low[2]) out->low[2] = k;
        out->high[2] = k;
    }
    return FAB_OK;
}

/* ---- surface elements ------------------------------------------------------------------- */

/* Corners between the voxels of the box: one more than voxels along each axis. Corner p has the
 * voxels p - 1 and p. */
typedef struct surface_job {
    const comparison *c;
    const side *s;
    const int32_t *low, *corners;
    uint8_t *code, *border; /* per corner; border is 1 on the surface */
} surface_job;

/* The half of the code at larger i: bits 1, 3, 5 and 7. */
static int right_half(const surface_job *job, const int32_t p[3])
{
    const int32_t *n = job->c->size, i = job->low[0] + p[0];
    int code = 0;
    if (i < 0 || i >= n[0]) return 0;
    for (int b = 1; b < 8; b += 2) {
        int32_t j = job->low[1] + p[1] - 1 + (b >> 1 & 1);
        int32_t k = job->low[2] + p[2] - 1 + (b >> 2 & 1);
        if (j < 0 || j >= n[1] || k < 0 || k >= n[2]) continue;
        if (is_inside(job->s, i + n[0] * (j + (int64_t)n[1] * k))) code |= 1 << b;
    }
    return code;
}

static void code_slice(void *ctx, int64_t k, int worker)
{
    const surface_job *job = ctx;
    const int32_t *n = job->corners;
    (void)worker;
    for (int32_t j = 0; j < n[1]; j++) {
        int64_t at = (int64_t)n[0] * (j + n[1] * k);
        int code = 0;
        for (int32_t i = 0; i < n[0]; i++, at++) {
            int32_t p[3] = {i, j, (int32_t)k};
            code = right_half(job, p) | (code >> 1 & 0x55); /* the left one: the last one's right */
            job->code[at] = (uint8_t)code;
            job->border[at] = code != 0 && code != 255;
        }
    }
}

typedef struct surface {
    fab_volume *border; /* U8 on the corner grid */
    uint8_t *code;
} surface;

static void surface_free(surface *s)
{
    s->border = fab_volume_unref(s->border);
    s->code = fab_free(s->code);
}

static fab_status surface_make(const comparison *c, const side *s, const counts *n, surface *out,
                               fab_error *err)
{
    fab_grid g = {0};
    for (int a = 0; a < 3; a++) {
        g.size[a] = n->high[a] - n->low[a] + 2;
        g.world_from_voxel.m[a][a] = c->spacing[a];
    }
    FAB_TRY(fab_volume_create(&g, FAB_U8, &out->border, err));
    out->code = fab_malloc((size_t)fab_grid_voxels(&g));
    if (!out->code) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to compare surfaces");
    surface_job job = {.c = c, .s = s, .low = n->low, .corners = g.size, .code = out->code,
                       .border = fab_volume_data_mut(out->border)};
    fab_parallel_for(g.size[2], code_slice, &job);
    return FAB_OK;
}

typedef struct element {
    float distance_mm, area_mm2;
} element;

typedef struct elements {
    element *items;
    size_t count;
    double area, moment;                   /* sums: area, area x distance */
    double near[FAB_EVALUATE_TOLERANCES];  /* area within each tolerance */
} elements;

typedef struct tolerances {
    const double *mm;
    size_t count;
} tolerances;

static void elements_free(elements *e)
{
    e->items = fab_free(e->items);
}

static int by_distance(const void *a, const void *b)
{
    float x = ((const element *)a)->distance_mm, y = ((const element *)b)->distance_mm;
    return (x > y) - (x < y);
}

/* The elements of `from`, each with its distance to `to`. */
static fab_status measure(const surface *from, const surface *to, const double area[256],
                          const tolerances *within, elements *out, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *distance = NULL;
    FAB_TRY(fab_labels_distance(to->border, 1, false, &distance, err));
    const float *d = fab_volume_data(distance);
    const uint8_t *border = fab_volume_data(from->border);
    size_t corners = fab_volume_bytes(from->border), count = 0;
    for (size_t i = 0; i < corners; i++) count += border[i];
    out->items = fab_alloc_array(count, sizeof *out->items);
    if (!out->items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu surface elements", count);
    for (size_t i = 0; i < corners; i++) {
        if (!border[i]) continue;
        double mm = (double)d[i], mm2 = area[from->code[i]];
        out->items[out->count++] = (element){d[i], (float)mm2};
        out->area += mm2;
        out->moment += mm2 * mm;
        for (size_t t = 0; t < within->count; t++) /* in float: one met exactly must count */
            if (mm <= within->mm[t] * (1 + 1e-6)) out->near[t] += mm2;
    }
    qsort(out->items, out->count, sizeof *out->items, by_distance);
    return FAB_OK;
}

/* The distance within which the given share of the area lies. */
static double percentile(const elements *e, double share)
{
    double sum = 0;
    for (size_t i = 0; i < e->count; i++) {
        sum += (double)e->items[i].area_mm2;
        if (sum >= share * e->area) return (double)e->items[i].distance_mm;
    }
    return e->count ? (double)e->items[e->count - 1].distance_mm : NAN;
}

static fab_status compare_surfaces(const comparison *c, const counts *n, const tolerances *within,
                                   double *nsd, fab_agreement *out, fab_error *err)
{
    surface s[SIDES] = {{0}};
    double area[256];
    elements e[SIDES] = {{0}};
    fab_surfel_areas(c->spacing, area);
    fab_status status = surface_make(c, &c->of[REFERENCE], n, &s[REFERENCE], err);
    if (status == FAB_OK) status = surface_make(c, &c->of[PREDICTED], n, &s[PREDICTED], err);
    for (int which = 0; which < SIDES && status == FAB_OK; which++)
        status = measure(&s[which], &s[!which], area, within, &e[which], err);
    if (status == FAB_OK) {
        double total = e[0].area + e[1].area;
        out->hd95_mm = fmax(percentile(&e[0], 0.95), percentile(&e[1], 0.95));
        out->assd_mm = (e[0].moment + e[1].moment) / total;
        for (size_t t = 0; t < within->count; t++) nsd[t] = (e[0].near[t] + e[1].near[t]) / total;
    }
    for (int which = 0; which < SIDES; which++) {
        elements_free(&e[which]);
        surface_free(&s[which]);
    }
    return status;
}

static fab_status check_tolerances(const tolerances *within, fab_error *err)
{
    if (within->count < 1 || within->count > FAB_EVALUATE_TOLERANCES)
        FAB_FAIL(err, FAB_ERR_ARG, "%zu tolerances; 1 to %d can be asked for", within->count,
                 FAB_EVALUATE_TOLERANCES);
    for (size_t t = 0; t < within->count; t++)
        if (!(within->mm[t] >= 0))
            FAB_FAIL(err, FAB_ERR_ARG, "tolerance of %g mm makes no sense", within->mm[t]);
    return FAB_OK;
}

fab_status fab_evaluate_within(const fab_volume *reference, const int *values_reference,
                               size_t count_reference, const fab_volume *predicted,
                               const int *values_predicted, size_t count_predicted,
                               const double *tolerances_mm, size_t tolerance_count, double *nsd,
                               fab_agreement *out, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(reference);
    const tolerances within = {tolerances_mm, tolerance_count};
    double shares[FAB_EVALUATE_TOLERANCES] = {0};
    counts n;
    FAB_TRY(check_tolerances(&within, err));
    if (!fab_grid_equal(g, fab_volume_grid(predicted), SAME_GRID_MM))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the two label maps are not on the same grid: resample "
                 "one onto the other first");
    FAB_TRY(check_orthogonal(g, err));
    FAB_AUTO_FREE comparison *c = fab_calloc(1, sizeof *c);
    if (!c) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to compare label maps");
    FAB_TRY(set_values(&c->of[REFERENCE], reference, values_reference, count_reference, err));
    FAB_TRY(set_values(&c->of[PREDICTED], predicted, values_predicted, count_predicted, err));
    memcpy(c->size, g->size, sizeof c->size);
    fab_grid_spacing(g, c->spacing);
    FAB_TRY(count_all(c, &n, err));
    double ml = fab_grid_voxel_volume_mm3(g) / 1000;
    fab_agreement a = {.reference_voxels = n.of[REFERENCE], .predicted_voxels = n.of[PREDICTED],
                       .overlap_voxels = n.both, .hd95_mm = NAN, .assd_mm = NAN,
                       .volume_reference_ml = (double)n.of[REFERENCE] * ml,
                       .volume_predicted_ml = (double)n.of[PREDICTED] * ml};
    int64_t sum = n.of[REFERENCE] + n.of[PREDICTED];
    a.dice = sum ? 2 * (double)n.both / (double)sum : NAN;
    for (size_t t = 0; t < tolerance_count; t++) shares[t] = NAN;
    if (n.of[REFERENCE] && n.of[PREDICTED])
        FAB_TRY(compare_surfaces(c, &n, &within, shares, &a, err));
    a.nsd = shares[0];
    for (size_t t = 0; t < tolerance_count; t++) nsd[t] = shares[t];
    *out = a;
    return FAB_OK;
}

fab_status fab_evaluate(const fab_volume *reference, const int *values_reference,
                        size_t count_reference, const fab_volume *predicted,
                        const int *values_predicted, size_t count_predicted, double tolerance_mm,
                        fab_agreement *out, fab_error *err)
{
    double nsd = 0;
    return fab_evaluate_within(reference, values_reference, count_reference, predicted,
                               values_predicted, count_predicted, &tolerance_mm, 1, &nsd, out,
                               err);
}
