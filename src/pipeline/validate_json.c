/* validate_json.c - dossier.json: everything that was measured, and what it was measured on and
 * with (docs/formats/dossier.md). What differs from run to run is in its last member, "run". */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOTICE "Training device and research software, not for diagnosis."

enum { CONFIDENCE_BINS = 10 };

static const char *const state_names[] = {
    [FAB_ROW_EVALUATED] = "evaluated", [FAB_ROW_FALSE_POSITIVE] = "false-positive",
    [FAB_ROW_ABSENT] = "absent", [FAB_ROW_NOT_EVALUATED] = "not-evaluated"};

static double volume_error(const fab_agreement *a)
{
    return a->volume_reference_ml > 0
               ? 100 * (a->volume_predicted_ml / a->volume_reference_ml - 1) : NAN;
}

/* ---- distributions ------------------------------------------------------------------------ */

typedef enum measure { DICE, NSD, NSD_VOXEL, HD95, ASSD, VOLUME_PERCENT, VOLUME_ML, MEASURES }
    measure;
static const struct measure_row {
    const char *key;
    int worse; /* -1: less is worse, 1: more, 2: further from 0 */
    int decimals;
} measures[MEASURES] = {
    [DICE] = {"dice", -1, 6}, [NSD] = {"nsd", -1, 6}, [NSD_VOXEL] = {"nsd_voxel", -1, 6},
    [HD95] = {"hd95_mm", 1, 4}, [ASSD] = {"assd_mm", 1, 4},
    [VOLUME_PERCENT] = {"volume_difference_percent", 2, 3},
    [VOLUME_ML] = {"volume_difference_ml", 2, 4},
};

static double value_of(const fab_val_row *r, measure m)
{
    const double values[MEASURES] = {
        [DICE] = r->a.dice, [NSD] = r->a.nsd, [NSD_VOXEL] = r->nsd_voxel, [HD95] = r->a.hd95_mm,
        [ASSD] = r->a.assd_mm, [VOLUME_PERCENT] = volume_error(&r->a),
        [VOLUME_ML] = r->a.volume_predicted_ml - r->a.volume_reference_ml};
    return values[m];
}

static double badness(const fab_val_row *r, measure m)
{
    double v = value_of(r, m);
    return measures[m].worse == 2 ? fabs(v) : measures[m].worse * v;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between ranks, as numpy.percentile does. */
static double quantile(const double *sorted, size_t n, double share)
{
    double at = share * (double)(n - 1);
    size_t low = (size_t)at;
    if (low + 1 >= n) return sorted[n - 1];
    return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

static bool counts(const fab_val_row *r, size_t structure)
{
    return r->structure == structure && r->state == FAB_ROW_EVALUATED;
}

/* values: room for every row */
static fab_status put_distribution(const fab_validation *v, size_t structure, measure m,
                                   double *values, fab_json *o, fab_error *err)
{
    size_t n = 0, worst = v->row_count;
    fab_json *d = NULL;
    for (size_t i = 0; i < v->row_count; i++) {
        if (!counts(&v->rows[i], structure) || isnan(value_of(&v->rows[i], m))) continue;
        values[n++] = value_of(&v->rows[i], m);
        if (worst == v->row_count || badness(&v->rows[i], m) > badness(&v->rows[worst], m))
            worst = i;
    }
    if (n) qsort(values, n, sizeof *values, by_value);
    int digits = measures[m].decimals;
    FAB_TRY(fab_put_object(o, measures[m].key, &d, err));
    FAB_TRY(fab_put_int(d, "cases", (int64_t)n, err));
    FAB_TRY(fab_put_real(d, "median", n ? quantile(values, n, 0.5) : NAN, digits, err));
    FAB_TRY(fab_put_real(d, "q1", n ? quantile(values, n, 0.25) : NAN, digits, err));
    FAB_TRY(fab_put_real(d, "q3", n ? quantile(values, n, 0.75) : NAN, digits, err));
    FAB_TRY(fab_put_real(d, "worst", n ? value_of(&v->rows[worst], m) : NAN, digits, err));
    return fab_put_text_or_null(d, "worst_case",
                                n ? v->data.cases[v->rows[worst].case_index].name : NULL, err);
}

static fab_status put_structure(const fab_validation *v, size_t s, double *values, fab_json *o,
                                fab_error *err)
{
    int64_t states[4] = {0}, cut = 0, missed = 0;
    double false_ml = 0;
    const char *name = v->structures.items[s], *reason = NULL;
    const fab_anatomy *a = fab_anatomy_find(name);
    for (size_t i = 0; i < v->row_count; i++) {
        const fab_val_row *r = &v->rows[i];
        if (r->structure != s) continue;
        states[r->state]++;
        cut += r->state == FAB_ROW_EVALUATED && r->cut;
        missed += r->state == FAB_ROW_EVALUATED && !r->a.predicted_voxels;
        if (r->state == FAB_ROW_FALSE_POSITIVE) false_ml += r->a.volume_predicted_ml;
        if (r->state == FAB_ROW_NOT_EVALUATED && !reason) reason = r->text;
    }
    FAB_TRY(fab_put_text(o, "name", name, err));
    FAB_TRY(fab_put_text(o, "display", a ? a->display : name, err));
    FAB_TRY(fab_put_int(o, "evaluated", states[FAB_ROW_EVALUATED], err));
    FAB_TRY(fab_put_int(o, "cut_by_edge", cut, err));
    FAB_TRY(fab_put_int(o, "missed", missed, err));
    FAB_TRY(fab_put_int(o, "false_positives", states[FAB_ROW_FALSE_POSITIVE], err));
    FAB_TRY(fab_put_real(o, "false_positive_ml", false_ml, 4, err));
    FAB_TRY(fab_put_int(o, "absent", states[FAB_ROW_ABSENT], err));
    FAB_TRY(fab_put_int(o, "not_evaluated", states[FAB_ROW_NOT_EVALUATED], err));
    FAB_TRY(fab_put_text_or_null(o, "not_evaluated_reason", reason, err));
    for (measure m = DICE; m < MEASURES; m++)
        FAB_TRY(put_distribution(v, s, m, values, o, err));
    return FAB_OK;
}

static fab_status put_structures(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *list = NULL, *row = NULL;
    FAB_AUTO_FREE double *values = fab_alloc_array(v->row_count + 1, sizeof *values);
    if (!values) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_put_array(o, "structures", &list, err));
    for (size_t s = 0; s < v->structures.count; s++) {
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(put_structure(v, s, values, row, err));
    }
    return FAB_OK;
}

/* ---- cases -------------------------------------------------------------------------------- */

static fab_status put_row(const fab_validation *v, const fab_val_row *r, fab_json *o,
                          fab_error *err)
{
    FAB_TRY(fab_put_text(o, "name", v->structures.items[r->structure], err));
    FAB_TRY(fab_put_text(o, "state", state_names[r->state], err));
    FAB_TRY(fab_put_text_or_null(o, "remark", r->text, err));
    if (r->state == FAB_ROW_NOT_EVALUATED || r->state == FAB_ROW_ABSENT) return FAB_OK;
    FAB_TRY(fab_put_real(o, "volume_predicted_ml", r->a.volume_predicted_ml, 4, err));
    FAB_TRY(fab_put_int(o, "predicted_voxels", r->a.predicted_voxels, err));
    FAB_TRY(fab_put_real(o, "confidence", r->confidence, 6, err));
    if (r->state == FAB_ROW_FALSE_POSITIVE) return FAB_OK;
    for (measure m = DICE; m < MEASURES; m++)
        FAB_TRY(fab_put_real(o, measures[m].key, value_of(r, m), measures[m].decimals, err));
    FAB_TRY(fab_put_real(o, "volume_reference_ml", r->a.volume_reference_ml, 4, err));
    FAB_TRY(fab_put_int(o, "reference_voxels", r->a.reference_voxels, err));
    FAB_TRY(fab_put_int(o, "overlap_voxels", r->a.overlap_voxels, err));
    return fab_put_bool(o, "cut_by_edge", r->cut, err);
}

static fab_status put_level(int index, const fab_level *l, fab_json *list, fab_error *err)
{
    fab_json *o = NULL;
    int64_t sum = l->truth_voxels + l->predicted_voxels;
    if (!sum) return FAB_OK;
    FAB_TRY(fab_add_object(list, &o, err));
    FAB_TRY(fab_put_text(o, "name", fab_level_name(index), err));
    FAB_TRY(fab_put_bool(o, "in_truth", l->truth_voxels > 0, err));
    FAB_TRY(fab_put_text_or_null(o, "called", l->named >= 0 ? fab_level_name(l->named) : NULL,
                                 err));
    FAB_TRY(fab_put_real(o, "dice", 2 * (double)l->overlap_voxels / (double)sum, 6, err));
    FAB_TRY(fab_put_real(o, "distance_mm", l->distance_mm, 3, err));
    return fab_put_bool(o, "identified", l->identified, err);
}

static fab_status put_case_levels(const fab_levels *l, fab_json *o, fab_error *err)
{
    fab_json *levels = NULL, *list = NULL;
    if (!l->tested) return FAB_OK;
    FAB_TRY(fab_put_object(o, "levels", &levels, err));
    FAB_TRY(fab_put_int(levels, "vertebrae", l->truth_count, err));
    FAB_TRY(fab_put_int(levels, "right", l->right, err));
    FAB_TRY(fab_put_int(levels, "missed", l->missed, err));
    FAB_TRY(fab_put_int(levels, "shift", l->shift, err));
    FAB_TRY(fab_put_int(levels, "right_with_shift", l->right_shifted, err));
    FAB_TRY(fab_put_int(levels, "identified", l->identified, err));
    FAB_TRY(fab_put_real(levels, "localisation_mm", l->localisation_mm, 3, err));
    FAB_TRY(fab_put_array(levels, "each", &list, err));
    for (int i = 0; i < FAB_LEVELS; i++) FAB_TRY(put_level(i, &l->level[i], list, err));
    return FAB_OK;
}

static fab_status put_case(const fab_validation *v, size_t index, fab_json *o, fab_error *err)
{
    const fab_case_result *r = &v->results[index];
    fab_json *list = NULL, *row = NULL;
    FAB_TRY(fab_put_text(o, "name", v->data.cases[index].name, err));
    FAB_TRY(fab_put_text(o, "status", r->status > 0 ? "no-truth" : r->status ? "failed" : "ok",
                         err));
    if (r->status < 0) {
        FAB_TRY(fab_put_text(o, "error", r->error, err));
        return fab_put_text(o, "error_kind", fab_status_name(r->status), err);
    }
    if (r->status > 0) return FAB_OK;
    FAB_TRY(fab_json_set(o, "data", fab_json_retain(r->facts), err));
    FAB_TRY(fab_put_text_or_null(o, "notes", r->notes, err));
    FAB_TRY(fab_put_array(o, "structures", &list, err));
    for (size_t i = 0; i < v->row_count; i++) {
        if (v->rows[i].case_index != index) continue;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(put_row(v, &v->rows[i], row, err));
    }
    FAB_TRY(put_case_levels(&r->levels, o, err));
    FAB_TRY(fab_put_array(o, "only_in_truth", &list, err));
    for (size_t i = 0; i < r->unused.count; i++)
        FAB_TRY(fab_add_text(list, r->unused.items[i], err));
    return FAB_OK;
}

static fab_status put_cases(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *list = NULL, *row = NULL;
    FAB_TRY(fab_put_array(o, "cases", &list, err));
    for (size_t i = 0; i < v->data.count; i++) {
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(put_case(v, i, row, err));
    }
    return FAB_OK;
}

/* ---- names of vertebrae over all cases ---------------------------------------------------- */

static fab_status put_levels(const fab_validation *v, fab_json *o, fab_error *err)
{
    enum { MOST = 4 };
    fab_json *levels = NULL, *list = NULL, *row = NULL;
    int64_t cases = 0, all = 0, right = 0, shifted = 0, identified = 0, missed = 0;
    int64_t shifts[2 * MOST + 1] = {0};
    for (size_t i = 0; i < v->data.count; i++) {
        const fab_levels *l = &v->results[i].levels;
        if (!l->tested || v->results[i].status) continue;
        cases++;
        all += l->truth_count;
        right += l->right;
        shifted += l->right_shifted;
        identified += l->identified;
        missed += l->missed;
        if (abs(l->shift) <= MOST) shifts[l->shift + MOST]++;
    }
    if (!cases) return FAB_OK;
    FAB_TRY(fab_put_object(o, "levels", &levels, err));
    FAB_TRY(fab_put_int(levels, "cases", cases, err));
    FAB_TRY(fab_put_int(levels, "vertebrae", all, err));
    FAB_TRY(fab_put_int(levels, "right", right, err));
    FAB_TRY(fab_put_int(levels, "right_with_shift", shifted, err));
    FAB_TRY(fab_put_int(levels, "missed", missed, err));
    FAB_TRY(fab_put_int(levels, "identified", identified, err));
    FAB_TRY(fab_put_real(levels, "identification_rate", (double)identified / (double)all, 6, err));
    FAB_TRY(fab_put_array(levels, "shifts", &list, err));
    for (int s = 0; s <= 2 * MOST; s++) {
        if (!shifts[s]) continue;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_int(row, "shift", s - MOST, err));
        FAB_TRY(fab_put_int(row, "cases", shifts[s], err));
    }
    return FAB_OK;
}

/* ---- the worst ---------------------------------------------------------------------------- */

static fab_status put_worst(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *list = NULL, *row = NULL;
    FAB_TRY(fab_put_array(o, "worst", &list, err));
    for (size_t n = 0; n < v->picture_count; n++) {
        for (size_t i = 0; i < v->picture_count; i++) { /* in order: n pictures are worse */
            const fab_case_picture *p = &v->pictures[i];
            size_t worse = 0;
            for (size_t j = 0; j < v->picture_count; j++)
                worse += j != i && fab_val_worse(v, v->pictures[j].row, p->row);
            if (worse != n) continue;
            const fab_val_row *r = &v->rows[p->row];
            FAB_TRY(fab_add_object(list, &row, err));
            FAB_TRY(fab_put_text(row, "case", v->data.cases[r->case_index].name, err));
            FAB_TRY(put_row(v, r, row, err));
            FAB_TRY(fab_put_vector(row, "shown_at_mm", p->at_mm, 3, 2, err));
            FAB_TRY(fab_put_int(row, "picture", (int64_t)i, err));
        }
    }
    return FAB_OK;
}

/* ---- confidence --------------------------------------------------------------------------- */

static bool has_confidence(const fab_val_row *r)
{
    return (r->state == FAB_ROW_EVALUATED || r->state == FAB_ROW_FALSE_POSITIVE) &&
           r->a.predicted_voxels > 0 && !isnan(r->confidence);
}

fab_status fab_val_confidence_lines(const fab_validation *v, fab_buf *out, fab_error *err)
{
    fab_writer w;
    fab_writer_to_buf(out, &w);
    for (size_t i = 0; i < v->row_count; i++) {
        const fab_val_row *r = &v->rows[i];
        FAB_AUTO(fab_json_free) fab_json *line = fab_json_object();
        if (!has_confidence(r)) continue;
        FAB_TRY(fab_put_text(line, "structure", v->structures.items[r->structure], err));
        FAB_TRY(fab_put_text(line, "case", v->data.cases[r->case_index].name, err));
        FAB_TRY(fab_put_real(line, "confidence", r->confidence, 6, err));
        FAB_TRY(fab_put_real(line, "dice", r->a.dice, 6, err));
        FAB_TRY(fab_json_dump(line, 0, &w, err));
    }
    return FAB_OK;
}

static fab_status put_confidence(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *confidence = NULL, *list = NULL, *row = NULL;
    int64_t count[CONFIDENCE_BINS] = {0}, all = 0;
    double told[CONFIDENCE_BINS] = {0}, dice[CONFIDENCE_BINS] = {0};
    for (size_t i = 0; i < v->row_count; i++) {
        const fab_val_row *r = &v->rows[i];
        if (!has_confidence(r)) continue;
        int bin = (int)(r->confidence * CONFIDENCE_BINS);
        bin = bin < 0 ? 0 : bin >= CONFIDENCE_BINS ? CONFIDENCE_BINS - 1 : bin;
        count[bin]++;
        told[bin] += r->confidence;
        dice[bin] += r->a.dice;
        all++;
    }
    FAB_TRY(fab_put_object(o, "confidence", &confidence, err));
    FAB_TRY(fab_put_int(confidence, "pairs", all, err));
    FAB_TRY(fab_put_array(confidence, "bins", &list, err));
    for (int b = 0; b < CONFIDENCE_BINS; b++) {
        if (!count[b]) continue;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_real(row, "from", (double)b / CONFIDENCE_BINS, 3, err));
        FAB_TRY(fab_put_real(row, "to", (double)(b + 1) / CONFIDENCE_BINS, 3, err));
        FAB_TRY(fab_put_int(row, "pairs", count[b], err));
        FAB_TRY(fab_put_real(row, "confidence", told[b] / (double)count[b], 6, err));
        FAB_TRY(fab_put_real(row, "dice", dice[b] / (double)count[b], 6, err));
    }
    return FAB_OK;
}

/* ---- what was not tested ------------------------------------------------------------------ */

static bool evaluated_once(const fab_validation *v, size_t structure)
{
    for (size_t i = 0; i < v->row_count; i++)
        if (counts(&v->rows[i], structure)) return true;
    return false;
}

static const char *why_not(const fab_validation *v, size_t structure)
{
    for (size_t i = 0; i < v->row_count; i++)
        if (v->rows[i].structure == structure && v->rows[i].state == FAB_ROW_NOT_EVALUATED)
            return v->rows[i].text;
    return "in no case's truth";
}

static fab_status put_not_tested(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *box = NULL, *list = NULL, *row = NULL;
    __attribute__((cleanup(fab_text_list_free))) fab_text_list seen = {0};
    FAB_TRY(fab_put_object(o, "not_tested", &box, err));
    FAB_TRY(fab_put_array(box, "structures", &list, err));
    for (size_t s = 0; s < v->structures.count; s++) {
        if (evaluated_once(v, s)) continue;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "name", v->structures.items[s], err));
        FAB_TRY(fab_put_text(row, "reason", why_not(v, s), err));
    }
    FAB_TRY(fab_put_array(box, "only_in_truth", &list, err));
    for (size_t i = 0; i < v->data.count; i++)
        for (size_t k = 0; k < v->results[i].unused.count; k++) {
            const char *name = v->results[i].unused.items[k];
            bool known = false;
            for (size_t n = 0; n < seen.count && !known; n++)
                known = strcmp(seen.items[n], name) == 0;
            if (known) continue;
            FAB_TRY(fab_text_list_add(&seen, name, err));
            FAB_TRY(fab_add_text(list, name, err));
        }
    FAB_TRY(fab_put_array(box, "cases", &list, err));
    for (size_t i = 0; i < v->data.count; i++) {
        const fab_case_result *r = &v->results[i];
        if (!r->status) continue;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "name", v->data.cases[i].name, err));
        FAB_TRY(fab_put_text(row, "reason", r->status > 0 ? "has no truth" : r->error, err));
    }
    return FAB_OK;
}

/* ---- what it was measured with ------------------------------------------------------------ */

static const char *first_text(const fab_validation *v, bool kernels)
{
    for (size_t i = 0; i < v->data.count; i++)
        if (!v->results[i].status)
            return kernels ? v->results[i].kernels : v->results[i].precision;
    return "";
}

static fab_status put_software(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *s = NULL, *settings = NULL;
    const fab_validate_job *job = v->o;
    FAB_TRY(fab_put_object(o, "software", &s, err));
    FAB_TRY(fab_put_text(s, "name", "fabrica", err));
    FAB_TRY(fab_put_text(s, "version", FAB_VERSION, err));
    FAB_TRY(fab_put_text_or_null(s, "commit", job->commit, err));
    FAB_TRY(fab_put_text_or_null(s, "binary_sha256", v->program_sha256, err));
    FAB_TRY(fab_put_text_or_null(s, "kernels", first_text(v, true), err));
    FAB_TRY(fab_put_text_or_null(s, "precision", first_text(v, false), err));
    FAB_TRY(fab_put_object(o, "settings", &settings, err));
    FAB_TRY(fab_put_real(settings, "nsd_tolerance_mm", job->tolerance_mm, 4, err));
    FAB_TRY(fab_put_text(settings, "nsd_voxel_tolerance", "the largest spacing of the case", err));
    FAB_TRY(fab_put_real(settings, "step", job->step > 0 ? job->step : NAN, 4, err));
    FAB_TRY(fab_put_text_or_null(settings, "structures", job->structures, err));
    return fab_put_bool(settings, "postprocessing", !job->no_postprocessing, err);
}

static const char *text_of(const fab_json *o, const char *key)
{
    return fab_json_text(fab_json_find(o, key));
}

static fab_status put_model(const fab_validation *v, fab_json *o, fab_error *err)
{
    const fab_json *card = fab_val_card(v);
    fab_json *m = NULL;
    FAB_TRY(fab_put_object(o, "model", &m, err));
    FAB_TRY(fab_put_text(m, "source", v->network ? "model" : "label maps made elsewhere", err));
    if (!card) return FAB_OK;
    static const char *const keys[] = {"name", "version", "license", "modality"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        FAB_TRY(fab_put_text_or_null(m, keys[i], text_of(card, keys[i]), err));
    FAB_TRY(fab_put_text_or_null(m, "weights_sha256",
                                 text_of(fab_json_find(card, "weights"), "sha256"), err));
    return fab_json_set(m, "card", fab_json_retain((fab_json *)card), err);
}

static fab_status put_dataset(const fab_validation *v, fab_json *o, fab_error *err)
{
    fab_json *d = NULL, *totals = NULL;
    int64_t good = 0, failed = 0, states[4] = {0};
    for (size_t i = 0; i < v->data.count; i++) {
        good += v->results[i].status == 0;
        failed += v->results[i].status < 0;
    }
    for (size_t i = 0; i < v->row_count; i++) states[v->rows[i].state]++;
    FAB_TRY(fab_put_object(o, "dataset", &d, err));
    FAB_TRY(fab_put_text(d, "name", v->data.name, err));
    FAB_TRY(fab_put_text(d, "layout", fab_layout_name(v->data.layout), err));
    FAB_TRY(fab_put_text_or_null(d, "license", v->data.license, err));
    FAB_TRY(fab_put_text_or_null(d, "notes", v->data.notes, err));
    FAB_TRY(fab_put_object(o, "totals", &totals, err));
    FAB_TRY(fab_put_int(totals, "cases", (int64_t)v->data.count, err));
    FAB_TRY(fab_put_int(totals, "evaluated", good, err));
    FAB_TRY(fab_put_int(totals, "failed", failed, err));
    FAB_TRY(fab_put_int(totals, "without_truth", (int64_t)v->data.count - good - failed, err));
    FAB_TRY(fab_put_int(totals, "measurements", states[FAB_ROW_EVALUATED], err));
    FAB_TRY(fab_put_int(totals, "false_positives", states[FAB_ROW_FALSE_POSITIVE], err));
    return fab_put_int(totals, "not_evaluated", states[FAB_ROW_NOT_EVALUATED], err);
}

static fab_status put_run(fab_validation *v, fab_json *o, fab_error *err)
{
    char when[32];
    struct tm utc;
    time_t now = time(NULL);
    fab_json *run = NULL, *list = NULL, *row = NULL;
    FAB_TRY(fab_job_run_json(&v->job, &run, err));
    FAB_TRY(fab_json_set(o, "run", run, err));
    gmtime_r(&now, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    FAB_TRY(fab_put_text(run, "finished", when, err));
    FAB_TRY(fab_put_array(run, "cases", &list, err));
    for (size_t i = 0; i < v->data.count; i++) {
        const fab_case_result *r = &v->results[i];
        if (r->status || v->o->predictions) continue;
        FAB_TRY(fab_add_object(list, &row, err));
        FAB_TRY(fab_put_text(row, "name", v->data.cases[i].name, err));
        FAB_TRY(fab_put_real(row, "wall_s", r->wall_s, 3, err));
        FAB_TRY(fab_put_real(row, "cpu_s", r->cpu_s, 3, err));
        FAB_TRY(fab_put_int(row, "peak_rss_bytes", r->peak_bytes, err));
        FAB_TRY(fab_put_bool(row, "from_cache", r->cached, err));
    }
    return FAB_OK;
}

fab_status fab_val_dossier(fab_validation *v, fab_error *err)
{
    v->dossier = fab_json_object();
    fab_json *o = v->dossier;
    FAB_TRY(fab_put_text(o, "format", "fabrica-dossier", err));
    FAB_TRY(fab_put_int(o, "format_version", 1, err));
    FAB_TRY(fab_put_text(o, "generator", FAB_GENERATOR, err));
    FAB_TRY(fab_put_text(o, "notice", NOTICE, err));
    FAB_TRY(put_software(v, o, err));
    FAB_TRY(put_dataset(v, o, err));
    FAB_TRY(put_model(v, o, err));
    FAB_TRY(put_structures(v, o, err));
    FAB_TRY(put_levels(v, o, err));
    FAB_TRY(put_worst(v, o, err));
    FAB_TRY(put_not_tested(v, o, err));
    FAB_TRY(put_confidence(v, o, err));
    FAB_TRY(put_cases(v, o, err));
    return put_run(v, o, err);
}
