/* test_totalseg.c - tasks of one and of two small random networks (tests/golden/nnunet_folder):
 * names, parts, orientations, structures asked for. */
#include <sys/stat.h>

#include "fabrica/totalseg.h"
#include "harness.h"

#define RESULT "nnUNetTrainer__nnUNetPlans__3d_fullres"

static fab_error err;
static char one_part[FAB_MAX_PATH_BYTES], two_parts[FAB_MAX_PATH_BYTES];

static void copy_file(const char *from, const char *to, const char *replace, const char *by)
{
    fab_reader r;
    FAB_AUTO_BUF fab_buf out = {0};
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK_OK(fab_reader_open_file(from, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, (size_t)1 << 24, &bytes, &size, &err));
    fab_reader_close(&r);
    const char *at = replace ? strstr((const char *)bytes, replace) : NULL;
    CHECK(!replace || at);
    const size_t before = at ? (size_t)(at - (const char *)bytes) : size;
    CHECK_OK(fab_buf_append(&out, bytes, before, &err));
    if (at) {
        CHECK_OK(fab_buf_append(&out, by, strlen(by), &err));
        const size_t from_here = before + strlen(replace);
        CHECK_OK(fab_buf_append(&out, bytes + from_here, size - from_here, &err));
    }
    CHECK_OK(fab_file_write_atomic(to, out.data, out.size, &err));
    fab_free(bytes);
}

/* Dataset900_Small again as another data set, with one name or spacing changed. */
static void copy_dataset(const char *folder, const char *name, const char *file,
                         const char *replace, const char *by)
{
    static const char *const files[] = {"plans.json", "dataset.json",
                                        "fold_0/checkpoint_final.pth"};
    char from[FAB_MAX_PATH_BYTES + 200], to[FAB_MAX_PATH_BYTES + 200];
    static const char *const folders[] = {"", "/" RESULT, "/" RESULT "/fold_0"};
    for (int i = 0; i < 3; i++) {
        snprintf(to, sizeof to, "%s/%s%s", folder, name, folders[i]);
        CHECK(mkdir(to, 0700) == 0);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(from, sizeof from, "%s/Dataset900_Small/" RESULT "/%s", one_part, files[i]);
        snprintf(to, sizeof to, "%s/%s/" RESULT "/%s", folder, name, files[i]);
        copy_file(from, to, strcmp(file, files[i]) == 0 ? replace : NULL, by);
    }
}

static fab_totalseg *load(const char *folder, fab_totalseg_quality quality)
{
    fab_totalseg *t = NULL;
    CHECK_OK(fab_totalseg_load(folder, NULL, quality, &t, &err));
    return t;
}

/* 31 x 22 x 17 voxels of 2 x 2.5 x 3.5 mm with axes R, A, S: blobs and noise. */
static fab_volume *make_image(void)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {31, 22, 17},
                  .world_from_voxel = {{{-2, 0, 0, 30}, {0, -2.5, 0, 20}, {0, 0, 3.5, -10}}}};
    fab_rng rng;
    fab_rng_seed(&rng, 5, 5);
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *at = fab_volume_data_mut(v);
    for (int k = 0; k < 17; k++)
        for (int j = 0; j < 22; j++)
            for (int i = 0; i < 31; i++) {
                const double bone = hypot(hypot(i - 12, j - 9), k - 6) < 5 ? 900 : 0;
                *at++ = (int16_t)(-400 + bone + 20 * i + (int)(fab_rng_u32(&rng) % 200));
            }
    return v;
}

/* The same voxels stored along other axes: new axis a is old axis order[a], turned if flip[a]. */
static fab_volume *stored_as(const fab_volume *v, const int order[3], const bool flip[3])
{
    const fab_grid *g = fab_volume_grid(v);
    fab_grid n = *g;
    fab_volume *out = NULL;
    for (int r = 0; r < 3; r++) {
        n.world_from_voxel.m[r][3] = g->world_from_voxel.m[r][3];
        for (int a = 0; a < 3; a++) {
            const double step = g->world_from_voxel.m[r][order[a]];
            n.world_from_voxel.m[r][a] = flip[a] ? -step : step;
            n.world_from_voxel.m[r][3] += flip[a] ? step * (g->size[order[a]] - 1) : 0;
        }
    }
    for (int a = 0; a < 3; a++) n.size[a] = g->size[order[a]];
    CHECK_OK(fab_volume_create(&n, FAB_I16, &out, &err));
    int16_t *to = fab_volume_data_mut(out);
    for (int k = 0; k < n.size[2]; k++)
        for (int j = 0; j < n.size[1]; j++)
            for (int i = 0; i < n.size[0]; i++) {
                const int at[3] = {i, j, k};
                int old[3];
                for (int a = 0; a < 3; a++)
                    old[order[a]] = flip[a] ? n.size[a] - 1 - at[a] : at[a];
                *to++ = (int16_t)fab_volume_get(v, old[0], old[1], old[2]);
            }
    return out;
}

static fab_volume *run(const fab_totalseg *t, const fab_volume *image,
                       const char *const *structures, int *parts)
{
    fab_totalseg_options o = {.structures = structures};
    fab_volume *labels = NULL;
    int patches = 0;
    CHECK_OK(fab_totalseg_run(t, image, &o, &labels, parts, &patches, &err));
    CHECK(fab_grid_equal(fab_volume_grid(labels), fab_volume_grid(image), 1e-6) && patches > 0);
    return labels;
}

static int64_t count_of(const fab_volume *labels, int value)
{
    const uint8_t *at = fab_volume_data(labels);
    int64_t n = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(labels)); i++) n += at[i] == value;
    return n;
}

static void values_are_totalsegmentator_s(void)
{
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(one_part, FAB_TOTALSEG_FAST);
    const fab_label_set *set = fab_totalseg_labels(t);
    CHECK(fab_totalseg_parts(t) == 1 && fab_totalseg_spacing_mm(t) == 3 && set->count == 3);
    CHECK(fab_label_set_by_name(set, "spleen")->value == 1);
    CHECK(fab_label_set_by_name(set, "liver")->value == 5);
    CHECK(fab_label_set_by_name(set, "aorta")->value == 52);
}

static void orientation_does_not_matter(void)
{
    static const int orders[][3] = {{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}};
    static const bool flips[][3] = {{1, 1, 0}, {0, 1, 0}, {1, 0, 1}, {0, 0, 1}};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(one_part, FAB_TOTALSEG_BEST);
    fab_volume *image = make_image(), *labels = run(t, image, NULL, NULL), *expected = NULL;
    CHECK_OK(fab_volume_canonical(labels, &expected, &err));
    printf("  %lld spleen, %lld liver, %lld aorta\n", (long long)count_of(labels, 1),
           (long long)count_of(labels, 5), (long long)count_of(labels, 52));
    CHECK(count_of(labels, 1) && count_of(labels, 5) && count_of(labels, 52));
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        fab_volume *other = stored_as(image, orders[i], flips[i]), *got = NULL;
        fab_volume *its = run(t, other, NULL, NULL);
        CHECK_OK(fab_volume_canonical(its, &got, &err));
        CHECK(fab_grid_equal(fab_volume_grid(got), fab_volume_grid(expected), 1e-6));
        CHECK(memcmp(fab_volume_data(got), fab_volume_data(expected), fab_volume_bytes(got)) == 0);
        fab_volume_unref(other);
        fab_volume_unref(its);
        fab_volume_unref(got);
    }
    fab_volume_unref(image);
    fab_volume_unref(labels);
    fab_volume_unref(expected);
}

/* The second data set calls the first one's aorta its left kidney: that part lies on top. */
static void parts_are_joined_by_name(void)
{
    static const char *const kidney[] = {"kidney_left", NULL}, *const none[] = {"nose", NULL};
    char first[FAB_MAX_PATH_BYTES + 20];
    snprintf(first, sizeof first, "%s/Dataset900_Small", two_parts);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *one = load(first, FAB_TOTALSEG_BEST);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(two_parts, FAB_TOTALSEG_BEST);
    fab_volume *image = make_image(), *labels = NULL;
    int parts = 0;
    CHECK(fab_totalseg_parts(t) == 2 && fab_totalseg_labels(t)->count == 4);
    CHECK(strstr(fab_totalseg_part_folder(t, 0), "Dataset900_Small"));
    fab_volume *alone = run(one, image, NULL, NULL), *both = run(t, image, NULL, &parts);
    CHECK(parts == 2 && count_of(both, 3) == count_of(alone, 52) && count_of(both, 52) == 0);
    CHECK(count_of(both, 5) == count_of(alone, 5));
    fab_volume *asked = run(t, image, kidney, &parts);
    CHECK(parts == 1 && count_of(asked, 3) == count_of(alone, 52) && count_of(asked, 5) == 0);
    fab_totalseg_options o = {.structures = none};
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no structure \"nose\"",
                fab_totalseg_run(t, image, &o, &labels, NULL, NULL, &err));
    o = (fab_totalseg_options){.max_memory_bytes = 100000};
    CHECK_FAILS(FAB_ERR_LIMIT, "the cap is 0 MB",
                fab_totalseg_run(t, image, &o, &labels, NULL, NULL, &err));
    o.max_memory_bytes = (size_t)64 << 20;
    CHECK_OK(fab_totalseg_run(t, image, &o, &labels, NULL, NULL, &err));
    fab_volume_unref(labels);
    fab_volume_unref(image);
    fab_volume_unref(alone);
    fab_volume_unref(both);
    fab_volume_unref(asked);
}

static void what_is_not_there(void)
{
    fab_totalseg *t = NULL;
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no network of 6 mm; there are data sets 900 (3 mm)",
                fab_totalseg_load(one_part, NULL, FAB_TOTALSEG_FASTEST, &t, &err));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no such folder",
                fab_totalseg_load("/nonexistent", NULL, FAB_TOTALSEG_BEST, &t, &err));
    char folder[FAB_MAX_PATH_BYTES];
    CHECK(fab_test_folder(folder));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no DatasetNNN_",
                fab_totalseg_load(folder, NULL, FAB_TOTALSEG_BEST, &t, &err));
    copy_dataset(folder, "Dataset901_Flat", "plans.json", "\"spacing\": [\n    3.0",
                 "\"spacing\": [\n    5.0");
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "spacing 5 x 3 x 3 mm",
                fab_totalseg_load(folder, NULL, FAB_TOTALSEG_BEST, &t, &err));
    CHECK(!t);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(one_part, sizeof one_part, "%s/tests/golden/nnunet_folder", root ? root : ".");
    if (!fab_test_folder(two_parts)) return 1;
    copy_dataset(two_parts, "Dataset900_Small", "", NULL, NULL);
    copy_dataset(two_parts, "Dataset901_Other", "dataset.json", "\"aorta\"", "\"kidney_left\"");
    fab_test tests[] = {TEST(values_are_totalsegmentator_s), TEST(orientation_does_not_matter),
                        TEST(parts_are_joined_by_name), TEST(what_is_not_there)};
    int status = fab_test_run(tests, sizeof tests / sizeof *tests);
    return fab_path_remove_tree(two_parts, &err) == FAB_OK ? status : 1;
}
