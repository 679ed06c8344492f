/* Every allocation of unpacking a zip fails once: an error, no leak, an empty folder. (libzip's own
 * memory is not ours to fail.) */
#include "zip_build.h"

#include "fabrica/archive.h"

static fab_error err;
static uint8_t bytes[4096];
static char folder[FAB_MAX_PATH_BYTES];

static fab_status unpack_once(void *ctx)
{
    fab_reader r;
    fab_reader_from_memory(bytes, *(const size_t *)ctx, "torture.zip", &r);
    fab_status status = fab_archive_unpack_from(&r, folder, NULL, &err);
    CHECK(zip_folder_count(folder) == (status == FAB_OK ? 3 : 0));
    if (status == FAB_OK) {
        fab_alloc_fail_at(0, false);
        CHECK_OK(fab_path_remove_tree(folder, &err));
        CHECK_OK(fab_path_make_folder(folder, &err));
    }
    return status;
}

static void unpacking(void)
{
    static const zip_entry e[] = {{.name = "a/b", .text = "one"}, {.name = "c", .text = "two"}};
    size_t size = zip_build(e, 2, bytes);
    CHECK(fab_test_folder(folder));
    fab_test_torture(unpack_once, &size);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static fab_status read_in_memory(void *ctx)
{
    FAB_AUTO(fab_archive_free) fab_archive *a = NULL;
    fab_reader r;
    char into[3];
    fab_reader_from_memory(bytes, *(const size_t *)ctx, "torture.zip", &r);
    FAB_TRY(fab_archive_open(&r, &a, &err));
    CHECK(fab_archive_count(a) == 2);
    return fab_archive_read(a, 1, into, &err);
}

static void reading_in_memory(void)
{
    static const zip_entry e[] = {{.name = "a/b", .text = "one"}, {.name = "c", .text = "two"}};
    size_t size = zip_build(e, 2, bytes);
    fab_test_torture(read_in_memory, &size);
}

int main(void)
{
    static const fab_test tests[] = {TEST(unpacking), TEST(reading_in_memory)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
