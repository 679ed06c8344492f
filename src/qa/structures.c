/* structures.c - each structure by itself: cut, too small or too large, of a tissue it cannot be,
 * found with little certainty. What is said of places follows from a lattice of about 2.5 mm. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qa_internal.h"

enum { BINS = 512, BIN_HU = 8, LOWEST_HU = -1024 };
static const double lattice_mm = 2.5;
static const double low_confidence = 0.6; /* as our own networks' (fabrica/segment.h) */
static const double cut_area_mm2 = 150;
static const double margin_close = 0.6, uncertain_share = 0.30; /* logits; share of the voxels */
static const double scrap_ml = 5.0, scrap_bladder_ml = 1.0;
static const double tiny_ml = 3.0; /* smaller ones are all border: their HU and margin say little */

/* ---- rows -------------------------------------------------------------------------------- */

static fab_status make_rows(fab_check *c, uint16_t **row_of, size_t *values, fab_error *err)
{
    const fab_qa_input *in = c->in;
    const fab_grid *g = fab_volume_grid(in->labels);
    double low = 0, high = 0;
    fab_volume_minmax(in->labels, &low, &high);
    *values = (size_t)high + 1;
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc(*values, sizeof *stats);
    *row_of = fab_calloc(*values, sizeof **row_of);
    c->qa->structures = fab_calloc(in->set->count + 1, sizeof *c->qa->structures);
    if (!stats || !*row_of || !c->qa->structures) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_labels_stats(in->labels, *values, stats, err));
    for (size_t i = 0; i < in->set->count; i++) {
        const fab_label *label = &in->set->items[i];
        if (label->value > (int)high || stats[label->value].voxels == 0) continue;
        fab_qa_structure *s = &c->qa->structures[c->qa->structure_count++];
        *s = (fab_qa_structure){.label = label, .stats = stats[label->value],
                                .confidence = in->confidence ? in->confidence[i] : NAN,
                                .expected = NAN, .hu = {NAN, NAN, NAN}, .uncertain = NAN};
        s->volume_ml = (double)s->stats.voxels * fab_grid_voxel_volume_mm3(g) / 1000.0;
        fab_mat34_apply(&g->world_from_voxel, s->stats.centroid_voxel, s->centroid_mm);
        (*row_of)[label->value] = (uint16_t)c->qa->structure_count;
    }
    return FAB_OK;
}

static fab_status make_lattice(fab_check *c, const uint16_t *row_of, size_t values, fab_error *err)
{
    const double wanted[3] = {lattice_mm, lattice_mm, lattice_mm};
    fab_lattice_plan(fab_volume_grid(c->in->labels), wanted, &c->lattice);
    const size_t n = (size_t)fab_lattice_count(&c->lattice);
    c->row = fab_alloc_array(n, sizeof *c->row);
    c->hu = c->in->image ? fab_alloc_array(n, sizeof *c->hu) : NULL;
    c->box = fab_alloc_array(c->qa->structure_count + 1, sizeof *c->box);
    if (!c->row || !c->box || (c->in->image && !c->hu))
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a lattice");
    fab_lattice_rows(&c->lattice, c->in->labels, row_of, values, c->row);
    fab_lattice_boxes(&c->lattice, c->row, c->qa->structure_count, c->box);
    if (c->hu) fab_lattice_values(&c->lattice, c->in->image, c->hu);
    return FAB_OK;
}

/* ---- the ends of the scan ------------------------------------------------------------------ */

/* Face 0..5 (-i, +i, -j...) of the grid in the patient's words. */
static const char *face_word(const fab_grid *g, int face)
{
    static const char *const words[3][2] = {
        {"right", "left"}, {"front", "back"}, {"lower", "upper"}};
    int axis = face / 2, best = 0;
    double sign = face % 2 ? 1 : -1;
    for (int r = 1; r < 3; r++)
        if (fabs(g->world_from_voxel.m[r][axis]) > fabs(g->world_from_voxel.m[best][axis]))
            best = r;
    return words[best][g->world_from_voxel.m[best][axis] * sign > 0];
}

static fab_status check_edges(fab_check *c, fab_qa_structure *s, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(c->in->labels);
    char faces[80] = "";
    const char *words[6];
    size_t count = 0;
    for (int f = 0; f < 6; f++)
        if (s->stats.touches_edge[f]) words[count++] = face_word(g, f);
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(faces);
        snprintf(faces + used, sizeof faces - used, "%s%s",
                 !i ? "" : i + 1 < count ? ", " : " and ", words[i]);
    }
    if (!count) return FAB_OK;
    s->cut = true;
    return fab_check_add(c, "touches-scan-edge", FAB_INFO, s, NULL, s->centroid_mm, NULL, err,
                         "cut by the %s edge%s of the scan", faces, count > 1 ? "s" : "");
}

/* Where the structure meets the circle outside of which nothing was reconstructed. */
typedef struct contact {
    int64_t voxels;
    int low[3], high[3];
} contact;

static bool beside_padding(const fab_check *c, int64_t at, int i, int j)
{
    const int padding = (int)c->in->scan->padding_hu, nx = c->lattice.n[0];
    return (i > 0 && c->hu[at - 1] == padding) ||
           (i < nx - 1 && c->hu[at + 1] == padding) ||
           (j > 0 && c->hu[at - nx] == padding) ||
           (j < c->lattice.n[1] - 1 && c->hu[at + nx] == padding);
}

static void touch(contact *t, const int at[3])
{
    for (int a = 0; a < 3; a++) {
        t->low[a] = !t->voxels || at[a] < t->low[a] ? at[a] : t->low[a];
        t->high[a] = !t->voxels || at[a] > t->high[a] ? at[a] : t->high[a];
    }
    t->voxels++;
}

/* -1024 HU is also the air of a lung or bowel. */
static bool holds_air(const fab_qa_structure *s)
{
    const fab_anatomy *a = s->label->anatomy;
    return a && (a->tissue == FAB_TISSUE_LUNG || a->tissue == FAB_TISSUE_BOWEL);
}

static fab_status check_circle(fab_check *c, fab_error *err)
{
    const fab_lattice *l = &c->lattice;
    const double face = l->step_mm[0] * l->step_mm[2];
    if (!c->hu || !c->in->scan || !c->in->scan->has_padding) return FAB_OK;
    FAB_AUTO_FREE contact *met = fab_calloc(c->qa->structure_count + 1, sizeof *met);
    if (!met) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    int64_t at = 0;
    for (int k = 0; k < l->n[2]; k++)
        for (int j = 0; j < l->n[1]; j++)
            for (int i = 0; i < l->n[0]; i++, at++)
                if (c->row[at] && beside_padding(c, at, i, j))
                    touch(&met[c->row[at] - 1], (const int[3]){i, j, k});
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        fab_qa_structure *s = &c->qa->structures[i];
        double low[3], high[3];
        if (c->in->scan->padding_hu >= -1024 && holds_air(s)) continue;
        if ((double)met[i].voxels * face < cut_area_mm2) continue;
        s->cut = true;
        fab_check_box(l, met[i].low, met[i].high, low, high);
        FAB_TRY(fab_check_add(c, "cut-by-field-of-view", FAB_INFO, s, NULL, low, high, err,
                              "cut by the circle that was reconstructed, over %.0f cm2",
                              (double)met[i].voxels * face / 100));
    }
    return FAB_OK;
}

/* ---- size, tissue, certainty ---------------------------------------------------------------- */

static fab_status check_volume(fab_check *c, fab_qa_structure *s, fab_error *err)
{
    const fab_norm *n = fab_norm_volume(s->label->name);
    const bool small = n && !s->scrap && !s->cut && s->volume_ml < n->low;
    const bool large = n && s->volume_ml > n->high;
    if (!small && !large) return FAB_OK;
    return fab_check_add(c, small ? "small-volume" : "large-volume", FAB_WARNING, s, NULL,
                         s->centroid_mm, NULL, err,
                         "%.0f ml is %s than expected of an adult (%.0f to %.0f ml)", s->volume_ml,
                         small ? "less" : "more", n->low, n->high);
}

/* Of what is large in everybody, so little is a sliver at the scan's end, or on the wrong place. */
static fab_status check_scrap(fab_check *c, fab_qa_structure *s, fab_error *err)
{
    static const char *const large[] = {"lung", "liver", "heart", "hip", "femur", "sacrum",
                                        "gluteal", "autochthon", "iliopsoas", "stomach", "spleen",
                                        "kidney", "vertebrae", "ribs_sternum", "shoulder_girdle",
                                        "bowel"};
    bool named = strcmp(s->label->name, "urinary_bladder") == 0 && s->volume_ml < scrap_bladder_ml;
    for (size_t i = 0; i < sizeof large / sizeof *large && !named; i++)
        named = strncmp(s->label->name, large[i], strlen(large[i])) == 0 && s->volume_ml < scrap_ml;
    if (!named || strstr(s->label->name, "cyst") || strstr(s->label->name, "vessels"))
        return FAB_OK;
    s->scrap = true;
    const bool likely = s->cut && !(s->confidence < low_confidence);
    return fab_check_add(c, "scrap", likely ? FAB_INFO : FAB_WARNING, s, NULL, s->centroid_mm, NULL,
                         err, "only %.1f ml: %s a stray piece", s->volume_ml,
                         s->cut ? "a sliver at the end of the scan, or" : "probably");
}

/* Interior voxels where there are enough of them: borders mix tissues. */
static bool interior(const fab_check *c, int64_t at, const int here[3])
{
    const int64_t step[3] = {1, c->lattice.n[0], (int64_t)c->lattice.n[0] * c->lattice.n[1]};
    for (int a = 0; a < 3; a++)
        if (here[a] == 0 || here[a] == c->lattice.n[a] - 1 ||
            c->row[at - step[a]] != c->row[at] || c->row[at + step[a]] != c->row[at])
            return false;
    return true;
}

static void count_values(const fab_check *c, uint32_t *inner, uint32_t *all)
{
    const fab_lattice *l = &c->lattice;
    int64_t at = 0;
    for (int k = 0; k < l->n[2]; k++)
        for (int j = 0; j < l->n[1]; j++)
            for (int i = 0; i < l->n[0]; i++, at++) {
                const uint16_t r = c->row[at];
                if (!r) continue;
                int bin = (c->hu[at] - LOWEST_HU) / BIN_HU;
                bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
                all[(size_t)(r - 1) * BINS + (size_t)bin]++;
                if (interior(c, at, (const int[3]){i, j, k}))
                    inner[(size_t)(r - 1) * BINS + (size_t)bin]++;
            }
}

static void percentiles(const uint32_t *inner, const uint32_t *all, double hu[3])
{
    static const double share[3] = {0.1, 0.5, 0.9};
    enum { ENOUGH = 60 };
    int64_t total = 0, seen = 0;
    int next = 0;
    for (int b = 0; b < BINS; b++) total += inner[b];
    const uint32_t *from = total >= ENOUGH ? inner : all;
    if (total < ENOUGH) total = 0;
    for (int b = 0; b < BINS && from == all; b++) total += all[b];
    for (int b = 0; b < BINS && next < 3; b++) {
        seen += from[b];
        while (next < 3 && total && (double)seen >= share[next] * (double)total)
            hu[next++] = LOWEST_HU + (b + 0.5) * BIN_HU;
    }
}

static fab_status check_tissue(fab_check *c, fab_error *err)
{
    const size_t cells = (c->qa->structure_count + 1) * BINS;
    if (!c->hu || !c->hounsfield) return FAB_OK;
    FAB_AUTO_FREE uint32_t *inner = fab_calloc(cells, sizeof *inner);
    FAB_AUTO_FREE uint32_t *all = fab_calloc(cells, sizeof *all);
    if (!inner || !all) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for histograms");
    count_values(c, inner, all);
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        fab_qa_structure *s = &c->qa->structures[i];
        const fab_norm *n = fab_norm_hounsfield(s->label);
        percentiles(inner + i * BINS, all + i * BINS, s->hu);
        if (!n || s->volume_ml < tiny_ml || s->scrap || isnan(s->hu[1]) ||
            (s->hu[1] >= n->low && s->hu[1] <= n->high))
            continue;
        FAB_TRY(fab_check_add(c, "implausible-tissue", FAB_WARNING, s, NULL, s->centroid_mm, NULL,
                              err, "is about %.0f HU (median), where such tissue is %.0f to "
                              "%.0f HU",
                              s->hu[1], n->low, n->high));
    }
    return FAB_OK;
}

static fab_status check_confidence(fab_check *c, fab_qa_structure *s, fab_error *err)
{
    if (isnan(s->confidence) || s->confidence >= low_confidence || s->scrap) return FAB_OK;
    return fab_check_add(c, "low-confidence", FAB_WARNING, s, NULL, s->centroid_mm, NULL, err,
                         "the network is unsure (confidence %.2f)", s->confidence);
}

/* Counts each structure's voxels, and those where the next best label is nearly as likely. */
static void count_close(const fab_check *c, const uint16_t *row_of, size_t values, int64_t *all,
                        int64_t *close)
{
    const fab_volume *labels = c->in->fine_labels;
    const float *m = fab_volume_data(c->in->fine_margin);
    const uint8_t *bytes = fab_volume_dtype(labels) == FAB_U8 ? fab_volume_data(labels) : NULL;
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
    for (int64_t i = 0; i < n; i++) {
        const size_t v = bytes ? bytes[i] : (size_t)fab_volume_at(labels, i);
        if (!v || v >= values || !row_of[v]) continue;
        all[row_of[v] - 1]++;
        close[row_of[v] - 1] += m[i] < margin_close;
    }
}

/* The share of a structure where the next best label is nearly as likely. */
static fab_status check_margin(fab_check *c, const uint16_t *row_of, size_t values, fab_error *err)
{
    const fab_volume *labels = c->in->fine_labels, *margin = c->in->fine_margin;
    FAB_AUTO_FREE int64_t *all = fab_calloc(2 * (c->qa->structure_count + 1), sizeof *all);
    if (!labels || !margin || fab_volume_dtype(margin) != FAB_F32) return FAB_OK;
    if (!all) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    int64_t *close = all + c->qa->structure_count + 1;
    count_close(c, row_of, values, all, close);
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        fab_qa_structure *s = &c->qa->structures[i];
        if (all[i]) s->uncertain = (double)close[i] / (double)all[i];
        if (!(s->uncertain > uncertain_share) || s->volume_ml < tiny_ml || s->scrap ||
            s->confidence < low_confidence) /* said already */
            continue;
        FAB_TRY(fab_check_add(c, "uncertain-border", FAB_WARNING, s, NULL, s->centroid_mm, NULL,
                              err, "in %.0f %% of it another label is nearly as likely",
                              100 * s->uncertain));
    }
    return FAB_OK;
}

fab_status fab_check_structures(fab_check *c, fab_error *err)
{
    FAB_AUTO_FREE uint16_t *row_of = NULL;
    size_t values = 0;
    FAB_TRY(make_rows(c, &row_of, &values, err));
    FAB_TRY(make_lattice(c, row_of, values, err));
    for (size_t i = 0; i < c->qa->structure_count; i++)
        FAB_TRY(check_edges(c, &c->qa->structures[i], err));
    FAB_TRY(check_circle(c, err));
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        FAB_TRY(check_scrap(c, &c->qa->structures[i], err)); /* says what others then need not */
        FAB_TRY(check_volume(c, &c->qa->structures[i], err));
        FAB_TRY(check_confidence(c, &c->qa->structures[i], err));
    }
    FAB_TRY(check_tissue(c, err));
    return check_margin(c, row_of, values, err);
}
