/* test_centroids.c - the centroid property: every structure of a patient lies at the same place in
 * the label map, in the DICOM SEG and in every mesh file, whatever way the slices lie.
 *
 *   phantom (axial, LPS) -> image resampled onto slices in some orientation -> DICOM series
 *     -> scan, geometry gate, load     the tilted ones are straightened here
 *     -> labels on the loaded grid     the phantom's, nearest neighbour
 *     -> surfaces, levels of detail    as the twin job makes them
 *     -> GLB, headset GLB, STL, OBJ, PLY, 3MF, SEG     the real writers
 *     -> read back by the readers of this folder, which share no code with the writers
 *
 * Centroids are compared in the patient's LPS millimetres; the distance is measured in voxels of
 * the loaded grid. Mesh centroids are by signed tetrahedra, so a mesh that is inside out or open
 * fails too. Left is left: x grows to the patient's left in every file.
 *
 * The surfaces are the twin job's own, smoothed and simplified. Each file's centroid lies within
 * 0.1 voxel of the mask's (0.5 for crumbs of less than 50 voxels that the slices cut off) and
 * within 0.001 voxel of the surface it was written from.
 */
#include <sys/stat.h>

#include "fabrica/dicom.h"
#include "fabrica/export.h"
#include "fabrica/phantom.h"
#include "read_glb.h"
#include "read_seg.h"
#include "read_text_meshes.h"

#define C20 0.9396926207859084
#define S20 0.3420201433256687
#define C35 0.8191520442889918
#define S35 0.5735764363510461

enum { STRUCTURES = 256, CRUMB_VOXELS = 50 };

typedef struct orientation {
    const char *name;
    double axes[3][3]; /* directions of a row, of a column, and from slice to slice */
    fab_geometry_verdict verdict;
} orientation;

static const orientation orientations[] = {
    {"axial", {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, FAB_GEOMETRY_OK},
    {"coronal", {{1, 0, 0}, {0, 0, -1}, {0, 1, 0}}, FAB_GEOMETRY_OK},
    {"sagittal", {{0, 1, 0}, {0, 0, -1}, {1, 0, 0}}, FAB_GEOMETRY_OK},
    {"oblique", {{C20, S20, 0}, {-S20 * C35, C20 * C35, S35}, {S20 * S35, -C20 * S35, C35}},
     FAB_GEOMETRY_OK},
    {"feet first", {{1, 0, 0}, {0, 1, 0}, {0, 0, -1}}, FAB_GEOMETRY_OK},
    {"column 0,-1,0", {{1, 0, 0}, {0, -1, 0}, {0, 0, 1}}, FAB_GEOMETRY_OK},
    {"tilted", {{1, 0, 0}, {0, C20, -S20}, {0, 0, 1}}, FAB_GEOMETRY_CORRECTED_TILT},
};

/* Where each structure is, by each way of asking. */
enum { SEG, STL, GLB, HEADSET, OBJ, PLY, THREE_MF, KINDS }; /* SEG, then the formats */
static const char *const kind_names[KINDS] = {"SEG", "STL", "GLB", "headset", "OBJ", "PLY", "3MF"};

typedef struct found {
    bool there;
    double at[3]; /* LPS mm */
} found;

typedef struct chain {
    fab_series *series;
    fab_volume *labels;
    fab_mesh_set meshes, coarse;
    fab_label_stats stats[STRUCTURES];
    size_t count;
    char stem[STRUCTURES][FAB_MAX_NAME_BYTES + 16];
    const char *stems[STRUCTURES];
    found where[KINDS][STRUCTURES]; /* per mesh */
    char folder[FAB_MAX_PATH_BYTES];
} chain;

static fab_phantom patient;

/* ---- a series in an orientation ------------------------------------------------------------- */

/* A grid along the axes that covers the whole of `box`. */
static fab_grid grid_along(const double axes[3][3], const fab_grid *box)
{
    static const double spacing[3] = {3, 3.5, 4};
    fab_error err;
    fab_grid g = {0};
    fab_mat34 inverse;
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) g.world_from_voxel.m[r][c] = axes[c][r] * spacing[c];
    CHECK_OK(fab_mat34_invert(&g.world_from_voxel, &inverse, &err));
    for (int corner = 0; corner < 8; corner++) {
        double p[3];
        for (int a = 0; a < 3; a++) p[a] = corner >> a & 1 ? box->size[a] - 0.5 : -0.5;
        fab_mat34_apply(&box->world_from_voxel, p, p);
        fab_mat34_apply(&inverse, p, p);
        for (int a = 0; a < 3; a++) low[a] = fmin(low[a], p[a]), high[a] = fmax(high[a], p[a]);
    }
    for (int a = 0; a < 3; a++) {
        low[a] -= 0.37; /* so that no voxel centre lies on the box's face, where rounding decides */
        g.size[a] = (int32_t)ceil(high[a] - low[a]) + 1;
    }
    fab_mat34_apply(&g.world_from_voxel, low, low);
    for (int r = 0; r < 3; r++) g.world_from_voxel.m[r][3] = low[r];
    return g;
}

static void join(char *into, const char *folder, const char *name)
{
    fab_error err;
    CHECK_OK(fab_path_join(into, FAB_MAX_PATH_BYTES, folder, name, &err));
}

static void load_series(const orientation *o, chain *c)
{
    char folder[FAB_MAX_PATH_BYTES];
    fab_error err;
    size_t index = 0;
    fab_grid g = grid_along(o->axes, fab_volume_grid(patient.image));
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    FAB_AUTO(fab_dicom_scan_free) fab_dicom_scan *scan = NULL;
    fab_series_write how = {.modality = "CT", .patient_id = "P1", .patient_name = "Test^One",
                            .study_date = "20240102", .study_time = "030405",
                            .uid_seed = o->name, .series_number = 3};
    join(folder, c->folder, "series");
    CHECK_OK(fab_volume_resample(patient.image, &g, FAB_LINEAR, -1000, &image, &err));
    CHECK_OK(fab_dicom_write_series(image, &how, folder, &err));
    CHECK_OK(fab_dicom_scan_path(folder, NULL, &scan, &err));
    CHECK_OK(fab_dicom_scan_pick(scan, &index, &err));
    CHECK_OK(fab_dicom_load(scan, index, NULL, &c->series, &err));
    CHECK(c->series->info.verdict == o->verdict);
    CHECK(c->series->resampled == (o->verdict != FAB_GEOMETRY_OK));
}

/* The image that came through DICOM shows the patient where he is: mean difference in HU. */
static void check_image(const orientation *o, const chain *c)
{
    fab_error err;
    FAB_AUTO(fab_volume_unref) fab_volume *expected = NULL;
    const fab_volume *got = c->series->volume;
    CHECK_OK(fab_volume_resample(patient.image, fab_volume_grid(got), FAB_LINEAR, -1000, &expected,
                                 &err));
    const int16_t *a = fab_volume_data(got), *b = fab_volume_data(expected);
    int64_t n = fab_grid_voxels(fab_volume_grid(got));
    double sum = 0;
    CHECK(fab_volume_dtype(got) == FAB_I16);
    for (int64_t i = 0; i < n; i++) sum += fabs((double)a[i] - b[i]);
    printf("  %-14s %s %d x %d x %d, image off by %.4f HU\n", o->name, c->series->info.orientation,
           fab_volume_grid(got)->size[0], fab_volume_grid(got)->size[1],
           fab_volume_grid(got)->size[2], sum / (double)n);
    /* rounding; straightening interpolates once more, so noise is smoothed and nothing is moved */
    CHECK(sum / (double)n < (o->verdict == FAB_GEOMETRY_OK ? 0.5 : 20));
}

/* ---- labels, surfaces, files ---------------------------------------------------------------- */

static void make_labels(chain *c)
{
    fab_error err;
    CHECK_OK(fab_volume_resample(patient.labels, fab_volume_grid(c->series->volume), FAB_NEAREST, 0,
                                 &c->labels, &err));
    CHECK_OK(fab_labels_stats(c->labels, STRUCTURES, c->stats, &err));
}

static void make_surfaces(chain *c)
{
    fab_error err;
    fab_mesh_options options;
    fab_mesh_options_default(&options);
    options.target_error_mm = fab_mesh_default_error_mm(fab_volume_grid(c->labels));
    CHECK_OK(fab_mesh_extract(c->labels, NULL, &options, &c->meshes, &err));
    CHECK(fab_mesh_simplify(&c->meshes, fab_export_headset_level_triangles(1), 1, &c->coarse,
                            &err) >= 0);
    c->count = c->meshes.count;
    size_t present = 0;
    for (size_t v = 1; v < STRUCTURES; v++) present += c->stats[v].voxels > 0;
    CHECK(c->count == present && c->count + 2 >= patient.set.count); /* a crumb may fall through */
}

static void write_files(chain *c)
{
    static const char *const formats[][2] = {
        {"stl", "stl"},      {"glb", "twin.glb"}, {"glb-headset", "headset.glb"},
        {"obj", "twin.obj"}, {"ply", "ply"},      {"3mf", "twin.3mf"}};
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    const fab_mesh_set *lods[1] = {&c->coarse};
    fab_export_scene scene = {.meshes = &c->meshes, .lods = lods, .lod_count = 1,
                              .set = &patient.set};
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        join(path, c->folder, formats[f][1]);
        CHECK_OK(fab_export_find(formats[f][0])->write(&scene, path, &err));
    }
    fab_seg_write how = {.algorithm_name = "phantom", .algorithm_version = "1",
                         .uid_seed = "centroids"};
    join(path, c->folder, "seg.dcm");
    CHECK_OK(fab_dicom_write_seg(c->series, c->labels, &patient.set, &how, path, &err));
    for (size_t i = 0; i < c->count; i++) {
        CHECK_OK(fab_export_file_stem(&scene, i, c->stem[i], sizeof c->stem[i], &err));
        c->stems[i] = c->stem[i];
    }
}

static solid solid_of_mesh(const fab_mesh *mesh)
{
    solid s = {0};
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        double corner[3][3];
        for (size_t k = 0; k < 3; k++)
            for (size_t a = 0; a < 3; a++)
                corner[k][a] = (double)mesh->position[3 * (size_t)mesh->index[3 * t + k] + a];
        solid_add(&s, corner[0], corner[1], corner[2]);
    }
    solid_finish(&s);
    return s;
}

/* ---- reading back --------------------------------------------------------------------------- */

static void put(chain *c, int kind, size_t i, const solid *s)
{
    if (!s->triangles) return;
    CHECK(s->volume > 0);
    c->where[kind][i].there = true;
    memcpy(c->where[kind][i].at, s->centroid, sizeof s->centroid);
}

static void read_glbs(chain *c)
{
    static const char *const name[2] = {"twin.glb", "headset.glb"};
    char path[FAB_MAX_PATH_BYTES];
    for (int f = 0; f < 2; f++) {
        glb g;
        join(path, c->folder, name[f]);
        glb_open(&g, path);
        for (size_t i = 0; i < c->count; i++) {
            solid s = glb_solid(&g, c->stem[i], 0);
            put(c, f ? HEADSET : GLB, i, &s);
        }
        glb_close(&g);
    }
}

static void read_each(chain *c, int kind, const char *format, solid (*read)(const char *path))
{
    char path[FAB_MAX_PATH_BYTES], file[FAB_MAX_NAME_BYTES + 32];
    for (size_t i = 0; i < c->count; i++) {
        snprintf(file, sizeof file, "%s/%s.%s", format, c->stem[i], format);
        join(path, c->folder, file);
        solid s = read(path);
        put(c, kind, i, &s);
    }
}

static void read_text_formats(chain *c)
{
    char path[FAB_MAX_PATH_BYTES], folder[FAB_MAX_PATH_BYTES];
    static solid obj[STRUCTURES], packed[STRUCTURES];
    memset(obj, 0, sizeof obj);
    memset(packed, 0, sizeof packed);
    join(path, c->folder, "twin.obj");
    solids_of_obj(path, c->stems, c->count, obj);
    join(path, c->folder, "twin.3mf");
    join(folder, c->folder, "unpacked");
    CHECK(mkdir(folder, 0700) == 0);
    solids_of_3mf(path, folder, c->stems, c->count, packed);
    for (size_t i = 0; i < c->count; i++) {
        put(c, OBJ, i, &obj[i]);
        put(c, THREE_MF, i, &packed[i]);
    }
}

static const fab_label *label_of(const chain *c, size_t i)
{
    const fab_label *l = fab_label_set_find(&patient.set, c->meshes.items[i].label);
    CHECK(l);
    return l;
}

static void read_segmentation(chain *c)
{
    static const char *const codes[] = {[FAB_SIDE_NONE] = "", [FAB_SIDE_LEFT] = "7771000",
                                        [FAB_SIDE_RIGHT] = "24028007"};
    char path[FAB_MAX_PATH_BYTES];
    static seg_object seg;
    join(path, c->folder, "seg.dcm");
    seg_read(path, &seg);
    CHECK(seg.count == c->count);
    for (size_t i = 0; i < c->count; i++) {
        const fab_label *l = label_of(c, i);
        const seg_segment *s = &seg.segment[i]; /* both ascend by label value */
        CHECK(strcmp(s->name, l->name) == 0);
        CHECK(s->voxels == c->stats[l->value].voxels);
        CHECK(strcmp(s->side, codes[l->anatomy ? l->anatomy->side : FAB_SIDE_NONE]) == 0);
        c->where[SEG][i].there = true;
        memcpy(c->where[SEG][i].at, s->centroid, sizeof s->centroid);
    }
}

/* ---- the property --------------------------------------------------------------------------- */

static double apart_voxels(const fab_mat34 *voxel_from_world, const double a[3],
                           const double b[3])
{
    double p[3], q[3], sum = 0;
    fab_mat34_apply(voxel_from_world, a, p);
    fab_mat34_apply(voxel_from_world, b, q);
    for (int i = 0; i < 3; i++) sum += (p[i] - q[i]) * (p[i] - q[i]);
    return sqrt(sum);
}

/* How far from the mask, and from the surface it was written from, a file's centroid may be. */
static void allow(const chain *c, size_t i, int kind, double allowed[2])
{
    bool crumb = c->stats[c->meshes.items[i].label].voxels < CRUMB_VOXELS;
    allowed[0] = kind == SEG ? 0.001 : crumb ? 0.5 : 0.1;
    allowed[1] = kind == HEADSET ? 0.03 : 0.001; /* the headset's grid is 0.02 mm */
}

static bool check_kind(const chain *c, int kind, const fab_mat34 *voxel_from_world)
{
    const fab_mat34 *world_from_voxel = &fab_volume_grid(c->labels)->world_from_voxel;
    static const char *const what[2] = {"mask", "surface"};
    double worst = 0;
    const char *worst_name = "";
    size_t bad = 0;
    for (size_t i = 0; i < c->count; i++) {
        double allowed[2], at[2][3];
        const found *f = &c->where[kind][i];
        const char *name = label_of(c, i)->name;
        solid s = solid_of_mesh(&c->meshes.items[i]);
        fab_mat34_apply(world_from_voxel, c->stats[c->meshes.items[i].label].centroid_voxel,
                        at[0]);
        memcpy(at[1], s.centroid, sizeof at[1]);
        allow(c, i, kind, allowed);
        for (int from = 0; from < (kind == SEG ? 1 : 2); from++) {
            double apart = f->there ? apart_voxels(voxel_from_world, f->at, at[from]) : INFINITY;
            if (!from && allowed[0] <= 0.1 && apart > worst) worst = apart, worst_name = name;
            if (apart <= allowed[from]) continue;
            fprintf(stderr, "    %s: %s is %.4f voxels from its %s (allowed %g)\n",
                    kind_names[kind], name, apart, what[from], allowed[from]);
            bad++;
        }
    }
    printf("    %-8s %zu structures, worst %.4f voxels from its mask (%s)\n", kind_names[kind],
           c->count, worst, worst_name);
    return bad == 0;
}

/* Of a pair, the left one lies further to the left (+x); the liver is on the right. */
static void check_sides(const chain *c, int kind)
{
    size_t pairs = 0, kidney = 0, liver = 0;
    for (size_t i = 0; i < c->count; i++) {
        char other[FAB_MAX_NAME_BYTES];
        const char *name = label_of(c, i)->name, *side = strstr(name, "left");
        if (strcmp(name, "kidney_left") == 0) kidney = i;
        if (strcmp(name, "liver") == 0) liver = i;
        if (!side) continue;
        snprintf(other, sizeof other, "%.*sright%s", (int)(side - name), name, side + 4);
        for (size_t k = 0; k < c->count; k++)
            if (strcmp(label_of(c, k)->name, other) == 0) {
                CHECK(c->where[kind][i].at[0] > c->where[kind][k].at[0]);
                pairs++;
            }
    }
    CHECK(pairs >= 6);
    CHECK(c->where[kind][kidney].at[0] > 20 && c->where[kind][liver].at[0] < -20);
}

static bool check_surfaces(chain *c)
{
    fab_error err;
    bool good = true;
    fab_mat34 voxel_from_world;
    make_surfaces(c);
    write_files(c);
    read_glbs(c);
    read_each(c, STL, "stl", solid_of_stl);
    read_each(c, PLY, "ply", solid_of_ply);
    read_text_formats(c);
    read_segmentation(c);
    CHECK_OK(fab_mat34_invert(&fab_volume_grid(c->labels)->world_from_voxel, &voxel_from_world,
                              &err));
    for (int kind = 0; kind < KINDS; kind++) {
        good = check_kind(c, kind, &voxel_from_world) && good;
        check_sides(c, kind);
    }
    fab_mesh_set_free(&c->meshes);
    fab_mesh_set_free(&c->coarse);
    return good;
}

static bool check_chain(const orientation *o)
{
    fab_error err;
    chain *c = fab_calloc(1, sizeof *c);
    CHECK(c && fab_test_folder(c->folder));
    load_series(o, c);
    check_image(o, c);
    make_labels(c);
    bool good = check_surfaces(c);
    CHECK_OK(fab_path_remove_tree(c->folder, &err));
    fab_volume_unref(c->labels);
    fab_series_free(c->series);
    fab_free(c);
    return good;
}

static void every_structure_stays_where_it_is(void)
{
    bool good = true;
    for (size_t i = 0; i < sizeof orientations / sizeof orientations[0]; i++)
        good = check_chain(&orientations[i]) && good;
    CHECK(good);
}

int main(void)
{
    fab_error err;
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.seed = 7;
    o.cobb_deg = 30; /* nothing is symmetric */
    o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = o.slice_thickness_mm = 3;
    o.range_mm[0] = 75, o.range_mm[1] = 165;
    o.fov_mm[0] = 300, o.fov_mm[1] = 220;
    if (fab_phantom_make(&o, &patient, &err) != FAB_OK) {
        fprintf(stderr, "phantom: %s\n", err.message);
        return 1;
    }
    int status = FAB_RUN(TEST(every_structure_stays_where_it_is));
    fab_phantom_free(&patient);
    return status;
}
