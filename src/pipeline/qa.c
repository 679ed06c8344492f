/* qa.c - the two looks of `qa` in a job: at the scan before the network, at the result after it. */
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- before the network -------------------------------------------------------------------- */

static bool names_head(const fab_label_set *set)
{
    return fab_label_set_by_name(set, "brain") || fab_label_set_by_name(set, "skull");
}

enum { TORSO_ANCHORS = 5 };

static bool is_for_torso(const fab_label_set *set)
{
    return fab_qa_torso_anchors(set) >= TORSO_ANCHORS && !names_head(set);
}

/* The names a card lists, as a set; those that are no names are left out. */
static fab_status card_set(const fab_json *card, fab_label_set *set, fab_error *err)
{
    static const char *const keys[] = {"name", "left_name", "right_name"};
    const fab_json *labels = fab_json_find(card, "labels");
    int value = 0;
    for (size_t i = 0; i < fab_json_count(labels); i++) {
        const fab_json *row = fab_json_at(labels, i);
        const char *plain = fab_json_text(row);
        if (plain) (void)fab_label_set_add(set, ++value, plain, NULL);
        for (size_t k = 0; k < sizeof keys / sizeof *keys && !plain; k++) {
            const char *name = fab_text_of(row, keys[k]);
            if (name[0] && fab_label_set_add(set, ++value, name, NULL) == FAB_ERR_NOMEM)
                FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
        }
    }
    return FAB_OK;
}

static fab_status judges_torso(const fab_network *n, bool *out, fab_error *err)
{
    fab_label_set set = {0};
    *out = false;
    if (strcmp(fab_text_of(fab_network_card(n), "modality"), "CT") != 0 ||
        fab_network_channels(n) > 1)
        return FAB_OK;
    fab_status status = card_set(fab_network_card(n), &set, err);
    if (status == FAB_OK) *out = is_for_torso(&set);
    fab_label_set_free(&set);
    return status;
}

fab_status fab_scan_check(const fab_study *study, const fab_network *network, bool force,
                          const fab_job_watch *watch, fab_scan *out, fab_error *err)
{
    const fab_series_info *i = study->series ? &study->series->info : NULL;
    const fab_scan_facts facts = {study->modality, i ? i->body_part : NULL};
    bool judged = false;
    FAB_TRY(fab_scan_look(study->volume, &facts, out, err));
    if (!network) return FAB_OK;
    FAB_TRY(judges_torso(network, &judged, err));
    if (!judged) return FAB_OK;
    if (out->verdict == FAB_SCAN_UNSURE || (out->verdict == FAB_SCAN_OTHER && force))
        fab_job_note(watch, "%s looks like %s: %s", study->name, out->looks_like, out->reasons);
    if (out->verdict != FAB_SCAN_OTHER || force) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
             "%s looks like %s, and model %s is for CTs of the torso. %s (--force goes on, and "
             "marks everything as not trusted)",
             study->name, out->looks_like, fab_network_name(network),
             out->reasons);
}

/* ---- after it ------------------------------------------------------------------------------ */

static void fill_row(fab_structure *row, const fab_qa_structure *s)
{
    row->label = s->label;
    row->stats = s->stats;
    row->voxels = s->stats.voxels;
    row->volume_ml = s->volume_ml;
    row->confidence = s->confidence;
    memcpy(row->centroid_mm, s->centroid_mm, sizeof row->centroid_mm);
    fab_safe_name(s->label->name, row->file_name, sizeof row->file_name);
}

static void unique_file_name(fab_structure *rows, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(rows[i].file_name, rows[index].file_name) != 0) continue;
        size_t keep = strlen(rows[index].file_name);
        if (keep > FAB_MAX_NAME_BYTES - 8) keep = FAB_MAX_NAME_BYTES - 8;
        snprintf(rows[index].file_name + keep, FAB_MAX_NAME_BYTES - keep, "_%d",
                 rows[index].label->value);
        return;
    }
}

static const fab_qa_structure *structure_of(const fab_qa *qa, int value)
{
    for (size_t i = 0; i < qa->structure_count; i++)
        if (qa->structures[i].label->value == value) return &qa->structures[i];
    return NULL;
}

/* Fragments and sides as the network's own post-processing saw them: it took the pieces away. */
static fab_status take_findings(const fab_segment_result *found, fab_qa *qa, fab_error *err)
{
    static const char *const codes[FAB_FINDING_KINDS] = {
        [FAB_FINDING_FRAGMENTS] = "fragments", [FAB_FINDING_SIDE_FALLBACK] = "side-uncertain",
        [FAB_FINDING_MISPLACED] = "misplaced", [FAB_FINDING_OTHER_TISSUE] = "other-tissue",
        [FAB_FINDING_TRANSITIONAL] = "transitional-vertebra",
        [FAB_FINDING_NAMES_UNCERTAIN] = "names-uncertain"};
    for (size_t i = 0; i < found->finding_count; i++) {
        const fab_finding *f = &found->findings[i];
        const fab_qa_structure *s = structure_of(qa, f->value);
        const bool gone = f->value && !s; /* of what was left out entirely the scan is told */
        if (!codes[f->kind] || (gone && f->kind != FAB_FINDING_MISPLACED &&
                                f->kind != FAB_FINDING_OTHER_TISSUE))
            continue;
        if (!gone && fab_qa_has(qa, codes[f->kind], f->value)) continue;
        /* what lies beyond the scan may join the pieces */
        FAB_TRY(fab_qa_add(qa, codes[f->kind], s && s->cut ? FAB_INFO : FAB_WARNING,
                           gone ? 0 : f->value, err, "%s", f->text));
    }
    return FAB_OK;
}

static void expect_dice(const fab_calibration *c, fab_qa *qa)
{
    for (size_t i = 0; i < qa->structure_count; i++)
        qa->structures[i].expected = fab_calibration_expected(c, qa->structures[i].label->name,
                                                              qa->structures[i].confidence);
}

static fab_status calibrate(const fab_network *n, fab_qa *qa, fab_error *err)
{
    FAB_AUTO(fab_calibration_free) fab_calibration *c = NULL;
    if (!n) return FAB_OK;
    FAB_TRY(fab_calibration_read(fab_network_card(n), &c, err));
    if (c) expect_dice(c, qa);
    return FAB_OK;
}

static bool judged_as_torso(const fab_review_input *in)
{
    const char *modality = in->network ? fab_text_of(fab_network_card(in->network), "modality")
                                       : in->study->modality;
    return strcmp(modality, "CT") == 0 && is_for_torso(&in->found->set);
}

static fab_status make_rows(const fab_qa *qa, fab_structure **rows, size_t *count, fab_error *err)
{
    fab_structure *list = fab_calloc(qa->structure_count + 1, sizeof *list);
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < qa->structure_count; i++) {
        fill_row(&list[i], &qa->structures[i]);
        unique_file_name(list, i);
    }
    *rows = list;
    *count = qa->structure_count;
    return FAB_OK;
}

fab_status fab_review_make(const fab_review_input *in, fab_job *job, fab_qa *qa,
                           fab_structure **rows, size_t *count, fab_error *err)
{
    const fab_segment_result *found = in->found;
    const fab_qa_input look = {.image = in->study->volume, .scan = in->scan,
                               .judge = judged_as_torso(in), .labels = found->labels,
                               .set = &found->set, .confidence = found->confidence,
                               .fine_labels = found->fine_labels,
                               .fine_margin = found->fine_margin, .progress = &job->progress};
    FAB_TRY(fab_qa_check(&look, qa, err));
    FAB_TRY(take_findings(found, qa, err));
    FAB_TRY(calibrate(in->network, qa, err));
    FAB_TRY(fab_qa_rank(qa, err));
    return make_rows(qa, rows, count, err);
}
