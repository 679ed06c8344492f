/* Small volumes for the tests of the jobs. */
#include "fabrica/nifti.h"
#include "tests.h"

enum { SIDE = 48 };

char root[FAB_MAX_PATH_BYTES];

void fresh(void) { CHECK(fab_test_folder(root) != NULL); }

void clean(void) { (void)fab_path_remove_tree(root, NULL); }

const char *in(const char *folder, const char *name)
{
    static char ring[4][FAB_MAX_PATH_BYTES];
    static int next;
    next = (next + 1) % 4;
    CHECK(fab_path_join(ring[next], sizeof ring[next], folder, name, NULL) == FAB_OK);
    return ring[next];
}

static fab_grid grid_of_boxes(void)
{
    fab_grid g = {.size = {SIDE, SIDE, SIDE}};
    for (int a = 0; a < 3; a++) {
        g.world_from_voxel.m[a][a] = 5;
        g.world_from_voxel.m[a][3] = -2.5 * (SIDE - 1);
    }
    return g;
}

static size_t at(int i, int j, int k) { return (size_t)i + SIDE * ((size_t)j + SIDE * (size_t)k); }

void write_labels(const char *folder, const char *name, const box *boxes, size_t count,
                  const char *table)
{
    fab_error err;
    char file[300];
    fab_grid g = grid_of_boxes();
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_U8, &v, &err));
    uint8_t *data = fab_volume_data_mut(v);
    memset(data, 0, SIDE * SIDE * SIDE);
    for (size_t b = 0; b < count; b++)
        for (int k = boxes[b].low[2]; k <= boxes[b].high[2]; k++)
            for (int j = boxes[b].low[1]; j <= boxes[b].high[1]; j++)
                for (int i = boxes[b].low[0]; i <= boxes[b].high[0]; i++)
                    data[at(i, j, k)] = (uint8_t)boxes[b].value;
    snprintf(file, sizeof file, "%s.nii.gz", name);
    CHECK_OK(fab_nifti_write(v, in(folder, file), "boxes", &err));
    if (!table) return;
    snprintf(file, sizeof file, "%s.json", name);
    CHECK_OK(fab_file_write_atomic(in(folder, file), table, strlen(table), &err));
}

void write_ct(const char *folder)
{
    fab_error err;
    fab_grid g = grid_of_boxes();
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *data = fab_volume_data_mut(v);
    for (int k = 0; k < SIDE; k++)
        for (int j = 0; j < SIDE; j++)
            for (int i = 0; i < SIDE; i++)
                data[at(i, j, k)] = (int16_t)(j < 3 ? -1000 : (i + j + k) % 200);
    CHECK_OK(fab_nifti_write(v, in(folder, "ct.nii.gz"), "ct", &err));
}
