/* Bad NRRD files: header lines replaced one at a time, and what a person must be told. */
#include "harness.h"

#include "fabrica/nifti.h"

static fab_error err;

/* A good header, line by line; a case replaces the line that starts with its key (NULL: adds). */
static const char *const good[] = {
    "NRRD0004", "type: short", "dimension: 3", "space: left-posterior-superior", "sizes: 2 3 2",
    "space directions: (2,0,0) (0,3,0) (0,0,4)", "endian: little", "encoding: raw",
    "space origin: (1,2,3)",
};

static const struct {
    const char *key, *line;
    size_t data_bytes;
    fab_status status;
    const char *message;
} cases[] = {
    {"NRRD", "NRRX0004", 24, FAB_ERR_FORMAT, "not a NRRD file"},
    {"type", NULL, 24, FAB_ERR_FORMAT, "without \"type\""},
    {"sizes", NULL, 24, FAB_ERR_FORMAT, "without \"sizes\""},
    {"encoding", NULL, 24, FAB_ERR_FORMAT, "without \"encoding\""},
    {"endian", NULL, 24, FAB_ERR_FORMAT, "without \"endian\""},
    {"space:", NULL, 24, FAB_ERR_GEOMETRY, "without \"space\""},
    {"space directions", NULL, 24, FAB_ERR_GEOMETRY, "without \"space directions\""},
    {"space origin", NULL, 24, FAB_ERR_GEOMETRY, "without \"space origin\""},
    {"dimension", NULL, 24, FAB_ERR_FORMAT, "before \"dimension\""},
    {"type", "type: block", 24, FAB_ERR_UNSUPPORTED, "type \"block\""},
    {"type", "type: complex", 24, FAB_ERR_UNSUPPORTED, "type \"complex\""},
    {"dimension", "dimension: three", 24, FAB_ERR_FORMAT, "\"dimension: three\""},
    {"dimension", "dimension: 17", 24, FAB_ERR_LIMIT, "17 dimensions"},
    {"dimension", "dimension: 4", 24, FAB_ERR_FORMAT, "\"sizes: 2 3 2\""},
    {"sizes", "sizes: 2 3", 24, FAB_ERR_FORMAT, "\"sizes: 2 3\""},
    {"sizes", "sizes: 2 3 2 2", 24, FAB_ERR_FORMAT, "\"sizes: 2 3 2 2\""},
    {"sizes", "sizes: 2 0 2", 24, FAB_ERR_LIMIT, "size 0"},
    {"sizes", "sizes: 2 -3 2", 24, FAB_ERR_LIMIT, "size -3"},
    {"sizes", "sizes: 2 3 99999999999999999999", 24, FAB_ERR_LIMIT, "size 9223372036854775807"},
    {"sizes", "sizes: 8192 8192 8192", 24, FAB_ERR_LIMIT, "larger than 2^32"},
    {"encoding", "encoding: bzip2", 24, FAB_ERR_UNSUPPORTED, "encoding \"bzip2\""},
    {"encoding", "encoding: hex", 24, FAB_ERR_UNSUPPORTED, "encoding \"hex\""},
    {"encoding", "encoding: gzip", 24, FAB_ERR_FORMAT, "gzip"},
    {"encoding", "encoding: ascii", 24, FAB_ERR_FORMAT, "is no number"},
    {"endian", "endian: middle", 24, FAB_ERR_FORMAT, "\"endian: middle\""},
    {"space:", "space: scanner-xyz", 24, FAB_ERR_GEOMETRY, "\"scanner-xyz\""},
    {"space:", "space: left-posterior-superior-time", 24, FAB_ERR_GEOMETRY, "superior-time"},
    {"space:", "space dimension: 3", 24, FAB_ERR_GEOMETRY, "space dimension: 3"},
    {"space directions", "space directions: (2,0,0) (0,3,0)", 24, FAB_ERR_FORMAT,
     "space directions"},
    {"space directions", "space directions: (2,0,0) (0,3,0) (0,0)", 24, FAB_ERR_FORMAT,
     "space directions"},
    {"space directions", "space directions: (2,0,0) none (0,0,4)", 24, FAB_ERR_UNSUPPORTED,
     "axis 1 has no direction and 3 entries"},
    {"space directions", "space directions: (2,0,0) (4,0,0) (0,0,4)", 24, FAB_ERR_GEOMETRY,
     "case.nrrd: "},
    {"space directions", "space directions: (nan,0,0) (0,3,0) (0,0,4)", 24, FAB_ERR_GEOMETRY,
     "not finite"},
    {"space directions", "space directions: (0,0,0) (0,3,0) (0,0,4)", 24, FAB_ERR_GEOMETRY,
     "voxel spacing 0 x 3 x 4"},
    {"space origin", "space origin: (1,2)", 24, FAB_ERR_FORMAT, "space origin"},
    {"space origin", "space origin: (inf,2,3)", 24, FAB_ERR_GEOMETRY, "not finite"},
    {NULL, "space units: \"cm\" \"cm\" \"cm\"", 24, FAB_ERR_UNSUPPORTED, "only mm"},
    {NULL, "line skip: -1", 24, FAB_ERR_FORMAT, "line skip"},
    {NULL, "line skip: 9", 24, FAB_ERR_FORMAT, "fewer lines"},
    {NULL, "byte skip: -2", 24, FAB_ERR_FORMAT, "byte skip"},
    {NULL, "byte skip: 9223372036854775807", 24, FAB_ERR_FORMAT, "truncated"},
    {NULL, "byte skip: 1", 24, FAB_ERR_FORMAT, "truncated: 24 bytes of voxels expected, 23 there"},
    {NULL, "data file: LIST", 24, FAB_ERR_UNSUPPORTED, "several files"},
    {NULL, "data file: im%03d.raw 1 9 1", 24, FAB_ERR_UNSUPPORTED, "several files"},
    {NULL, "data file: ../x.raw", 24, FAB_ERR_UNSUPPORTED, "own folder"},
    {NULL, "data file: x.raw", 24, FAB_ERR_UNSUPPORTED, "in another file"},
    {NULL, "no colon here", 24, FAB_ERR_FORMAT, "has no colon"},
    {"encoding", "encoding: raw", 23, FAB_ERR_FORMAT, "truncated: 24 bytes of voxels expected"},
    {"encoding", "encoding: raw", 0, FAB_ERR_FORMAT, "truncated"},
};

static bool starts_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

static size_t build(char *into, size_t capacity, const char *key, const char *line,
                    size_t data_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const char *use = key && starts_with(good[i], key) ? line : good[i];
        if (use) n += (size_t)snprintf(into + n, capacity - n, "%s\n", use);
    }
    if (!key && line) n += (size_t)snprintf(into + n, capacity - n, "%s\n", line);
    n += (size_t)snprintf(into + n, capacity - n, "\n");
    memset(into + n, '\7', data_bytes);
    return n + data_bytes;
}

static fab_status read_bytes(const char *bytes, size_t n)
{
    fab_reader r;
    fab_volume *v = NULL;
    fab_reader_from_memory(bytes, n, "case.nrrd", &r);
    fab_status status = fab_nrrd_read_from(&r, &v, NULL, 0, &err);
    CHECK((status == FAB_OK) == (v != NULL));
    fab_volume_unref(v);
    return status;
}

static void each_case(void)
{
    char text[2000];
    CHECK_OK(read_bytes(text, build(text, sizeof text, NULL, NULL, 24)));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        printf("  %s -> %s\n", cases[i].key ? cases[i].key : "added",
               cases[i].line ? cases[i].line : "(left out)");
        size_t n = build(text, sizeof text, cases[i].key, cases[i].line, cases[i].data_bytes);
        CHECK_FAILS(cases[i].status, cases[i].message, read_bytes(text, n));
        CHECK(strstr(err.message, "case.nrrd"));
    }
}

static void cut_anywhere(void)
{
    char text[2000];
    size_t n = build(text, sizeof text, NULL, NULL, 24);
    for (size_t cut = 1; cut <= n; cut++) CHECK(read_bytes(text, n - cut) < 0);
}

static void endless_header(void)
{
    size_t n = FAB_MAX_NRRD_HEADER_BYTES + 100;
    char *text = malloc(n);
    CHECK(text);
    memset(text, '#', n);
    memcpy(text, "NRRD0004\n", 9);
    fab_status status = read_bytes(text, n);
    free(text);
    CHECK(status == FAB_ERR_LIMIT && strstr(err.message, "header longer than"));
}

int main(void)
{
    static const fab_test tests[] = {TEST(each_case), TEST(cut_anywhere), TEST(endless_header)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
