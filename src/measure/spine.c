/* spine.c - the whole spine: which vertebrae there are, a first frame for each, everything measured
 * in order, and what lowers the trust in a number put into words. */
#include <stdio.h>
#include <string.h>

#include "measure_internal.h"

static const char *const levels[FAB_MEASURE_VERTEBRAE] = {
    "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4",  "T5",  "T6",  "T7",
    "T8", "T9", "T10", "T11", "T12", "T13", "L1", "L2", "L3", "L4", "L5", "L6"};

typedef struct work {
    const fab_volume *labels;
    const fab_label_set *set;
    fab_label_stats *stats;
    size_t values;
    bool *member;
    me_mask mask[FAB_MEASURE_VERTEBRAE]; /* by row of spine->vertebra */
    me_vec thick[FAB_MEASURE_VERTEBRAE];
    double radius[FAB_MEASURE_VERTEBRAE];
    double (*arch)[3];
    double turn_score[FAB_MEASURE_VERTEBRAE];
    bool cut[FAB_MEASURE_VERTEBRAE], sacral_label;
    fab_spine_measures *s;
} work;

const char *fab_measure_quality_name(fab_measure_quality q)
{
    static const char *const names[] = {"none", "poor", "fair", "good"};
    return names[q];
}

static void say(fab_vertebra *v, fab_measure_quality at_most, const char *text)
{
    size_t used = strlen(v->why);
    if (at_most < v->quality) v->quality = at_most;
    snprintf(v->why + used, sizeof v->why - used, "%s%s", used ? "; " : "", text);
}

/* ---- masks -------------------------------------------------------------------------------- */

static fab_status mask_of(work *w, const char *const *names, bool largest, me_mask *out,
                          fab_error *err)
{
    memset(w->member, 0, w->values * sizeof *w->member);
    for (int i = 0; names[i]; i++) {
        const fab_label *l = fab_label_set_by_name(w->set, names[i]);
        if (l && (size_t)l->value < w->values) w->member[l->value] = true;
    }
    return fab_me_mask_make(w->labels, w->member, w->stats, w->values, largest, out, err);
}

static void blank(fab_vertebra *v, const char *level, int value)
{
    *v = (fab_vertebra){.value = value, .quality = FAB_MEASURE_GOOD, .hu_mean = NAN,
                        .hu_sd = NAN, .rotation_canal_deg = NAN};
    snprintf(v->level, sizeof v->level, "%s", level);
}

static fab_status find_vertebrae(work *w, fab_error *err)
{
    for (int i = 0; i < FAB_MEASURE_VERTEBRAE; i++) {
        char name[24];
        snprintf(name, sizeof name, "vertebrae_%s", levels[i]);
        const fab_label *l = fab_label_set_by_name(w->set, name);
        if (!l || (size_t)l->value >= w->values || !w->stats[l->value].voxels) continue;
        const char *const names[] = {name, NULL};
        int row = w->s->count;
        blank(&w->s->vertebra[row], levels[i], l->value);
        FAB_TRY(mask_of(w, names, true, &w->mask[row], err));
        w->s->count++;
        FAB_TRY(fab_me_thickest(&w->mask[row], &w->thick[row], &w->radius[row], err));
    }
    return FAB_OK;
}

/* ---- the scan's edge ---------------------------------------------------------------------- */

/* Distance of the label's nearest voxel on a face of the volume from `from`. */
static double edge_distance(const work *w, int value, me_vec from)
{
    const fab_label_stats *st = &w->stats[value];
    const fab_grid *g = fab_volume_grid(w->labels);
    double nearest = INFINITY;
    for (int face = 0; face < 6; face++) {
        if (!st->touches_edge[face]) continue;
        int a = face / 2, u = (a + 1) % 3, v = (a + 2) % 3;
        int32_t at[3];
        at[a] = face % 2 ? g->size[a] - 1 : 0;
        for (at[u] = st->low[u]; at[u] <= st->high[u]; at[u]++)
            for (at[v] = st->low[v]; at[v] <= st->high[v]; at[v]++) {
                if ((int)fab_volume_get(w->labels, at[0], at[1], at[2]) != value) continue;
                double q[3] = {at[0], at[1], at[2]}, p[3];
                fab_mat34_apply(&g->world_from_voxel, q, p);
                nearest = fmin(nearest, me_len(me_sub(me_from(p), from)));
            }
    }
    return nearest;
}

/* ---- one vertebra ------------------------------------------------------------------------- */

static me_vec chain_up(const work *w, int row)
{
    int above = row > 0 ? row - 1 : row, below = row + 1 < w->s->count ? row + 1 : row;
    me_vec up = me_sub(w->thick[above], w->thick[below]);
    if (above == below || me_len(up) < 8 || up.z < 0.2 * me_len(up)) return me_v(0, 0, 1);
    return up;
}

static bool plausible(const fab_vertebra *v)
{
    double least = fmin(v->height_middle_mm, fmin(v->height_front_mm, v->height_back_mm));
    double most = fmax(v->height_middle_mm, fmax(v->height_front_mm, v->height_back_mm));
    return least > 3 && most < 55 && v->width_mm > 10 && v->width_mm < 90 && v->depth_mm > 8 &&
           v->depth_mm < 70 && v->up[2] > 0.2 && fabs(v->rotation_deg) < 60;
}

/* Frame and endplates by the label alone. */
static void measure_one(work *w, int row)
{
    fab_vertebra *v = &w->s->vertebra[row];
    const me_mask *m = &w->mask[row];
    double edge = edge_distance(w, v->value, w->thick[row]);
    w->cut[row] = edge < INFINITY;
    const char *cut = w->cut[row] ? "cut by the edge of the scan" : NULL;
    if (edge < 2 * w->radius[row] + 10) {
        say(v, FAB_MEASURE_NONE, cut);
        return;
    }
    me_vec up = chain_up(w, row), back = me_sub(m->centroid, w->thick[row]);
    if (me_len(back) < 2) back = me_v(0, 1, 0); /* a body without an arch */
    me_body b = {.f = fab_me_frame(w->thick[row], up, back), .radius = w->radius[row],
                 .arch = w->arch};
    if (!fab_me_body_find(m, &b)) {
        say(v, FAB_MEASURE_NONE, cut ? cut : "no body with two endplates was found in the label");
        return;
    }
    fab_me_endplates(m, &b, v);
    w->turn_score[row] = b.turn_score;
    if (!plausible(v))
        say(v, FAB_MEASURE_NONE, cut ? cut : "the label has not the shape of a vertebra");
}

static double mean_height(const fab_vertebra *v)
{
    return (v->height_front_mm + v->height_middle_mm + v->height_back_mm) / 3;
}

/* A body can be lower than its neighbours (4 % a level being usual), not much higher. */
static bool outgrows(const fab_spine_measures *s, int row)
{
    double most = 0;
    for (int i = row - 2; i <= row + 2; i++) {
        if (i < 0 || i >= s->count || i == row) continue;
        const fab_vertebra *v = &s->vertebra[i];
        if (v->quality == FAB_MEASURE_NONE) continue;
        most = fmax(most, mean_height(v) * pow(1.04, row - i));
    }
    return most > 0 && mean_height(&s->vertebra[row]) > 1.2 * most;
}

static void judge(work *w, int row)
{
    fab_vertebra *v = &w->s->vertebra[row];
    const me_mask *m = &w->mask[row];
    double sigma = fmax(v->upper.sigma_deg, v->lower.sigma_deg);
    double rms = fmax(v->upper.by_image ? 0 : v->upper.rms_mm,
                      v->lower.by_image ? 0 : v->lower.rms_mm);
    if (sigma > 4) say(v, FAB_MEASURE_POOR, "endplate tilt uncertain");
    if (rms > 2.2) say(v, FAB_MEASURE_POOR, "endplates are not plane");
    else if (rms > 1.5) say(v, FAB_MEASURE_FAIR, "endplates are uneven");
    if (w->turn_score[row] < 0.55) say(v, FAB_MEASURE_POOR, "no plane of symmetry");
    else if (w->turn_score[row] < 0.7) say(v, FAB_MEASURE_FAIR, "arch is lopsided");
    if (fab_me_voxel_along(m, me_from(v->up)) > 3.6) say(v, FAB_MEASURE_FAIR, "thick slices");
}

static const char misfit[] = "its height does not fit its neighbours: the label is wrong";

/* What no vertebra can be, by itself: neighbours are compared with what is left. */
static void refuse(fab_vertebra *v, const fab_volume *image)
{
    if (v->quality == FAB_MEASURE_NONE) return;
    if (!plausible(v))
        say(v, FAB_MEASURE_NONE, misfit);
    else if (image && !(v->upper.by_image && v->lower.by_image))
        say(v, FAB_MEASURE_NONE, "the image does not show both endplates where the label has them");
}

static void conclude(work *w, int row, const fab_volume *image)
{
    fab_vertebra *v = &w->s->vertebra[row];
    if (v->quality == FAB_MEASURE_NONE) return;
    if (outgrows(w->s, row)) {
        say(v, FAB_MEASURE_NONE, misfit);
        return;
    }
    judge(w, row);
    if (image) fab_me_density(&w->mask[row], image, v);
    if (v->hu_sd > 90) say(v, FAB_MEASURE_FAIR, "density is uneven: metal, cement or sclerosis");
    if (w->cut[row]) say(v, FAB_MEASURE_FAIR, "the arch is cut by the edge of the scan");
}

/* ---- discs -------------------------------------------------------------------------------- */

static double span(const double above[3], const double below[3], me_vec axis)
{
    return me_dot(me_sub(me_from(above), me_from(below)), axis);
}

/* Thickness of the disc's own label through the middle between two points. */
static double thickness(const me_mask *m, const double above[3], const double below[3],
                        me_vec axis)
{
    me_vec at = me_mul(me_add(me_from(above), me_from(below)), 0.5);
    if (fab_me_at(m, at) < 0.5) return NAN;
    return fab_me_first_exit(m, at, axis, 20, 1.2) +
           fab_me_first_exit(m, at, me_mul(axis, -1), 20, 1.2);
}

/* From the endplates, whose surfaces are known to a part of a voxel; a disc's label, a few voxels
 * thick, is a check of them. */
static void disc_heights(const me_mask *label, const fab_endplate *a, const fab_endplate *b,
                         fab_disc_level *d)
{
    me_vec axis = me_unit(me_add(me_from(a->normal), me_from(b->normal)));
    d->height_front_mm = span(a->front, b->front, axis);
    d->height_middle_mm = span(a->middle, b->middle, axis);
    d->height_back_mm = span(a->back, b->back, axis);
    d->height_label_mm = NAN;
    if (label->voxels)
        d->height_label_mm = (thickness(label, a->front, b->front, axis) +
                              thickness(label, a->middle, b->middle, axis) +
                              thickness(label, a->back, b->back, axis)) / 3;
    d->measured = true;
}

static int rank_of(const char *level)
{
    for (int i = 0; i < FAB_MEASURE_VERTEBRAE; i++)
        if (!strcmp(levels[i], level)) return i;
    return -1;
}

/* below: NULL for S1. Says why not, or fills the heights. */
static fab_status disc_between(work *w, int above, int below, fab_disc_level *d, fab_error *err)
{
    const fab_vertebra *a = &w->s->vertebra[above];
    const fab_vertebra *b = below < 0 ? NULL : &w->s->vertebra[below];
    char name[32];
    *d = (fab_disc_level){.above = above, .below = below};
    snprintf(d->name, sizeof d->name, "%.6s_%.6s", a->level, b ? b->level : "S1");
    if (a->quality == FAB_MEASURE_NONE || (b && b->quality == FAB_MEASURE_NONE)) {
        snprintf(d->why, sizeof d->why, "%s was not measured",
                 a->quality == FAB_MEASURE_NONE ? a->level : b->level);
        return FAB_OK;
    }
    const fab_endplate *low = b ? &b->upper : &w->s->sacrum;
    double gap = me_len(me_sub(me_from(a->lower.centre), me_from(low->centre)));
    if (gap > 30) {
        snprintf(d->why, sizeof d->why, "a vertebra between the two has no label");
        return FAB_OK;
    }
    me_mask label;
    snprintf(name, sizeof name, "disc_%s", d->name);
    const char *const names[] = {name, NULL};
    FAB_TRY(mask_of(w, names, true, &label, err));
    disc_heights(&label, &a->lower, low, d);
    d->height_sigma_mm = hypot(a->lower.offset_sigma_mm, low->offset_sigma_mm);
    fab_me_mask_free(&label);
    return FAB_OK;
}

static fab_status discs(work *w, fab_error *err)
{
    fab_spine_measures *s = w->s;
    for (int i = 0; i < s->count; i++) {
        bool last = i + 1 == s->count;
        int step = last ? 0 : rank_of(s->vertebra[i + 1].level) - rank_of(s->vertebra[i].level);
        bool next = step == 1 || (step == 2 && !strcmp(s->vertebra[i].level, "T12"));
        bool sacral = last && s->has_sacrum && s->vertebra[i].level[0] == 'L';
        if (!next && !sacral) continue;
        FAB_TRY(disc_between(w, i, sacral ? -1 : i + 1, &s->disc[s->disc_count], err));
        s->disc_count++;
    }
    return FAB_OK;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static fab_status sacrum(work *w, fab_error *err)
{
    static const char *const names[] = {"sacrum", "vertebrae_S1", NULL};
    fab_spine_measures *s = w->s;
    me_mask m;
    if (!s->count || s->vertebra[s->count - 1].level[0] != 'L') return FAB_OK;
    FAB_TRY(mask_of(w, names, true, &m, err));
    w->sacral_label = m.voxels > 0;
    s->has_sacrum = fab_me_sacrum(&m, &s->vertebra[s->count - 1], &s->sacrum,
                                  &s->sacrum_depth_mm);
    if (!s->has_sacrum) s->sacrum = (fab_endplate){0};
    fab_me_mask_free(&m);
    return FAB_OK;
}

static fab_status canal(work *w, const fab_volume *image, fab_error *err)
{
    static const char *const names[] = {"spinal_canal", "spinal_cord", "cerebrospinal_fluid",
                                        "thecal_sac", NULL};
    me_mask m;
    if (!fab_label_set_by_name(w->set, "spinal_canal")) return FAB_OK;
    FAB_TRY(mask_of(w, names, false, &m, err));
    fab_status status = fab_me_canal(&m, image, w->s, err);
    fab_me_mask_free(&m);
    FAB_TRY(status);
    for (int i = 0; i < w->s->count; i++) {
        fab_vertebra *v = &w->s->vertebra[i];
        if (v->quality != FAB_MEASURE_NONE && v->canal.measured &&
            fabs(v->rotation_deg - v->rotation_canal_deg) > 10)
            say(v, FAB_MEASURE_FAIR, "rotation by symmetry and by the canal differ");
    }
    return FAB_OK;
}

static fab_status measure_all(work *w, const fab_volume *image, const fab_progress *progress,
                              fab_error *err)
{
    fab_spine_measures *s = w->s;
    FAB_TRY(fab_labels_stats(w->labels, w->values, w->stats, err));
    FAB_TRY(find_vertebrae(w, err));
    for (int i = 0; i < s->count; i++) {
        FAB_TRY(fab_progress_step(progress, "measure spine", (double)i / s->count, err));
        measure_one(w, i);
    }
    FAB_TRY(sacrum(w, err));
    if (image) FAB_TRY(fab_me_plates(image, w->sacral_label, s, err));
    for (int i = 0; i < s->count; i++) refuse(&s->vertebra[i], image);
    for (int i = s->count - 1; i >= 0; i--) conclude(w, i, image);
    FAB_TRY(discs(w, err));
    FAB_TRY(canal(w, image, err));
    fab_me_curves(s);
    fab_me_angles(s);
    return fab_me_pelvis(w->labels, w->set, w->stats, w->values, s, err);
}

fab_status fab_measure_spine(const fab_volume *labels, const fab_label_set *set,
                             const fab_volume *image, const fab_progress *progress,
                             fab_spine_measures *out, fab_error *err)
{
    fab_dtype type = fab_volume_dtype(labels);
    if (type != FAB_U8 && type != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "measure: labels are %s, they must be u8 or u16",
                 fab_dtype_name(type));
    work w = {.labels = labels, .set = set, .values = type == FAB_U8 ? 256 : FAB_MAX_LABELS + 1};
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc(w.values, sizeof *stats);
    FAB_AUTO_FREE bool *member = fab_calloc(w.values, sizeof *member);
    FAB_AUTO_FREE double(*arch)[3] = fab_alloc_array(ME_MAX_ARCH, sizeof *arch);
    FAB_AUTO_FREE fab_spine_measures *s = fab_calloc(1, sizeof *s);
    if (!stats || !member || !arch || !s) FAB_FAIL(err, FAB_ERR_NOMEM, "measure: out of memory");
    w.stats = stats, w.member = member, w.arch = arch, w.s = s;
    fab_status status = measure_all(&w, image, progress, err);
    for (int i = 0; i < FAB_MEASURE_VERTEBRAE; i++) fab_me_mask_free(&w.mask[i]);
    if (status == FAB_OK) *out = *s;
    return status;
}
