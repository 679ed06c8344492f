/* qa_put.c - findings as JSON for the manifest, as text for a DICOM segmentation. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static fab_status put_finding(fab_json *list, const fab_qa_finding *f, fab_json **out,
                              fab_error *err)
{
    fab_json *row = NULL;
    FAB_TRY(fab_add_object(list, &row, err));
    FAB_TRY(fab_put_text(row, "code", f->code, err));
    FAB_TRY(fab_put_text(row, "severity", fab_severity_name(f->severity), err));
    FAB_TRY(fab_put_text(row, "text", f->text, err));
    if (out) *out = row;
    if (!f->located) return FAB_OK;
    const double box[6] = {f->low_mm[0], f->low_mm[1], f->low_mm[2],
                           f->high_mm[0], f->high_mm[1], f->high_mm[2]};
    return fab_put_vector(row, "box_mm", box, 6, 1, err);
}

static fab_status put_row(fab_json *list, const fab_qa *qa, const fab_qa_structure *s,
                          fab_error *err)
{
    fab_json *row = NULL, *findings = NULL;
    FAB_TRY(fab_add_object(list, &row, err));
    FAB_TRY(fab_put_int(row, "value", s->label->value, err));
    FAB_TRY(fab_put_real(row, "confidence", s->confidence, 4, err));
    FAB_TRY(fab_put_real(row, "expected_dice", s->expected, 4, err));
    FAB_TRY(fab_put_real(row, "review_score", s->score, 2, err));
    FAB_TRY(fab_put_array(row, "findings", &findings, err));
    for (size_t i = 0; i < qa->finding_count; i++)
        if (qa->findings[i].value == s->label->value)
            FAB_TRY(put_finding(findings, &qa->findings[i], NULL, err));
    return FAB_OK;
}

fab_status fab_review_rows_json(const fab_qa *qa, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *list = fab_json_array();
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < qa->structure_count; i++)
        FAB_TRY(put_row(list, qa, &qa->structures[i], err));
    *out = list;
    list = NULL;
    return FAB_OK;
}

static fab_status put_scan(fab_json *o, const fab_scan *scan, fab_error *err)
{
    fab_json *s = NULL;
    FAB_TRY(fab_put_object(o, "scan", &s, err));
    FAB_TRY(fab_put_text(s, "verdict", fab_scan_verdict_name(scan->verdict), err));
    FAB_TRY(fab_put_text(s, "looks_like", scan->looks_like, err));
    FAB_TRY(fab_put_text(s, "reasons", scan->reasons, err));
    FAB_TRY(fab_put_real(s, "body_area_cm2", scan->body_area_cm2, 0, err));
    return fab_put_real(s, "body_width_mm", scan->body_width_mm, 0, err);
}

static fab_status put_name(fab_json *list, const fab_label_set *set, int value, fab_error *err)
{
    const fab_label *l = value ? fab_label_set_find(set, value) : NULL;
    return l ? fab_add_text(list, l->name, err) : FAB_OK;
}

fab_status fab_review_put(fab_json *manifest, const fab_qa *qa, const fab_scan *scan,
                          const fab_label_set *set, fab_error *err)
{
    fab_json *o = NULL, *findings = NULL, *review = NULL;
    bool calibrated = false;
    for (size_t i = 0; i < qa->structure_count; i++)
        calibrated |= !isnan(qa->structures[i].expected);
    FAB_TRY(fab_put_object(manifest, "quality", &o, err));
    FAB_TRY(fab_put_bool(o, "trusted", qa->verdict < FAB_SCAN_UNSURE, err));
    FAB_TRY(fab_put_bool(o, "calibrated", calibrated, err));
    FAB_TRY(put_scan(o, scan, err));
    FAB_TRY(fab_put_array(o, "findings", &findings, err));
    for (size_t i = 0; i < qa->finding_count; i++) {
        fab_json *row = NULL, *names = NULL;
        FAB_TRY(put_finding(findings, &qa->findings[i], &row, err));
        FAB_TRY(fab_put_array(row, "structures", &names, err));
        FAB_TRY(put_name(names, set, qa->findings[i].value, err));
        FAB_TRY(put_name(names, set, qa->findings[i].other, err));
    }
    FAB_TRY(fab_put_array(o, "review", &review, err));
    for (size_t i = 0; i < qa->structure_count; i++)
        FAB_TRY(fab_add_text(review, qa->structures[qa->order[i]].label->name, err));
    return FAB_OK;
}

/* Appends what fits whole; capacity counts the final zero. */
static void append(char *into, size_t capacity, const char *text)
{
    const size_t used = strlen(into), length = strlen(text);
    if (used + length < capacity) memcpy(into + used, text, length + 1);
}

void fab_review_describe(const fab_json *row, char *into, size_t capacity)
{
    const fab_json *findings = fab_json_find(row, "findings");
    const fab_json *confidence = fab_json_find(row, "confidence");
    const fab_json *expected = fab_json_find(row, "expected_dice");
    char text[300];
    into[0] = 0;
    if (fab_json_is_number(confidence)) {
        snprintf(text, sizeof text, "Mean probability %.2f", fab_json_number(confidence));
        append(into, capacity, text);
        if (fab_json_is_number(expected))
            snprintf(text, sizeof text, ", expected Dice %.2f.", fab_json_number(expected));
        else snprintf(text, sizeof text, ", not calibrated.");
        append(into, capacity, text);
    }
    for (size_t i = 0; i < fab_json_count(findings); i++) {
        const fab_json *f = fab_json_at(findings, i);
        snprintf(text, sizeof text, "%s%s: %s.", into[0] ? " " : "", fab_text_of(f, "severity"),
                 fab_text_of(f, "text"));
        append(into, capacity, text);
    }
}
