/* pictures.c - what a person sees first: four views of the surfaces, three slices through the
 * middle of things with outlines, and one sheet of them all (preview.png). */
#include "pipeline_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HERO_WIDTH = 840, SIDE_WIDTH = 500, SLICE_MAX = 640 };

/* Of the big picture, height by width: as the body is, within what a page can hold. */
static const double least_aspect = 0.8, most_aspect = 1.45;

void fab_pictures_free(fab_pictures *p)
{
    fab_image *all[] = {&p->front,    &p->back,     &p->left,     &p->oblique, &p->muscles,
                        &p->slice[0], &p->slice[1], &p->slice[2], &p->preview};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) fab_image_free(all[i]);
}

/* ---- surfaces --------------------------------------------------------------------------- */

/* How opaque a tissue is: in the views of the skeleton and organs, and in the one of everything. */
static const struct look {
    double inner, outer;
} looks[] = {
    [FAB_TISSUE_OTHER] = {0, 0},     [FAB_TISSUE_BONE] = {1, 1},   [FAB_TISSUE_ORGAN] = {1, 1},
    [FAB_TISSUE_VESSEL] = {1, 1},    [FAB_TISSUE_MUSCLE] = {0, 1}, [FAB_TISSUE_NERVE] = {1, 1},
    [FAB_TISSUE_LUNG] = {0.35, 1},   [FAB_TISSUE_BOWEL] = {1, 1},  [FAB_TISSUE_DISC] = {1, 1},
    [FAB_TISSUE_SKIN] = {0, 0},
};

static fab_status draw(const fab_twin *t, double azimuth, bool outer, int width, int height,
                       fab_image *out, fab_error *err)
{
    FAB_AUTO_FREE bool *visible = fab_calloc(t->meshes.count + 1, sizeof *visible);
    FAB_AUTO_FREE double *opacity = fab_calloc(t->meshes.count + 1, sizeof *opacity);
    if (!visible || !opacity) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    bool any = false;
    for (size_t i = 0; i < t->meshes.count; i++) {
        const fab_label *label = fab_label_set_find(&t->found.set, t->meshes.items[i].label);
        const fab_anatomy *a = label ? label->anatomy : NULL;
        const struct look *look = a ? &looks[a->tissue] : &(struct look){1, 1};
        opacity[i] = outer ? look->outer : look->inner;
        visible[i] = opacity[i] > 0;
        any |= visible[i];
    }
    for (size_t i = 0; i < t->meshes.count && !any; i++) { /* only soft tissue: show that */
        visible[i] = true;
        opacity[i] = 1;
    }
    fab_render_view view = {.azimuth_deg = azimuth, .width = width, .height = height,
                            .visible = visible, .opacity = opacity,
                            .background = FAB_BACKGROUND_TRANSPARENT};
    return fab_render_meshes(&t->lods[0], &t->found.set, &view, out, err);
}

/* ---- slices ----------------------------------------------------------------------------- */

static bool is_spine(const fab_structure *s)
{
    return strncmp(s->label->name, "vertebra", 8) == 0;
}

/* The slices meet in the middle of the organs, the sagittal one in the middle of the spine. */
static void slice_point(const fab_twin *t, double point[3])
{
    const fab_grid *g = fab_volume_grid(t->study->volume);
    double middle[3] = {(g->size[0] - 1) * 0.5, (g->size[1] - 1) * 0.5, (g->size[2] - 1) * 0.5};
    double sum[3] = {0}, weight = 0, spine = 0, spine_x = 0;
    fab_mat34_apply(&g->world_from_voxel, middle, point);
    for (size_t i = 0; i < t->structure_count; i++) {
        const fab_structure *s = &t->structures[i];
        fab_tissue tissue = s->label->anatomy ? s->label->anatomy->tissue : FAB_TISSUE_OTHER;
        if (is_spine(s)) {
            spine += s->volume_ml;
            spine_x += s->volume_ml * s->centroid_mm[0];
        }
        if (tissue != FAB_TISSUE_ORGAN) continue;
        weight += s->volume_ml;
        for (int a = 0; a < 3; a++) sum[a] += s->volume_ml * s->centroid_mm[a];
    }
    for (int a = 1; a < 3 && weight > 0; a++) point[a] = sum[a] / weight;
    if (weight > 0) point[0] = sum[0] / weight;
    if (spine > 0) point[0] = spine_x / spine;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

enum { WINDOW_SAMPLES = 20000 };

/* CT: soft tissue and bone together. Anything else: the 1st to the 99th percentile. */
static fab_status pick_window(const fab_twin *t, double *center, double *width, fab_error *err)
{
    *center = 60;
    *width = 520;
    if (strcmp(t->study->modality, "CT") == 0) return FAB_OK;
    const fab_grid *g = fab_volume_grid(t->study->volume);
    int64_t n = fab_grid_voxels(g), step = n / WINDOW_SAMPLES + 1;
    FAB_AUTO_FREE float *values = fab_alloc_array(WINDOW_SAMPLES + 1, sizeof *values);
    if (!values) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    size_t count = 0;
    for (int64_t i = 0; i < n && count < WINDOW_SAMPLES; i += step) {
        int64_t row = i / g->size[0];
        values[count++] = (float)fab_volume_get(t->study->volume, (int32_t)(i % g->size[0]),
                                                (int32_t)(row % g->size[1]),
                                                (int32_t)(row / g->size[1]));
    }
    qsort(values, count, sizeof *values, by_value);
    double low = (double)values[count / 100], high = (double)values[count - 1 - count / 100];
    *center = (low + high) / 2;
    *width = high > low ? high - low : 1;
    return FAB_OK;
}

static fab_status draw_slices(const fab_twin *t, fab_image slices[3], fab_error *err)
{
    static const int across[] = {0, 0, 1}, down[] = {1, 2, 2}; /* axial, coronal, sagittal */
    static const double millimetre[3] = {1, 1, 1};
    double point[3], center = 0, width = 0;
    fab_grid box;
    FAB_TRY(fab_grid_axis_aligned(fab_volume_grid(t->study->volume), millimetre, &box, err));
    FAB_TRY(pick_window(t, &center, &width, err));
    slice_point(t, point);
    for (int plane = 0; plane < 3; plane++) {
        double w = box.size[across[plane]], h = box.size[down[plane]];
        double scale = SLICE_MAX / fmax(w, h);
        int pw = (int)fmax(w * scale + 0.5, 64), ph = (int)fmax(h * scale + 0.5, 64);
        FAB_TRY(fab_render_slice(t->study->volume, t->found.labels, &t->found.set,
                                 (fab_plane)plane, point, center, width, pw, ph, &slices[plane],
                                 err));
    }
    return FAB_OK;
}

/* ---- the sheet -------------------------------------------------------------------------- */

/* No names on it: a picture travels further than a report. */
static fab_status draw_preview(const fab_twin *t, fab_image *out, fab_error *err)
{
    char subtitle[120];
    double center = 0, width = 0;
    FAB_TRY(pick_window(t, &center, &width, err));
    snprintf(subtitle, sizeof subtitle, "%s%s%zu %s. Research and training software",
             t->study->modality, t->study->modality[0] ? ", " : "", t->structure_count,
             fab_plural((int64_t)t->structure_count, "structure", "structures"));
    fab_render_preview_options o = {.meshes = &t->lods[0], .set = &t->found.set,
                                    .image = t->study->volume, .labels = t->found.labels,
                                    .image_is_hu = strcmp(t->study->modality, "CT") == 0,
                                    .window_center = center, .window_width = width,
                                    .subtitle = subtitle, .progress = &t->job.progress};
    return fab_render_preview(&o, out, err);
}

static double body_aspect(const fab_twin *t)
{
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (size_t i = 0; i < t->structure_count; i++) {
        const fab_grid *g = fab_volume_grid(t->found.labels);
        for (int corner = 0; corner < 8; corner++) {
            const fab_label_stats *s = &t->structures[i].stats;
            double p[3];
            for (int a = 0; a < 3; a++) p[a] = corner & 1 << a ? s->high[a] : s->low[a];
            fab_mat34_apply(&g->world_from_voxel, p, p);
            for (int a = 0; a < 3; a++) {
                low[a] = fmin(low[a], p[a]);
                high[a] = fmax(high[a], p[a]);
            }
        }
    }
    if (!(high[0] > low[0])) return 1;
    return fmin(fmax((high[2] - low[2]) / (high[0] - low[0]) * 1.04, least_aspect), most_aspect);
}

static fab_status make_all(const fab_twin *t, fab_pictures *p, fab_error *err)
{
    const fab_progress *progress = &t->job.progress;
    int hero = (int)(HERO_WIDTH * body_aspect(t));
    int side = (int)(hero * (SIDE_WIDTH / 345.0) / (HERO_WIDTH / 560.0) / 2);
    FAB_TRY(draw_slices(t, p->slice, err));
    FAB_TRY(fab_progress_step(progress, "pictures", 0.15, err));
    FAB_TRY(draw(t, 0, false, HERO_WIDTH, hero, &p->front, err));
    FAB_TRY(fab_progress_step(progress, "pictures", 0.35, err));
    FAB_TRY(draw(t, 180, false, SIDE_WIDTH, side, &p->back, err));
    FAB_TRY(draw(t, 90, false, SIDE_WIDTH, side, &p->left, err));
    FAB_TRY(fab_progress_step(progress, "pictures", 0.55, err));
    FAB_TRY(draw(t, 215, true, SIDE_WIDTH, side, &p->oblique, err));
    FAB_TRY(draw(t, 35, true, SIDE_WIDTH, side, &p->muscles, err));
    FAB_TRY(fab_progress_step(progress, "pictures", 0.75, err));
    return draw_preview(t, &p->preview, err);
}

fab_status fab_pictures_make(const fab_twin *t, fab_pictures *out, fab_error *err)
{
    fab_pictures p = {0};
    fab_status status = make_all(t, &p, err);
    if (status < 0) {
        fab_pictures_free(&p);
        return status;
    }
    *out = p;
    return FAB_OK;
}
