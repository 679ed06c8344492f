/* body.c - the body's outer surface from a CT, coarse, for the faint skin of the preview: what is
 * not air reached from the sides of the volume, at 5 mm. Cavities and the open ends of the scan
 * stay part of the body, so no inner surface shows. */
#include <math.h>
#include <string.h>

#include "render_internal.h"

static const double spacing_mm = 5, air_below_hu = -300, smooth_voxels = 0.8, outside_hu = -1024;

static fab_status coarse_air(const fab_volume *image, fab_volume **air, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *coarse = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *soft = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL;
    fab_grid g;
    const double spacing[3] = {spacing_mm, spacing_mm, spacing_mm};
    const double sigma[3] = {smooth_voxels, smooth_voxels, smooth_voxels};
    FAB_TRY(fab_grid_axis_aligned(fab_volume_grid(image), spacing, &g, err));
    FAB_TRY(fab_volume_resample(image, &g, FAB_LINEAR, outside_hu, &coarse, err));
    FAB_TRY(fab_volume_gaussian(coarse, sigma, &soft, err));
    FAB_TRY(fab_volume_create(&g, FAB_U8, &mask, err));
    const float *hu = fab_volume_data(soft);
    uint8_t *out = fab_volume_data_mut(mask);
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) out[i] = !((double)hu[i] > air_below_hu);
    *air = mask;
    mask = NULL;
    return FAB_OK;
}

/* Marks the components that touch the left, right, front or back of the volume. */
static void mark_open(const fab_volume *components, bool *open)
{
    const fab_grid *g = fab_volume_grid(components);
    const int32_t *id = fab_volume_data(components);
    for (int k = 0; k < g->size[2]; k++)
        for (int j = 0; j < g->size[1]; j++)
            for (int i = 0; i < g->size[0]; i++, id++)
                if (i == 0 || j == 0 || i == g->size[0] - 1 || j == g->size[1] - 1)
                    open[*id] = true;
}

static fab_status body_mask(const fab_volume *air, int label, fab_volume **out, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *components = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *parts = NULL;
    int32_t n = 0;
    FAB_TRY(fab_labels_components(air, 1, true, &components, &n, NULL, err));
    FAB_AUTO_FREE bool *open = fab_calloc((size_t)n + 1, sizeof *open);
    if (!open) FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for the body");
    mark_open(components, open);
    open[0] = false; /* tissue */
    FAB_TRY(fab_volume_create(fab_volume_grid(air), FAB_U16, &mask, err));
    const int32_t *id = fab_volume_data(components);
    uint16_t *body = fab_volume_data_mut(mask);
    int64_t count = fab_grid_voxels(fab_volume_grid(air));
    for (int64_t i = 0; i < count; i++) body[i] = open[id[i]] ? 0 : (uint16_t)label;
    FAB_TRY(fab_labels_components(mask, label, true, &parts, &n, NULL, err));
    id = fab_volume_data(parts);
    for (int64_t i = 0; i < count; i++)
        if (id[i] != 1) body[i] = 0; /* the largest piece: not the table */
    *out = mask;
    mask = NULL;
    return FAB_OK;
}

fab_status fab_render_body_surface(const fab_volume *image, int label, fab_mesh_set *out,
                                   fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *air = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *mask = NULL;
    fab_mesh_options options;
    fab_mesh_options_default(&options);
    FAB_TRY(coarse_air(image, &air, err));
    FAB_TRY(body_mask(air, label, &mask, err));
    return fab_mesh_extract(mask, NULL, &options, out, err);
}
