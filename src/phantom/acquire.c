/* acquire.c - from an ideal image to a scan. CT: in-plane kernel, streaks of metal, noise whose
 * spectrum rises and falls as filtered back-projection's does (a difference of two Gaussians of
 * white noise), stronger in the middle of the body. MR: a smooth bias field, Rician noise, and the
 * void that metal leaves.
 * Every slice draws from its own hash, so threads do not matter. */
#include <string.h>

#include "phantom_internal.h"

#define MAX_TAPS 15

typedef struct taps { int radius; double w[2 * MAX_TAPS + 1]; } taps;

typedef struct work {
    const ph_scene *s;
    ph_image *image;
    taps fine, coarse, kernel;
    double noise_scale, sharpen, centre[2];
    bool failed[1];
} work;

static taps gaussian(double sigma)
{
    taps t = {.radius = (int)ceil(3 * sigma)};
    if (t.radius > MAX_TAPS) t.radius = MAX_TAPS;
    double sum = 0;
    for (int i = -t.radius; i <= t.radius; i++) {
        double w = sigma > 0 ? exp(-0.5 * i * i / (sigma * sigma)) : 1;
        t.w[i + MAX_TAPS] = w;
        sum += w;
    }
    for (int i = -t.radius; i <= t.radius; i++) t.w[i + MAX_TAPS] /= sum;
    return t;
}

static double overlap(const taps *a, const taps *b)
{
    double sum = 0;
    int r = a->radius < b->radius ? a->radius : b->radius;
    for (int i = -r; i <= r; i++) sum += a->w[i + MAX_TAPS] * b->w[i + MAX_TAPS];
    return sum * sum; /* two axes */
}

/* `from` and `to` may not overlap; `line` has room for a row and 2 * MAX_TAPS more. */
static void blur(const float *from, float *to, float *line, int nx, int ny, const taps *t)
{
    int r = t->radius;
    float w[2 * MAX_TAPS + 1];
    for (int i = -r; i <= r; i++) w[i + r] = (float)t->w[i + MAX_TAPS];
    for (int y = 0; y < ny; y++) { /* down the columns, row by row */
        float *out = to + y * nx;
        memset(out, 0, (size_t)nx * sizeof *out);
        for (int i = -r; i <= r; i++) {
            int at = y + i < 0 ? 0 : y + i >= ny ? ny - 1 : y + i;
            const float *row = from + at * nx;
            for (int x = 0; x < nx; x++) out[x] += w[i + r] * row[x];
        }
    }
    for (int y = 0; y < ny; y++) {
        float *out = to + y * nx;
        for (int x = 0; x < nx; x++) line[x + r] = out[x];
        for (int i = 0; i < r; i++) line[i] = out[0], line[nx + r + i] = out[nx - 1];
        memset(out, 0, (size_t)nx * sizeof *out);
        for (int i = 0; i <= 2 * r; i++)
            for (int x = 0; x < nx; x++) out[x] += w[i] * line[x + i];
    }
}

/* near normal, sd 1: four 16-bit uniforms of two hashes */
static float white(uint32_t seed, uint32_t slice, uint32_t index)
{
    uint32_t a = fab_ph_hash(seed, slice, index, 11), b = fab_ph_hash(seed, slice, index, 12);
    double sum = (double)((a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16));
    return (float)((sum / 65535.0 - 2) * 1.7320508);
}

static void pixel_at(const work *w, int x, int y, double p[2])
{
    const fab_mat34 *m = &w->image->grid.world_from_voxel;
    p[0] = m->m[0][0] * x + m->m[0][3] - w->centre[0];
    p[1] = m->m[1][1] * y + m->m[1][3] - w->centre[1];
}

/* Sums of the metal's pixels to the left and to the right of its middle: x, y, count. */
static bool metal_sides(const work *w, const uint8_t *label, double sum[2][3])
{
    int metal = fab_torso_value("metal_implant"), nx = w->image->grid.size[0];
    int ny = w->image->grid.size[1];
    double mid = 0, count = 0, p[2];
    for (int i = 0; i < nx * ny; i++)
        if (label[i] == metal) pixel_at(w, i % nx, i / nx, p), mid += p[0], count++;
    if (count < 1) return false;
    for (int i = 0; i < nx * ny; i++) {
        if (label[i] != metal) continue;
        pixel_at(w, i % nx, i / nx, p);
        double *to = sum[p[0] > mid / count];
        to[0] += p[0], to[1] += p[1], to[2] += 1;
    }
    return true;
}

/* Dark between two implants, rays around each: what beam hardening and starvation leave. */
static void streaks(const work *w, float *slice, const uint8_t *label)
{
    int nx = w->image->grid.size[0], ny = w->image->grid.size[1];
    double sum[2][3] = {{0}};
    if (!metal_sides(w, label, sum)) return;
    double area = fabs(w->image->grid.world_from_voxel.m[0][0] *
                       w->image->grid.world_from_voxel.m[1][1]);
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            double p[2], add = 0;
            pixel_at(w, x, y, p);
            for (int k = 0; k < 2; k++) {
                if (sum[k][2] < 1) continue;
                double dx = p[0] - sum[k][0] / sum[k][2], dy = p[1] - sum[k][1] / sum[k][2];
                double r = sqrt(dx * dx + dy * dy), size = fmin(sqrt(sum[k][2] * area) / 6, 1.5);
                double angle = atan2(dy, dx);
                add += size * 130 * cos(9 * angle + k) * cos(2 * angle) * exp(-r / 38) *
                       (r > 4);
                add -= size * 150 * exp(-dy * dy / 30) * exp(-r / 34) * (r > 4);
            }
            slice[y * nx + x] += (float)add;
        }
}

static void ct_slice(const work *w, float *slice, const uint8_t *label, float *tmp, int k)
{
    int nx = w->image->grid.size[0], ny = w->image->grid.size[1];
    size_t n = (size_t)nx * (size_t)ny;
    float *a = tmp, *c = tmp + n, *b = tmp + 2 * n;
    blur(slice, a, b, nx, ny, &w->kernel);
    for (size_t i = 0; i < n; i++) slice[i] += (float)w->sharpen * (slice[i] - a[i]);
    if (w->s->o->metal) streaks(w, slice, label);
    if (w->noise_scale <= 0) return;
    for (size_t i = 0; i < n; i++) c[i] = white(w->s->hash, (uint32_t)k, (uint32_t)i);
    blur(c, a, b, nx, ny, &w->fine);
    blur(a, c, b, nx, ny, &w->coarse);
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            double p[2];
            size_t i = (size_t)y * (size_t)nx + (size_t)x;
            pixel_at(w, x, y, p);
            double r2 = p[0] * p[0] / 2.2 + p[1] * p[1];
            double level = w->noise_scale * (0.45 + 0.55 * exp(-r2 / 14000));
            slice[i] += (float)(level * (double)(a[i] - c[i]));
        }
}

/* Metal bends the field: no signal some millimetres around it, a bright rim of piled-up signal. */
static void mr_metal(const work *w, float *slice, const uint8_t *label, float *tmp)
{
    int metal = fab_torso_value("metal_implant"), nx = w->image->grid.size[0];
    int ny = w->image->grid.size[1];
    size_t n = (size_t)nx * (size_t)ny;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        tmp[i] = label[i] == metal;
        any |= label[i] == metal;
    }
    if (!any) return;
    blur(tmp, tmp + n, tmp + 2 * n, nx, ny, &w->coarse);
    for (size_t i = 0; i < n; i++) {
        double near = (double)tmp[n + i], rim = (near - 0.025) / 0.018;
        double void_ = ph_clamp((near - 0.03) / 0.06, 0, 1);
        slice[i] = (float)((double)slice[i] * (1 - void_) + 420 * exp(-rim * rim) * (1 - void_));
    }
}

static void mr_slice(const work *w, float *slice, int k)
{
    int nx = w->image->grid.size[0], ny = w->image->grid.size[1];
    const fab_mat34 *m = &w->image->grid.world_from_voxel;
    double z = m->m[2][2] * k + m->m[2][3];
    for (int y = 0; y < ny; y++)
        for (int x = 0; x < nx; x++) {
            double p[2];
            uint32_t i = (uint32_t)(y * nx + x);
            pixel_at(w, x, y, p);
            ph_vec at = V(p[0] / 170, p[1] / 170, z / 170);
            double bias = 1 + 0.22 * fab_ph_noise(w->s->hash + 77, at);
            double a = w->noise_scale * (double)white(w->s->hash, (uint32_t)k, i);
            double b = w->noise_scale * (double)white(w->s->hash + 5, (uint32_t)k, i);
            double re = (double)slice[i] * bias + a;
            slice[i] = (float)sqrt(re * re + b * b);
        }
}

static void one_slice(void *ctx, int64_t k, int worker)
{
    (void)worker;
    work *w = ctx;
    size_t n = (size_t)w->image->grid.size[0] * (size_t)w->image->grid.size[1];
    float *slice = w->image->value + (size_t)k * n;
    bool ct = w->s->o->modality == FAB_PHANTOM_CT;
    if (!ct && !w->s->o->metal) {
        mr_slice(w, slice, (int)k);
        return;
    }
    float *tmp = fab_alloc_array(2 * n + (size_t)w->image->grid.size[0] + 2 * MAX_TAPS,
                                 sizeof *tmp);
    if (!tmp) {
        w->failed[0] = true;
        return;
    }
    const uint8_t *label = w->image->label + (size_t)k * n;
    if (ct) {
        ct_slice(w, slice, label, tmp, (int)k);
    } else {
        mr_metal(w, slice, label, tmp);
        mr_slice(w, slice, (int)k);
    }
    (void)fab_free(tmp);
}

fab_status fab_ph_acquire(const ph_scene *s, ph_image *image, fab_error *err)
{
    const fab_phantom_options *o = s->o;
    bool ct = o->modality == FAB_PHANTOM_CT, sharp = o->kernel == FAB_PHANTOM_BONE;
    double spacing[3], noise = o->noise_hu < 0 ? (ct ? (sharp ? 28 : 13) : 14) : o->noise_hu;
    fab_grid_spacing(&image->grid, spacing);
    work w = {.s = s, .image = image, .sharpen = sharp ? 0.9 : -1};
    w.kernel = gaussian((sharp ? 0.8 : 0.55) / spacing[0]);
    w.fine = gaussian((sharp ? 0.35 : 0.6) / fmin(spacing[0], 1.5));
    w.coarse = gaussian(ct ? 1.4 / fmin(spacing[0], 1.5) : 4.5 / spacing[0]);
    taps both = gaussian(sqrt(0.36 + 1.96) / fmin(spacing[0], 1.5));
    double var = overlap(&w.fine, &w.fine) - 2 * overlap(&w.fine, &both) + overlap(&both, &both);
    w.noise_scale = ct ? noise / sqrt(fmax(var, 1e-6)) : noise;
    w.centre[0] = 0, w.centre[1] = (-15 - s->canonical_s1.y) * s->scale;
    FAB_TRY(fab_progress_step(o->progress, "scan", 0, err));
    fab_parallel_for(image->grid.size[2], one_slice, &w);
    if (w.failed[0]) FAB_FAIL(err, FAB_ERR_NOMEM, "phantom: no memory for a slice");
    return fab_progress_step(o->progress, "scan", 1, err);
}
