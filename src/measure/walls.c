/* walls.c - the walls of a vertebral body by the image: along rays through each wall the HU are
 * explained as bone inside, a thin compact wall and what lies outside; the median over a patch of
 * rays moves the wall that the labels gave. */
#include <string.h>

#include "measure_internal.h"

enum { RAYS = 5, WINDOW = 19, LONGEST = 96, PLACES = 2 }; /* PLACES: of walls between samples */
static const double STEP = 0.5, COMPACT_MM = 0.8;
static const double BEYOND = 7, DEEP = 5; /* mm; the window: 5 inside, 4 outside */
static const double PITCH = 0.25;         /* STEP / PLACES */

double fab_me_sample(const fab_volume *v, const fab_mat34 *voxel_from_world, me_vec world)
{
    const int32_t *size = fab_volume_grid(v)->size;
    double w[3] = {world.x, world.y, world.z}, q[3], sum = 0;
    int32_t at[3];
    fab_mat34_apply(voxel_from_world, w, q);
    for (int a = 0; a < 3; a++) {
        if (!(q[a] >= 0 && q[a] <= size[a] - 1)) return NAN;
        at[a] = (int32_t)fmin(q[a], size[a] - 2);
        if (at[a] < 0) return NAN;
        q[a] -= at[a];
    }
    for (int c = 0; c < 8; c++) {
        double share = (c & 1 ? q[0] : 1 - q[0]) * (c & 2 ? q[1] : 1 - q[1]) *
                       (c & 4 ? q[2] : 1 - q[2]);
        sum += share * fab_volume_get(v, at[0] + (c & 1), at[1] + (c >> 1 & 1), at[2] + (c >> 2));
    }
    return sum;
}

static double step(double x) { return 0.5 * erfc(x / sqrt(2)); }

/* What a wall at one place in the window lets each HU share in: outside, inside, compact bone. */
typedef struct wall_model {
    double share[WINDOW][3], factor[9], psf;
    bool solvable;
} wall_model;

/* `t` mm from the window's start. */
static void set_model(double t, double psf, wall_model *m)
{
    memset(m->factor, 0, sizeof m->factor);
    m->psf = psf;
    for (int i = 0; i < WINDOW; i++) {
        const double d = i * STEP - t, in = step(d / psf);
        m->share[i][0] = 1 - in, m->share[i][1] = in;
        m->share[i][2] = in - step((d + COMPACT_MM) / psf);
        for (int r = 0; r < 3; r++)
            for (int c = 0; c <= r; c++) m->factor[r * 3 + c] += m->share[i][r] * m->share[i][c];
    }
    for (int r = 0; r < 3; r++) m->factor[r * 3 + r] += 1e-3;
    m->solvable = fab_me_factor(3, m->factor);
}

/* Mean square that the wall explains; 0: no wall. */
static double explained(const double *hu, const wall_model *m)
{
    double b[3] = {0}, x[3], sum = 0, gain = 0;
    for (int i = 0; i < WINDOW; i++) {
        for (int r = 0; r < 3; r++) b[r] += m->share[i][r] * hu[i];
        sum += hu[i];
    }
    if (!m->solvable) return 0;
    fab_me_solve(3, m->factor, b, x);
    for (int r = 0; r < 3; r++) gain += b[r] * x[r];
    if (x[2] < 0) return 0;
    double core = x[1] - x[0], ridge = x[2] * COMPACT_MM / (2.5 * m->psf);
    return fmax(core, 0.5 * core + ridge) < 90 ? 0 : (gain - sum * sum / WINDOW) / WINDOW;
}

/* Where along d from `from` the wall is: the first from inside that is nearly as clear as the
 * clearest, for ribs and spurs lie outside. NaN: none between the two. */
static double wall_on(const fab_volume *image, const fab_mat34 *voxel_from_world, me_vec from,
                      me_vec d, const double between[2], const wall_model model[PLACES])
{
    double hu[LONGEST], gain[2 * LONGEST], start = between[0] - DEEP, most = 0;
    int n = (int)fmin(LONGEST, (between[1] - start) / STEP + WINDOW - DEEP / STEP);
    for (int i = 0; i < n; i++) {
        double v = fab_me_sample(image, voxel_from_world,
                                 me_add(from, me_mul(d, start + i * STEP)));
        if (isnan(v)) return NAN;
        hu[i] = fmin(900, fmax(0, v)); /* to air or to muscle: as good an edge */
    }
    int places = (int)((n - WINDOW) * STEP / PITCH);
    for (int i = 0; i < places; i++) {
        gain[i] = explained(hu + i / PLACES, &model[i % PLACES]);
        most = fmax(most, gain[i]);
    }
    int first = 0, best;
    while (first < places && gain[first] <= 0.5 * most) first++;
    best = first;
    for (int i = first; i < places && i <= first + 1.25 / PITCH; i++)
        if (gain[i] > gain[best]) best = i;
    return most > 0 ? start + DEEP + best * PITCH : NAN;
}

typedef struct patch { me_vec from, d, u, v; double half_u, half_v, near, between[2]; } patch;

/* Median over the patch; the labels' wall if the image shows none, or rays disagree. */
static double wall(const fab_volume *image, const fab_mat34 *voxel_from_world, const patch *p)
{
    double t[RAYS * RAYS], off[RAYS * RAYS], spacing[3];
    int found = 0;
    fab_grid_spacing(fab_volume_grid(image), spacing);
    double psf = sqrt(0.2 + 0.25 * spacing[0] * spacing[1]); /* of trilinear samples */
    wall_model model[PLACES];
    for (int i = 0; i < PLACES; i++) set_model(DEEP + i * PITCH, psf, &model[i]);
    for (int i = 0; i < RAYS; i++)
        for (int j = 0; j < RAYS; j++) {
            me_vec from = me_add(p->from, me_add(me_mul(p->u, p->half_u * (i - 2) / 2),
                                                 me_mul(p->v, p->half_v * (j - 2) / 2)));
            double at = wall_on(image, voxel_from_world, from, p->d, p->between, model);
            if (!isnan(at)) t[found++] = at;
        }
    double middle = fab_me_median(t, found);
    for (int i = 0; i < found; i++) off[i] = fabs(t[i] - middle);
    if (found < RAYS * RAYS / 2 || fab_me_median(off, found) > 1.2) return p->near;
    bool coarse = spacing[0] * spacing[1] > 2 && fabs(middle - p->near) < 2;
    return coarse ? 0.5 * (middle + p->near) : middle; /* no better than labels, but different */
}

/* The labels' wall is too far out rather than too far in. */
static patch patch_at(me_vec from, me_vec d, me_vec u, me_vec v, const double size[3], bool unsure)
{
    patch p = {from, d, u, v, size[0], size[1], size[2], {0.55 * size[2], size[2] + BEYOND}};
    if (unsure) p.between[0] = 0.35 * p.near, p.between[1] = p.near + 10;
    return p;
}

void fab_me_walls(const fab_volume *image, const fab_mat34 *voxel_from_world, bool unsure,
                  fab_vertebra *v)
{
    me_frame f = fab_me_frame(me_from(v->centre), me_from(v->up), me_from(v->back));
    double w = 0.5 * v->width_mm, d = 0.5 * v->depth_mm;
    double h = me_len(me_sub(me_from(v->upper.centre), me_from(v->lower.centre)));
    double at[4];
    for (int k = 0; k < 2; k++) { /* sides: in front of the middle, low, clear of the pedicles */
        const double size[3] = {0.1 * d, 0.12 * h, w};
        patch p = patch_at(me_world(&f, 0, -0.25 * d, -0.15 * h), me_mul(f.x, k ? -1 : 1), f.y,
                           f.z, size, unsure);
        at[k] = wall(image, voxel_from_world, &p);
    }
    for (int k = 0; k < 2; k++) { /* front and back */
        const double size[3] = {0.2 * w, 0.2 * h, d};
        patch p = patch_at(f.o, me_mul(f.y, k ? 1 : -1), f.x, f.z, size, false);
        at[2 + k] = wall(image, voxel_from_world, &p);
    }
    f.o = me_world(&f, 0.5 * (at[0] - at[1]), 0.5 * (at[3] - at[2]), 0);
    v->width_mm = at[0] + at[1], v->depth_mm = at[2] + at[3];
    me_to(f.o, v->centre);
}
