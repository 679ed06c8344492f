/* test_totalseg.c - tasks of one and of two small random networks (tests/golden/nnunet_folder):
 * names, parts, orientations, structures asked for. */
#include <sys/resource.h>
#include <sys/wait.h>

#include "fabrica/nnunet.h"
#include "fabrica/totalseg.h"
#include "datasets.h"

static char one_part[FAB_MAX_PATH_BYTES], two_parts[FAB_MAX_PATH_BYTES];
static char first_part[FAB_MAX_PATH_BYTES + 20]; /* of two_parts: one fold, as all copies have */

static void copy_dataset(const char *folder, const char *name, const char *file,
                         const char *replace, const char *by)
{
    copy_from(one_part, "Dataset900_Small", folder, name, file, replace, by);
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

static fab_nnunet_soft soft_run(const fab_totalseg *t, const fab_volume *image,
                                const char *const *structures, fab_volume **labels)
{
    fab_nnunet_soft soft = {0};
    const fab_totalseg_options o = {.structures = structures, .soft = &soft, .surfaces = true};
    CHECK_OK(fab_totalseg_run(t, image, &o, labels, NULL, NULL, &err));
    CHECK(soft.labels && soft.share && soft.fine_labels && soft.fine_margin);
    CHECK(fab_grid_equal(fab_volume_grid(soft.labels), fab_volume_grid(soft.share), 1e-6));
    for (int a = 0; a < 3; a++) /* 3 mm: halved */
        CHECK(fab_volume_grid(soft.fine_labels)->size[a] ==
              2 * fab_volume_grid(soft.labels)->size[a]);
    return soft;
}

/* Millilitres of a value. */
static double ml_of(const fab_volume *v, int value)
{
    int64_t n = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(v)); i++)
        n += (int)fab_volume_at(v, i) == value;
    return (double)n * fab_grid_voxel_volume_mm3(fab_volume_grid(v)) / 1000;
}

/* One part's own lattice, two parts joined on theirs: as much of everything as the labels have, and
 * labels that are the same with and without. */
static void soft_results_are_of_the_labels(void)
{
    static const char *const kidney[] = {"kidney_left", NULL};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(two_parts, FAB_TOTALSEG_BEST);
    fab_volume *image = make_image();
    for (int asked = 0; asked < 2; asked++) {
        const char *const *structures = asked ? kidney : NULL;
        fab_volume *labels = NULL, *plain = run(t, image, structures, NULL);
        fab_nnunet_soft s = soft_run(t, image, structures, &labels);
        CHECK(memcmp(fab_volume_data(labels), fab_volume_data(plain),
                     fab_volume_bytes(plain)) == 0);
        const int values[] = {1, 3, 5};
        for (int i = 0; i < 3; i++) {
            const double whole = ml_of(labels, values[i]), fine = ml_of(s.fine_labels, values[i]);
            printf("  value %d: %.1f ml, lattice %.1f, fine %.1f\n", values[i], whole,
                   ml_of(s.labels, values[i]), fine);
            CHECK((whole > 0) == (fine > 0) && (!asked || values[i] == 3 || whole == 0));
            CHECK(fabs(ml_of(s.labels, values[i]) - whole) <= 0.15 * whole);
            CHECK(fabs(fine - whole) <= 0.3 * whole);
        }
        fab_nnunet_soft_free(&s);
        fab_volume_unref(labels);
        fab_volume_unref(plain);
    }
    fab_volume_unref(image);
}

/* The second data set calls the first one's aorta its left kidney: that part lies on top. */
static void parts_are_joined_by_name(void)
{
    static const char *const kidney[] = {"kidney_left", NULL}, *const none[] = {"nose", NULL};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *one = load(first_part, FAB_TOTALSEG_BEST);
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

/* A bright block in one corner of a wide field of air. */
static fab_volume *make_wide_image(void)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {44, 40, 36},
                  .world_from_voxel = {{{-6, 0, 0, 30}, {0, -6, 0, 20}, {0, 0, 6, -10}}}};
    fab_rng rng;
    fab_rng_seed(&rng, 5, 5);
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *at = fab_volume_data_mut(v);
    for (int k = 0; k < 36; k++)
        for (int j = 0; j < 40; j++)
            for (int i = 0; i < 44; i++, at++) {
                const bool inside = i > 25 && i < 36 && j > 6 && j < 15 && k > 20 && k < 30;
                *at = (int16_t)(inside ? (int)(fab_rng_u32(&rng) % 1200) - 100 : -1000);
            }
    return v;
}

/* The box of what is not 0, 20 mm wider; mm: of a voxel. */
static bool box_of(const fab_volume *labels, int mm, int32_t low[3], int32_t size[3])
{
    const fab_grid *g = fab_volume_grid(labels);
    int32_t high[3] = {-1, -1, -1}, at[3];
    for (int a = 0; a < 3; a++) low[a] = g->size[a];
    for (at[2] = 0; at[2] < g->size[2]; at[2]++)
        for (at[1] = 0; at[1] < g->size[1]; at[1]++)
            for (at[0] = 0; at[0] < g->size[0]; at[0]++) {
                if (fab_volume_get(labels, at[0], at[1], at[2]) == 0) continue;
                for (int a = 0; a < 3; a++) {
                    if (at[a] < low[a]) low[a] = at[a];
                    if (at[a] > high[a]) high[a] = at[a];
                }
            }
    for (int a = 0; a < 3; a++) {
        low[a] = low[a] - 20 / mm < 0 ? 0 : low[a] - 20 / mm;
        high[a] = high[a] + 20 / mm >= g->size[a] ? g->size[a] - 1 : high[a] + 20 / mm;
        size[a] = high[a] - low[a] + 1;
    }
    return high[0] >= 0;
}

/* A fine network of noise beside a rough one that finds the block: what is asked for is what the
 * fine one makes of the box around the block, and nothing else. */
static void looks_roughly_first(void)
{
    static const char *const aorta[] = {"aorta", NULL}, *const liver[] = {"liver", NULL};
    char folder[FAB_MAX_PATH_BYTES], threshold[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    CHECK(fab_test_folder(folder));
    snprintf(threshold, sizeof threshold, "%s/tests/golden/nnunet_threshold", root ? root : ".");
    copy_dataset(folder, "Dataset291_Fine", "", NULL, NULL);
    copy_from(threshold, "Dataset298_Threshold", folder, "Dataset298_Rough", "", NULL, NULL);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *rough = load(threshold, FAB_TOTALSEG_BEST);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *fine = load(first_part, FAB_TOTALSEG_BEST);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *both = load(folder, FAB_TOTALSEG_BEST);
    CHECK(fab_totalseg_parts(both) == 1 && fab_totalseg_spacing_mm(both) == 3);
    fab_volume *image = make_wide_image(), *part = NULL;
    fab_volume *found = run(rough, image, aorta, NULL);
    int32_t low[3], size[3];
    int parts = 0;
    CHECK(box_of(found, 6, low, size) && size[0] < 24 && size[1] < 20 && size[2] < 20);
    CHECK_OK(fab_volume_crop(image, low, size, &part, &err));
    fab_volume *expected = run(fine, part, aorta, NULL), *got = run(both, image, aorta, &parts);
    const int64_t inside = count_of(expected, 52);
    printf("  %d x %d x %d voxels of aorta's box, %lld of aorta\n", size[0], size[1], size[2],
           (long long)inside);
    CHECK(parts == 2 && inside > 100 && count_of(got, 52) == inside);
    for (int k = 0; k < size[2]; k++)
        for (int j = 0; j < size[1]; j++)
            for (int i = 0; i < size[0]; i++)
                CHECK(fab_volume_get(got, low[0] + i, low[1] + j, low[2] + k)
                      == fab_volume_get(expected, i, j, k));
    /* Nothing found roughly: everywhere. Everything asked for: no rough look. */
    fab_volume *anywhere = run(both, image, liver, &parts), *whole = run(fine, image, liver, NULL);
    CHECK(parts == 2 && memcmp(fab_volume_data(anywhere), fab_volume_data(whole),
                               fab_volume_bytes(whole)) == 0);
    fab_volume *all = run(both, image, NULL, &parts);
    CHECK(parts == 1 && count_of(all, 5) == count_of(whole, 5));
    fab_volume *const used[] = {image, part, found, expected, got, anywhere, whole, all};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) fab_volume_unref(used[i]);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

/* Bright blocks of 9, 7 and 3 voxels along an edge, on the rough network's own grid. */
static fab_volume *make_blocks(void)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {40, 36, 30},
                  .world_from_voxel = {{{-6, 0, 0, 0}, {0, -6, 0, 0}, {0, 0, 6, 0}}}};
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *at = fab_volume_data_mut(v);
    for (int k = 0; k < 30; k++)
        for (int j = 0; j < 36; j++)
            for (int i = 0; i < 40; i++, at++) {
                const bool nine = i >= 3 && i < 12 && j >= 3 && j < 12 && k >= 3 && k < 12;
                const bool seven = i >= 26 && i < 33 && j >= 5 && j < 12 && k >= 5 && k < 12;
                const bool three = i >= 20 && i < 23 && j >= 26 && j < 29 && k >= 20 && k < 23;
                *at = (int16_t)(nine || seven || three ? 900 : -800);
            }
    return v;
}

/* 231 voxels of 6 mm are 50 ml: of the body's extremities the block of 27 goes; of its trunk all
 * but the largest; of an aorta nothing. */
static void body_is_cleaned(void)
{
    static const struct {
        const char *name;
        bool kept[3];
    } rows[] = {{"aorta", {true, true, true}},
                {"body_extremities", {true, true, false}},
                {"body_trunc", {true, false, false}}};
    static const int middle[3][3] = {{7, 7, 7}, {29, 8, 8}, {21, 27, 21}};
    char threshold[FAB_MAX_PATH_BYTES], quoted[40];
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(threshold, sizeof threshold, "%s/tests/golden/nnunet_threshold", root ? root : ".");
    fab_volume *image = make_blocks();
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char folder[FAB_MAX_PATH_BYTES];
        CHECK(fab_test_folder(folder));
        snprintf(quoted, sizeof quoted, "\"%s\"", rows[r].name);
        copy_from(threshold, "Dataset298_Threshold", folder, "Dataset300_body", "dataset.json",
                  "\"aorta\"", quoted);
        FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(folder, FAB_TOTALSEG_BEST);
        const int value = fab_label_set_by_name(fab_totalseg_labels(t), rows[r].name)->value;
        fab_volume *labels = run(t, image, NULL, NULL);
        printf("  %s: %lld voxels\n", rows[r].name, (long long)count_of(labels, value));
        for (int b = 0; b < 3; b++)
            CHECK((fab_volume_get(labels, middle[b][0], middle[b][1], middle[b][2]) == value)
                  == rows[r].kept[b]);
        fab_volume_unref(labels);
        CHECK_OK(fab_path_remove_tree(folder, &err));
    }
    fab_volume_unref(image);
}

/* Only what a card names. */
static void parts_that_are_named(void)
{
    static const char *const one[] = {"Dataset901_Other/" RESULT, NULL},
                      *const none[] = {"Dataset999_Gone", NULL};
    fab_totalseg *t = NULL;
    CHECK_OK(fab_totalseg_load(two_parts, one, FAB_TOTALSEG_BEST, &t, &err));
    CHECK(fab_totalseg_parts(t) == 1 && fab_totalseg_labels(t)->count == 3);
    CHECK(fab_label_set_by_name(fab_totalseg_labels(t), "kidney_left"));
    t = fab_totalseg_free(t);
    CHECK(fab_totalseg_load(two_parts, none, FAB_TOTALSEG_BEST, &t, &err) < 0);
    CHECK(strstr(err.message, "Dataset999_Gone") && !t);
}

/* A fine image: most of the memory is the image's, its labels' and the resampling's. */
static fab_volume *make_fine_image(void)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {200, 160, 300},
                  .world_from_voxel = {{{-0.5, 0, 0, 30}, {0, -0.5, 0, 20}, {0, 0, 0.25, -10}}}};
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *at = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) at[i] = (int16_t)(i * 7919 % 1500 - 900);
    return v;
}

/* Runs with a cap and says how many MB the message asks for; 0: it ran. */
static long megabytes_asked(const fab_totalseg *t, const fab_volume *image, size_t cap,
                            const char *words)
{
    const fab_totalseg_options o = {.max_memory_bytes = cap};
    fab_volume *labels = NULL;
    const fab_status status = fab_totalseg_run(t, image, &o, &labels, NULL, NULL, &err);
    fab_volume_unref(labels);
    if (status == FAB_OK) return 0;
    CHECK(status == FAB_ERR_LIMIT);
    const char *at = strstr(err.message, words);
    CHECK(at != NULL);
    return strtol(at + strlen(words), NULL, 10);
}

/* The process may have that much more data than it has now. */
static void limit_data(size_t bytes)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmData: %llu", &kib) == 1) break;
    if (f) fclose(f);
    const struct rlimit limit = {(rlim_t)(kib << 10) + bytes, (rlim_t)(kib << 10) + bytes};
    if (!kib || setrlimit(RLIMIT_DATA, &limit) != 0) _exit(3);
}

/* What a cap must be is said before each stage, and with that much it runs, in that much. */
static void memory_is_planned(void)
{
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(one_part, FAB_TOTALSEG_FAST);
    fab_volume *image = make_fine_image();
    fab_threads_set(1);
    const long zoom = megabytes_asked(t, image, 1000000, "resampling this image needs ");
    CHECK(zoom > 19 && zoom < 40); /* the image is 19.2 MB */
    const long all = megabytes_asked(t, image, (size_t)zoom * 1000000, "network need");
    CHECK(all == 0 || all >= zoom); /* 0: the network needs less */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const pid_t child = fork();
    if (child == 0) { /* it has the image already; 3 MB for files and the heap's own */
        limit_data((size_t)(all ? all : zoom) * 1000000 - fab_volume_bytes(image) + 3000000);
        fab_totalseg_options o = {.max_memory_bytes = (size_t)(all ? all : zoom) * 1000000};
        fab_volume *labels = NULL;
        _exit(fab_totalseg_run(t, image, &o, &labels, NULL, NULL, &err) == FAB_OK ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
    fab_threads_set(0);
    fab_volume_unref(image);
}

/* Noise with axes R, A, S (stored so, or as L, P, S) and this spacing. */
static fab_volume *make_noise(const double mm[3], bool turned)
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {26, 24, 14},
                  .world_from_voxel = {{{-mm[0], 0, 0, 9}, {0, -mm[1], 0, 8}, {0, 0, mm[2], 7}}}};
    fab_rng rng;
    fab_rng_seed(&rng, 8, 8);
    CHECK_OK(fab_volume_create(&g, FAB_F32, &v, &err));
    float *at = fab_volume_data_mut(v);
    for (int i = 0; i < 26 * 24 * 14; i++) at[i] = (float)(fab_rng_u32(&rng) % 15000) / 10 - 500;
    if (!turned) return v;
    fab_volume *lps = NULL;
    CHECK_OK(fab_volume_canonical(v, &lps, &err));
    fab_volume_unref(v);
    return lps;
}

/* What nnU-Net alone says of the image as it lies, R, A, S: with values of the task. */
static void same_as_nnunet(const char *folder, const fab_totalseg *t, const fab_volume *image,
                           const fab_volume *got)
{
    const fab_nnunet_options o = {.step = 0.5, .no_mirroring = true};
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    fab_volume *labels = NULL, *canonical[2] = {NULL, NULL};
    int64_t found = 0, other = 0;
    CHECK_OK(fab_nnunet_load(folder, NULL, &m, &err));
    CHECK_OK(fab_nnunet_predict(m, &image, NULL, &o, &labels, NULL, &err));
    CHECK_OK(fab_volume_canonical(labels, &canonical[0], &err));
    CHECK_OK(fab_volume_canonical(got, &canonical[1], &err));
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(labels)); i++) {
        const int head = (int)fab_volume_at(canonical[0], i);
        const char *name = fab_nnunet_plan_of(m)->head[head].name;
        const int value = head ? fab_label_set_by_name(fab_totalseg_labels(t), name)->value : 0;
        found += head > 0;
        other += value != (int)fab_volume_at(canonical[1], i);
    }
    printf("  %lld voxels found, %lld differ\n", (long long)found, (long long)other);
    CHECK(found > 500 && other == 0);
    fab_volume_unref(labels);
    fab_volume_unref(canonical[0]);
    fab_volume_unref(canonical[1]);
}

/* By its rule each data set's image is resampled: to the networks' spacing along each axis, to
 * another one (body in MR: 1.5 mm), or not at all before nnU-Net does it. */
static void spacings_of_other_tasks(void)
{
    static const struct {
        const char *name, *spacing; /* of the data set; of its plan, z first */
        double image_mm[3];         /* x first: of an image that is not resampled */
    } rows[] = {{"Dataset775_head_glands_cavities_492subj", "[5.0, 2.0, 4.0", {4, 2, 5}},
                {"Dataset258_lung_vessels_248subj", "[3.0, 2.0, 3.0", {2.5, 3.5, 1.7}},
                {"Dataset597_mri_body_139subj", "[3.0, 1.2, 1.0", {1.5, 1.5, 1.5}},
                {"Dataset299_mine", "[2.0, 2.0, 2.0", {2, 2, 2}}};
    static const char *const tasks[][2] = {
        {"Dataset297_TotalSegmentator_total_3mm_1559subj", "total"},
        {"Dataset291_TotalSegmentator_part1_organs_1559subj", "total"},
        {"Dataset850_TotalSegMRI_part1_organs_1088subj", "total_mr"},
        {"Dataset008_HepaticVessel", "liver_vessels"}, {"Dataset299_body_1559subj", "body"},
        {"Dataset779_headneck_muscles_part2_492subj", "headneck_muscles"}};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        CHECK(strcmp(fab_totalseg_task(tasks[i][0]), tasks[i][1]) == 0);
    CHECK(!fab_totalseg_task("Dataset299_mine") && !fab_totalseg_task("Dataset299"));
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char folder[FAB_MAX_PATH_BYTES], dataset[FAB_MAX_PATH_BYTES + 80];
        CHECK(fab_test_folder(folder));
        copy_dataset(folder, rows[r].name, "plans.json", "[\n    3.0,\n    3.0,\n    3.0",
                     rows[r].spacing);
        snprintf(dataset, sizeof dataset, "%s/%s", folder, rows[r].name);
        FAB_AUTO(fab_totalseg_free) fab_totalseg *t = load(folder, FAB_TOTALSEG_BEST);
        fab_volume *image = make_noise(rows[r].image_mm, false);
        for (int turned = 0; turned < 2; turned++) {
            fab_volume *stored = make_noise(rows[r].image_mm, turned), *labels = NULL;
            const fab_totalseg_options o = {.step = 0.5};
            CHECK_OK(fab_totalseg_run(t, stored, &o, &labels, NULL, NULL, &err));
            CHECK(fab_grid_equal(fab_volume_grid(labels), fab_volume_grid(stored), 1e-6));
            same_as_nnunet(dataset, t, image, labels);
            fab_volume_unref(stored);
            fab_volume_unref(labels);
        }
        fab_volume_unref(image);
        CHECK_OK(fab_path_remove_tree(folder, &err));
    }
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
    CHECK(!t);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(one_part, sizeof one_part, "%s/tests/golden/nnunet_folder", root ? root : ".");
    if (!fab_test_folder(two_parts)) return 1;
    copy_dataset(two_parts, "Dataset900_Small", "", NULL, NULL);
    snprintf(first_part, sizeof first_part, "%s/Dataset900_Small", two_parts);
    copy_dataset(two_parts, "Dataset901_Other", "dataset.json", "\"aorta\"", "\"kidney_left\"");
    fab_test tests[] = {TEST(values_are_totalsegmentator_s), TEST(orientation_does_not_matter),
                        TEST(parts_are_joined_by_name), TEST(soft_results_are_of_the_labels),
                        TEST(parts_that_are_named),
                        TEST(looks_roughly_first), TEST(body_is_cleaned),
                        TEST(spacings_of_other_tasks),
                        TEST(memory_is_planned), TEST(what_is_not_there)};
    int status = fab_test_run(tests, sizeof tests / sizeof *tests);
    return fab_path_remove_tree(two_parts, &err) == FAB_OK ? status : 1;
}
