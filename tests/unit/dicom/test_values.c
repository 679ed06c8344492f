/* Stored bits to values: signs, widths, rescale per slice, padding, transfer syntaxes, text. */
#include "dicom_edit.h"
#include "series_build.h"

static char folder[FAB_MAX_PATH_BYTES];
static const int32_t size[3] = {18, 13, 5};

static fab_grid base_grid(void)
{
    static const double axes[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, spacing[3] = {2, 3, 2.5};
    return test_grid(axes, spacing, size, test_centre);
}

/* Random voxels over the whole range of the type. */
static fab_volume *random_volume(fab_dtype t, uint64_t seed)
{
    fab_error err = {0};
    fab_volume *v = NULL;
    fab_grid g = base_grid();
    fab_rng rng;
    fab_rng_seed(&rng, seed, 1);
    CHECK_OK(fab_volume_create(&g, t, &v, &err));
    uint16_t *out = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) out[i] = (uint16_t)fab_rng_u32(&rng);
    return v;
}

static void write_as(const fab_volume *v, const fab_series_write *how)
{
    fab_error err = {0};
    CHECK(fab_test_folder(folder));
    CHECK_OK(fab_dicom_write_series(v, how, folder, &err));
}

static void clear(void)
{
    fab_error err = {0};
    CHECK_OK(fab_path_remove_tree(folder, &err));
}

static void expect_values(const fab_series *s, const fab_volume *v, double slope, double intercept)
{
    for (int32_t k = 0; k < size[2]; k++)
        for (int32_t j = 0; j < size[1]; j++)
            for (int32_t i = 0; i < size[0]; i++)
                CHECK_NEAR(fab_volume_get(s->volume, i, j, k),
                           (float)(slope * fab_volume_get(v, i, j, k) + intercept), 0);
}

/* All of 16 bits, signed and not: exact, in the smallest type that holds it. */
static void whole_range(void)
{
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(is_signed ? FAB_I16 : FAB_U16, 7);
        fab_series_write how = test_how("range");
        write_as(v, &how);
        FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
        clear();
        CHECK(fab_volume_dtype(s->volume) == (is_signed ? FAB_I16 : FAB_F32));
        expect_values(s, v, 1, 0);
    }
}

static void rescale(void)
{
    static const double rescales[][2] = {{1, -1024}, {2, 100}, {0.5, -1000.25}, {-3, 0}};
    for (size_t i = 0; i < 4; i++) {
        FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, i);
        fab_series_write how = test_how("rescale");
        how.rescale_slope = rescales[i][0];
        how.rescale_intercept = rescales[i][1];
        write_as(v, &how);
        FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
        clear();
        CHECK(fab_volume_dtype(s->volume) == FAB_F32);
        expect_values(s, v, how.rescale_slope, how.rescale_intercept);
    }
}

/* PET-like and some MR series scale every slice differently. */
static void rescale_by_slice(void)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, 3);
    fab_series_write how = test_how("by slice");
    char name[32], text[32];
    write_as(v, &how);
    for (int k = 0; k < size[2]; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k + 1);
        snprintf(text, sizeof text, "%g", 0.25 * (k + 1));
        edit_text(folder, name, 0x00281053, "DS", text);
        snprintf(text, sizeof text, "%d", -10 * k);
        edit_text(folder, name, 0x00281052, "DS", text);
    }
    FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
    clear();
    for (int32_t k = 0; k < size[2]; k++)
        for (int32_t j = 0; j < size[1]; j++)
            for (int32_t i = 0; i < size[0]; i++)
                CHECK_NEAR(fab_volume_get(s->volume, i, j, k),
                           (float)(0.25 * (k + 1) * fab_volume_get(v, i, j, k) - 10 * k), 0);
}

/* 12 bits in 16, with an overlay in the high ones (old scanners): masked off, sign extended. */
static void twelve_bits(void)
{
    char name[32];
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_U16, 11);
        fab_series_write how = test_how("twelve");
        write_as(v, &how);
        for (int k = 1; k <= size[2]; k++) {
            snprintf(name, sizeof name, "IMG%05d.dcm", k);
            edit_u16(folder, name, 0x00280101, 12);
            edit_u16(folder, name, 0x00280102, 11);
            edit_u16(folder, name, 0x00280103, (unsigned)is_signed);
        }
        FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
        clear();
        for (int32_t k = 0; k < size[2]; k++)
            for (int32_t i = 0; i < size[0]; i++) {
                int stored = (int)fab_volume_get(v, i, 5, k) & 0xfff;
                if (is_signed && stored >= 2048) stored -= 4096;
                CHECK(fab_volume_get(s->volume, i, 5, k) == stored);
            }
    }
}

/* Padding outside the scan's circle becomes air and is reported. */
static void padding(void)
{
    char name[32];
    FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, 5);
    int16_t *data = fab_volume_data_mut(v);
    for (int i = 0; i < size[0] * size[1] * size[2]; i++) data[i] = (int16_t)(data[i] % 1000);
    for (int k = 0; k < size[2]; k++) data[k * size[0] * size[1]] = -2000;
    fab_series_write how = test_how("padding");
    write_as(v, &how);
    for (int k = 1; k <= size[2]; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        edit_file f;
        static const uint8_t value[2] = {0x30, 0xf8}; /* -2000 */
        edit_open(&f, folder, name);
        edit_set(&f, 0x00280120, "SS", value, 2);
        edit_save(&f);
    }
    FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
    clear();
    CHECK(fab_volume_get(s->volume, 0, 0, 2) == -1024);
    CHECK(fab_volume_get(s->volume, 1, 0, 2) == fab_volume_get(v, 1, 0, 2));
    CHECK(strstr(s->info.repairs, "5 voxels of Pixel Padding Value set to -1024 HU"));
}

/* What we write in each syntax we read back the same; and the same input is the same bytes. */
static void syntaxes(void)
{
    static const char *const uids[] = {
        "1.2.840.10008.1.2.1",    "1.2.840.10008.1.2",      "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5",    "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.70"};
    FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, 13);
    fab_series_write how = test_how("syntaxes");
    for (size_t i = 0; i < sizeof uids / sizeof uids[0]; i++) {
        how.transfer_syntax = uids[i];
        write_as(v, &how);
        FAB_AUTO(fab_series_free) fab_series *a = test_load(folder);
        clear();
        write_as(v, &how);
        FAB_AUTO(fab_series_free) fab_series *b = test_load(folder);
        clear();
        CHECK(strcmp(a->info.transfer_syntax, uids[i]) == 0);
        expect_values(a, v, 1, 0);
        CHECK(strcmp(a->input_sha256, b->input_sha256) == 0);
    }
    fab_error err = {0};
    static const char *const unwritten[] = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"};
    for (size_t i = 0; i < 2; i++) {
        how.transfer_syntax = unwritten[i];
        CHECK(fab_test_folder(folder));
        CHECK_FAILS(FAB_ERR_UNSUPPORTED, "is not written",
                    fab_dicom_write_series(v, &how, folder, &err));
        clear();
    }
}

static void jpeg_ls(void)
{
    CHECK(fab_test_folder(folder));
    test_copy_jpeg_ls(folder);
    FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
    clear();
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(fab_volume_grid(s->volume));
    const int32_t *n = fab_volume_grid(v)->size;
    CHECK(strcmp(s->info.transfer_syntax, "1.2.840.10008.1.2.4.80") == 0);
    CHECK(n[0] == 16 && n[1] == 12 && n[2] == 8);
    for (int32_t k = 0; k < n[2]; k++)
        for (int32_t j = 0; j < n[1]; j++)
            for (int32_t i = 0; i < n[0]; i++)
                CHECK(fab_volume_get(s->volume, i, j, k) == fab_volume_get(v, i, j, k));
}

/* Specific Character Set to UTF-8 (PS3.5 annexes H to K give the Japanese and Korean names). */
static void character_sets(void)
{
    static const struct {
        const char *charset, *raw, *utf8;
    } names[] = {
        {"ISO_IR 100", "Buc^J\xe9r\xf4me", "Buc^J\xc3\xa9r\xc3\xb4me"},
        {"ISO_IR 192", "\xc3\x84neas^R\xc3\xbc", "\xc3\x84neas^R\xc3\xbc"},
        {"ISO_IR 144", "\xbb\xee\xda\x63\x65\xdc\x62\xe0\xeb\xd9",
         "\xd0\x9b\xd1\x8e\xd0\xba\x63\x65\xd0\xbc\x62\xd1\x80\xd1\x8b\xd0\xb9"},
        {"GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab",
         "Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe4\xb8\x9c"},
        {"\\ISO 2022 IR 87", "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
         "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e"},
        {"\\ISO 2022 IR 149", "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
         "Hong^Gildong=\xe6\xb4\xaa^\xe5\x90\x89\xe6\xb4\x9e"},
        {"ISO_IR 13", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3",
         "\xef\xbe\x94\xef\xbe\x8f\xef\xbe\x80\xef\xbe\x9e^\xef\xbe\x80\xef\xbe\x9b\xef\xbd\xb3"},
        {"NO SUCH SET", "Andr\xe9", "Andr?"},
        {"", "Andr\xe9", "Andr?"},
    };
    char name[32];
    FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, 17);
    fab_series_write how = test_how("names");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        write_as(v, &how);
        for (int k = 1; k <= size[2]; k++) {
            snprintf(name, sizeof name, "IMG%05d.dcm", k);
            edit_text(folder, name, 0x00080005, "CS", names[i].charset);
            edit_text(folder, name, 0x00100010, "PN", names[i].raw);
        }
        FAB_AUTO(fab_series_free) fab_series *s = test_load(folder);
        clear();
        printf("  %-16s %s\n", names[i].charset, s->info.patient_name);
        CHECK(strcmp(s->info.patient_name, names[i].utf8) == 0);
    }
}

/* Two echoes in one series: two volumes, not a duplicate. */
static void two_echoes(void)
{
    char name[32], from[FAB_MAX_PATH_BYTES + 32], to[FAB_MAX_PATH_BYTES + 32];
    fab_error err = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, 19);
    fab_series_write how = test_how("echoes");
    how.modality = "MR";
    write_as(v, &how);
    for (int k = 1; k <= size[2]; k++) {
        edit_file f;
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        snprintf(from, sizeof from, "%s/%s", folder, name);
        edit_open(&f, folder, name);
        snprintf(to, sizeof to, "1.2.3.%d", k);
        edit_set(&f, 0x00080018, "UI", to, strlen(to));
        edit_set(&f, 0x00180081, "DS", "80", 2);
        snprintf(to, sizeof to, "%s/e%d.dcm", folder, k);
        edit_save_as(&f, to);
        edit_text(folder, name, 0x00180081, "DS", "20");
    }
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    CHECK(fab_dicom_scan_series_count(scan) == 2);
    for (size_t i = 0; i < 2; i++) {
        const fab_series_info *s = fab_dicom_scan_series(scan, i);
        printf("  %s: %s\n", s->part, s->verdict_text);
        CHECK(s->verdict == FAB_GEOMETRY_OK && s->frames == size[2]);
        CHECK(strstr(s->part, i == 0 ? "part 1 of 2" : "part 2 of 2"));
        CHECK(strstr(s->part, i == 0 ? "echo 20 ms" : "echo 80 ms"));
    }
    clear();
}

/* UIDs made by hash are valid, stable and different for different things. */
static void derived_uids(void)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = random_volume(FAB_I16, 23);
    fab_series_write how = test_how("uids");
    write_as(v, &how);
    FAB_AUTO(fab_series_free) fab_series *a = test_load(folder);
    clear();
    for (size_t i = 0; i < a->slice_count; i++) {
        const char *uid = a->sop_instance_uid[i];
        CHECK(strncmp(uid, "2.25.", 5) == 0 && strlen(uid) <= 44 && uid[5] != '0');
        CHECK(strspn(uid, "0123456789.") == strlen(uid));
        for (size_t k = 0; k < i; k++) CHECK(strcmp(uid, a->sop_instance_uid[k]) != 0);
    }
}

int main(void)
{
    return FAB_RUN(TEST(whole_range), TEST(rescale), TEST(rescale_by_slice), TEST(twelve_bits),
                   TEST(padding), TEST(syntaxes), TEST(jpeg_ls), TEST(character_sets),
                   TEST(two_echoes), TEST(derived_uids));
}
