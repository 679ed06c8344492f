#include <sys/stat.h>

#include "lesson_build.h"
#include "tests.h"

/* The lessons of a case: listed by a thread, found by name. */

static char folder[FAB_MAX_PATH_BYTES];
static atomic_int woken;

static void wake(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&woken, 1);
}

static void put(const char *name, const void *bytes, size_t count)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    CHECK_OK(fab_path_join(path, sizeof path, folder, name, &err));
    CHECK_OK(fab_file_write_atomic(path, bytes, count, &err));
}

static const char *list(fab_shelf *s, fab_buf *out)
{
    fab_error err = {0};
    for (int n = 0; n < 3000; n++) {
        out->size = 0;
        fab_status status = fab_shelf_list(s, fab_time_wall_s(), out, &err);
        CHECK(status >= 0);
        if (status == FAB_OK) {
            CHECK(fab_buf_append(out, "", 1, NULL) == FAB_OK);
            return (const char *)out->data;
        }
        usleep(2000);
    }
    return "";
}

static fab_status find(fab_shelf *s, const char *name, fab_shelf_lesson *out, fab_error *err)
{
    fab_status status = 1;
    for (int n = 0; n < 3000 && status > 0; n++, usleep(status > 0 ? 2000 : 0))
        status = fab_shelf_find(s, name, fab_time_wall_s(), out, err);
    return status;
}

void lessons_on_the_shelf(void)
{
    FAB_AUTO_BUF fab_buf lesson = {0}, out = {0};
    char given[FAB_MAX_PATH_BYTES + 32], lessons[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_shelf *s = NULL;
    fab_shelf_lesson found = {.fd = -1};
    CHECK(fab_test_folder(folder));
    CHECK_OK(lesson_build(&lesson, 3, false, &err));
    put("given.mcap", lesson.data, lesson.size);
    snprintf(given, sizeof given, "%s/given.mcap", folder);
    snprintf(lessons, sizeof lessons, "%.4000s/lessons", folder);
    fab_model_hashes model = {lesson_about.manifest_sha256, "x"};
    CHECK_OK(fab_shelf_open(lessons, given, &model, wake, NULL, &s, &err));
    CHECK(strcmp(fab_shelf_given(s), "where-the-portal-vein-divides") == 0);
    CHECK_OK(fab_shelf_start(s, &err));
    CHECK(strstr(list(s, &out), "\"model\":\"same\"")); /* the folder is not there yet */
    CHECK(mkdir(lessons, 0777) == 0);
    put("lessons/cut.mcap", lesson.data, lesson.size * 2 / 3);
    put("lessons/wrong.mcap", "no lesson", 9);
    put("lessons/where-the-portal-vein-divides.mcap", "in the way of the given one", 27);
    fab_shelf_changed(s);
    const char *text = list(s, &out);
    CHECK(strstr(text, "{\"lessons\":[{\"name\":\"where-the-portal-vein-divides\""));
    CHECK(strstr(text, "\"cut\":true"));
    CHECK(strstr(text, "\"name\":\"wrong\",\"bytes\":9,\"error\":"));
    CHECK(!strstr(text, folder)); /* others read it */
    CHECK_OK(find(s, "where-the-portal-vein-divides", &found, &err));
    CHECK(found.bytes == lesson.size);
    close(found.fd);
    CHECK_OK(find(s, "cut", &found, &err));
    CHECK(found.bytes == lesson.size * 2 / 3);
    close(found.fd);
    CHECK_FAILS(FAB_ERR_FORMAT, "wrong.mcap", find(s, "wrong", &found, &err));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no such", find(s, "../given", &found, &err));
    fab_shelf_hold(s, "cut", true);
    fab_shelf_changed(s);
    CHECK(!strstr(list(s, &out), "\"name\":\"cut\""));
    CHECK_FAILS(FAB_ERR_ARG, "being recorded", fab_shelf_remove(s, "cut", 0, &err));
    fab_shelf_hold(s, "cut", false);
    CHECK(strstr(list(s, &out), "\"cut\":true"));
    CHECK_FAILS(FAB_ERR_ARG, "--lesson",
                fab_shelf_remove(s, "where-the-portal-vein-divides", 0, &err));
    CHECK_OK(fab_shelf_remove(s, "cut", fab_time_wall_s(), &err));
    CHECK(!strstr(list(s, &out), "\"name\":\"cut\"") && atomic_load(&woken) > 2);
    fab_shelf_close(s);
    snprintf(given, sizeof given, "%.4000s/wrong.mcap", lessons);
    CHECK_FAILS(FAB_ERR_FORMAT, "wrong.mcap",
                fab_shelf_open(lessons, given, &model, wake, NULL, &s, &err));
    CHECK(fab_path_remove_tree(folder, NULL) == FAB_OK);
}

/* What a viewer gets of a manifest: all but who it is. */
void manifest_without_the_person(void)
{
    static const char text[] =
        "{\"patient_identifiers\":{\"patient_name\":\"Doe^Jane\",\"study_id\":\"77\"},"
        "\"options\":{\"series\":\"1.2.3\",\"quality\":\"best\"},\"files\":"
        "[{\"path\":\"export/seg.dcm\"},{\"path\":\"a.glb\"},{\"path\":\"x.json\"}]}";
    static const char want[] =
        "{\"patient_identifiers\":{\"patient_name\":null,\"study_id\":null},"
        "\"options\":{\"series\":null,\"quality\":\"best\"},\"files\":[{\"path\":\"a.glb\"}]}\n";
    FAB_AUTO(fab_json_free) fab_json *m = NULL, *shown = NULL;
    FAB_AUTO_BUF fab_buf out = {0};
    fab_private p = {0};
    fab_writer w;
    fab_error err;
    CHECK_OK(fab_json_parse(text, sizeof text - 1, "m", &m, &err));
    CHECK_OK(fab_privacy_manifest(m, &shown, &err));
    fab_writer_to_buf(&out, &w);
    CHECK_OK(fab_json_dump(shown, 0, &w, &err));
    CHECK(out.size == sizeof want - 1 && memcmp(out.data, want, out.size) == 0);
    CHECK_OK(fab_privacy_open(m, &p, &err));
    CHECK(!memmem(p.raw->data, p.raw->size, "Doe", 3) && strlen(p.sha256) == 64);
    fab_privacy_close(&p);
    CHECK(fab_privacy_file("export/twin.GLB") && fab_privacy_file("labels.json"));
    CHECK(!fab_privacy_file("export/seg.dcm") && !fab_privacy_file("report.html"));
    CHECK(!fab_privacy_file("manifest.json") && !fab_privacy_file("notes.txt"));
    CHECK(!fab_privacy_file("") && !fab_privacy_file("glb"));
}
