/* validate_levels.c - whether vertebrae bear the right names. A network that counts one wrong names
 * a whole spine wrong by the same step: that is told apart from vertebrae that were mixed up. */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CHAIN = 25, T13 = 25, NONE = FAB_LEVELS, SLOTS = FAB_LEVELS + 1, MOST_SHIFT = 4 };
static const double near_mm = 20; /* of VerSe's identification rate */

static const char *const names[FAB_LEVELS] = {
    "vertebrae_C1", "vertebrae_C2",  "vertebrae_C3",  "vertebrae_C4",  "vertebrae_C5",
    "vertebrae_C6", "vertebrae_C7",  "vertebrae_T1",  "vertebrae_T2",  "vertebrae_T3",
    "vertebrae_T4", "vertebrae_T5",  "vertebrae_T6",  "vertebrae_T7",  "vertebrae_T8",
    "vertebrae_T9", "vertebrae_T10", "vertebrae_T11", "vertebrae_T12", "vertebrae_L1",
    "vertebrae_L2", "vertebrae_L3",  "vertebrae_L4",  "vertebrae_L5",  "vertebrae_L6",
    "vertebrae_T13"};

const char *fab_level_name(int level) { return names[level]; }

int fab_level_find(const char *structure)
{
    for (int i = 0; i < FAB_LEVELS; i++)
        if (strcmp(names[i], structure) == 0) return i;
    return -1;
}

/* ---- counting ----------------------------------------------------------------------------- */

typedef struct tally {
    int64_t voxels[SLOTS][SLOTS];            /* truth, predicted; NONE is anything else */
    double truth_sum[SLOTS][3], predicted_sum[SLOTS][3];
    int64_t truth_count[SLOTS], predicted_count[SLOTS];
} tally;

/* Level of each label value; NONE for other structures. False if the set names no vertebra. */
static bool level_of_values(const fab_label_set *set, uint8_t *level)
{
    bool any = false;
    memset(level, NONE, FAB_MAX_LABELS + 1);
    for (size_t i = 0; i < set->count; i++) {
        int at = fab_level_find(set->items[i].name);
        if (at < 0) continue;
        level[set->items[i].value] = (uint8_t)at;
        any = true;
    }
    return any;
}

static int value_at(const fab_volume *v, int64_t index)
{
    return fab_volume_dtype(v) == FAB_U8 ? ((const uint8_t *)fab_volume_data(v))[index]
                                         : ((const uint16_t *)fab_volume_data(v))[index];
}

static void add_place(double sum[3], int64_t *count, const int64_t at[3])
{
    for (int a = 0; a < 3; a++) sum[a] += (double)at[a];
    ++*count;
}

static void count(const fab_volume *truth, const fab_volume *predicted, const uint8_t *level[2],
                  tally *t)
{
    const int32_t *n = fab_volume_grid(truth)->size;
    const int64_t voxels = fab_grid_voxels(fab_volume_grid(truth));
    for (int64_t i = 0; i < voxels; i++) {
        int a = level[0][value_at(truth, i)], b = level[1][value_at(predicted, i)];
        if (a == NONE && b == NONE) continue;
        const int64_t at[3] = {i % n[0], i / n[0] % n[1], i / n[0] / n[1]};
        t->voxels[a][b]++;
        if (a != NONE) add_place(t->truth_sum[a], &t->truth_count[a], at);
        if (b != NONE) add_place(t->predicted_sum[b], &t->predicted_count[b], at);
    }
}

static void centroid(const fab_grid *g, const double sum[3], int64_t voxels, double out[3])
{
    for (int a = 0; a < 3; a++) out[a] = voxels ? sum[a] / (double)voxels : NAN;
    fab_mat34_apply(&g->world_from_voxel, out, out);
}

static double distance(const double a[3], const double b[3])
{
    return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
                (a[2] - b[2]) * (a[2] - b[2]));
}

/* ---- names -------------------------------------------------------------------------------- */

/* The step along C1..L6 at which most voxels agree; no step if none is better. T13 has no step. */
static int best_shift(const tally *t)
{
    int best = 0;
    int64_t most = -1;
    for (int i = 0; i <= 2 * MOST_SHIFT; i++) {
        int shift = i % 2 ? (i + 1) / 2 : -i / 2; /* 0, 1, -1, 2, -2 ... */
        int64_t sum = 0;
        for (int a = 0; a < CHAIN; a++)
            if (a + shift >= 0 && a + shift < CHAIN) sum += t->voxels[a][a + shift];
        if (sum > most) {
            most = sum;
            best = shift;
        }
    }
    return best;
}

static int most_called(const tally *t, int level)
{
    int best = -1;
    int64_t most = 0;
    for (int b = 0; b < FAB_LEVELS; b++)
        if (t->voxels[level][b] > most) {
            most = t->voxels[level][b];
            best = b;
        }
    return best;
}

static bool shifted_right(int level, int named, int shift)
{
    if (level == T13 || named == T13) return named == level;
    return named >= 0 && named == level + shift;
}

static void place(const fab_grid *g, const tally *t, fab_levels *out)
{
    double truth[FAB_LEVELS][3], predicted[FAB_LEVELS][3], sum = 0;
    int both = 0;
    for (int i = 0; i < FAB_LEVELS; i++) {
        centroid(g, t->truth_sum[i], t->truth_count[i], truth[i]);
        centroid(g, t->predicted_sum[i], t->predicted_count[i], predicted[i]);
    }
    for (int i = 0; i < FAB_LEVELS; i++) {
        fab_level *l = &out->level[i];
        l->distance_mm = distance(truth[i], predicted[i]); /* NaN if a side has none */
        if (isnan(l->distance_mm)) continue;
        int nearest = i;
        for (int j = 0; j < FAB_LEVELS; j++)
            if (distance(truth[j], predicted[i]) < distance(truth[nearest], predicted[i]))
                nearest = j;
        l->identified = nearest == i && l->distance_mm < near_mm;
        out->identified += l->identified;
        sum += l->distance_mm;
        both++;
    }
    out->localisation_mm = both ? sum / both : NAN;
}

fab_status fab_levels_measure(const fab_volume *truth, const fab_label_set *truth_set,
                              const fab_volume *predicted, const fab_label_set *predicted_set,
                              fab_levels *out, fab_error *err)
{
    FAB_AUTO_FREE uint8_t *level = fab_alloc_array(2, FAB_MAX_LABELS + 1);
    FAB_AUTO_FREE tally *t = fab_calloc(1, sizeof *t);
    if (!level || !t) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    const uint8_t *of[2] = {level, level + FAB_MAX_LABELS + 1};
    fab_levels made = {.localisation_mm = NAN};
    bool named = level_of_values(truth_set, level);
    named = level_of_values(predicted_set, level + FAB_MAX_LABELS + 1) && named;
    *out = made;
    if (!named) return FAB_OK;
    count(truth, predicted, of, t);
    made.shift = best_shift(t);
    for (int i = 0; i < FAB_LEVELS; i++) {
        fab_level *l = &made.level[i];
        *l = (fab_level){t->truth_count[i], t->predicted_count[i], t->voxels[i][i],
                         most_called(t, i), NAN, false};
        if (!l->truth_voxels) continue;
        made.truth_count++;
        made.missed += l->named < 0;
        made.right += l->named == i;
        made.right_shifted += shifted_right(i, l->named, made.shift);
    }
    place(fab_volume_grid(truth), t, &made);
    made.tested = made.truth_count > 0;
    *out = made;
    return FAB_OK;
}
