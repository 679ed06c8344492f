/* levels.c - named vertebrae: in order along the spine, none missing, none twice, on one curve. The
 * spine's own direction is used, not the scanner's z: a scoliosis or a kyphosis is no error. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qa_internal.h"

/* Anatomical order; T13, L6 are variants. */
static const char *const levels[] = {
    "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2",  "T3", "T4",  "T5",  "T6", "T7",
    "T8", "T9", "T10", "T11", "T12", "T13", "L1", "L2", "L3", "L4", "L5", "L6"};
enum { LEVELS = sizeof levels / sizeof *levels };

static const double far_ratio = 1.6, near_ratio = 0.5, off_curve_mm = 20;
static const double twin_share = 0.3, twin_mm = 15;

typedef struct column {
    int count;
    int level[LEVELS];
    const fab_qa_structure *s[LEVELS];
} column;

static bool is_variant(int level)
{
    return strcmp(levels[level], "T13") == 0 || strcmp(levels[level], "L6") == 0;
}

static void collect(const fab_check *c, column *o)
{
    o->count = 0;
    for (int i = 0; i < LEVELS; i++) {
        char name[32];
        snprintf(name, sizeof name, "vertebrae_%s", levels[i]);
        const fab_qa_structure *s = fab_check_find(c, name);
        if (!s) continue;
        o->level[o->count] = i;
        o->s[o->count++] = s;
    }
}

/* Levels between i and i + 1 that everybody has. */
static int skipped(const column *o, int i)
{
    int n = 0;
    for (int l = o->level[i] + 1; l < o->level[i + 1]; l++) n += !is_variant(l);
    return n;
}

static double step_to(const column *o, int i, double out[3])
{
    double length = 0;
    for (int a = 0; a < 3; a++) {
        out[a] = o->s[i + 1]->centroid_mm[a] - o->s[i]->centroid_mm[a];
        length += out[a] * out[a];
    }
    return sqrt(length);
}

/* The column's way down at i, from the steps around it; of two vertebrae alone, the feet's. */
static void way_down(const column *o, int i, double out[3])
{
    int used = 0;
    memset(out, 0, 3 * sizeof *out);
    for (int j = i - 2; j <= i + 2; j++) {
        double step[3];
        if (j < 0 || j >= o->count - 1 || j == i) continue;
        const double length = step_to(o, j, step);
        for (int a = 0; a < 3 && length > 0; a++) out[a] += step[a] / length;
        used++;
    }
    /* a column that runs up as a whole is numbered from below */
    if (used < 2 || out[2] > 0.5 * used) out[0] = out[1] = 0, out[2] = -1;
}

static fab_status check_order(fab_check *c, const column *o, fab_error *err)
{
    for (int i = 0; i + 1 < o->count; i++) {
        double step[3], down[3];
        const fab_qa_structure *here = o->s[i + 1], *above = o->s[i];
        (void)step_to(o, i, step);
        way_down(o, i, down);
        if (step[0] * down[0] + step[1] * down[1] + step[2] * down[2] <= 0)
            FAB_TRY(fab_check_add(c, "level-order", FAB_WARNING, here, above, here->centroid_mm,
                                  NULL, err, "lies above %s", above->label->name));
        if (skipped(o, i) > 0)
            FAB_TRY(fab_check_add(c, "level-gap", FAB_WARNING, here, above, here->centroid_mm, NULL,
                                  err, "the next one found above is %s", above->label->name));
    }
    return FAB_OK;
}

static double median_step(const column *o, int without)
{
    double list[LEVELS], step[3];
    int n = 0;
    for (int i = 0; i + 1 < o->count; i++) {
        if (i == without || skipped(o, i)) continue;
        const double length = step_to(o, i, step);
        int at = n++;
        for (; at > 0 && list[at - 1] > length; at--) list[at] = list[at - 1];
        list[at] = length;
    }
    return n >= 2 ? list[n / 2] : NAN;
}

/* Distances tell whether a number is missing or one vertebra has two. */
static fab_status check_steps(fab_check *c, const column *o, fab_error *err)
{
    for (int i = 0; i + 1 < o->count; i++) {
        double step[3];
        const double length = step_to(o, i, step), usual = median_step(o, i);
        const fab_qa_structure *here = o->s[i + 1], *above = o->s[i];
        if (isnan(usual) || here->cut || above->cut) continue;
        if (skipped(o, i) == 0 && length > far_ratio * usual)
            FAB_TRY(fab_check_add(c, "level-gap", FAB_WARNING, here, above, here->centroid_mm, NULL,
                                  err, "%.0f mm from %s, where %.0f are usual: is one missing "
                                  "between them?", length, above->label->name, usual));
        else if (skipped(o, i) == 0 && length < near_ratio * usual)
            FAB_TRY(fab_check_add(c, "level-duplicate", FAB_WARNING, here, above,
                                  here->centroid_mm, NULL, err, "%.0f mm from %s, where %.0f are "
                                  "usual: two numbers on one vertebra?", length,
                                  above->label->name, usual));
        else if (skipped(o, i) == 1 && length < 1.4 * usual)
            FAB_TRY(fab_check_add(c, "transitional-vertebra", FAB_WARNING, here, above,
                                  here->centroid_mm, NULL, err, "comes next to %s with no room for "
                                  "one between: a transitional vertebra or a wrong number",
                                  above->label->name));
    }
    return FAB_OK;
}

static fab_status check_curve(fab_check *c, const column *o, fab_error *err)
{
    for (int i = 1; i + 1 < o->count; i++) {
        const fab_qa_structure *s = o->s[i];
        double line[3], off[3], along = 0, square = 0, far = 0;
        if (s->cut || fab_qa_has(c->qa, "level-order", s->label->value)) continue;
        for (int a = 0; a < 3; a++) {
            line[a] = o->s[i + 1]->centroid_mm[a] - o->s[i - 1]->centroid_mm[a];
            off[a] = s->centroid_mm[a] - o->s[i - 1]->centroid_mm[a];
            along += line[a] * off[a];
            square += line[a] * line[a];
        }
        for (int a = 0; a < 3 && square > 0; a++) far += pow(off[a] - line[a] * along / square, 2);
        if (sqrt(far) <= off_curve_mm) continue;
        FAB_TRY(fab_check_add(c, "level-off-curve", FAB_WARNING, s, NULL, s->centroid_mm, NULL, err,
                              "lies %.0f mm beside the line of its neighbours", sqrt(far)));
    }
    return FAB_OK;
}

/* Extra vertebrae are real, and reason enough to count again. */
static fab_status check_variants(fab_check *c, const column *o, fab_error *err)
{
    for (int i = 0; i < o->count; i++)
        if (is_variant(o->level[i]))
            FAB_TRY(fab_check_add(c, "transitional-vertebra", FAB_WARNING, o->s[i], NULL,
                                  o->s[i]->centroid_mm, NULL, err,
                                  "is one more than usual: a transitional vertebra, or the count "
                                  "is off by one"));
    return FAB_OK;
}

/* One name on two vertebrae: two large pieces, far apart. */
static fab_status check_twice(fab_check *c, const fab_qa_structure *s, fab_error *err)
{
    FAB_AUTO_FREE fab_label_piece *pieces = NULL;
    const fab_mat34 *world = &fab_volume_grid(c->in->labels)->world_from_voxel;
    int32_t n = 0;
    double a[3], b[3];
    FAB_TRY(fab_labels_pieces(c->in->labels, &s->stats, s->label->value, false, &n, &pieces,
                              err));
    if (n < 2 || (double)pieces[1].voxels < twin_share * (double)pieces[0].voxels) return FAB_OK;
    fab_mat34_apply(world, pieces[0].centroid_voxel, a);
    fab_mat34_apply(world, pieces[1].centroid_voxel, b);
    const double apart = sqrt(pow(a[0] - b[0], 2) + pow(a[1] - b[1], 2) + pow(a[2] - b[2], 2));
    if (apart < twin_mm || fabs(a[2] - b[2]) < 0.5 * apart) return FAB_OK;
    return fab_check_add(c, "level-duplicate", FAB_WARNING, s, NULL, b, NULL, err,
                         "is in two places %.0f mm apart", apart);
}

fab_status fab_check_levels(fab_check *c, fab_error *err)
{
    column o;
    collect(c, &o);
    FAB_TRY(check_order(c, &o, err));
    FAB_TRY(check_steps(c, &o, err));
    FAB_TRY(check_curve(c, &o, err));
    for (int i = 0; i < o.count; i++) FAB_TRY(check_twice(c, o.s[i], err));
    return check_variants(c, &o, err);
}
