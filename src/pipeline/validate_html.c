/* validate_html.c - dossier.html: the dossier for people, made from its JSON and the pictures
 * alone; no scripts, no fonts, no links. What differs from run to run stands between
 * "<!-- run -->" and "<!-- /run -->". */
#include "validate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const style_lines[] = {
#include "report_css.inc"
#include "dossier_css.inc"
};

static bool true_of(const fab_json *o, const char *key)
{
    return fab_json_is_true(fab_json_find(o, key));
}

static bool is(const fab_json *o, const char *key, const char *text)
{
    return strcmp(fab_text_of(o, key), text) == 0;
}

/* ---- head --------------------------------------------------------------------------------- */

static void who(fab_html *h, const fab_json *d)
{
    const fab_json *model = fab_json_find(d, "model"), *data = fab_json_find(d, "dataset");
    char text[120];
    fab_html_raw(h, "<div class=\"who\"><h1><small>Agreement with the labels of a data set"
                    "</small>");
    fab_html_text(h, fab_text_of(model, fab_text_of(model, "name")[0] ? "name" : "source"));
    fab_html_raw(h, " ");
    fab_html_text(h, fab_text_of(model, "version"));
    fab_html_raw(h, " on ");
    fab_html_text(h, fab_text_of(data, "name"));
    fab_html_raw(h, "</h1>");
    fab_html_box(h, "Layout", fab_text_of(data, "layout"));
    fab_html_box(h, "Licence of the data", fab_text_of(data, "license"));
    snprintf(text, sizeof text, "%g mm",
             fab_real_of(fab_json_find(d, "settings"), "nsd_tolerance_mm"));
    fab_html_box(h, "Tolerance of NSD", text);
    fab_html_raw(h, "<!-- run -->");
    snprintf(text, sizeof text, "%.10s", fab_text_of(fab_json_find(d, "run"), "finished"));
    fab_html_box(h, "Date", text);
    fab_html_raw(h, "<!-- /run --></div>\n<div class=\"warnbox\"><b>");
    fab_html_text(h, fab_text_of(d, "notice"));
    fab_html_raw(h, "</b> What is measured here is agreement with the labels given, on these cases "
                    "and no others.</div>\n");
}

static void card(fab_html *h, const char *class, const char *caption, const char *format, ...)
    FAB_PRINTF(4, 5);
static void card(fab_html *h, const char *class, const char *caption, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fab_html_printf(h, "<div class=\"card\"><b class=\"%s\">", class);
    fab_html_text(h, text);
    fab_html_raw(h, "</b>");
    fab_html_element(h, "span", caption);
    fab_html_raw(h, "</div>\n");
}

static void cards(fab_html *h, const fab_json *d)
{
    const fab_json *t = fab_json_find(d, "totals"), *rows = fab_json_find(d, "structures");
    const fab_json *worst = fab_json_at(fab_json_find(d, "worst"), 0);
    const fab_json *levels = fab_json_find(d, "levels");
    size_t tested = 0;
    double missed = 0, failed = fab_real_of(t, "failed");
    char text[300];
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        tested += fab_real_of(fab_json_at(rows, i), "evaluated") > 0;
        missed += fab_real_of(fab_json_at(rows, i), "missed");
    }
    fab_html_raw(h, "<div class=\"cards\">\n");
    snprintf(text, sizeof text, "cases evaluated; %.0f failed, %.0f without truth", failed,
             fab_real_of(t, "without_truth"));
    card(h, failed > 0 ? "warn" : "", text, "%.0f of %.0f", fab_real_of(t, "evaluated"),
         fab_real_of(t, "cases"));
    card(h, "", "structures with a truth", "%zu of %zu", tested, fab_json_count(rows));
    snprintf(text, sizeof text, "lowest Dice: %.60s, %.60s", fab_text_of(worst, "name"),
             fab_text_of(worst, "case"));
    if (worst) card(h, "warn", text, "%.3f", fab_real_of(worst, "dice"));
    else card(h, "", "lowest Dice", "-");
    card(h, missed > 0 ? "warn" : "good", "missed altogether / found where there is none",
         "%.0f / %.0f", missed, fab_real_of(t, "false_positives"));
    if (levels)
        card(h, "", "vertebrae with the right name", "%.0f of %.0f", fab_real_of(levels, "right"),
             fab_real_of(levels, "vertebrae"));
    else card(h, "", "names of vertebrae", "not tested");
    fab_html_raw(h, "</div>\n");
}

/* ---- by structure ------------------------------------------------------------------------- */

static void number_cell(fab_html *h, double value, int decimals)
{
    if (isnan(value)) fab_html_raw(h, "<td class=\"n soft\">&ndash;</td>");
    else fab_html_printf(h, "<td class=\"n\">%.*f</td>", decimals, value);
}

/* median (quartiles) | worst, and its case */
static void distribution_cells(fab_html *h, const fab_json *row, const char *key, int decimals)
{
    const fab_json *d = fab_json_find(row, key);
    double median = fab_real_of(d, "median");
    if (isnan(median)) {
        fab_html_raw(h, "<td class=\"n soft\">&ndash;</td><td></td>");
        return;
    }
    fab_html_printf(h, "<td class=\"n\">%.*f", decimals, median);
    if (fab_real_of(d, "cases") > 1)
        fab_html_printf(h, " <span class=\"soft\">(%.*f%s%.*f)</span>", decimals,
                        fab_real_of(d, "q1"),
                        fab_real_of(d, "q1") < 0 ? " to " : "&ndash;", decimals,
                        fab_real_of(d, "q3"));
    fab_html_printf(h, "</td><td class=\"case\"><b class=\"bad\">%.*f</b> <span title=\"",
                    decimals, fab_real_of(d, "worst"));
    fab_html_text(h, fab_text_of(d, "worst_case"));
    fab_html_raw(h, "\">");
    fab_html_text(h, fab_text_of(d, "worst_case"));
    fab_html_raw(h, "</span></td>");
}

typedef struct column {
    const char *key, *title;
    int decimals;
} column;

enum { TABLE_COLUMNS = 4 };

static void structure_row(fab_html *h, const fab_json *row, const column *columns, bool overlap)
{
    double cut = fab_real_of(row, "cut_by_edge"), wrong = fab_real_of(row, "false_positives");
    if (!(fab_real_of(row, "evaluated") > 0) && !(overlap && wrong > 0)) return;
    fab_html_raw(h, "<tr>");
    fab_html_element(h, "td", fab_text_of(row, "display"));
    fab_html_printf(h, "<td class=\"n\">%.0f", fab_real_of(row, "evaluated"));
    if (cut > 0) fab_html_printf(h, " <span class=\"soft\">(%.0f cut)</span>", cut);
    fab_html_raw(h, "</td>");
    if (overlap) fab_html_printf(h, "<td class=\"n\">%.0f</td>", fab_real_of(row, "missed"));
    for (int i = 0; i < TABLE_COLUMNS && columns[i].key; i++)
        distribution_cells(h, row, columns[i].key, columns[i].decimals);
    if (overlap && wrong > 0)
        fab_html_printf(h, "<td class=\"n\"><b class=\"bad\">%.0f</b> &middot; %.1f ml</td>", wrong,
                        fab_real_of(row, "false_positive_ml"));
    else if (overlap) fab_html_raw(h, "<td class=\"n soft\">0</td>");
    fab_html_raw(h, "</tr>\n");
}

static void structure_table(fab_html *h, const fab_json *rows, const column *columns, bool overlap)
{
    fab_html_printf(h, "<div class=\"panel\"><table class=\"dense\"><thead><tr><th>Structure</th>"
                       "<th class=\"n\">Cases</th>%s",
                    overlap ? "<th class=\"n\">Missed</th>" : "");
    for (int i = 0; i < TABLE_COLUMNS && columns[i].key; i++)
        fab_html_printf(h, "<th class=\"n\">%s</th><th>worst</th>", columns[i].title);
    fab_html_printf(h, "%s</tr></thead><tbody>\n",
                    overlap ? "<th class=\"n\">False positive</th>" : "");
    for (size_t i = 0; i < fab_json_count(rows); i++)
        structure_row(h, fab_json_at(rows, i), columns, overlap);
    fab_html_raw(h, "</tbody></table></div>\n");
}

static void structures(fab_html *h, const fab_json *d)
{
    const fab_json *rows = fab_json_find(d, "structures");
    char nsd[32];
    snprintf(nsd, sizeof nsd, "NSD %g mm",
             fab_real_of(fab_json_find(d, "settings"), "nsd_tolerance_mm"));
    const column overlap[TABLE_COLUMNS] = {
        {"dice", "Dice", 3}, {"nsd", nsd, 3}, {"nsd_voxel", "NSD 1 voxel", 3}};
    const column distance[TABLE_COLUMNS] = {
        {"hd95_mm", "HD95 mm", 1}, {"assd_mm", "ASSD mm", 2},
        {"volume_difference_percent", "Volume %", 1}, {"volume_difference_ml", "Volume ml", 1}};
    fab_html_raw(h, "<h2>Every case by structure<small>Dice; a dot is a case, the bar the middle "
                    "half, the stroke the median</small></h2><div class=\"panel pad\">\n");
    fab_val_strips(h, d);
    fab_html_raw(h, "</div>\n<h2>Overlap<small>median (quartiles) and, beside it, the worst "
                    "case</small></h2>");
    structure_table(h, rows, overlap, true);
    fab_html_raw(h, "<h2>Distance and volume<small>median (quartiles) and, beside it, the worst "
                    "case</small></h2>");
    structure_table(h, rows, distance, false);
    fab_html_raw(h, "<p class=\"soft\">Cut: the truth ends at the scan's "
                    "edge. Missed: in the truth, nothing predicted; such a case has Dice 0 and no "
                    "distance. False positive: predicted where the truth says there is none; the "
                    "cases and their volume. NSD: share of both surfaces within the tolerance of "
                    "the other (surface Dice); 1 voxel is the largest spacing of a case.</p>\n");
}

/* ---- pictures ----------------------------------------------------------------------------- */

static void shot(fab_html *h, const fab_validation *v, const fab_json *row)
{
    char alt[300];
    size_t picture = (size_t)fab_real_of(row, "picture");
    const fab_json *at = fab_json_find(row, "shown_at_mm");
    fab_html_raw(h, "<div class=\"shot\"><p><b>");
    fab_html_text(h, fab_text_of(row, "name"));
    fab_html_raw(h, "</b>");
    fab_html_text(h, fab_text_of(row, "case"));
    fab_html_printf(h, " &middot; Dice %.3f", fab_real_of(row, "dice"));
    if (!isnan(fab_real_of(row, "hd95_mm")))
        fab_html_printf(h, " &middot; HD95 %.1f mm &middot; volume %+.1f %%",
                        fab_real_of(row, "hd95_mm"), fab_real_of(row, "volume_difference_percent"));
    else fab_html_raw(h, " &middot; missed");
    fab_html_printf(h, " &middot; through L %.0f, P %.0f, S %.0f mm<span class=\"key t\"></span>"
                       "truth<span class=\"key p\"></span>prediction</p><figure>",
                    fab_json_number(fab_json_at(at, 0)), fab_json_number(fab_json_at(at, 1)),
                    fab_json_number(fab_json_at(at, 2)));
    snprintf(alt, sizeof alt, "%.90s in %.120s: axial, coronal, sagittal", fab_text_of(row, "name"),
             fab_text_of(row, "case"));
    if (picture < v->picture_count) fab_html_image(h, &v->pictures[picture].image, alt);
    fab_html_raw(h, "</figure></div>\n");
}

static void pictures(fab_html *h, const fab_validation *v, const fab_json *d)
{
    enum { FIRST = 6 };
    const fab_json *rows = fab_json_find(d, "worst");
    size_t count = fab_json_count(rows);
    if (!count) return;
    fab_html_raw(h, "<h2>The worst<small>three planes through the place where truth and prediction "
                    "differ most</small></h2><div class=\"gallery\">\n");
    for (size_t i = 0; i < count && i < FIRST; i++) shot(h, v, fab_json_at(rows, i));
    fab_html_raw(h, "</div>\n");
    if (count <= FIRST) return;
    fab_html_printf(h, "<details class=\"panel\"><summary>The worst case of each other structure"
                       "<small>%zu %s</small></summary><div class=\"gallery\">\n",
                    count - FIRST, fab_plural((int64_t)(count - FIRST), "picture", "pictures"));
    for (size_t i = FIRST; i < count; i++) shot(h, v, fab_json_at(rows, i));
    fab_html_raw(h, "</div></details>\n");
}

/* ---- levels ------------------------------------------------------------------------------- */

static void level_row(fab_html *h, const fab_json *c)
{
    const fab_json *l = fab_json_find(c, "levels");
    double shift = fab_real_of(l, "shift");
    if (!l) return;
    fab_html_raw(h, "<tr>");
    fab_html_element(h, "td", fab_text_of(c, "name"));
    fab_html_printf(h, "<td class=\"n\">%.0f of %.0f</td><td class=\"n\">%+.0f</td>"
                       "<td class=\"n\">%.0f</td><td class=\"n\">%.0f</td>"
                       "<td class=\"n\">%.0f</td>",
                    fab_real_of(l, "right"), fab_real_of(l, "vertebrae"), shift,
                    fab_real_of(l, "right_with_shift"), fab_real_of(l, "missed"),
                    fab_real_of(l, "identified"));
    number_cell(h, fab_real_of(l, "localisation_mm"), 1);
    fab_html_raw(h, "</tr>\n");
}

static void levels(fab_html *h, const fab_json *d)
{
    const fab_json *all = fab_json_find(d, "levels"), *cases = fab_json_find(d, "cases");
    if (!all) return;
    fab_html_printf(h, "<h2>Names of vertebrae<small>%.0f of %.0f right; identification rate %.1f "
                       "%%</small></h2><div class=\"panel\"><table class=\"dense\"><thead><tr>"
                       "<th>Case</th><th class=\"n\">Right</th><th class=\"n\">Common shift</th>"
                       "<th class=\"n\">Right but for it</th><th class=\"n\">Not found</th>"
                       "<th class=\"n\">Identified</th><th class=\"n\">Localisation mm</th></tr>"
                       "</thead><tbody>\n", fab_real_of(all, "right"),
                    fab_real_of(all, "vertebrae"),
                    100 * fab_real_of(all, "identification_rate"));
    for (size_t i = 0; i < fab_json_count(cases); i++) level_row(h, fab_json_at(cases, i));
    fab_html_raw(h, "</tbody></table></div>\n<p class=\"soft\">Right: most of the vertebra bears "
                    "its name. Common shift: the number of levels by which names fit best in the "
                    "whole case, + towards the feet. Identified and localisation as in VerSe "
                    "(Sekuboyina et al. 2021): the truth's centroid nearest to the predicted one "
                    "is that of the same name, and nearer than 20 mm; the mean distance of "
                    "centroids of the same name. Centroids of whole vertebrae.</p>\n");
}

/* ---- case by case ------------------------------------------------------------------------- */

static void case_row(fab_html *h, const fab_json *row)
{
    static const struct {
        const char *key;
        int decimals;
    } cells[] = {{"dice", 3}, {"nsd", 3}, {"nsd_voxel", 3}, {"hd95_mm", 1}, {"assd_mm", 2},
                 {"volume_reference_ml", 1}, {"volume_predicted_ml", 1},
                 {"volume_difference_percent", 1}, {"confidence", 2}};
    if (is(row, "state", "absent")) return;
    fab_html_raw(h, "<tr>");
    fab_html_element(h, "td", fab_text_of(row, "name"));
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        number_cell(h, fab_real_of(row, cells[i].key), cells[i].decimals);
    fab_html_raw(h, "<td>");
    if (is(row, "state", "false-positive"))
        fab_html_raw(h, "<span class=\"chip warning\">false positive</span> ");
    if (is(row, "state", "not-evaluated"))
        fab_html_raw(h, "<span class=\"chip info\">not evaluated</span> ");
    if (is(row, "state", "evaluated") && fab_real_of(row, "predicted_voxels") == 0)
        fab_html_raw(h, "<span class=\"chip warning\">missed</span> ");
    if (true_of(row, "cut_by_edge")) fab_html_raw(h, "<span class=\"chip info\">cut</span> ");
    fab_html_text(h, fab_text_of(row, "remark"));
    fab_html_raw(h, "</td></tr>\n");
}

static void one_case(fab_html *h, const fab_json *c)
{
    const fab_json *rows = fab_json_find(c, "structures");
    fab_html_raw(h, "<details class=\"panel\"><summary>");
    fab_html_text(h, fab_text_of(c, "name"));
    fab_html_raw(h, "<small>");
    if (is(c, "status", "ok"))
        fab_html_printf(h, "%zu %s", fab_json_count(rows),
                        fab_plural((int64_t)fab_json_count(rows), "structure", "structures"));
    else fab_html_text(h, is(c, "status", "failed") ? "failed" : "no truth");
    fab_html_raw(h, "</small></summary>");
    if (fab_text_of(c, "error")[0]) fab_html_element(h, "p class=\"pad\"", fab_text_of(c, "error"));
    if (fab_json_count(rows)) {
        fab_html_raw(h, "<table class=\"dense\"><thead><tr><th>Structure</th><th class=\"n\">Dice"
                        "</th><th class=\"n\">NSD</th><th class=\"n\">NSD 1 voxel</th>"
                        "<th class=\"n\">HD95 mm</th><th class=\"n\">ASSD mm</th>"
                        "<th class=\"n\">Truth ml</th><th class=\"n\">Predicted ml</th>"
                        "<th class=\"n\">Volume %</th><th class=\"n\">Confidence</th><th></th>"
                        "</tr></thead><tbody>\n");
        for (size_t i = 0; i < fab_json_count(rows); i++) case_row(h, fab_json_at(rows, i));
        fab_html_raw(h, "</tbody></table>");
    }
    fab_html_raw(h, "</details>\n");
}

/* ---- confidence, and what was not tested -------------------------------------------------- */

static void confidence(fab_html *h, const fab_json *d)
{
    const fab_json *c = fab_json_find(d, "confidence");
    double pairs = fab_real_of(c, "pairs");
    fab_html_printf(h, "<div><h2>Confidence and Dice<small>%.0f structures found</small></h2>"
                       "<div class=\"panel pad\">", pairs);
    if (pairs > 0) {
        fab_val_reliability(h, d);
        fab_html_raw(h, "<p class=\"soft\">A dot is a structure of a case; the line joins the "
                        "means of ten steps of confidence. Confidence is the network's mean "
                        "probability and Dice is not a probability: the dashed diagonal is a "
                        "guide. Structures found where the truth has none are at Dice 0.</p>");
    } else {
        fab_html_raw(h, "<p>The predictions come without a confidence.</p>");
    }
    fab_html_raw(h, "</div></div>\n");
}

static const char *reason_of(const fab_json *row)
{
    return fab_text_of(row, "reason");
}

/* One line a reason, with all that have it. */
static void reasons(fab_html *h, const char *title, const fab_json *list)
{
    if (!fab_json_count(list)) return;
    fab_html_element(h, "p", title);
    fab_html_raw(h, "<ul>");
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const char *reason = reason_of(fab_json_at(list, i));
        bool before = false;
        for (size_t j = 0; j < i && !before; j++)
            before = strcmp(reason_of(fab_json_at(list, j)), reason) == 0;
        if (before) continue;
        fab_html_raw(h, "<li>");
        fab_html_element(h, "span class=\"soft\"", reason);
        fab_html_raw(h, ": ");
        for (size_t j = i; j < fab_json_count(list); j++) {
            if (strcmp(reason_of(fab_json_at(list, j)), reason) != 0) continue;
            fab_html_raw(h, j > i ? ", " : "");
            fab_html_text(h, fab_text_of(fab_json_at(list, j), "name"));
        }
        fab_html_raw(h, "</li>");
    }
    fab_html_raw(h, "</ul>");
}

static void not_tested(fab_html *h, const fab_json *d)
{
    const fab_json *box = fab_json_find(d, "not_tested");
    fab_html_raw(h, "<div><h2>Not tested</h2><div class=\"panel pad\">");
    reasons(h, "Structures of the model that no case's truth could judge:",
            fab_json_find(box, "structures"));
    reasons(h, "Cases that were not evaluated:", fab_json_find(box, "cases"));
    const fab_json *only = fab_json_find(box, "only_in_truth");
    if (fab_json_count(only)) {
        fab_html_printf(h, "<p>In the truth, and not among what the model finds (%zu): ",
                        fab_json_count(only));
        for (size_t i = 0; i < fab_json_count(only); i++) {
            if (i) fab_html_raw(h, ", ");
            fab_html_text(h, fab_json_text(fab_json_at(only, i)));
        }
        fab_html_raw(h, ".</p>");
    }
    if (!fab_json_find(d, "levels"))
        fab_html_raw(h, "<p>Names of vertebrae: not both sides name them.</p>");
    fab_html_raw(h, "<p>Nor were: other scanners, protocols, ages and diseases than those of these "
                    "cases; how often the labels themselves are wrong; whether anything made with "
                    "the result helps a patient.</p></div></div>\n");
}

/* ---- cards -------------------------------------------------------------------------------- */

static void data_row(fab_html *h, const fab_json *c)
{
    const fab_json *data = fab_json_find(c, "data"), *grid = fab_json_find(data, "grid");
    const fab_json *size = fab_json_find(grid, "size"), *mm = fab_json_find(grid, "spacing_mm");
    const fab_json *truth = fab_json_find(data, "truth"), *s = fab_json_find(data, "scanner");
    if (!data) return;
    fab_html_raw(h, "<tr>");
    fab_html_element(h, "td", fab_text_of(c, "name"));
    fab_html_element(h, "td", fab_text_of(data, "modality"));
    fab_html_printf(h, "<td class=\"n\">%.0f &times; %.0f &times; %.0f</td><td class=\"n\">%.3g "
                       "&times; %.3g &times; %.3g</td><td>",
                    fab_json_number(fab_json_at(size, 0)), fab_json_number(fab_json_at(size, 1)),
                    fab_json_number(fab_json_at(size, 2)), fab_json_number(fab_json_at(mm, 0)),
                    fab_json_number(fab_json_at(mm, 1)), fab_json_number(fab_json_at(mm, 2)));
    fab_html_text(h, fab_text_of(grid, "orientation"));
    fab_html_raw(h, "</td><td>");
    fab_html_text(h, fab_text_of(s, "manufacturer"));
    fab_html_raw(h, fab_text_of(s, "kernel")[0] ? ", kernel " : "");
    fab_html_text(h, fab_text_of(s, "kernel"));
    fab_html_printf(h, "</td><td class=\"hash\">%.16s&hellip;</td><td class=\"hash\">%.16s&hellip;",
                    fab_text_of(data, "image_sha256"),
                    fab_text_of(fab_json_at(truth, 0), "sha256"));
    if (fab_json_count(truth) > 1)
        fab_html_printf(h, " and %zu more", fab_json_count(truth) - 1);
    fab_html_raw(h, "</td></tr>\n");
}

static void data_card(fab_html *h, const fab_json *d)
{
    const fab_json *data = fab_json_find(d, "dataset"), *cases = fab_json_find(d, "cases");
    fab_html_raw(h, "<h2>Data card</h2><div class=\"panel\"><dl class=\"pad\">");
    fab_html_fact(h, "Name", fab_text_of(data, "name"));
    fab_html_fact(h, "Layout", fab_text_of(data, "layout"));
    fab_html_fact(h, "Licence", fab_text_of(data, "license")[0] ? fab_text_of(data, "license")
                                                            : "not told by the data set");
    fab_html_fact(h, "Notes", fab_text_of(data, "notes"));
    fab_html_raw(h, "</dl><table class=\"dense\"><thead><tr><th>Case</th><th>Modality</th>"
                    "<th class=\"n\">Voxels</th><th class=\"n\">Spacing mm</th><th>Axes</th>"
                    "<th>Scanner</th><th>Image SHA-256</th><th>Truth SHA-256</th></tr></thead>"
                    "<tbody>\n");
    for (size_t i = 0; i < fab_json_count(cases); i++) data_row(h, fab_json_at(cases, i));
    fab_html_raw(h, "</tbody></table></div>\n<p class=\"soft\">Whole hashes of every file are in "
                    "dossier.json.</p>\n");
}

static void model_card(fab_html *h, const fab_json *d)
{
    const fab_json *m = fab_json_find(d, "model"), *card = fab_json_find(m, "card");
    const fab_json *training = fab_json_find(card, "training");
    const fab_json *sources = fab_json_find(training, "sources");
    char name[200];
    fab_html_raw(h, "<div><h2>Model card</h2><div class=\"panel pad\"><dl>");
    snprintf(name, sizeof name, "%.90s %.90s", fab_text_of(m, "name"), fab_text_of(m, "version"));
    fab_html_fact(h, "Predictions", fab_text_of(m, "source"));
    if (fab_text_of(m, "name")[0]) fab_html_fact(h, "Model", name);
    fab_html_fact(h, "Modality", fab_text_of(m, "modality"));
    fab_html_fact(h, "Licence", fab_text_of(m, "license"));
    fab_html_fact(h, "Architecture", fab_text_of(fab_json_find(card, "architecture"), "type"));
    fab_html_fact(h, "Trained with", fab_text_of(training, "program"));
    fab_html_raw(h, "</dl>");
    if (fab_json_count(sources)) {
        fab_html_raw(h, "<p>Trained on:</p><ul>");
        for (size_t i = 0; i < fab_json_count(sources); i++) {
            fab_html_raw(h, "<li>");
            fab_html_text(h, fab_text_of(fab_json_at(sources, i), "what"));
            fab_html_raw(h, " (");
            fab_html_text(h, fab_text_of(fab_json_at(sources, i), "license"));
            fab_html_raw(h, ")</li>");
        }
        fab_html_raw(h, "</ul>");
    }
    fab_html_raw(h, "<p class=\"soft\">Weights, SHA-256:</p><p class=\"hash\">");
    const char *weights = fab_text_of(m, "weights_sha256");
    fab_html_text(h, weights[0] ? weights : "none");
    fab_html_raw(h, "</p></div></div>\n");
}

static void software(fab_html *h, const fab_json *d)
{
    const fab_json *s = fab_json_find(d, "software"), *run = fab_json_find(d, "run");
    const fab_json *cases = fab_json_find(run, "cases");
    double cpu = 0, most = 0, peak = 0;
    char text[160];
    for (size_t i = 0; i < fab_json_count(cases); i++) {
        double one = fab_real_of(fab_json_at(cases, i), "cpu_s");
        cpu += one;
        most = fmax(most, one);
        peak = fmax(peak, fab_real_of(fab_json_at(cases, i), "peak_rss_bytes"));
    }
    fab_html_raw(h, "<div><h2>Software</h2><div class=\"panel pad\"><dl>");
    snprintf(text, sizeof text, "fabrica %.60s", fab_text_of(s, "version"));
    fab_html_fact(h, "Program", text);
    fab_html_fact(h, "Commit", fab_text_of(s, "commit"));
    fab_html_fact(h, "Instruction set", fab_text_of(s, "kernels"));
    fab_html_fact(h, "Arithmetic", fab_text_of(s, "precision"));
    fab_html_raw(h, "\n<!-- run -->");
    fab_html_fact(h, "Finished", fab_text_of(run, "finished"));
    snprintf(text, sizeof text, "%.0f", fab_real_of(run, "threads"));
    fab_html_fact(h, "Threads", text);
    snprintf(text, sizeof text, "%.*f s of CPU, at most %.*f s a case; at most %.0f MB", cpu < 100,
             cpu, most < 100, most, peak / 1e6);
    if (fab_json_count(cases)) fab_html_fact(h, "Segmenting", text);
    fab_html_raw(h, "<!-- /run -->\n</dl><p class=\"soft\">Program, SHA-256:</p>"
                    "<p class=\"hash\">");
    fab_html_text(h, fab_text_of(s, "binary_sha256"));
    fab_html_raw(h, "</p></div></div>\n");
}

fab_status fab_val_page(const fab_validation *v, const char *path, fab_error *err)
{
    fab_html h = {.err = err};
    const fab_json *d = v->dossier, *cases = fab_json_find(d, "cases");
    fab_html_begin(&h, "Validation dossier", "Not for diagnosis", style_lines,
                   sizeof style_lines / sizeof *style_lines);
    who(&h, d);
    cards(&h, d);
    structures(&h, d);
    levels(&h, d);
    pictures(&h, v, d);
    fab_html_raw(&h, "<div class=\"two\">");
    confidence(&h, d);
    not_tested(&h, d);
    fab_html_raw(&h, "</div>\n<h2>Case by case</h2>\n");
    for (size_t i = 0; i < fab_json_count(cases); i++) one_case(&h, fab_json_at(cases, i));
    data_card(&h, d);
    fab_html_raw(&h, "<div class=\"two\">");
    model_card(&h, d);
    software(&h, d);
    fab_html_raw(&h, "</div>\n<footer>Made by ");
    fab_html_text(&h, FAB_GENERATOR);
    fab_html_raw(&h, " from dossier.json. ");
    fab_html_text(&h, fab_text_of(d, "notice"));
    fab_html_raw(&h, "</footer>\n</main></body></html>\n");
    if (h.status == FAB_OK) h.status = fab_file_write_atomic(path, h.buf.data, h.buf.size, err);
    fab_buf_free(&h.buf);
    return h.status;
}
