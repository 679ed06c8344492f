/* body.c - the vertebral body inside a vertebra's mask, and its endplates.
 *
 * The body is where the vertebra is thickest. From there rays find its walls: sideways and to the
 * front the way out, to the back the way out into the canal. Rays up and down over the inner part
 * of that footprint find the endplates, a plane is fitted to each, the frame is turned to them and
 * to the plane of symmetry (turn.c), and all is done again with a larger footprint. */
#include "measure_internal.h"

enum { SIDE = 19, POINTS = SIDE * SIDE };

static const double CANAL_GAP = 2.4; /* mm outside before the back wall counts as reached */

/* Median way out along `d` over a patch spanned by u and v about the origin. */
static double wall(const me_mask *m, const me_body *b, me_vec d, me_vec u, double half_u,
                   double half_v)
{
    double t[25];
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            me_vec p = me_add(b->f.o, me_add(me_mul(u, half_u * (i - 2) / 2),
                                             me_mul(b->f.z, half_v * (j - 2) / 2)));
            t[i * 5 + j] = fab_me_first_exit(m, p, d, 4 * b->radius + 12, CANAL_GAP);
        }
    return fab_me_median(t, 25);
}

/* In front of the middle and in the lower half, where no pedicle is met. */
static double side_wall(const me_mask *m, const me_body *b, double sign)
{
    me_body at = *b;
    double depth = b->half_depth > 0 ? b->half_depth : b->radius;
    at.f.o = me_world(&b->f, 0, -0.25 * depth, -0.35 * b->radius);
    return wall(m, &at, me_mul(b->f.x, sign), b->f.y, 0.1 * depth, 0.3 * b->radius);
}

static bool find_walls(const me_mask *m, me_body *b)
{
    double r = b->radius, zs = 0.4 * r;
    double left = side_wall(m, b, 1), right = side_wall(m, b, -1);
    double back = wall(m, b, b->f.y, b->f.x, 0.25 * r, zs);
    double front = wall(m, b, me_mul(b->f.y, -1), b->f.x, 0.25 * r, zs);
    if (isnan(left) || isnan(right) || isnan(back) || isnan(front)) return false;
    b->half_width = 0.5 * (left + right);
    b->half_depth = 0.5 * (front + back);
    b->f.o = me_world(&b->f, 0.5 * (left - right), 0.5 * (back - front), 0);
    return b->half_width > 4 && b->half_depth > 4;
}

static double reach_of(const me_body *b) { return 1.45 * b->radius + 8; }

/* Points of an endplate between two rings of the footprint (shares of its half axes). */
static int plate_points(const me_mask *m, const me_body *b, double sign, double inner,
                        double outer, double (*into)[3])
{
    int n = 0;
    me_vec d = me_mul(b->f.z, sign);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            double u = 2.0 * i / (SIDE - 1) - 1, v = 2.0 * j / (SIDE - 1) - 1;
            double r = sqrt(u * u + v * v);
            if (r < inner || r > outer) continue;
            double x = u * b->half_width, y = v * b->half_depth;
            double t = fab_me_last_exit(m, me_world(&b->f, x, y, 0), d, reach_of(b));
            into[n][0] = x, into[n][1] = y, into[n][2] = sign * t;
            n++;
        }
    return n;
}

static bool fit_plates(const me_mask *m, me_body *b, double inner, double outer)
{
    double points[POINTS][3];
    double floor_mm = 0.15 + 0.12 * fab_me_voxel_along(m, b->f.z);
    int n = plate_points(m, b, 1, inner, outer, points);
    if (!fab_me_plane_fit((const double (*)[3])points, n, floor_mm, &b->top)) return false;
    n = plate_points(m, b, -1, inner, outer, points);
    if (!fab_me_plane_fit((const double (*)[3])points, n, floor_mm, &b->bottom)) return false;
    return b->top.a - b->bottom.a > 3;
}

/* From the rays' planes to the surfaces between the voxels; the planes follow them. */
static bool fit_surfaces(const me_mask *m, me_body *b)
{
    me_plane *plane[2] = {&b->top, &b->bottom};
    me_surface *surface[2] = {&b->top_surface, &b->bottom_surface};
    for (int k = 0; k < 2; k++) {
        me_surface *s = surface[k];
        if (!fab_me_surface_fit(m, &b->f, b->half_width, b->half_depth, 0.82, k ? -1 : 1, plane[k],
                                s))
            return false;
        plane[k]->b = s->p[1] / b->half_width, plane[k]->c = s->p[2] / b->half_depth;
    }
    return true;
}

static me_vec normal_of(const me_frame *f, const me_plane *p)
{
    return me_unit(me_add(f->z, me_add(me_mul(f->x, -p->b), me_mul(f->y, -p->c))));
}

static void align(me_body *b)
{
    me_vec up = me_add(normal_of(&b->f, &b->top), normal_of(&b->f, &b->bottom));
    me_vec o = me_world(&b->f, 0, 0, 0.5 * (b->top.a + b->bottom.a));
    b->f = fab_me_frame(o, up, b->f.y);
}

bool fab_me_body_find(const me_mask *m, me_body *b)
{
    static const double outer[] = {0.5, 0.65, 0.75, 0.8, 0.8};
    static const double reach_deg[] = {24, 16, 8, 4, 2};
    for (int round = 0; round < 5; round++) {
        if (!find_walls(m, b)) return false;
        if (!fit_plates(m, b, round < 2 ? 0 : 0.35, outer[round])) return false;
        if (round > 2 && !fit_surfaces(m, b)) return false;
        align(b);
        fab_me_turn(m, b, reach_deg[round]);
    }
    return find_walls(m, b) && fit_plates(m, b, 0.35, 0.8) && fit_surfaces(m, b);
}

/* ---- what is read off --------------------------------------------------------------------- */

double fab_me_tilt_sigma(const me_mask *m, me_vec normal, double half_width, double half_depth,
                         double rms, const me_surface *s)
{
    double patch = fmax(4, fab_me_voxel_along(m, normal)), lever = 0.4 * half_depth, most = 0;
    double n = fmax(4, 2 * half_width * half_depth / (patch * patch)), steps = 0;
    for (int a = 0; a < 3; a++) {
        double c = fabs(me_dot(m->axis[a], normal));
        double rise = 1.6 * half_depth * sqrt(fmax(0, 1 - c * c));
        double flat = fmin(1, fmax(0, 1.5 - rise / m->spacing[a]));
        if (c > most) most = c, steps = 0.29 * m->spacing[a] / (0.8 * half_depth) * flat;
    }
    double fit = fmax(s->sigma[0], s->sigma[1]), patches = rms / (sqrt(n) * lever);
    return ME_DEG * sqrt(fit * fit + patches * patches + steps * steps);
}

/* z: heights of the surface in front, middle and back. */
static void plate_out(const me_mask *m, const me_body *b, bool upper, double z[3],
                      fab_endplate *e)
{
    const me_plane *p = upper ? &b->top : &b->bottom;
    const me_surface *s = upper ? &b->top_surface : &b->bottom_surface;
    const double y = 0.75 * b->half_depth;
    for (int i = 0; i < 3; i++) z[i] = fab_me_surface_zone(s, 0.75 * (i - 1));
    me_to(me_world(&b->f, 0, 0, 0.5 * (z[0] + z[2])), e->centre);
    me_to(normal_of(&b->f, p), e->normal);
    me_to(me_world(&b->f, 0, -y, z[0]), e->front);
    me_to(me_world(&b->f, 0, 0, z[1]), e->middle);
    me_to(me_world(&b->f, 0, y, z[2]), e->back);
    e->rms_mm = p->rms;
    e->offset_sigma_mm = 0.2 * fab_me_voxel_along(m, b->f.z);
    e->sigma_deg = fab_me_tilt_sigma(m, me_from(e->normal), b->half_width, b->half_depth, p->rms,
                                     s);
}

void fab_me_endplates(const me_mask *m, const me_body *b, fab_vertebra *v)
{
    double top[3], low[3];
    plate_out(m, b, true, top, &v->upper);
    plate_out(m, b, false, low, &v->lower);
    v->height_front_mm = top[0] - low[0];
    v->height_middle_mm = top[1] - low[1];
    v->height_back_mm = top[2] - low[2];
    v->height_sigma_mm = 0.3 * fab_me_voxel_along(m, b->f.z);
    v->width_mm = 2 * b->half_width;
    v->depth_mm = 2 * b->half_depth;
    me_to(b->f.o, v->centre);
    me_to(b->f.x, v->left);
    me_to(b->f.y, v->back);
    me_to(b->f.z, v->up);
    v->rotation_deg = fab_me_rotation(b->f.z, b->f.y);
    v->coronal_tilt_deg = ME_DEG * atan2(b->f.z.x, b->f.z.z);
    v->sagittal_tilt_deg = ME_DEG * atan2(b->f.z.y, b->f.z.z);
}
