/* Every allocation of loading a model package and of segmenting a volume fails once. */
#include "fabrica/segment.h"
#include "harness.h"

static char package[FAB_MAX_PATH_BYTES];

static fab_status load(void *ctx)
{
    fab_error err;
    fab_model *m = NULL;
    (void)ctx;
    const fab_status status = fab_model_load(package, FAB_PRECISION_FP32, &m, &err);
    CHECK((status == FAB_OK) == (m != NULL));
    fab_model_free(m);
    return status;
}

typedef struct job {
    fab_model *model;
    fab_volume *image;
} job;

static fab_status segment(void *ctx)
{
    const job *j = ctx;
    fab_error err;
    fab_segment_result r = {0};
    const fab_status status = fab_segment(j->model, j->image, NULL, &r, &err);
    CHECK((status == FAB_OK) == (r.labels != NULL));
    if (status == FAB_OK) fab_segment_result_free(&r);
    return status;
}

static void loading(void)
{
    fab_test_torture(load, NULL);
}

static void segmenting(void)
{
    fab_error err;
    job j = {0};
    fab_grid g = {.size = {10, 9, 8}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 5;
    CHECK_OK(fab_model_load(package, FAB_PRECISION_FP32, &j.model, &err));
    CHECK_OK(fab_volume_create(&g, FAB_I16, &j.image, &err));
    int16_t *hu = fab_volume_data_mut(j.image);
    for (int i = 0; i < 720; i++) hu[i] = (int16_t)(i * 37 % 900 - 400);
    fab_test_torture(segment, &j);
    fab_volume_unref(j.image);
    fab_model_free(j.model);
}

int main(void)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(package, sizeof package, "%s/tests/golden/unet_tiny", root ? root : ".");
    return FAB_RUN(TEST(loading), TEST(segmenting));
}
