/* qa.c - what a person should be told about each structure before trusting it: cut by the end of
 * the scan, in pieces, a volume no adult has, left on the right, vertebrae out of order. A finding
 * never changes a label. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Volumes outside of these are worth a look in an adult (ml): about the 1st percentile halved and
 * the 99th doubled of published CT volumetry, wide on purpose. */
static const struct norm {
    const char *name;
    double low_ml, high_ml;
} norms[] = {
    {"liver", 600, 3500},       {"spleen", 40, 900},        {"kidney_left", 50, 450},
    {"kidney_right", 50, 450},  {"kidneys", 100, 900},      {"heart", 250, 1600},
    {"pancreas", 25, 220},      {"aorta", 60, 600},         {"lung_left", 600, 4500},
    {"lung_right", 700, 5000},  {"lungs", 1300, 9500},      {"stomach", 40, 1800},
    {"urinary_bladder", 15, 1200}, {"sacrum", 80, 450},     {"hip_left", 150, 700},
    {"hip_right", 150, 700},    {"spinal_cord", 10, 150},
};

static const double fragment_share = 0.90;
static const double side_margin_mm = 5.0;
static const double low_confidence = 0.6; /* as our own networks' (fabrica/segment.h) */

static void add_finding(fab_structure *s, const char *code, fab_severity severity,
                        const char *format, ...) FAB_PRINTF(4, 5);
static void add_finding(fab_structure *s, const char *code, fab_severity severity,
                        const char *format, ...)
{
    if (s->finding_count == FAB_MAX_REMARKS) return;
    fab_remark *f = &s->findings[s->finding_count++];
    *f = (fab_remark){.code = code, .severity = severity};
    va_list args;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

/* "-i" face of the grid in the patient's words. */
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

static void check_edges(fab_structure *s, const fab_grid *g)
{
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
    if (count)
        add_finding(s, "touches-scan-edge", FAB_INFO, "cut by the %s edge%s of the scan", faces,
                    count > 1 ? "s" : "");
}

static void check_volume(fab_structure *s)
{
    bool cut = s->finding_count > 0; /* the only finding so far is the scan's edge */
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        if (strcmp(norms[i].name, s->label->name) != 0) continue;
        if (s->volume_ml < norms[i].low_ml && !cut)
            add_finding(s, "small-volume", FAB_WARNING,
                        "%.0f ml is less than expected of an adult (%.0f to %.0f ml)",
                        s->volume_ml, norms[i].low_ml, norms[i].high_ml);
        if (s->volume_ml > norms[i].high_ml)
            add_finding(s, "large-volume", FAB_WARNING,
                        "%.0f ml is more than expected of an adult (%.0f to %.0f ml)",
                        s->volume_ml, norms[i].low_ml, norms[i].high_ml);
    }
}

/* Names that are many bones or loops by nature are never called fragmented. */
static bool many_parts(const char *name)
{
    static const char *const plural[] = {"vertebrae", "ribs", "bowel", "hips", "femurs", "lungs",
                                         "kidneys", "muscles", "autochthon", "shoulder_girdle",
                                         "vessel", "fat", "soft_tissue", "discs", "metal"};
    for (size_t i = 0; i < sizeof plural / sizeof *plural; i++)
        if (strncmp(name, plural[i], strlen(plural[i])) == 0 && !strchr(name, '_')) return true;
    return strncmp(name, "ribs", 4) == 0 || strstr(name, "muscles") != NULL ||
           strncmp(name, "shoulder_girdle", 15) == 0 || strstr(name, "bowel") != NULL;
}

static fab_status check_fragments(fab_structure *s, const fab_volume *labels, fab_error *err)
{
    FAB_AUTO_FREE int64_t *sizes = NULL;
    int32_t n = 0;
    if (many_parts(s->label->name)) return FAB_OK;
    FAB_TRY(fab_labels_component_sizes(labels, &s->stats, s->label->value, false, &n, &sizes,
                                       err));
    if (n < 2 || (double)sizes[0] >= fragment_share * (double)s->voxels) return FAB_OK;
    add_finding(s, "fragments", FAB_WARNING, "in %d pieces; the largest is %.0f %% of it", n,
                100.0 * (double)sizes[0] / (double)s->voxels);
    return FAB_OK;
}

static fab_structure *by_name(fab_structure *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].label->name, name) == 0) return &rows[i];
    return NULL;
}

/* LPS: +x is the patient's left. */
static void check_sides(fab_structure *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = rows[i].label->name;
        size_t length = strlen(name);
        char partner[FAB_MAX_NAME_BYTES + 8];
        if (length < 6 || strcmp(name + length - 5, "_left") != 0) continue;
        snprintf(partner, sizeof partner, "%.*s_right", (int)(length - 5), name);
        fab_structure *right = by_name(rows, count, partner);
        if (!right || rows[i].centroid_mm[0] > right->centroid_mm[0] - side_margin_mm) continue;
        add_finding(&rows[i], "left-right", FAB_WARNING, "lies to the right of %s", partner);
        add_finding(right, "left-right", FAB_WARNING, "lies to the left of %s", name);
    }
}

static void check_levels(fab_structure *rows, size_t count)
{
    static const char *const levels[] = {
        "C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2",  "T3", "T4", "T5", "T6",
        "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5", "L6"};
    fab_structure *above = NULL;
    size_t above_level = 0;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char name[32];
        snprintf(name, sizeof name, "vertebrae_%s", levels[i]);
        fab_structure *here = by_name(rows, count, name);
        if (!here) continue;
        if (above && here->centroid_mm[2] >= above->centroid_mm[2])
            add_finding(here, "level-order", FAB_WARNING, "lies above %s", above->label->name);
        if (above && i > above_level + 1)
            add_finding(here, "level-gap", FAB_WARNING, "the next one found above is %s",
                        above->label->name);
        above = here;
        above_level = i;
    }
}

static void fill_row(fab_structure *s, const fab_label *label, const fab_label_stats *stats,
                     const fab_grid *g, double confidence)
{
    s->label = label;
    s->stats = *stats;
    s->voxels = stats->voxels;
    s->volume_ml = (double)stats->voxels * fab_grid_voxel_volume_mm3(g) / 1000.0;
    s->confidence = confidence;
    fab_mat34_apply(&g->world_from_voxel, stats->centroid_voxel, s->centroid_mm);
    fab_safe_name(label->name, s->file_name, sizeof s->file_name);
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

/* Fragments, sides and confidence as the network's own post-processing saw them. */
static void take_findings(fab_structure *s, const fab_segment_result *found)
{
    static const char *const codes[FAB_FINDING_KINDS] = {
        [FAB_FINDING_FRAGMENTS] = "fragments",
        [FAB_FINDING_SIDE_FALLBACK] = "side-uncertain",
        [FAB_FINDING_LOW_CONFIDENCE] = "low-confidence"};
    for (size_t i = 0; i < found->finding_count; i++) {
        const fab_finding *f = &found->findings[i];
        if (f->value == s->label->value && codes[f->kind])
            add_finding(s, codes[f->kind], FAB_WARNING, "%s", f->text);
    }
}

static fab_status check_row(fab_structure *s, const fab_segment_result *found, fab_error *err)
{
    check_edges(s, fab_volume_grid(found->labels));
    check_volume(s);
    if (found->checked) {
        take_findings(s, found);
        return FAB_OK;
    }
    if (s->confidence < low_confidence)
        add_finding(s, "low-confidence", FAB_WARNING, "the network is unsure (confidence %.2f)",
                    s->confidence);
    return check_fragments(s, found->labels, err);
}

fab_status fab_qa_structures(const fab_segment_result *found, fab_job *job, fab_structure **out,
                             size_t *count, fab_error *err)
{
    const fab_label_set *set = &found->set;
    double low = 0, high = 0;
    fab_volume_minmax(found->labels, &low, &high);
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc((size_t)high + 1, sizeof *stats);
    FAB_AUTO_FREE fab_structure *rows = fab_calloc(set->count + 1, sizeof *rows);
    if (!stats || !rows) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_labels_stats(found->labels, (size_t)high + 1, stats, err));
    size_t n = 0;
    for (size_t i = 0; i < set->count; i++) {
        const fab_label *label = &set->items[i];
        if (label->value > (int)high || stats[label->value].voxels == 0) continue;
        fill_row(&rows[n], label, &stats[label->value], fab_volume_grid(found->labels),
                 found->confidence ? found->confidence[i] : NAN);
        unique_file_name(rows, n);
        FAB_TRY(fab_job_part(job, i, set->count, err));
        FAB_TRY(check_row(&rows[n++], found, err));
    }
    check_sides(rows, n);
    check_levels(rows, n);
    *out = rows;
    rows = NULL;
    *count = n;
    return FAB_OK;
}
