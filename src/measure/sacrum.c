/* sacrum.c - the upper endplate of S1, looked for from the lowest vertebra's lower endplate down,
 * and the pelvis under it: the middle of the hips by the femoral heads (the thickest part of the
 * upper femur), pelvic tilt and incidence (Legaye et al. 1998). */
#include <stdio.h>

#include "measure_internal.h"

enum { SIDE = 17, POINTS = SIDE * SIDE };

typedef struct plate {
    me_frame f;                    /* origin above the endplate, z up */
    double half_width, half_depth;
    me_plane plane;
} plate;

/* Rays down from `start` mm above the origin. */
static bool fit(const me_mask *m, plate *p, double inner, double outer, double start,
                double reach)
{
    double points[POINTS][3];
    int n = 0;
    me_vec down = me_mul(p->f.z, -1);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            double u = 2.0 * i / (SIDE - 1) - 1, v = 2.0 * j / (SIDE - 1) - 1;
            double r = sqrt(u * u + v * v);
            if (r < inner || r > outer) continue;
            double x = u * p->half_width, y = v * p->half_depth;
            double t = fab_me_first_entry(m, me_world(&p->f, x, y, start), down, reach);
            points[n][0] = x, points[n][1] = y, points[n][2] = start - t;
            n++;
        }
    double floor_mm = 0.15 + 0.12 * fab_me_voxel_along(m, p->f.z);
    return fab_me_plane_fit((const double (*)[3])points, n, floor_mm, &p->plane);
}

static void align(plate *p)
{
    me_vec up = me_add(p->f.z, me_add(me_mul(p->f.x, -p->plane.b), me_mul(p->f.y, -p->plane.c)));
    p->f = fab_me_frame(me_world(&p->f, 0, 0, p->plane.a), up, p->f.y);
}

/* Middle of front edge and back edge (sacral canal) a little below the endplate. */
static bool centre_depth(const me_mask *m, plate *p)
{
    double front[15], back[15];
    int n = 0;
    for (int i = -2; i <= 2; i++)
        for (int j = 0; j < 3; j++) {
            me_vec at = me_world(&p->f, 0.1 * i * p->half_width, 0, -3.5 - 1.5 * j);
            front[n] = fab_me_first_exit(m, at, me_mul(p->f.y, -1), 50, 2.4);
            back[n++] = fab_me_first_exit(m, at, p->f.y, 50, 2.4);
        }
    double f = fab_me_median(front, n), b = fab_me_median(back, n);
    if (isnan(f)) return false;
    if (isnan(b) || b > 2.2 * p->half_depth) b = 2 * p->half_depth - f; /* no canal in the mask */
    if (f + b < p->half_depth || f + b > 4 * p->half_depth) return false;
    p->f.o = me_world(&p->f, 0, 0.5 * (b - f), 0);
    p->half_depth = 0.5 * (f + b);
    return true;
}

static void plate_out(const me_mask *m, const plate *p, const me_surface *s, fab_endplate *out)
{
    double z[3];
    for (int i = 0; i < 3; i++) z[i] = fab_me_surface_zone(s, 0.75 * (i - 1));
    me_to(me_world(&p->f, 0, 0, 0.5 * (z[0] + z[2])), out->centre);
    me_to(me_unit(me_add(p->f.z, me_add(me_mul(p->f.x, -s->p[1] / p->half_width),
                                        me_mul(p->f.y, -s->p[2] / p->half_depth)))),
          out->normal);
    me_to(me_world(&p->f, 0, -0.75 * p->half_depth, z[0]), out->front);
    me_to(me_world(&p->f, 0, 0, z[1]), out->middle);
    me_to(me_world(&p->f, 0, 0.75 * p->half_depth, z[2]), out->back);
    out->rms_mm = p->plane.rms;
    out->offset_sigma_mm = 0.2 * fab_me_voxel_along(m, p->f.z);
    out->sigma_deg = fab_me_tilt_sigma(m, me_from(out->normal), p->half_width, p->half_depth,
                                       p->plane.rms, s);
}

bool fab_me_sacrum(const me_mask *sacrum, const fab_vertebra *lowest, fab_endplate *out,
                   double *depth_mm)
{
    if (!sacrum->voxels || lowest->quality == FAB_MEASURE_NONE) return false;
    plate p = {.f = fab_me_frame(me_from(lowest->lower.centre), me_from(lowest->lower.normal),
                                 me_from(lowest->back)),
               .half_width = 0.5 * lowest->width_mm, .half_depth = 0.5 * lowest->depth_mm};
    if (!fit(sacrum, &p, 0, 0.6, 2, 40)) return false;
    align(&p);
    for (int round = 0; round < 3; round++) {
        if (!centre_depth(sacrum, &p)) return false;
        if (!fit(sacrum, &p, round ? 0.3 : 0, 0.72, 6, 25)) return false;
        align(&p);
    }
    me_surface surface;
    me_plane flat = {.a = 0, .used = p.plane.used};
    if (p.plane.rms > 4 || !fab_me_surface_fit(sacrum, &p.f, p.half_width, p.half_depth, 0.75, 1,
                                               &flat, &surface))
        return false;
    plate_out(sacrum, &p, &surface, out);
    *depth_mm = 2 * p.half_depth;
    return true;
}

/* ---- pelvis ------------------------------------------------------------------------------- */

/* The femur's top 60 mm; its head is the thickest part there. */
static fab_status head_of(const fab_volume *labels, int value, const fab_label_stats *stats,
                          size_t count, me_vec *centre, bool *found, fab_error *err)
{
    FAB_AUTO_FREE bool *member = fab_calloc(count, sizeof *member);
    if (!member) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a table of labels");
    me_mask m;
    double radius = 0;
    *found = false;
    member[value] = true;
    FAB_TRY(fab_me_mask_make(labels, member, stats, count, true, &m, err));
    fab_status status = m.voxels ? fab_me_thickest(&m, centre, &radius, err) : FAB_OK;
    fab_me_mask_free(&m);
    *found = status == FAB_OK && radius > 16 && radius < 32;
    return status;
}

fab_status fab_me_pelvis(const fab_volume *labels, const fab_label_set *set,
                         const fab_label_stats *stats, size_t count, fab_spine_measures *s,
                         fab_error *err)
{
    const fab_label *side[2] = {fab_label_set_by_name(set, "femur_left"),
                                fab_label_set_by_name(set, "femur_right")};
    const char *why = "femoral heads are not in the scan or not labelled";
    me_vec head[2];
    bool whole = s->has_sacrum;
    if (!s->has_sacrum) why = "the sacral endplate was not measured";
    for (int k = 0; k < 2 && whole; k++) {
        whole = side[k] && (size_t)side[k]->value < count && stats[side[k]->value].voxels > 0;
        if (whole) FAB_TRY(head_of(labels, side[k]->value, stats, count, &head[k], &whole, err));
    }
    s->pelvic_incidence.deg = s->pelvic_tilt.deg = NAN;
    s->pelvic_incidence.sigma_deg = s->pelvic_tilt.sigma_deg = NAN;
    if (!whole) {
        snprintf(s->pelvic_incidence.why, FAB_MEASURE_WHY_BYTES, "%s", why);
        snprintf(s->pelvic_tilt.why, FAB_MEASURE_WHY_BYTES, "%s", why);
        return FAB_OK;
    }
    me_vec hips = me_mul(me_add(head[0], head[1]), 0.5);
    me_vec up = me_sub(me_from(s->sacrum.centre), hips);
    double tilt = ME_DEG * atan2(up.y, up.z);
    s->pelvic_tilt.deg = tilt;
    s->pelvic_incidence.deg = tilt + s->sacral_slope.deg;
    s->pelvic_tilt.sigma_deg = ME_DEG * 2.0 / me_len(up);
    s->pelvic_incidence.sigma_deg = hypot(s->pelvic_tilt.sigma_deg, s->sacral_slope.sigma_deg);
    return FAB_OK;
}
