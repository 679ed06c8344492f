/* validate_plot.c - two drawings of a dossier as SVG: every case's Dice by structure, and how often
 * the network is right when it is sure. */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Dice of every case ------------------------------------------------------------------- */

enum { STRIP_LEFT = 210, STRIP_WIDTH = 760, STRIP_ROW = 22, STRIP_RIGHT = 230, STRIP_TOP = 26 };

static double strip_x(double dice) { return STRIP_LEFT + STRIP_WIDTH * dice; }

static void strip_axis(fab_html *h, int height)
{
    for (int i = 0; i <= 10; i += 2) {
        double x = strip_x(i / 10.0);
        fab_html_printf(h, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                           "<text x=\"%.1f\" y=\"14\" text-anchor=\"middle\">%.1f</text>\n",
                        x, x, STRIP_TOP - 4, height - 6, x, i / 10.0);
    }
}

static void strip_dots(fab_html *h, const fab_json *cases, const char *name, double y)
{
    for (size_t c = 0; c < fab_json_count(cases); c++) {
        const fab_json *rows = fab_json_find(fab_json_at(cases, c), "structures");
        for (size_t i = 0; i < fab_json_count(rows); i++) {
            const fab_json *row = fab_json_at(rows, i);
            double dice = fab_real_of(row, "dice");
            if (isnan(dice) || strcmp(fab_text_of(row, "name"), name) != 0) continue;
            fab_html_printf(h, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>",
                            strip_x(dice), y);
            fab_html_text(h, fab_text_of(fab_json_at(cases, c), "name"));
            fab_html_printf(h, ": %.3f</title></circle>", dice);
        }
    }
}

static void strip(fab_html *h, const fab_json *cases, const fab_json *s, double y)
{
    const fab_json *d = fab_json_find(s, "dice");
    double q1 = strip_x(fab_real_of(d, "q1")), q3 = strip_x(fab_real_of(d, "q3"));
    double median = strip_x(fab_real_of(d, "median")), worst = strip_x(fab_real_of(d, "worst"));
    fab_html_printf(h, "<text class=\"name\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
                    STRIP_LEFT - 12, y + 4);
    fab_html_text(h, fab_text_of(s, "display"));
    fab_html_printf(h, "</text><line class=\"iqr\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                       "y2=\"%.1f\"/>", q1, q3, y, y);
    strip_dots(h, cases, fab_text_of(s, "name"), y);
    fab_html_printf(h, "<line class=\"median\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                       "<circle class=\"worst\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>"
                       "<text x=\"%d\" y=\"%.1f\">%.2f ", median, median, y - 8, y + 8, worst, y,
                    STRIP_LEFT + STRIP_WIDTH + 16, y + 4, fab_real_of(d, "worst"));
    char name[32];
    snprintf(name, sizeof name, "%.28s", fab_text_of(d, "worst_case"));
    fab_html_text(h, name);
    fab_html_raw(h, "</text>\n");
}

void fab_val_strips(fab_html *h, const fab_json *dossier)
{
    const fab_json *rows = fab_json_find(dossier, "structures");
    const fab_json *cases = fab_json_find(dossier, "cases");
    int count = 0;
    for (size_t i = 0; i < fab_json_count(rows); i++)
        count += fab_real_of(fab_json_at(rows, i), "evaluated") > 0;
    if (!count) return;
    int height = STRIP_TOP + count * STRIP_ROW + 8;
    fab_html_printf(h, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" "
                       "aria-label=\"Dice of every case by structure\">\n",
                    STRIP_LEFT + STRIP_WIDTH + STRIP_RIGHT, height);
    strip_axis(h, height);
    fab_html_printf(h, "<text x=\"%d\" y=\"14\">worst case</text>",
                    STRIP_LEFT + STRIP_WIDTH + 16);
    for (size_t i = 0, n = 0; i < fab_json_count(rows); i++) {
        if (!(fab_real_of(fab_json_at(rows, i), "evaluated") > 0)) continue;
        strip(h, cases, fab_json_at(rows, i), STRIP_TOP + STRIP_ROW * ((double)n++ + 0.5));
    }
    fab_html_raw(h, "</svg>\n");
}

/* ---- reliability -------------------------------------------------------------------------- */

enum { PLOT_LEFT = 50, PLOT_TOP = 14, PLOT_EDGE = 400, PLOT_WIDTH = 480, PLOT_HEIGHT = 466 };

static double plot_x(double v) { return PLOT_LEFT + PLOT_EDGE * v; }
static double plot_y(double v) { return PLOT_TOP + PLOT_EDGE * (1 - v); }

static void plot_axes(fab_html *h)
{
    for (int i = 0; i <= 10; i += 2) {
        double v = i / 10.0;
        fab_html_printf(h, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                           "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                           "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f</text>"
                           "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.1f</text>\n",
                        plot_x(0), plot_x(1), plot_y(v), plot_y(v), plot_x(v), plot_x(v),
                        plot_y(0), plot_y(1), plot_x(v), plot_y(0) + 18, v, PLOT_LEFT - 8,
                        plot_y(v) + 4, v);
    }
    fab_html_printf(h, "<line class=\"diagonal\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                       "y2=\"%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">"
                       "confidence the network tells</text><text transform=\"translate(14 %.1f) "
                       "rotate(-90)\" text-anchor=\"middle\">Dice</text>\n",
                    plot_x(0), plot_y(0), plot_x(1), plot_y(1), plot_x(0.5), plot_y(0) + 40,
                    plot_y(0.5));
}

static void plot_pairs(fab_html *h, const fab_json *cases)
{
    for (size_t c = 0; c < fab_json_count(cases); c++) {
        const fab_json *rows = fab_json_find(fab_json_at(cases, c), "structures");
        for (size_t i = 0; i < fab_json_count(rows); i++) {
            const fab_json *row = fab_json_at(rows, i);
            double told = fab_real_of(row, "confidence"), dice = fab_real_of(row, "dice");
            bool wrong = strcmp(fab_text_of(row, "state"), "false-positive") == 0;
            if (wrong) dice = 0;
            if (isnan(told) || isnan(dice)) continue;
            fab_html_printf(h, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>",
                            wrong ? "worst" : "dot", plot_x(told), plot_y(dice));
            fab_html_text(h, fab_text_of(row, "name"));
            fab_html_raw(h, ", ");
            fab_html_text(h, fab_text_of(fab_json_at(cases, c), "name"));
            fab_html_raw(h, "</title></circle>");
        }
    }
}

void fab_val_reliability(fab_html *h, const fab_json *dossier)
{
    const fab_json *confidence = fab_json_find(dossier, "confidence");
    const fab_json *bins = fab_json_find(confidence, "bins");
    fab_html_printf(h, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" "
                       "aria-label=\"Dice against confidence\">\n", PLOT_WIDTH, PLOT_HEIGHT);
    plot_axes(h);
    plot_pairs(h, fab_json_find(dossier, "cases"));
    fab_html_raw(h, "<polyline class=\"line\" points=\"");
    for (size_t i = 0; i < fab_json_count(bins); i++)
        fab_html_printf(h, "%.1f,%.1f ", plot_x(fab_real_of(fab_json_at(bins, i), "confidence")),
                        plot_y(fab_real_of(fab_json_at(bins, i), "dice")));
    fab_html_raw(h, "\"/></svg>\n");
}
