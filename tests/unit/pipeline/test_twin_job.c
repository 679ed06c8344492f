/* The twin job on label maps of boxes: findings, stopping, progress, the report. */
#include <dirent.h>

#include "tests.h"

static const char table[] =
    "{\"1\": \"liver\", \"2\": \"kidney_left\", \"3\": \"kidney_right\", \"4\": \"vertebrae_L1\","
    " \"5\": \"vertebrae_L3\", \"6\": \"spleen\", \"7\": \"heart\"}";

/* x grows to the left, z to the head. */
static const box wrong[] = {
    {1, {0, 10, 10}, {12, 20, 22}},                                   /* liver, cut on the right */
    {2, {14, 10, 10}, {20, 16, 18}},  {3, {26, 10, 10}, {32, 16, 18}},  /* sides swapped */
    {4, {20, 30, 10}, {26, 36, 13}},  {5, {20, 30, 20}, {26, 36, 23}},  /* L1 below L3 */
    {6, {36, 10, 10}, {40, 14, 14}},  {6, {36, 30, 30}, {40, 34, 34}},  /* spleen in two */
};
enum { WRONG_COUNT = sizeof wrong / sizeof *wrong };

static fab_status run(const char *output, const fab_job_watch *watch, fab_json **manifest,
                      fab_error *err)
{
    fab_twin_options o = {.input = in(root, "ct.nii.gz"), .labels = in(root, "l.nii.gz"),
                          .output = output, .formats = "nifti", .mesh = {-1, -1}, .watch = watch};
    return fab_job_twin(&o, manifest, err);
}

static bool has_finding(const fab_json *manifest, const char *structure, const char *code)
{
    const fab_json *rows = fab_json_find(manifest, "structures");
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i), *list = fab_json_find(row, "findings");
        if (strcmp(fab_json_text(fab_json_find(row, "name")), structure) != 0) continue;
        for (size_t f = 0; f < fab_json_count(list); f++)
            if (strcmp(fab_json_text(fab_json_find(fab_json_at(list, f), "code")), code) == 0)
                return true;
    }
    return false;
}

void findings_of_a_wrong_twin(void)
{
    fab_error err;
    char output[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *m = NULL;
    fresh();
    write_ct(root);
    write_labels(root, "l", wrong, WRONG_COUNT, table);
    snprintf(output, sizeof output, "%s", in(root, "case"));
    CHECK_OK(run(output, NULL, &m, &err));
    CHECK(has_finding(m, "liver", "touches-scan-edge"));
    CHECK(!has_finding(m, "spleen", "touches-scan-edge"));
    CHECK(has_finding(m, "kidney_left", "left-right"));
    CHECK(has_finding(m, "kidney_right", "left-right"));
    CHECK(has_finding(m, "vertebrae_L3", "level-order"));
    CHECK(has_finding(m, "vertebrae_L3", "level-gap"));
    CHECK(has_finding(m, "spleen", "fragments"));
    CHECK(has_finding(m, "spleen", "small-volume"));
    CHECK(!has_finding(m, "liver", "small-volume")); /* what is cut off may well be small */
    const fab_json *missing = fab_json_find(m, "not_found");
    CHECK(fab_json_count(missing) == 1);
    CHECK(strcmp(fab_json_text(fab_json_at(missing, 0)), "heart") == 0);
    /* 13 x 11 x 13 voxels of 5 mm */
    const fab_json *liver = fab_json_at(fab_json_find(m, "structures"), 0);
    CHECK_NEAR(fab_json_number(fab_json_find(liver, "volume_ml")), 13 * 11 * 13 * 0.125, 1e-6);
    CHECK(fab_json_is_null(fab_json_find(liver, "confidence")));
    clean();
}

typedef struct spy {
    const char *stop_at;
    bool stop;
    double overall, fraction;
    int index, scratch;
    bool fell;
} spy;

static void on_step(void *ctx, const fab_job_step *s)
{
    spy *seen = ctx;
    bool same = s->index == seen->index;
    if (s->overall < seen->overall || (same && s->fraction < seen->fraction)) seen->fell = true;
    seen->overall = s->overall;
    seen->fraction = s->fraction;
    seen->index = s->index;
    if (seen->stop_at && strcmp(seen->stop_at, s->name) == 0) seen->stop = true;
}

static bool on_cancelled(void *ctx) { return ((spy *)ctx)->stop; }

static void on_scratch(void *ctx, const char *folder, bool live)
{
    (void)folder;
    ((spy *)ctx)->scratch += live ? 1 : -1;
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

void cancel_at_every_step(void)
{
    static const char *const steps[] = {"read", "segment", "check", "mesh", "detail", "measure",
                                        "write", "export", "report"};
    fab_error err;
    char output[FAB_MAX_PATH_BYTES];
    fresh();
    write_ct(root);
    write_labels(root, "l", wrong, WRONG_COUNT, table);
    CHECK_OK(fab_path_make_folder(in(root, "out"), &err));
    snprintf(output, sizeof output, "%s/case", in(root, "out"));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        spy seen = {.stop_at = steps[i]};
        fab_job_watch watch = {&seen, on_step, on_cancelled, NULL, on_scratch};
        CHECK(run(output, &watch, NULL, &err) == FAB_ERR_CANCELLED);
        CHECK(entries(in(root, "out")) == 0);
        CHECK(seen.scratch == 0);
    }
    clean();
}

void progress_never_falls(void)
{
    fab_error err;
    char output[FAB_MAX_PATH_BYTES];
    spy seen = {0};
    fab_job_watch watch = {&seen, on_step, on_cancelled, NULL, on_scratch};
    fresh();
    write_ct(root);
    write_labels(root, "l", wrong, WRONG_COUNT, table);
    snprintf(output, sizeof output, "%s", in(root, "case"));
    CHECK_OK(run(output, &watch, NULL, &err));
    CHECK(!seen.fell && seen.overall == 1 && seen.scratch == 0);
    clean();
}

void names_cannot_break_the_report(void)
{
    static const box boxes[] = {{1, {10, 10, 10}, {20, 20, 20}}};
    fab_error err;
    char output[FAB_MAX_PATH_BYTES];
    fresh();
    write_ct(root);
    write_labels(root, "l", boxes, 1, "{\"1\": \"<script>alert(1)<&\\\"'>\"}");
    snprintf(output, sizeof output, "%s", in(root, "case"));
    CHECK_OK(run(output, NULL, NULL, &err));
    fab_reader r;
    FAB_AUTO_FREE uint8_t *page = NULL;
    size_t count = 0;
    CHECK_OK(fab_reader_open_file(in(output, "report.html"), &r, &err));
    CHECK_OK(fab_reader_read_all(&r, 1u << 26, &page, &count, &err));
    fab_reader_close(&r);
    CHECK(strstr((char *)page, "&lt;script&gt;alert(1)&lt;&amp;&quot;&#39;&gt;") != NULL);
    CHECK(strstr((char *)page, "<script") == NULL);
    CHECK(strstr((char *)page, "Not for diagnostic use") != NULL);
    CHECK(access(in(in(output, "meshes"), "_script_alert_1______.ply"), R_OK) == 0);
    clean();
}
