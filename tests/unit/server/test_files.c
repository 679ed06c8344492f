#include "tests.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[FAB_MAX_PATH_BYTES];

static const char hello_sha[] = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

static void make(const char *name, const char *text)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    CHECK_OK(fab_path_join(path, sizeof path, folder, name, &err));
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
}

static void open_table(fab_file_table *t)
{
    fab_error err;
    FAB_AUTO(fab_json_free) fab_json *rows = fab_json_array();
    CHECK(fab_test_folder(folder));
    make("hello.txt", "hello");
    CHECK_OK(fab_files_open(folder, rows, t, &err));
    CHECK_OK(fab_files_add(t, "hello.txt", 5, hello_sha, &err));
    CHECK_OK(fab_files_add(t, "gone.txt", 5, hello_sha, &err));
    fab_files_sort(t);
}

static void close_table(fab_file_table *t)
{
    fab_files_close(t);
    CHECK(fab_path_remove_tree(folder, NULL) == FAB_OK);
}

void table_takes_only_inside(void)
{
    static const char *const bad[] = {"", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/",
                                      "./a", "a/./b", "a/.."};
    fab_error err;
    fab_file_table t;
    open_table(&t);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(FAB_ERR_FORMAT, "inside", fab_files_add(&t, bad[i], 1, hello_sha, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "sha256", fab_files_add(&t, "a", 1, "abc", &err));
    CHECK_OK(fab_files_add(&t, "..a/b..", 1, hello_sha, &err));
    fab_files_sort(&t);
    CHECK(t.count == 3 && fab_files_find(&t, "..a/b..") && fab_files_find(&t, "hello.txt"));
    CHECK(!fab_files_find(&t, "hello") && !fab_files_find(&t, "") && !fab_files_find(&t, "/"));
    close_table(&t);
}

void files_are_answered(void)
{
    fab_file_table t;
    fab_answer a;
    fab_request q = {.method = FAB_GET};
    char text[8] = "";
    open_table(&t);
    fab_answer_start(&a);
    fab_files_answer(&t, fab_files_find(&t, "hello.txt"), &q, "text/plain", &a);
    CHECK(a.status == 200 && a.length == 5 && a.fd >= 0);
    CHECK(pread(a.fd, text, 5, (off_t)a.offset) == 5 && strcmp(text, "hello") == 0);
    fab_answer_free(&a);
    close_table(&t);
}

/* What changed on disk is not sent under the old hash's name; links lead nowhere. */
void files_that_changed(void)
{
    fab_file_table t;
    fab_answer a;
    fab_request q = {.method = FAB_GET};
    char path[FAB_MAX_PATH_BYTES + 16];
    open_table(&t);
    fab_answer_start(&a);
    fab_files_answer(&t, fab_files_find(&t, "gone.txt"), &q, "text/plain", &a);
    CHECK(a.status == 500 && a.fd < 0);
    fab_answer_free(&a);
    snprintf(path, sizeof path, "%s/gone.txt", folder);
    CHECK(symlink("hello.txt", path) == 0);
    fab_files_answer(&t, fab_files_find(&t, "gone.txt"), &q, "text/plain", &a);
    CHECK(a.status == 500 && a.fd < 0);
    fab_answer_free(&a);
    make("hello.txt", "longer");
    fab_files_answer(&t, fab_files_find(&t, "hello.txt"), &q, "text/plain", &a);
    CHECK(a.status == 500 && a.fd < 0);
    fab_answer_free(&a);
    close_table(&t);
}

void types(void)
{
    CHECK(strcmp(fab_files_type("a/b.glb", false), "model/gltf-binary") == 0);
    CHECK(strcmp(fab_files_type("x.JSON", false), "application/json") == 0);
    CHECK(strcmp(fab_files_type("volume.nii.gz", false), "application/gzip") == 0);
    CHECK(strcmp(fab_files_type("x.html", true), "text/html; charset=utf-8") == 0);
    CHECK(strcmp(fab_files_type("x.html", false), "application/octet-stream") == 0);
    CHECK(strcmp(fab_files_type("x.js", false), "application/octet-stream") == 0);
    CHECK(strcmp(fab_files_type("x.svg", false), "application/octet-stream") == 0);
    CHECK(strcmp(fab_files_type("", true), "application/octet-stream") == 0);
}
