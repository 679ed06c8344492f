/* DICOM input with one thing wrong: a good series, an edit, the expected outcome and message. */
#include <sys/stat.h>

#include "unit/dicom/dicom_edit.h"
#include "unit/dicom/series_build.h"

#define SLICE "IMG00004.dcm"
#define SLICES 8
#define JPEG_LS "1.2.840.10008.1.2.4.80"

static fab_series *loaded; /* of the last case that loaded */
static char note[2048];    /* verdict text, repairs and rejections of the last scan */

static void write_base(const char *folder, const char *seed, const char *syntax)
{
    static const double axes[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, spacing[3] = {4, 4, 2.5};
    static const int32_t size[3] = {16, 12, SLICES};
    fab_error err = {0};
    fab_grid g = test_grid(axes, spacing, size, test_centre);
    FAB_AUTO(fab_volume_unref) fab_volume *v = test_volume(&g);
    fab_series_write how = test_how(seed);
    how.transfer_syntax = syntax;
    if (syntax && strcmp(syntax, JPEG_LS) == 0) test_copy_jpeg_ls(folder);
    else CHECK_OK(fab_dicom_write_series(v, &how, folder, &err));
}

static void take_notes(const fab_dicom_scan *scan)
{
    size_t at = 0;
    for (size_t i = 0; i < fab_dicom_scan_series_count(scan); i++) {
        const fab_series_info *s = fab_dicom_scan_series(scan, i);
        at += (size_t)snprintf(note + at, sizeof note - at, "%s: %s; %s\n",
                               fab_geometry_verdict_name(s->verdict), s->verdict_text, s->repairs);
    }
    for (size_t i = 0; i < fab_dicom_scan_rejected_count(scan) && at < sizeof note; i++) {
        const char *path, *reason;
        fab_dicom_scan_rejected(scan, i, &path, &reason);
        at += (size_t)snprintf(note + at, sizeof note - at, "%s: %s\n", strrchr(path, '/') + 1,
                               reason);
    }
}

static fab_status read_folder(const char *folder, fab_error *err)
{
    size_t index = 0;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    loaded = fab_series_free(loaded);
    note[0] = 0;
    FAB_TRY(fab_dicom_scan_path(folder, NULL, &scan, err));
    take_notes(scan);
    FAB_TRY(fab_dicom_scan_pick(scan, &index, err));
    return fab_dicom_load(scan, index, NULL, &loaded, err);
}

/* ---- the edits ------------------------------------------------------------------------------ */

static void remove_file(const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK(remove(path) == 0);
}

static void write_bytes(const char *folder, const char *name, const void *bytes, size_t count)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_OK(fab_file_write_atomic(path, bytes, count, &err));
}

static void copy_as(const char *folder, const char *name, const char *uid)
{
    edit_file f;
    char path[FAB_MAX_PATH_BYTES];
    edit_open(&f, folder, SLICE);
    if (uid) edit_set(&f, 0x00080018, "UI", uid, strlen(uid));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    edit_save_as(&f, path);
}

static void no_edit(const char *d) { (void)d; }
static void cut_pixels(const char *d)
{
    edit_file f;
    edit_open(&f, d, SLICE);
    f.size -= 100;
    edit_save(&f);
}
static void cut_header(const char *d) { edit_cut(d, SLICE, 480); }
static void cut_last(const char *d) { edit_cut(d, "IMG00008.dcm", 480); }
static void cut_meta(const char *d) { edit_cut(d, SLICE, 150); }
static void cut_before_pixels(const char *d)
{
    edit_file f;
    edit_element e;
    edit_open(&f, d, SLICE);
    CHECK(edit_find(&f, 0x7fe00010, &e));
    f.size = e.start;
    edit_save(&f);
}
static void empty_file(const char *d) { edit_cut(d, SLICE, 0); }
static void text_file(const char *d)
{
    write_bytes(d, "notes.dcm", "these are notes, not DICOM", 26);
}
static void all_text(const char *d)
{
    char name[32];
    for (int k = 1; k <= SLICES; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        write_bytes(d, name, "hello", 5);
    }
}
static void rename_file(const char *d)
{
    char a[FAB_MAX_PATH_BYTES], b[FAB_MAX_PATH_BYTES];
    snprintf(a, sizeof a, "%s/%s", d, SLICE);
    snprintf(b, sizeof b, "%s/holiday.jpg", d);
    CHECK(rename(a, b) == 0);
}
static void other_patient(const char *d) { edit_text(d, SLICE, 0x00100020, "LO", "P2"); }
static void second_patient(const char *d)
{
    char folder[FAB_MAX_PATH_BYTES], name[32];
    snprintf(folder, sizeof folder, "%s/b", d);
    write_base(folder, "second", NULL);
    for (int k = 1; k <= SLICES; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        edit_text(folder, name, 0x00100020, "LO", "P2");
    }
}
static void missing(const char *d) { remove_file(d, SLICE); }
static void two_missing(const char *d) { remove_file(d, SLICE), remove_file(d, "IMG00005.dcm"); }
static void same_place(const char *d) { copy_as(d, "again.dcm", "1.2.3.4"); }
static void copy(const char *d) { copy_as(d, "copy.dcm", NULL); }
static void same_uid(const char *d)
{
    edit_file a, b;
    edit_element e;
    char uid[65] = "";
    edit_open(&a, d, "IMG00005.dcm");
    CHECK(edit_find(&a, 0x00080018, &e));
    memcpy(uid, a.bytes + e.value, e.length);
    edit_open(&b, d, SLICE);
    edit_set(&b, 0x00080018, "UI", uid, strlen(uid));
    edit_save(&b);
    a.bytes = fab_free(a.bytes);
}
static void no_uids(const char *d)
{
    char name[32];
    for (int k = 1; k <= SLICES; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        edit_text(d, name, 0x00080018, "UI", "");
        edit_text(d, name, 0x0020000d, "UI", "");
        edit_text(d, name, 0x0020000e, "UI", "");
        edit_text(d, name, 0x00200052, "UI", "");
    }
}
static void keep_slices(const char *d, int keep)
{
    char name[32];
    for (int k = keep + 1; k <= SLICES; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        remove_file(d, name);
    }
}
static void one_slice(const char *d) { keep_slices(d, 1); }
static void two_slices(const char *d) { keep_slices(d, 2); }
static void no_slice(const char *d) { keep_slices(d, 0); }
static void huge_rows(const char *d) { edit_u16(d, SLICE, 0x00280010, 65535); }
static void more_rows(const char *d) { edit_u16(d, SLICE, 0x00280010, 13); }
static void all_rows(const char *d)
{
    char name[32];
    for (int k = 1; k <= SLICES; k++) {
        snprintf(name, sizeof name, "IMG%05d.dcm", k);
        edit_u16(d, name, 0x00280010, 8000);
        edit_u16(d, name, 0x00280011, 8000);
    }
}
static void many_frames(const char *d) { edit_text(d, SLICE, 0x00280008, "IS", "2000000000"); }
static void bad_bits(const char *d) { edit_u16(d, SLICE, 0x00280100, 32); }
static void bad_high_bit(const char *d) { edit_u16(d, SLICE, 0x00280102, 3); }
static void colour(const char *d) { edit_u16(d, SLICE, 0x00280002, 3); }
static void palette(const char *d) { edit_text(d, SLICE, 0x00280004, "CS", "PALETTE COLOR"); }
static void lying_length(const char *d)
{
    edit_file f;
    edit_element e;
    edit_open(&f, d, SLICE);
    CHECK(edit_find(&f, 0x00100010, &e));
    f.bytes[e.start + 6] = 0xfe, f.bytes[e.start + 7] = 0xff;
    edit_save(&f);
}
static void lying_pixels(const char *d)
{
    edit_file f;
    edit_element e;
    edit_open(&f, d, SLICE);
    CHECK(edit_find(&f, 0x7fe00010, &e));
    f.bytes[e.start + 8] = 0xf0, f.bytes[e.start + 9] = 0xff;
    f.bytes[e.start + 10] = 0xff, f.bytes[e.start + 11] = 0x7f;
    edit_save(&f);
}
static void odd_syntax(const char *d)
{
    edit_text(d, SLICE, 0x00020010, "UI", "1.2.840.10008.1.2.4.201");
}
static void wrong_syntax(const char *d)
{
    edit_text(d, SLICE, 0x00020010, "UI", JPEG_LS);
}
static void nan_position(const char *d) { edit_text(d, SLICE, 0x00200032, "DS", "nan\\0\\0"); }
static void word_position(const char *d) { edit_text(d, SLICE, 0x00200032, "DS", "left\\0\\0"); }
static void no_position(const char *d) { edit_text(d, SLICE, 0x00200032, "DS", ""); }
static void no_spacing(const char *d) { edit_text(d, SLICE, 0x00280030, "DS", ""); }
static void zero_spacing(const char *d) { edit_text(d, SLICE, 0x00280030, "DS", "0\\4"); }
static void huge_spacing(const char *d) { edit_text(d, SLICE, 0x00280030, "DS", "1e30\\4"); }
static void other_spacing(const char *d) { edit_text(d, SLICE, 0x00280030, "DS", "4\\4.1"); }
static void no_vector(const char *d) { edit_text(d, SLICE, 0x00200037, "DS", "1\\0\\0\\1\\0\\0"); }
static void turned(const char *d) { edit_text(d, SLICE, 0x00200037, "DS", "1\\0\\0\\0\\0\\-1"); }
static void zero_slope(const char *d) { edit_text(d, SLICE, 0x00281053, "DS", "0"); }
static void scout(const char *d)
{
    edit_text(d, SLICE, 0x00080008, "CS", "ORIGINAL\\PRIMARY\\LOCALIZER");
}
static void capture(const char *d)
{
    edit_text(d, SLICE, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7");
}
static void strange_class(const char *d) { edit_text(d, SLICE, 0x00080016, "UI", "1.2.3.4.5"); }
/* slice 4 belongs at z0 + 7.5 */
static void move(const char *d, double x, double z)
{
    char text[64];
    snprintf(text, sizeof text, "%g\\%g\\%g", test_centre[0] - 30 + x, test_centre[1] - 22,
             test_centre[2] - 8.75 + 7.5 + z);
    edit_text(d, SLICE, 0x00200032, "DS", text);
}
static void uneven(const char *d) { move(d, 0, 0.7); }
static void nearly_even(const char *d) { move(d, 0, 0.05); }
static void sideways(const char *d) { move(d, 9, 0); }
static void folder_in(const char *d)
{
    char path[FAB_MAX_PATH_BYTES], a[FAB_MAX_PATH_BYTES], b[FAB_MAX_PATH_BYTES + 16];
    fab_error err = {0};
    snprintf(path, sizeof path, "%s/deep/er", d);
    CHECK_OK(fab_path_make_folder(path, &err));
    snprintf(a, sizeof a, "%s/%s", d, SLICE);
    snprintf(b, sizeof b, "%s/x", path);
    CHECK(rename(a, b) == 0);
}
static void crash(const char *d) { (void)d, fab_dicom_test_fault("segv", SLICE); }

/* ---- the table ------------------------------------------------------------------------------ */

typedef struct bad_case {
    const char *name;
    void (*edit)(const char *folder);
    fab_status status;
    const char *message; /* of the failure, or among the notes when it loads */
    const char *also;    /* among the notes; NULL: nothing */
    const char *syntax;
} bad_case;

#define G FAB_ERR_GEOMETRY
static const bad_case cases[] = {
    {"good", no_edit, FAB_OK, "ok: 8 slices, 2.5000 mm apart", NULL, NULL},
    {"truncated in the pixels", cut_pixels, FAB_ERR_FORMAT,
     SLICE ": the file is truncated: Pixel Data (7FE0,0010) says 384 bytes", NULL, NULL},
    {"truncated in the header", cut_header, G,
     "missing-slice: 1 slice is missing between "
     "IMG00003.dcm and IMG00005.dcm",
     SLICE ": there is no Pixel Data (7FE0,0010); the file may be "
           "truncated",
     NULL},
    {"truncated in the meta header", cut_meta, G, "missing-slice",
     SLICE ": the data set breaks off or is malformed near byte 0", NULL},
    {"last file damaged", cut_last, FAB_OK, "ok: 7 slices",
     "1 damaged file left out (there is no Pixel Data", NULL},
    {"truncated before the pixels", cut_before_pixels, G, "missing-slice",
     SLICE ": there is no Pixel Data (7FE0,0010); the file may be truncated", NULL},
    {"zero bytes", empty_file, G, "missing-slice", SLICE ": the file is empty (0 bytes)", NULL},
    {"text beside", text_file, FAB_OK, "notes.dcm: not a DICOM file (no DICM at byte 128)", NULL,
     NULL},
    {"only text", all_text, FAB_ERR_NOTFOUND, "no CT or MR series among 8 files", NULL, NULL},
    {"wrong extension", rename_file, FAB_OK, "ok: 8 slices", NULL, NULL},
    {"in folders", folder_in, FAB_OK, "ok: 8 slices", NULL, NULL},
    {"mixed patient in a series", other_patient, G,
     "mixed-patient: one series, but IMG00001.dcm and IMG00004.dcm belong to different patients",
     NULL, NULL},
    {"two patients", second_patient, FAB_ERR_ARG,
     "files of more than one patient (\"P1\" and \"P2\")", NULL, NULL},
    {"missing slice", missing, G,
     "missing-slice: 1 slice is missing between IMG00003.dcm and "
     "IMG00005.dcm (a gap of 5.000 mm where 2.500 mm is usual)",
     NULL, NULL},
    {"two missing slices", two_missing, G,
     "missing-slice: 2 slices are missing between "
     "IMG00003.dcm and IMG00006.dcm (a gap of 7.500 mm",
     NULL, NULL},
    {"duplicate slice", same_place, G, "duplicate-slice: IMG00004.dcm and again.dcm are both at",
     NULL, NULL},
    {"identical copy", copy, FAB_OK, "1 identical copy of a file left out",
     "copy.dcm: an identical "
     "copy of",
     NULL},
    {"one UID, two slices", same_uid, FAB_OK, "2 files had the SOP Instance UID of another", NULL,
     NULL},
    {"empty UIDs", no_uids, FAB_OK,
     "8 empty SOP Instance UIDs derived by hash; empty Series "
     "Instance UID derived by hash; empty Study Instance UID derived by hash; empty Frame of "
     "Reference UID derived by hash",
     NULL, NULL},
    {"one slice", one_slice, G, "too-few-slices: 1 slice; at least 3 are needed", NULL, NULL},
    {"two slices", two_slices, G, "too-few-slices: 2 slices; at least 3 are needed", NULL, NULL},
    {"empty folder", no_slice, FAB_ERR_NOTFOUND, "no files", NULL, NULL},
    {"Rows 65535", huge_rows, G, "missing-slice",
     SLICE ": Rows (0028,0010) x Columns (0028,0011) is 65535 x 16; 1 to 8192 are read", NULL},
    {"Rows 13", more_rows, G,
     "mixed-size: IMG00001.dcm has 16 x 12 voxels, IMG00004.dcm has 16 x 13", NULL, NULL},
    {"8000 x 8000", all_rows, FAB_ERR_FORMAT,
     "Pixel Data (7FE0,0010) has 384 bytes; 8000 x 8000 x 1 frame of 16 bits need 128000000",
     NULL, NULL},
    {"2e9 frames", many_frames, G, "missing-slice",
     SLICE ": Number of Frames (0028,0008) is 2e+09; 1 to 65536 are read", NULL},
    {"Bits Allocated 32", bad_bits, FAB_ERR_UNSUPPORTED,
     SLICE ": Bits Allocated (0028,0100) is 32; 1, 8 and 16 are read", NULL, NULL},
    {"High Bit 3", bad_high_bit, FAB_ERR_FORMAT,
     SLICE ": Bits Stored (0028,0101) 16, High Bit "
           "(0028,0102) 3",
     NULL, NULL},
    {"three samples", colour, FAB_ERR_UNSUPPORTED, "Samples per Pixel (0028,0002) is 3", NULL,
     NULL},
    {"palette", palette, FAB_ERR_UNSUPPORTED,
     "Photometric Interpretation (0028,0004) is \"PALETTE COLOR\"", NULL, NULL},
    {"element length lies", lying_length, G, "missing-slice",
     SLICE ": the data set breaks off or is malformed", NULL},
    {"pixel length lies", lying_pixels, FAB_ERR_FORMAT,
     SLICE ": the file is truncated: Pixel Data (7FE0,0010) says 2147483632 bytes, 384 are there",
     NULL, NULL},
    {"unread syntax", odd_syntax, G, "missing-slice",
     SLICE ": transfer syntax "
           "1.2.840.10008.1.2.4.201 (High-Throughput JPEG 2000 Lossless) is not read",
     NULL},
    {"wrong syntax", wrong_syntax, FAB_ERR_FORMAT,
     SLICE ": Pixel Data (7FE0,0010) is not "
           "compressed, but the transfer syntax is JPEG-LS Lossless",
     NULL, NULL},
    {"NaN position", nan_position, G, "bad-values: IMG00004.dcm: Image Position nan", NULL, NULL},
    {"word for a position", word_position, G, "bad-values: IMG00004.dcm: Image Position nan", NULL,
     NULL},
    {"no position", no_position, G,
     "no-position: IMG00004.dcm: Image Position (0020,0032) is "
     "missing",
     NULL, NULL},
    {"no spacing", no_spacing, G,
     "no-position: IMG00004.dcm: Pixel Spacing (0028,0030) is missing", NULL, NULL},
    {"zero spacing", zero_spacing, G,
     "bad-values: IMG00004.dcm: Pixel Spacing (0028,0030) is 0\\4", NULL, NULL},
    {"huge spacing", huge_spacing, G,
     "bad-values: IMG00004.dcm: Pixel Spacing (0028,0030) is 1e+30", NULL, NULL},
    {"other spacing", other_spacing, G,
     "mixed-size: IMG00001.dcm has voxels of 4 x 4 mm, "
     "IMG00004.dcm of 4.1 x 4 mm",
     NULL, NULL},
    {"parallel vectors", no_vector, G, "is no place (two unit vectors at a right angle", NULL,
     NULL},
    {"turned slice", turned, G,
     "mixed-orientation: IMG00001.dcm and IMG00004.dcm are not parallel", NULL, NULL},
    {"slope 0", zero_slope, G, "bad-values: IMG00004.dcm: Rescale Slope 0", NULL, NULL},
    {"localizer", scout, G, "missing-slice", SLICE ": Image Type (0008,0008) says LOCALIZER",
     NULL},
    {"secondary capture", capture, G, "missing-slice",
     SLICE ": a secondary capture, not a CT or MR "
           "slice",
     NULL},
    {"strange class", strange_class, G, "missing-slice", SLICE ": SOP class 1.2.3.4.5", NULL},
    {"uneven spacing", uneven, FAB_OK,
     "corrected-spacing: spacing between slices varies (up to 0.700 "
     "mm",
     NULL, NULL},
    {"rounded positions", nearly_even, FAB_OK, "ok: 8 slices", NULL, NULL},
    {"shifted sideways", sideways, G, "bad-values: slices are shifted sideways by up to 9.000 mm",
     NULL, NULL},
    {"JPEG-LS cut", cut_pixels, FAB_ERR_FORMAT, SLICE ": the file is truncated: fragment 1", NULL,
     JPEG_LS},
    {"crash", crash, G, "missing-slice", SLICE ": the decoder died", NULL},
};
#undef G

static bool run_case(const bad_case *c)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    CHECK(fab_test_folder(folder));
    write_base(folder, "base", c->syntax);
    c->edit(folder);
    fab_status s = read_folder(folder, &err);
    fab_dicom_test_fault(NULL, NULL);
    fab_error other = {0};
    CHECK(fab_path_remove_tree(folder, &other) == FAB_OK);
    const char *where = s == FAB_OK ? note : err.message;
    bool fine = s == c->status && strstr(where, c->message) && (!c->also || strstr(note, c->also));
    printf("  %-8s %-28s %s: %s\n", fine ? "ok" : "FAILED", c->name, fab_status_name(s),
           s == FAB_OK ? "" : err.message);
    if (!fine) fprintf(stderr, "%s: wanted \"%s\", notes:\n%s", c->name, c->message, note);
    return fine;
}

static void named(void)
{
    bool fine = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        fine &= run_case(&cases[i]);
    CHECK(fine);
    loaded = fab_series_free(loaded);
}

static void no_such_path(void)
{
    fab_error err = {0};
    CHECK(read_folder("/nonexistent/series", &err) == FAB_ERR_IO);
    CHECK(strstr(err.message, "/nonexistent/series: No such file"));
}

/* One byte, or a run of bytes, of one file changed at random: an answer, not a crash. */
static void mutated(void)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    fab_rng rng;
    fab_rng_seed(&rng, 20240607, 1);
    int good = 0, bad = 0, crashed = 0;
    static const char *const syntaxes[] = {NULL, JPEG_LS, "1.2.840.10008.1.2.4.70",
                                           "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"};
    CHECK(fab_test_folder(folder));
    for (int round = 0; round < 60; round++) {
        edit_file f;
        write_base(folder, "base", syntaxes[round % 5]);
        edit_open(&f, folder, SLICE);
        uint32_t changes = 1 + fab_rng_u32(&rng) % 8;
        for (uint32_t i = 0; i < changes; i++) {
            size_t at = 128 + fab_rng_u32(&rng) % (f.size - 128);
            f.bytes[at] = (uint8_t)fab_rng_u32(&rng);
        }
        edit_save(&f);
        fab_status s = read_folder(folder, &err);
        CHECK(s == FAB_OK || err.message[0]);
        crashed += strstr(note, "the decoder died") != NULL || s == FAB_ERR_CRASHED;
        good += s == FAB_OK;
        bad += s != FAB_OK;
    }
    CHECK_OK(fab_path_remove_tree(folder, &err));
    loaded = fab_series_free(loaded);
    printf("  %d loaded, %d refused, %d of them crashed the decoder\n", good, bad, crashed);
}

int main(void)
{
    return FAB_RUN(TEST(named), TEST(no_such_path), TEST(mutated));
}
