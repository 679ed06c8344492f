/* meshes.c - one 3D view: project, bin, opaque surface, occlusion, light, translucent layers, and
 * the mean over each pixel's samples onto the background. */
#include <math.h>

#include "render_internal.h"

static void frame_free(fab_render_frame *f)
{
    for (size_t i = 0; i < f->item_count; i++) fab_free(f->items[i].vertices);
    fab_free(f->items);
    fab_free(f->bins.start);
    fab_free(f->bins.ids);
    fab_render_planes_free(&f->seen);
    fab_free(f->rgba);
}

/* ---- samples to pixels ------------------------------------------------------------------ */

typedef struct resolve_job {
    const fab_render_frame *frame;
    fab_render_background background;
    fab_image *out;
} resolve_job;

/* Linear light of the gradient: lighter in the upper middle, darker to the corners. */
static void background_at(fab_render_background kind, double u, double v, float rgb[3])
{
    static const double dark[2][3] = {{0.052, 0.060, 0.072}, {0.0075, 0.0085, 0.0105}};
    static const double light[2][3] = {{0.92, 0.93, 0.94}, {0.62, 0.64, 0.67}};
    const double(*pair)[3] = kind == FAB_BACKGROUND_LIGHT ? light : dark;
    double x = (u - 0.5) * 1.15, y = v - 0.42, r = sqrt(x * x + y * y) / 0.75;
    r = r < 1 ? r : 1;
    double t = r * r * (3 - 2 * r);
    for (int c = 0; c < 3; c++) rgb[c] = (float)(pair[0][c] + (pair[1][c] - pair[0][c]) * t);
}

/* A soft shoulder keeps highlights from clipping. */
static float tone(float x)
{
    return x < 0.75f ? x : 0.75f + 0.25f * tanhf((x - 0.75f) / 0.25f);
}

static void resolve_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const resolve_job *job = ctx;
    const fab_render_frame *f = job->frame;
    fab_image *out = job->out;
    float share = 1.0f / (float)(f->scale * f->scale);
    for (int x = 0; x < out->width; x++) {
        float sum[4] = {0}, back[3] = {0};
        for (int j = 0; j < f->scale; j++)
            for (int i = 0; i < f->scale; i++) {
                size_t row = (size_t)y * (size_t)f->scale + (size_t)j;
                size_t column = (size_t)x * (size_t)f->scale + (size_t)i;
                const float *s = f->rgba + 4 * (row * (size_t)f->width + column);
                for (int c = 0; c < 3; c++) sum[c] += tone(s[c]) * share;
                sum[3] += s[3] * share;
            }
        uint8_t *p = out->rgba + 4 * ((size_t)y * (size_t)out->width + (size_t)x);
        bool clear = job->background == FAB_BACKGROUND_TRANSPARENT;
        if (!clear)
            background_at(job->background, (x + 0.5) / out->width,
                          ((double)y + 0.5) / out->height, back);
        for (int c = 0; c < 3; c++)
            p[c] = fab_render_srgb(clear ? (sum[3] > 0 ? sum[c] / sum[3] : 0)
                                         : sum[c] + (1 - sum[3]) * back[c]);
        p[3] = clear ? (uint8_t)lrintf(255 * fminf(sum[3], 1)) : 255;
    }
}

void fab_render_resolve(const fab_render_frame *f, fab_render_background background,
                        fab_image *out)
{
    resolve_job job = {.frame = f, .background = background, .out = out};
    fab_parallel_for(out->height, resolve_row, &job);
}

/* ---- the view --------------------------------------------------------------------------- */

static fab_status draw(fab_render_frame *f, const fab_mesh_set *meshes, const fab_label_set *set,
                       const fab_render_view *view, fab_image *image, fab_error *err)
{
    FAB_TRY(fab_progress_step(view->progress, "render", 0, err));
    FAB_TRY(fab_render_project(meshes, set, view, f, err));
    FAB_TRY(fab_image_create(view->width, view->height, image, err));
    FAB_TRY(fab_render_planes_make(f, err));
    FAB_TRY(fab_render_bin(f, err));
    FAB_TRY(fab_progress_step(view->progress, "render", 0.2, err));
    fab_render_opaque(f);
    FAB_TRY(fab_progress_step(view->progress, "render", 0.4, err));
    FAB_TRY(fab_render_occlude(f, err));
    FAB_TRY(fab_render_shade(f, err));
    FAB_TRY(fab_progress_step(view->progress, "render", 0.7, err));
    FAB_TRY(fab_render_translucent(f, err));
    fab_render_resolve(f, view->background, image);
    return fab_progress_step(view->progress, "render", 1, err);
}

fab_status fab_render_meshes(const fab_mesh_set *meshes, const fab_label_set *set,
                             const fab_render_view *view, fab_image *out, fab_error *err)
{
    if (!meshes || !view) FAB_FAIL(err, FAB_ERR_ARG, "render: no meshes or no view given");
    fab_render_frame frame = {0};
    fab_image image = {0};
    fab_status status = draw(&frame, meshes, set, view, &image, err);
    frame_free(&frame);
    if (status < 0) {
        fab_image_free(&image);
        return status;
    }
    *out = image;
    return FAB_OK;
}
