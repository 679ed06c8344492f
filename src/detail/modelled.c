/* modelled.c - what CT does not show and a rehearsal needs: by rule, and named so.
 *
 *   thecal sac        the canal less 1.5 mm on every side
 *   ligamentum flavum the back 3 mm of the canal between two laminae: from the lower lamina's
 *                     upper border to the middle of the upper one (Olszewski et al. 1996: 3-4 mm)
 *   nerve root        from the sac's side around the lower border of its pedicle, then out, down
 *                     and forward through the foramen; 4 mm thick
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detail_internal.h"

#define FLAVUM_MM 3.0
#define ROOT_RADIUS_MM 2.0
#define ROOT_BELOW_MM 3.5   /* the pedicle's lower border */
#define ROOT_OUT_MM 14.0
#define ROOT_DOWN_MM 9.0
#define ROOT_FRONT_MM 5.0

typedef struct side_root { /* sums over a pedicle's voxels */
    double sum[3], low;
    int64_t voxels;
} side_root;

typedef struct lamina { /* heights along the level's way up, voxels */
    double sum, low, high;
    int64_t voxels;
} lamina;

typedef struct model {
    const dt_work *w;
    const dt_frame *frames;
    double mm; /* of a voxel */
    side_root pedicle[FAB_SPINE_LEVELS][2];
    lamina lamina[FAB_SPINE_LEVELS];
    int32_t *canal; /* its voxels */
    int64_t canal_voxels;
    uint16_t *parts;
    fab_label_set *set;
    int last;
} model;

static double along(const double p[3], const double origin[3], const double way[3])
{
    return (p[0] - origin[0]) * way[0] + (p[1] - origin[1]) * way[1] +
           (p[2] - origin[2]) * way[2];
}

static int64_t index_of(const dt_work *w, const double p[3])
{
    int at[3];
    for (int a = 0; a < 3; a++) {
        at[a] = (int)lrint(p[a]);
        if (at[a] < 0 || at[a] >= w->size[a]) return -1;
    }
    return at[0] + (int64_t)w->size[0] * (at[1] + (int64_t)w->size[1] * at[2]);
}

static bool is_canal(const dt_work *w, int64_t i)
{
    return i >= 0 && w->near[i] && dt_kind_at(w, i) == DT_CANAL;
}

static void measure(model *m)
{
    const dt_work *w = m->w;
    for (int64_t i = 0; i < w->count; i++) {
        double p[3];
        const int l = w->level[i], kind = dt_kind_at(w, i);
        if (l == DT_NO_LEVEL || !m->frames[l].found) continue;
        if (kind != DT_PEDICLE && kind != DT_LAMINA) continue;
        dt_voxel(w, i, p);
        const dt_frame *f = &m->frames[l];
        const double up = along(p, f->middle, f->up);
        if (kind == DT_LAMINA) {
            lamina *a = &m->lamina[l];
            a->low = a->voxels ? fmin(a->low, up) : up;
            a->high = a->voxels ? fmax(a->high, up) : up;
            a->sum += up, a->voxels++;
        } else {
            side_root *r = &m->pedicle[l][along(p, f->middle, f->left) < 0];
            for (int a = 0; a < 3; a++) r->sum[a] += p[a];
            r->low = r->voxels ? fmin(r->low, up) : up;
            r->voxels++;
        }
    }
}

static fab_status new_value(model *m, int *value, fab_error *err, const char *name)
{
    *value = ++m->last;
    return fab_label_set_add(m->set, m->last, name, err);
}

/* ---- the sac --------------------------------------------------------------------------------- */

static fab_status add_sac(model *m, fab_error *err)
{
    const dt_work *w = m->w;
    int value = 0;
    for (int64_t c = 0; c < m->canal_voxels; c++) {
        int64_t to[6];
        const int64_t i = m->canal[c];
        if (m->parts[i]) continue;
        const int n = fab_dt_neighbours(w, i, to);
        bool inner = true;
        for (int k = 0; k < n && inner; k++) /* above and below are the canal's way */
            inner = llabs(to[k] - i) == (int64_t)w->size[0] * w->size[1] || is_canal(w, to[k]);
        if (!inner) continue;
        if (!value) FAB_TRY(new_value(m, &value, err, "modelled_thecal_sac"));
        m->parts[i] = (uint16_t)value;
    }
    return FAB_OK;
}

/* ---- flava ----------------------------------------------------------------------------------- */

/* Whether the canal ends behind p within the ligament's thickness. */
static bool is_lining(const model *m, const double p[3], const double back[3])
{
    for (double far = 1; far * m->mm <= FLAVUM_MM + 0.5 * m->mm; far++) {
        double q[3];
        for (int a = 0; a < 3; a++) q[a] = p[a] + far * back[a];
        if (!is_canal(m->w, index_of(m->w, q))) return true;
    }
    return false;
}

/* Upper and lower end of the ligament below a level, along that level's way up. */
static bool flavum_ends(const model *m, int level, double *low, double *high)
{
    const dt_frame *f = &m->frames[level], *g = &m->frames[level + 1];
    const lamina *a = &m->lamina[level], *b = &m->lamina[level + 1];
    if (!f->found || !g->found || a->voxels < 20 || b->voxels < 20) return false;
    double p[3];
    for (int k = 0; k < 3; k++) p[k] = g->middle[k] + b->high * g->up[k];
    *high = a->sum / (double)a->voxels;
    *low = along(p, f->middle, f->up) - 1;
    return *low < *high && *high - *low < 40 / m->mm;
}

static fab_status add_flavum(model *m, int level, fab_error *err)
{
    const dt_work *w = m->w;
    const dt_frame *f = &m->frames[level];
    double low = 0, high = 0;
    int value = 0;
    char name[FAB_MAX_NAME_BYTES];
    if (!flavum_ends(m, level, &low, &high)) return FAB_OK;
    snprintf(name, sizeof name, "modelled_ligamentum_flavum_%s_%s", fab_spine_level_name(level),
             fab_spine_level_name(level + 1));
    for (int64_t c = 0; c < m->canal_voxels; c++) {
        double p[3];
        const int64_t i = m->canal[c];
        dt_voxel(w, i, p);
        const double up = along(p, f->middle, f->up);
        if (up < low || up > high || fabs(along(p, f->middle, f->left)) * m->mm > 16) continue;
        if (!is_lining(m, p, f->back)) continue;
        if (!value) FAB_TRY(new_value(m, &value, err, name));
        m->parts[i] = (uint16_t)value;
    }
    return FAB_OK;
}

/* ---- roots ----------------------------------------------------------------------------------- */

static void paint_tube(model *m, const double from[3], const double to[3], int value)
{
    const dt_work *w = m->w;
    const int reach = (int)ceil(ROOT_RADIUS_MM / m->mm);
    double length = 0;
    for (int a = 0; a < 3; a++) length += (to[a] - from[a]) * (to[a] - from[a]);
    length = sqrt(length);
    for (double t = 0; t <= length; t += 0.5)
        for (int k = 0; k < (2 * reach + 1) * (2 * reach + 1) * (2 * reach + 1); k++) {
            const int side = 2 * reach + 1;
            const int off[3] = {k % side - reach, k / side % side - reach, k / side / side - reach};
            double p[3], far = 0;
            for (int a = 0; a < 3; a++) {
                const double at = from[a] + (to[a] - from[a]) * t / fmax(length, 1e-9);
                p[a] = (double)(lrint(at) + off[a]);
                far += (p[a] - at) * (p[a] - at);
            }
            const int64_t i = index_of(w, p);
            if (i < 0 || sqrt(far) * m->mm > ROOT_RADIUS_MM || m->parts[i]) continue;
            const int kind = dt_kind_at(w, i);
            if (kind == DT_NONE || kind == DT_CANAL) m->parts[i] = (uint16_t)value;
        }
}

/* The canal's middle at the height of a point. */
static bool canal_beside(const model *m, const dt_frame *f, const double at[3], double out[3])
{
    const dt_work *w = m->w;
    const double height = along(at, f->middle, f->up);
    int64_t n = 0;
    memset(out, 0, 3 * sizeof *out);
    for (int64_t c = 0; c < m->canal_voxels; c++) {
        double p[3];
        dt_voxel(w, m->canal[c], p);
        if (fabs(along(p, f->middle, f->up) - height) > 2 ||
            fabs(along(p, f->middle, f->left)) * m->mm > 20)
            continue;
        for (int a = 0; a < 3; a++) out[a] += p[a];
        n++;
    }
    for (int a = 0; a < 3 && n; a++) out[a] /= (double)n;
    return n > 10;
}

static fab_status add_root(model *m, int level, int side, fab_error *err)
{
    const side_root *r = &m->pedicle[level][side];
    const dt_frame *f = &m->frames[level];
    const double sign = side ? -1 : 1;
    double middle[3], canal[3], from[3], under[3], end[3];
    char name[FAB_MAX_NAME_BYTES];
    int value = 0;
    if (r->voxels < 15 || level == 0) return FAB_OK;
    for (int a = 0; a < 3; a++) middle[a] = r->sum[a] / (double)r->voxels;
    if (!canal_beside(m, f, middle, canal)) return FAB_OK;
    const double wide = sign * along(middle, canal, f->left);      /* canal to pedicle */
    const double drop = along(middle, f->middle, f->up) - r->low + ROOT_BELOW_MM / m->mm;
    for (int a = 0; a < 3; a++) {
        from[a] = canal[a] + 0.45 * wide * sign * f->left[a];
        under[a] = middle[a] - drop * f->up[a];
        end[a] = under[a] + (sign * ROOT_OUT_MM * f->left[a] - ROOT_DOWN_MM * f->up[a] -
                             ROOT_FRONT_MM * f->back[a]) / m->mm;
    }
    snprintf(name, sizeof name, "modelled_nerve_root_%s_%s", side ? "right" : "left",
             fab_spine_level_name(level));
    FAB_TRY(new_value(m, &value, err, name));
    paint_tube(m, from, under, value);
    paint_tube(m, under, end, value);
    return FAB_OK;
}

fab_status fab_dt_model(const dt_work *w, const dt_frame frames[FAB_SPINE_LEVELS], int last,
                        uint16_t *parts, fab_label_set *set, fab_error *err)
{
    double spacing[3];
    fab_grid_spacing(&w->grid, spacing);
    model m = {.w = w, .frames = frames, .mm = spacing[0], .parts = parts, .set = set,
               .last = last};
    FAB_AUTO_FREE int32_t *canal = fab_alloc_array((size_t)w->count, sizeof *canal);
    if (!canal) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the canal");
    m.canal = canal;
    for (int64_t i = 0; i < w->count; i++)
        if (is_canal(w, i)) canal[m.canal_voxels++] = (int32_t)i;
    measure(&m);
    for (int l = 0; l + 1 < FAB_SPINE_LEVELS; l++) FAB_TRY(add_flavum(&m, l, err));
    FAB_TRY(add_sac(&m, err));
    for (int l = 0; l < FAB_SPINE_LEVELS; l++)
        for (int side = 0; side < 2; side++) FAB_TRY(add_root(&m, l, side, err));
    return FAB_OK;
}
