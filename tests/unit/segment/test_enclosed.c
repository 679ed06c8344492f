/* test_enclosed.c - class 0 only where it reaches the edge of an axial plane. */
#include "harness.h"
#include "segment_internal.h"

enum { ROWS = 24, COLUMNS = 37, CLASSES = 5, VOXELS = 8 * 12 * 16 };

static fab_error err;

/* Flood fill from the border with a stack: what the sweeps must amount to. */
static void flood(const uint16_t *plane, int rows, int columns, bool *outside)
{
    int *stack = calloc((size_t)rows * (size_t)columns * 5, sizeof *stack), depth = 0;
    CHECK(stack);
    memset(outside, 0, (size_t)rows * (size_t)columns);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++)
            if (y == 0 || x == 0 || y == rows - 1 || x == columns - 1)
                stack[depth++] = y * columns + x;
    while (depth) {
        const int i = stack[--depth], x = i % columns, y = i / columns;
        if (plane[i] != 0 || outside[i]) continue;
        outside[i] = true;
        if (x > 0) stack[depth++] = i - 1;
        if (x < columns - 1) stack[depth++] = i + 1;
        if (y > 0) stack[depth++] = i - columns;
        if (y < rows - 1) stack[depth++] = i + columns;
    }
    free(stack);
}

static void random_planes_agree_with_a_flood_fill(void)
{
    fab_rng rng;
    fab_rng_seed(&rng, 5, 1);
    int enclosed = 0;
    for (int trial = 0; trial < 200; trial++) {
        uint16_t plane[ROWS * COLUMNS], before[ROWS * COLUMNS];
        bool outside[ROWS * COLUMNS];
        const double share = 0.2 + 0.003 * trial;
        for (int i = 0; i < ROWS * COLUMNS; i++)
            plane[i] = before[i] = fab_rng_uniform(&rng) < share ? 0 : (uint16_t)(1 + i % 4);
        flood(plane, ROWS, COLUMNS, outside);
        fab_plane_mark_enclosed(plane, ROWS, COLUMNS);
        for (int i = 0; i < ROWS * COLUMNS; i++) {
            const bool inside = before[i] == 0 && !outside[i];
            CHECK(plane[i] == (inside ? FAB_ENCLOSED : before[i]));
            enclosed += inside;
        }
    }
    CHECK(enclosed > 1000);
}

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

static fab_model *load_model(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *card = NULL, *post = fab_json_object(), *rule = fab_json_object();
    fab_reader weights = {0};
    fab_model *m = NULL;
    CHECK_OK(fab_json_load_file(package("model.json", path), &card, &err));
    CHECK_OK(fab_json_set(rule, "min_component_ml", fab_json_real(0.0), &err));
    CHECK_OK(fab_json_set(post, "default", rule, &err));
    CHECK_OK(fab_json_set(post, "outside_reaches_edge", fab_json_bool(true), &err));
    CHECK_OK(fab_json_set(card, "postprocess", post, &err));
    CHECK_OK(fab_reader_open_file(package("weights.safetensors", path), &weights, &err));
    CHECK_OK(fab_model_load_parts(card, "model.json", &weights, FAB_PRECISION_FP32, &m, &err));
    fab_reader_close(&weights);
    fab_json_free(card);
    return m;
}

static int argmax(const float *logits, int first)
{
    int best = first;
    for (int c = first + 1; c < CLASSES; c++)
        if (logits[c * VOXELS] > logits[best * VOXELS]) best = c;
    return best;
}

/* Classes of the golden logits, and of enclosed voxels the best class but 0. */
static int expect(const float *logits, int *want)
{
    int changed = 0;
    for (int z = 0; z < 8; z++) {
        uint16_t plane[12 * 16];
        for (int i = 0; i < 12 * 16; i++)
            plane[i] = (uint16_t)argmax(logits + z * 12 * 16 + i, 0);
        fab_plane_mark_enclosed(plane, 12, 16);
        for (int i = 0; i < 12 * 16; i++) {
            const bool inside = plane[i] == FAB_ENCLOSED;
            want[z * 12 * 16 + i] = inside ? argmax(logits + z * 12 * 16 + i, 1) : plane[i];
            changed += inside;
        }
    }
    return changed;
}

static void the_next_best_class_takes_enclosed_voxels(void)
{
    float *input = read_floats("input.bin", VOXELS);
    float *logits = read_floats("logits.bin", (size_t)VOXELS * CLASSES);
    int *want = calloc(VOXELS, sizeof *want), wrong = 0;
    fab_grid g = {.size = {16, 12, 8}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 4;
    fab_volume *image = NULL;
    fab_segment_result r;
    CHECK(want);
    CHECK_OK(fab_volume_create(&g, FAB_F32, &image, &err));
    float *to = fab_volume_data_mut(image);
    for (int i = 0; i < VOXELS; i++) to[i] = input[i] * 300.0f - 50.0f;
    CHECK(expect(logits, want) > 0);
    fab_model *m = load_model();
    CHECK_OK(fab_segment(m, image, NULL, &r, &err));
    for (int i = 0; i < VOXELS; i++) {
        const int is = (int)((const uint8_t *)fab_volume_data(r.labels))[i];
        wrong += (is <= 3 ? is : is - 1) != want[i]; /* the third class has two sides */
    }
    CHECK(wrong == 0);
    fab_segment_result_free(&r);
    fab_model_free(m);
    fab_volume_unref(image);
    free(input);
    free(logits);
    free(want);
}

int main(void)
{
    return FAB_RUN(TEST(random_planes_agree_with_a_flood_fill),
                   TEST(the_next_best_class_takes_enclosed_voxels));
}
