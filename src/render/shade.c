/* shade.c - light. Where one surface passes behind another it darkens near the edge (after Luft,
 * Colditz, Deussen: unsharp masking the depth buffer, SIGGRAPH 2006). */
#include <math.h>

#include "render_internal.h"

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

static lanes power_42(lanes x)
{
    lanes x2 = x * x, x8 = x2 * x2 * (x2 * x2), x16 = x8 * x8;
    return x16 * x16 * x8 * x2;
}

static lanes along(const lanes n[3], const float d[3])
{
    return n[0] * d[0] + n[1] * d[1] + n[2] * d[2];
}

void fab_render_light(const lanes rgb[3], const lanes n[3], lanes occlusion, lanes out[3])
{
    const lanes zero = {0}, up = n[1] * 0.5f + 0.5f, open = occlusion * (0.35f + 0.65f * occlusion);
    lanes light[3];
    for (int c = 0; c < 3; c++) light[c] = (ground[c] + (sky[c] - ground[c]) * up) * open;
    for (size_t i = 0; i < sizeof lamps / sizeof *lamps; i++) {
        const lamp *l = &lamps[i];
        lanes lit = (along(n, l->direction) + l->wrap) / (1 + l->wrap);
        lit = lanes_most(lit, zero) * (0.45f + 0.55f * occlusion);
        for (int c = 0; c < 3; c++) light[c] += lit * l->rgb[c];
    }
    /* Blinn's half vector between the key lamp and the viewer */
    static const float half[3] = {-0.249f, 0.308f, 0.918f};
    const lanes shine = power_42(lanes_most(along(n, half), zero)) * 0.10f * occlusion;
    for (int c = 0; c < 3; c++) out[c] = rgb[c] * light[c] + shine;
}

/* How much darker samples are for lying just behind an edge: 0..1. */
static lanes edge_shadow(const fab_render_frame *f, size_t at)
{
    static const int ox[8] = {1, 1, 0, -1, -1, -1, 0, 1}, oy[8] = {0, 1, 1, 1, 0, -1, -1, -1};
    const lanes zero = {0}, here = lanes_load(f->seen.depth_mm + at);
    const lane_shorts item = lanes_load_shorts(f->seen.item + at);
    const int reach = f->scale + (f->scale > 1);
    lane_shorts seam = {0};
    lanes worst = zero;
    for (int ring = 1; ring <= 2; ring++)
        for (int i = 0; i < 8; i++) {
            const int d = ring == 1 ? reach / 2 + 1 : reach + 1;
            const size_t there = at + (size_t)((ptrdiff_t)oy[i] * d * f->pitch + ox[i] * d);
            lanes behind = (here - lanes_load(f->seen.depth_mm + there) - 2.5f) / 14;
            behind = lanes_least(behind, zero + 1) / (float)ring;
            worst = lanes_most(worst, behind);
            const lane_shorts other = lanes_load_shorts(f->seen.item + there);
            if (ring == 1) seam |= (other != 0) & (other != item);
        }
    lanes least = lanes_only(__builtin_convertvector(seam, lane_bits), zero + 0.22f);
    return lanes_most(worst * 0.6f, least);
}

/* The mean over 4 x 4 samples of about the same depth: the pattern of occlude.c in each. */
static lanes blurred(const fab_render_frame *f, size_t at)
{
    const lanes zero = {0}, here = lanes_load(f->seen.depth_mm + at);
    lanes sum = zero, weight = zero;
    for (int dy = -1; dy <= 2; dy++)
        for (int dx = -1; dx <= 2; dx++) {
            const size_t there = at + (size_t)((ptrdiff_t)dy * f->pitch + dx);
            const lanes away = lanes_load(f->seen.depth_mm + there) - here;
            const lane_bits near = (away <= 4) & (away >= -4);
            sum += lanes_only(near, lanes_load(f->seen.occlusion + there));
            weight += lanes_only(near, zero + 1);
        }
    return sum / weight;
}

/* The colours of samples: a scan-edge cap is greyer than its structure. */
static void colours(const fab_render_frame *f, size_t at, int count, lanes rgb[3])
{
    for (int i = 0; i < count; i++) {
        const int mark = f->seen.item[at + (size_t)i];
        if (!mark) continue;
        const float *own = f->items[(mark & ~FAB_RENDER_CAP & 0xffff) - 1].rgb;
        const float grey = (own[0] + own[1] + own[2]) / 3 * 0.55f;
        for (int c = 0; c < 3; c++)
            rgb[c][i] = mark & FAB_RENDER_CAP ? 0.35f * own[c] + 0.65f * grey : own[c];
    }
}

static void shade_lanes(const fab_render_frame *f, size_t at, int count, float *out)
{
    const float deep = fmaxf(f->far_mm - f->near_mm, 1);
    lanes n[3], rgb[3] = {{0}, {0}, {0}}, lit[3];
    for (int c = 0; c < 3; c++)
        n[c] = lanes_from_shorts(lanes_load_shorts(f->seen.normal[c] + at)) * (1.0f / 32767);
    colours(f, at, count, rgb);
    fab_render_light(rgb, n, blurred(f, at), lit);
    const lanes away = (lanes_load(f->seen.depth_mm + at) - f->near_mm) / deep;
    const lanes keep = (1 - 0.30f * away * away) * (1 - edge_shadow(f, at));
    for (int i = 0; i < count; i++) {
        const bool any = f->seen.item[at + (size_t)i] != 0;
        for (int c = 0; c < 3; c++) out[4 * i + c] = any ? lit[c][i] * keep[i] : 0;
        out[4 * i + 3] = any ? 1 : 0;
    }
}

static void shade_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    fab_render_frame *f = ctx;
    for (int x = 0; x < f->width; x += LANES) {
        const size_t at = fab_render_at(f, x, (int)y);
        const int count = f->width - x < LANES ? f->width - x : LANES;
        float *out = f->rgba + 4 * ((size_t)y * (size_t)f->width + (size_t)x);
        bool any = false;
        for (int i = 0; i < count; i++) any |= f->seen.item[at + (size_t)i] != 0;
        if (any) shade_lanes(f, at, count, out);
    }
}

fab_status fab_render_shade(fab_render_frame *f, fab_error *err)
{
    f->rgba = fab_calloc((size_t)f->width * (size_t)f->height, 4 * sizeof *f->rgba);
    if (!f->rgba) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for a frame");
    fab_parallel_for(f->height, shade_row, f);
    return FAB_OK;
}
