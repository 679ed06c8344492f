/* sides.c - where structures lie relative to each other: pairs swapped, the whole image mirrored or
 * upside down, neighbours that cannot be. World axes are the patient's (LPS: +x left, +y back, +z
 * head); the middle is the spine's own, plane by plane, so that a bent spine swaps nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qa_internal.h"

static const double side_margin_mm = 5.0;   /* pairs */
static const double organ_margin_mm = 15.0; /* an organ beyond the middle */
static const double order_margin_mm = 20.0; /* above, below, before, behind */
static const double within_share = 0.6;

/* ---- the middle --------------------------------------------------------------------------- */

static bool is_spine(const char *name)
{
    return strncmp(name, "vertebra", 8) == 0 || strcmp(name, "sacrum") == 0 ||
           strcmp(name, "spinal_cord") == 0 || strcmp(name, "spinal_canal") == 0;
}

/* Planes without spine take the nearest one that has it. */
static void fill_gaps(double *xy, int planes)
{
    for (int k = 1; k < planes; k++)
        if (isnan(xy[2 * k])) memcpy(&xy[2 * k], &xy[2 * k - 2], 2 * sizeof *xy);
    for (int k = planes - 2; k >= 0; k--)
        if (isnan(xy[2 * k])) memcpy(&xy[2 * k], &xy[2 * k + 2], 2 * sizeof *xy);
}

static fab_status find_spine(fab_check *c, fab_error *err)
{
    const fab_lattice *l = &c->lattice;
    FAB_AUTO_FREE bool *member = fab_calloc(c->qa->structure_count + 1, sizeof *member);
    c->spine = fab_alloc_array(2 * (size_t)l->n[2], sizeof *c->spine);
    if (!member || !c->spine) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < c->qa->structure_count; i++)
        member[i + 1] = is_spine(c->qa->structures[i].label->name);
    int64_t at = 0;
    for (int k = 0; k < l->n[2]; k++) {
        double x = 0, y = 0, n = 0;
        for (int j = 0; j < l->n[1]; j++)
            for (int i = 0; i < l->n[0]; i++, at++) {
                if (!member[c->row[at]]) continue;
                x += i;
                y += j;
                n++;
            }
        c->spine[2 * k] = n > 3 ? x / n : NAN;
        c->spine[2 * k + 1] = n > 3 ? y / n : NAN;
    }
    fill_gaps(c->spine, l->n[2]);
    return FAB_OK;
}

/* From the spine's middle at the structure's height to the structure, mm to the left (x) and the
 * back (y); NaN without a spine. */
static void from_spine(const fab_check *c, const fab_qa_structure *s, double out[2])
{
    const fab_lattice *l = &c->lattice;
    fab_mat34 inverse;
    double p[3];
    out[0] = out[1] = NAN;
    if (fab_mat34_invert(&l->grid.world_from_voxel, &inverse, NULL) < 0) return;
    fab_mat34_apply(&inverse, s->centroid_mm, p);
    const int k = (int)fmin(fmax(round(p[2]), 0), l->n[2] - 1);
    const double spine[3] = {c->spine[2 * k], c->spine[2 * k + 1], k};
    if (isnan(spine[0])) return;
    double world[3];
    fab_mat34_apply(&l->grid.world_from_voxel, spine, world);
    for (int a = 0; a < 2; a++) out[a] = s->centroid_mm[a] - world[a];
}

/* ---- pairs -------------------------------------------------------------------------------- */

static fab_status check_pairs(fab_check *c, fab_error *err)
{
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        fab_qa_structure *left = &c->qa->structures[i];
        const char *name = left->label->name;
        const size_t length = strlen(name);
        char partner[FAB_MAX_NAME_BYTES + 8];
        if (length < 6 || strcmp(name + length - 5, "_left") != 0) continue;
        snprintf(partner, sizeof partner, "%.*s_right", (int)(length - 5), name);
        fab_qa_structure *right = fab_check_find(c, partner);
        if (!right || left->centroid_mm[0] > right->centroid_mm[0] - side_margin_mm) continue;
        FAB_TRY(fab_check_add(c, "left-right", FAB_WARNING, left, right, left->centroid_mm, NULL,
                              err, "lies to the right of %s", partner));
        FAB_TRY(fab_check_add(c, "left-right", FAB_WARNING, right, left, right->centroid_mm, NULL,
                              err, "lies to the left of %s", name));
    }
    return FAB_OK;
}

/* A structure of one side, its partner missing, beyond the spine. */
static fab_status check_lone_sides(fab_check *c, fab_error *err)
{
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        const fab_qa_structure *s = &c->qa->structures[i];
        const fab_anatomy *a = s->label->anatomy;
        double d[2];
        if (!a || a->side == FAB_SIDE_NONE || fab_qa_has(c->qa, "left-right", s->label->value))
            continue;
        from_spine(c, s, d);
        const double wrong = a->side == FAB_SIDE_LEFT ? -d[0] : d[0];
        if (!(wrong > organ_margin_mm)) continue;
        FAB_TRY(fab_check_add(c, "left-right", FAB_WARNING, s, NULL, s->centroid_mm, NULL, err,
                              "lies %.0f mm to the %s of the spine's middle", wrong,
                              a->side == FAB_SIDE_LEFT ? "right" : "left"));
    }
    return FAB_OK;
}

/* ---- the whole image ----------------------------------------------------------------------- */

/* Liver right, spleen, stomach and heart left: how far on the wrong side; NaN: not there or cut. */
static double wrong_side(const fab_check *c, const char *name, double sign)
{
    double d[2];
    const fab_qa_structure *s = fab_check_find(c, name);
    if (!s) return NAN;
    from_spine(c, s, d);
    return sign * d[0];
}

static fab_status check_mirrored(fab_check *c, fab_error *err)
{
    static const struct {
        const char *name;
        double sign; /* +1: wrong on the left */
    } organs[] = {{"liver", 1}, {"spleen", -1}, {"stomach", -1}, {"heart", -1}};
    int wrong = 0, right = 0;
    for (size_t i = 0; i < 4; i++) {
        const double far = wrong_side(c, organs[i].name, organs[i].sign);
        wrong += far > organ_margin_mm;
        right += far < -organ_margin_mm;
    }
    const double liver = wrong_side(c, "liver", 1);
    if (wrong >= 2 && right == 0 && liver > organ_margin_mm)
        return fab_check_add(c, "mirrored", FAB_ERROR, NULL, fab_check_find(c, "liver"),
                             fab_check_find(c, "liver")->centroid_mm, NULL, err,
                             "the liver lies on the left and %d more organ%s on the wrong side: "
                             "the image is mirrored, or the patient has situs inversus; every left "
                             "and right is in doubt", wrong - 1, wrong > 2 ? "s lie" : " lies");
    for (size_t i = 0; i < 4; i++) {
        const fab_qa_structure *s = fab_check_find(c, organs[i].name);
        const double far = wrong_side(c, organs[i].name, organs[i].sign);
        if (!(far > organ_margin_mm) || s->cut) continue;
        FAB_TRY(fab_check_add(c, "organ-side", FAB_WARNING, s, NULL, s->centroid_mm, NULL, err,
                              "lies %.0f mm to the %s of the spine's middle", far,
                              organs[i].sign > 0 ? "left" : "right"));
    }
    return FAB_OK;
}

/* first lies above (axis 2) or before (axis 1) second, by their middles. */
static const struct order {
    const char *first, *second;
    int axis;
} orders[] = {
    {"heart", "kidney_left", 2},   {"heart", "kidney_right", 2}, {"heart", "urinary_bladder", 2},
    {"lung_left", "kidney_left", 2}, {"lung_right", "kidney_right", 2},
    {"lung_left", "hip_left", 2},  {"lung_right", "hip_right", 2},
    {"liver", "urinary_bladder", 2}, {"kidney_left", "urinary_bladder", 2},
    {"kidney_right", "urinary_bladder", 2}, {"liver", "hip_right", 2}, {"spleen", "hip_left", 2},
    {"heart", "liver", 2},         {"pancreas", "urinary_bladder", 2}, {"liver", "femur_right", 2},
    {"heart", "vertebrae", 1},     {"liver", "vertebrae", 1},    {"aorta", "spinal_cord", 1},
    {"urinary_bladder", "sacrum", 1}, {"pancreas", "vertebrae", 1}, {"heart", "spinal_cord", 1},
    {"liver", "spinal_cord", 1},
};
enum { ORDERS = sizeof orders / sizeof *orders };

/* How structures take part in what is out of order. */
typedef struct disorder {
    bool bad[ORDERS];
    int wrong[3], known[3]; /* an axis */
} disorder;

static void find_disorder(const fab_check *c, disorder *d)
{
    memset(d, 0, sizeof *d);
    for (int i = 0; i < ORDERS; i++) {
        const int axis = orders[i].axis;
        const fab_qa_structure *a = fab_check_find(c, orders[i].first);
        const fab_qa_structure *b = fab_check_find(c, orders[i].second);
        if (!a || !b) continue;
        double ahead = a->centroid_mm[axis] - b->centroid_mm[axis];
        if (axis == 1) ahead = -ahead; /* +y is the back */
        d->known[axis]++;
        d->bad[i] = ahead < -order_margin_mm;
        d->wrong[axis] += d->bad[i];
    }
}

static int blame_of(const disorder *d, const char *name)
{
    int n = 0;
    for (int i = 0; i < ORDERS; i++)
        n += d->bad[i] && (!strcmp(orders[i].first, name) || !strcmp(orders[i].second, name));
    return n;
}

/* The structure in most of the bad pairs; of equals the smaller one. */
static fab_qa_structure *most_blamed(const fab_check *c, const disorder *d)
{
    fab_qa_structure *worst = NULL;
    int most = 0;
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        fab_qa_structure *s = &c->qa->structures[i];
        const int n = blame_of(d, s->label->name);
        if (n < most || n == 0 || (n == most && s->volume_ml > worst->volume_ml)) continue;
        most = n;
        worst = s;
    }
    return worst;
}

/* "kidney_left" as "left kidney". */
static void readable(const fab_qa_structure *s, char into[FAB_MAX_NAME_BYTES])
{
    const fab_anatomy *a = s->label->anatomy;
    snprintf(into, FAB_MAX_NAME_BYTES, "%s", a ? a->display : s->label->name);
    if (a && into[0] >= 'A' && into[0] <= 'Z' && into[1] >= 'a') into[0] = (char)(into[0] + 32);
}

/* One finding for all pairs it spoils, which are then settled. */
static fab_status accuse(fab_check *c, disorder *d, const fab_qa_structure *s, fab_error *err)
{
    static const char *const words[3][2] = {{"", ""}, {"behind", "before"}, {"below", "above"}};
    const fab_qa_structure *other = NULL;
    const char *last = NULL;
    char text[160] = "";
    for (int i = 0; i < ORDERS; i++) {
        const bool first = strcmp(orders[i].first, s->label->name) == 0;
        if (!d->bad[i] || (!first && strcmp(orders[i].second, s->label->name) != 0)) continue;
        const char *word = words[orders[i].axis][!first];
        const size_t used = strlen(text);
        char name[FAB_MAX_NAME_BYTES];
        d->bad[i] = false;
        other = fab_check_find(c, first ? orders[i].second : orders[i].first);
        readable(other, name);
        snprintf(text + used, sizeof text - used, "%s%s%s%s", used ? ", " : "",
                 word == last ? "" : word, word == last ? "" : " ", name);
        last = word;
    }
    return fab_check_add(c, "implausible-place", FAB_WARNING, s, other, s->centroid_mm, NULL, err,
                         "lies %s", text);
}

/* Most pairs of the axis the other way round, and still so without the structure in most of them:
 * one organ in the wrong place does not turn a patient over. */
static bool turned(const fab_check *c, const disorder *d, int axis)
{
    disorder rest = *d;
    int known = 0, wrong = 0;
    if (2 * d->wrong[axis] <= d->known[axis]) return false;
    for (int i = 0; i < ORDERS; i++) rest.bad[i] = rest.bad[i] && orders[i].axis == axis;
    const fab_qa_structure *s = most_blamed(c, &rest);
    for (int i = 0; i < ORDERS && s; i++) {
        if (orders[i].axis != axis || !fab_check_find(c, orders[i].first) ||
            !fab_check_find(c, orders[i].second) || !strcmp(orders[i].first, s->label->name) ||
            !strcmp(orders[i].second, s->label->name))
            continue;
        known++;
        wrong += rest.bad[i];
    }
    return wrong > 0 && 2 * wrong > known;
}

static fab_status check_orders(fab_check *c, fab_error *err)
{
    static const char *const whole[3] = {"", "back to front", "upside down"};
    disorder d;
    find_disorder(c, &d);
    for (int axis = 1; axis < 3; axis++) {
        if (!turned(c, &d, axis)) continue;
        FAB_TRY(fab_check_add(c, "orientation", FAB_ERROR, NULL, NULL, NULL, NULL, err,
                              "the image seems to be %s: %d of %d pairs of organs lie the other "
                              "way round", whole[axis], d.wrong[axis], d.known[axis]));
        for (int i = 0; i < ORDERS; i++) d.bad[i] = d.bad[i] && orders[i].axis != axis;
    }
    for (fab_qa_structure *s = most_blamed(c, &d); s; s = most_blamed(c, &d))
        FAB_TRY(accuse(c, &d, s, err));
    return FAB_OK;
}

/* ---- neighbours --------------------------------------------------------------------------- */

static const struct within {
    const char *inner, *outer;
} withins[] = {
    {"kidney_left", "lung_left"},   {"kidney_right", "lung_right"}, {"spleen", "lung_left"},
    {"vertebrae", "lung_left"},     {"vertebrae", "lung_right"},    {"kidney_right", "liver"},
    {"kidney_left", "spleen"},      {"heart", "liver"},             {"spleen", "liver"},
    {"urinary_bladder", "bowel"},   {"stomach", "liver"},           {"pancreas", "liver"},
    {"liver", "lung_right"},        {"aorta", "vertebrae"},         {"liver", "lung_left"},
};

/* Faces of `inner` on the lattice, and how many of them border `outer`. */
static void count_faces(const fab_check *c, uint16_t inner, uint16_t outer, int64_t *faces,
                        int64_t *shared)
{
    const fab_lattice *l = &c->lattice;
    const int64_t step[3] = {1, l->n[0], (int64_t)l->n[0] * l->n[1]};
    const fab_lattice_box *b = &c->box[inner - 1];
    *faces = *shared = 0;
    for (int k = b->low[2]; k <= b->high[2]; k++)
        for (int j = b->low[1]; j <= b->high[1]; j++)
            for (int i = b->low[0]; i <= b->high[0]; i++) {
                const int here[3] = {i, j, k};
                const int64_t at = i + j * step[1] + k * step[2];
                if (c->row[at] != inner) continue;
                for (int d = 0; d < 6; d++) {
                    const int a = d / 2, to = here[a] + (d % 2 ? 1 : -1);
                    if (to < 0 || to >= l->n[a]) continue;
                    const uint16_t r = c->row[at + (d % 2 ? step[a] : -step[a])];
                    *faces += r != inner;
                    *shared += r == outer;
                }
            }
}

static fab_status check_within(fab_check *c, fab_error *err)
{
    for (size_t i = 0; i < sizeof withins / sizeof *withins; i++) {
        const fab_qa_structure *in = fab_check_find(c, withins[i].inner);
        const fab_qa_structure *out = fab_check_find(c, withins[i].outer);
        int64_t faces = 0, shared = 0;
        if (!in || !out) continue;
        count_faces(c, (uint16_t)(in - c->qa->structures + 1),
                    (uint16_t)(out - c->qa->structures + 1), &faces, &shared);
        if ((double)shared <= within_share * (double)faces) continue;
        FAB_TRY(fab_check_add(c, "implausible-place", FAB_WARNING, in, out, in->centroid_mm, NULL,
                              err, "lies within %s (%.0f %% of its surface)", withins[i].outer,
                              100.0 * (double)shared / (double)faces));
    }
    return FAB_OK;
}

fab_status fab_check_sides(fab_check *c, fab_error *err)
{
    FAB_TRY(find_spine(c, err));
    FAB_TRY(check_pairs(c, err));
    FAB_TRY(check_mirrored(c, err));
    FAB_TRY(check_lone_sides(c, err));
    FAB_TRY(check_orders(c, err));
    return check_within(c, err);
}
