/* NRRD read: encodings, types, spaces, detached headers that stay in their folder. */
#include "nifti_build.h"

#include "fabrica/nifti.h"

static fab_error err;
static uint8_t bytes[8192];
static char notes[400];

#define GEOMETRY                                                                                  \
    "space: left-posterior-superior\nspace directions: (2,0,0) (0,3,0) (0,0,4)\n"                 \
    "space origin: (-10,-20,30)\n"
#define SMALL "dimension: 3\nsizes: 2 3 2\n"

static size_t build(const char *header, const void *data, size_t n)
{
    size_t h = strlen(header);
    memcpy(bytes, header, h);
    memcpy(bytes + h, data, n);
    return h + n;
}

static fab_volume *read_bytes(size_t n)
{
    fab_reader r;
    fab_volume *v = NULL;
    fab_reader_from_memory(bytes, n, "test.nrrd", &r);
    CHECK_OK(fab_nrrd_read_from(&r, &v, notes, sizeof notes, &err));
    return v;
}

static const int16_t ramp[12] = {0, 1, -2, 3, 4, 5, 6, 7, 8, 9, 10, 3000};

static void check_ramp(fab_volume *v, fab_dtype type)
{
    CHECK(fab_volume_dtype(v) == type);
    for (int i = 0; i < 12; i++)
        CHECK(fab_volume_get(v, i % 2, i / 2 % 3, i / 6) == ramp[i]);
    fab_volume_unref(v);
}

static void raw_little_and_big(void)
{
    uint8_t big[24];
    for (size_t i = 0; i < 12; i++) nifti_put(big + 2 * i, (uint64_t)ramp[i], 2, true);
    check_ramp(read_bytes(build("NRRD0004\ntype: short\n" SMALL GEOMETRY
                                "endian: little\nencoding: raw\n\n", ramp, 24)), FAB_I16);
    check_ramp(read_bytes(build("NRRD0005\r\ntype: int16_t\r\n" SMALL GEOMETRY
                                "endian: big\nencoding: raw\nkey:=a: b\n# note\n\r\n", big, 24)),
               FAB_I16);
}

static void gzip_and_skips(void)
{
    uint8_t plain[30] = {9, 9, 9, 9, 9, 9}, packed[200];
    memcpy(plain + 6, ramp, 24);
    memcpy(packed, "a line\n", 7);
    size_t n = 7 + nifti_gzip(plain, 30, packed + 7, sizeof packed - 7);
    check_ramp(read_bytes(build("NRRD0004\ntype: short\n" SMALL GEOMETRY
                                "endian: little\nencoding: gzip\nline skip: 1\nbyte skip: 6\n\n",
                                packed, n)), FAB_I16);
    check_ramp(read_bytes(build("NRRD0004\ntype: short\n" SMALL GEOMETRY
                                "endian: little\nencoding: raw\nbyte skip: -1\n\n", plain, 30)),
               FAB_I16);
}

static void ascii_text(void)
{
    const char *text = "0 1 -2 3\n4 5 6 7 8 9\t10 3000";
    check_ramp(read_bytes(build("NRRD0001\ntype: int\n" SMALL GEOMETRY "encoding: ascii\n\n", text,
                                strlen(text))), FAB_I32);
    check_ramp(read_bytes(build("NRRD0001\ntype: float\n" SMALL GEOMETRY "encoding: txt\n\n", text,
                                strlen(text))), FAB_F32);
}

/* A voxel that is no number becomes 0, and the reader says so, in every encoding. */
static void not_a_number(void)
{
    const float values[12] = {1, NAN, 2, INFINITY, -INFINITY, 5, 6, 7, 8, 9, 10, 11};
    const double wide[12] = {1, 2, 1e300, 4};
    const char *text = "1 nan 2 inf -inf 5 6 7 8 9 10 11";
    uint8_t packed[200];
    size_t n = nifti_gzip((const uint8_t *)values, sizeof values, packed, sizeof packed);
    const struct {
        const char *head;
        const void *data;
        size_t bytes;
        const char *note;
        int first; /* voxel that must be 0 */
    } cases[] = {
        {"type: float\nendian: little\nencoding: raw\n\n", values, sizeof values, "3 voxels", 1},
        {"type: float\nendian: little\nencoding: gzip\n\n", packed, n, "3 voxels", 1},
        {"type: float\nencoding: ascii\n\n", text, strlen(text), "3 voxels", 1},
        {"type: double\nendian: little\nencoding: raw\n\n", wide, sizeof wide, "1 voxel was", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[500];
        snprintf(header, sizeof header, "NRRD0004\n" SMALL GEOMETRY "%s", cases[i].head);
        fab_volume *v = read_bytes(build(header, cases[i].data, cases[i].bytes));
        CHECK(strncmp(notes, cases[i].note, strlen(cases[i].note)) == 0);
        CHECK(strstr(notes, " not a number or infinite; read as 0"));
        CHECK(fab_volume_get(v, 0, 0, 0) == 1);
        CHECK(fab_volume_get(v, cases[i].first % 2, cases[i].first / 2, 0) == 0);
        fab_volume_unref(v);
    }
    check_ramp(read_bytes(build("NRRD0004\ntype: short\n" SMALL GEOMETRY
                                "endian: little\nencoding: raw\n\n", ramp, 24)), FAB_I16);
    CHECK(!notes[0]);
}

static void spaces(void)
{
    static const struct {
        const char *space;
        double x, y;
    } cases[] = {{"LPS", 2, 3}, {"right-anterior-superior", -2, -3}, {"RAS", -2, -3},
                 {"left-anterior-superior", 2, -3}, {"las", 2, -3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[500];
        snprintf(header, sizeof header, "NRRD0004\ntype: uchar\ndimension: 4\nsizes: 1 2 3 2\n"
                 "space: %s\nspace directions: none (2,0,0) (0,3,0) (0,0,4)\nspace origin: "
                 "(10, 20, 30)\nspace units: \"mm\" \"mm\" \"mm\"\nencoding: raw\n\n",
                 cases[i].space);
        fab_volume *v = read_bytes(build(header, "abcdefghijkl", 12));
        const fab_mat34 *m = &fab_volume_grid(v)->world_from_voxel;
        CHECK(m->m[0][0] == cases[i].x && m->m[1][1] == cases[i].y && m->m[2][2] == 4);
        CHECK(m->m[0][3] == cases[i].x * 5 && m->m[1][3] * 3 == cases[i].y * 20);
        CHECK(m->m[2][3] == 30 && fab_volume_get(v, 1, 2, 1) == 'l');
        fab_volume_unref(v);
    }
}

static void detached_in_the_same_folder_only(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES], data[FAB_MAX_PATH_BYTES];
    static const char *const bad[] = {"../v.raw", "/etc/hostname", ".hidden", "a\\b"};
    const char *head = "NRRD0004\ntype: short\n" SMALL GEOMETRY "endian: little\nencoding: raw\n";
    char text[1000];
    fab_volume *v = NULL;
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "v.nhdr", &err));
    CHECK_OK(fab_path_join(data, sizeof data, folder, "v.raw", &err));
    CHECK_OK(fab_file_write_atomic(data, ramp, 24, &err));
    snprintf(text, sizeof text, "%sdata file: v.raw\n", head);
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
    CHECK_OK(fab_nrrd_read(path, &v, notes, sizeof notes, &err));
    check_ramp(v, FAB_I16);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%sdata file: %s\n", head, bad[i]);
        CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
        CHECK_FAILS(FAB_ERR_UNSUPPORTED, "own folder",
                    fab_nrrd_read(path, &v, notes, sizeof notes, &err));
    }
    CHECK_OK(fab_path_join(data, sizeof data, folder, "link", &err));
    CHECK(symlink("/etc/hostname", data) == 0);
    snprintf(text, sizeof text, "%sdata file: link\n", head);
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "is a link",
                fab_nrrd_read(path, &v, notes, sizeof notes, &err));
    snprintf(text, sizeof text, "%sdata file: gone\n", head);
    CHECK_OK(fab_file_write_atomic(path, text, strlen(text), &err));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "v.nhdr", fab_nrrd_read(path, &v, notes, sizeof notes, &err));
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(raw_little_and_big), TEST(gzip_and_skips), TEST(ascii_text), TEST(not_a_number),
        TEST(spaces),
        TEST(detached_in_the_same_folder_only),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
