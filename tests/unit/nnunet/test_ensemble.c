/* test_ensemble.c - ensembles of the golden cascade's networks against what an independent
 * restatement in torch makes of them (tests/golden/nnunet_ensemble, written by
 * train/golden_ensemble.py); what cannot be joined; and the memory that is planned. */
#include <sys/stat.h>

#include "fabrica/nifti.h"
#include "model_internal.h"
#include "nnunet_internal.h"
#include "harness.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#define DATASET "nnunet_cascade/Dataset901_Cascade"

static fab_error err;

static const char *golden(const char *name)
{
    static char path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/%s", root ? root : ".", name);
    return path;
}

static fab_volume *read_volume(const char *name)
{
    fab_volume *v = NULL;
    CHECK_OK(fab_nifti_read(golden(name), &v, NULL, 0, &err));
    return v;
}

static void read_images(fab_volume *image[2])
{
    image[0] = read_volume("nnunet_cascade/input/case_0000.nii.gz");
    image[1] = read_volume("nnunet_cascade/input/case_0001.nii.gz");
}

/* The ensemble of a NULL-terminated list of configurations, of all folds or the first only. */
static fab_nnunet *ensemble_of(const char *const *names, bool one_fold, const char *clean)
{
    fab_nnunet *member[FAB_NNUNET_MAX_MEMBERS], *m = NULL;
    int count = 0;
    for (; names[count]; count++) {
        const fab_nnunet_load_options o = {.configuration = names[count], .fold_count = one_fold,
                                           .no_postprocessing = true};
        CHECK_OK(fab_nnunet_load(golden(DATASET), &o, &member[count], &err));
    }
    CHECK_OK(fab_nnunet_join(member, count, clean, &m, &err));
    CHECK(fab_nnunet_members(m) == count && fab_nnunet_member(m, 1) == member[1]);
    CHECK(strlen(fab_nnunet_weights_sha256(m)) == 64);
    return m;
}

static int64_t differing(const fab_volume *a, const fab_volume *b)
{
    CHECK(fab_volume_dtype(a) == FAB_U8 && fab_volume_dtype(b) == FAB_U8);
    CHECK(fab_grid_equal(fab_volume_grid(a), fab_volume_grid(b), 1e-4));
    const uint8_t *p = fab_volume_data(a), *q = fab_volume_data(b);
    int64_t different = 0;
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(a)); i++) different += p[i] != q[i];
    return different;
}

static fab_nnunet_report check(const char *const *names, bool one_fold, const char *clean,
                               const char *file)
{
    const fab_nnunet_options o = {.exact = true};
    fab_nnunet_report report = {0};
    fab_volume *image[2], *labels = NULL, *expected = read_volume(file);
    fab_nnunet *m = ensemble_of(names, one_fold, clean);
    read_images(image);
    CHECK_OK(fab_nnunet_predict(m, (const fab_volume *const *)image, NULL, &o, &labels, &report,
                                &err));
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels)), d = differing(labels, expected);
    printf("  %s: %d network runs, %lld of %lld labels differ, %lld removed\n", file,
           report.patches, (long long)d, (long long)n, (long long)report.removed_voxels);
    CHECK(d <= n / 5000);
    fab_volume_unref(expected);
    fab_volume_unref(labels);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
    return report;
}

static const char *const pair[] = {"2d", "3d_cascade_fullres", NULL};
static const char *const stages[] = {"3d_cascade_fullres", "3d_lowres", NULL};
static const char *const three[] = {"3d_lowres", "2d",
                                    "nnUNetTrainer__nnUNetPlans__3d_cascade_fullres", NULL};

static void two_and_three(void)
{
    check(pair, false, NULL, "nnunet_ensemble/expected_pair.nii.gz");
    check(three, false, NULL, "nnunet_ensemble/expected_three.nii.gz");
}

/* The first stage of one member is the other: it runs once. */
static void a_cascade_and_its_first_stage(void)
{
    const fab_nnunet_report both = check(stages, false, NULL,
                                         "nnunet_ensemble/expected_stages.nii.gz");
    fab_volume *image[2], *labels = NULL;
    fab_nnunet_report report = {0};
    fab_nnunet *m = NULL;
    read_images(image);
    CHECK_OK(fab_nnunet_load(golden(DATASET), NULL, &m, &err));
    CHECK_OK(fab_nnunet_predict(m, (const fab_volume *const *)image, NULL, NULL, &labels, &report,
                                &err));
    CHECK(report.patches == both.patches);
    fab_volume_unref(labels);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

static void one_fold_and_postprocessing(void)
{
    char clean[FAB_MAX_PATH_BYTES];
    snprintf(clean, sizeof clean, "%s", golden("nnunet_ensemble/ensembles/"
             "ensemble___nnUNetTrainer__nnUNetPlans__2d"
             "___nnUNetTrainer__nnUNetPlans__3d_cascade_fullres___0"));
    check(pair, true, NULL, "nnunet_ensemble/expected_chosen_uncleaned.nii.gz");
    const fab_nnunet_report r = check(pair, true, clean,
                                      "nnunet_ensemble/expected_chosen.nii.gz");
    CHECK(r.removed_voxels > 0);
    fab_nnunet *m = ensemble_of(pair, true, clean);
    char name[300];
    fab_nnunet_ensemble_name((const fab_nnunet *const *)m->member, 2, name, sizeof name);
    CHECK(strcmp(name, fab_path_name(clean)) == 0);
    fab_nnunet_free(m);
}

/* On the finest lattice; where the mean has a label in the image, it mostly has it there too. */
static void what_is_soft(void)
{
    fab_volume *image[2], *labels = NULL;
    fab_nnunet_soft soft = {0};
    const fab_nnunet_options o = {.soft = &soft, .surfaces = true};
    fab_nnunet *m = ensemble_of(three, true, NULL);
    read_images(image);
    CHECK_OK(fab_nnunet_predict(m, (const fab_volume *const *)image, NULL, &o, &labels, NULL,
                                &err));
    CHECK(soft.labels && soft.share && soft.fine_labels && soft.fine_margin);
    int64_t most = 0, same = 0, found = 0;
    double share = 0;
    for (int i = 0; i < 3; i++) {
        fab_nnunet_case c;
        CHECK_OK(fab_nnunet_outline(&m->member[i]->plan, (const fab_volume *const *)image, &c,
                                    &err));
        const int64_t n = (int64_t)c.size[0] * c.size[1] * c.size[2];
        most = n > most ? n : most;
    }
    const fab_grid *lattice = fab_volume_grid(soft.labels), *grid = fab_volume_grid(labels);
    CHECK(fab_grid_voxels(lattice) == most);
    fab_mat34 voxel_from_world;
    CHECK_OK(fab_mat34_invert(&grid->world_from_voxel, &voxel_from_world, &err));
    for (int64_t i = 0; i < most; i++) {
        const int32_t *n = lattice->size;
        double p[3] = {(double)(i % n[0]), (double)(i / n[0] % n[1]), (double)(i / n[0] / n[1])};
        int64_t at = 0;
        fab_mat34_apply(&lattice->world_from_voxel, p, p);
        fab_mat34_apply(&voxel_from_world, p, p);
        for (int a = 2; a >= 0; a--)
            at = at * grid->size[a] + (int64_t)fmin(fmax(round(p[a]), 0), grid->size[a] - 1);
        same += fab_volume_at(labels, at) == fab_volume_at(soft.labels, i);
        found += fab_volume_at(soft.labels, i) > 0;
        share += fab_volume_at(soft.share, i) / 255;
    }
    printf("  %lld of %lld lattice voxels as in the image, mean probability %.2f\n",
           (long long)same, (long long)most, share / (double)most);
    CHECK((double)same > 0.7 * (double)most && found > most / 5);
    CHECK(share > 0.25 * (double)most && share < (double)most);
    fab_nnunet_soft_free(&soft);
    fab_volume_unref(labels);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

static void what_cannot_be_joined(void)
{
    fab_nnunet *a = NULL, *b = NULL, *m = NULL;
    fab_nnunet_load_options o = {.configuration = "2d", .no_postprocessing = true};
    CHECK_OK(fab_nnunet_load(golden(DATASET), &o, &a, &err));
    o = (fab_nnunet_load_options){.plan_only = true, .configuration = "3d_lowres"};
    CHECK_OK(fab_nnunet_load(golden(DATASET), &o, &b, &err));
    fab_nnunet *const both[2] = {a, b};
    CHECK_FAILS(FAB_ERR_ARG, "an ensemble of 1; 2 to 8", fab_nnunet_join(both, 1, NULL, &m, &err));
    snprintf(b->plan.head[2].name, sizeof b->plan.head[2].name, "other");
    CHECK_FAILS(FAB_ERR_FORMAT, "3d_lowres/dataset.json: labels.other (2) is b (2) in",
                fab_nnunet_join(both, 2, NULL, &m, &err));
    b->plan.head_count--;
    CHECK_FAILS(FAB_ERR_FORMAT, "dataset.json: labels: 3, in",
                fab_nnunet_join(both, 2, NULL, &m, &err));
    b->plan.regions = true;
    CHECK_FAILS(FAB_ERR_FORMAT, "labels are regions, in",
                fab_nnunet_join(both, 2, NULL, &m, &err));
    b->plan = a->plan;
    snprintf(b->plan.channel[1].name, sizeof b->plan.channel[1].name, "T2");
    CHECK_FAILS(FAB_ERR_FORMAT, "dataset.json: channel_names.1 is T2, in",
                fab_nnunet_join(both, 2, NULL, &m, &err));
    b->plan.channels = 1;
    CHECK_FAILS(FAB_ERR_FORMAT, "dataset.json: channel_names: 1, in",
                fab_nnunet_join(both, 2, NULL, &m, &err));
    b->plan = a->plan;
    CHECK_FAILS(FAB_ERR_NOTFOUND, "postprocessing.json",
                fab_nnunet_join(both, 2, golden("nnunet_ensemble"), &m, &err));
    CHECK(!m);
    CHECK_OK(fab_nnunet_join(both, 2, NULL, &m, &err));
    fab_volume *image[2], *labels = NULL;
    read_images(image);
    const fab_volume *const *images = (const fab_volume *const *)image;
    CHECK_FAILS(FAB_ERR_ARG, "3d_lowres was loaded without weights",
                fab_nnunet_predict(m, images, NULL, NULL, &labels, NULL, &err));
    CHECK_FAILS(FAB_ERR_ARG, "takes no labels",
                fab_nnunet_predict(m, images, image[0], NULL, &labels, NULL, &err));
    CHECK(!labels);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

static bool stop_at(void *ctx)
{
    int *left = ctx;
    return --*left < 0;
}

static void can_be_stopped(void)
{
    fab_volume *image[2], *labels = NULL;
    fab_nnunet_soft soft = {0};
    fab_nnunet *m = ensemble_of(three, true, NULL);
    read_images(image);
    fab_status status = FAB_ERR_CANCELLED;
    int stops = 0;
    for (int at = 0; status != FAB_OK; at += 1 + at / 2, stops++) {
        int left = at;
        const fab_progress p = {.ctx = &left, .cancelled = stop_at};
        const fab_nnunet_options o = {.progress = &p, .soft = &soft};
        status = fab_nnunet_predict(m, (const fab_volume *const *)image, NULL, &o, &labels, NULL,
                                    &err);
        CHECK(status == FAB_OK ? labels && soft.labels
                               : status == FAB_ERR_CANCELLED && !labels && !soft.labels);
    }
    printf("  stopped at %d places\n", stops - 1);
    CHECK(stops > 10);
    fab_nnunet_soft_free(&soft);
    fab_volume_unref(labels);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

/* ---- memory ------------------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
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

static void runs_within(const fab_nnunet *m, const fab_volume *const *images,
                        const fab_nnunet_options *o)
{
    const pid_t child = fork();
    if (child == 0) { /* it has images and weights already; 3 MB for the heap's own */
        fab_volume *labels = NULL;
        (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
        limit_data(o->max_memory_bytes - 2 * fab_volume_bytes(images[0]) + 3000000);
        const fab_status status = fab_nnunet_predict(m, images, NULL, o, &labels, NULL, &err);
        if (status < 0) fprintf(stderr, "%s\n", err.message);
        _exit(status == FAB_OK ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#else
static void runs_within(const fab_nnunet *m, const fab_volume *const *images,
                        const fab_nnunet_options *o)
{
    fab_volume *labels = NULL;
    CHECK_OK(fab_nnunet_predict(m, images, NULL, o, &labels, NULL, &err));
    fab_volume_unref(labels);
}
#endif

/* Both images as one of `size` voxels of 1.6 mm, values as they come. */
static void make_images(const int size[3], fab_volume *image[2])
{
    fab_grid g = {.size = {size[0], size[1], size[2]}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = 1.6;
    for (int c = 0; c < 2; c++) {
        CHECK_OK(fab_volume_create(&g, FAB_I16, &image[c], &err));
        int16_t *v = fab_volume_data_mut(image[c]);
        for (int64_t i = 0; i < fab_grid_voxels(&g); i++)
            v[i] = (int16_t)(1 + (i * (7 + c) / 3) % 300);
    }
}

/* A cap that is too small says what it must be, before a network runs, and that is enough. */
static void memory_is_planned(void)
{
    static const int size[3] = {128, 140, 120};
    fab_volume *image[2], *labels = NULL;
    fab_nnunet_soft soft = {0};
    fab_nnunet *m = ensemble_of(three, true, NULL);
    make_images(size, image);
    const fab_volume *const *images = (const fab_volume *const *)image;
    for (int softly = 0; softly < 2; softly++) {
        fab_nnunet_report report = {0};
        fab_nnunet_options o = {.max_memory_bytes = 1000000, .step = 1, .no_mirroring = true,
                                .exact = true, .soft = softly ? &soft : NULL,
                                .surfaces = softly};
        fab_threads_set(1);
        CHECK_FAILS(FAB_ERR_LIMIT, "MB of memory, the cap is 1 MB",
                    fab_nnunet_predict(m, images, NULL, &o, &labels, &report, &err));
        CHECK(report.patches == 0 && strstr(err.message, "need "));
        printf("  %s\n", err.message);
        const long need = strtol(strstr(err.message, "need ") + 5, NULL, 10);
        o.max_memory_bytes = (size_t)(need - 1) * 1000000;
        CHECK_FAILS(FAB_ERR_LIMIT, "MB of memory",
                    fab_nnunet_predict(m, images, NULL, &o, &labels, &report, &err));
        o.max_memory_bytes = (size_t)need * 1000000;
        runs_within(m, images, &o);
    }
    fab_threads_set(0);
    fab_nnunet_soft_free(&soft);
    fab_volume_unref(image[0]);
    fab_volume_unref(image[1]);
    fab_nnunet_free(m);
}

int main(void)
{
    fab_test tests[] = {TEST(two_and_three), TEST(a_cascade_and_its_first_stage),
                        TEST(one_fold_and_postprocessing), TEST(what_is_soft),
                        TEST(what_cannot_be_joined), TEST(can_be_stopped),
                        TEST(memory_is_planned)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
