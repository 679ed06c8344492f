/* test_segment.c - the whole step on the small golden network: windows, lattices, labels. */
#include "fabrica/segment.h"
#include "harness.h"

#define CLASSES 5

static fab_error err;

static const char *package(const char *name, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/tests/golden/unet_tiny/%s", root ? root : ".", name);
    return into;
}

static float *read_floats(const char *name, size_t count)
{
    char path[FAB_MAX_PATH_BYTES];
    FILE *f = fopen(package(name, path), "rb");
    CHECK(f);
    float *values = malloc(count * sizeof *values);
    CHECK(values && fread(values, sizeof *values, count, f) == count);
    fclose(f);
    return values;
}

/* The golden package with every component kept, whatever its size. */
static fab_model *load_model(double *step)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *card = NULL, *post = fab_json_object(), *rule = fab_json_object();
    fab_reader weights = {0};
    fab_model *m = NULL;
    CHECK_OK(fab_json_load_file(package("model.json", path), &card, &err));
    CHECK_OK(fab_json_set(rule, "min_component_ml", fab_json_real(0.0), &err));
    CHECK_OK(fab_json_set(post, "default", rule, &err));
    CHECK_OK(fab_json_set(card, "postprocess", post, &err));
    CHECK_OK(fab_reader_open_file(package("weights.safetensors", path), &weights, &err));
    CHECK_OK(fab_model_load_parts(card, "model.json", &weights, &m, &err));
    fab_reader_close(&weights);
    fab_json_free(card);
    if (step) *step = 0.5;
    return m;
}

static fab_grid grid_of(int nx, int ny, int nz, double mm)
{
    fab_grid g = {.size = {nx, ny, nz}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = mm;
    return g;
}

static fab_volume *volume_of(const fab_grid *g, const float *values)
{
    fab_volume *v = NULL;
    CHECK_OK(fab_volume_create(g, FAB_F32, &v, &err));
    float *to = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(g); i++) to[i] = values[i] * 300.0f - 50.0f;
    return v;
}

/* Class of a result's value: values are 1, 2, {3, 4} for the split third class, 5. */
static int class_of(int value)
{
    return value <= 3 ? value : value - 1;
}

static int argmax(const float *logits, size_t stride)
{
    int best = 0;
    for (int c = 1; c < CLASSES; c++)
        if (logits[(size_t)c * stride] > logits[(size_t)best * stride]) best = c;
    return best;
}

static void one_window_gives_pytorchs_classes(void)
{
    const size_t n = 8 * 12 * 16;
    float *input = read_floats("input.bin", n), *logits = read_floats("logits.bin", n * CLASSES);
    fab_grid g = grid_of(16, 12, 8, 4.0);
    fab_volume *image = volume_of(&g, input);
    fab_model *m = load_model(NULL);
    fab_segment_result r;
    CHECK_OK(fab_segment(m, image, NULL, &r, &err));
    CHECK(r.patches == 1 && r.set.count == 5);
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const int is = (int)((const uint8_t *)fab_volume_data(r.labels))[i];
        wrong += class_of(is) != argmax(logits + i, n);
    }
    CHECK(wrong == 0);
    CHECK(fab_grid_equal(fab_volume_grid(r.labels), &g, 1e-9));
    fab_segment_result_free(&r);
    fab_model_free(m);
    fab_volume_unref(image);
    free(input);
    free(logits);
}

int main(void)
{
    return fab_test_run((fab_test[]){TEST(one_window_gives_pytorchs_classes)}, 1);
}
