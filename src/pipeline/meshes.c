/* meshes.c - surfaces of a label map, their levels of detail, and what was measured on them. */
#include "pipeline_internal.h"

#include <math.h>

/* How far a coarser level may be from the full one; its triangles fit the headset's budget. */
static const double lod_error_mm[FAB_TWIN_LODS] = {1.0, 2.5, 6.0};

fab_status fab_meshes_build(const fab_volume *labels, const fab_volume *margin,
                            const fab_mesh_choice *choice, fab_job *job, fab_mesh_set *out,
                            fab_error *err)
{
    fab_mesh_options mo;
    fab_mesh_options_default(&mo);
    if (choice && choice->smoothing_iterations >= 0)
        mo.smoothing_iterations = choice->smoothing_iterations;
    mo.progress = &job->progress;
    return fab_mesh_extract(labels, margin, &mo, out, err);
}

static fab_status find_normals(fab_mesh_set *set, fab_error *err)
{
    for (size_t i = 0; i < set->count; i++)
        FAB_TRY(fab_mesh_compute_normals(&set->items[i], err));
    return FAB_OK;
}

fab_status fab_meshes_detail(fab_mesh_set *set, const fab_grid *grid,
                             const fab_mesh_choice *choice, fab_job *job,
                             fab_mesh_set lods[FAB_TWIN_LODS], fab_error *err)
{
    enum { LEVELS = FAB_TWIN_LODS + 1 };
    const bool chosen = choice && choice->target_error_mm >= 0;
    const size_t levels = lods ? LEVELS : 1;
    fab_mesh_level wanted[LEVELS] = {
        {0, chosen ? choice->target_error_mm : fab_mesh_default_error_mm(grid)}};
    fab_mesh_set made[LEVELS] = {{0}};
    for (size_t l = 1; l < LEVELS; l++)
        wanted[l] = (fab_mesh_level){fab_export_headset_level_triangles(l - 1),
                                     lod_error_mm[l - 1]};
    FAB_TRY(fab_job_part(job, 0, levels, err));
    FAB_TRY(fab_mesh_simplify_levels(set, wanted, levels, made, err));
    fab_mesh_set_free(set);
    *set = made[0];
    for (size_t l = 1; l < levels; l++) lods[l - 1] = made[l];
    FAB_TRY(fab_job_part(job, levels - 1, levels, err));
    FAB_TRY(find_normals(set, err));
    for (size_t l = 1; l < levels; l++) FAB_TRY(find_normals(&lods[l - 1], err));
    return FAB_OK;
}

enum { FIGURE_DECIMALS = 4, AREA_DECIMALS = 2 };

/* Figures are rounded once, here, to what the manifest holds: an export made again from the case
 * then says the same as the case's own. */
static void round_figures(fab_mesh_report *r)
{
    double *const figures[] = {&r->volume_ml, &r->mask_volume_ml, &r->volume_error_percent,
                               &r->hd95_mm, &r->mean_mm};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        *figures[i] = fab_rounded(*figures[i], FIGURE_DECIMALS);
    r->area_mm2 = fab_rounded(r->area_mm2, AREA_DECIMALS);
}

fab_status fab_meshes_measure(const fab_mesh_set *set, const fab_volume *labels, fab_job *job,
                              fab_mesh_report **out, fab_error *err)
{
    double low, high;
    fab_volume_minmax(labels, &low, &high);
    const size_t values = (size_t)high + 1;
    FAB_AUTO_FREE fab_mesh_report *reports = fab_calloc(set->count + 1, sizeof *reports);
    FAB_AUTO_FREE fab_label_stats *stats = fab_calloc(values, sizeof *stats);
    if (!reports || !stats) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(fab_labels_stats(labels, values, stats, err));
    for (size_t i = 0; i < set->count; i++) {
        FAB_TRY(fab_job_part(job, i, set->count, err));
        const size_t value = (size_t)set->items[i].label;
        const fab_label_stats none = {0}, *where = value < values ? &stats[value] : &none;
        FAB_TRY(fab_mesh_measure_at(&set->items[i], labels, where, &reports[i], err));
        round_figures(&reports[i]);
    }
    *out = reports;
    reports = NULL;
    return FAB_OK;
}

fab_status fab_mesh_report_json(const fab_mesh *mesh, const fab_mesh_report *r, fab_json *o,
                                fab_error *err)
{
    FAB_TRY(fab_put_int(o, "vertices", mesh->vertex_count, err));
    FAB_TRY(fab_put_int(o, "triangles", mesh->triangle_count, err));
    FAB_TRY(fab_put_bool(o, "closed", r->closed, err));
    FAB_TRY(fab_put_bool(o, "manifold", r->manifold, err));
    FAB_TRY(fab_put_int(o, "components", r->components, err));
    FAB_TRY(fab_put_int(o, "genus", r->genus, err));
    if (r->self_intersections < 0)
        FAB_TRY(fab_json_set(o, "self_intersections", fab_json_null(), err));
    else FAB_TRY(fab_put_int(o, "self_intersections", r->self_intersections, err));
    FAB_TRY(fab_put_int(o, "degenerate", r->degenerate, err));
    FAB_TRY(fab_put_real(o, "volume_ml", r->volume_ml, FIGURE_DECIMALS, err));
    FAB_TRY(fab_put_real(o, "area_mm2", r->area_mm2, AREA_DECIMALS, err));
    FAB_TRY(fab_put_real(o, "mask_volume_ml", r->mask_volume_ml, FIGURE_DECIMALS, err));
    FAB_TRY(fab_put_real(o, "volume_error_percent", r->volume_error_percent, FIGURE_DECIMALS, err));
    FAB_TRY(fab_put_real(o, "hd95_mm", r->hd95_mm, FIGURE_DECIMALS, err));
    return fab_put_real(o, "mean_mm", r->mean_mm, FIGURE_DECIMALS, err);
}

fab_status fab_mesh_report_from_json(const fab_json *o, fab_mesh_report *r, fab_error *err)
{
    fab_mesh_report m = {0};
    int64_t components = 0, genus = 0, degenerate = 0;
    FAB_TRY(fab_json_get_bool(o, "closed", &m.closed, err));
    FAB_TRY(fab_json_get_bool(o, "manifold", &m.manifold, err));
    FAB_TRY(fab_json_get_int(o, "components", 0, INT32_MAX, &components, err));
    FAB_TRY(fab_json_get_int(o, "genus", INT32_MIN, INT32_MAX, &genus, err));
    FAB_TRY(fab_json_get_int(o, "degenerate", 0, INT64_MAX, &degenerate, err));
    m.components = (int)components;
    m.genus = (int)genus;
    m.degenerate = degenerate;
    const fab_json *hits = fab_json_find(o, "self_intersections");
    m.self_intersections = fab_json_is_number(hits) ? (int64_t)fab_json_number(hits) : -1;
    m.volume_ml = fab_real_of(o, "volume_ml");
    m.area_mm2 = fab_real_of(o, "area_mm2");
    m.mask_volume_ml = fab_real_of(o, "mask_volume_ml");
    m.volume_error_percent = fab_real_of(o, "volume_error_percent");
    m.hd95_mm = fab_real_of(o, "hd95_mm");
    m.mean_mm = fab_real_of(o, "mean_mm");
    *r = m;
    return FAB_OK;
}
