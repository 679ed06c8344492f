/* evaluation.c - how well a label map agrees with a reference, structure by structure. Which
 * values make up a structure on each side comes from the two label tables, or from a mapping:
 *
 *     {"structures": [{"name": "vertebrae", "reference": ["vertebrae_*", 33],
 *                      "predicted": ["vertebrae"]}]}
 *
 * or from a model card, whose labels say which finer names each of them stands for. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fabrica/evaluate.h"

typedef struct side {
    fab_volume *labels;
    fab_label_set set;
    bool has_table;
} side;

typedef struct pair {
    char name[FAB_MAX_NAME_BYTES];
    int reference[FAB_MAX_STRUCTURES], predicted[FAB_MAX_STRUCTURES];
    size_t reference_count, predicted_count;
} pair;

typedef struct evaluation {
    fab_job job;
    side reference, predicted;
    bool resampled;
    pair *pairs;
    size_t pair_count;
} evaluation;

/* ---- which values ----------------------------------------------------------------------- */

static bool matches(const char *pattern, const char *name)
{
    size_t length = strlen(pattern);
    if (length && pattern[length - 1] == '*') return strncmp(pattern, name, length - 1) == 0;
    return strcmp(pattern, name) == 0;
}

static void add_value(int *values, size_t *count, int value)
{
    for (size_t i = 0; i < *count; i++)
        if (values[i] == value) return;
    if (*count < FAB_MAX_STRUCTURES) values[(*count)++] = value;
}

static void add_matching(const side *s, const char *pattern, int *values, size_t *count)
{
    for (size_t i = 0; i < s->set.count; i++)
        if (matches(pattern, s->set.items[i].name)) add_value(values, count, s->set.items[i].value);
}

static fab_status add_listed(const side *s, const fab_json *list, int *values, size_t *count,
                             fab_error *err)
{
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *item = fab_json_at(list, i);
        const char *name = fab_json_text(item);
        double number = fab_json_number(item);
        if (name) add_matching(s, name, values, count);
        else if (fab_json_is_number(item) && number >= 1 && number <= FAB_MAX_LABELS &&
                 number == floor(number))
            add_value(values, count, (int)number);
        else FAB_FAIL(err, FAB_ERR_FORMAT, "a mapping lists names and values (1 to %d)",
                      FAB_MAX_LABELS);
    }
    return FAB_OK;
}

static pair *next_pair(evaluation *e, const char *name)
{
    pair *p = &e->pairs[e->pair_count++];
    snprintf(p->name, sizeof p->name, "%s", name);
    return p;
}

static fab_status pair_from_mapping(evaluation *e, const fab_json *row, fab_error *err)
{
    const char *name = NULL;
    const fab_json *reference = NULL, *predicted = NULL;
    FAB_TRY(fab_json_get_string(row, "name", &name, err));
    FAB_TRY(fab_json_get_array(row, "reference", &reference, err));
    FAB_TRY(fab_json_get_array(row, "predicted", &predicted, err));
    pair *p = next_pair(e, name);
    FAB_TRY(add_listed(&e->reference, reference, p->reference, &p->reference_count, err));
    return add_listed(&e->predicted, predicted, p->predicted, &p->predicted_count, err);
}

/* A row of a model card: "members" on the reference's side; its own name, or the two it is split
 * into, on the other. */
static fab_status pair_from_card(evaluation *e, const fab_json *row, fab_error *err)
{
    const char *name = NULL;
    FAB_TRY(fab_json_get_string(row, "name", &name, err));
    pair *p = next_pair(e, name);
    FAB_TRY(add_listed(&e->reference, fab_json_find(row, "members"), p->reference,
                       &p->reference_count, err));
    static const char *const own[] = {"name", "left_name", "right_name"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const char *text = fab_json_text(fab_json_find(row, own[i]));
        if (!text) continue;
        add_matching(&e->predicted, text, p->predicted, &p->predicted_count);
        add_matching(&e->reference, text, p->reference, &p->reference_count);
    }
    return FAB_OK;
}

static fab_status pairs_from_file(evaluation *e, const char *path, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_TRY(fab_json_load_file(path, &json, err));
    const fab_json *rows = fab_json_find(json, "structures");
    bool card = !fab_json_is_array(rows);
    if (card) rows = fab_json_find(json, "labels");
    if (!fab_json_is_array(rows))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: neither a mapping (\"structures\") nor a model card "
                 "(\"labels\")", path);
    if (fab_json_count(rows) > FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %d structures", path, FAB_MAX_STRUCTURES);
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i);
        fab_status status = card ? pair_from_card(e, row, err) : pair_from_mapping(e, row, err);
        if (status < 0) (void)fab_error_prefix(err, "%s: row %zu", path, i + 1);
        FAB_TRY(status);
    }
    return FAB_OK;
}

static void pairs_by_name(evaluation *e)
{
    bool by_value = !e->reference.has_table || !e->predicted.has_table;
    for (size_t i = 0; i < e->reference.set.count; i++) {
        const fab_label *a = &e->reference.set.items[i];
        const fab_label *b = by_value ? fab_label_set_find(&e->predicted.set, a->value)
                                      : fab_label_set_by_name(&e->predicted.set, a->name);
        if (!b) continue;
        pair *p = next_pair(e, e->reference.has_table ? a->name : b->name);
        add_value(p->reference, &p->reference_count, a->value);
        add_value(p->predicted, &p->predicted_count, b->value);
    }
}

/* ---- measuring -------------------------------------------------------------------------- */

static fab_status same_grid(evaluation *e, const fab_evaluate_job *o, fab_error *err)
{
    const fab_grid *to = fab_volume_grid(e->reference.labels);
    if (fab_grid_equal(to, fab_volume_grid(e->predicted.labels), 1e-3)) return FAB_OK;
    fab_volume *moved = NULL;
    FAB_TRY(fab_volume_resample(e->predicted.labels, to, FAB_NEAREST, 0, &moved, err));
    fab_volume_unref(e->predicted.labels);
    e->predicted.labels = moved;
    e->resampled = true;
    fab_job_note(o->watch, "%s is on another grid: resampled to the reference's, nearest voxel",
                 o->predicted);
    return FAB_OK;
}

typedef struct means {
    double dice, nsd, hd95_mm, assd_mm;
    size_t count;
} means;

static fab_status put_agreement(fab_json *row, const fab_agreement *a, fab_error *err)
{
    double difference = a->volume_reference_ml > 0
                            ? 100 * (a->volume_predicted_ml / a->volume_reference_ml - 1) : NAN;
    FAB_TRY(fab_put_real(row, "dice", a->dice, 6, err));
    FAB_TRY(fab_put_real(row, "nsd", a->nsd, 6, err));
    FAB_TRY(fab_put_real(row, "hd95_mm", a->hd95_mm, 4, err));
    FAB_TRY(fab_put_real(row, "assd_mm", a->assd_mm, 4, err));
    FAB_TRY(fab_put_real(row, "volume_reference_ml", a->volume_reference_ml, 4, err));
    FAB_TRY(fab_put_real(row, "volume_predicted_ml", a->volume_predicted_ml, 4, err));
    FAB_TRY(fab_put_real(row, "volume_difference_percent", difference, 3, err));
    FAB_TRY(fab_put_int(row, "reference_voxels", a->reference_voxels, err));
    FAB_TRY(fab_put_int(row, "predicted_voxels", a->predicted_voxels, err));
    return fab_put_int(row, "overlap_voxels", a->overlap_voxels, err);
}

static fab_status measure(evaluation *e, size_t index, double tolerance_mm, fab_json *list,
                          means *m, fab_error *err)
{
    const pair *p = &e->pairs[index];
    fab_agreement a;
    fab_json *row = NULL;
    FAB_TRY(fab_job_part(&e->job, index, e->pair_count, err));
    FAB_TRY(fab_evaluate(e->reference.labels, p->reference, p->reference_count,
                         e->predicted.labels, p->predicted, p->predicted_count, tolerance_mm, &a,
                         err));
    FAB_TRY(fab_add_object(list, &row, err));
    FAB_TRY(fab_put_text(row, "name", p->name, err));
    FAB_TRY(put_agreement(row, &a, err));
    if (a.reference_voxels == 0) return FAB_OK;
    m->count++; /* a structure that was missed counts as Dice 0; distances have no value then */
    m->dice += isnan(a.dice) ? 0 : a.dice;
    m->nsd += isnan(a.nsd) ? 0 : a.nsd;
    return FAB_OK;
}

static fab_status put_unmatched(fab_json *o, const evaluation *e, bool reference, fab_error *err)
{
    const side *s = reference ? &e->reference : &e->predicted;
    fab_json *list = NULL;
    FAB_TRY(fab_put_array(o, reference ? "reference" : "predicted", &list, err));
    for (size_t i = 0; i < s->set.count; i++) {
        bool used = false;
        for (size_t p = 0; p < e->pair_count && !used; p++) {
            const int *values = reference ? e->pairs[p].reference : e->pairs[p].predicted;
            size_t n = reference ? e->pairs[p].reference_count : e->pairs[p].predicted_count;
            for (size_t v = 0; v < n && !used; v++) used = values[v] == s->set.items[i].value;
        }
        if (!used) FAB_TRY(fab_add_text(list, s->set.items[i].name, err));
    }
    return FAB_OK;
}

static fab_status evaluate_into(const fab_evaluate_job *o, evaluation *e, fab_json *out,
                                fab_error *err)
{
    fab_json *list = NULL, *mean = NULL, *unmatched = NULL;
    means m = {0};
    FAB_TRY(fab_labels_load(o->reference, o->reference_table, &e->reference.labels,
                            &e->reference.set, &e->reference.has_table, err));
    FAB_TRY(fab_labels_load(o->predicted, o->predicted_table, &e->predicted.labels,
                            &e->predicted.set, &e->predicted.has_table, err));
    FAB_TRY(same_grid(e, o, err));
    if (o->mapping) FAB_TRY(pairs_from_file(e, o->mapping, err));
    else pairs_by_name(e);
    if (!e->pair_count)
        FAB_FAIL(err, FAB_ERR_ARG, "%s and %s have no structure in common; --map says which "
                 "values make up which structure", o->reference, o->predicted);
    FAB_TRY(fab_put_real(out, "tolerance_mm", o->tolerance_mm, 4, err));
    FAB_TRY(fab_put_bool(out, "resampled", e->resampled, err));
    FAB_TRY(fab_put_array(out, "structures", &list, err));
    for (size_t i = 0; i < e->pair_count; i++)
        FAB_TRY(measure(e, i, o->tolerance_mm, list, &m, err));
    FAB_TRY(fab_put_object(out, "mean", &mean, err));
    FAB_TRY(fab_put_int(mean, "structures", (int64_t)m.count, err));
    FAB_TRY(fab_put_real(mean, "dice", m.count ? m.dice / (double)m.count : NAN, 6, err));
    FAB_TRY(fab_put_real(mean, "nsd", m.count ? m.nsd / (double)m.count : NAN, 6, err));
    FAB_TRY(fab_put_object(out, "unmatched", &unmatched, err));
    FAB_TRY(put_unmatched(unmatched, e, true, err));
    return put_unmatched(unmatched, e, false, err);
}

fab_status fab_job_evaluate(const fab_evaluate_job *o, fab_json **out, fab_error *err)
{
    static const fab_step_def steps[] = {{"evaluate", "Comparing", 1}};
    FAB_AUTO(fab_json_free) fab_json *json = fab_json_object();
    FAB_AUTO_FREE pair *pairs = fab_calloc(FAB_MAX_STRUCTURES, sizeof *pairs);
    if (!pairs || !json) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    evaluation e = {.pairs = pairs};
    fab_job_start(&e.job, o->watch, steps, 1);
    fab_status status = fab_job_enter(&e.job, 0, err);
    if (status == FAB_OK) status = evaluate_into(o, &e, json, err);
    if (status == FAB_OK) fab_job_finish(&e.job);
    fab_volume_unref(e.reference.labels);
    fab_volume_unref(e.predicted.labels);
    fab_label_set_free(&e.reference.set);
    fab_label_set_free(&e.predicted.set);
    FAB_TRY(status);
    *out = json;
    json = NULL;
    return FAB_OK;
}
