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
    const fab_render_sample *here = fab_render_sample_at(f, x, y);
    int reach = f->scale + (f->scale > 1);
    float worst = 0, seam = 0;
    for (int ring = 1; ring <= 2; ring++)
        for (int i = 0; i < 8; i++) {
            static const int ox[8] = {1, 1, 0, -1, -1, -1, 0, 1};
            static const int oy[8] = {0, 1, 1, 1, 0, -1, -1, -1};
            int d = ring == 1 ? reach / 2 + 1 : reach + 1;
            const fab_render_sample *there = fab_render_sample_at(f, x + ox[i] * d, y + oy[i] * d);
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
        const fab_render_sample *s = fab_render_sample_at(f, x, (int)y);
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
