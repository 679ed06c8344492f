/* put.c - shorthands for building JSON: one call a field, the allocation failure forwarded. */
#include "pipeline_internal.h"

#include <math.h>

fab_status fab_put_text(fab_json *o, const char *key, const char *text, fab_error *err)
{
    return fab_json_set(o, key, fab_json_string(text), err);
}

fab_status fab_put_text_or_null(fab_json *o, const char *key, const char *text, fab_error *err)
{
    return fab_json_set(o, key, text && text[0] ? fab_json_string(text) : fab_json_null(), err);
}

fab_status fab_put_int(fab_json *o, const char *key, int64_t value, fab_error *err)
{
    return fab_json_set(o, key, fab_json_int(value), err);
}

fab_status fab_put_bool(fab_json *o, const char *key, bool value, fab_error *err)
{
    return fab_json_set(o, key, fab_json_bool(value), err);
}

double fab_rounded(double value, int decimals)
{
    double scale = pow(10, decimals);
    double r = round(value * scale) / scale;
    return r == 0 ? 0 : r; /* no minus zero */
}

fab_status fab_put_real(fab_json *o, const char *key, double value, int decimals, fab_error *err)
{
    return fab_json_set(o, key, fab_json_real(fab_rounded(value, decimals)), err);
}

fab_status fab_put_object(fab_json *o, const char *key, fab_json **child, fab_error *err)
{
    fab_json *made = fab_json_object();
    FAB_TRY(fab_json_set(o, key, made, err));
    *child = made;
    return FAB_OK;
}

fab_status fab_put_array(fab_json *o, const char *key, fab_json **child, fab_error *err)
{
    fab_json *made = fab_json_array();
    FAB_TRY(fab_json_set(o, key, made, err));
    *child = made;
    return FAB_OK;
}

fab_status fab_add_object(fab_json *array, fab_json **child, fab_error *err)
{
    fab_json *made = fab_json_object();
    FAB_TRY(fab_json_append(array, made, err));
    *child = made;
    return FAB_OK;
}

fab_status fab_add_text(fab_json *array, const char *text, fab_error *err)
{
    return fab_json_append(array, fab_json_string(text), err);
}

fab_status fab_put_vector(fab_json *o, const char *key, const double *values, size_t count,
                          int decimals, fab_error *err)
{
    fab_json *array = NULL;
    FAB_TRY(fab_put_array(o, key, &array, err));
    for (size_t i = 0; i < count; i++)
        FAB_TRY(fab_json_append(array, fab_json_real(fab_rounded(values[i], decimals)), err));
    return FAB_OK;
}

fab_status fab_put_grid(fab_json *o, const char *key, const fab_grid *g, fab_error *err)
{
    fab_json *grid = NULL, *rows = NULL;
    double spacing[3];
    char orientation[4];
    fab_grid_spacing(g, spacing);
    fab_grid_orientation(g, orientation);
    FAB_TRY(fab_put_object(o, key, &grid, err));
    fab_json *sizes = NULL;
    FAB_TRY(fab_put_array(grid, "size", &sizes, err));
    for (int a = 0; a < 3; a++) FAB_TRY(fab_json_append(sizes, fab_json_int(g->size[a]), err));
    FAB_TRY(fab_put_vector(grid, "spacing_mm", spacing, 3, 6, err));
    FAB_TRY(fab_put_text(grid, "orientation", orientation, err));
    FAB_TRY(fab_put_array(grid, "world_from_voxel", &rows, err));
    for (int r = 0; r < 3; r++) {
        fab_json *row = fab_json_array();
        FAB_TRY(fab_json_append(rows, row, err));
        for (int c = 0; c < 4; c++)
            FAB_TRY(fab_json_append(row, fab_json_real(fab_rounded(g->world_from_voxel.m[r][c], 9)),
                                    err));
    }
    return FAB_OK;
}
