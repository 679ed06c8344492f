/* curves.c - Cobb angles and the sagittal profile, from the endplates in the patient's coronal and
 * sagittal plane, as on a radiograph (Cobb 1948; terms of the Scoliosis Research Society). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure_internal.h"

static const double WORTHLESS_DEG = 8; /* an angle with a larger uncertainty says nothing */

static double coronal(const fab_endplate *e)
{
    return ME_DEG * atan2(e->normal[0], e->normal[2]);
}

static double sagittal(const fab_endplate *e)
{
    return ME_DEG * atan2(e->normal[1], e->normal[2]);
}

/* Cobb angles are read from T1 down. */
static int trunk(const fab_spine_measures *s, int *rows)
{
    int n = 0;
    for (int i = 0; i < s->count; i++)
        if (s->vertebra[i].quality != FAB_MEASURE_NONE && s->vertebra[i].level[0] != 'C')
            rows[n++] = i;
    return n;
}

/* Signed angle between the upper endplate of a and the lower one of b: negative is convex left. */
static double cobb(const fab_spine_measures *s, int a, int b)
{
    return coronal(&s->vertebra[a].upper) - coronal(&s->vertebra[b].lower);
}

typedef struct pair { int a, b; double angle; } pair;

/* Largest among rows[from..to] with a above b; sign 0: any, else of that sign; a_fixed, b_fixed:
 * index into rows or -1. */
static pair largest(const fab_spine_measures *s, const int *rows, int from, int to, int sign,
                    int a_fixed, int b_fixed)
{
    pair best = {-1, -1, 0};
    for (int a = from; a < to; a++)
        for (int b = a + 1; b <= to; b++) {
            double angle = cobb(s, rows[a], rows[b]);
            if (sign && angle * sign <= 0) continue;
            if ((a_fixed >= 0 && a != a_fixed) || (b_fixed >= 0 && b != b_fixed)) continue;
            if (fabs(angle) > fabs(best.angle) + 1e-9) best = (pair){a, b, angle};
        }
    return best;
}

/* The vertebra between the end vertebrae farthest to the convex side of the line between them; -1
 * if there is none. */
static int apex(const fab_spine_measures *s, const int *rows, const pair *p)
{
    const double *top = s->vertebra[rows[p->a]].centre, *low = s->vertebra[rows[p->b]].centre;
    double side = p->angle < 0 ? 1 : -1, far = -INFINITY;
    int best = -1;
    for (int i = p->a + 1; i < p->b; i++) {
        const double *c = s->vertebra[rows[i]].centre;
        double t = (c[2] - low[2]) / (top[2] - low[2] + 1e-9);
        double off = side * (c[0] - (low[0] + t * (top[0] - low[0])));
        if (off > far) far = off, best = rows[i];
    }
    return best;
}

static void add_curve(fab_spine_measures *s, const int *rows, int n, const pair *p)
{
    if (fabs(p->angle) < 10 || s->curve_count == FAB_MEASURE_CURVES) return;
    const fab_vertebra *a = &s->vertebra[rows[p->a]], *b = &s->vertebra[rows[p->b]];
    s->curve[s->curve_count++] = (fab_coronal_curve){
        rows[p->a], rows[p->b], apex(s, rows, p), fabs(p->angle),
        hypot(a->upper.sigma_deg, b->lower.sigma_deg), p->angle < 0,
        p->a == 0 && strcmp(a->level, "T1"), p->b == n - 1 && strcmp(b->level, "L5") &&
                                                 strcmp(b->level, "L6")};
}

/* The main curve, then, from its end vertebrae on, the ones that bend the other way. */
void fab_me_curves(fab_spine_measures *s)
{
    int rows[FAB_MEASURE_VERTEBRAE], n = trunk(s, rows);
    s->curve_count = 0;
    s->largest_coronal.deg = s->largest_coronal.sigma_deg = NAN;
    if (n < 3) {
        snprintf(s->largest_coronal.why, FAB_MEASURE_WHY_BYTES,
                 "fewer than three thoracic and lumbar vertebrae were measured");
        return;
    }
    pair main = largest(s, rows, 0, n - 1, 0, -1, -1);
    if (main.a < 0) main = (pair){0, n - 1, 0};
    s->largest_coronal.deg = fabs(main.angle);
    s->largest_coronal.sigma_deg = hypot(s->vertebra[rows[main.a]].upper.sigma_deg,
                                         s->vertebra[rows[main.b]].lower.sigma_deg);
    add_curve(s, rows, n, &main);
    for (pair p = main; p.a > 0;) {
        p = largest(s, rows, 0, p.a, p.angle < 0 ? 1 : -1, -1, p.a);
        if (p.a < 0 || fabs(p.angle) < 10) break;
        add_curve(s, rows, n, &p);
    }
    for (pair p = main; p.b < n - 1;) {
        p = largest(s, rows, p.b, n - 1, p.angle < 0 ? 1 : -1, p.b, -1);
        if (p.b < 0 || fabs(p.angle) < 10) break;
        add_curve(s, rows, n, &p);
    }
}

/* ---- the side view ------------------------------------------------------------------------ */

static const fab_vertebra *level(const fab_spine_measures *s, const char *name)
{
    for (int i = 0; i < s->count; i++)
        if (!strcmp(s->vertebra[i].level, name) && s->vertebra[i].quality != FAB_MEASURE_NONE)
            return &s->vertebra[i];
    return NULL;
}

static void absent(fab_angle *a, const char *what)
{
    a->deg = a->sigma_deg = NAN;
    snprintf(a->why, sizeof a->why, "%s was not measured", what);
}

static void between(fab_angle *out, const fab_endplate *upper, const fab_endplate *lower)
{
    out->deg = sagittal(lower) - sagittal(upper);
    out->sigma_deg = hypot(upper->sigma_deg, lower->sigma_deg);
    out->why[0] = '\0';
    if (out->sigma_deg <= WORTHLESS_DEG) return;
    snprintf(out->why, sizeof out->why, "its endplates leave it uncertain by %.0f degrees",
             out->sigma_deg);
    out->deg = out->sigma_deg = NAN;
}

static void kyphosis(const fab_spine_measures *s, const char *from, fab_angle *out)
{
    const fab_vertebra *top = level(s, from), *low = level(s, "T12");
    if (!top) absent(out, from);
    else if (!low) absent(out, "T12");
    else between(out, &top->upper, &low->lower);
}

static void balance(fab_spine_measures *s)
{
    const fab_vertebra *c7 = level(s, "C7");
    s->sagittal_vertical_axis_mm = s->coronal_balance_mm = NAN;
    if (!c7 || !s->has_sacrum) {
        snprintf(s->balance_why, sizeof s->balance_why, "%s was not measured",
                 c7 ? "the sacral endplate" : "C7");
        return;
    }
    /* `back` lies at 7/8 of the depth; the corner 1/8 further along the endplate */
    double corner = s->sacrum.centre[1] + (s->sacrum.back[1] - s->sacrum.centre[1]) / 0.75;
    s->sagittal_vertical_axis_mm = corner - c7->centre[1];
    s->coronal_balance_mm = c7->centre[0] - s->sacrum.centre[0];
}

void fab_me_angles(fab_spine_measures *s)
{
    const fab_vertebra *l1 = level(s, "L1");
    if (!l1) absent(&s->lordosis_l1_s1, "L1");
    else if (!s->has_sacrum) absent(&s->lordosis_l1_s1, "the sacral endplate");
    else {
        between(&s->lordosis_l1_s1, &l1->upper, &s->sacrum);
        s->lordosis_l1_s1.deg = -s->lordosis_l1_s1.deg;
    }
    kyphosis(s, "T4", &s->kyphosis_t4_t12);
    kyphosis(s, "T5", &s->kyphosis_t5_t12);
    if (!s->has_sacrum) absent(&s->sacral_slope, "the sacral endplate");
    else {
        s->sacral_slope.deg = -sagittal(&s->sacrum);
        s->sacral_slope.sigma_deg = s->sacrum.sigma_deg;
    }
    balance(s);
}
