/* paint.c - CT numbers of the fine voxels, seen through a scanner's point spread on the way down
 * to the patch's grid: a slice of fine voxels at a time. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

enum { TAPS = 16, NOISES = 5 };

typedef struct couch { /* in fine voxels; none if !there */
    bool there, foam;
    float y, bend, x, half_width, thick[2], hu[2], apart, foam_hu, foam_depth;
} couch;

typedef struct painter {
    fab_sy_patch *p;
    const fab_sy_tissue *t;
    fab_sy_noise noise[NOISES]; /* cells of 4, 5, 10, 20, 36 mm */
    float *row[NOISES];
    float *hu;             /* a row */
    float *sharp, *narrow; /* a slice; after x */
    couch couch;
} painter;

enum { N_FINE, N_TRABECULA, N_MEDIUM, N_LOW, N_BROAD };

static float lung_hu(const painter *a, int i, float hu, float back)
{
    const fab_sy_tissue *t = a->t;
    const float n1 = a->row[N_MEDIUM][i], n2 = a->row[N_BROAD][i], n3 = a->row[N_FINE][i];
    if (n1 + 0.5f * n3 > t->vessel_at) return t->vessel_hu;
    const float air = hu + 40 * n2 + 30 * n3;
    return back + 0.25f * n2 > t->collapse_at ? air * t->collapse : air;
}

static float bone_hu(const painter *a, int i, int value, float depth_mm, int16_t real)
{
    const fab_sy_tissue *t = a->t;
    if (real != INT16_MIN && t->use_bone_hu) return (float)real * t->bone_gain + t->bone_shift;
    const float low = a->row[N_LOW][i], tex = a->row[N_TRABECULA][i];
    const float shell = fab_sy_clamp((t->shell_mm - depth_mm) * 1.3f + 0.6f, 0, 1);
    float inner = t->inner[value] * (1 + t->trabecula * tex + 0.12f * low);
    if (tex + low > t->marrow_at) inner *= t->marrow;
    return inner + shell * (t->outer[value] * (1 + 0.2f * low) - inner);
}

/* Fat with septa, scars and water: sheets where a noise of 20 mm is near zero, in some places. */
static float fat_hu(const painter *a, int i, float mean)
{
    const fab_sy_tissue *t = a->t;
    const float low = a->row[N_LOW][i], broad = a->row[N_BROAD][i], n1 = a->row[N_MEDIUM][i];
    float hu = mean + 6 * n1 + 3 * broad;
    if (t->oedema_hu > 0) {
        const float wet = fab_sy_clamp(2 * (broad + 0.4f * low - t->oedema_from), 0, 1);
        hu += t->oedema_hu * wet * (1 + 0.3f * a->row[N_FINE][i]);
    }
    if (t->strand_hu > 0 && broad > t->strand_from) {
        const float off = (low + 0.25f * n1) / t->strand_width;
        hu += t->strand_hu / (1 + off * off * off * off);
    }
    return hu;
}

static float bowel_hu(const painter *a, int i, int value, float hu, float depth_mm, float back)
{
    const fab_sy_bowel *b = &a->t->bowel[a->t->bowel_of[value]];
    if (depth_mm < 2.2f) return hu;
    const float wide = a->row[N_LOW][i], small = a->row[N_TRABECULA][i];
    if (wide - b->rise * back > b->gas) return -960;
    if (wide < b->contrast) return b->contrast_hu;
    if (small + 0.5f * wide > b->stool) return b->stool_hu;
    return small > 0 ? hu + b->texture * small : hu;
}

/* One voxel. back: -1 at the front of the patch's body, 1 at its back. */
static float tissue_hu(const painter *a, int i, int value, int depth, int16_t real, float back)
{
    const fab_sy_tissue *t = a->t;
    const float mean = t->mean[value], mm = ((float)depth - 0.5f) * a->p->source->step / 3;
    const float n1 = a->row[N_MEDIUM][i], n2 = a->row[N_BROAD][i];
    const float soft = mean + t->soft_fine * n1 + t->soft_broad * n2;
    switch (t->kind[value]) {
    case SY_K_AIR:
    case SY_K_METAL: return mean;
    case SY_K_FAT: return fat_hu(a, i, mean);
    case SY_K_MUSCLE: return n1 > t->streak ? t->streak_hu : soft;
    case SY_K_MIXED: return soft + 45 * a->row[N_FINE][i];
    case SY_K_LUNG: return lung_hu(a, i, mean, back);
    case SY_K_KIDNEY: return mm > 5 && n1 > t->medulla_at ? t->medulla : soft;
    case SY_K_HEART: return n2 > t->chamber_at ? soft * t->myocardium : soft;
    case SY_K_BONE: return bone_hu(a, i, value, mm, real);
    case SY_K_BOWEL: return bowel_hu(a, i, value, soft, mm, back);
    default: return soft;
    }
}

static void add_couch(const painter *a, int y, const uint8_t *label, float *hu)
{
    const couch *c = &a->couch;
    for (int x = 0; x < a->p->size[0]; x++) {
        const float dx = (float)x - c->x;
        if (label[x] != SY_OUTSIDE || fabsf(dx) > c->half_width) continue;
        const float d = (float)y - (c->y - c->bend * dx * dx);
        if (fabsf(d) < c->thick[0]) hu[x] = c->hu[0];
        else if (fabsf(d - c->apart) < c->thick[1]) hu[x] = c->hu[1];
        else if (c->foam && d < 0 && d > -c->foam_depth) hu[x] = c->foam_hu;
    }
}

static float curve_at(const float curve[17], float hu)
{
    const float at = fab_sy_clamp((hu + 1024) / 128, 0, 15.999f);
    const int i = (int)at;
    return curve[i] + (at - (float)i) * (curve[i + 1] - curve[i]);
}

static void paint_row(painter *a, int y, int z, float *hu)
{
    const fab_sy_patch *p = a->p;
    const int64_t at = ((int64_t)z * p->size[1] + y) * p->size[0];
    const uint8_t *label = p->label + at, *depth = p->depth + at;
    const int16_t *bone = p->bone ? p->bone + at : NULL;
    bool body = false, air = false;
    for (int i = 0; i < p->size[0]; i++) {
        if (fab_sy_is_air(label[i])) air = true;
        else body = true;
    }
    if (body)
        for (int k = 0; k < NOISES; k++) fab_sy_noise_row(&a->noise[k], y, z, a->row[k]);
    const float back = p->gravity * (2 * (float)y / (float)p->size[1] - 1);
    for (int i = 0; i < p->size[0]; i++) {
        const int v = label[i];
        hu[i] = fab_sy_is_air(v) ? a->t->mean[v]
                                 : tissue_hu(a, i, v, depth[i], bone ? bone[i] : INT16_MIN, back);
    }
    if (air && a->couch.there) add_couch(a, y, label, hu);
    if (a->t->free_contrast)
        for (int i = 0; i < p->size[0]; i++) hu[i] = curve_at(a->t->curve, hu[i]);
}

/* ---- the point spread, and two fine voxels to one ---- */

typedef struct blur {
    int taps; /* even; around the middle of a pair */
    float weight[TAPS];
} blur;

static blur blur_of(float sigma)
{
    blur b = {0};
    int reach = (int)ceilf(2.5f * sigma + 0.5f);
    if (reach > TAPS / 2) reach = TAPS / 2;
    if (reach < 1) reach = 1;
    b.taps = 2 * reach;
    float sum = 0;
    for (int k = 0; k < b.taps; k++) {
        const float d = ((float)(k - reach) + 0.5f) / fmaxf(sigma, 0.2f);
        sum += b.weight[k] = expf(-0.5f * d * d);
    }
    for (int k = 0; k < b.taps; k++) b.weight[k] /= sum;
    return b;
}

static int held(int i, int n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Rows of `length` from n to n / 2 of them. */
static void halve_rows(const blur *b, const float *in, int n, int length, float *out)
{
    for (int i = 0; i < n / 2; i++, out += length) {
        memset(out, 0, (size_t)length * sizeof *out);
        for (int k = 0; k < b->taps; k++) {
            const float w = b->weight[k];
            const float *row = in + (int64_t)held(2 * i + 1 + k - b->taps / 2, n) * length;
            for (int x = 0; x < length; x++) out[x] += w * row[x];
        }
    }
}

static void halve_along(const blur *b, const float *in, int n, float *padded, float *out)
{
    const int reach = b->taps / 2;
    for (int i = 0; i < reach; i++) padded[i] = in[0], padded[n + reach + i] = in[n - 1];
    memcpy(padded + reach, in, (size_t)n * sizeof *in);
    for (int i = 0; i < n / 2; i++) {
        float sum = 0;
        for (int k = 0; k < b->taps; k++) sum += b->weight[k] * padded[2 * i + 1 + k];
        out[i] = sum;
    }
}

/* ---- slices ---- */

typedef struct slices {        /* in fine voxels */
    float sigma, apart, phase; /* apart: between slices that were scanned; 0: one for every ours */
} slices;

static slices draw_slices(fab_sy_patch *p)
{
    const bool thick = fab_rng_uniform(&p->rng) < 0.3;
    const float mm = thick ? fab_sy_range(&p->rng, 3.2, 5.5) : fab_sy_range(&p->rng, 2.4, 6.5);
    const float phase = (float)fab_rng_uniform(&p->rng);
    return (slices){0.29f * mm / p->step, thick ? mm / p->step : 0, phase}; /* a box's sd */
}

static void add_slice(float *weight, int n, float centre, float sigma, float share)
{
    const int reach = (int)(2.5f * sigma + 1.5f), middle = (int)floorf(centre + 0.5f);
    float sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int k = middle - reach; k <= middle + reach; k++) {
            const float d = ((float)k - centre) / sigma, w = expf(-0.5f * d * d);
            if (pass == 0) sum += w;
            else weight[held(k, n)] += share * w / sum;
        }
}

/* From n fine slices to n / 2: through the scanned slices, between which readers interpolate. */
static void stack_slices(const slices *s, const float *in, int n, int area, float *weight,
                         float *out)
{
    for (int i = 0; i < n / 2; i++, out += area) {
        const float at = 2 * (float)i + 0.5f;
        memset(weight, 0, (size_t)n * sizeof *weight);
        memset(out, 0, (size_t)area * sizeof *out);
        if (s->apart > 0) {
            const float k = at / s->apart - s->phase, t = k - floorf(k);
            const float below = (floorf(k) + s->phase) * s->apart;
            add_slice(weight, n, below, s->sigma, 1 - t);
            add_slice(weight, n, below + s->apart, s->sigma, t);
        } else add_slice(weight, n, at, s->sigma, 1);
        for (int z = 0; z < n; z++) {
            const float w = weight[z], *slice = in + (int64_t)z * area;
            for (int x = 0; x < area && w > 0; x++) out[x] += w * slice[x];
        }
    }
}

static void draw_couch(fab_sy_patch *p, couch *c)
{
    const float mm = 1 / p->step;
    c->there = fab_rng_uniform(&p->rng) < 0.7 && p->options->artefacts && p->gravity > 0;
    c->foam = fab_rng_uniform(&p->rng) < 0.5;
    c->x = (float)p->size[0] / 2 + fab_sy_range(&p->rng, -20, 20) * mm;
    c->bend = fab_sy_range(&p->rng, 0, 8e-4) * p->step;
    c->half_width = fab_sy_range(&p->rng, 150, 260) * mm;
    c->apart = fab_sy_range(&p->rng, 10, 40) * mm;
    c->foam_depth = fab_sy_range(&p->rng, 10, 40) * mm;
    c->foam_hu = fab_sy_range(&p->rng, -980, -880);
    c->y = fab_sy_range(&p->rng, 0, 30) * mm;
    for (int k = 0; k < 2; k++) {
        c->thick[k] = fab_sy_range(&p->rng, 0.8, 2.4) * mm;
        c->hu[k] = fab_sy_range(&p->rng, -600, 150);
    }
    int back = -1; /* the last row of the body, looked for coarsely */
    for (int z = 0; z < p->size[2]; z += 6)
        for (int y = p->size[1] - 1; y > back; y--)
            for (int x = 0; x < p->size[0]; x += 4) {
                const int v = p->label[((int64_t)z * p->size[1] + y) * p->size[0] + x];
                if (!fab_sy_is_air(v) && y > back) back = y;
            }
    c->y += (float)back + c->bend * 40 * 40 * mm * mm;
    if (back < 0) c->there = false;
}

static fab_status paint(painter *a, float *hu, fab_error *err)
{
    static const float cell_mm[NOISES] = {4, 5, 10, 20, 36};
    fab_sy_patch *p = a->p;
    const int nx = p->size[0], ny = p->size[1], nz = p->size[2], area = nx / 2 * (ny / 2);
    const float inplane = fab_sy_range(&p->rng, 0.8, 1.3);
    const blur across = blur_of(inplane / p->step);
    const slices down = draw_slices(p);
    const size_t slice = (size_t)nx * (size_t)ny;
    const size_t rest = (size_t)nx * (NOISES + 2) + TAPS + (size_t)nz;
    FAB_AUTO_FREE float *store = fab_alloc_array(slice + slice / 2 + rest, sizeof *store);
    FAB_AUTO_FREE float *tall = fab_alloc_array((size_t)area * (size_t)nz, sizeof *tall);
    if (!store || !tall) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a slice");
    a->sharp = store, a->narrow = store + slice;
    float *rows = a->narrow + slice / 2;
    for (int k = 0; k < NOISES; k++) a->row[k] = rows + k * nx;
    a->hu = rows + NOISES * nx;
    float *padded = a->hu + nx;
    for (int k = 0; k < NOISES; k++)
        FAB_TRY(fab_sy_noise_make(&a->noise[k], p->size, cell_mm[k] / p->step, &p->rng, err));
    for (int z = 0; z < nz; z++) {
        for (int y = 0; y < ny; y++) {
            paint_row(a, y, z, a->hu);
            halve_along(&across, a->hu, nx, padded, a->narrow + (int64_t)y * (nx / 2));
        }
        halve_rows(&across, a->narrow, ny, nx / 2, tall + (int64_t)z * area);
    }
    stack_slices(&down, tall, nz, area, padded + nx + TAPS, hu);
    return FAB_OK;
}

fab_status fab_sy_paint(fab_sy_patch *p, const fab_sy_tissue *t, float *hu, fab_error *err)
{
    painter a = {.p = p, .t = t};
    draw_couch(p, &a.couch);
    const fab_status status = paint(&a, hu, err);
    for (int k = 0; k < NOISES; k++) fab_sy_noise_free(&a.noise[k]);
    return status;
}
