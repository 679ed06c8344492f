/* preview.c - the picture of a twin: three views in 3D above three slices. What is shown how is
 * the table of views below; a new view is a new row. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render_internal.h"

static const double unknown_opacity = 0.13; /* of a name the anatomy table does not have */
static const double skin_rim_mm = 8, bare_rim_mm = 30;
enum { VIEWS = 3, TISSUES = FAB_TISSUE_SKIN + 1, DESIGN_WIDTH = 1920 };

/* Opacity by tissue; 0 hides. */
typedef struct preview_view {
    const char *caption;
    double azimuth_deg, elevation_deg;
    double opacity[TISSUES];
} preview_view;

static const preview_view views[VIEWS] = {
    {"Front", 0, 4,
     {[FAB_TISSUE_OTHER] = 1, [FAB_TISSUE_BONE] = 1, [FAB_TISSUE_ORGAN] = 1,
      [FAB_TISSUE_VESSEL] = 1, [FAB_TISSUE_NERVE] = 1, [FAB_TISSUE_LUNG] = 0.16,
      [FAB_TISSUE_BOWEL] = 1, [FAB_TISSUE_DISC] = 1, [FAB_TISSUE_SKIN] = 0.11}},
    {"Left", 90, 4,
     {[FAB_TISSUE_OTHER] = 1, [FAB_TISSUE_BONE] = 1, [FAB_TISSUE_ORGAN] = 1,
      [FAB_TISSUE_VESSEL] = 1, [FAB_TISSUE_NERVE] = 1, [FAB_TISSUE_LUNG] = 0.16,
      [FAB_TISSUE_BOWEL] = 0.16, [FAB_TISSUE_DISC] = 1, [FAB_TISSUE_SKIN] = 0.11}},
    {"Back", 180, 4,
     {[FAB_TISSUE_OTHER] = 1, [FAB_TISSUE_BONE] = 1, [FAB_TISSUE_ORGAN] = 1,
      [FAB_TISSUE_VESSEL] = 1, [FAB_TISSUE_NERVE] = 1, [FAB_TISSUE_LUNG] = 0.16,
      [FAB_TISSUE_BOWEL] = 1, [FAB_TISSUE_DISC] = 1, [FAB_TISSUE_SKIN] = 0.11}},
};

/* What fills the body or wraps it would hide everything else; FAB_TISSUE_OTHER says too little. */
static const struct { const char *name; double opacity; } wrappers[] = {
    {"body_extremities", 0.11}, {"body_trunc", 0.11}, {"fat", 0}, {"soft_tissue", 0},
    {"subcutaneous_fat", 0}, {"torso_fat", 0}, {"cerebrospinal_fluid", 0},
};

/* Where each slice is laid: through the middle of the first of these that the label map has. */
static const struct { fab_plane plane; const char *caption; const char *anchors[4]; } slices[] = {
    {FAB_AXIAL, "Axial", {"kidney", "liver", "vertebrae_", NULL}},
    {FAB_CORONAL, "Coronal", {"kidney", "liver", "vertebrae_", NULL}},
    {FAB_SAGITTAL, "Sagittal", {"vertebrae", "spinal_cord", "sacrum", NULL}},
};

static const uint8_t page[4] = {13, 15, 18, 255}, ink[4] = {240, 243, 246, 255};
static const uint8_t pale[4] = {150, 160, 172, 255}, amber[4] = {246, 190, 92, 255};
static const uint8_t amber_back[4] = {246, 190, 92, 34};

/* Distances in pixels of the finished picture. */
typedef struct preview_layout {
    double unit; /* 1 at DESIGN_WIDTH */
    int width, height, margin, gap, head, panel_width, view_height, slice_height;
} preview_layout;

typedef struct preview_job {
    const fab_render_preview_options *options;
    preview_layout layout;
    fab_mesh_set meshes, body; /* meshes: a list of borrowed meshes, the body's among them */
    fab_label_set set;
    double *opacity;
    fab_image image;
} preview_job;

static void job_free(preview_job *job)
{
    fab_free(job->meshes.items); /* the meshes themselves are borrowed */
    fab_mesh_set_free(&job->body);
    fab_label_set_free(&job->set);
    fab_free(job->opacity);
    fab_image_free(&job->image);
}

static preview_layout lay_out(int width, bool with_slices)
{
    preview_layout l = {.width = width, .unit = (double)width / DESIGN_WIDTH};
    l.margin = (int)(28 * l.unit);
    l.gap = (int)(14 * l.unit);
    l.head = (int)(104 * l.unit);
    l.panel_width = (width - 2 * l.margin - (VIEWS - 1) * l.gap) / VIEWS;
    l.slice_height = with_slices ? (int)(l.panel_width * 0.80) : 0;
    return l;
}

/* Views as tall as the twin wants, within bounds; then the picture's height is known. */
static void set_height(preview_layout *l, double tall_over_wide)
{
    l->view_height = (int)(l->panel_width * fmin(fmax(tall_over_wide, 0.95), 1.45));
    l->height = l->head + l->view_height + l->margin;
    if (l->slice_height) l->height += l->slice_height + l->gap;
}

static int panel_x(const preview_layout *l, int column)
{
    return l->margin + column * (l->panel_width + l->gap);
}

/* ---- what is shown ---------------------------------------------------------------------- */

static fab_tissue tissue_of(const preview_job *job, size_t mesh)
{
    const fab_label *label = fab_label_set_find(&job->set, job->meshes.items[mesh].label);
    return label && label->anatomy ? label->anatomy->tissue : FAB_TISSUE_OTHER;
}

/* The wrapper's opacity, or -1 for a structure that is none. */
static double label_wrapper(const fab_label *label)
{
    for (size_t i = 0; label && i < sizeof wrappers / sizeof *wrappers; i++)
        if (strcmp(label->name, wrappers[i].name) == 0) return wrappers[i].opacity;
    return label && !label->anatomy ? unknown_opacity : -1;
}

static double wrapper_opacity(const preview_job *job, size_t mesh)
{
    return label_wrapper(fab_label_set_find(&job->set, job->meshes.items[mesh].label));
}

/* What the slices outline: not what fills or wraps the body. */
static fab_status slice_set(const preview_job *job, fab_label_set *out, fab_error *err)
{
    for (size_t i = 0; job->options->set && i < job->options->set->count; i++) {
        const fab_label *label = &job->options->set->items[i];
        bool skin = label->anatomy && label->anatomy->tissue == FAB_TISSUE_SKIN;
        if (skin || (label->anatomy && label_wrapper(label) >= 0)) continue;
        FAB_TRY(fab_label_set_add(out, label->value, label->name, err));
        memcpy(out->items[out->count - 1].rgb, label->rgb, sizeof label->rgb);
    }
    return FAB_OK;
}

static bool has_skin(const preview_job *job)
{
    for (size_t m = 0; m < job->meshes.count; m++)
        if (tissue_of(job, m) == FAB_TISSUE_SKIN) return true;
    return false;
}

static void set_opacity(preview_job *job, const double by_tissue[TISSUES])
{
    bool solid = false;
    for (size_t m = 0; m < job->meshes.count; m++) {
        double wrapper = wrapper_opacity(job, m);
        job->opacity[m] = wrapper >= 0 ? wrapper : by_tissue[tissue_of(job, m)];
        solid |= job->opacity[m] >= 1;
    }
    for (size_t m = 0; m < job->meshes.count && !solid; m++) /* only soft tissue: show that */
        if (job->opacity[m] <= 0) job->opacity[m] = 1;
}

static fab_status add_body(preview_job *job, fab_error *err)
{
    const fab_render_preview_options *o = job->options;
    if (!o->image || !o->image_is_hu || has_skin(job)) return FAB_OK;
    int label = 1;
    for (size_t i = 0; i < job->set.count; i++)
        if (job->set.items[i].value >= label) label = job->set.items[i].value + 1;
    if (label > FAB_MAX_LABELS || job->set.count >= FAB_MAX_STRUCTURES) return FAB_OK;
    FAB_TRY(fab_render_body_surface(o->image, label, &job->body, err));
    if (!job->body.count) return FAB_OK;
    FAB_TRY(fab_label_set_add(&job->set, label, "skin", err));
    job->meshes.items[job->meshes.count++] = job->body.items[0];
    return FAB_OK;
}

static fab_status gather(preview_job *job, fab_error *err)
{
    const fab_render_preview_options *o = job->options;
    size_t count = o->meshes->count + 1;
    if (o->set) FAB_TRY(fab_label_set_copy(o->set, &job->set, err));
    job->meshes.items = fab_calloc(count, sizeof *job->meshes.items);
    job->opacity = fab_calloc(count, sizeof *job->opacity);
    if (!job->meshes.items || !job->opacity)
        FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for the preview");
    job->meshes.count = o->meshes->count;
    if (o->meshes->count)
        memcpy(job->meshes.items, o->meshes->items, o->meshes->count * sizeof *o->meshes->items);
    return add_body(job, err);
}

static fab_render_view view_of(preview_job *job, int column)
{
    set_opacity(job, views[column].opacity);
    return (fab_render_view){.azimuth_deg = views[column].azimuth_deg,
                             .elevation_deg = views[column].elevation_deg,
                             .width = job->layout.panel_width,
                             .height = job->layout.view_height,
                             .opacity = job->opacity,
                             .field_of_view_deg = 16,
                             .supersample = 2,
                             .progress = job->options->progress};
}

/* ---- drawing ---------------------------------------------------------------------------- */

static void caption(preview_job *job, int column, int y, const char *text)
{
    double u = job->layout.unit;
    fab_text_style style = {.height_px = 15 * u, .weight = 0.135, .rgba = {240, 243, 246, 235}};
    fab_render_text(&job->image, panel_x(&job->layout, column) + 18 * u, y + 34 * u, text, &style);
}

/* A picture into its panel, with rounded corners and a thin rim. */
static void put_panel(preview_job *job, int column, int y, const fab_image *panel)
{
    int x = panel_x(&job->layout, column);
    fab_image_draw(&job->image, x, y, panel);
    double r = 10 * job->layout.unit, w = panel->width, h = panel->height;
    for (int corner = 0; corner < 4; corner++) { /* page colour outside the rounding */
        double cx = corner & 1 ? w - r : r, cy = corner & 2 ? h - r : r;
        for (int j = 0; j <= (int)r; j++)
            for (int i = 0; i <= (int)r; i++) {
                int px = corner & 1 ? (int)w - 1 - i : i, py = corner & 2 ? (int)h - 1 - j : j;
                double outside = hypot(px + 0.5 - cx, py + 0.5 - cy) - r + 0.5;
                fab_image_blend(&job->image, x + px, y + py, page, outside < 0 ? 0 : outside);
            }
    }
}

static fab_status draw_views(preview_job *job, fab_error *err)
{
    double scale = 0, centers[VIEWS][3];
    const preview_layout *l = &job->layout;
    for (int i = 0; i < VIEWS; i++) {
        double mm;
        fab_render_view view = view_of(job, i);
        fab_render_fit(&job->meshes, &view, &mm, centers[i]);
        scale = fmax(scale, mm);
    }
    for (int i = 0; i < VIEWS; i++) {
        __attribute__((cleanup(fab_image_free))) fab_image panel = {0};
        fab_render_view view = view_of(job, i);
        view.mm_per_pixel = scale;
        view.center = centers[i];
        FAB_TRY(fab_render_meshes(&job->meshes, &job->set, &view, &panel, err));
        if (job->meshes.count)
            fab_render_scale_bar(&panel, scale, 18 * l->unit, panel.height - 18 * l->unit,
                                 panel.width * 0.2, 13 * l->unit);
        put_panel(job, i, l->head, &panel);
        caption(job, i, l->head, views[i].caption);
    }
    return FAB_OK;
}

/* Mean centre of the structures whose names begin like prefix; false if there is none. */
static bool anchor_of(const preview_job *job, const fab_label_stats *stats, size_t count,
                      const char *prefix, double world[3])
{
    double sum[3] = {0}, voxels = 0;
    for (size_t i = 0; i < job->set.count; i++) {
        const fab_label *label = &job->set.items[i];
        if ((size_t)label->value >= count) continue;
        if (prefix && strncmp(label->name, prefix, strlen(prefix)) != 0) continue;
        const fab_label_stats *s = &stats[label->value];
        for (int a = 0; a < 3; a++) sum[a] += (double)s->voxels * s->centroid_voxel[a];
        voxels += (double)s->voxels;
    }
    if (voxels <= 0) return false;
    for (int a = 0; a < 3; a++) sum[a] /= voxels;
    fab_mat34_apply(&fab_volume_grid(job->options->labels)->world_from_voxel, sum, world);
    return true;
}

static void middle_of(const fab_grid *g, double world[3])
{
    for (int a = 0; a < 3; a++) world[a] = (g->size[a] - 1) / 2.0;
    fab_mat34_apply(&g->world_from_voxel, world, world);
}

static fab_status anchors(preview_job *job, double world[3][3], fab_error *err)
{
    const fab_render_preview_options *o = job->options;
    double low, high;
    for (int i = 0; i < 3; i++) middle_of(fab_volume_grid(o->image), world[i]);
    if (!o->labels || !o->set) return FAB_OK;
    fab_volume_minmax(o->labels, &low, &high);
    size_t count = (size_t)high + 1;
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc(count, sizeof *stats);
    if (!stats) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for the structures' middles");
    FAB_TRY(fab_labels_stats(o->labels, count, stats, err));
    for (int i = 0; i < 3; i++) {
        bool found = false;
        for (int a = 0; slices[i].anchors[a] && !found; a++)
            found = anchor_of(job, stats, count, slices[i].anchors[a], world[i]);
        if (!found) anchor_of(job, stats, count, NULL, world[i]);
    }
    return FAB_OK;
}

static void widen(const fab_mesh *mesh, const fab_mat34 *voxel_from_world, double low[3],
                  double high[3])
{
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        const float *p = mesh->position + 3 * (size_t)v;
        double at[3] = {p[0], p[1], p[2]};
        fab_mat34_apply(voxel_from_world, at, at);
        for (int a = 0; a < 3; a++) {
            low[a] = fmin(low[a], at[a]);
            high[a] = fmax(high[a], at[a]);
        }
    }
}

/* The part of the image around what is shown, so that the table and air do not shrink it. */
static fab_status crop_image(const preview_job *job, fab_volume **out, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(job->options->image);
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    double spacing[3];
    int32_t start[3], size[3];
    fab_mat34 voxel_from_world;
    FAB_TRY(fab_mat34_invert(&g->world_from_voxel, &voxel_from_world, err));
    fab_grid_spacing(g, spacing);
    for (size_t m = 0; m < job->meshes.count; m++)
        widen(&job->meshes.items[m], &voxel_from_world, low, high);
    for (int a = 0; a < 3; a++) {
        double rim = (has_skin(job) ? skin_rim_mm : bare_rim_mm) / spacing[a];
        bool any = low[a] <= high[a];
        double first = any ? fmin(fmax(floor(low[a] - rim), 0), g->size[a] - 1) : 0;
        double last = any ? fmax(fmin(ceil(high[a] + rim), g->size[a] - 1), first)
                          : g->size[a] - 1;
        start[a] = (int32_t)first;
        size[a] = (int32_t)(last - first) + 1;
    }
    return fab_volume_crop(job->options->image, start, size, out, err);
}

static void window_of(const fab_render_preview_options *o, double *center, double *width)
{
    *center = o->window_center, *width = o->window_width;
    if (*width > 0) return;
    double low, high;
    fab_volume_minmax(o->image, &low, &high);
    *center = o->image_is_hu ? 40 : (low + high) / 2;
    *width = o->image_is_hu ? 400 : fmax(high - low, 1e-6);
}

static fab_status draw_slices(preview_job *job, fab_error *err)
{
    const fab_render_preview_options *o = job->options;
    const preview_layout *l = &job->layout;
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    __attribute__((cleanup(fab_label_set_free))) fab_label_set shown = {0};
    double world[3][3], center, width;
    FAB_TRY(slice_set(job, &shown, err));
    FAB_TRY(anchors(job, world, err));
    FAB_TRY(crop_image(job, &image, err));
    window_of(o, &center, &width);
    int y = l->head + l->view_height + l->gap;
    for (int i = 0; i < 3; i++) {
        __attribute__((cleanup(fab_image_free))) fab_image panel = {0};
        FAB_TRY(fab_render_slice(image, o->labels, &shown, slices[i].plane, world[i], center, width,
                                 l->panel_width, l->slice_height, &panel, err));
        put_panel(job, i, y, &panel);
        caption(job, i, y, slices[i].caption);
    }
    return FAB_OK;
}

static void draw_head(preview_job *job)
{
    const fab_render_preview_options *o = job->options;
    const preview_layout *l = &job->layout;
    double u = l->unit;
    fab_text_style title = {.height_px = 27 * u, .weight = 0.13};
    fab_text_style small = {.height_px = 14 * u, .weight = 0.115};
    fab_text_style notice = {.height_px = 13 * u, .weight = 0.13, .align = FAB_TEXT_CENTER};
    memcpy(title.rgba, ink, 4);
    memcpy(small.rgba, pale, 4);
    memcpy(notice.rgba, amber, 4);
    fab_render_text(&job->image, l->margin, 51 * u, o->title ? o->title : "Digital twin", &title);
    if (o->subtitle) fab_render_text(&job->image, l->margin, 83 * u, o->subtitle, &small);
    const char *warning = "Not for diagnostic use";
    double w = fab_render_text_width(warning, &notice) + 34 * u, x = l->width - l->margin - w;
    fab_image_fill_box(&job->image, x, 32 * u, w, 36 * u, 18 * u, amber_back);
    fab_render_text(&job->image, x + w / 2, 56.5 * u, warning, &notice);
}

static double tallest(preview_job *job)
{
    double wide = 1, tall = 1.2, mm[2];
    for (int i = 0; i < VIEWS; i++) {
        fab_render_view view = view_of(job, i);
        if (!fab_render_extent(&job->meshes, &view, mm)) continue;
        wide = i ? fmax(wide, mm[0]) : mm[0];
        tall = i ? fmax(tall, mm[1]) : mm[1];
    }
    return wide > 0 ? tall / wide + 0.12 : 1.2; /* room for the caption */
}

static fab_status compose(preview_job *job, fab_error *err)
{
    preview_layout *l = &job->layout;
    FAB_TRY(gather(job, err));
    set_height(l, tallest(job));
    FAB_TRY(fab_image_create(l->width, l->height, &job->image, err));
    for (size_t i = 0; i < (size_t)l->width * (size_t)l->height; i++)
        memcpy(job->image.rgba + 4 * i, page, 4);
    draw_head(job);
    FAB_TRY(draw_views(job, err));
    return job->options->image ? draw_slices(job, err) : FAB_OK;
}

fab_status fab_render_preview(const fab_render_preview_options *options, fab_image *out,
                              fab_error *err)
{
    if (!options || !options->meshes) FAB_FAIL(err, FAB_ERR_ARG, "render: no meshes given");
    int width = options->width ? options->width : DESIGN_WIDTH;
    if (width < 320 || width > 7680)
        FAB_FAIL(err, FAB_ERR_ARG, "render: a preview %d pixels wide, 320 to 7680 are made", width);
    preview_job job = {.options = options, .layout = lay_out(width, options->image != NULL)};
    fab_status status = compose(&job, err);
    if (status >= 0) {
        *out = job.image;
        job.image = (fab_image){0};
    }
    job_free(&job);
    return status;
}
