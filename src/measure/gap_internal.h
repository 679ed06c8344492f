/* gap_internal.h - the model of two endplates and the disc between them (gap.c says which), shared
 * by the fit of their smooth surfaces (gap.c) and of what stands out from these (relief.c). */
#ifndef FABRICA_MEASURE_GAP_INTERNAL_H
#define FABRICA_MEASURE_GAP_INTERNAL_H

#include "measure_internal.h"

enum { ME_HU_TERMS = 5, ME_GAP_SAMPLES = 6000, ME_CURVE_STEPS = 512 };
#define ME_PLATE_MM 1.0  /* the usual endplate: 0.5 to 1.1 mm, and dense bone beneath */

/* A voxel: its place in the gap's frame (mm), the surface's terms there, HU. */
typedef struct me_gap_sample { double t[ME_SURFACE_TERMS], x, y, z, hu, weight; } me_gap_sample;

typedef struct me_gap_model {
    double plate[2][ME_SURFACE_TERMS], psf;
    double hu[ME_HU_TERMS]; /* disc, core 0, core 1, ridge 0, ridge 1 */
    double thick[2];        /* mm of compact bone */
} me_gap_model;

/* A step of sd 1 from -4 to 4, its slope, and its integral less a ramp. */
typedef struct me_curves {
    double step[ME_CURVE_STEPS + 1], bell[ME_CURVE_STEPS + 1], corner[ME_CURVE_STEPS + 1];
} me_curves;

/* How the image blurs a step: by a box of a slice's length along the axis, besides the bell. */
typedef struct me_blur { const me_curves *curve; double box; } me_blur;

struct me_gap_room {
    me_gap_sample samples[ME_GAP_SAMPLES];
    double misses[ME_GAP_SAMPLES];
    me_curves curve;
    double normal[ME_RELIEF_NODES * ME_RELIEF_NODES], factor[ME_RELIEF_NODES * ME_RELIEF_NODES];
};

/* A curve from -4 to 4, and how it goes on beyond: level. */
static inline double me_look_up(const double *curve, double x)
{
    double at = (x + 4) * (ME_CURVE_STEPS / 8.0);
    if (at <= 0) return curve[0];
    if (at >= ME_CURVE_STEPS) return curve[ME_CURVE_STEPS];
    int i = (int)at;
    return curve[i] + (at - i) * (curve[i + 1] - curve[i]);
}

/* A voxel is the mean over a slice, blurred by what else there is (sd psf): the step between two
 * values, x mm inside; its slope; and how it changes with the log of psf. */
static inline double me_blurred(const me_blur *q, double psf, double x)
{
    double a = (x + 0.5 * q->box) / psf, b = (x - 0.5 * q->box) / psf;
    double ramp = fmax(0, a) - fmax(0, b) + me_look_up(q->curve->corner, a) -
                  me_look_up(q->curve->corner, b);
    return ramp * psf / q->box;
}

static inline double me_blur_slope(const me_blur *q, double psf, double x)
{
    double a = (x + 0.5 * q->box) / psf, b = (x - 0.5 * q->box) / psf;
    return (me_look_up(q->curve->step, a) - me_look_up(q->curve->step, b)) / q->box;
}

static inline double me_blur_by_psf(const me_blur *q, double psf, double x)
{
    double a = (x + 0.5 * q->box) / psf, b = (x - 0.5 * q->box) / psf;
    return (me_look_up(q->curve->bell, a) - me_look_up(q->curve->bell, b)) * psf / q->box;
}

static inline double me_terms_height(const double *p, const double *t)
{
    double z = 0;
    for (int i = 0; i < ME_SURFACE_TERMS; i++) z += p[i] * t[i];
    return z;
}

/* What each of the five HU counts d mm from either plate into the disc. */
static inline void me_gap_shares(const me_blur *q, const me_gap_model *m, const bool there[2],
                                 const double d[2], double share[ME_HU_TERMS])
{
    share[0] = 1;
    for (int k = 0; k < 2; k++) {
        share[1 + k] = share[3 + k] = 0;
        if (!there[k]) continue;
        double off = me_blurred(q, m->psf, d[k]);
        share[1 + k] = 1 - off;
        share[3 + k] = me_blurred(q, m->psf, d[k] + m->thick[k]) - off;
        share[0] -= share[1 + k];
    }
}

/* By how much a voxel's HU grow with its distance d from plate k into the disc. */
static inline double me_gap_slope(const me_blur *q, const me_gap_model *m, int k, double d)
{
    double near = me_blur_slope(q, m->psf, d);
    return -(m->hu[1 + k] - m->hu[0]) * near +
           m->hu[3 + k] * (me_blur_slope(q, m->psf, d + m->thick[k]) - near);
}

/* The same number for a voxel every time. */
static inline uint32_t me_scatter(uint32_t i, uint32_t j, uint32_t k)
{
    uint32_t h = i * 0x9E3779B1u ^ j * 0x85EBCA77u ^ k * 0xC2B2AE3Du;
    h ^= h >> 15, h *= 0x2C1B3C6Du, h ^= h >> 12, h *= 0x297A2D39u;
    return h ^ h >> 15;
}

/* gap.c: voxels that the footprint and 20 mm above and below the origin can hold. */
void fab_me_gap_box(const me_gap *g, const fab_grid *grid, const fab_mat34 *voxel_from_world,
                    int32_t low[3], int32_t high[3]);
double fab_me_gap_hu(const fab_volume *image, int32_t i, int32_t j, int32_t k); /* cut: metal */

/* relief.c: what the plates stand out from their surfaces by, into g->relief. */
void fab_me_relief_fit(const fab_volume *image, const fab_mat34 *voxel_from_world,
                       me_gap_room *room, const me_blur *blur, const me_gap_model *m,
                       double noise, me_gap *g);

#endif
