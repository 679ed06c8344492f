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

static fab_archive *open_zip(size_t size, fab_reader *r)
{
    fab_archive *a = NULL;
    fab_reader_from_memory(bytes, size, "memory.zip", r);
    CHECK_OK(fab_archive_open(r, &a, &err));
    return a;
}

static void files_in_memory(void)
{
    static const zip_entry e[] = {
        {.name = "study/", .unix_mode = S_IFDIR | 0755},
        {.name = "study\\z", .text = "last"},
        {.name = "study/./a", .text = "a\0b", .bytes = 3},
        {.name = "study/empty", .text = ""},
    };
    fab_reader r;
    char into[4];
    size_t index = 99;
    fab_archive *a = open_zip(zip_build(e, 4, bytes), &r);
    CHECK(fab_archive_count(a) == 3);
    CHECK(!strcmp(fab_archive_name(a, 0), "study/a") && fab_archive_bytes(a, 0) == 3);
    CHECK(!strcmp(fab_archive_name(a, 1), "study/empty") && fab_archive_bytes(a, 1) == 0);
    CHECK(!strcmp(fab_archive_name(a, 2), "study/z") && fab_archive_bytes(a, 2) == 4);
    CHECK(!fab_archive_find(a, "study", &index) && !fab_archive_find(a, "z", &index));
    CHECK(index == 99 && fab_archive_find(a, "study/z", &index) && index == 2);
    for (int again = 0; again < 2; again++) {
        CHECK_OK(fab_archive_read(a, 2, into, &err));
        CHECK(!memcmp(into, "last", 4));
        CHECK_OK(fab_archive_read(a, 0, into, &err));
        CHECK(!memcmp(into, "a\0b", 3));
        CHECK_OK(fab_archive_read(a, 1, into, &err));
    }
    fab_archive_free(a);
}

typedef struct blocks {
    fab_buf bytes;
    int count;
    bool stop;
} blocks;

static fab_status take_block(void *ctx, const void *from, size_t count, fab_error *e)
{
    blocks *b = ctx;
    CHECK(b->bytes.size % FAB_ARCHIVE_BLOCK_BYTES == 0 && count <= FAB_ARCHIVE_BLOCK_BYTES);
    if (b->stop && b->count == 2) return fab_error_set(e, FAB_ERR_NOSPACE, "enough");
    b->count++;
    return fab_buf_append(&b->bytes, from, count, e);
}

/* Whole and in blocks, deflated: the same bytes; a failing writer ends it. */
static void deflated_in_memory(void)
{
    char folder[FAB_MAX_PATH_BYTES], zip[FAB_MAX_PATH_BYTES];
    const size_t size = 5 * FAB_ARCHIVE_BLOCK_BYTES + 100;
    char *content = malloc(size), *whole = malloc(size);
    fab_reader r;
    fab_archive *a = NULL;
    blocks b = {0};
    fab_writer w = {.ctx = &b, .write = take_block};
    CHECK(content && whole && fab_test_folder(folder));
    for (size_t i = 0; i < size; i++) content[i] = (char)(i * i % 251);
    CHECK_OK(fab_path_join(zip, sizeof zip, folder, "z.zip", &err));
    make_deflated(zip, content, size);
    CHECK_OK(fab_reader_open_file(zip, &r, &err));
    CHECK(r.size < size);
    CHECK_OK(fab_archive_open(&r, &a, &err));
    CHECK_OK(fab_archive_read(a, 0, whole, &err));
    CHECK_OK(fab_archive_copy(a, 0, &w, &err));
    CHECK(!memcmp(whole, content, size) && b.count == 6 && w.written == size);
    CHECK(b.bytes.size == size && !memcmp(b.bytes.data, content, size));
    fab_buf_free(&b.bytes);
    b = (blocks){.stop = true};
    CHECK_FAILS(FAB_ERR_NOSPACE, "enough", fab_archive_copy(a, 0, &w, &err));
    fab_buf_free(&b.bytes);
    fab_archive_free(a);
    fab_reader_close(&r);
    free(content);
    free(whole);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(files_in_memory), TEST(deflated_in_memory), TEST(names_and_folders),
        TEST(deflated_with_progress_and_cancel), TEST(an_empty_zip_is_no_files),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
