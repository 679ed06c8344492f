/* report.c - report.html: the page a surgeon looks at first. It is made from the manifest and the
 * pictures alone and needs nothing else: no scripts, no fonts, no links. Lines that differ from
 * run to run stand between "<!-- run -->" and "<!-- /run -->". */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "html.h"
#include "pipeline_internal.h"
#include "qa_page.h"

static const char *const style_lines[] = {
#include "report_css.inc"
};

static bool true_of(const fab_json *o, const char *key)
{
    bool value = false;
    return fab_json_get_bool(o, key, &value, NULL) == FAB_OK && value;
}

/* ---- head ------------------------------------------------------------------------------- */

/* 20260131 as 2026-01-31; anything else as it is. */
static const char *date_text(const char *dicom, char into[32])
{
    if (strlen(dicom) == 8 && strspn(dicom, "0123456789") == 8)
        snprintf(into, 32, "%.4s-%.2s-%.2s", dicom, dicom + 4, dicom + 6);
    else snprintf(into, 32, "%.31s", dicom);
    return into;
}

/* DICOM writes "Family^Given^Middle"; people read "Given Middle Family". */
static void name_text(const char *dicom, char *into, size_t capacity)
{
    size_t family = strcspn(dicom, "^="), used = 0;
    const char *rest = dicom[family] == '^' ? dicom + family + 1 : "";
    for (; *rest && *rest != '=' && used + 2 < capacity; rest++) {
        bool gap = *rest == '^';
        if (gap && (used == 0 || into[used - 1] == ' ')) continue;
        into[used++] = gap ? ' ' : *rest;
    }
    while (used && into[used - 1] == ' ') used--;
    snprintf(into + used, capacity - used, "%s%.*s", used ? " " : "", (int)family, dicom);
}

static void who(fab_html *h, const fab_json *m)
{
    const fab_json *id = fab_json_find(m, "patient_identifiers"), *in = fab_json_find(m, "input");
    const fab_json *grid = fab_json_find(fab_json_find(m, "geometry"), "grid");
    const fab_json *size = fab_json_find(grid, "size"), *mm = fab_json_find(grid, "spacing_mm");
    char name[400], date[32], text[120];
    name_text(fab_text_of(id, "patient_name"), name, sizeof name);
    if (!name[0]) snprintf(name, sizeof name, "%.300s", fab_text_of(id, "patient_id"));
    if (!name[0]) snprintf(name, sizeof name, "%.300s", fab_text_of(id, "input_name"));
    fab_html_raw(h, "<div class=\"who\"><h1>");
    fab_html_element(h, "small", fab_text_of(id, "study_description"));
    fab_html_text(h, name);
    fab_html_raw(h, "</h1>");
    fab_html_box(h, "Patient ID", fab_text_of(id, "patient_id"));
    fab_html_box(h, "Born", date_text(fab_text_of(id, "patient_birth_date"), date));
    fab_html_box(h, "Sex", fab_text_of(id, "patient_sex"));
    fab_html_box(h, "Study date", date_text(fab_text_of(id, "study_date"), date));
    snprintf(text, sizeof text, "%.16s %.80s", fab_text_of(in, "modality"),
             fab_text_of(id, "series_description"));
    fab_html_box(h, "Series", text);
    snprintf(text, sizeof text,
             "%.0f \xc3\x97 %.0f \xc3\x97 %.0f of %.3g \xc3\x97 %.3g \xc3\x97 %.3g mm",
             fab_json_number(fab_json_at(size, 0)), fab_json_number(fab_json_at(size, 1)),
             fab_json_number(fab_json_at(size, 2)), fab_json_number(fab_json_at(mm, 0)),
             fab_json_number(fab_json_at(mm, 1)), fab_json_number(fab_json_at(mm, 2)));
    fab_html_box(h, "Voxels", text);
    fab_html_raw(h, "</div>\n");
}

/* ---- pictures --------------------------------------------------------------------------- */

static void figure(fab_html *h, const fab_image *image, const char *class, const char *caption)
{
    fab_html_printf(h, "<figure class=\"%s\">", class);
    fab_html_image(h, image, caption);
    fab_html_element(h, "figcaption", caption);
    fab_html_raw(h, "</figure>\n");
}

static void pictures(fab_html *h, const fab_pictures *p)
{
    fab_html_raw(h, "<section class=\"stage\"><div class=\"views\">\n");
    figure(h, &p->front, "", "From the front");
    figure(h, &p->back, "", "From behind");
    figure(h, &p->left, "", "From the left");
    figure(h, &p->oblique, "", "With muscles, from behind");
    figure(h, &p->muscles, "", "With muscles, from the front");
    fab_html_raw(h, "</div><div class=\"slices\">\n");
    figure(h, &p->slice[FAB_AXIAL], "", "Axial, seen from the feet");
    figure(h, &p->slice[FAB_CORONAL], "", "Coronal, seen from the front");
    figure(h, &p->slice[FAB_SAGITTAL], "", "Sagittal, through the spine");
    fab_html_raw(h, "</div></section>\n");
}

static void card(fab_html *h, const char *class, const char *value, const char *caption)
{
    fab_html_printf(h, "<div class=\"card\"><b class=\"%s\">", class);
    fab_html_text(h, value);
    fab_html_raw(h, "</b>");
    fab_html_element(h, "span", caption);
    fab_html_raw(h, "</div>\n");
}

typedef struct totals {
    size_t structures, warnings, meshes, open;
    double worst_hd95_mm;
} totals;

static totals count_totals(const fab_json *m)
{
    const fab_json *rows = fab_json_find(m, "structures");
    const fab_json *findings = fab_json_find(fab_json_find(m, "quality"), "findings");
    totals t = {.structures = fab_json_count(rows)};
    for (size_t f = 0; f < fab_json_count(findings); f++)
        if (strcmp(fab_text_of(fab_json_at(findings, f), "severity"), "info") != 0) t.warnings++;
    for (size_t i = 0; i < t.structures; i++) {
        const fab_json *row = fab_json_at(rows, i), *mesh = fab_json_find(row, "mesh");
        if (!fab_json_is_object(mesh)) continue;
        t.meshes++;
        if (!true_of(mesh, "closed")) t.open++;
        t.worst_hd95_mm = fmax(t.worst_hd95_mm, fab_real_of(mesh, "hd95_mm"));
    }
    return t;
}

static void cards(fab_html *h, const fab_json *m)
{
    totals t = count_totals(m);
    const char *verdict = fab_text_of(fab_json_find(m, "geometry"), "verdict");
    bool ok = strcmp(verdict, "ok") == 0;
    char text[64];
    fab_html_raw(h, "<div class=\"cards\">\n");
    snprintf(text, sizeof text, "%zu", t.structures);
    card(h, "", text, "structures found");
    card(h, ok ? "good" : "warn", ok ? "Sound" : "Corrected", "geometry of the series");
    snprintf(text, sizeof text, "%zu", t.warnings);
    card(h, t.warnings ? "warn" : "good", text, "findings to look at");
    if (t.open) snprintf(text, sizeof text, "%zu open", t.open);
    else snprintf(text, sizeof text, t.meshes ? "All closed" : "None");
    card(h, t.open ? "warn" : t.meshes ? "good" : "", text, "surfaces");
    if (t.meshes) snprintf(text, sizeof text, "%.2f mm", t.worst_hd95_mm);
    else snprintf(text, sizeof text, "-");
    card(h, "", text, "largest surface error (HD95)");
    fab_html_raw(h, "</div>\n");
}

/* ---- structures ------------------------------------------------------------------------- */

/* The Dice to expect where the model's card is calibrated, else the network's own probability. */
static void confidence_cell(fab_html *h, double confidence, double expected)
{
    if (!isnan(expected)) {
        fab_html_printf(h, "<td class=\"share\"><span class=\"bar\"><i class=\"%s\" "
                           "style=\"width:%.0f%%\"></i></span>Dice %.2f<br><span class=\"soft\">"
                           "probability %.0f %%</span></td>",
                        expected < 0.7 ? "low" : "", 100 * expected, expected, 100 * confidence);
        return;
    }
    if (isnan(confidence)) {
        fab_html_raw(h, "<td class=\"soft\">none</td>");
        return;
    }
    fab_html_printf(h, "<td class=\"share\"><span class=\"bar\"><i class=\"%s\" "
                       "style=\"width:%.0f%%\"></i></span>%.0f %%</td>",
                    confidence < 0.7 ? "low" : "", 100 * confidence, 100 * confidence);
}

static void mesh_cells(fab_html *h, const fab_json *mesh)
{
    if (!fab_json_is_object(mesh)) {
        fab_html_raw(h, "<td class=\"n soft\">none</td><td></td><td></td>");
        return;
    }
    double triangles = fab_real_of(mesh, "triangles");
    double volume = fab_real_of(mesh, "volume_error_percent");
    if (triangles < 1000) fab_html_printf(h, "<td class=\"n\">%.0f</td>", triangles);
    else fab_html_printf(h, "<td class=\"n\">%.*f k</td>", triangles < 10000 ? 1 : 0,
                         triangles / 1000);
    const char *sign = fabs(volume) < 0.005 ? "" : volume < 0 ? "&minus;" : "+";
    fab_html_printf(h, "<td class=\"n\">%.2f mm &middot; %s%.2f %%</td>",
                    fab_real_of(mesh, "hd95_mm"), sign, fabs(volume));
    bool sound = true_of(mesh, "closed") && true_of(mesh, "manifold");
    fab_html_printf(h, "<td><span class=\"chip %s\">%s</span></td>", sound ? "good" : "warning",
                    sound ? "closed" : "open");
}

/* What lies outside the scan is not in the volume, and the number must not pretend it is. */
static void volume_cell(fab_html *h, const fab_json *row)
{
    const fab_json *findings = fab_json_find(row, "findings");
    double ml = fab_real_of(row, "volume_ml");
    bool cut = false;
    for (size_t i = 0; i < fab_json_count(findings) && !cut; i++)
        cut = strcmp(fab_text_of(fab_json_at(findings, i), "code"), "touches-scan-edge") == 0 ||
              strcmp(fab_text_of(fab_json_at(findings, i), "code"), "cut-by-field-of-view") == 0;
    fab_html_printf(h, "<td class=\"n\">%s%.*f ml</td>", cut ? "&ge; " : "",
                    ml < 1 ? 2 : ml < 10 ? 1 : 0, ml);
}

static void structure_row(fab_html *h, const fab_json *row)
{
    const fab_json *rgb = fab_json_find(row, "rgb"), *findings = fab_json_find(row, "findings");
    fab_html_printf(h, "<tr><td><span class=\"dot\" style=\"background:rgb(%.0f,%.0f,%.0f)\">"
                       "</span>", fab_json_number(fab_json_at(rgb, 0)),
                    fab_json_number(fab_json_at(rgb, 1)), fab_json_number(fab_json_at(rgb, 2)));
    fab_html_text(h, fab_text_of(row, "display"));
    fab_html_element(h, "span class=\"code\"", fab_text_of(fab_json_find(row, "code"), "value"));
    fab_html_raw(h, "</td>");
    volume_cell(h, row);
    confidence_cell(h, fab_real_of(row, "confidence"), fab_real_of(row, "expected_dice"));
    mesh_cells(h, fab_json_find(row, "mesh"));
    fab_html_raw(h, "<td>");
    for (size_t i = 0; i < fab_json_count(findings); i++) {
        const fab_json *f = fab_json_at(findings, i);
        const char *severity = fab_text_of(f, "severity");
        fab_html_printf(h, "<span class=\"chip %s\">", !strcmp(severity, "error") ? "error"
                                                       : !strcmp(severity, "warning") ? "warning"
                                                                                      : "info");
        fab_html_text(h, fab_text_of(f, "text"));
        fab_html_raw(h, "</span> ");
    }
    fab_html_raw(h, "</td></tr>\n");
}

static const struct group {
    const char *title, *tissues[4];
} groups[] = {
    {"Skeleton", {"bone", "disc"}},
    {"Nerves", {"nerve"}},
    {"Organs", {"organ", "lung", "bowel"}},
    {"Vessels", {"vessel"}},
    {"Muscles", {"muscle"}},
    {"Other", {"other", "skin"}},
};

static bool in_group(const struct group *g, const fab_json *row)
{
    for (int i = 0; i < 4 && g->tissues[i]; i++)
        if (strcmp(g->tissues[i], fab_text_of(row, "tissue")) == 0) return true;
    return false;
}

static void group_rows(fab_html *h, const struct group *g, const fab_json *rows)
{
    bool titled = false;
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i);
        if (!in_group(g, row)) continue;
        if (!titled) fab_html_printf(h, "<tr class=\"group\"><td colspan=\"7\">%s</td></tr>\n",
                                     g->title);
        titled = true;
        structure_row(h, row);
    }
}

static void structures(fab_html *h, const fab_json *m)
{
    const fab_json *rows = fab_json_find(m, "structures");
    fab_html_raw(h, "<h2>Structures</h2><div class=\"panel\"><table><thead><tr><th>Structure</th>"
                    "<th class=\"n\">Volume</th><th>Confidence</th><th class=\"n\">Triangles</th>"
                    "<th class=\"n\">Surface error</th><th>Surface</th><th>Findings</th></tr>"
                    "</thead><tbody>\n");
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) group_rows(h, &groups[g], rows);
    if (!fab_json_count(rows))
        fab_html_raw(h, "<tr><td colspan=\"7\">No structure was found in this scan.</td></tr>");
    fab_html_raw(h, "</tbody></table></div>\n"
                    "<p class=\"soft\">The small number beside a name is its code (SNOMED CT). "
                    "&ge;: part of the structure lies outside the scan. Confidence is the "
                    "network's own mean probability, not a measured accuracy; where the model is "
                    "calibrated, the Dice seen at that probability on held-out cases stands "
                    "before it; none: the "
                    "label map was given, or its network does not say. Surface error is the "
                    "distance between the surface and the label mask it was made from (95th "
                    "percentile) and the difference of their volumes; it says nothing about "
                    "whether the mask is right.</p>\n");
}

static void missing(fab_html *h, const fab_json *m)
{
    const fab_json *list = fab_json_find(m, "not_found");
    fab_html_raw(h, "<h2>Not in this twin</h2><div class=\"panel pad\">");
    if (fab_json_count(list)) {
        fab_html_raw(h, "<p><b>Looked for and not found:</b> ");
        for (size_t i = 0; i < fab_json_count(list); i++) {
            const char *name = fab_json_text(fab_json_at(list, i));
            const fab_anatomy *a = fab_anatomy_find(name);
            if (i) fab_html_raw(h, ", ");
            fab_html_text(h, a ? a->display : name);
        }
        fab_html_raw(h, ".</p>");
    }
    fab_html_raw(h, "<p>Anything that is not in the table above was not looked for. That includes "
                    "tumours, fractures, nerve roots, small vessels and implants: their absence "
                    "here does not mean that the patient has none.</p></div>\n");
}

/* ---- where it comes from ---------------------------------------------------------------- */

static void geometry(fab_html *h, const fab_json *m)
{
    const fab_json *g = fab_json_find(m, "geometry");
    fab_html_raw(h, "<div><h2>Geometry</h2><div class=\"panel pad\"><dl>");
    fab_html_fact(h, "Verdict", fab_text_of(g, "verdict"));
    fab_html_fact(h, "Detail", fab_text_of(g, "text"));
    const char *repairs = fab_text_of(g, "repairs");
    fab_html_fact(h, "Repairs", repairs[0] ? repairs : "none needed");
    fab_html_fact(h, "Resampled", true_of(g, "resampled")
                                      ? "yes: the voxel grid is not the scanner's"
                                      : "no: the scanner's own voxel grid");
    fab_html_fact(h, "Orientation", fab_text_of(fab_json_find(g, "grid"), "orientation"));
    fab_html_raw(h, "</dl></div></div>\n");
}

/* The network that looked at the spine again, and what came of it. */
static void second_look(fab_html *h, const fab_json *detail)
{
    char text[200];
    if (!fab_json_is_object(detail)) return;
    const char *parts = fab_text_of(detail, "parts");
    snprintf(text, sizeof text, "%.80s %.40s; parts of the vertebrae: %.40s",
             fab_text_of(detail, "name"), fab_text_of(detail, "version"),
             parts[0] ? parts : "none, not used here");
    fab_html_fact(h, "Spine", text);
    if (fab_text_of(detail, "note")[0])
        fab_html_fact(h, "Spine, remark", fab_text_of(detail, "note"));
}

static void model(fab_html *h, const fab_json *m)
{
    const fab_json *s = fab_json_find(m, "segmentation"), *o = fab_json_find(s, "model");
    fab_html_raw(h, "<div><h2>Segmentation</h2><div class=\"panel pad\">");
    if (!fab_json_is_object(o)) {
        fab_html_raw(h, "<p>The label map was given, not made by a network.</p>");
    } else {
        char text[200];
        const fab_json *limits = fab_json_find(o, "limitations");
        snprintf(text, sizeof text, "%.120s %.40s", fab_text_of(o, "name"),
                 fab_text_of(o, "version"));
        fab_html_raw(h, "<dl>");
        fab_html_fact(h, "Model", text);
        second_look(h, fab_json_find(s, "detail"));
        fab_html_fact(h, "Made for", fab_text_of(o, "modality"));
        fab_html_fact(h, "Licence", fab_text_of(o, "license"));
        fab_html_fact(h, "Remarks", fab_text_of(s, "notes"));
        fab_html_raw(h, "</dl>");
        if (fab_json_count(limits)) fab_html_raw(h, "<p><b>Known limits</b></p><ul>");
        for (size_t i = 0; i < fab_json_count(limits); i++)
            fab_html_element(h, "li", fab_json_text(fab_json_at(limits, i)));
        if (fab_json_count(limits)) fab_html_raw(h, "</ul>");
    }
    fab_html_raw(h, "</div></div>\n");
}

static void hash_fact(fab_html *h, const char *term, const char *hex)
{
    if (!hex[0]) return;
    fab_html_element(h, "dt", term);
    fab_html_raw(h, "<dd>");
    fab_html_element(h, "code", hex);
    fab_html_raw(h, "</dd>");
}

static void provenance(fab_html *h, const fab_json *m)
{
    const fab_json *in = fab_json_find(m, "input"), *s = fab_json_find(m, "segmentation");
    const fab_json *software = fab_json_find(m, "software");
    char text[80];
    snprintf(text, sizeof text, "%.30s %.30s", fab_text_of(software, "name"),
             fab_text_of(software, "version"));
    fab_html_raw(h, "<h2>Provenance<small>the same input and version give the same bytes</small>"
                    "</h2><div class=\"panel pad\"><dl>");
    fab_html_fact(h, "Software", text);
    hash_fact(h, "Input SHA-256", fab_text_of(in, "sha256"));
    hash_fact(h, "Weights SHA-256", fab_text_of(fab_json_find(s, "model"), "weights_sha256"));
    hash_fact(h, "Spine weights SHA-256",
              fab_text_of(fab_json_find(s, "detail"), "weights_sha256"));
    hash_fact(h, "Labels SHA-256", fab_text_of(s, "labels_sha256"));
    fab_html_fact(h, "Scanner", fab_text_of(in, "manufacturer"));
    fab_html_fact(h, "Kernel", fab_text_of(in, "kernel"));
    snprintf(text, sizeof text, "%zu, each with its SHA-256 in manifest.json",
             fab_json_count(fab_json_find(m, "files")));
    fab_html_fact(h, "Files", text);
    fab_html_raw(h, "</dl></div>\n");
}

static void timing(fab_html *h, const fab_json *m, const fab_step_def *steps, int count)
{
    const fab_json *run = fab_json_find(m, "run"), *rows = fab_json_find(run, "steps");
    double longest = 0.001;
    for (size_t i = 0; i < fab_json_count(rows); i++)
        longest = fmax(longest, fab_real_of(fab_json_at(rows, i), "wall_s"));
    fab_html_raw(h, "<!-- run -->\n");
    fab_html_printf(h, "<h2>Run<small>%.1f s, %.1f s of CPU on %.0f threads, peak memory %.0f MB, "
                       "finished ", fab_real_of(run, "wall_s"), fab_real_of(run, "cpu_s"),
                    fab_real_of(run, "threads"), fab_real_of(run, "peak_rss_bytes") / 1e6);
    fab_html_text(h, fab_text_of(run, "finished"));
    fab_html_raw(h, "</small></h2><div class=\"panel pad time\">\n");
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        double wall = fab_real_of(fab_json_at(rows, i), "wall_s");
        fab_html_element(h, "span", (int)i < count ? steps[i].text : "");
        fab_html_printf(h, "<span class=\"bar\"><i style=\"width:%.1f%%\"></i></span>"
                           "<span class=\"soft\">%.2f s, CPU %.2f s</span>\n",
                        100 * wall / longest, wall, fab_real_of(fab_json_at(rows, i), "cpu_s"));
    }
    fab_html_raw(h, "</div>\n<!-- /run -->\n");
}

fab_status fab_report_write(const fab_twin *t, const fab_pictures *p, const char *path,
                            fab_error *err)
{
    fab_html h = {.err = err};
    const fab_json *m = t->manifest;
    fab_html_begin(&h, "Digital twin report", "Not for diagnostic use", style_lines,
                   sizeof style_lines / sizeof *style_lines);
    who(&h, m);
    fab_page_banner(&h, m);
    pictures(&h, p);
    cards(&h, m);
    fab_page_review(&h, m);
    fab_report_spine(&h, m);
    structures(&h, m);
    missing(&h, m);
    fab_html_raw(&h, "<div class=\"two\">\n");
    geometry(&h, m);
    model(&h, m);
    fab_html_raw(&h, "</div>\n");
    provenance(&h, m);
    timing(&h, m, t->job.steps, t->job.count);
    fab_html_raw(&h, "<footer>Research and training software: not for diagnosis, and not a basis "
                     "for treatment. Made automatically and not reviewed by a person. This page "
                     "holds patient data.</footer>\n</main></body></html>\n");
    fab_status status = h.status;
    if (status == FAB_OK) status = fab_file_write_atomic(path, h.buf.data, h.buf.size, err);
    fab_buf_free(&h.buf);
    return status;
}
