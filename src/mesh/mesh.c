/* mesh.c - options, ownership, and the order of the steps from label map to meshes. */
#include <math.h>
#include <string.h>

#include "mesh_internal.h"

void fab_mesh_free(fab_mesh *mesh)
{
    if (!mesh) return;
    fab_free(mesh->position);
    fab_free(mesh->normal);
    fab_free(mesh->index);
    fab_free(mesh->flags);
    memset(mesh, 0, sizeof *mesh);
}

void fab_mesh_set_free(fab_mesh_set *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->count; i++) fab_mesh_free(&set->items[i]);
    fab_free(set->items);
    memset(set, 0, sizeof *set);
}

void fab_mesh_options_default(fab_mesh_options *o)
{
    *o = (fab_mesh_options){.smoothing_iterations = 40, .max_volume_error_percent = 0.5,
                             .max_centroid_error_voxels = 0.05};
}

double fab_mesh_default_error_mm(const fab_grid *grid)
{
    const double share = 0.1;
    double spacing[3];
    fab_grid_spacing(grid, spacing);
    return share * fmin(spacing[0], fmin(spacing[1], spacing[2]));
}

static fab_status check_margin(const fab_volume *labels, const fab_volume *margin, fab_error *err)
{
    if (!margin) return FAB_OK;
    if (fab_volume_dtype(margin) != FAB_F32)
        FAB_FAIL(err, FAB_ERR_ARG, "margins have voxels of type %s; f32 wanted",
                 fab_dtype_name(fab_volume_dtype(margin)));
    if (!fab_grid_equal(fab_volume_grid(labels), fab_volume_grid(margin), 1e-3))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the margins are not on the label map's grid");
    return FAB_OK;
}

static fab_status run_steps(fab_mesh_net *net, const fab_volume *labels, const fab_volume *margin,
                            const fab_mesh_options *o, fab_mesh_set *out, fab_error *err)
{
    FAB_TRY(fab_mesh_net_find_cells(net, labels, o->progress, err));
    FAB_TRY(fab_mesh_net_link(net, err));
    FAB_TRY(fab_mesh_net_place(net, margin, err));
    FAB_TRY(fab_mesh_net_split(net, err));
    if (!margin) FAB_TRY(fab_mesh_net_relax(net, o->smoothing_iterations, o->progress, err));
    FAB_TRY(fab_mesh_net_correct(net, o, err));
    return fab_mesh_net_emit(net, out, err);
}

fab_status fab_mesh_extract(const fab_volume *labels, const fab_volume *margin,
                            const fab_mesh_options *options, fab_mesh_set *out, fab_error *err)
{
    fab_mesh_options o;
    fab_mesh_options_default(&o);
    if (options) o = *options;
    if (o.smoothing_iterations < 0 || !(o.max_volume_error_percent > 0)
        || !(o.max_centroid_error_voxels > 0))
        FAB_FAIL(err, FAB_ERR_ARG, "mesh options: %d smoothing iterations, %g %% volume error, "
                 "%g voxels centroid error", o.smoothing_iterations, o.max_volume_error_percent,
                 o.max_centroid_error_voxels);
    FAB_TRY(check_margin(labels, margin, err));
    fab_mesh_net net = {0};
    fab_mesh_set set = {0};
    fab_status status = run_steps(&net, labels, margin, &o, &set, err);
    fab_mesh_net_free(&net);
    if (status == FAB_OK && (o.target_error_mm > 0 || o.max_triangles > 0)) {
        fab_mesh_set simple = {0};
        status = fab_mesh_simplify(&set, o.max_triangles, o.target_error_mm, &simple, err);
        fab_mesh_set_free(&set);
        set = simple;
    }
    if (status >= FAB_OK) *out = set;
    return status;
}
