/* Bad zip files: what a person must be told, and that nothing is left behind, inside or outside. */
#include "zip_build.h"

#include <sys/stat.h>

#include "fabrica/archive.h"

static fab_error err;
static uint8_t bytes[1 << 22];

#define GOOD {.name = "good.dcm", .text = "good"}

static const struct {
    const char *what;
    zip_entry bad; /* the second of two entries; the first is good */
    fab_status status;
    const char *message;
} cases[] = {
    {"parent folder", {.name = "../evil", .text = "x"}, FAB_ERR_FORMAT, "holds \"..\""},
    {"parent folder inside", {.name = "a/../../evil", .text = "x"}, FAB_ERR_FORMAT, "\"..\""},
    {"parent folder, windows", {.name = "a\\..\\..\\evil", .text = "x"}, FAB_ERR_FORMAT, "\"..\""},
    {"absolute", {.name = "/tmp/evil", .text = "x"}, FAB_ERR_FORMAT, "absolute name"},
    {"absolute, windows", {.name = "\\evil", .text = "x"}, FAB_ERR_FORMAT, "absolute name"},
    {"no name", {.name = "", .text = "x"}, FAB_ERR_FORMAT, "without a name"},
    {"only dots", {.name = "./.", .text = "x"}, FAB_ERR_FORMAT, "without a name"},
    {"control character", {.name = "a\nb", .text = "x"}, FAB_ERR_FORMAT, "0x0a"},
    {"link", {.name = "l", .text = "/etc/passwd", .unix_mode = S_IFLNK | 0777},
     FAB_ERR_UNSUPPORTED, "\"l\" is a link"},
    {"pipe", {.name = "p", .text = "", .unix_mode = S_IFIFO | 0666}, FAB_ERR_UNSUPPORTED,
     "\"p\" is a special file"},
    {"device", {.name = "d", .text = "", .unix_mode = S_IFBLK | 0666}, FAB_ERR_UNSUPPORTED,
     "special file"},
    {"encrypted", {.name = "e", .text = "0123456789abcdef", .flags = 1}, FAB_ERR_UNSUPPORTED,
     "\"e\" is encrypted"},
    {"unknown compression", {.name = "c", .text = "x", .method = 97}, FAB_ERR_UNSUPPORTED,
     "compression method 97"},
    {"wrong checksum", {.name = "c", .text = "x", .crc_change = 1}, FAB_ERR_FORMAT,
     "\"c\" is damaged"},
    {"not deflate", {.name = "c", .text = "\xff\xff\xff\xff", .method = 8}, FAB_ERR_FORMAT,
     "\"c\""},
    {"claims more than it has", {.name = "c", .text = "x", .claimed_size = 100}, FAB_ERR_FORMAT,
     "\"c\""},
    {"3 GB", {.name = "c", .text = "x", .claimed_size = 3000000000u}, FAB_ERR_LIMIT,
     "3000000000 bytes, more than 2147483648"},
    {"bomb", {.name = "c", .text = "x", .claimed_size = 2000000000u}, FAB_ERR_LIMIT,
     "refused as a bomb"},
    {"twice", {.name = "good.dcm", .text = "x"}, FAB_ERR_FORMAT, "\"good.dcm\" is there twice"},
    {"a file as a folder", {.name = "good.dcm/x", .text = "x"}, FAB_ERR_FORMAT,
     "\"good.dcm/x\" is there twice"},
};

/* Unpacks into a fresh folder's "in"; on failure nothing may be there nor beside it. */
static fab_status unpack(const void *data, size_t n)
{
    char outer[FAB_MAX_PATH_BYTES], inner[FAB_MAX_PATH_BYTES];
    fab_reader r;
    fab_error other;
    CHECK(fab_test_folder(outer));
    CHECK_OK(fab_path_join(inner, sizeof inner, outer, "in", &err));
    CHECK_OK(fab_path_make_folder(inner, &err));
    fab_reader_from_memory(data, n, "case.zip", &r);
    fab_status status = fab_archive_unpack_from(&r, inner, NULL, &err);
    if (status < 0) CHECK(zip_folder_count(outer) == 1);
    CHECK(fab_path_remove_tree(outer, &other) == FAB_OK);
    return status;
}

/* Opens it in memory and reads every file both ways. */
static fab_status read_all(const void *data, size_t n)
{
    static uint8_t into[1 << 20];
    FAB_AUTO(fab_archive_free) fab_archive *a = NULL;
    FAB_AUTO_BUF fab_buf copy = {0};
    fab_reader r;
    fab_writer w;
    fab_reader_from_memory(data, n, "case.zip", &r);
    FAB_TRY(fab_archive_open(&r, &a, &err));
    for (size_t i = 0; i < fab_archive_count(a); i++) {
        CHECK(fab_archive_bytes(a, i) <= sizeof into);
        fab_writer_to_buf(&copy, &w);
        const fab_status status = fab_archive_read(a, i, into, &err);
        CHECK(fab_archive_copy(a, i, &w, &err) == status);
        FAB_TRY(status);
    }
    return FAB_OK;
}

/* The cases that are about the zip, not about where its files go. */
static void each_case_in_memory(void)
{
    CHECK_OK(read_all(bytes, zip_build((zip_entry[]){GOOD}, 1, bytes)));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (!strcmp(cases[i].what, "a file as a folder")) continue; /* no folder is made */
        printf("  %s\n", cases[i].what);
        zip_entry e[] = {GOOD, cases[i].bad};
        CHECK_FAILS(cases[i].status, cases[i].message, read_all(bytes, zip_build(e, 2, bytes)));
        CHECK(strstr(err.message, "case.zip"));
    }
}

static void longer_than_it_claims(void)
{
    zip_entry e[] = {GOOD, {.name = "c", .text = "twelve bytes", .claimed_size = 4}};
    CHECK_FAILS(FAB_ERR_FORMAT, "\"c\" is", read_all(bytes, zip_build(e, 2, bytes)));
    CHECK_FAILS(FAB_ERR_FORMAT, "\"c\" is", unpack(bytes, zip_build(e, 2, bytes)));
}

static void each_case(void)
{
    CHECK_OK(unpack(bytes, zip_build((zip_entry[]){GOOD}, 1, bytes)));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        printf("  %s\n", cases[i].what);
        zip_entry e[] = {GOOD, cases[i].bad};
        CHECK_FAILS(cases[i].status, cases[i].message, unpack(bytes, zip_build(e, 2, bytes)));
        CHECK(strstr(err.message, "case.zip"));
    }
}

static void cut_and_not_a_zip(void)
{
    size_t n = zip_build((zip_entry[]){GOOD, {.name = "b", .text = "more"}}, 2, bytes);
    for (size_t cut = 1; cut < n; cut++) CHECK(unpack(bytes, n - cut) < 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "not a readable zip", unpack(bytes, n - 10));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a readable zip", unpack(bytes, 0));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a readable zip", unpack("PK but no zip", 13));
}

static void too_deep_or_too_long(void)
{
    char deep[200] = "", longer[400];
    for (int i = 0; i < FAB_MAX_FOLDER_DEPTH + 2; i++) strcat(deep, "d/");
    strcat(deep, "x");
    memset(longer, 'n', sizeof longer);
    longer[sizeof longer - 1] = 0;
    zip_entry e = {.name = deep, .text = "x"};
    CHECK_FAILS(FAB_ERR_LIMIT, "deeper than 32", unpack(bytes, zip_build(&e, 1, bytes)));
    e.name = longer;
    CHECK_FAILS(FAB_ERR_LIMIT, "too long", unpack(bytes, zip_build(&e, 1, bytes)));
}

/* 4000 entries that share the same 20 kB, as Fifield's bombs do: each is modest, the sum is not. */
static void entries_that_share_bytes(void)
{
    static zip_entry e[4000];
    static char names[4000][12], text[20001];
    memset(text, 'z', sizeof text - 1);
    for (int i = 0; i < 4000; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        e[i] = (zip_entry){.name = names[i], .text = i ? NULL : text, .same_as = i ? 1 : 0,
                           .claimed_size = 60000};
    }
    CHECK_FAILS(FAB_ERR_LIMIT, "refused as a bomb", unpack(bytes, zip_build(e, 4000, bytes)));
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(each_case), TEST(each_case_in_memory), TEST(longer_than_it_claims),
        TEST(cut_and_not_a_zip), TEST(too_deep_or_too_long),
        TEST(entries_that_share_bytes),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
