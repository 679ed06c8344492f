/* Every allocation of reading and writing NIfTI and NRRD fails once: an error, no leak, no file. */
#include "nifti_build.h"

#include "fabrica/nifti.h"

static fab_error err;
static uint8_t file[4096], packed[4096];
static char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];

typedef struct source {
    const void *bytes;
    size_t size;
    bool nrrd;
} source;

static fab_status read_once(void *ctx)
{
    const source *s = ctx;
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    fab_reader r;
    char notes[100];
    fab_reader_from_memory(s->bytes, s->size, "torture", &r);
    return s->nrrd ? fab_nrrd_read_from(&r, &v, notes, sizeof notes, &err)
                   : fab_nifti_read_from(&r, &v, notes, sizeof notes, &err);
}

static void reading(void)
{
    uint32_t large[60] = {4000000000u}; /* does not fit I32: read twice */
    nifti_file f = nifti_default();
    f.datatype = 768;
    f.bitpix = 32;
    f.data = large;
    f.data_bytes = sizeof large;
    size_t n = nifti_build(&f, file, sizeof file), m = nifti_gzip(file, n, packed, sizeof packed);
    source plain = {file, n, false}, gzip = {packed, m, false};
    fab_test_torture(read_once, &plain);
    fab_test_torture(read_once, &gzip);
    static const char text[] = "NRRD0004\ntype: int\ndimension: 3\nsizes: 2 1 2\nencoding: ascii\n"
                               "space: LPS\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
                               "space origin: (0,0,0)\n\n1 2 3 4\n";
    source nrrd = {text, sizeof text - 1, true};
    fab_test_torture(read_once, &nrrd);
}

static fab_status write_once(void *ctx)
{
    fab_status status = fab_nifti_write(ctx, path, "torture", &err);
    bool there = access(path, F_OK) == 0;
    CHECK(there == (status == FAB_OK));
    if (there) CHECK(unlink(path) == 0);
    return status;
}

static void writing(void)
{
    static const char *const names[] = {"v.nii", "v.nii.gz"};
    fab_grid g = {{4, 5, 6}, {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}}};
    fab_volume *v = NULL;
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_volume_create(&g, FAB_I16, &v, &err));
    memset(fab_volume_data_mut(v), 0, fab_volume_bytes(v));
    for (size_t i = 0; i < 2; i++) {
        CHECK_OK(fab_path_join(path, sizeof path, folder, names[i], &err));
        fab_test_torture(write_once, v);
    }
    CHECK(rmdir(folder) == 0); /* no temporary file is left */
    fab_volume_unref(v);
}

int main(void)
{
    static const fab_test tests[] = {TEST(reading), TEST(writing)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
