/* spine_report.c - the report's part on the spine: a drawing from the front and from the side, as
 * films are hung (patient's left on the viewer's right; front to the left), with the lines the
 * angles are read between, and a table a level. Made from the manifest alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html.h"
#include "pipeline_internal.h"

typedef struct view {
    fab_html *h;
    bool front;              /* else from the side */
    double scale, x0, z0;    /* x = (u - x0) * scale, y = (z0 - z) * scale */
    double width, height;
} view;

typedef struct dot { double x, y; } dot;

static double at(const fab_json *v, size_t i) { return fab_json_number(fab_json_at(v, i)); }

static const fab_json *rows_of(const fab_json *s) { return fab_json_find(s, "vertebrae"); }

static const fab_json *level_of(const fab_json *s, const char *name)
{
    const fab_json *rows = rows_of(s);
    for (size_t i = 0; i < fab_json_count(rows); i++)
        if (!strcmp(fab_text_of(fab_json_at(rows, i), "level"), name))
            return fab_json_at(rows, i);
    return NULL;
}

static bool measured(const fab_json *row) { return fab_json_find(row, "centre_mm") != NULL; }

static dot project(const view *w, const double p[3])
{
    return (dot){((w->front ? p[0] : p[1]) - w->x0) * w->scale, (w->z0 - p[2]) * w->scale};
}

static dot point(const view *w, const fab_json *v)
{
    return project(w, (double[3]){at(v, 0), at(v, 1), at(v, 2)});
}

/* Ends of an endplate: from its centre along what `axis` leaves in its plane. */
static void plate_ends(const view *w, const fab_json *plate, const fab_json *axis, double half,
                       dot ends[2])
{
    const fab_json *c = fab_json_find(plate, "centre_mm"), *n = fab_json_find(plate, "normal");
    double along = 0, d[3], size = 0, p[2][3];
    for (size_t i = 0; i < 3; i++) along += at(axis, i) * at(n, i);
    for (size_t i = 0; i < 3; i++) d[i] = at(axis, i) - along * at(n, i), size += d[i] * d[i];
    for (size_t i = 0; i < 3; i++) {
        double step = half * d[i] / sqrt(size);
        p[0][i] = at(c, i) - step, p[1][i] = at(c, i) + step;
    }
    ends[0] = project(w, p[0]), ends[1] = project(w, p[1]);
}

/* Corners of a body: the upper endplate's two ends, then the lower one's. */
static void corners(const view *w, const fab_json *row, dot c[4])
{
    const fab_json *axes = fab_json_find(row, "axes");
    const fab_json *axis = fab_json_find(axes, w->front ? "left" : "back");
    double half = 0.5 * fab_real_of(row, w->front ? "width_mm" : "depth_mm");
    plate_ends(w, fab_json_find(row, "endplate_upper"), axis, half, c);
    plate_ends(w, fab_json_find(row, "endplate_lower"), axis, half, c + 2);
}

/* ---- drawing ------------------------------------------------------------------------------ */

static void line(const view *w, dot a, dot b, const char *class)
{
    fab_html_printf(w->h, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                    class, a.x, a.y, b.x, b.y);
}

static void words(const view *w, dot p, const char *anchor, const char *class, const char *text)
{
    fab_html_printf(w->h, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", class,
                    anchor, p.x, p.y);
    fab_html_text(w->h, text);
    fab_html_raw(w->h, "</text>\n");
}

static void body(const view *w, const fab_json *row)
{
    dot c[4];
    corners(w, row, c);
    dot waist[2] = {{0.5 * (c[0].x + c[2].x), 0.5 * (c[0].y + c[2].y)},
                    {0.5 * (c[1].x + c[3].x), 0.5 * (c[1].y + c[3].y)}};
    dot mid = {0.5 * (waist[0].x + waist[1].x), 0.5 * (waist[0].y + waist[1].y)};
    for (int i = 0; i < 2; i++) { /* bodies are narrower at mid height */
        waist[i].x += 0.10 * (mid.x - waist[i].x);
        waist[i].y += 0.10 * (mid.y - waist[i].y);
    }
    fab_html_printf(w->h, "<path class=\"bone\" d=\"M%.1f %.1fL%.1f %.1fQ%.1f %.1f %.1f %.1fL%.1f "
                    "%.1fQ%.1f %.1f %.1f %.1fZ\"/>", c[0].x, c[0].y, c[1].x, c[1].y, waist[1].x,
                    waist[1].y, c[3].x, c[3].y, c[2].x, c[2].y, waist[0].x, waist[0].y, c[0].x,
                    c[0].y);
    words(w, (dot){mid.x, mid.y + 3.4}, "middle", "level", fab_text_of(row, "level"));
}

static void sacrum(const view *w, const fab_json *s)
{
    const fab_json *plate = fab_json_find(s, "sacral_endplate");
    const fab_json *low = NULL, *rows = rows_of(s);
    if (!fab_json_is_object(plate)) return;
    for (size_t i = 0; i < fab_json_count(rows); i++)
        if (measured(fab_json_at(rows, i))) low = fab_json_at(rows, i);
    const fab_json *axes = fab_json_find(low, "axes");
    double half = w->front ? 0.5 * fab_real_of(low, "width_mm")
                           : 0.5 * fab_real_of(s, "sacral_endplate_depth_mm");
    dot e[2];
    plate_ends(w, plate, fab_json_find(axes, w->front ? "left" : "back"), half, e);
    line(w, e[0], e[1], "sacral");
    double drop = w->front ? 13 : 16;
    words(w, (dot){0.5 * (e[0].x + e[1].x) + (w->front ? 0 : 8), fmax(e[0].y, e[1].y) + drop},
          "middle", "level", "S1");
}

/* The curve through the middles of the bodies. */
static void centreline(const view *w, const fab_json *s)
{
    const fab_json *rows = rows_of(s);
    const char *sep = "";
    fab_html_raw(w->h, "<polyline class=\"spine\" points=\"");
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i);
        if (!measured(row)) continue;
        dot p = point(w, fab_json_find(row, "centre_mm"));
        fab_html_printf(w->h, "%s%.1f,%.1f", sep, p.x, p.y);
        sep = " ";
    }
    fab_html_raw(w->h, "\"/>\n");
}

/* A line through an endplate from beyond its one end to x = `to` on the other side. */
static dot through(const view *w, const dot ends[2], double to, const char *class)
{
    bool right = to > 0.5 * (ends[0].x + ends[1].x);
    dot a = ends[right ? 0 : 1], b = ends[right ? 1 : 0];
    double slope = (b.y - a.y) / (fabs(b.x - a.x) < 1e-6 ? 1e-6 : b.x - a.x);
    dot end = {to, b.y + slope * (to - b.x)}, start = {a.x - 0.12 * (b.x - a.x),
                                                       a.y - 0.12 * (b.y - a.y)};
    line(w, start, end, class);
    return end;
}

/* Two endplates' lines out to `to`, joined there, and the angle beside. */
static void angle(const view *w, const dot upper[2], const dot lower[2], double to,
                  const char *class, const char *text, const char *small)
{
    dot a = through(w, upper, to, class), b = through(w, lower, to, class);
    bool right = to > 0.5 * (upper[0].x + upper[1].x);
    if (b.y - a.y > 8) line(w, a, b, class);
    double gap = right ? 6 : -6, y = 0.5 * (a.y + b.y);
    words(w, (dot){to + gap, y}, right ? "start" : "end", "angle", text);
    words(w, (dot){to + gap, y + 13}, right ? "start" : "end", "small", small);
}

static void ends_of(const view *w, const fab_json *row, bool upper, dot ends[2])
{
    dot c[4];
    corners(w, row, c);
    ends[0] = c[upper ? 0 : 2], ends[1] = c[upper ? 1 : 3];
}

static void cobb_lines(const view *w, const fab_json *s)
{
    const fab_json *curves = fab_json_find(s, "coronal_curves");
    for (size_t i = 0; i < fab_json_count(curves); i++) {
        const fab_json *c = fab_json_at(curves, i);
        const fab_json *a = level_of(s, fab_text_of(c, "upper_end_vertebra"));
        const fab_json *b = level_of(s, fab_text_of(c, "lower_end_vertebra"));
        bool left = !strcmp(fab_text_of(c, "convex_side"), "left");
        char text[48], small[48];
        dot upper[2], lower[2];
        if (!a || !b || !measured(a) || !measured(b)) continue;
        ends_of(w, a, true, upper);
        ends_of(w, b, false, lower);
        snprintf(text, sizeof text, "%.0f\xc2\xb0", fab_real_of(c, "cobb_deg"));
        snprintf(small, sizeof small, "%.6s\xe2\x80\x93%.6s", fab_text_of(a, "level"),
                 fab_text_of(b, "level"));
        /* on the concave side: the patient's left is the viewer's right */
        angle(w, upper, lower, left ? 52 : w->width - 52, i ? "minor" : "cobb", text, small);
    }
}

static void side_angle(const view *w, const fab_json *s, const char *key, const char *from,
                       const char *to, double x)
{
    const fab_json *a = level_of(s, from), *b = to ? level_of(s, to) : NULL;
    double deg = fab_real_of(fab_json_find(s, key), "deg");
    dot upper[2], lower[2];
    char text[48], small[48];
    if (isnan(deg) || !a || !measured(a)) return;
    ends_of(w, a, true, upper);
    if (b) ends_of(w, b, false, lower);
    else
        plate_ends(w, fab_json_find(s, "sacral_endplate"),
                   fab_json_find(fab_json_find(a, "axes"), "back"),
                   0.5 * fab_real_of(s, "sacral_endplate_depth_mm"), lower);
    snprintf(text, sizeof text, "%.0f\xc2\xb0", deg);
    snprintf(small, sizeof small, "%.6s\xe2\x80\x93%.6s", from, to ? to : "S1");
    angle(w, upper, lower, x, to ? "minor" : "cobb", text, small);
}

/* ---- a view ------------------------------------------------------------------------------- */

enum { TOP = 34, FOOT = 46, SIDE = 96 };

/* The box of all bodies in u (left or back) and z. */
static void extent(const fab_json *s, bool front, double low[2], double high[2])
{
    const fab_json *rows = rows_of(s);
    low[0] = low[1] = 1e9, high[0] = high[1] = -1e9;
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i), *c = fab_json_find(row, "centre_mm");
        if (!c) continue;
        double half = 0.6 * fab_real_of(row, front ? "width_mm" : "depth_mm");
        double u = at(c, front ? 0 : 1), z = at(c, 2), tall = 20;
        low[0] = fmin(low[0], u - half), high[0] = fmax(high[0], u + half);
        low[1] = fmin(low[1], z - tall), high[1] = fmax(high[1], z + tall);
    }
    const fab_json *plate = fab_json_find(fab_json_find(s, "sacral_endplate"), "centre_mm");
    if (!plate) return;
    low[1] = fmin(low[1], at(plate, 2) - 22);
    double u = at(plate, front ? 0 : 1);
    low[0] = fmin(low[0], u - 24), high[0] = fmax(high[0], u + 24);
}

static void frame_marks(const view *w, const fab_json *s)
{
    double y = w->height - 16;
    words(w, (dot){12, 22}, "start", "side", w->front ? "R" : "A");
    words(w, (dot){w->width - 12, 22}, "end", "side", w->front ? "L" : "P");
    line(w, (dot){12, y}, (dot){12 + 50 * w->scale, y}, "ruler");
    words(w, (dot){12, y - 6}, "start", "small", "50 mm");
    const fab_json *plate = fab_json_find(fab_json_find(s, "sacral_endplate"), "centre_mm");
    if (!plate || !w->front) return;
    dot p = point(w, plate);
    line(w, (dot){p.x, 30}, (dot){p.x, p.y}, "plumb");
}

static double width_of(const fab_json *s, bool front, double scale)
{
    double low[2], high[2];
    extent(s, front, low, high);
    return 2 * SIDE + scale * (high[0] - low[0]);
}

static void draw(fab_html *h, const fab_json *s, bool front, double scale)
{
    double low[2], high[2];
    extent(s, front, low, high);
    view w = {.h = h, .front = front, .scale = scale};
    w.width = width_of(s, front, scale);
    w.height = TOP + FOOT + scale * (high[1] - low[1]);
    w.x0 = low[0] - SIDE / scale, w.z0 = high[1] + TOP / scale;
    fab_html_printf(h, "<figure class=\"drawing\"><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                    "aria-label=\"%s\">\n", w.width, w.height,
                    front ? "Spine from the front with Cobb angles"
                          : "Spine from the side with lordosis and kyphosis");
    frame_marks(&w, s);
    const fab_json *rows = rows_of(s);
    for (size_t i = 0; i < fab_json_count(rows); i++)
        if (measured(fab_json_at(rows, i))) body(&w, fab_json_at(rows, i));
    sacrum(&w, s);
    centreline(&w, s);
    if (front) cobb_lines(&w, s);
    else {
        bool t4 = !isnan(fab_real_of(fab_json_find(s, "thoracic_kyphosis_T4_T12"), "deg"));
        side_angle(&w, s, t4 ? "thoracic_kyphosis_T4_T12" : "thoracic_kyphosis_T5_T12",
                   t4 ? "T4" : "T5", "T12", 52);
        side_angle(&w, s, "lumbar_lordosis_L1_S1", "L1", NULL, w.width - 52);
    }
    fab_html_raw(h, "</svg>");
    fab_html_element(h, "figcaption", front ? "Coronal plane, seen from the front"
                                            : "Sagittal plane, seen from the left");
    fab_html_raw(h, "</figure>\n");
}

static void drawings(fab_html *h, const fab_json *s)
{
    double low[2], high[2];
    extent(s, true, low, high);
    if (high[1] < low[1]) return; /* nothing was measured */
    double scale = fmin(1.9, fmax(1.05, 640 / (high[1] - low[1])));
    /* columns as wide as what they show: one scale for both */
    fab_html_printf(h, "<div class=\"spineviews\" style=\"grid-template-columns:%.0ffr %.0ffr\">\n",
                    width_of(s, true, scale), width_of(s, false, scale));
    draw(h, s, true, scale);
    draw(h, s, false, scale);
    fab_html_raw(h, "</div>\n");
}

/* ---- numbers ------------------------------------------------------------------------------ */

static void angle_row(fab_html *h, const fab_json *s, const char *key, const char *term)
{
    const fab_json *a = fab_json_find(s, key);
    double deg = fab_real_of(a, "deg");
    char text[FAB_MAX_NAME_BYTES + 80];
    if (isnan(deg)) snprintf(text, sizeof text, "not measured: %.150s", fab_text_of(a, "why"));
    else
        snprintf(text, sizeof text, "%.0f\xc2\xb0 \xc2\xb1 %.0f\xc2\xb0", deg,
                 fmax(1, fab_real_of(a, "sigma_deg")));
    fab_html_fact(h, term, text);
}

static void curve_row(fab_html *h, const fab_json *c)
{
    char term[64], text[240], open[80] = "", apex[64] = "";
    double turn = fab_real_of(c, "apical_rotation_deg");
    bool above = fab_json_is_true(fab_json_find(c, "may_continue_above"));
    bool below = fab_json_is_true(fab_json_find(c, "may_continue_below"));
    if (above || below)
        snprintf(open, sizeof open, "; may continue %s what was measured",
                 above && below ? "above and below" : above ? "above" : "below");
    if (!isnan(turn))
        snprintf(apex, sizeof apex, ", apex %.6s (rotated %.0f\xc2\xb0)", fab_text_of(c, "apex"),
                 fabs(turn));
    snprintf(term, sizeof term, "Cobb angle, %.12s curve", fab_text_of(c, "kind"));
    snprintf(text, sizeof text,
             "%.0f\xc2\xb0 \xc2\xb1 %.0f\xc2\xb0, %.6s to %.6s, convex to the %.6s%s%s",
             fab_real_of(c, "cobb_deg"), fmax(1, fab_real_of(c, "sigma_deg")),
             fab_text_of(c, "upper_end_vertebra"), fab_text_of(c, "lower_end_vertebra"),
             fab_text_of(c, "convex_side"), apex, open);
    fab_html_fact(h, term, text);
}

static void balance_rows(fab_html *h, const fab_json *s)
{
    double sva = fab_real_of(s, "sagittal_vertical_axis_mm");
    double side = fab_real_of(s, "coronal_balance_mm");
    char text[96];
    if (isnan(sva)) return;
    snprintf(text, sizeof text, "%.0f mm %s the back corner of S1", fabs(sva),
             sva < 0 ? "behind" : "in front of");
    fab_html_fact(h, "C7, lying", text);
    snprintf(text, sizeof text, "%.0f mm to the %s of the middle of S1", fabs(side),
             side < 0 ? "right" : "left");
    fab_html_fact(h, "", text);
}

static void angles(fab_html *h, const fab_json *s)
{
    const fab_json *curves = fab_json_find(s, "coronal_curves");
    fab_html_raw(h, "<div class=\"panel pad\"><dl>");
    for (size_t i = 0; i < fab_json_count(curves); i++) curve_row(h, fab_json_at(curves, i));
    if (!fab_json_count(curves)) {
        angle_row(h, s, "largest_coronal_angle", "Largest coronal angle");
        fab_html_fact(h, "Scoliosis", "no curve of 10\xc2\xb0 or more");
    }
    angle_row(h, s, "lumbar_lordosis_L1_S1", "Lordosis L1\xe2\x80\x93S1");
    angle_row(h, s, "thoracic_kyphosis_T4_T12", "Kyphosis T4\xe2\x80\x93T12");
    angle_row(h, s, "thoracic_kyphosis_T5_T12", "Kyphosis T5\xe2\x80\x93T12");
    angle_row(h, s, "sacral_slope", "Sacral slope");
    angle_row(h, s, "pelvic_tilt", "Pelvic tilt");
    angle_row(h, s, "pelvic_incidence", "Pelvic incidence");
    balance_rows(h, s);
    fab_html_raw(h, "</dl></div>\n");
}

static void three(fab_html *h, const fab_json *heights)
{
    if (!heights) {
        fab_html_raw(h, "<td class=\"n soft\">&ndash;</td>");
        return;
    }
    fab_html_printf(h, "<td class=\"n\">%.1f / %.1f / %.1f</td>",
                    fab_real_of(heights, "anterior"), fab_real_of(heights, "middle"),
                    fab_real_of(heights, "posterior"));
}

static void canal_cell(fab_html *h, const fab_json *row)
{
    const fab_json *c = fab_json_find(row, "canal");
    if (!fab_json_is_object(c)) {
        fab_html_raw(h, "<td class=\"n soft\">&ndash;</td>");
        return;
    }
    fab_html_printf(h, "<td class=\"n\">%.0f <span class=\"soft\">(%.0f &times; %.0f)</span></td>",
                    fab_real_of(c, "area_mm2"), fab_real_of(c, "ap_mm"),
                    fab_real_of(c, "transverse_mm"));
}

static void tilt_cell(fab_html *h, double deg, const char *positive, const char *negative)
{
    double whole = round(deg);
    fab_html_printf(h, "<td class=\"n\">%.0f&deg;%s</td>", fabs(whole),
                    whole > 0 ? positive : whole < 0 ? negative : "");
}

/* Genant's limits on the lowest of the three heights against the highest: a fifth is remarked. */
static void ratio_cell(fab_html *h, const fab_json *row)
{
    const fab_json *r = fab_json_find(row, "ratios");
    double wedge = fab_real_of(r, "wedge"), hollow = fab_real_of(r, "biconcave");
    double crush = fab_real_of(r, "crush");
    bool low = wedge < 0.8 || wedge > 1.25 || hollow < 0.8 || crush < 0.8;
    fab_html_printf(h, "<td class=\"n\">%s%.2f / %.2f / ", low ? "<b class=\"warn\">" : "", wedge,
                    hollow);
    if (isnan(crush)) fab_html_raw(h, "&ndash;");
    else fab_html_printf(h, "%.2f", crush);
    fab_html_printf(h, "%s</td>", low ? "</b>" : "");
}

static void density_cell(fab_html *h, const fab_json *row)
{
    const fab_json *d = fab_json_find(row, "trabecular_hu");
    if (!fab_json_is_object(d)) fab_html_raw(h, "<td class=\"n soft\">&ndash;</td>");
    else
        fab_html_printf(h, "<td class=\"n\">%.0f <span class=\"soft\">&plusmn; %.0f</span></td>",
                        fab_real_of(d, "mean"), fab_real_of(d, "sd"));
}

static void quality_cell(fab_html *h, const fab_json *row)
{
    const char *q = fab_text_of(row, "quality"), *why = fab_text_of(row, "why");
    fab_html_printf(h, "<td><span class=\"chip %s\">",
                    !strcmp(q, "good") ? "good" : !strcmp(q, "fair") ? "info" : "warning");
    fab_html_text(h, q);
    fab_html_raw(h, "</span> ");
    if (why[0]) fab_html_element(h, "span class=\"soft\"", why);
    fab_html_raw(h, "</td></tr>\n");
}

const fab_json *fab_spine_disc_below(const fab_json *spine, const char *level)
{
    const fab_json *list = fab_json_find(spine, "discs");
    size_t n = strlen(level);
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const char *name = fab_text_of(fab_json_at(list, i), "level");
        if (!strncmp(name, level, n) && name[n] == '_') return fab_json_at(list, i);
    }
    return NULL;
}

static void level_row(fab_html *h, const fab_json *s, const fab_json *row)
{
    const char *level = fab_text_of(row, "level");
    fab_html_raw(h, "<tr>");
    fab_html_element(h, "td", level);
    if (!measured(row)) {
        fab_html_raw(h, "<td colspan=\"10\"><span class=\"chip warning\">not measured</span> "
                        "<span class=\"soft\">");
        fab_html_text(h, fab_text_of(row, "why"));
        fab_html_raw(h, "</span></td></tr>\n");
        return;
    }
    const fab_json *disc = fab_spine_disc_below(s, level);
    tilt_cell(h, fab_real_of(row, "coronal_tilt_deg"), " L", " R");
    tilt_cell(h, fab_real_of(row, "axial_rotation_deg"), " L", " R");
    three(h, fab_json_find(row, "heights_mm"));
    ratio_cell(h, row);
    fab_html_printf(h, "<td class=\"n\">%.0f &times; %.0f</td>", fab_real_of(row, "width_mm"),
                    fab_real_of(row, "depth_mm"));
    density_cell(h, row);
    canal_cell(h, row);
    three(h, fab_json_find(disc, "heights_mm"));
    canal_cell(h, disc);
    quality_cell(h, row);
}

static void levels(fab_html *h, const fab_json *s)
{
    const fab_json *rows = rows_of(s);
    fab_html_raw(h, "<div class=\"panel\"><table class=\"levels\"><thead><tr><th>Level</th>"
                    "<th class=\"n\">Tilt</th><th class=\"n\">Rotation</th>"
                    "<th class=\"n\">Height mm<br>A / M / P</th>"
                    "<th class=\"n\">Ratios<br>A:P / M:P / P:next</th>"
                    "<th class=\"n\">Body mm<br>W &times; D</th><th class=\"n\">Bone<br>HU</th>"
                    "<th class=\"n\">Canal mm&sup2;<br>(AP &times; W)</th>"
                    "<th class=\"n\">Disc below mm<br>A / M / P</th>"
                    "<th class=\"n\">Canal there<br>mm&sup2;</th><th>Quality</th></tr></thead>"
                    "<tbody>\n");
    for (size_t i = 0; i < fab_json_count(rows); i++) level_row(h, s, fab_json_at(rows, i));
    fab_html_raw(h, "</tbody></table></div>\n"
                    "<p class=\"soft\">Measured automatically on the label map, lying patient; "
                    "angles are smaller than on a standing film. A, M, P: anterior, middle, "
                    "posterior. Tilt: towards the patient's left or right. Rotation: where the "
                    "front of the body is turned. Ratios below 0.80 are marked: a loss of "
                    "height to look at, not a diagnosis of a fracture. HU: front of the trabecular "
                    "bone. &plusmn; of an angle is its standard uncertainty. Definitions and "
                    "sources: docs/guide/measurements.md. Not for diagnosis.</p>\n");
}

void fab_report_spine(fab_html *h, const fab_json *manifest)
{
    const fab_json *s = fab_json_find(fab_json_find(manifest, "measurements"), "spine");
    if (!fab_json_is_object(s)) return;
    fab_html_raw(h, "<h2>Spine<small>angles, heights, canal and bone density</small></h2>\n"
                    "<div class=\"spine2\">\n");
    drawings(h, s);
    angles(h, s);
    fab_html_raw(h, "</div>\n");
    levels(h, s);
}
