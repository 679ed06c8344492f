/* Drawn bodies: ellipses of tissue, enough for what is measured of them. */
#include "tests.h"

fab_volume *image_of(const int size[3], double spacing, int hu)
{
    fab_error err;
    fab_volume *v = NULL;
    fab_grid g = {.size = {size[0], size[1], size[2]}};
    for (int a = 0; a < 3; a++) {
        g.world_from_voxel.m[a][a] = spacing;
        g.world_from_voxel.m[a][3] = -spacing * (size[a] - 1) / 2;
    }
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *data = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) data[i] = (int16_t)hu;
    return v;
}

static bool inside(const fab_grid *g, int i, int j, int k, const double at[3],
                   const double radius[3], bool tall)
{
    double p[3] = {i, j, k}, sum = 0;
    fab_mat34_apply(&g->world_from_voxel, p, p);
    for (int a = 0; a < (tall ? 2 : 3); a++) sum += pow((p[a] - at[a]) / radius[a], 2);
    return sum <= 1;
}

void draw(fab_volume *v, const double at[3], const double radius[3], bool tall, int hu)
{
    const fab_grid *g = fab_volume_grid(v);
    int16_t *data = fab_volume_data_mut(v);
    for (int k = 0; k < g->size[2]; k++)
        for (int j = 0; j < g->size[1]; j++)
            for (int i = 0; i < g->size[0]; i++, data++)
                if (inside(g, i, j, k, at, radius, tall)) *data = (int16_t)hu;
}

void add_noise(fab_volume *v, int n)
{
    fab_rng rng;
    int16_t *data = fab_volume_data_mut(v);
    fab_rng_seed(&rng, 7, 7);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(v)); i++)
        data[i] = (int16_t)(data[i] + (int)(fab_rng_u32(&rng) % (uint32_t)(2 * n + 1)) - n);
}

fab_volume *torso(void)
{
    fab_volume *v = image_of((const int[3]){110, 80, 60}, 4, -1000);
    draw(v, (const double[3]){0, 0, 0}, (const double[3]){180, 120, 0}, true, -100);
    draw(v, (const double[3]){0, 0, 0}, (const double[3]){155, 98, 0}, true, 50);
    draw(v, (const double[3]){0, 70, 0}, (const double[3]){20, 20, 0}, true, 300);
    add_noise(v, 15);
    return v;
}

void add_label(fab_label_set *set, int value, const char *name)
{
    fab_error err;
    CHECK_OK(fab_label_set_add(set, value, name, &err));
}

fab_volume *labels_of(const fab_volume *image, const blob *blobs, int count, fab_label_set *set)
{
    fab_error err;
    fab_volume *v = NULL;
    const fab_grid *g = fab_volume_grid(image);
    CHECK_OK(fab_volume_create(g, FAB_U8, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    for (int b = 0; b < count; b++) {
        uint8_t *data = fab_volume_data_mut(v);
        const fab_label *known = fab_label_set_by_name(set, blobs[b].name);
        const int value = known ? known->value : (int)set->count + 1;
        if (!known) add_label(set, value, blobs[b].name);
        for (int k = 0; k < g->size[2]; k++)
            for (int j = 0; j < g->size[1]; j++)
                for (int i = 0; i < g->size[0]; i++, data++)
                    if (inside(g, i, j, k, blobs[b].at, blobs[b].radius, false))
                        *data = (uint8_t)value;
    }
    return v;
}

const fab_qa_finding *finding(const fab_qa *qa, const fab_label_set *set, const char *code,
                              const char *name)
{
    const fab_label *l = name ? fab_label_set_by_name(set, name) : NULL;
    for (size_t i = 0; i < qa->finding_count; i++)
        if (strcmp(qa->findings[i].code, code) == 0 && qa->findings[i].value == (l ? l->value : 0))
            return &qa->findings[i];
    return NULL;
}
