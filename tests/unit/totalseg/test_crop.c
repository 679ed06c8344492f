/* test_crop.c - single tasks see the box of what a finder finds first: random networks of
 * tests/golden/nnunet_folder behind one that finds a bright block (nnunet_threshold). What is
 * expected is put together here from runs of each network alone. */
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "datasets.h"
#include "fabrica/totalseg.h"

#define ICB "Dataset150_icb_v0"

static char small[FAB_MAX_PATH_BYTES], threshold[FAB_MAX_PATH_BYTES];
static char models[FAB_MAX_PATH_BYTES]; /* a folder for each network: its task's name */

/* One data set alone in a folder, its labels called so. */
static fab_totalseg *make(const char *source, const char *dataset, const char *name,
                          const char *one, const char *two, const char *three)
{
    char folder[FAB_MAX_PATH_BYTES + 40], path[FAB_MAX_PATH_BYTES + 200], text[400];
    static int count;
    fab_totalseg *t = NULL;
    snprintf(folder, sizeof folder, "%s/%d", models, ++count);
    CHECK(mkdir(folder, 0700) == 0);
    copy_from(source, dataset, folder, name, "", NULL, NULL);
    snprintf(path, sizeof path, "%s/%s/" RESULT "/dataset.json", folder, name);
    const int n = snprintf(text, sizeof text,
                           "{\"channel_names\": {\"0\": \"CT\"}, \"file_ending\": \".nii.gz\", "
                           "\"numTraining\": 2, \"labels\": {\"background\": 0, \"%s\": 1, "
                           "\"%s\": 2, \"%s\": 3}}", one, two, three);
    CHECK_OK(fab_file_write_atomic(path, text, (size_t)n, &err));
    CHECK_OK(fab_totalseg_load(folder, NULL, FAB_TOTALSEG_BEST, &t, &err));
    return t;
}

/* Finds the block and calls it so. */
static fab_totalseg *make_finder(const char *name, const char *block)
{
    return make(threshold, "Dataset298_Threshold", name, "liver", "spleen", block);
}

static fab_totalseg *make_task(const char *name)
{
    return make(small, "Dataset900_Small", name, "red", "green", "blue");
}

/* A bright block in a field of air, R, A, S. */
static fab_volume *make_block(const int size[3], const double mm[3], const int from[3],
                              const int to[3])
{
    fab_volume *v = NULL;
    fab_grid g = {.size = {size[0], size[1], size[2]},
                  .world_from_voxel = {{{-mm[0], 0, 0, 30}, {0, -mm[1], 0, 20},
                                        {0, 0, mm[2], -10}}}};
    fab_rng rng;
    fab_rng_seed(&rng, 5, 5);
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    int16_t *at = fab_volume_data_mut(v);
    for (int k = 0; k < size[2]; k++)
        for (int j = 0; j < size[1]; j++)
            for (int i = 0; i < size[0]; i++, at++) {
                const bool inside = i >= from[0] && i < to[0] && j >= from[1] && j < to[1] &&
                                    k >= from[2] && k < to[2];
                const int noise = (int)(fab_rng_u32(&rng) % 300);
                *at = (int16_t)(inside ? 700 + noise : -1000 + noise / 10);
            }
    return v;
}

static fab_volume *run(const fab_totalseg *t, const fab_volume *image,
                       const fab_totalseg_look *look, fab_totalseg_seen *seen)
{
    const fab_totalseg_options o = {.look = look, .seen = seen};
    fab_volume *labels = NULL;
    CHECK_OK(fab_totalseg_run(t, image, &o, &labels, NULL, NULL, &err));
    CHECK(fab_grid_equal(fab_volume_grid(labels), fab_volume_grid(image), 1e-9));
    return labels;
}

static int64_t count_of(const fab_volume *labels, int value)
{
    int64_t n = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(labels)); i++)
        n += (int)fab_volume_at(labels, i) == value;
    return n;
}

static int64_t differences(const fab_volume *a, const fab_volume *b)
{
    int64_t n = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(a)); i++)
        n += (int)fab_volume_at(a, i) != (int)fab_volume_at(b, i);
    return n;
}

/* The box of a value, `margin` voxels wider along each axis, written out anew. */
static void box_of(const fab_volume *labels, int value, const int margin[3], int32_t low[3],
                   int32_t size[3])
{
    const int32_t *n = fab_volume_grid(labels)->size;
    int32_t first[3] = {n[0], n[1], n[2]}, last[3] = {-1, -1, -1};
    for (int k = 0; k < n[2]; k++)
        for (int j = 0; j < n[1]; j++)
            for (int i = 0; i < n[0]; i++) {
                const int at[3] = {i, j, k};
                if ((int)fab_volume_get(labels, i, j, k) != value) continue;
                for (int a = 0; a < 3; a++) {
                    if (at[a] < first[a]) first[a] = at[a];
                    if (at[a] > last[a]) last[a] = at[a];
                }
            }
    CHECK(last[0] >= 0);
    for (int a = 0; a < 3; a++) {
        low[a] = first[a] - margin[a] < 0 ? 0 : first[a] - margin[a];
        const int end = last[a] + margin[a] >= n[a] ? n[a] - 1 : last[a] + margin[a];
        size[a] = end - low[a] + 1;
    }
}

static int value_of(const fab_totalseg *t, const char *name)
{
    return fab_label_set_by_name(fab_totalseg_labels(t), name)->value;
}

/* What a look must give: the task's network on the box alone, put in its place. *faces: how many
 * of the box's six outermost layers have labels. */
static fab_volume *expected_of(const fab_totalseg *task, const fab_volume *image,
                               const int32_t low[3], const int32_t size[3], int *faces)
{
    fab_volume *part = NULL, *whole = NULL;
    CHECK_OK(fab_volume_crop(image, low, size, &part, &err));
    fab_volume *inside = run(task, part, NULL, NULL);
    CHECK_OK(fab_volume_create(fab_volume_grid(image), FAB_U8, &whole, &err));
    uint8_t *to = fab_volume_data_mut(whole);
    const int32_t *n = fab_volume_grid(image)->size;
    bool face[6] = {false};
    for (int k = 0; k < n[2]; k++)
        for (int j = 0; j < n[1]; j++)
            for (int i = 0; i < n[0]; i++, to++) {
                const int at[3] = {i - low[0], j - low[1], k - low[2]};
                bool in = true;
                for (int a = 0; a < 3; a++) in = in && at[a] >= 0 && at[a] < size[a];
                *to = in ? (uint8_t)fab_volume_get(inside, at[0], at[1], at[2]) : 0;
                for (int a = 0; *to && a < 3; a++) {
                    face[2 * a] = face[2 * a] || at[a] == 0;
                    face[2 * a + 1] = face[2 * a + 1] || at[a] == size[a] - 1;
                }
            }
    *faces = 0;
    for (int f = 0; f < 6; f++) *faces += face[f];
    fab_volume_unref(part);
    fab_volume_unref(inside);
    return whole;
}

/* Odd spacings, stored along any axes: the box by the image's own voxels, labels where they belong,
 * nothing else. Labels reach all faces of the box, so one that is a voxel smaller fails. */
static void only_the_box_is_seen(void)
{
    static const struct {
        double mm[3];
        int margin[3]; /* 20 mm in whole voxels */
    } rows[] = {{{2.5, 3.2, 5}, {8, 6, 4}}, {{3.1, 2.3, 4.1}, {6, 8, 4}}};
    static const int orders[][3] = {{0, 1, 2}, {1, 2, 0}, {2, 1, 0}};
    static const bool flips[][3] = {{0, 0, 0}, {1, 1, 0}, {0, 1, 1}};
    static const int size[3] = {64, 52, 30}, from[3] = {30, 14, 15}, to[3] = {44, 26, 22};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "brain");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(ICB);
    const fab_totalseg_look look = {finder, fab_totalseg_crop_of(ICB), NULL};
    CHECK(look.rule && strcmp(look.rule->structures[0], "brain") == 0);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        fab_volume *ras = make_block(size, rows[r].mm, from, to);
        for (int way = 0; way < 3; way++) {
            fab_volume *image = stored_as(ras, orders[way], flips[way]);
            fab_volume *found = run(finder, image, NULL, NULL);
            int32_t low[3], box[3];
            int margin[3], faces = 0;
            fab_totalseg_seen seen = {0};
            for (int a = 0; a < 3; a++) margin[a] = rows[r].margin[orders[way][a]];
            box_of(found, value_of(finder, "brain"), margin, low, box);
            fab_volume *expected = expected_of(task, image, low, box, &faces);
            fab_volume *got = run(task, image, &look, &seen);
            printf("  box %d x %d x %d at %d %d %d, %lld voxels, %d faces\n", box[0], box[1],
                   box[2], low[0], low[1], low[2], (long long)count_of(got, 1), faces);
            CHECK(seen.found && memcmp(seen.low, low, sizeof low) == 0 &&
                  memcmp(seen.size, box, sizeof box) == 0 && seen.removed == 0);
            CHECK(faces == 6 && count_of(got, 1) > 100 && differences(got, expected) == 0);
            fab_volume *const used[] = {image, found, expected, got};
            for (size_t i = 0; i < 4; i++) fab_volume_unref(used[i]);
        }
        fab_volume_unref(ras);
    }
}

/* As a NIfTI header holds it 0.8 mm is a little more, so 20 mm are 24 voxels there. At the image's
 * end the box ends; in an image smaller than 20 mm it is the image. */
static void boxes_at_the_end(void)
{
    static const struct {
        int size[3], from[3], to[3];
        double mm[3];
        int margin[3];
        bool low_end[3], high_end[3]; /* the box goes to the image's ends */
    } rows[] = {
        {{80, 14, 14}, {36, 5, 5}, {44, 9, 9}, {0.8, 6, 6}, {24, 3, 3}, {0, 0, 0}, {0, 0, 0}},
        {{24, 16, 14}, {18, 0, 4}, {24, 6, 8}, {6, 6, 6}, {3, 3, 3}, {0, 1, 0}, {1, 0, 0}},
        {{3, 3, 3}, {1, 1, 1}, {2, 2, 2}, {6, 6, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}}};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "brain");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(ICB);
    const fab_totalseg_look look = {finder, fab_totalseg_crop_of(ICB), NULL};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        fab_volume *image = make_block(rows[r].size, rows[r].mm, rows[r].from, rows[r].to);
        fab_volume *found = run(finder, image, NULL, NULL);
        int32_t low[3], box[3];
        int faces = 0;
        fab_totalseg_seen seen = {0};
        box_of(found, value_of(finder, "brain"), rows[r].margin, low, box);
        fab_volume *expected = expected_of(task, image, low, box, &faces);
        fab_volume *got = run(task, image, &look, &seen);
        printf("  box %d x %d x %d at %d %d %d\n", seen.size[0], seen.size[1], seen.size[2],
               seen.low[0], seen.low[1], seen.low[2]);
        CHECK(seen.found && memcmp(seen.low, low, sizeof low) == 0 &&
              memcmp(seen.size, box, sizeof box) == 0);
        for (int a = 0; a < 3; a++) {
            CHECK((seen.low[a] == 0) == rows[r].low_end[a]);
            CHECK((seen.low[a] + seen.size[a] == rows[r].size[a]) == rows[r].high_end[a]);
        }
        CHECK(count_of(got, 0) < fab_grid_voxels(fab_volume_grid(got)));
        CHECK(differences(got, expected) == 0);
        fab_volume *const used[] = {image, found, expected, got};
        for (size_t i = 0; i < 4; i++) fab_volume_unref(used[i]);
    }
}

/* TotalSegmentator stores what it cropped in whole numbers: an image of a few units shows that. */
static void values_are_cut(void)
{
    static const int size[3] = {24, 20, 18}, from[3] = {10, 8, 7}, to[3] = {14, 12, 11};
    static const int margin[3] = {3, 3, 3};
    static const double mm[3] = {6, 6, 6};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "brain");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(ICB);
    const fab_totalseg_look look = {finder, fab_totalseg_crop_of(ICB), NULL};
    fab_volume *hu = make_block(size, mm, from, to), *image = NULL, *cut = NULL;
    CHECK_OK(fab_volume_convert(hu, FAB_F32, &image, &err));
    CHECK_OK(fab_volume_convert(hu, FAB_F32, &cut, &err));
    float *at = fab_volume_data_mut(image), *whole = fab_volume_data_mut(cut);
    for (int i = 0; i < 24 * 20 * 18; i++) {
        at[i] /= 30;
        whole[i] = truncf(at[i]);
    }
    fab_volume *found = run(finder, image, NULL, NULL);
    int32_t low[3], box[3];
    int faces = 0;
    box_of(found, value_of(finder, "brain"), margin, low, box);
    fab_volume *expected = expected_of(task, cut, low, box, &faces);
    fab_volume *uncut = expected_of(task, image, low, box, &faces);
    fab_volume *got = run(task, image, &look, NULL);
    printf("  %lld voxels, %lld others uncut\n", (long long)count_of(got, 1),
           (long long)differences(got, uncut));
    CHECK(differences(got, expected) == 0 && differences(got, uncut) > 0);
    fab_volume *const used[] = {hu, image, cut, found, expected, uncut, got};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) fab_volume_unref(used[i]);
}

/* Nothing is found: no label, nothing soft, the task's network does not run. */
static void nothing_is_found(void)
{
    static const int size[3] = {20, 18, 16}, nowhere[3] = {0, 0, 0};
    static const double mm[3] = {6, 6, 6};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "brain");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(ICB);
    fab_totalseg_seen seen = {.found = true};
    fab_nnunet_soft soft = {0};
    const fab_totalseg_look look = {finder, fab_totalseg_crop_of(ICB), NULL};
    fab_totalseg_options o = {.look = &look, .seen = &seen, .soft = &soft, .surfaces = true};
    fab_volume *image = make_block(size, mm, nowhere, nowhere), *labels = NULL;
    int parts = 0;
    CHECK_OK(fab_totalseg_run(task, image, &o, &labels, &parts, NULL, &err));
    CHECK(parts == 1 && !seen.found && !soft.labels && !soft.share);
    CHECK(count_of(labels, 0) == fab_grid_voxels(fab_volume_grid(image)));
    CHECK(fab_grid_equal(fab_volume_grid(labels), fab_volume_grid(image), 1e-9));
    fab_volume_unref(labels);
    o.look = NULL;
    CHECK_OK(fab_totalseg_run(task, image, &o, &labels, &parts, NULL, &err));
    CHECK(parts == 1 && soft.labels && count_of(labels, 0) < 20 * 18 * 16);
    fab_nnunet_soft_free(&soft);
    fab_volume_unref(labels);
    fab_volume_unref(image);
}

/* A finder that does not know what it is to find. */
static void other_names(void)
{
    static const int size[3] = {12, 12, 12}, from[3] = {4, 4, 4}, to[3] = {8, 8, 8};
    static const double mm[3] = {6, 6, 6};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "aorta");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(ICB);
    const fab_totalseg_look look = {finder, fab_totalseg_crop_of(ICB), NULL};
    const fab_totalseg_options o = {.look = &look};
    fab_volume *image = make_block(size, mm, from, to), *labels = NULL;
    CHECK_FAILS(FAB_ERR_NOTFOUND, "to find brain does not know it",
                fab_totalseg_run(task, image, &o, &labels, NULL, NULL, &err));
    CHECK(!labels);
    fab_volume_unref(image);
}

/* Steps through faces to the nearest voxel of a value, by looking at all of them. */
static int steps_to(const fab_volume *v, int value, int i, int j, int k)
{
    const int32_t *n = fab_volume_grid(v)->size;
    const uint8_t *at = fab_volume_data(v);
    int least = 1000;
    for (int z = 0; z < n[2]; z++)
        for (int y = 0; y < n[1]; y++)
            for (int x = 0; x < n[0]; x++, at++) {
                if (*at != value) continue;
                const int steps = abs(x - i) + abs(y - j) + abs(z - k);
                if (steps < least) least = steps;
            }
    return least;
}

/* heartchambers_highres: of the result only what is within 10 mm of heart, aorta or vena cava. At
 * 2, 2.6 and 3.2 mm that is 3 steps (10 / 2.6), counted through faces. */
static void what_is_outside_goes(void)
{
    static const char *const name = "Dataset301_heart_highres_1559subj";
    static const int size[3] = {40, 32, 26}, from[3] = {14, 12, 10}, to[3] = {23, 18, 15};
    static const double mm[3] = {2, 2.6, 3.2};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make(threshold, "Dataset298_Threshold", "Dataset297_TotalSegmentator_total_3mm", "heart",
             "inferior_vena_cava", "aorta");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(name);
    fab_totalseg_crop boxed = *fab_totalseg_crop_of(name);
    static const char *const aorta[] = {"aorta", NULL};
    CHECK(boxed.keep && boxed.quality == FAB_TOTALSEG_FAST);
    fab_totalseg_crop whole = boxed;
    boxed.structures = whole.structures = aorta; /* what this finder can find */
    boxed.keep = NULL;
    const fab_totalseg_look near = {finder, &whole, NULL}, anywhere = {finder, &boxed, NULL};
    fab_totalseg_seen seen = {0};
    fab_volume *image = make_block(size, mm, from, to), *found = run(finder, image, NULL, NULL);
    fab_volume *all = run(task, image, &anywhere, NULL), *got = run(task, image, &near, &seen);
    int64_t removed = 0, kept = 0;
    const int value = value_of(finder, "aorta");
    for (int k = 0; k < size[2]; k++)
        for (int j = 0; j < size[1]; j++)
            for (int i = 0; i < size[0]; i++) {
                const int before = (int)fab_volume_get(all, i, j, k);
                const bool stays = before && steps_to(found, value, i, j, k) <= 3;
                CHECK((int)fab_volume_get(got, i, j, k) == (stays ? before : 0));
                removed += before && !stays;
                kept += stays;
            }
    printf("  %lld voxels stay, %lld go\n", (long long)kept, (long long)removed);
    CHECK(kept > 200 && removed > 200 && seen.removed == removed);
    fab_volume *const used[] = {image, found, all, got};
    for (size_t i = 0; i < 4; i++) fab_volume_unref(used[i]);
}

/* teeth: 10 mm around the teeth, which are found within 20 mm around the skull. */
static void finders_of_finders(void)
{
    static const char *const tooth = "Dataset113_ToothFairy3", *const jaw = "Dataset115_mandible";
    static const int size[3] = {40, 36, 34}, from[3] = {16, 14, 12}, to[3] = {23, 20, 19};
    static const double mm[3] = {5, 5, 5};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *first =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "skull");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *second =
        make(threshold, "Dataset298_Threshold", jaw, "teeth_upper", "skull", "teeth_lower");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(tooth);
    const fab_totalseg_look skull = {first, fab_totalseg_crop_of(jaw), NULL};
    const fab_totalseg_look teeth = {second, fab_totalseg_crop_of(tooth), &skull};
    CHECK(skull.rule->addon_mm == 20 && teeth.rule->addon_mm == 10);
    CHECK(strcmp(teeth.rule->task, fab_totalseg_task(jaw)) == 0);
    fab_volume *image = make_block(size, mm, from, to), *found = run(second, image, &skull, NULL);
    static const int two[3] = {2, 2, 2};
    int32_t low[3], box[3];
    int faces = 0, parts = 0;
    fab_totalseg_seen seen = {0};
    box_of(found, value_of(second, "teeth_lower"), two, low, box);
    fab_volume *expected = expected_of(task, image, low, box, &faces), *got = NULL;
    const fab_totalseg_options o = {.look = &teeth, .seen = &seen};
    CHECK_OK(fab_totalseg_run(task, image, &o, &got, &parts, NULL, &err));
    CHECK(parts == 3 && memcmp(seen.low, low, sizeof low) == 0 &&
          memcmp(seen.size, box, sizeof box) == 0);
    CHECK(faces == 6 && differences(got, expected) == 0);
    fab_volume *const used[] = {image, found, expected, got};
    for (size_t i = 0; i < 4; i++) fab_volume_unref(used[i]);
}

/* Labels that only helped to train are no structures: where they win nothing is. */
static void auxiliary_labels_go(void)
{
    static const char *const name = "Dataset789_kidney_cyst_501subj";
    static const int size[3] = {20, 18, 16}, from[3] = {8, 7, 6}, to[3] = {12, 11, 10};
    static const double mm[3] = {3, 3, 3};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *plain = make_task(ICB);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task =
        make(small, "Dataset900_Small", name, "kidney_cyst_left", "kidney_cyst_right",
             "kidney_left");
    CHECK(fab_totalseg_labels(task)->count == 2 && value_of(task, "kidney_cyst_right") == 2);
    fab_volume *image = make_block(size, mm, from, to);
    fab_volume *all = run(plain, image, NULL, NULL), *got = run(task, image, NULL, NULL);
    CHECK(count_of(all, 3) > 50 && count_of(got, 3) == 0);
    CHECK(count_of(got, 1) == count_of(all, 1) && count_of(got, 2) == count_of(all, 2));
    CHECK(count_of(got, 1) && count_of(got, 2));
    CHECK(fab_totalseg_auxiliary("Dataset304_appendicular_bones_ext_1559subj") == 12);
    CHECK(fab_totalseg_auxiliary("Dataset304_mine") == 0);
    fab_volume_unref(image);
    fab_volume_unref(all);
    fab_volume_unref(got);
}

/* Data sets of other tasks that have TotalSeg in their names are none of "total". */
static void rules_by_name(void)
{
    static const struct {
        const char *folder, *task, *first, *finder;
        fab_totalseg_quality quality;
    } rows[] = {
        {"Dataset117_lung_airways_arteries_veins_282subj", "lung_vessels", "lung_upper_lobe_left",
         "total", FAB_TOTALSEG_FAST},
        {"Dataset258_lung_vessels_248subj", "lung_vessels_LEGACY", "lung_upper_lobe_left", "total",
         FAB_TOTALSEG_FASTEST},
        {"Dataset576_mri_liver_segments_120subj", "liver_segments_mr", "liver", "total_mr",
         FAB_TOTALSEG_FAST},
        {"Dataset952_abdominal_muscles_167subj", "abdominal_muscles", "body_trunc", "body",
         FAB_TOTALSEG_FASTEST},
        {"Dataset570_ct_liver_segments/" RESULT, "liver_segments", "liver", "total",
         FAB_TOTALSEG_FASTEST},
        {"Dataset803_TotalSegmentator_vertebrae_inner_1559subj", "vertebrae_pp", NULL, NULL, 0},
        {"Dataset855_TotalSegMRI_appendicular_bones_1088subj", "appendicular_bones_mr", NULL, NULL,
         0},
        {"Dataset291_TotalSegmentator_part1_organs_1559subj", "total", NULL, NULL, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const fab_totalseg_crop *rule = fab_totalseg_crop_of(rows[i].folder);
        CHECK(strcmp(fab_totalseg_task(rows[i].folder), rows[i].task) == 0);
        CHECK((rule != NULL) == (rows[i].first != NULL));
        if (!rule || !rows[i].first) continue;
        CHECK(strcmp(rule->structures[0], rows[i].first) == 0 && rule->addon_mm == 20);
        CHECK(strcmp(rule->task, rows[i].finder) == 0 && rule->quality == rows[i].quality);
    }
    CHECK(!fab_totalseg_crop_of("Dataset570_mine") && !fab_totalseg_crop_of("liver_segments"));
}

typedef struct stopping {
    int left;
} stopping;

static bool is_enough(void *ctx)
{
    stopping *s = ctx;
    return s->left-- <= 0;
}

/* Stopped at its first, second, ... question until it runs through: never a label map before. */
static void can_be_stopped(void)
{
    static const int size[3] = {16, 14, 12}, from[3] = {5, 5, 4}, to[3] = {10, 9, 8};
    static const double mm[3] = {6, 6, 6};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset298_TotalSegmentator_total_6mm", "brain");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(ICB);
    const fab_totalseg_look look = {finder, fab_totalseg_crop_of(ICB), NULL};
    fab_volume *image = make_block(size, mm, from, to), *labels = NULL;
    int stops = 0;
    fab_threads_set(1);
    for (fab_status status = FAB_ERR_CANCELLED; status != FAB_OK; stops++) {
        stopping s = {stops};
        const fab_progress progress = {.ctx = &s, .cancelled = is_enough};
        const fab_totalseg_options o = {.look = &look, .progress = &progress};
        status = fab_totalseg_run(task, image, &o, &labels, NULL, NULL, &err);
        CHECK(status == FAB_OK ? labels != NULL : status == FAB_ERR_CANCELLED && !labels);
    }
    printf("  stopped at %d places\n", stops - 1);
    CHECK(stops > 10);
    fab_threads_set(0);
    fab_volume_unref(labels);
    fab_volume_unref(image);
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

/* A cap that is too small says what it must be; raised until it runs, it runs in that much, with
 * the map of what is near held beside. */
static void memory_is_planned(void)
{
    static const char *const name = "Dataset301_heart_highres_1559subj";
    static const char *const aorta[] = {"aorta", NULL};
    static const int size[3] = {160, 150, 200}, from[3] = {60, 60, 90}, to[3] = {90, 90, 120};
    static const double mm[3] = {1.4, 1.4, 1.4};
    FAB_AUTO(fab_totalseg_free) fab_totalseg *finder =
        make_finder("Dataset297_TotalSegmentator_total_3mm", "aorta");
    FAB_AUTO(fab_totalseg_free) fab_totalseg *task = make_task(name);
    fab_totalseg_crop rule = *fab_totalseg_crop_of(name);
    rule.structures = rule.keep = aorta;
    const fab_totalseg_look look = {finder, &rule, NULL};
    fab_totalseg_options o = {.look = &look, .max_memory_bytes = 1000000};
    fab_volume *image = make_block(size, mm, from, to), *labels = NULL;
    int asked = 0;
    fab_threads_set(1);
    while (fab_totalseg_run(task, image, &o, &labels, NULL, NULL, &err) != FAB_OK) {
        const char *at = strstr(err.message, "need ");
        if (!at) at = strstr(err.message, "needs ");
        CHECK(at && strstr(err.message, "MB") && !labels && asked++ < 10);
        const long need = strtol(at + strcspn(at, "0123456789"), NULL, 10);
        CHECK((size_t)need * 1000000 > o.max_memory_bytes);
        o.max_memory_bytes = (size_t)need * 1000000;
        printf("  %s\n", err.message);
    }
    const int64_t voxels = fab_grid_voxels(fab_volume_grid(image));
    CHECK(asked > 0 && (int64_t)o.max_memory_bytes > 4 * voxels); /* image, labels, steps */
    fab_volume_unref(labels);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const pid_t child = fork();
    if (child == 0) { /* it has the image already; 3 MB for files and the heap's own, without holes
                         where glibc stops mapping large blocks by themselves */
        (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
        limit_data(o.max_memory_bytes - fab_volume_bytes(image) + 3000000);
        labels = NULL;
        const fab_status status = fab_totalseg_run(task, image, &o, &labels, NULL, NULL, &err);
        if (status < 0) fprintf(stderr, "%s\n", err.message);
        _exit(status == FAB_OK ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
    fab_threads_set(0);
    fab_volume_unref(image);
}

int main(void)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(small, sizeof small, "%s/tests/golden/nnunet_folder", root ? root : ".");
    snprintf(threshold, sizeof threshold, "%s/tests/golden/nnunet_threshold", root ? root : ".");
    if (!fab_test_folder(models)) return 1;
    fab_test tests[] = {TEST(only_the_box_is_seen), TEST(boxes_at_the_end), TEST(values_are_cut),
                        TEST(nothing_is_found), TEST(other_names), TEST(what_is_outside_goes),
                        TEST(finders_of_finders), TEST(auxiliary_labels_go), TEST(rules_by_name),
                        TEST(can_be_stopped), TEST(memory_is_planned)};
    int status = fab_test_run(tests, sizeof tests / sizeof *tests);
    return fab_path_remove_tree(models, &err) == FAB_OK ? status : 1;
}
