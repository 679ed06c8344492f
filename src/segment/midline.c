/* midline.c - the patient's mid-sagittal surface, so that left and right split right in scoliosis.
 *
 *          front                      In a curved spine left and right change sides of any plane.
 *        _________                    So the surface follows the spine: in every axial slice it is
 *       /   body  \     x = x0 +      a line through the centre of the cord (of the vertebra where
 *       \____+____/     tilt (y - y0) no cord was found), turned by the axial rotation, which is
 *          \ | /                      the direction from the part of the vertebra in front of
 *        ---(o)---  cord: (x0, y0)    the cord to the cord.
 *            |
 *          back        Both are smoothed along z with a Gaussian (sigma 15 mm). Above and below
 * the spine the last averages continue, upright. A volume without a spine gets the line through
 * the middle of everything that was labelled in a slice, and the result says so.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "segment_internal.h"

#define SMOOTH_MM 15.0
#define MIN_CORD_VOXELS 2
#define MIN_BODY_VOXELS 6
#define MAX_TILT 0.7 /* 35 degrees */

typedef struct slice {
    double weight, x, y;         /* centre; weight 0: nothing here */
    double tilt_weight, tilt;
} slice;

typedef struct sum {
    double n, x, y;
} sum;

static void add(sum *s, int x, int y)
{
    s->n += 1;
    s->x += x;
    s->y += y;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

enum { ROLE_NONE, ROLE_BONE, ROLE_CORD };

static int role_of(const char *name)
{
    if (starts_with(name, "spinal_cord") || starts_with(name, "spinal_canal")) return ROLE_CORD;
    return starts_with(name, "vertebra") || starts_with(name, "sacrum") ? ROLE_BONE : ROLE_NONE;
}

static void find_roles(const fab_model *m, uint8_t role[FAB_UNET_MAX_CLASSES])
{
    memset(role, ROLE_NONE, FAB_UNET_MAX_CLASSES);
    for (int i = 0; i < m->label_count; i++)
        role[m->labels[i].value] = (uint8_t)role_of(m->labels[i].name);
}

/* Centre and tilt of one axial slice. */
static slice spine_slice(const uint16_t *winner, const int size[3], int z, const uint8_t *role)
{
    sum cord = {0}, bone = {0}, front = {0};
    slice s = {0};
    const uint16_t *plane = winner + (ptrdiff_t)z * size[1] * size[2];
    for (int y = 0; y < size[1]; y++)
        for (int x = 0; x < size[2]; x++) {
            const int r = role[plane[y * size[2] + x]];
            if (r == ROLE_CORD) add(&cord, x, y);
            if (r == ROLE_BONE) add(&bone, x, y);
        }
    const sum *centre = cord.n >= MIN_CORD_VOXELS ? &cord : &bone;
    if (centre->n < MIN_CORD_VOXELS) return s;
    s.weight = 1;
    s.x = centre->x / centre->n;
    s.y = centre->y / centre->n;
    for (int y = 0; cord.n >= MIN_CORD_VOXELS && y < (int)s.y; y++)
        for (int x = 0; x < size[2]; x++)
            if (role[plane[y * size[2] + x]] == ROLE_BONE) add(&front, x, y);
    if (front.n < MIN_BODY_VOXELS) return s;
    s.tilt_weight = 1;
    s.tilt = (front.x / front.n - s.x) / fmin(front.y / front.n - s.y, -1.0);
    return s;
}

static slice body_slice(const uint16_t *winner, const int size[3], int z)
{
    sum all = {0};
    const uint16_t *plane = winner + (ptrdiff_t)z * size[1] * size[2];
    for (int y = 0; y < size[1]; y++)
        for (int x = 0; x < size[2]; x++)
            if (plane[y * size[2] + x]) add(&all, x, y);
    if (all.n < 1) return (slice){0};
    return (slice){.weight = 1, .x = all.x / all.n, .y = all.y / all.n};
}

/* Planes from z to the nearest slice that knows something; -1 if none does. */
static int nearest(const slice *s, int planes, int z)
{
    for (int d = 0; d < planes; d++)
        if ((z - d >= 0 && s[z - d].weight > 0) || (z + d < planes && s[z + d].weight > 0))
            return d;
    return -1;
}

/* Adds the Gaussian mean around z. Beyond the data, distances count from its end, so that the last
 * mean goes on; the tilt fades to none there. */
static void smooth_plane(const slice *s, int planes, double sigma, int z, fab_midline *m)
{
    const int gap = nearest(s, planes, z);
    double n = 0, x = 0, y = 0, tilt_n = 0, tilt = 0;
    for (int k = 0; k < planes; k++) {
        const double d = fmax(abs(k - z) - gap, 0) / sigma, w = exp(-0.5 * d * d);
        n += w * s[k].weight;
        x += w * s[k].weight * s[k].x;
        y += w * s[k].weight * s[k].y;
        tilt_n += w * s[k].tilt_weight;
        tilt += w * s[k].tilt_weight * s[k].tilt;
    }
    const double fade = exp(-0.5 * (gap / sigma) * (gap / sigma));
    m->x[z] += x / n;
    m->y[z] += y / n;
    tilt = tilt_n > 0 ? tilt / fmax(tilt_n, 1.0) * fade : 0;
    m->tilt[z] = fmax(-MAX_TILT, fmin(MAX_TILT, m->tilt[z] + tilt));
}

/* A Gaussian mean cuts the corners of a curve; adding the mean of what it missed (Tukey's
 * "twicing") removes most of that. */
static void smooth(slice *s, double sigma, fab_midline *m)
{
    for (int round = 0; round < 2; round++) {
        for (int z = 0; z < m->planes; z++) smooth_plane(s, m->planes, sigma, z, m);
        for (int z = 0; z < m->planes; z++) {
            s[z].x -= m->x[z];
            s[z].y -= m->y[z];
            s[z].tilt -= m->tilt[z];
        }
    }
}

void fab_midline_free(fab_midline *m)
{
    fab_free(m->x);
    memset(m, 0, sizeof *m);
}

double fab_midline_x(const fab_midline *m, double z, double y)
{
    const double last = m->planes - 1, p = z < 0 ? 0 : z > last ? last : z;
    const int low = (int)p, high = low < m->planes - 1 ? low + 1 : low;
    const double w = p - low;
    const double a = m->x[low] + m->tilt[low] * (y - m->y[low]);
    const double b = m->x[high] + m->tilt[high] * (y - m->y[high]);
    return a + (b - a) * w;
}

static bool any_known(const slice *s, int planes)
{
    return nearest(s, planes, 0) >= 0;
}

fab_status fab_midline_find(const fab_model *model, const uint16_t *winner, const int size[3],
                            fab_midline *out, fab_error *err)
{
    uint8_t role[FAB_UNET_MAX_CLASSES];
    const int planes = size[0];
    FAB_AUTO_FREE slice *s = fab_alloc_array((size_t)planes, sizeof *s);
    double *values = fab_calloc(3 * (size_t)planes, sizeof *values);
    if (!s || !values) {
        fab_free(values);
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the midline");
    }
    fab_midline m = {.planes = planes, .x = values, .y = values + planes,
                     .tilt = values + 2 * planes};
    find_roles(model, role);
    for (int z = 0; z < planes; z++) s[z] = spine_slice(winner, size, z, role);
    m.from_spine = any_known(s, planes);
    for (int z = 0; !m.from_spine && z < planes; z++) s[z] = body_slice(winner, size, z);
    if (any_known(s, planes)) smooth(s, SMOOTH_MM / model->spacing_mm[0], &m);
    else /* nothing was labelled at all */
        for (int z = 0; z < planes; z++) m.x[z] = (size[2] - 1) / 2.0;
    *out = m;
    return FAB_OK;
}
