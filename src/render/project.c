/* project.c - camera: world LPS millimetres to screen samples. View space has x to the right of
 * the picture, y up, z towards the viewer. At azimuth 0 the viewer stands in front of the patient
 * (at -y), so the patient's left (+x) is on the right of the picture; azimuth 90 is the viewer at
 * the patient's left. */
#include <math.h>
#include <string.h>

#include "render_internal.h"

static const double pi = 3.14159265358979323846, fit_margin = 1.06;
enum { MAX_SUPERSAMPLE = 4 };

typedef struct camera {
    double right[3], up[3], towards[3], center[3];
    double distance_mm; /* of the eye from the centre; 0 = orthographic */
    double samples_per_mm, middle[2];
} camera;

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void set_axes(camera *c, const fab_render_view *view)
{
    double az = view->azimuth_deg * pi / 180, el = view->elevation_deg * pi / 180;
    double s = sin(az), k = cos(az), se = sin(el), ke = cos(el);
    memcpy(c->right, (double[3]){k, s, 0}, sizeof c->right);
    memcpy(c->up, (double[3]){-s * se, k * se, ke}, sizeof c->up);
    memcpy(c->towards, (double[3]){s * ke, -k * ke, se}, sizeof c->towards);
}

static double opacity_of(const fab_render_view *view, size_t mesh)
{
    if (view->visible && !view->visible[mesh]) return 0;
    return view->opacity ? view->opacity[mesh] : 1;
}

/* Extent of what is visible along the three view axes, about the world's origin. */
static bool view_bounds(const fab_mesh_set *meshes, const fab_render_view *view, const camera *c,
                        double low[3], double high[3])
{
    for (int i = 0; i < 3; i++) low[i] = INFINITY, high[i] = -INFINITY;
    for (size_t m = 0; m < meshes->count; m++) {
        if (opacity_of(view, m) <= 0) continue;
        const fab_mesh *mesh = &meshes->items[m];
        for (uint32_t v = 0; v < mesh->vertex_count; v++) {
            const float *p = mesh->position + 3 * (size_t)v;
            double world[3] = {p[0], p[1], p[2]};
            double seen[3] = {dot(world, c->right), dot(world, c->up), dot(world, c->towards)};
            for (int i = 0; i < 3; i++) {
                low[i] = fmin(low[i], seen[i]);
                high[i] = fmax(high[i], seen[i]);
            }
        }
    }
    return low[0] <= high[0];
}

void fab_render_fit(const fab_mesh_set *meshes, const fab_render_view *view, double *mm_per_pixel,
                    double center[3])
{
    camera c = {0};
    double low[3], high[3];
    set_axes(&c, view);
    *mm_per_pixel = 1;
    for (int i = 0; i < 3; i++) center[i] = 0;
    if (!view_bounds(meshes, view, &c, low, high)) return;
    double middle[3];
    for (int i = 0; i < 3; i++) middle[i] = (low[i] + high[i]) / 2;
    for (int i = 0; i < 3; i++)
        center[i] = middle[0] * c.right[i] + middle[1] * c.up[i] + middle[2] * c.towards[i];
    double wide = (high[0] - low[0]) / view->width, tall = (high[1] - low[1]) / view->height;
    *mm_per_pixel = fmax(fmax(wide, tall) * fit_margin, 1e-6);
}

bool fab_render_extent(const fab_mesh_set *meshes, const fab_render_view *view, double mm[2])
{
    camera c = {0};
    double low[3], high[3];
    set_axes(&c, view);
    if (!view_bounds(meshes, view, &c, low, high)) return false;
    mm[0] = high[0] - low[0];
    mm[1] = high[1] - low[1];
    return true;
}

static void aim(const fab_mesh_set *meshes, const fab_render_view *view, fab_render_frame *f,
                camera *c)
{
    double mm_per_pixel;
    set_axes(c, view);
    fab_render_fit(meshes, view, &mm_per_pixel, c->center);
    if (view->mm_per_pixel > 0) mm_per_pixel = view->mm_per_pixel;
    if (view->center) memcpy(c->center, view->center, sizeof c->center);
    if (view->field_of_view_deg > 0)
        c->distance_mm = mm_per_pixel * view->height / 2 /
                         tan(view->field_of_view_deg * pi / 360);
    f->mm_per_sample = mm_per_pixel / f->scale;
    c->samples_per_mm = 1 / f->mm_per_sample;
    c->middle[0] = f->width / 2.0;
    c->middle[1] = f->height / 2.0;
}

static fab_render_vertex project(const camera *c, const float p[3], const float n[3])
{
    double at[3], normal[3] = {n[0], n[1], n[2]};
    for (int i = 0; i < 3; i++) at[i] = p[i] - c->center[i];
    double z = dot(at, c->towards), q = 1;
    if (c->distance_mm > 0) q = c->distance_mm / fmax(c->distance_mm - z, 1);
    return (fab_render_vertex){
        .x = (float)(c->middle[0] + dot(at, c->right) * c->samples_per_mm * q),
        .y = (float)(c->middle[1] - dot(at, c->up) * c->samples_per_mm * q),
        .depth_mm = (float)-z,
        .q = (float)q,
        .normal = {(float)dot(normal, c->right), (float)dot(normal, c->up),
                   (float)dot(normal, c->towards)}};
}

typedef struct project_job {
    fab_render_item *item;
    const float *normals;
    const camera *camera;
} project_job;

enum { BLOCK = 8192 };

static void project_block(void *ctx, int64_t block, int worker)
{
    (void)worker;
    project_job *job = ctx;
    uint32_t first = (uint32_t)block * BLOCK, last = first + BLOCK;
    if (last > job->item->mesh->vertex_count) last = job->item->mesh->vertex_count;
    for (uint32_t v = first; v < last; v++)
        job->item->vertices[v] = project(job->camera, job->item->mesh->position + 3 * (size_t)v,
                                         job->normals + 3 * (size_t)v);
}

static fab_status project_item(const fab_mesh *mesh, const camera *c, fab_render_frame *f,
                               fab_render_item *item, fab_error *err)
{
    fab_mesh shell = *mesh;
    item->mesh = mesh;
    item->vertices = fab_alloc_array(mesh->vertex_count, sizeof *item->vertices);
    if (!item->vertices) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for the vertices");
    if (!mesh->normal) FAB_TRY(fab_mesh_compute_normals(&shell, err));
    project_job job = {.item = item, .normals = shell.normal, .camera = c};
    fab_parallel_for((mesh->vertex_count + BLOCK - 1) / BLOCK, project_block, &job);
    if (!mesh->normal) fab_free(shell.normal);
    item->first_triangle = f->triangle_count;
    f->triangle_count += mesh->triangle_count;
    for (uint32_t v = 0; v < mesh->vertex_count; v++) {
        f->near_mm = fminf(f->near_mm, item->vertices[v].depth_mm);
        f->far_mm = fmaxf(f->far_mm, item->vertices[v].depth_mm);
    }
    return FAB_OK;
}

static fab_status check_view(const fab_render_view *view, fab_error *err)
{
    int scale = view->supersample ? view->supersample : 2;
    if (view->width < 1 || view->height < 1 || scale < 1 || scale > MAX_SUPERSAMPLE)
        FAB_FAIL(err, FAB_ERR_ARG, "render: a view of %d x %d pixels, %d x supersampled, makes no "
                 "sense", view->width, view->height, scale);
    if (!isfinite(view->azimuth_deg) || !isfinite(view->elevation_deg) ||
        !(view->field_of_view_deg >= 0 && view->field_of_view_deg < 150))
        FAB_FAIL(err, FAB_ERR_ARG, "render: angles %g, %g, field of view %g make no sense",
                 view->azimuth_deg, view->elevation_deg, view->field_of_view_deg);
    if (view->width > FAB_MAX_IMAGE_DIM || view->height > FAB_MAX_IMAGE_DIM ||
        (int64_t)view->width * view->height * scale * scale > FAB_MAX_FRAME_SAMPLES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "render: %d x %d pixels at %d x %d samples are more than "
                 "%lld samples", view->width, view->height, scale, scale,
                 (long long)FAB_MAX_FRAME_SAMPLES);
    return FAB_OK;
}

fab_status fab_render_project(const fab_mesh_set *meshes, const fab_label_set *set,
                              const fab_render_view *view, fab_render_frame *f, fab_error *err)
{
    FAB_TRY(check_view(view, err));
    f->scale = view->supersample ? view->supersample : 2;
    f->width = view->width * f->scale;
    f->height = view->height * f->scale;
    f->tiles_x = (f->width + FAB_RENDER_TILE - 1) / FAB_RENDER_TILE;
    f->tiles_y = (f->height + FAB_RENDER_TILE - 1) / FAB_RENDER_TILE;
    f->near_mm = FAB_RENDER_FAR, f->far_mm = -FAB_RENDER_FAR;
    camera c = {0};
    aim(meshes, view, f, &c);
    if (!meshes->count) return FAB_OK;
    f->items = fab_calloc(meshes->count, sizeof *f->items);
    if (!f->items) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for the structures");
    for (size_t m = 0; m < meshes->count; m++) {
        double opacity = opacity_of(view, m);
        if (!(opacity > 0) || !meshes->items[m].triangle_count) continue;
        const fab_label *label = set ? fab_label_set_find(set, meshes->items[m].label) : NULL;
        fab_render_item *item = &f->items[f->item_count++];
        item->opacity = (float)fmin(opacity, 1);
        for (int i = 0; i < 3; i++) item->rgb[i] = fab_render_linear(label ? label->rgb[i] : 200);
        FAB_TRY(project_item(&meshes->items[m], &c, f, item, err));
    }
    if (f->triangle_count > UINT32_MAX || f->item_count >= FAB_RENDER_CAP)
        FAB_FAIL(err, FAB_ERR_LIMIT, "render: %llu triangles are too many",
                 (unsigned long long)f->triangle_count);
    return FAB_OK;
}
