/* NIfTI read and write: every type, byte order and version, scaling, geometry, same bytes. */
#include "nifti_build.h"

#include "fabrica/nifti.h"

static fab_error err;
static uint8_t file[1 << 16], packed[1 << 16];
static char notes[400];

static fab_volume *read_bytes(const uint8_t *bytes, size_t n)
{
    fab_reader r;
    fab_volume *v = NULL;
    fab_reader_from_memory(bytes, n, "test.nii", &r);
    CHECK_OK(fab_nifti_read_from(&r, &v, notes, sizeof notes, &err));
    return v;
}

static fab_volume *read_file(const nifti_file *f)
{
    return read_bytes(file, nifti_build(f, file, sizeof file));
}

/* ---- types ------------------------------------------------------------------------------ */

typedef struct type_case {
    int datatype, bitpix;
    bool real;
    double value[4]; /* of the first four voxels */
    fab_dtype expected;
} type_case;

static const type_case type_cases[] = {
    {2, 8, false, {0, 1, 200, 255}, FAB_U8},
    {256, 8, false, {0, 1, -128, 127}, FAB_I16},
    {4, 16, false, {0, 1, -32768, 32767}, FAB_I16},
    {512, 16, false, {0, 1, 40000, 65535}, FAB_U16},
    {8, 32, false, {0, 1, -2147483648.0, 2147483647.0}, FAB_I32},
    {768, 32, false, {0, 1, 70000, 2147483647.0}, FAB_I32},
    {768, 32, false, {0, 1, 70000, 4294967040.0}, FAB_F32},
    {1024, 64, false, {0, 1, -7, 117}, FAB_I32},
    {1024, 64, false, {0, 1, -7, 1099511627776.0}, FAB_F32},
    {1280, 64, false, {0, 1, 7, 117}, FAB_I32},
    {16, 32, true, {0, 0.5, -1024.25, 3071}, FAB_F32},
    {64, 64, true, {0, 0.5, -1024.25, 3071}, FAB_F32},
};

static void put_values(const type_case *c, uint8_t *data, bool big)
{
    size_t size = (size_t)c->bitpix / 8;
    for (size_t i = 0; i < 4; i++) {
        if (c->real) nifti_put_real(data + i * size, c->value[i], size, big);
        else if (c->datatype == 1280) nifti_put(data + i * 8, (uint64_t)c->value[i], 8, big);
        else nifti_put(data + i * size, (uint64_t)(int64_t)c->value[i], size, big);
    }
}

static void every_type_order_and_version(void)
{
    uint8_t data[60 * 8] = {0};
    for (size_t i = 0; i < sizeof type_cases / sizeof type_cases[0]; i++)
        for (int way = 0; way < 8; way++) {
            const type_case *c = &type_cases[i];
            nifti_file f = nifti_default();
            f.version = way & 1 ? 2 : 1;
            f.big = way & 2;
            f.vox_offset = 544;
            f.datatype = c->datatype;
            f.bitpix = c->bitpix;
            put_values(c, data, f.big);
            f.data = data;
            f.data_bytes = 60 * (size_t)c->bitpix / 8;
            size_t n = nifti_build(&f, file, sizeof file);
            size_t m = nifti_gzip(file, n, packed, sizeof packed);
            fab_volume *v = way & 4 ? read_bytes(packed, m) : read_bytes(file, n);
            CHECK(fab_volume_dtype(v) == c->expected);
            for (int k = 0; k < 4; k++) CHECK(fab_volume_get(v, k % 3, k / 3, 0) == c->value[k]);
            CHECK(fab_volume_get(v, 2, 3, 4) == 0);
            fab_volume_unref(v);
        }
}

static void nan_becomes_zero_and_is_told(void)
{
    float data[60] = {1, NAN, INFINITY, -2};
    nifti_file f = nifti_default();
    f.datatype = 16;
    f.bitpix = 32;
    f.data = data;
    f.data_bytes = sizeof data;
    fab_volume *v = read_file(&f);
    CHECK(fab_volume_get(v, 0, 0, 0) == 1 && fab_volume_get(v, 1, 0, 0) == 0);
    CHECK(fab_volume_get(v, 2, 0, 0) == 0 && fab_volume_get(v, 0, 1, 0) == -2);
    CHECK(strstr(notes, "2 voxels were not a number"));
    fab_volume_unref(v);
}

/* ---- scaling ---------------------------------------------------------------------------- */

static void scaling(void)
{
    static const struct {
        double slope, inter, first, second;
        fab_dtype expected;
    } cases[] = {
        {1, 0, -1000, 32767, FAB_I16},       {0, 5, -1000, 32767, FAB_I16}, /* 0: not scaled */
        {NAN, NAN, -1000, 32767, FAB_I16},   {1, -1, -1001, 32766, FAB_I16},
        {1, 1, -999, 32768, FAB_F32},        {0.5, 0.25, -499.75, 16383.75, FAB_F32},
        {2, 3, -1997, 65537, FAB_F32},       {-1, 0, 1000, -32767, FAB_I16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int16_t data[60] = {-1000, 32767};
        nifti_file f = nifti_default();
        f.slope = cases[i].slope;
        f.inter = cases[i].inter;
        f.data = data;
        fab_volume *v = read_file(&f);
        CHECK(fab_volume_dtype(v) == cases[i].expected);
        CHECK(fab_volume_get(v, 0, 0, 0) == cases[i].first);
        CHECK(fab_volume_get(v, 1, 0, 0) == cases[i].second);
        fab_volume_unref(v);
    }
}

/* ---- geometry --------------------------------------------------------------------------- */

static void check_matrix(const fab_volume *v, const double want[3][4], double tolerance)
{
    const fab_mat34 *m = &fab_volume_grid(v)->world_from_voxel;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) CHECK_NEAR(m->m[i][j], want[i][j], tolerance);
}

static void sform_is_preferred_and_turned_to_lps(void)
{
    static const double lps[3][4] = {{-2, 0, 0, 10}, {0, -3, 0.5, 20}, {0, 0.25, 4, 30}};
    nifti_file f = nifti_default();
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) f.srow[i][j] = lps[i][j] * (i < 2 ? -1 : 1);
    f.qform_code = 1;
    f.pixdim[1] = 2;
    f.pixdim[2] = 3;
    f.pixdim[3] = 4;
    f.qoffset[0] = -10;
    f.qoffset[1] = -20;
    f.qoffset[2] = 35;
    fab_volume *v = read_file(&f);
    check_matrix(v, lps, 1e-6);
    CHECK(strstr(notes, "sform and qform disagree by"));
    fab_volume_unref(v);
    f.qform_code = 0;
    v = read_file(&f);
    CHECK(!notes[0]);
    fab_volume_unref(v);
}

static void qform_alone(void)
{
    /* a half turn about z (quaternion d = 1), qfac -1, as LPS-stored CT has it */
    static const double lps[3][4] = {{2, 0, 0, -11}, {0, 3, 0, -22}, {0, 0, -4, 33}};
    nifti_file f = nifti_default();
    f.sform_code = 0;
    f.qform_code = 1;
    f.quatern[2] = 1;
    f.pixdim[0] = -1;
    f.pixdim[1] = 2;
    f.pixdim[2] = 3;
    f.pixdim[3] = 4;
    f.qoffset[0] = 11;
    f.qoffset[1] = 22;
    f.qoffset[2] = 33;
    fab_volume *v = read_file(&f);
    check_matrix(v, lps, 1e-6);
    fab_volume_unref(v);
    f.units = 1; /* metres */
    for (int i = 1; i <= 3; i++) f.pixdim[i] /= 1000;
    v = read_file(&f);
    CHECK_NEAR(fab_volume_grid(v)->world_from_voxel.m[0][0], 2, 1e-6);
    CHECK_NEAR(fab_volume_grid(v)->world_from_voxel.m[2][3], 33000, 1e-6);
    CHECK(strstr(notes, "metres"));
    fab_volume_unref(v);
}

static void four_dimensions_with_one_volume(void)
{
    nifti_file f = nifti_default();
    f.dim[0] = 5;
    fab_volume *v = read_file(&f);
    CHECK(fab_volume_grid(v)->size[2] == 5);
    fab_volume_unref(v);
    f.dim[0] = 2; /* one slice */
    f.data_bytes = 3 * 4 * 2;
    v = read_file(&f);
    CHECK(fab_volume_grid(v)->size[2] == 1);
    fab_volume_unref(v);
}

static void several_gzip_members_are_one_file(void)
{
    int16_t data[60];
    for (int i = 0; i < 60; i++) data[i] = (int16_t)(i * i);
    nifti_file f = nifti_default();
    f.data = data;
    size_t n = nifti_build(&f, file, sizeof file), half = n / 2;
    size_t a = nifti_gzip(file, half, packed, sizeof packed);
    size_t b = nifti_gzip(file + half, n - half, packed + a, sizeof packed - a);
    memset(packed + a + b, 0, 100); /* padding behind the stream, as tapes have it */
    fab_volume *v = read_bytes(packed, a + b + 100);
    CHECK(fab_volume_get(v, 2, 3, 4) == 59 * 59);
    fab_volume_unref(v);
}

/* ---- writing ---------------------------------------------------------------------------- */

static fab_volume *random_volume(fab_dtype t, const fab_grid *g)
{
    fab_volume *v = NULL;
    fab_rng rng;
    CHECK_OK(fab_volume_create(g, t, &v, &err));
    fab_rng_seed(&rng, 5, (uint64_t)t);
    uint8_t *bytes = fab_volume_data_mut(v);
    for (size_t i = 0; i < fab_volume_bytes(v); i++) bytes[i] = (uint8_t)fab_rng_u32(&rng);
    if (t == FAB_F32)
        for (int64_t i = 0; i < fab_grid_voxels(g); i++)
            ((float *)(void *)bytes)[i] = (float)fab_rng_normal(&rng);
    return v;
}

/* A rotated, anisotropic grid, left-handed if asked. */
static fab_grid oblique_grid(double angle, bool mirrored)
{
    double c = cos(angle), s = sin(angle), cc = cos(0.3), ss = sin(0.3);
    double r[3][3] = {{c, -s * cc, s * ss}, {s, c * cc, -c * ss}, {0, ss, cc}};
    fab_grid g = {.size = {7, 9, 11}};
    static const double spacing[3] = {0.7, 0.9, 3.1}, origin[3] = {-171.3, 88.125, -612.75};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            g.world_from_voxel.m[i][j] = r[i][j] * spacing[j] * (mirrored && j == 1 ? -1 : 1);
        g.world_from_voxel.m[i][3] = origin[i];
    }
    return g;
}

static int header_i16(const char *path, size_t at)
{
    uint8_t h[352];
    fab_reader r;
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read(&r, 0, h, sizeof h, &err));
    fab_reader_close(&r);
    return (int16_t)(h[at] | h[at + 1] << 8);
}

static void written_is_read_back(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    CHECK(fab_test_folder(folder));
    for (int step = 0; step < 40; step++) {
        fab_grid g = oblique_grid(-3 + step * 0.16, step % 2);
        fab_volume *v = random_volume((fab_dtype)(step % 5), &g), *back = NULL;
        CHECK_OK(fab_path_join(path, sizeof path, folder, step % 3 ? "v.nii" : "v.nii.gz", &err));
        CHECK_OK(fab_nifti_write(v, path, "made by a test", &err));
        CHECK_OK(fab_nifti_read(path, &back, notes, sizeof notes, &err));
        CHECK(!notes[0]); /* sform and qform agree */
        if (step % 3) CHECK(header_i16(path, 252) == 1 && header_i16(path, 254) == 1);
        CHECK(fab_volume_dtype(back) == fab_volume_dtype(v));
        CHECK(fab_grid_equal(fab_volume_grid(back), &g, 1e-3));
        CHECK(!memcmp(fab_volume_data(back), fab_volume_data(v), fab_volume_bytes(v)));
        fab_volume_unref(back);
        fab_volume_unref(v);
    }
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void shear_has_no_qform(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "v.nii", &err));
    fab_grid g = oblique_grid(0.1, false);
    g.world_from_voxel.m[1][2] += 0.4; /* gantry tilt */
    fab_volume *v = random_volume(FAB_I16, &g), *back = NULL;
    CHECK_OK(fab_nifti_write(v, path, NULL, &err));
    CHECK(header_i16(path, 252) == 0 && header_i16(path, 254) == 1);
    CHECK_OK(fab_nifti_read(path, &back, notes, sizeof notes, &err));
    CHECK(fab_grid_equal(fab_volume_grid(back), &g, 1e-3) && !notes[0]);
    fab_volume_unref(back);
    fab_volume_unref(v);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void same_volume_same_bytes(void)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES], first[65], second[65];
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_path_join(path, sizeof path, folder, "v.nii.gz", &err));
    fab_grid g = oblique_grid(0.4, true);
    fab_volume *v = random_volume(FAB_I16, &g);
    CHECK_OK(fab_nifti_write(v, path, "x", &err));
    CHECK_OK(fab_sha256_file(path, first, &err));
    CHECK_OK(fab_nifti_write(v, path, "x", &err));
    CHECK_OK(fab_sha256_file(path, second, &err));
    CHECK(!strcmp(first, second));
    fab_volume_unref(v);
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void a_missing_file_is_named(void)
{
    fab_volume *v = NULL;
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no/such.nii",
                fab_nifti_read("no/such.nii", &v, NULL, 0, &err));
    CHECK(!v);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(every_type_order_and_version), TEST(nan_becomes_zero_and_is_told), TEST(scaling),
        TEST(sform_is_preferred_and_turned_to_lps), TEST(qform_alone),
        TEST(four_dimensions_with_one_volume), TEST(several_gzip_members_are_one_file),
        TEST(written_is_read_back), TEST(shear_has_no_qform), TEST(same_volume_same_bytes),
        TEST(a_missing_file_is_named),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
