/* metal.c - what surgeons leave: pedicle screws with rods, hips with a stem. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

static void add_capsule(fab_sy_patch *p, const float from[3], const float to[3], float radius_mm)
{
    if (p->metals == SY_MAX_CAPSULES) return;
    fab_sy_capsule *c = &p->metal[p->metals];
    c->radius = radius_mm / p->step;
    if (fab_sy_find(p, from, c->from) && fab_sy_find(p, to, c->to)) p->metals++;
}

/* A point in a vertebra's frame: mm to the left, back and up from the canal's centre. */
static void in_frame(const fab_sy_vertebra *v, float left, float back, float up, float out[3])
{
    const float *b = v->back, *u = v->up;
    const float l[3] = {b[1] * u[2] - b[2] * u[1], b[2] * u[0] - b[0] * u[2],
                        b[0] * u[1] - b[1] * u[0]};
    for (int a = 0; a < 3; a++) out[a] = v->canal[a] + left * l[a] + back * b[a] + up * u[a];
}

/* Screws through the pedicles of two to five neighbours, a rod on each side. */
static void add_screws(fab_sy_patch *p)
{
    const fab_synth_source *s = p->source;
    const int levels = 2 + (int)(fab_rng_u32(&p->rng) % 4), last = s->joints - 2;
    const float radius = fab_sy_range(&p->rng, 2.2, 3.4), rod = fab_sy_range(&p->rng, 2.5, 3.5);
    if (last < 3) return;
    int first = 1 + (int)(fab_rng_u32(&p->rng) % (uint32_t)(last - 1));
    for (int k = 0; k < 40; k++) { /* somewhere the patch shows */
        float voxel[3];
        if (fab_sy_find(p, s->joint[first].centre, voxel)) break;
        first = 1 + (int)(fab_rng_u32(&p->rng) % (uint32_t)(last - 1));
    }
    for (int side = -1; side <= 1; side += 2) {
        float head[3], before[3], tip[3], cap[3];
        for (int i = first; i < first + levels && i <= last; i++) {
            const fab_sy_vertebra *v = &s->joint[i];
            const float wide = (float)side * (v->level >= 19 ? 17.0f : 13.0f);
            in_frame(v, wide, 14, 4, head);
            in_frame(v, wide * 1.05f, 22, 4, cap);
            in_frame(v, wide * 0.55f, -v->wall - 22, 3, tip);
            add_capsule(p, head, tip, radius);
            add_capsule(p, head, cap, 5);
            if (i > first) add_capsule(p, before, cap, rod);
            memcpy(before, cap, sizeof before);
        }
    }
}

/* Mean of the sampled points of a value between two heights (mm) below its top. */
static bool mean_below(const fab_synth_source *s, int value, float top, float from, float to,
                       float out[3])
{
    double sum[4] = {0};
    const uint32_t nx = (uint32_t)s->size[0], ny = (uint32_t)s->size[1];
    for (uint32_t k = s->first[value]; k < s->first[value + 1]; k++) {
        const float at[3] = {(float)(s->point[k] % nx) * s->step,
                             (float)(s->point[k] / nx % ny) * s->step,
                             (float)(s->point[k] / nx / ny) * s->step};
        if (top - at[2] < from || top - at[2] > to) continue;
        for (int a = 0; a < 3; a++) sum[a] += (double)at[a];
        sum[3] += 1;
    }
    for (int a = 0; a < 3 && sum[3] > 0; a++) out[a] = (float)(sum[a] / sum[3]);
    return sum[3] > 20;
}

/* A ball where the femur's head was, a neck, a stem down the shaft. */
static void add_hip(fab_sy_patch *p, int femur)
{
    const fab_synth_source *s = p->source;
    if (s->first[femur] == s->first[femur + 1]) return;
    const uint32_t slice = (uint32_t)s->size[0] * (uint32_t)s->size[1];
    const float top = (float)(s->point[s->first[femur + 1] - 1] / slice) * s->step;
    float head[3], neck[3], stem[3];
    if (!mean_below(s, femur, top, 0, 32, head) || !mean_below(s, femur, top, 45, 60, neck)) return;
    if (!mean_below(s, femur, top, 90, 150, stem)) memcpy(stem, neck, sizeof stem), stem[2] -= 40;
    add_capsule(p, head, head, fab_sy_range(&p->rng, 13, 18));
    add_capsule(p, head, neck, fab_sy_range(&p->rng, 5, 8));
    add_capsule(p, neck, stem, fab_sy_range(&p->rng, 5, 8));
}

/* ---- painting ---- */

static bool inside(const fab_sy_capsule *c, const float at[3])
{
    float d[3], e[3], dot = 0, len = 0, r = 0;
    for (int a = 0; a < 3; a++) {
        d[a] = c->to[a] - c->from[a], e[a] = at[a] - c->from[a];
        dot += d[a] * e[a], len += d[a] * d[a];
    }
    const float t = len > 0 ? fab_sy_clamp(dot / len, 0, 1) : 0;
    for (int a = 0; a < 3; a++) r += (e[a] - t * d[a]) * (e[a] - t * d[a]);
    return r <= c->radius * c->radius;
}

static void paint_capsule(fab_sy_patch *p, const fab_sy_capsule *c)
{
    int low[3], high[3];
    for (int a = 0; a < 3; a++) {
        low[a] = (int)fmaxf(0, fminf(c->from[a], c->to[a]) - c->radius);
        high[a] = (int)fminf((float)p->size[a] - 1, fmaxf(c->from[a], c->to[a]) + c->radius + 1);
    }
    for (int z = low[2]; z <= high[2]; z++)
        for (int y = low[1]; y <= high[1]; y++)
            for (int x = low[0]; x <= high[0]; x++) {
                const float at[3] = {(float)x, (float)y, (float)z};
                uint8_t *v = p->label + ((int64_t)z * p->size[1] + y) * p->size[0] + x;
                if (*v != SY_BEYOND && inside(c, at)) *v = SY_METAL;
            }
}

void fab_sy_add_metal(fab_sy_patch *p)
{
    const double screws = fab_rng_uniform(&p->rng), hips = fab_rng_uniform(&p->rng);
    const int wanted = p->options->artefacts;
    if (!wanted) return;
    if (screws < 0.04 || wanted == 1) add_screws(p);
    if (hips < 0.04 || wanted == 1) add_hip(p, 75);
    if (hips < 0.02 || wanted == 1) add_hip(p, 76);
    for (int k = 0; k < p->metals; k++) paint_capsule(p, &p->metal[k]);
}
