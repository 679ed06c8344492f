/* What the phantom writes: equal options the same bytes, any other option another series. */
#include "tests.h"

static fab_phantom_options small(void)
{
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.spacing_mm[0] = o.spacing_mm[1] = 9;
    o.spacing_mm[2] = o.slice_thickness_mm = 15;
    o.range_mm[0] = 0, o.range_mm[1] = 120;
    o.fov_mm[0] = 300, o.fov_mm[1] = 240;
    o.cobb_deg = 20, o.stenosis = 0.3;
    o.axial_rotation_deg = 9, o.apex = 0, o.fat = 1, o.convex_side = 1;
    return o;
}

static void write_phantom(const fab_phantom_options *o, const char *folder)
{
    fab_error err;
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    fab_phantom_job job = {.phantom = *o, .output = folder, .replace = true};
    CHECK_OK(fab_job_phantom(&job, &summary, &err));
}

typedef struct bytes { uint8_t data[1 << 18]; size_t size; } bytes;

static void read_bytes(const char *folder, const char *name, bytes *into)
{
    char path[FAB_MAX_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    CHECK(f);
    into->size = fread(into->data, 1, sizeof into->data, f);
    fclose(f);
    CHECK(into->size > 100 && into->size < sizeof into->data);
}

static void uid_of(const char *folder, char uid[FAB_UID_BYTES])
{
    static const uint8_t tag[6] = {0x20, 0, 0x0e, 0, 'U', 'I'}; /* Series Instance UID */
    static bytes file;
    read_bytes(folder, "dicom/IMG00001.dcm", &file);
    size_t at = 132;
    while (at + 8 < file.size && memcmp(file.data + at, tag, sizeof tag)) at++;
    size_t length = file.data[at + 6] | (size_t)file.data[at + 7] << 8;
    CHECK(length >= 10 && length < FAB_UID_BYTES && at + 8 + length <= file.size);
    memcpy(uid, file.data + at + 8, length);
    uid[length] = '\0';
}

static void same_file(const char *a, const char *b, const char *name)
{
    static bytes x, y;
    read_bytes(a, name, &x);
    read_bytes(b, name, &y);
    CHECK(x.size == y.size && !memcmp(x.data, y.data, x.size));
}

typedef void (*change)(fab_phantom_options *o);
#define CHANGE(name, what) static void name(fab_phantom_options *o) { what; }
CHANGE(seed, o->seed = 1ull << 40 | 1)
CHANGE(cobb, o->cobb_deg = 20.001)
CHANGE(rotation, o->axial_rotation_deg = 9.001)
CHANGE(rotation_open, o->axial_rotation_deg = NAN)
CHANGE(age, o->age_years = 45.5)
CHANGE(height, o->height_mm = 1751)
CHANGE(sex, o->female = true)
CHANGE(lumbar, o->lumbar_count = 6)
CHANGE(lordosis, o->lordosis_deg = 46.001)
CHANGE(kyphosis, o->kyphosis_deg = 38.001)
CHANGE(stenosis, o->stenosis = 0.3001)
CHANGE(stenosis_level, o->stenosis_level = 3)
CHANGE(metal, o->metal = true)
CHANGE(t1, o->modality = FAB_PHANTOM_MR_T1)
CHANGE(t2, o->modality = FAB_PHANTOM_MR_T2)
CHANGE(phase, o->contrast_phase = 1)
CHANGE(noise, o->noise_hu = 12.5)
CHANGE(spacing_x, o->spacing_mm[0] = 9.001)
CHANGE(spacing_y, o->spacing_mm[1] = 9.001)
CHANGE(spacing_z, o->spacing_mm[2] = 15.001)
CHANGE(thickness, o->slice_thickness_mm = 14)
CHANGE(range_from, o->range_mm[0] = 0.001)
CHANGE(range_to, o->range_mm[1] = 120.001)
CHANGE(kernel, o->kernel = FAB_PHANTOM_BONE)
CHANGE(apex, o->apex = 0.5)
CHANGE(convex, o->convex_side = -1)
CHANGE(fat, o->fat = 1.001)
CHANGE(fov_x, o->fov_mm[0] = 300.001)
CHANGE(fov_y, o->fov_mm[1] = 240.001)

void phantom_uids_depend_on_every_option(void)
{
    static const change changes[] = {
        NULL, seed, cobb, rotation, rotation_open, age, height, sex, lumbar, lordosis, kyphosis,
        stenosis, stenosis_level, metal, t1, t2, phase, noise, spacing_x, spacing_y, spacing_z,
        thickness, range_from, range_to, kernel, apex, convex, fat, fov_x, fov_y};
    enum { COUNT = sizeof changes / sizeof *changes };
    static char uid[COUNT][FAB_UID_BYTES];
    fresh();
    for (size_t i = 0; i < COUNT; i++) {
        fab_phantom_options o = small();
        if (changes[i]) changes[i](&o);
        write_phantom(&o, in(root, "p"));
        uid_of(in(root, "p"), uid[i]);
        for (size_t j = 0; j < i; j++) {
            if (!strcmp(uid[i], uid[j])) fprintf(stderr, "changes %zu and %zu\n", j, i);
            CHECK(strcmp(uid[i], uid[j]) != 0);
        }
    }
    clean();
}

void phantom_again_is_the_same_bytes(void)
{
    fresh();
    fab_phantom_options o = small();
    write_phantom(&o, in(root, "a"));
    write_phantom(&o, in(root, "b"));
    char a[FAB_MAX_PATH_BYTES], b[FAB_MAX_PATH_BYTES];
    snprintf(a, sizeof a, "%s", in(root, "a"));
    snprintf(b, sizeof b, "%s", in(root, "b"));
    static const char *const names[] = {"dicom/IMG00001.dcm", "dicom/IMG00008.dcm",
                                        "truth/labels.nii.gz", "truth/labels.json",
                                        "truth/truth.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) same_file(a, b, names[i]);
    clean();
}
