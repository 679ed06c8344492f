/* scan.c - noise as reconstructed CT has it, and where the scan ends. On the patch's own grid. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

typedef struct grain { /* of noise */
    float sd, plane, along, streak, streak_sd;
} grain;

/* In-place three-tap smoothing along an axis of the given stride: (k, 1 - 2k, k). */
static void smooth_line(float *v, int n, int64_t stride, float k)
{
    float before = v[0];
    for (int i = 0; i < n; i++) {
        const float here = v[i * stride], next = v[(i + 1 < n ? i + 1 : i) * stride];
        v[i * stride] = k * before + (1 - 2 * k) * here + k * next;
        before = here;
    }
}

static void smooth_plane(float *v, int nx, int ny, float kx, float ky)
{
    for (int y = 0; y < ny && kx > 0; y++) smooth_line(v + (int64_t)y * nx, nx, 1, kx);
    for (int x = 0; x < nx && ky > 0; x++) smooth_line(v + x, ny, nx, ky);
}

static float gain_of(float k) /* variance left by smoothing along one axis */
{
    return 2 * k * k + (1 - 2 * k) * (1 - 2 * k);
}

static grain draw_grain(fab_sy_patch *p)
{
    grain g;
    const double wanted = p->options->noise_hu;
    const float drawn = 2 * expf(fab_sy_range(&p->rng, 0, 3.1)); /* 2..44 HU */
    g.sd = isnan(wanted) ? drawn : (float)wanted;
    g.plane = fab_sy_range(&p->rng, 0, 0.28);
    g.along = fab_rng_uniform(&p->rng) < 0.5 ? 0 : fab_sy_range(&p->rng, 0, 0.3);
    g.streak = fab_rng_uniform(&p->rng) < 0.25 ? fab_sy_range(&p->rng, 0.5, 2) : 0;
    g.streak_sd = g.sd * g.streak * (p->options->artefacts != 0);
    return g;
}

/* Streaks between dense bones: noise that runs left to right, strong where much bone is. */
static void add_streaks(const float *slice, int nx, int ny, const float *noise, float sd,
                        float *run, float *hu)
{
    for (int y = 0; y < ny; y++) {
        const float *n = noise + (int64_t)y * nx;
        float bone = 0, sum = 0;
        for (int x = 0; x < nx; x++) bone += slice[(int64_t)y * nx + x] > 250 ? 1.0f : 0;
        const float strong = sd * fab_sy_clamp(bone / (0.12f * (float)nx), 0, 1);
        for (int x = 0; x < nx; x++) run[x] = sum = 0.9f * sum + 0.43f * n[x];
        for (int x = 0; x < nx; x++) hu[(int64_t)y * nx + x] += strong * run[x];
    }
}

fab_status fab_sy_scan(fab_sy_patch *p, float *hu, fab_error *err)
{
    const int nx = p->size[0] / 2, ny = p->size[1] / 2, nz = p->size[2] / 2, area = nx * ny;
    const grain g = draw_grain(p);
    const uint32_t key = fab_rng_u32(&p->rng);
    if (!(g.sd > 0)) return FAB_OK;
    FAB_AUTO_FREE float *noise = fab_alloc_array((size_t)area * 3 + (size_t)nx, sizeof *noise);
    if (!noise) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for noise");
    float *before = noise + area, *mix = before + area, *run = mix + area;
    const float scale = g.sd / sqrtf(gain_of(g.plane) * gain_of(g.plane) *
                                     ((1 - g.along) * (1 - g.along) + g.along * g.along));
    memset(before, 0, (size_t)area * sizeof *before);
    for (int z = -1; z < nz; z++) { /* each slice shares some of its neighbour's noise */
        fab_sy_normals(key, (int64_t)(z + 1) * area, area, noise);
        smooth_plane(noise, nx, ny, g.plane, g.plane);
        float *slice = hu + (int64_t)z * area;
        if (z >= 0) {
            for (int i = 0; i < area; i++)
                mix[i] = scale * ((1 - g.along) * noise[i] + g.along * before[i]);
            if (g.streak_sd > 0) add_streaks(slice, nx, ny, noise, g.streak_sd, run, mix);
            for (int i = 0; i < area; i++) slice[i] += mix[i];
        }
        memcpy(before, noise, (size_t)area * sizeof *before);
    }
    return FAB_OK;
}

/* ---- where the scan ends ---- */

static void blank(const fab_sy_patch *p, float *hu, uint8_t *fine, const int low[3],
                  const int high[3])
{
    const int n[3] = {p->size[0] / 2, p->size[1] / 2, p->size[2] / 2};
    int64_t i = 0;
    for (int z = 0; z < n[2]; z++)
        for (int y = 0; y < n[1]; y++)
            for (int x = 0; x < n[0]; x++, i++) {
                const bool in = x >= low[0] && x < high[0] && y >= low[1] && y < high[1] &&
                                z >= low[2] && z < high[2];
                if (!in) hu[i] = -1024, fine[i] = SY_OUTSIDE;
            }
}

/* A circle's inside is kept in every slice: the scanner's field of view. */
static void cut_circle(fab_sy_patch *p, float *hu, uint8_t *fine)
{
    const int n[3] = {p->size[0] / 2, p->size[1] / 2, p->size[2] / 2};
    const float mm = (float)p->options->spacing_mm, radius = fab_sy_range(&p->rng, 100, 200) / mm;
    const float cx = (float)n[0] * fab_sy_range(&p->rng, 0.3, 0.7),
                cy = (float)n[1] * fab_sy_range(&p->rng, 0.3, 0.7);
    int64_t i = 0;
    for (int z = 0; z < n[2]; z++)
        for (int y = 0; y < n[1]; y++)
            for (int x = 0; x < n[0]; x++, i++) {
                const float dx = (float)x - cx, dy = (float)y - cy;
                if (dx * dx + dy * dy > radius * radius) hu[i] = -1024, fine[i] = SY_OUTSIDE;
            }
}

/* A small box around what the patch lies around, as spine protocols cut. */
static void cut_small(fab_sy_patch *p, float *hu, uint8_t *fine)
{
    int low[3], high[3];
    for (int a = 0; a < 3; a++) {
        const float n = (float)p->size[a] / 2, mm = (float)p->options->spacing_mm;
        const float wide = fab_sy_range(&p->rng, 40, 150) / mm,
                    at = n * fab_sy_range(&p->rng, 0.35, 0.65);
        low[a] = (int)(at - wide / 2), high[a] = (int)(at + wide / 2) + 1;
    }
    blank(p, hu, fine, low, high);
}

static void cut_axes(fab_sy_patch *p, float *hu, uint8_t *fine)
{
    int low[3], high[3];
    for (int a = 0; a < 3; a++) {
        const int n = p->size[a] / 2;
        low[a] = 0, high[a] = n;
        if (fab_rng_uniform(&p->rng) > (a == 2 ? 0.8 : 0.4)) continue;
        const int keep = n / 3 + (int)(fab_rng_u32(&p->rng) % (uint32_t)(n - n / 3 + 1));
        low[a] = (int)(fab_rng_u32(&p->rng) % (uint32_t)(n - keep + 1));
        high[a] = low[a] + keep;
    }
    blank(p, hu, fine, low, high);
}

void fab_sy_cut(fab_sy_patch *p, float *hu, uint8_t *fine)
{
    if (!p->options->cut) return;
    const double how = fab_rng_uniform(&p->rng);
    if (how < 0.1) cut_small(p, hu, fine);
    else if (how < 0.3) cut_axes(p, hu, fine);
    else if (how < 0.45) cut_circle(p, hu, fine);
}
