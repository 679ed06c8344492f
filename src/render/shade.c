/* shade.c - light. Ambient occlusion is taken from the depth buffer at two radii: the small one
 * draws facets, foramina and rib edges, the large one lets the inside of the chest fall dark
 * (after McGuire's "Alchemy" form, HPG 2011). Samples turn in a 4 x 4 pattern that a 4 x 4 blur
 * then removes. Where one surface passes behind another it darkens near the edge (after Luft,
 * Colditz, Deussen: unsharp masking the depth buffer, SIGGRAPH 2006). */
#include <math.h>
#include <string.h>

#include "render_internal.h"

enum { PATTERN = 4, TURNS = PATTERN * PATTERN, MAX_TAPS = 16, RADII = 2 };
static const float radius_mm[RADII] = {7, 42}, strength[RADII] = {1.55f, 1.75f};
static const double golden_angle = 2.39996322972865332;

/* Where to look around a sample, in samples: a sunflower spiral for each turn of the pattern. The
 * more samples a pixel has, the fewer taps each needs. */
typedef struct occlusion_taps {
    int count;
    int16_t at[RADII][TURNS][MAX_TAPS][2];
    int32_t along[RADII][TURNS][MAX_TAPS]; /* the same as a step through the frame's samples */
    int reach[RADII];
} occlusion_taps;

typedef struct occlusion_job {
    fab_render_frame *frame;
    occlusion_taps taps;
} occlusion_job;

/* ---- ambient occlusion ------------------------------------------------------------------ */

static const fab_render_sample *sample_at(const fab_render_frame *f, int x, int y)
{
    if (x < 0 || y < 0 || x >= f->width || y >= f->height) return NULL;
    return &f->samples[(size_t)y * (size_t)f->width + (size_t)x];
}

static void set_taps(const fab_render_frame *f, occlusion_taps *taps)
{
    taps->count = f->scale == 1 ? MAX_TAPS : f->scale == 2 ? 12 : 6;
    for (int k = 0; k < RADII; k++)
        for (int turn = 0; turn < TURNS; turn++)
            for (int i = 0; i < taps->count; i++) {
                double share = (i + 0.5) / taps->count, r = (double)radius_mm[k] * sqrt(share);
                double angle = 6.28318530717958648 * turn / TURNS + golden_angle * i + 1.7 * k;
                double reach = fmin(r / f->mm_per_sample, 8192);
                taps->at[k][turn][i][0] = (int16_t)lrint(reach * cos(angle));
                taps->at[k][turn][i][1] = (int16_t)lrint(reach * sin(angle));
                taps->along[k][turn][i] =
                    taps->at[k][turn][i][0] + taps->at[k][turn][i][1] * f->width;
                taps->reach[k] = (int)fmax(taps->reach[k], ceil(reach));
            }
}

static float occlusion_at(const occlusion_job *job, int x, int y, const float n[3], int k,
                          int turn)
{
    const fab_render_frame *f = job->frame;
    float mm = (float)f->mm_per_sample, sum = 0, r = radius_mm[k];
    const fab_render_sample *here = sample_at(f, x, y);
    float depth = here->depth_mm;
    int reach = job->taps.reach[k];
    bool inner = x >= reach && y >= reach && x < f->width - reach && y < f->height - reach;
    for (int i = 0; i < job->taps.count; i++) {
        const int16_t *d = job->taps.at[k][turn][i];
        const fab_render_sample *there = inner ? here + job->taps.along[k][turn][i]
                                               : sample_at(f, x + d[0], y + d[1]);
        if (!there || !there->item || (!d[0] && !d[1])) continue;
        float v[3] = {(float)d[0] * mm, (float)-d[1] * mm, depth - there->depth_mm};
        float facing = v[0] * n[0] + v[1] * n[1] + v[2] * n[2] - 0.06f * r;
        if (facing <= 0) continue;
        float square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
        float near = 1 - square / (r * r * 2.25f);
        if (near > 0) sum += near * facing / sqrtf(square);
    }
    float shut = strength[k] * sum / (float)job->taps.count;
    return 1 - (shut < 0.85f ? shut : 0.85f);
}

static void occlude_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const occlusion_job *job = ctx;
    fab_render_frame *f = job->frame;
    static const uint8_t order[TURNS] = {0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5};
    for (int x = 0; x < f->width; x++) {
        size_t at = (size_t)y * (size_t)f->width + (size_t)x;
        float n[3], open = 1;
        int turn = order[(y % PATTERN) * PATTERN + x % PATTERN];
        for (int c = 0; c < 3; c++) n[c] = (float)f->samples[at].normal[c] / 32767;
        for (int k = 0; k < RADII && f->samples[at].item; k++)
            open *= occlusion_at(job, x, (int)y, n, k, turn);
        f->occlusion[at] = open;
    }
}

static void blur_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    fab_render_frame *f = ctx;
    float *out = f->rgba + 4 * (size_t)y * (size_t)f->width;
    for (int x = 0; x < f->width; x++) {
        const fab_render_sample *here = sample_at(f, x, (int)y);
        float sum = 0, weight = 0;
        if (!here->item) continue;
        for (int dy = -1; dy <= 2; dy++)
            for (int dx = -1; dx <= 2; dx++) {
                const fab_render_sample *there = sample_at(f, x + dx, (int)y + dy);
                if (!there || fabsf(there->depth_mm - here->depth_mm) > 4) continue;
                sum += f->occlusion[(size_t)(y + dy) * (size_t)f->width + (size_t)(x + dx)];
                weight += 1;
            }
        out[4 * x + 3] = sum / weight; /* kept in the alpha until the samples are shaded */
    }
}

fab_status fab_render_occlude(fab_render_frame *f, fab_error *err)
{
    size_t samples = (size_t)f->width * (size_t)f->height;
    f->occlusion = fab_alloc_array(samples, sizeof *f->occlusion);
    f->rgba = fab_calloc(samples, 4 * sizeof *f->rgba);
    if (!f->occlusion || !f->rgba) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for a frame");
    occlusion_job job = {.frame = f};
    set_taps(f, &job.taps);
    fab_parallel_for(f->height, occlude_row, &job);
    fab_parallel_for(f->height, blur_row, f);
    return FAB_OK;
}

/* ---- light ------------------------------------------------------------------------------ */

typedef struct lamp {
    float direction[3]; /* towards the lamp, unit, view space */
    float rgb[3];
    float wrap;         /* how far light creeps past the terminator */
} lamp;

static const lamp lamps[] = {
    {{-0.457f, 0.566f, 0.686f}, {0.86f, 0.83f, 0.785f}, 0.15f}, /* key, upper left */
    {{0.742f, 0.082f, 0.665f}, {0.20f, 0.23f, 0.28f}, 0.40f},  /* fill, cool */
    {{0.30f, 0.50f, -0.812f}, {0.22f, 0.24f, 0.28f}, 0.30f},   /* rim, from behind */
};
static const float sky[3] = {0.26f, 0.28f, 0.315f}, ground[3] = {0.13f, 0.115f, 0.105f};

static float power_42(float x)
{
    float x2 = x * x, x8 = x2 * x2 * (x2 * x2), x16 = x8 * x8;
    return x16 * x16 * x8 * x2;
}

void fab_render_light(const float rgb[3], const float n[3], float occlusion, float out[3])
{
    float up = n[1] * 0.5f + 0.5f, light[3];
    for (int c = 0; c < 3; c++)
        light[c] = (ground[c] + (sky[c] - ground[c]) * up) * occlusion *
                   (0.35f + 0.65f * occlusion);
    for (size_t i = 0; i < sizeof lamps / sizeof *lamps; i++) {
        const float *d = lamps[i].direction;
        float facing = n[0] * d[0] + n[1] * d[1] + n[2] * d[2];
        float lit = (facing + lamps[i].wrap) / (1 + lamps[i].wrap);
        if (!(lit > 0)) continue;
        lit *= 0.45f + 0.55f * occlusion;
        for (int c = 0; c < 3; c++) light[c] += lit * lamps[i].rgb[c];
    }
    /* Blinn's half vector between the key lamp and the viewer */
    float half[3] = {-0.249f, 0.308f, 0.918f};
    float shine = n[0] * half[0] + n[1] * half[1] + n[2] * half[2];
    shine = shine > 0 ? power_42(shine) * 0.10f * occlusion : 0;
    for (int c = 0; c < 3; c++) out[c] = rgb[c] * light[c] + shine;
}

/* How much darker a sample is for lying just behind an edge: 0..1. */
static float edge_shadow(const fab_render_frame *f, int x, int y)
{
    const fab_render_sample *here = sample_at(f, x, y);
    int reach = f->scale + (f->scale > 1);
    float worst = 0, seam = 0;
    for (int ring = 1; ring <= 2; ring++)
        for (int i = 0; i < 8; i++) {
            static const int ox[8] = {1, 1, 0, -1, -1, -1, 0, 1};
            static const int oy[8] = {0, 1, 1, 1, 0, -1, -1, -1};
            int d = ring == 1 ? reach / 2 + 1 : reach + 1;
            const fab_render_sample *there = sample_at(f, x + ox[i] * d, y + oy[i] * d);
            if (!there || !there->item) continue;
            float behind = (here->depth_mm - there->depth_mm - 2.5f) / 14;
            behind = (behind < 1 ? behind : 1) / (float)ring;
            worst = behind > worst ? behind : worst;
            if (ring == 1 && there->item != here->item) seam = 0.22f;
        }
    worst *= 0.6f;
    return worst > seam ? worst : seam;
}

static void shade_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    fab_render_frame *f = ctx;
    float deep = fmaxf(f->far_mm - f->near_mm, 1);
    for (int x = 0; x < f->width; x++) {
        const fab_render_sample *s = sample_at(f, x, (int)y);
        float *out = f->rgba + 4 * ((size_t)y * (size_t)f->width + (size_t)x);
        float open = out[3], n[3], rgb[3];
        out[3] = s->item ? 1 : 0;
        if (!s->item) continue;
        const fab_render_item *item = &f->items[(s->item & ~FAB_RENDER_CAP) - 1];
        float grey = (item->rgb[0] + item->rgb[1] + item->rgb[2]) / 3 * 0.55f;
        for (int c = 0; c < 3; c++) {
            n[c] = (float)s->normal[c] / 32767;
            rgb[c] = s->item & FAB_RENDER_CAP ? 0.35f * item->rgb[c] + 0.65f * grey : item->rgb[c];
        }
        fab_render_light(rgb, n, open, out);
        float away = (s->depth_mm - f->near_mm) / deep;
        float keep = (1 - 0.30f * away * away) * (1 - edge_shadow(f, x, (int)y));
        for (int c = 0; c < 3; c++) out[c] *= keep;
    }
}

void fab_render_shade(fab_render_frame *f)
{
    fab_parallel_for(f->height, shade_row, f);
}
