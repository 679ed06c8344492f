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
    const float drawn = 2 * expf(fab_sy_range(&p->rng, 0, 2.8)); /* 2..33 HU */
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

/* ---- metal ---- */

enum { RAYS = 64, MAX_HITS = 12 };

/* Where the metal's axes cross a slice of the patch (voxels of the patch's grid). */
static int hits_of(const fab_sy_patch *p, float z, float hit[MAX_HITS][2])
{
    int n = 0;
    for (int k = 0; k < p->metals && n < MAX_HITS; k++) {
        const fab_sy_capsule *c = &p->metal[k];
        const float low = fminf(c->from[2], c->to[2]) - c->radius;
        const float high = fmaxf(c->from[2], c->to[2]) + c->radius;
        if (2 * z + 1 < low || 2 * z > high) continue;
        const float dz = c->to[2] - c->from[2];
        const float t = fabsf(dz) > 1 ? fab_sy_clamp((2 * z - c->from[2]) / dz, 0, 1) : 0.5f;
        for (int a = 0; a < 2; a++) hit[n][a] = (c->from[a] + t * (c->to[a] - c->from[a])) / 2;
        n++;
    }
    return n;
}

/* Rays of random light and dark around every hit, weaker outwards. */
static void metal_rays(fab_sy_patch *p, float z, float sd, float *slice, uint32_t key)
{
    const int nx = p->size[0] / 2, ny = p->size[1] / 2;
    const float mm = (float)p->options->spacing_mm;
    float hit[MAX_HITS][2], ray[RAYS + 1];
    const int hits = hits_of(p, z, hit);
    for (int k = 0; k < hits; k++) {
        fab_sy_normals(key, (int64_t)k * 1000 + (int64_t)(z / 2) * 100000, RAYS, ray);
        ray[RAYS] = ray[0];
        for (int y = 0; y < ny; y++)
            for (int x = 0; x < nx; x++) {
                const float dx = (float)x - hit[k][0], dy = (float)y - hit[k][1];
                const float far = sqrtf(dx * dx + dy * dy) * mm;
                if (far > 110) continue;
                const float at = (atan2f(dy, dx) / 6.2831853f + 0.5f) * (RAYS - 1e-3f);
                const int i = (int)at;
                const float v = ray[i] + (at - (float)i) * (ray[i + 1] - ray[i]);
                slice[(int64_t)y * nx + x] += sd * v * expf(-far / 28);
            }
    }
}

/* A coil's uneven light: free contrast only. */
static fab_status add_bias(fab_sy_patch *p, float *hu, fab_error *err)
{
    const int n[3] = {p->size[0] / 2, p->size[1] / 2, p->size[2] / 2};
    const float strong = fab_sy_range(&p->rng, 0, 0.3);
    fab_sy_noise noise;
    FAB_AUTO_FREE float *row = fab_alloc_array((size_t)n[0], sizeof *row);
    if (!row) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a row");
    FAB_TRY(fab_sy_noise_make(&noise, n, 130 / (float)p->options->spacing_mm, &p->rng, err));
    for (int z = 0; z < n[2]; z++)
        for (int y = 0; y < n[1]; y++, hu += n[0]) {
            fab_sy_noise_row(&noise, y, z, row);
            for (int x = 0; x < n[0]; x++)
                hu[x] = (hu[x] + 1024) * fab_sy_clamp(1 + strong * row[x], 0.4f, 1.6f) - 1024;
        }
    fab_sy_noise_free(&noise);
    return FAB_OK;
}

static fab_status add_noise(fab_sy_patch *p, const grain *g, uint32_t key, float *hu,
                            fab_error *err)
{
    const int nx = p->size[0] / 2, ny = p->size[1] / 2, nz = p->size[2] / 2, area = nx * ny;
    FAB_AUTO_FREE float *noise = fab_alloc_array((size_t)area * 3 + (size_t)nx, sizeof *noise);
    if (!noise) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for noise");
    float *before = noise + area, *mix = before + area, *run = mix + area;
    const float scale =
        g->sd / (gain_of(g->plane) * sqrtf((1 - g->along) * (1 - g->along) + g->along * g->along));
    memset(before, 0, (size_t)area * sizeof *before);
    for (int z = -1; z < nz; z++) { /* each slice shares some of its neighbour's noise */
        fab_sy_normals(key, (int64_t)(z + 1) * area, area, noise);
        smooth_plane(noise, nx, ny, g->plane, g->plane);
        for (int i = 0; i < area; i++)
            mix[i] = scale * ((1 - g->along) * noise[i] + g->along * before[i]);
        if (z >= 0) {
            float *slice = hu + (int64_t)z * area;
            if (g->streak_sd > 0) add_streaks(slice, nx, ny, noise, g->streak_sd, run, mix);
            for (int i = 0; i < area; i++) slice[i] += mix[i];
        }
        memcpy(before, noise, (size_t)area * sizeof *before);
    }
    return FAB_OK;
}

fab_status fab_sy_scan(fab_sy_patch *p, float *hu, fab_error *err)
{
    const grain g = draw_grain(p);
    const uint32_t key = fab_rng_u32(&p->rng);
    const float rays = fab_sy_range(&p->rng, 10, 220);
    const int area = p->size[0] / 2 * (p->size[1] / 2);
    if (p->free_contrast) FAB_TRY(add_bias(p, hu, err));
    if (g.sd > 0) FAB_TRY(add_noise(p, &g, key, hu, err));
    for (int z = 0; z < p->size[2] / 2 && p->metals; z++)
        metal_rays(p, (float)z, rays, hu + (int64_t)z * area, key + 77);
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

/* Ends the scan a little above the lowest lung, as abdominal protocols do. */
static void cut_top(fab_sy_patch *p, float *hu, uint8_t *fine)
{
    const int n[3] = {p->size[0] / 2, p->size[1] / 2, p->size[2] / 2}, area = n[0] * n[1];
    int lowest = 0;
    for (bool lung = false; lowest < n[2] && !lung; lowest++)
        for (int i = 0; i < area && !lung; i++) {
            const int v = fine[(int64_t)lowest * area + i];
            lung = v >= 10 && v <= 14;
        }
    const int keep = lowest + (int)(fab_sy_range(&p->rng, 3, 30) / (float)p->options->spacing_mm);
    const int low[3] = {0, 0, 0}, high[3] = {n[0], n[1], keep};
    if (lowest < n[2] && 3 * keep > n[2]) blank(p, hu, fine, low, high);
}

void fab_sy_cut(fab_sy_patch *p, float *hu, uint8_t *fine)
{
    if (!p->options->cut) return;
    const double how = fab_rng_uniform(&p->rng);
    if (how < 0.15) cut_small(p, hu, fine);
    else if (how < 0.33) cut_axes(p, hu, fine);
    else if (how < 0.45) cut_circle(p, hu, fine);
    else if (how < 0.54) cut_top(p, hu, fine);
}
