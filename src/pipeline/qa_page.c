/* qa_page.c - the part of report.html that says where to look first: what the scan looks like, the
 * findings with the worst first and the image they are on, and the least certain structures. Made
 * from the manifest alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pipeline_internal.h"
#include "qa_page.h"

enum { SHOWN = 24, LEAST_CERTAIN = 5 };

static bool is(const fab_json *finding, const char *severity)
{
    return strcmp(fab_text_of(finding, "severity"), severity) == 0;
}

static bool true_of(const fab_json *o, const char *key)
{
    bool value = false;
    return fab_json_get_bool(o, key, &value, NULL) == FAB_OK && value;
}

static const char *display(const char *name)
{
    const fab_anatomy *a = fab_anatomy_find(name);
    return a ? a->display : name;
}

/* ---- banner ------------------------------------------------------------------------------- */

void fab_page_banner(fab_html *h, const fab_json *m)
{
    const fab_json *q = fab_json_find(m, "quality"), *scan = fab_json_find(q, "scan");
    const fab_json *findings = fab_json_find(q, "findings");
    if (!fab_json_is_object(q) || true_of(q, "trusted")) return;
    fab_html_raw(h, "<div class=\"alarm\"><b>Do not trust this twin.</b> ");
    for (size_t i = 0; i < fab_json_count(findings); i++) {
        const fab_json *f = fab_json_at(findings, i);
        if (!is(f, "error") || fab_json_count(fab_json_find(f, "structures"))) continue;
        fab_html_text(h, "The scan ");
        fab_html_text(h, fab_text_of(f, "text"));
        fab_html_text(h, ". ");
        break;
    }
    fab_html_text(h, fab_text_of(scan, "reasons"));
    fab_html_raw(h, "</div>\n");
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Number from 1 of the grid's third axis nearest to the middle of the box; 0 without a place. */
static int image_number(const fab_json *m, const fab_json *finding, int *of)
{
    const fab_json *grid = fab_json_find(fab_json_find(m, "geometry"), "grid");
    const fab_json *matrix = fab_json_find(grid, "world_from_voxel");
    const fab_json *box = fab_json_find(finding, "box_mm");
    double along = 0, square = 0;
    if (fab_json_count(box) != 6) return 0;
    for (size_t a = 0; a < 3; a++) {
        const fab_json *row = fab_json_at(matrix, a);
        const double step = fab_json_number(fab_json_at(row, 2));
        const double middle = (fab_json_number(fab_json_at(box, a)) +
                               fab_json_number(fab_json_at(box, a + 3))) / 2;
        along += (middle - fab_json_number(fab_json_at(row, 3))) * step;
        square += step * step;
    }
    *of = (int)fab_json_number(fab_json_at(fab_json_find(grid, "size"), 2));
    const int k = square > 0 ? (int)lround(along / square) + 1 : 0;
    return k < 1 ? 1 : k > *of ? *of : k;
}

static void finding_row(fab_html *h, const fab_json *m, const fab_json *f)
{
    const fab_json *names = fab_json_find(f, "structures");
    int of = 0;
    const int image = image_number(m, f, &of);
    const char *class = is(f, "error") ? "error" : "warning";
    fab_html_printf(h, "<tr><td class=\"flag\"><span class=\"chip %s\">", class);
    fab_html_text(h, is(f, "error") ? "error" : "check");
    fab_html_raw(h, "</span></td><td class=\"about\">");
    if (!fab_json_count(names)) fab_html_text(h, "The whole scan");
    else fab_html_text(h, display(fab_json_text(fab_json_at(names, 0))));
    fab_html_raw(h, "</td><td>");
    fab_html_text(h, fab_text_of(f, "text"));
    fab_html_raw(h, "</td><td class=\"n soft\">");
    if (image) fab_html_printf(h, "image %d of %d", image, of);
    fab_html_raw(h, "</td></tr>\n");
}

/* "not-trusted" stands at every structure; the banner says it once. */
static bool worth_a_row(const fab_json *f)
{
    return !is(f, "info") && strcmp(fab_text_of(f, "code"), "not-trusted") != 0;
}

static const fab_json *structure_named(const fab_json *m, const char *name)
{
    const fab_json *rows = fab_json_find(m, "structures");
    for (size_t i = 0; i < fab_json_count(rows); i++)
        if (strcmp(fab_text_of(fab_json_at(rows, i), "name"), name) == 0)
            return fab_json_at(rows, i);
    return NULL;
}

/* The least certain of the review's order, by their own numbers. */
static void least_certain(fab_html *h, const fab_json *m, const fab_json *q)
{
    const fab_json *review = fab_json_find(q, "review");
    int shown = 0;
    for (size_t i = 0; i < fab_json_count(review) && shown < LEAST_CERTAIN; i++) {
        const char *name = fab_json_text(fab_json_at(review, i));
        const fab_json *row = name ? structure_named(m, name) : NULL;
        const fab_json *dice = fab_json_find(row, "expected_dice");
        const bool calibrated = fab_json_is_number(dice);
        const fab_json *value = calibrated ? dice : fab_json_find(row, "confidence");
        if (!fab_json_is_number(value) || fab_json_number(value) >= 0.8) continue;
        fab_html_raw(h, shown++ ? ", " : "<p class=\"soft\">Least certain: ");
        fab_html_text(h, display(name));
        fab_html_printf(h, " (%s %.2f)", calibrated ? "expected Dice" : "mean probability",
                        fab_json_number(value));
    }
    if (shown) fab_html_raw(h, ".</p>\n");
}

void fab_page_review(fab_html *h, const fab_json *m)
{
    const fab_json *q = fab_json_find(m, "quality"), *findings = fab_json_find(q, "findings");
    int shown = 0, more = 0;
    if (!fab_json_is_object(q)) return;
    fab_html_raw(h, "<h2>Look at these first<small>worst first</small></h2><div class=\"panel\">"
                    "<table class=\"review\"><tbody>\n");
    for (size_t i = 0; i < fab_json_count(findings); i++) {
        const fab_json *f = fab_json_at(findings, i);
        if (!worth_a_row(f)) continue;
        if (shown == SHOWN) {
            more++;
            continue;
        }
        finding_row(h, m, f);
        shown++;
    }
    if (!shown)
        fab_html_raw(h, "<tr><td>No check raised a doubt. That is no proof that the structures "
                        "are right: look at the slices above.</td></tr>\n");
    if (more)
        fab_html_printf(h, "<tr><td></td><td></td><td>and %d more, in the table below</td><td>"
                           "</td></tr>\n", more);
    fab_html_raw(h, "</tbody></table></div>\n");
    least_certain(h, m, q);
}
