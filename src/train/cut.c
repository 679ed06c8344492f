/* cut.c - a patch out of a scan: turned, scaled, bent. */
#include <math.h>
#include <string.h>

#include "train_internal.h"

enum { LATTICE = 5 }; /* nodes of the bending along a patch's edge */

typedef struct cutter {
    const fab_case *c;
    int patch[3];
    double centre[3];      /* scan voxels */
    double matrix[3][3];   /* scan voxels from patch voxels */
    float bend[LATTICE][LATTICE][LATTICE][3];
} cutter;

/* m = rotation about z, y and x times scale per axis. */
static void draw_matrix(fab_rng *rng, double m[3][3])
{
    const double degree = M_PI / 180;
    const bool turned = fab_rng_uniform(rng) < 0.8;
    double angle[3], scale[3];
    const double zoom = turned ? fab_rng_range(rng, 0.82, 1.2) : 1;
    for (int a = 0; a < 3; a++) {
        angle[a] = turned ? fab_rng_normal(rng) * 7 * degree : 0;
        scale[a] = turned ? zoom * fab_rng_range(rng, 0.93, 1.07) : 1;
    }
    const double cz = cos(angle[0]), sz = sin(angle[0]), cy = cos(angle[1]), sy = sin(angle[1]);
    const double cx = cos(angle[2]), sx = sin(angle[2]);
    const double r[3][3] = {{cy * cx, -cy * sx, sy},
                            {cz * sx + sz * sy * cx, cz * cx - sz * sy * sx, -sz * cy},
                            {sz * sx - cz * sy * cx, sz * cx + cz * sy * sx, cz * cy}};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) m[i][k] = r[i][k] * scale[k];
}

/* A class that the case has, as likely as its focus; 0: none. */
static int draw_class(const fab_recipe *r, const fab_case *c, fab_rng *rng)
{
    double sum = 0;
    for (int k = 1; k < r->config.classes; k++)
        if (c->point_count[k]) sum += r->focus[k];
    double left = fab_rng_uniform(rng) * sum;
    for (int k = 1; k < r->config.classes; k++) {
        if (!c->point_count[k]) continue;
        left -= r->focus[k];
        if (left < 0) return k;
    }
    return 0;
}

/* Around such a voxel, or anywhere; mostly inside the scan. */
static void draw_centre(const fab_recipe *r, const fab_case *c, fab_rng *rng, double centre[3])
{
    const int k = fab_rng_uniform(rng) < 0.7 ? draw_class(r, c, rng) : 0;
    const double lap = fab_rng_uniform(rng) < 0.7 ? 0.1 : 0.35;
    int32_t at = 0;
    if (k) at = c->points[k][fab_rng_u32(rng) % (uint32_t)c->point_count[k]];
    const int where[3] = {at / c->size[2] / c->size[1], at / c->size[2] % c->size[1],
                          at % c->size[2]};
    for (int a = 0; a < 3; a++) {
        const double edge = r->schedule.patch[a], n = c->size[a];
        const double low = (0.5 - lap) * edge;
        double x = k ? where[a] + fab_rng_range(rng, -0.3, 0.3) * edge
                     : fab_rng_range(rng, 0, n - 1);
        if (n > 2 * low) x = x < low ? low : x > n - low ? n - low : x;
        else x = (n - 1) / 2;
        centre[a] = x;
    }
}

static void draw_bend(fab_rng *rng, double largest, cutter *t)
{
    const double amplitude = fab_rng_range(rng, 0, largest);
    for (int z = 0; z < LATTICE; z++)
        for (int y = 0; y < LATTICE; y++)
            for (int x = 0; x < LATTICE; x++)
                for (int a = 0; a < 3; a++)
                    t->bend[z][y][x][a] = (float)(fab_rng_normal(rng) * amplitude);
}

static float between(float a, float b, float f)
{
    return a + (b - a) * f;
}

/* Nodes of the lattice interpolated to one row: bend[x node][axis]. */
static void bend_of_row(const cutter *t, int z, int y, float out[LATTICE][3])
{
    const float pz = (float)z * (LATTICE - 1) / (float)t->patch[0];
    const float py = (float)y * (LATTICE - 1) / (float)t->patch[1];
    const int iz = (int)pz, iy = (int)py;
    const float fz = pz - (float)iz, fy = py - (float)iy;
    for (int x = 0; x < LATTICE; x++)
        for (int a = 0; a < 3; a++)
            out[x][a] = between(between(t->bend[iz][iy][x][a], t->bend[iz][iy + 1][x][a], fy),
                                between(t->bend[iz + 1][iy][x][a], t->bend[iz + 1][iy + 1][x][a],
                                        fy), fz);
}

/* Trilinear; p inside [0, size - 1] on every axis. */
static float interpolate(const fab_case *c, const float p[3])
{
    int i[3];
    float f[3];
    for (int a = 0; a < 3; a++) {
        i[a] = (int)p[a];
        if (i[a] > c->size[a] - 2) i[a] = c->size[a] - 2;
        f[a] = p[a] - (float)i[a];
    }
    const ptrdiff_t row = c->size[2], plane = row * c->size[1];
    const int16_t *v = c->hu + i[0] * plane + i[1] * row + i[2];
    float side[2];
    for (int k = 0; k < 2; k++, v += plane)
        side[k] = between(between(v[0], v[1], f[2]), between(v[row], v[row + 1], f[2]), f[1]);
    return between(side[0], side[1], f[0]);
}

static void sample(const cutter *t, const float p[3], float *hu, uint8_t *class)
{
    const fab_case *c = t->c;
    for (int a = 0; a < 3; a++)
        if (!(p[a] >= 0 && p[a] <= (float)(c->size[a] - 1))) {
            *hu = -1024;
            *class = 0;
            return;
        }
    const int z = (int)(p[0] + 0.5f), y = (int)(p[1] + 0.5f), x = (int)(p[2] + 0.5f);
    *hu = interpolate(c, p);
    *class = c->classes[((ptrdiff_t)z * c->size[1] + y) * c->size[2] + x];
}

static void sample_row(const cutter *t, int z, int y, float *hu, uint8_t *classes)
{
    float bend[LATTICE][3];
    const double dz = z - (t->patch[0] - 1) / 2.0, dy = y - (t->patch[1] - 1) / 2.0;
    bend_of_row(t, z, y, bend);
    for (int x = 0; x < t->patch[2]; x++) {
        const double dx = x - (t->patch[2] - 1) / 2.0;
        const float px = (float)x * (LATTICE - 1) / (float)t->patch[2];
        const int ix = (int)px;
        float p[3];
        for (int a = 0; a < 3; a++)
            p[a] = (float)(t->centre[a] + t->matrix[a][0] * dz + t->matrix[a][1] * dy +
                           t->matrix[a][2] * dx) +
                   between(bend[ix][a], bend[ix + 1][a], px - (float)ix);
        sample(t, p, hu + x, classes + x);
    }
}

void fab_patch_cut(const fab_recipe *r, const fab_case *c, fab_rng *rng, float *hu,
                   uint8_t *classes)
{
    cutter t = {.c = c};
    memcpy(t.patch, r->schedule.patch, sizeof t.patch);
    draw_matrix(rng, t.matrix);
    draw_centre(r, c, rng, t.centre);
    draw_bend(rng, 2.5 / r->spacing_mm, &t);
    for (int z = 0; z < t.patch[0]; z++)
        for (int y = 0; y < t.patch[1]; y++) {
            const ptrdiff_t at = ((ptrdiff_t)z * t.patch[1] + y) * t.patch[2];
            sample_row(&t, z, y, hu + at, classes + at);
        }
}
