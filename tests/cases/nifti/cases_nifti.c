/* Bad NIfTI files: each a good file with one edit, and what a person must be told. */
#include "nifti_build.h"

#include "fabrica/nifti.h"

static fab_error err;
static uint8_t file[1 << 16], packed[1 << 16];

static void nothing(nifti_file *f) { (void)f; }
static void two_files(nifti_file *f) { f->magic = "ni1"; }
static void analyze(nifti_file *f) { f->magic = "\0\0\0"; }
static void other_magic(nifti_file *f) { f->magic = "abc"; }
static void v2_other_magic(nifti_file *f)
{
    f->version = 2;
    f->vox_offset = 544;
    f->magic = "x+2\0\r\n\032";
}
static void header_cut(nifti_file *f) { f->cut = 352 + 120 - 100; }
static void v2_header_cut(nifti_file *f)
{
    f->version = 2;
    f->vox_offset = 544;
    f->cut = 544 + 120 - 400;
}
static void voxels_cut(nifti_file *f) { f->cut = 1; }
static void no_voxels(nifti_file *f) { f->data_bytes = 0; }
static void dim_zero(nifti_file *f) { f->dim[0] = 0; }
static void dim_eight(nifti_file *f) { f->dim[0] = 8; }
static void dim_negative(nifti_file *f) { f->dim[2] = -4; }
static void dim_huge(nifti_file *f) { f->dim[1] = 32767; }
static void v2_dim_huge(nifti_file *f)
{
    f->version = 2;
    f->vox_offset = 544;
    f->dim[3] = (int64_t)1 << 62;
}
static void too_many_voxels(nifti_file *f) { f->dim[1] = f->dim[2] = f->dim[3] = 8192; }
static void time_series(nifti_file *f) { f->dim[0] = 4; f->dim[4] = 7; }
static void vector(nifti_file *f) { f->dim[0] = 5; f->dim[5] = 3; }
static void six_dims(nifti_file *f) { f->dim[0] = 6; f->dim[6] = 2; }
static void rgb(nifti_file *f) { f->datatype = 128; f->bitpix = 24; }
static void rgba(nifti_file *f) { f->datatype = 2304; f->bitpix = 32; }
static void complex64(nifti_file *f) { f->datatype = 32; f->bitpix = 64; }
static void float128(nifti_file *f) { f->datatype = 1536; f->bitpix = 128; }
static void one_bit(nifti_file *f) { f->datatype = 1; f->bitpix = 1; }
static void type_none(nifti_file *f) { f->datatype = 0; }
static void wrong_bits(nifti_file *f) { f->bitpix = 8; }
static void offset_small(nifti_file *f) { f->vox_offset = 0; f->data_bytes = 472; }
static void offset_fraction(nifti_file *f) { f->vox_offset = 352.5; }
static void offset_nan(nifti_file *f) { f->vox_offset = NAN; f->data_bytes = 472; }
static void offset_beyond(nifti_file *f) { f->vox_offset = 1e9; f->data_bytes = 472; }
static void no_codes(nifti_file *f) { f->sform_code = 0; }
static void sform_nan(nifti_file *f) { f->srow[1][2] = NAN; }
static void sform_inf(nifti_file *f) { f->srow[0][3] = INFINITY; }
static void sform_zero(nifti_file *f) { memset(f->srow, 0, sizeof f->srow); }
static void sform_singular(nifti_file *f) { f->srow[2][2] = 0; f->srow[0][2] = 1; }
static void spacing_huge(nifti_file *f) { f->srow[0][0] = 5000; }
static void use_qform(nifti_file *f) { f->sform_code = 0; f->qform_code = 1; }
static void qform_zero(nifti_file *f) { use_qform(f); f->pixdim[3] = 0; }
static void qform_negative(nifti_file *f) { use_qform(f); f->pixdim[1] = -1; }
static void qform_nan(nifti_file *f) { use_qform(f); f->pixdim[2] = NAN; }
static void qform_long(nifti_file *f) { use_qform(f); f->quatern[0] = 1; f->quatern[1] = 1; }
static void qform_quat_nan(nifti_file *f) { use_qform(f); f->quatern[0] = NAN; }

static const struct {
    const char *name;
    void (*edit)(nifti_file *f);
    fab_status status;
    const char *message;
} cases[] = {
    {"two files", two_files, FAB_ERR_UNSUPPORTED, "two files (.hdr and .img)"},
    {"analyze 7.5", analyze, FAB_ERR_UNSUPPORTED, "Analyze 7.5"},
    {"other magic", other_magic, FAB_ERR_FORMAT, "no \"n+1\""},
    {"other magic, version 2", v2_other_magic, FAB_ERR_FORMAT, "no \"n+2\""},
    {"header cut", header_cut, FAB_ERR_FORMAT, "ends inside the NIfTI header"},
    {"header cut, version 2", v2_header_cut, FAB_ERR_FORMAT, "ends inside the NIfTI header"},
    {"last byte missing", voxels_cut, FAB_ERR_FORMAT,
     "truncated: 120 bytes of voxels expected, 119 there"},
    {"no voxels", no_voxels, FAB_ERR_FORMAT, "truncated"},
    {"dim[0] = 0", dim_zero, FAB_ERR_FORMAT, "dim[0] is 0"},
    {"dim[0] = 8", dim_eight, FAB_ERR_FORMAT, "dim[0] is 8"},
    {"negative size", dim_negative, FAB_ERR_FORMAT, "dim[2] is -4"},
    {"huge size", dim_huge, FAB_ERR_LIMIT, "dim[1] is 32767"},
    {"huge size, version 2", v2_dim_huge, FAB_ERR_LIMIT, "dim[3] is 4611686018427387904"},
    {"too many voxels", too_many_voxels, FAB_ERR_LIMIT, "larger than 2^32"},
    {"time series", time_series, FAB_ERR_UNSUPPORTED, "several time points (dim[4] is 7)"},
    {"vectors", vector, FAB_ERR_UNSUPPORTED, "several values a voxel (dim[5] is 3)"},
    {"six dimensions", six_dims, FAB_ERR_UNSUPPORTED, "more than five dimensions"},
    {"rgb", rgb, FAB_ERR_UNSUPPORTED, "type rgb24"},
    {"rgba", rgba, FAB_ERR_UNSUPPORTED, "type rgba32"},
    {"complex", complex64, FAB_ERR_UNSUPPORTED, "type complex64"},
    {"float128", float128, FAB_ERR_UNSUPPORTED, "type float128"},
    {"one bit", one_bit, FAB_ERR_UNSUPPORTED, "type binary"},
    {"no type", type_none, FAB_ERR_UNSUPPORTED, "unknown voxel type 0"},
    {"wrong bits", wrong_bits, FAB_ERR_FORMAT, "int16 has 16 bits, the header says 8"},
    {"data inside header", offset_small, FAB_ERR_FORMAT, "vox_offset is 0"},
    {"offset a fraction", offset_fraction, FAB_ERR_FORMAT, "vox_offset is 352.5"},
    {"offset NaN", offset_nan, FAB_ERR_FORMAT, "vox_offset is nan"},
    {"offset beyond the file", offset_beyond, FAB_ERR_FORMAT, "truncated"},
    {"no orientation", no_codes, FAB_ERR_GEOMETRY, "does not say where left and right are"},
    {"NaN affine", sform_nan, FAB_ERR_GEOMETRY, "not finite"},
    {"infinite affine", sform_inf, FAB_ERR_GEOMETRY, "not finite"},
    {"zero affine", sform_zero, FAB_ERR_GEOMETRY, "voxel spacing 0 x 0 x 0"},
    {"singular affine", sform_singular, FAB_ERR_GEOMETRY, "case.nii: "},
    {"huge spacing", spacing_huge, FAB_ERR_GEOMETRY, "voxel spacing 5000"},
    {"zero pixdim", qform_zero, FAB_ERR_GEOMETRY, "pixdim[3] is 0"},
    {"negative pixdim", qform_negative, FAB_ERR_GEOMETRY, "pixdim[1] is -1"},
    {"NaN pixdim", qform_nan, FAB_ERR_GEOMETRY, "pixdim[2] is nan"},
    {"long quaternion", qform_long, FAB_ERR_GEOMETRY, "longer than 1"},
    {"NaN quaternion", qform_quat_nan, FAB_ERR_GEOMETRY, "quaternion"},
};

static fab_status read_bytes(const uint8_t *bytes, size_t n)
{
    fab_reader r;
    fab_volume *v = NULL;
    fab_reader_from_memory(bytes, n, "case.nii", &r);
    fab_status status = fab_nifti_read_from(&r, &v, NULL, 0, &err);
    CHECK((status == FAB_OK) == (v != NULL));
    fab_volume_unref(v);
    return status;
}

static size_t make(void (*edit)(nifti_file *f))
{
    nifti_file f = nifti_default();
    edit(&f);
    return nifti_build(&f, file, sizeof file);
}

static void each_case(void)
{
    CHECK_OK(read_bytes(file, make(nothing)));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        printf("  %s\n", cases[i].name);
        size_t n = make(cases[i].edit);
        CHECK_FAILS(cases[i].status, cases[i].message, read_bytes(file, n));
        CHECK(strstr(err.message, "case.nii"));
    }
}

/* The same files gzipped; sizes are then known only at the end, so two messages differ. */
static void each_case_gzipped(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = make(cases[i].edit), m = nifti_gzip(file, n, packed, sizeof packed);
        bool cut = strstr(cases[i].message, "truncated") != NULL;
        CHECK_FAILS(cases[i].status, cut ? "truncated" : cases[i].message, read_bytes(packed, m));
    }
}

static void not_a_nifti_at_all(void)
{
    static const char text[] = "II*\0 this is a TIFF, says its first bytes, and long enough....";
    CHECK_FAILS(FAB_ERR_FORMAT, "empty file", read_bytes(file, 0));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a NIfTI file", read_bytes((const uint8_t *)text, 1));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a NIfTI file",
                read_bytes((const uint8_t *)text, sizeof text));
}

static void damaged_gzip(void)
{
    size_t n = make(nothing), m = nifti_gzip(file, n, packed, sizeof packed);
    CHECK_OK(read_bytes(packed, m));
    CHECK_FAILS(FAB_ERR_FORMAT, "truncated", read_bytes(packed, m / 2));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a NIfTI file", read_bytes(packed, 4));
    packed[12] ^= 0xff;
    CHECK_FAILS(FAB_ERR_FORMAT, "gzip", read_bytes(packed, m));
}

/* 5 kB that claim 2^31 voxels, and 600 kB that really inflate to 600 MB of zeros (75 gzip members):
 * refused before any memory is taken. */
static void gzip_bombs(void)
{
    nifti_file f = nifti_default();
    f.dim[1] = f.dim[2] = 1024;
    f.dim[3] = 2048;
    f.data_bytes = 5000;
    size_t n = nifti_build(&f, file, sizeof file), m = nifti_gzip(file, n, packed, sizeof packed);
    CHECK_FAILS(FAB_ERR_FORMAT, "cannot be in", read_bytes(packed, m));
    f.dim[3] = 300;
    f.data_bytes = 0;
    n = nifti_build(&f, file, sizeof file);
    m = nifti_gzip(file, n, packed, sizeof packed);
    size_t chunk = (size_t)8 << 20, room = (size_t)1 << 20;
    uint8_t *zeros = calloc(1, chunk), *gz = malloc(room);
    CHECK(zeros && gz);
    memcpy(gz, packed, m);
    size_t one = nifti_gzip(zeros, chunk, gz + m, room - m);
    for (int i = 1; i < 75; i++) memcpy(gz + m + (size_t)i * one, gz + m, one);
    free(zeros);
    fab_status status = read_bytes(gz, m + 75 * one);
    free(gz);
    CHECK(status == FAB_ERR_LIMIT && strstr(err.message, "refused as a bomb"));
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(each_case), TEST(each_case_gzipped), TEST(not_a_nifti_at_all), TEST(damaged_gzip),
        TEST(gzip_bombs),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
