/* names.c - which vertebra a voxel of bone belongs to, and what a disc is called.
 *
 * The first network's names are seeds that spread through the second network's bone. A piece of
 * one part (a facet, a body) belongs to one vertebra: if nearly all of it has one name, all of it
 * gets it. A disc is named by the bodies it touches.
 */
#include <math.h>
#include <string.h>

#include "detail_internal.h"

#define MOST_OF 0.7       /* of a piece has the same name: it has all of it */
#define MIN_DISC_ML 0.13
#define SPECK_ML 0.3
#define LEAST_SHARE 0.5   /* of the first network's voxels that a level must keep */
#define LARGEST_SHARE 1.9

static bool is_bone(const dt_work *w, int64_t i)
{
    return w->near[i] && dt_is_part(dt_kind_at(w, i));
}

/* ---- levels ---------------------------------------------------------------------------------- */

static void seed_levels(dt_work *w)
{
    for (int64_t i = 0; i < w->count; i++)
        if (is_bone(w, i) && w->group_of[w->coarse[i]] == DT_VERTEBRA)
            w->level[i] = w->level_of[w->coarse[i]];
}

/* Breadth first, so that the nearest seed through bone wins. */
static void spread_levels(dt_work *w)
{
    int64_t head = 0, tail = 0, end;
    for (int64_t i = 0; i < w->count; i++)
        if (w->level[i] != DT_NO_LEVEL) w->queue[tail++] = (int32_t)i;
    for (int step = 0; step < DT_QUEUE_MAX_STEPS && head < tail; step++)
        for (end = tail; head < end; head++) {
            int64_t to[6];
            const int64_t from = w->queue[head];
            const int n = fab_dt_neighbours(w, from, to);
            for (int k = 0; k < n; k++) {
                if (w->level[to[k]] != DT_NO_LEVEL || !is_bone(w, to[k])) continue;
                w->level[to[k]] = w->level[from];
                w->queue[tail++] = (int32_t)to[k];
            }
        }
}

typedef bool same_fn(const dt_work *w, int64_t a, int64_t b); /* are of one piece, if they touch */

static bool same_kind(const dt_work *w, int64_t a, int64_t b)
{
    return w->near[b] && dt_kind_at(w, a) == dt_kind_at(w, b);
}

static bool same_level(const dt_work *w, int64_t a, int64_t b)
{
    return w->level[a] == w->level[b];
}

/* The piece around `first`, joined by faces, into the queue: how many voxels. */
static int64_t collect(dt_work *w, int64_t first, same_fn *same, uint8_t *seen)
{
    int64_t head = 0, tail = 0;
    w->queue[tail++] = (int32_t)first;
    seen[first] = 1;
    while (head < tail) {
        int64_t to[6];
        const int n = fab_dt_neighbours(w, w->queue[head++], to);
        for (int k = 0; k < n; k++) {
            if (seen[to[k]] || !same(w, first, to[k])) continue;
            seen[to[k]] = 1;
            w->queue[tail++] = (int32_t)to[k];
        }
    }
    return tail;
}

static void vote(dt_work *w, int64_t voxels)
{
    int64_t votes[FAB_SPINE_LEVELS] = {0}, all = 0;
    int best = 0;
    for (int64_t k = 0; k < voxels; k++) {
        const int level = w->level[w->queue[k]];
        if (level == DT_NO_LEVEL) continue;
        votes[level]++, all++;
    }
    for (int l = 1; l < FAB_SPINE_LEVELS; l++)
        if (votes[l] > votes[best]) best = l;
    if (all == 0 || (double)votes[best] < MOST_OF * (double)all) return;
    for (int64_t k = 0; k < voxels; k++) w->level[w->queue[k]] = (int8_t)best;
}

static void vote_all(dt_work *w, uint8_t *seen)
{
    memset(seen, 0, (size_t)w->count);
    for (int64_t i = 0; i < w->count; i++)
        if (!seen[i] && is_bone(w, i)) vote(w, collect(w, i, same_kind, seen));
}

/* Calcified vessels and the like: small pieces apart from their vertebra belong to none. */
static void drop_specks(dt_work *w, uint8_t *seen)
{
    memset(seen, 0, (size_t)w->count);
    for (int64_t i = 0; i < w->count; i++) {
        if (seen[i] || w->level[i] == DT_NO_LEVEL) continue;
        const int64_t voxels = collect(w, i, same_level, seen);
        if ((double)voxels * w->voxel_ml >= SPECK_ML) continue;
        for (int64_t k = 0; k < voxels; k++) w->level[w->queue[k]] = DT_NO_LEVEL;
    }
}

/* A level that became much smaller or larger keeps the first network's outline. */
static int doubtful_levels(const dt_work *w, bool doubtful[FAB_SPINE_LEVELS])
{
    int64_t before[FAB_SPINE_LEVELS] = {0}, after[FAB_SPINE_LEVELS] = {0};
    int count = 0;
    for (int64_t i = 0; i < w->count; i++) {
        if (w->level_of[w->coarse[i]] >= 0) before[w->level_of[w->coarse[i]]]++;
        if (w->level[i] != DT_NO_LEVEL) after[w->level[i]]++;
    }
    for (int l = 0; l < FAB_SPINE_LEVELS; l++) {
        const double share = before[l] ? (double)after[l] / (double)before[l] : 1;
        doubtful[l] = share < LEAST_SHARE || share > LARGEST_SHARE;
        count += doubtful[l];
    }
    return count;
}

static void find_centres(dt_work *w)
{
    memset(w->bodies, 0, sizeof w->bodies);
    memset(w->centre, 0, sizeof w->centre);
    for (int64_t i = 0; i < w->count; i++) {
        double p[3];
        const int l = w->level[i];
        w->sacrum = w->sacrum || (w->near[i] && dt_kind_at(w, i) == DT_SACRUM);
        if (l == DT_NO_LEVEL || dt_kind_at(w, i) != DT_BODY) continue;
        w->bodies[l]++;
        dt_voxel(w, i, p);
        for (int a = 0; a < 3; a++) w->centre[l][a] += p[a];
    }
    for (int l = 0; l < FAB_SPINE_LEVELS; l++)
        for (int a = 0; a < 3 && w->bodies[l]; a++) w->centre[l][a] /= (double)w->bodies[l];
}

/* ---- discs ----------------------------------------------------------------------------------- */

/* How often a piece (in the queue) touches the body of each level. */
static void count_touch(const dt_work *w, int64_t voxels, int64_t touch[FAB_SPINE_LEVELS])
{
    memset(touch, 0, FAB_SPINE_LEVELS * sizeof *touch);
    for (int64_t k = 0; k < voxels; k++) {
        int64_t to[6];
        const int n = fab_dt_neighbours(w, w->queue[k], to);
        for (int j = 0; j < n; j++) {
            const int level = w->level[to[j]];
            if (level != DT_NO_LEVEL && dt_kind_at(w, to[j]) == DT_BODY) touch[level]++;
        }
    }
}

/* Whether a piece lies below the centre of a level's body. */
static bool is_below(const dt_work *w, int64_t voxels, int level)
{
    double at[3] = {0}, along = 0;
    const int other = level > 0 && w->bodies[level - 1] ? level - 1
                      : level + 1 < FAB_SPINE_LEVELS && w->bodies[level + 1] ? level + 1 : level;
    const double sign = other > level ? -1 : 1; /* towards the head */
    for (int64_t k = 0; k < voxels; k++) {
        double p[3];
        dt_voxel(w, w->queue[k], p);
        for (int a = 0; a < 3; a++) at[a] += p[a];
    }
    for (int a = 0; a < 3; a++) {
        const double up = other == level ? a == 2 : sign * (w->centre[other][a] -
                                                            w->centre[level][a]);
        along += up * (at[a] / (double)voxels - w->centre[level][a]);
    }
    return along < 0;
}

/* The value of the disc that a piece is; 0: none that the label set has. */
static int disc_of(const dt_work *w, int64_t voxels)
{
    int64_t touch[FAB_SPINE_LEVELS];
    char name[FAB_MAX_NAME_BYTES];
    int best = 0, upper, lower;
    count_touch(w, voxels, touch);
    for (int l = 1; l < FAB_SPINE_LEVELS; l++)
        if (touch[l] > touch[best]) best = l;
    if (touch[best] == 0) return 0;
    const bool below = is_below(w, voxels, best);
    upper = below ? best : best - 1;
    lower = below ? best + 1 : best;
    if (below && (lower >= FAB_SPINE_LEVELS || w->bodies[lower] == 0)) /* the sacrum follows, */
        lower = w->sacrum && fab_spine_disc_name(upper, -1, name) ? -1 : lower; /* or the end */
    if (upper < 0 || lower >= FAB_SPINE_LEVELS || !fab_spine_disc_name(upper, lower, name))
        return 0;
    const fab_label *l = fab_label_set_by_name(&w->r->set, name);
    return l ? l->value : 0;
}

static void name_discs(dt_work *w, uint8_t *seen)
{
    memset(seen, 0, (size_t)w->count);
    for (int64_t i = 0; i < w->count; i++) {
        if (seen[i] || !w->near[i] || dt_kind_at(w, i) != DT_DISC) continue;
        const int64_t voxels = collect(w, i, same_kind, seen);
        const int value = (double)voxels * w->voxel_ml < MIN_DISC_ML ? 0 : disc_of(w, voxels);
        for (int64_t k = 0; k < voxels; k++) {
            const int64_t at = w->queue[k];
            const bool was = w->group_of[w->coarse[at]] == DT_DISCS;
            w->name[at] = value ? (uint16_t)value : was ? w->coarse[at] : 0;
        }
    }
}

/* ---- everything ------------------------------------------------------------------------------ */

static bool was_spine(dt_group g)
{
    return g == DT_VERTEBRA || g == DT_SACRA || g == DT_DISCS || g == DT_CANALS;
}

/* What a voxel that is no disc is called. */
static int name_of(const dt_work *w, int64_t i, const bool doubtful[FAB_SPINE_LEVELS])
{
    const int kind = dt_kind_at(w, i), coarse = w->coarse[i], level = w->level[i];
    const dt_group was = w->group_of[coarse];
    const bool other = was == DT_OTHER && coarse > 0; /* a hip beyond the joint, mostly */
    if (was == DT_VERTEBRA && doubtful[w->level_of[coarse]]) return coarse;
    if (dt_is_part(kind)) {
        const bool known = level != DT_NO_LEVEL && !doubtful[level];
        return known ? w->value_of_level[level] : was_spine(was) ? coarse : 0;
    }
    switch (kind) {
    case DT_CANAL: return was == DT_CANALS ? coarse : w->value_of_canal;
    case DT_SACRUM: return was == DT_VERTEBRA || other ? coarse : w->value_of_sacrum;
    case DT_RIB: return was == DT_RIBS ? coarse : 0;
    default: return was == DT_CANALS ? coarse : 0;
    }
}

fab_status fab_dt_name(dt_work *w, int *levels_kept, fab_error *err)
{
    bool doubtful[FAB_SPINE_LEVELS];
    FAB_AUTO_FREE uint8_t *seen = fab_malloc((size_t)w->count);
    if (!seen) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the spine's detail");
    seed_levels(w);
    spread_levels(w);
    vote_all(w, seen);
    drop_specks(w, seen);
    find_centres(w);
    *levels_kept = doubtful_levels(w, doubtful);
    name_discs(w, seen);
    for (int64_t i = 0; i < w->count; i++) {
        if (!w->near[i]) w->name[i] = w->coarse[i];
        else if (dt_kind_at(w, i) != DT_DISC) w->name[i] = (uint16_t)name_of(w, i, doubtful);
    }
    for (int64_t i = 0; i < w->count; i++)
        if (w->level[i] != DT_NO_LEVEL && doubtful[w->level[i]]) w->level[i] = DT_NO_LEVEL;
    return FAB_OK;
}
