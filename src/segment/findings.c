/* findings.c - what a reader should know about the result before trusting it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "segment_internal.h"

#define LOW_CONFIDENCE 0.6

const char *fab_finding_name(fab_finding_kind kind)
{
    static const char *const names[FAB_FINDING_KINDS] = {
        "nothing_found", "cut_by_edge", "fragments", "side_fallback", "low_confidence", "misplaced",
        "other_tissue",
        "transitional_vertebra", "names_uncertain"};
    return kind >= 0 && kind < FAB_FINDING_KINDS ? names[kind] : "unknown";
}

static FAB_PRINTF(4, 5) void add(fab_segment_result *r, int value, fab_finding_kind kind,
                                 const char *format, ...)
{
    fab_finding *f = &r->findings[r->finding_count++];
    va_list args;
    f->value = value;
    f->kind = kind;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

static void about_label(fab_segment_result *r, size_t row, const fab_label_stats *stats)
{
    static const char *const faces[6] = {"-i", "+i", "-j", "+j", "-k", "+k"};
    const fab_label *l = &r->set.items[row];
    char edges[32] = "";
    if (stats->voxels == 0) return;
    for (int k = 0; k < 6; k++)
        if (stats->touches_edge[k])
            snprintf(edges + strlen(edges), sizeof edges - strlen(edges), " %s", faces[k]);
    if (edges[0])
        add(r, l->value, FAB_FINDING_CUT_BY_EDGE, "%.96s touches the volume's edge (%s).", l->name,
            edges + 1);
    if (r->confidence[row] < LOW_CONFIDENCE)
        add(r, l->value, FAB_FINDING_LOW_CONFIDENCE, "%.96s: mean probability only %.2f.", l->name,
            r->confidence[row]);
}

static void about_fragments(const fab_decision *d, fab_segment_result *r)
{
    for (int i = 0; i < d->model->label_count; i++)
        if (d->model->labels[i].keep_components > 0 && d->fragments[i] > 0)
            add(r, d->value_of[i], FAB_FINDING_FRAGMENTS,
                "%.96s was in pieces: %d more big %s.", d->model->labels[i].name, d->fragments[i],
                fab_plural(d->fragments[i], "component", "components"));
}

#define SPECK_ML 5 /* taken out without a word */

static void about_places(const fab_decision *d, fab_segment_result *r)
{
    for (int i = 0; i < d->model->label_count; i++)
        if (d->denied_ml[i] >= SPECK_ML)
            add(r, d->value_of[i], FAB_FINDING_OTHER_TISSUE,
                "%.60s: %.0f ml left out, in the image %s.", d->model->labels[i].name,
                d->denied_ml[i], d->model->labels[i].not_under_skin ? "fat under the skin"
                                                                    : "fluid beside it");
    for (int i = 0; i < d->model->label_count; i++)
        if (d->yielded_ml[i] >= SPECK_ML)
            add(r, d->value_of[i], FAB_FINDING_OTHER_TISSUE,
                "%.60s: %.0f ml on a neck thinner than %.0f mm within %.60s became that.",
                d->model->labels[i].name, d->yielded_ml[i], d->model->labels[i].neck_mm,
                d->model->labels[d->model->labels[i].yields_to].name);
    for (int i = 0; i < d->model->label_count; i++)
        if (d->misplaced_ml[i] > 0)
            add(r, d->value_of[i], FAB_FINDING_MISPLACED,
                "%.60s: %.1f ml left out, more than %.0f mm from %.60s.", d->model->labels[i].name,
                d->misplaced_ml[i], d->model->labels[i].within_mm,
                d->model->labels[d->model->labels[i].near[0]].name);
}

static void about_spine(const fab_decision *d, fab_segment_result *r)
{
    if (d->spine.count == 0) return;
    if (d->spine.transitional)
        add(r, 0, FAB_FINDING_TRANSITIONAL, "%.239s", d->spine.note);
    else if (d->spine.uncertain)
        add(r, 0, FAB_FINDING_NAMES_UNCERTAIN, "%.239s", d->spine.note);
}

/* Appends to the notes if it fits; else dots, once. */
static FAB_PRINTF(3, 4) void note(fab_segment_result *r, size_t *at, const char *format, ...)
{
    char text[256];
    va_list args;
    if (*at >= sizeof r->notes) return; /* full */
    va_start(args, format);
    const int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (*at + (size_t)n + 5 < sizeof r->notes) {
        *at += (size_t)snprintf(r->notes + *at, sizeof r->notes - *at, "%s", text);
    } else {
        snprintf(r->notes + *at, sizeof r->notes - *at, " ...");
        *at = sizeof r->notes;
    }
}

/* One sentence a finding; all structures cut by the edge share the last one. */
static void join_notes(fab_segment_result *r)
{
    size_t at = 0;
    int cut = 0;
    r->notes[0] = 0;
    for (size_t i = 0; i < r->finding_count; i++)
        if (r->findings[i].kind != FAB_FINDING_CUT_BY_EDGE)
            note(r, &at, "%s%s", at ? " " : "", r->findings[i].text);
    for (size_t i = 0; i < r->finding_count; i++)
        if (r->findings[i].kind == FAB_FINDING_CUT_BY_EDGE)
            note(r, &at, "%s%.96s", cut++ ? ", " : at ? " Cut by the volume's edge: " :
                 "Cut by the volume's edge: ",
                 fab_label_set_find(&r->set, r->findings[i].value)->name);
    if (cut) note(r, &at, ".");
}

fab_status fab_findings_make(const fab_decision *d, fab_segment_result *r, fab_error *err)
{
    const size_t values = (size_t)d->value_count;
    int64_t found = 0;
    bool split = false;
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc(values, sizeof *stats);
    r->findings = fab_calloc(5 * values + 4, sizeof *r->findings);
    if (!stats || !r->findings) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for findings");
    FAB_TRY(fab_labels_stats(r->labels, values, stats, err));
    for (size_t v = 1; v < values; v++) found += stats[v].voxels;
    for (int i = 0; i < d->model->label_count; i++) {
        const int64_t voxels = stats[d->value_of[i]].voxels;
        split |= d->model->labels[i].split && voxels + stats[d->value_of[i] + 1].voxels > 0;
    }
    if (found == 0)
        add(r, 0, FAB_FINDING_NOTHING_FOUND, "No structure was found: wrong body part, modality "
            "or units?");
    if (split && !d->midline.from_spine)
        add(r, 0, FAB_FINDING_SIDE_FALLBACK, "No spine was found: left and right were split at "
            "the middle of the body.");
    about_spine(d, r);
    for (size_t i = 0; i < r->set.count; i++)
        about_label(r, i, &stats[r->set.items[i].value]);
    about_fragments(d, r);
    about_places(d, r);
    join_notes(r);
    r->checked = true;
    return FAB_OK;
}
