/* levels.c - what each vertebra is called.
 *
 * A naming is one number, the name of the lowest vertebra, and how many lumbar vertebrae there
 * are; all other names follow, so none can be left out or occur twice, and every naming there is
 * can be scored (25 x 3). The score is a sum of log-likelihoods: the sacrum right below, ribs at
 * the sides of each body, psoas beside it, sizes along the spine, the end of the cord, kidneys,
 * lungs and hips.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "spine_internal.h"

enum { C7 = 6, T1 = 7, T10 = 16, T11 = 17, T12 = 18, L1 = 19, L2 = 20, L4 = 22, L5 = 23 };

#define REACH_MM 10.0      /* from vertebra to rib */
#define RIB_ML 0.45        /* of rib within reach: certainly a rib */
#define OWN_RIB_ML 1.3     /* of an arch: its own, not the end of the last rib that passes it */
#define HANGING 0.3        /* what a rib below a vertebra without one counts */
#define PASSES_L1 3.0      /* against L1: the last rib often passes its transverse process */
#define ARCH_MARGIN 2.0    /* how much better ribs at the arches must fit */
#define RIBS_EXPLAINED -8.0 /* of the best naming; worse: the ribs are wrong, not the count */
#define PSOAS_MM 65.0      /* from the curve to psoas beside it */
#define PSOAS_ML 6.0       /* of it beside a vertebra: certainly psoas */
#define NO_SACRUM_BELOW -9.0
#define LEAST_PSOAS -12.0
#define UNCERTAIN_MARGIN 2.0
#define SD_SIZE 0.07       /* log of width or pitch about the expected course */
#define SD_PERSON 0.12     /* log of a person's size */
#define NOT_SEEN 1e9

/* Mean adult: root of the body's cross-section and pitch, mm, C1 to L6. */
static const double width_of[FAB_SPINE_LEVELS] = {
    14, 15, 15, 15.5, 16, 17, 18.5, 20, 20.5, 21, 22, 23, 24, 25, 26, 27, 28.5, 30, 31.5, 32.5,
    33.5, 34.5, 35, 35, 35};
static const double pitch_of[FAB_SPINE_LEVELS] = {
    15, 20, 17, 17, 17, 17, 18, 20, 21, 21.5, 22, 22.5, 23, 23.5, 24, 25, 26.5, 28, 30, 33,
    35, 36, 36.5, 36, 35};

typedef struct evidence {
    int count;
    bool have_ribs;        /* some vertebra in view bears one */
    double rib[FAB_SPINE_MAX]; /* 0..1: a rib is here */
    double own[FAB_SPINE_MAX]; /* 0..1: and it is this vertebra's */
    double seen[FAB_SPINE_MAX]; /* 0..1: one would have been seen */
    bool by_arches;        /* ribs were looked for at the arches, too */
    double trust;          /* 0..1 in the ribs: less where no naming explains them */
    bool have_psoas;
    double psoas[FAB_SPINE_MAX]; /* 0..1: the muscle lies beside it */
    double gap_mm;         /* from the last body to the sacrum, NOT_SEEN */
    double conus, hip_top, kidneys, lung_base; /* vertebra index, fractional; NAN */
} evidence;

typedef struct naming {
    int lowest, lumbar; /* level of the last vertebra */
    double score;
} naming;

#define MAX_NAMINGS (3 * FAB_SPINE_LEVELS)

/* ---- evidence ------------------------------------------------------------------------------- */

/* The vertebra with a voxel of these roles (body, or body and arch) nearest to a point. */
static int vertebra_near(const sp_work *w, const sp_point *p, sp_role last)
{
    int found = -1, reach[3];
    double best = REACH_MM * REACH_MM, mm[3];
    fab_grid_spacing(&w->grid, mm);
    for (int a = 0; a < 3; a++) reach[a] = (int)(REACH_MM / mm[a]);
    for (int z = -reach[2]; z <= reach[2]; z++)
        for (int y = -reach[1]; y <= reach[1]; y++)
            for (int x = -reach[0]; x <= reach[0]; x++) {
                const double dx = x * mm[0], dy = y * mm[1], dz = z * mm[2];
                const double d = dx * dx + dy * dy + dz * dz;
                if (d >= best) continue;
                const int32_t i = sp_neighbour(w, p, x, y, z);
                if (i < 0 || w->points[i].role > last || w->points[i].part == 0) continue;
                best = d;
                found = w->points[i].part - 1;
            }
    return found;
}

/* Rib within reach of each vertebra; returns all of it, ml. */
static double measure_ribs(sp_work *w, sp_role last)
{
    double ml = 0;
    for (int k = 0; k < w->out->count; k++) w->out->items[k].ribs_ml = 0;
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->role != SP_RIBS || (double)p->off > 70) continue;
        const int k = vertebra_near(w, p, last);
        if (k < 0) continue;
        w->out->items[k].ribs_ml += w->voxel_ml;
        ml += w->voxel_ml;
    }
    return ml;
}

/* Which vertebra is the first without a rib below those that bear them; count: none. A gap high up,
 * with half as many below it, is a rib that was not seen. */
static int ribs_stop(const evidence *e)
{
    int above = 0;
    for (int k = 0; k < e->count; k++) {
        int below = 0;
        for (int i = k + 1; i < e->count; i++) below += e->rib[i] >= 0.5;
        if (e->rib[k] < 0.1 && above >= 4 && above >= 2 * below) return k;
        above += e->rib[k] >= 0.5;
    }
    return e->count;
}

/* Ribs within reach of the bodies, or of bodies and arches. A vertebra below the first without a
 * rib bears none itself: what comes near it is a rib that hangs down, as in a large scoliosis. */
static void find_ribs(sp_work *w, sp_role last, evidence *e)
{
    const double own_ml = last == SP_ARCH ? OWN_RIB_ML : RIB_ML;
    e->by_arches = last == SP_ARCH;
    e->have_ribs = measure_ribs(w, last) > RIB_ML;
    for (int k = 0; k < e->count; k++) {
        e->rib[k] = sp_clamp(w->out->items[k].ribs_ml / RIB_ML, 0, 1);
        e->own[k] = sp_clamp(w->out->items[k].ribs_ml / own_ml, 0, 1);
        e->seen[k] = w->out->items[k].cut ? 0.2 : 1; /* its rib may lie out of the scan */
    }
    for (int k = ribs_stop(e); k < e->count; k++) e->rib[k] *= HANGING, e->own[k] *= HANGING;
}

/* The vertebra at a height of the curve; -1: none. */
static int vertebra_at(const sp_work *w, double s)
{
    int k = 0;
    if (s < w->data_s[0] || s > w->data_s[1]) return -1;
    while (k < w->cuts && s > w->cut_s[k]) k++;
    return k;
}

/* Psoas arises beside T12 to L5. A crop that shows no rib and no sacrum still shows it. */
static void find_psoas(const sp_work *w, evidence *e)
{
    double ml[FAB_SPINE_MAX] = {0};
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        const int k = p->role == SP_PSOAS && (double)p->off < PSOAS_MM
                          ? vertebra_at(w, (double)p->s) : -1;
        if (k >= 0) ml[k] += w->voxel_ml;
    }
    for (int k = 0; k < e->count; k++) {
        e->psoas[k] = sp_clamp(ml[k] / PSOAS_ML, 0, 1);
        e->have_psoas = e->have_psoas || e->psoas[k] >= 1;
    }
}

static double index_at_s(const sp_work *w, double s)
{
    for (int k = 0; k < w->out->count; k++) {
        const double low = k > 0 ? w->cut_s[k - 1] : w->data_s[0];
        const double high = k < w->cuts ? w->cut_s[k] : w->data_s[1];
        if (s < high || k == w->out->count - 1) return k + (s - low) / fmax(high - low, 5) - 0.5;
    }
    return NAN;
}

/* Which vertebra is at a height; NAN beyond them. */
static double index_at_z(const sp_work *w, double z)
{
    const int from = (int)w->data_s[0], to = (int)w->data_s[1];
    if (z > w->curve[from].p.z || z < w->curve[to].p.z) return NAN;
    for (int i = from; i < to; i++)
        if (w->curve[i + 1].p.z <= z) return index_at_s(w, i);
    return NAN;
}

static void find_sacrum(sp_work *w, evidence *e)
{
    double near_ml = 0, top = NOT_SEEN;
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        const double beyond = (double)p->s - w->data_s[1];
        if (p->role != SP_SACRUM || (double)p->off > 45) continue;
        if (beyond > -15 && beyond < 25 && (double)p->off < 38) near_ml += w->voxel_ml;
        if (beyond > -5) top = fmin(top, beyond);
    }
    e->gap_mm = near_ml >= 2 ? 0 : top < NOT_SEEN ? fmax(top, 1) : NOT_SEEN;
    w->out->sacrum_below = near_ml >= 2;
}

/* The cord's end, if the canal goes on for 20 mm. */
static void find_conus(sp_work *w, evidence *e)
{
    double cord = -1, canal = -1;
    for (int32_t i = 0; i < w->count; i++) {
        const sp_point *p = &w->points[i];
        if (p->role != SP_CANAL || (double)p->off > 50) continue;
        if (p->cord) cord = fmax(cord, (double)p->s);
        else canal = fmax(canal, (double)p->s);
    }
    e->conus = NAN;
    if (cord > w->data_s[0] + 10 && canal > cord + 20 && cord < w->data_s[1])
        e->conus = index_at_s(w, cord);
}

static bool whole(const sp_work *w, sp_role r)
{
    double z[2];
    const double corner[2][3] = {{0, 0, 0},
                                 {w->grid.size[0] - 1, w->grid.size[1] - 1, w->grid.size[2] - 1}};
    for (int k = 0; k < 2; k++) {
        double p[3];
        fab_mat34_apply(&w->grid.world_from_voxel, corner[k], p);
        z[k] = p[2];
    }
    const double low = fmin(z[0], z[1]) + 6, high = fmax(z[0], z[1]) - 6;
    const sp_extent *e = &w->organ[r];
    return (double)e->voxels * w->voxel_ml > 40 && (r == SP_HIPS || e->z_low > low) &&
           (r == SP_LUNGS || e->z_high < high);
}

/* The hips go with the sacrum: once that is in view they say nothing about the count. */
static void find_organs(sp_work *w, evidence *e)
{
    const bool hips = whole(w, SP_HIPS) && !w->out->sacrum_below;
    e->hip_top = hips ? index_at_z(w, w->organ[SP_HIPS].z_high) : NAN;
    e->kidneys = whole(w, SP_KIDNEYS) ? index_at_z(w, w->organ[SP_KIDNEYS].z_mean) : NAN;
    e->lung_base = whole(w, SP_LUNGS) ? index_at_z(w, w->organ[SP_LUNGS].z_low) : NAN;
}

/* ---- scores --------------------------------------------------------------------------------- */

static int level_in(const naming *n, int count, int k)
{
    return n->lowest - (count - 1 - k);
}

static double rib_score(const evidence *e, const naming *n)
{
    double sum = 0;
    if (!e->have_ribs) return 0;
    for (int k = 0; k < e->count; k++) {
        const int level = level_in(n, e->count, k);
        const double own = e->own[k], missing = (1 - e->rib[k]) * e->seen[k];
        if (level < C7) sum -= 4.0 * own;
        else if (level == C7) sum -= 0.7 * own; /* the first rib's head is close */
        else if (level < T11) sum -= 3.0 * missing;
        else if (level == T11) sum -= 5.0 * missing;
        else if (level == T12) sum -= 4.5 * missing;
        else if (level == L1) sum -= (e->by_arches ? PASSES_L1 : 5.0) * own;
        else sum -= 6.0 * own;
    }
    return sum;
}

static double psoas_score(const evidence *e, const naming *n)
{
    double sum = 0;
    if (!e->have_psoas) return 0;
    for (int k = 0; k < e->count; k++) {
        const int level = level_in(n, e->count, k);
        if (level <= T10) sum -= 5.0 * e->psoas[k];
        else if (level == T11) sum -= 3.0 * e->psoas[k];
        else if (level == T12) sum -= 0.7 * e->psoas[k];
        else if (level >= L2 && level <= L4) sum -= 1.5 * (1 - e->psoas[k]) * e->seen[k];
    }
    return fmax(sum, LEAST_PSOAS);
}

static double sacrum_score(const evidence *e, const naming *n, double pitch)
{
    const int last = L1 + n->lumbar - 1;
    if (e->gap_mm >= NOT_SEEN) return 0;
    const double levels = e->gap_mm > 12 ? e->gap_mm / fmax(pitch, 15) : 0;
    const double off = fabs(last - n->lowest - levels);
    return fmax(NO_SACRUM_BELOW, -4.5 * off);
}

/* Widths and pitches against the mean adult's, the person's size being free. Neighbours err
 * together, so this counts half. */
static double size_score(const sp_work *w, const naming *n)
{
    double sum = 0, square = 0;
    int values = 0;
    for (int k = 0; k < w->out->count; k++) {
        const fab_spine_vertebra *v = &w->out->items[k];
        const int level = level_in(n, w->out->count, k);
        if (v->cut || (double)v->body_voxels * w->voxel_ml < 2) continue;
        const double a = log(v->width_mm / width_of[level]);
        const double b = log(v->pitch_mm / pitch_of[level]);
        const bool inner = k > 0 && k < w->out->count - 1;
        sum += a + (inner ? b : 0);
        square += a * a + (inner ? b * b : 0);
        values += 1 + inner;
    }
    if (values < 2) return 0;
    const double mean = sum / values, spread = square - values * mean * mean;
    return -0.25 * spread / (SD_SIZE * SD_SIZE) - 0.5 * mean * mean / (SD_PERSON * SD_PERSON);
}

static double landmark(double index, const naming *n, int count, double level, double sd)
{
    if (isnan(index)) return 0;
    const double d = (n->lowest - (count - 1 - index) - level) / sd;
    return -0.5 * fmin(d * d, 25);
}

static double score(const sp_work *w, const evidence *e, const naming *n)
{
    static const double lumbar[3] = {-3.2, -0.09, -3.0}; /* 4, 5, 6 (Tins and Balain 2016) */
    const double pitch = w->out->items[w->out->count - 1].pitch_mm;
    return lumbar[n->lumbar - 4] + e->trust * rib_score(e, n) + psoas_score(e, n) +
           sacrum_score(e, n, pitch) +
           size_score(w, n) + landmark(e->conus, n, e->count, L1 + 0.2, 0.9) +
           landmark(e->hip_top, n, e->count, L4 - 0.2, 0.8) +
           landmark(e->kidneys, n, e->count, L1 + 0.8, 1.0) +
           landmark(e->lung_base, n, e->count, L1, 1.3);
}

/* Ribs that fit no naming are ribs badly seen, and must not settle the count. */
static double trust_in_ribs(const evidence *e, const naming *list, int n)
{
    double best = -INFINITY;
    for (int i = 0; i < n; i++) best = fmax(best, rib_score(e, &list[i]));
    return best < RIBS_EXPLAINED ? RIBS_EXPLAINED / best : 1;
}

static int score_all(const sp_work *w, evidence *e, naming *list)
{
    int n = 0;
    for (int lumbar = 4; lumbar <= 6; lumbar++)
        for (int lowest = e->count - 1; lowest <= L1 + lumbar - 1; lowest++)
            list[n++] = (naming){lowest, lumbar, 0};
    e->trust = trust_in_ribs(e, list, n);
    for (int i = 0; i < n; i++) list[i].score = score(w, e, &list[i]);
    return n;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static const naming *best_of(const naming *list, int n, int not_lowest)
{
    const naming *best = NULL;
    for (int i = 0; i < n; i++)
        if (list[i].lowest != not_lowest && (!best || list[i].score > best->score))
            best = &list[i];
    return best;
}

static FAB_PRINTF(3, 4) void say(char *text, size_t capacity, const char *format, ...)
{
    const size_t at = strlen(text);
    va_list args;
    if (at + 1 >= capacity) return;
    va_start(args, format);
    vsnprintf(text + at, capacity - at, format, args);
    va_end(args);
}

static void explain_vertebra(const sp_work *w, const evidence *e, int k)
{
    fab_spine_vertebra *v = &w->out->items[k];
    v->evidence[0] = 0;
    say(v->evidence, sizeof v->evidence, "body %.0f mm wide, pitch %.0f mm", v->width_mm,
        v->pitch_mm);
    if (e->have_ribs) say(v->evidence, sizeof v->evidence, ", rib %.2f ml", v->ribs_ml);
    if (k == w->out->count - 1 && w->out->sacrum_below)
        say(v->evidence, sizeof v->evidence, ", sacrum below");
    if (v->cut) say(v->evidence, sizeof v->evidence, ", cut by the scan's edge");
    if (v->body_voxels == 0) say(v->evidence, sizeof v->evidence, ", body not seen");
}

static int lowest_rib(const evidence *e)
{
    for (int k = e->count - 1; k >= 0; k--)
        if (e->rib[k] >= 0.5) return k;
    return -1;
}

static void explain(const sp_work *w, const evidence *e, const naming *best, double margin)
{
    fab_spine *s = w->out;
    const int rib = e->have_ribs && e->trust >= 1 ? lowest_rib(e) : -1;
    s->ribs_end = rib >= 0 && rib < s->count - 1;
    const int free_below = s->count - 1 - rib;
    const bool too_many = s->ribs_end && !e->by_arches && free_below != 5;
    s->transitional = best->lumbar != 5 ||
                      (s->sacrum_below && (too_many || s->lumbar_confidence < 0.8));
    s->uncertain = margin < UNCERTAIN_MARGIN;
    s->note[0] = 0;
    if (s->transitional)
        say(s->note, sizeof s->note, "Transitional vertebra suspected: %d %s without ribs above "
            "the sacrum (named as %d lumbar). ", free_below,
            fab_plural(free_below, "vertebra", "vertebrae"), best->lumbar);
    if (s->uncertain)
        say(s->note, sizeof s->note, "Names uncertain: %s. ",
            !s->sacrum_below && !s->ribs_end ? "no sacrum and no end of the ribs in view"
            : "the evidence fits other names nearly as well");
    say(s->note, sizeof s->note, "%s to %s", fab_spine_level_name(s->items[0].level),
        fab_spine_level_name(s->items[s->count - 1].level));
    if (s->sacrum_below) say(s->note, sizeof s->note, ", counted from the sacrum");
    if (s->ribs_end) say(s->note, sizeof s->note, ", lowest rib at %s",
                         fab_spine_level_name(s->items[rib].level));
    say(s->note, sizeof s->note, ".");
}

/* Posterior probabilities over all namings; a vertebra's name follows from `lowest` alone. */
static double choose(const sp_work *w, const naming *list, int n, naming *chosen)
{
    fab_spine *s = w->out;
    const naming *best = best_of(list, n, -1), *second = best_of(list, n, best->lowest);
    double all = 0, name = 0, lumbar = 0;
    for (int i = 0; i < n; i++) {
        const double p = exp(list[i].score - best->score);
        all += p;
        name += list[i].lowest == best->lowest ? p : 0;
        lumbar += list[i].lumbar == best->lumbar ? p : 0;
    }
    s->lumbar = best->lumbar;
    s->lumbar_confidence = lumbar / all;
    const double margin = second ? best->score - second->score : 99;
    for (int k = 0; k < s->count; k++) {
        s->items[k].level = level_in(best, s->count, k);
        s->items[k].second = second ? level_in(second, s->count, k) : s->items[k].level;
        s->items[k].confidence = name / all;
        s->items[k].margin = margin;
    }
    *chosen = *best;
    return margin;
}

/* A rib's head lies at the body. But some label maps give the heads to the vertebrae, and a network
 * loses them: then ribs reach few bodies or none, and those at the arches fit far better. They are
 * less sure, as the last rib may pass the first lumbar transverse process. */
static void choose_ribs(sp_work *w, evidence *e, naming *list)
{
    find_ribs(w, SP_BODY, e);
    const bool bodies = e->have_ribs;
    const double by_bodies = best_of(list, score_all(w, e, list), -1)->score;
    find_ribs(w, SP_ARCH, e);
    const double by_arches = best_of(list, score_all(w, e, list), -1)->score;
    if (bodies && by_arches < by_bodies + ARCH_MARGIN) find_ribs(w, SP_BODY, e);
}

void fab_spine_name(sp_work *w)
{
    evidence e = {.count = w->out->count};
    naming list[MAX_NAMINGS], best;
    find_psoas(w, &e);
    find_sacrum(w, &e);
    find_conus(w, &e);
    find_organs(w, &e);
    choose_ribs(w, &e, list);
    const double margin = choose(w, list, score_all(w, &e, list), &best);
    explain(w, &e, &best, margin);
    for (int k = 0; k < w->out->count; k++) explain_vertebra(w, &e, k);
}
