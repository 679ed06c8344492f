/* Unpacking good zips: names, folders, deflate, progress and cancelling. */
#include "zip_build.h"

#include <sys/stat.h>
#include <zip.h>

#include "fabrica/archive.h"

static fab_error err;
static uint8_t bytes[1 << 16];

static void check_file(const char *folder, const char *name, const char *text)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_reader r;
    uint8_t *content = NULL;
    size_t size = 0;
    CHECK_OK(fab_path_join(path, sizeof path, folder, name, &err));
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, 8 << 20, &content, &size, &err));
    fab_reader_close(&r);
    CHECK(size == strlen(text) && !memcmp(content, text, size));
    fab_free(content);
}

static void names_and_folders(void)
{
    static const zip_entry e[] = {
        {.name = "study/", .unix_mode = S_IFDIR | 0755},
        {.name = "study/a b.dcm", .text = "one", .unix_mode = S_IFREG | 0644},
        {.name = "deep/er/./x", .text = "two"},
        {.name = "WINDOWS\\IM0001", .text = "three"},
        {.name = "empty", .text = ""},
        {.name = "sch\303\266n..txt", .text = "four", .flags = 0x800},
    };
    char folder[FAB_MAX_PATH_BYTES];
    fab_reader r;
    CHECK(fab_test_folder(folder));
    fab_reader_from_memory(bytes, zip_build(e, 6, bytes), "good.zip", &r);
    CHECK_OK(fab_archive_unpack_from(&r, folder, NULL, &err));
    check_file(folder, "study/a b.dcm", "one");
    check_file(folder, "deep/er/x", "two");
    check_file(folder, "WINDOWS/IM0001", "three");
    check_file(folder, "empty", "");
    check_file(folder, "sch\303\266n..txt", "four");
    CHECK(zip_folder_count(folder) == 9);
    struct stat st;
    char path[FAB_MAX_PATH_BYTES];
    CHECK_OK(fab_path_join(path, sizeof path, folder, "study/a b.dcm", &err));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_FAILS(FAB_ERR_ARG, "not empty", fab_archive_unpack_from(&r, folder, NULL, &err));
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

/* A deflated file of 3 MB, written by libzip itself. */
static void make_deflated(const char *path, const char *content, size_t size)
{
    int how = 0;
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &how);
    CHECK(z);
    zip_source_t *s = zip_source_buffer(z, content, size, 0);
    CHECK(s && zip_file_add(z, "big.bin", s, 0) >= 0 && zip_close(z) == 0);
}

typedef struct watch {
    int calls;
    double last;
    bool stop;
} watch;

static void report(void *ctx, const char *step, double fraction)
{
    watch *w = ctx;
    w->calls++;
    CHECK(!strcmp(step, "unpack") && fraction >= w->last && fraction <= 1);
    w->last = fraction;
}

static bool cancelled(void *ctx)
{
    const watch *w = ctx;
    return w->stop && w->calls > 2;
}

static void deflated_with_progress_and_cancel(void)
{
    char folder[FAB_MAX_PATH_BYTES], zip[FAB_MAX_PATH_BYTES], out[FAB_MAX_PATH_BYTES];
    size_t size = 3u << 20;
    char *content = malloc(size + 1);
    fab_rng rng;
    watch w = {0};
    fab_progress p = {.ctx = &w, .report = report, .cancelled = cancelled};
    CHECK(content && fab_test_folder(folder));
    fab_rng_seed(&rng, 1, 1);
    for (size_t i = 0; i < size; i++) content[i] = (char)('a' + fab_rng_u32(&rng) % 7);
    content[size] = 0;
    CHECK_OK(fab_path_join(zip, sizeof zip, folder, "z.zip", &err));
    CHECK_OK(fab_path_join(out, sizeof out, folder, "out", &err));
    CHECK_OK(fab_path_make_folder(out, &err));
    make_deflated(zip, content, size);
    CHECK_OK(fab_archive_unpack(zip, out, &p, &err));
    CHECK(w.calls > 5 && w.last > 0.9);
    check_file(out, "big.bin", content);
    CHECK_OK(fab_path_remove_tree(out, &err));
    CHECK_OK(fab_path_make_folder(out, &err));
    w = (watch){.stop = true};
    CHECK_FAILS(FAB_ERR_CANCELLED, "", fab_archive_unpack(zip, out, &p, &err));
    CHECK(zip_folder_count(out) == 0);
    free(content);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void an_empty_zip_is_no_files(void)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_reader r;
    CHECK(fab_test_folder(folder));
    fab_reader_from_memory(bytes, zip_build(NULL, 0, bytes), "empty.zip", &r);
    CHECK_OK(fab_archive_unpack_from(&r, folder, NULL, &err));
    CHECK(zip_folder_count(folder) == 0);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(names_and_folders), TEST(deflated_with_progress_and_cancel),
        TEST(an_empty_zip_is_no_files),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
