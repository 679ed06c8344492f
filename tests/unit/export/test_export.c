/* test_export.c - every format of the table on one twin: geometry read back, metadata, errors. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "fixture.h"
#include "readers.h"

static fixture twin;
static char folder[FAB_MAX_PATH_BYTES];

static const char *at(const char *name, char *into)
{
    fab_error err;
    CHECK_OK(fab_path_join(into, FAB_MAX_PATH_BYTES, folder, name, &err));
    return into;
}

static void write_as(const char *format, const fab_export_scene *scene, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    const fab_export_format *f = fab_export_find(format);
    CHECK(f);
    CHECK_OK(f->write(scene, at(name, path), &err));
}

static bool has_text(const char *path, const char *text)
{
    file_bytes f = read_file(path);
    bool found = f.data && memmem(f.data, f.size, text, strlen(text)) != NULL;
    fab_free(f.data);
    return found;
}

static void table(void)
{
    CHECK(fab_export_count() >= 5);
    for (size_t i = 0; i < fab_export_count(); i++) {
        const fab_export_format *f = fab_export_at(i);
        CHECK(fab_export_find(f->name) == f && f->write && f->extension[0] == '.');
    }
    CHECK(!fab_export_find("dwg") && !fab_export_find(NULL) && !fab_export_at(99));
}

/* The transform chain: STL (LPS mm) and GLB (metres, +Y up) hold the same solid, right side out. */
static void stl_and_glb_agree(void)
{
    char path[FAB_MAX_PATH_BYTES], stem[FAB_MAX_NAME_BYTES + 16], file[FAB_MAX_NAME_BYTES + 32];
    fab_error err;
    write_as("stl", &twin.scene, "stl");
    write_as("glb", &twin.scene, "twin.glb");
    fab_label_stats stats[FIXTURE_NAMES + 1];
    fab_mat34 voxel_from_world;
    CHECK_OK(fab_mat34_invert(&fab_volume_grid(twin.labels)->world_from_voxel, &voxel_from_world,
                              &err));
    CHECK_OK(fab_labels_stats(twin.labels, FIXTURE_NAMES + 1, stats, &err));
    for (size_t i = 0; i < twin.meshes.count; i++) {
        CHECK_OK(fab_export_file_stem(&twin.scene, i, stem, sizeof stem, &err));
        solid glb = solid_of_glb(at("twin.glb", path), stem);
        snprintf(file, sizeof file, "stl/%s.stl", stem);
        solid stl = solid_of_stl(at(file, path));
        CHECK(stl.triangles == twin.meshes.items[i].triangle_count);
        CHECK(glb.triangles == stl.triangles);
        CHECK(stl.volume > 0);
        CHECK_NEAR(glb.volume, stl.volume, 1e-4 * stl.volume);
        double voxel[3];
        const double *mask = stats[twin.meshes.items[i].label].centroid_voxel;
        fab_mat34_apply(&voxel_from_world, stl.centroid, voxel);
        for (int a = 0; a < 3; a++) {
            CHECK_NEAR(stl.centroid[a], glb.centroid[a], 2e-3);
            CHECK_NEAR(voxel[a], mask[a], 0.1);
        }
    }
}

static void names_are_safe_and_unique(void)
{
    char path[FAB_MAX_PATH_BYTES], a[64], b[64];
    fab_error err;
    write_as("stl", &twin.scene, "names");
    CHECK(access(at("names/my__odd_____free__name.stl", path), R_OK) == 0);
    fab_mesh pair[2] = {twin.meshes.items[0], twin.meshes.items[1]};
    fab_mesh_set two = {.count = 2, .items = pair};
    fab_label_set same = {0};
    CHECK_OK(fab_label_set_add(&same, 1, "a?b", &err));
    CHECK_OK(fab_label_set_add(&same, 2, "a b", &err));
    fab_export_scene scene = {.meshes = &two, .set = &same};
    CHECK_OK(fab_export_file_stem(&scene, 0, a, sizeof a, &err));
    CHECK_OK(fab_export_file_stem(&scene, 1, b, sizeof b, &err));
    CHECK(strcmp(a, "a_b_1") == 0 && strcmp(b, "a_b_2") == 0);
    CHECK_FAILS(FAB_ERR_ARG, "number 2", fab_export_file_stem(&scene, 2, a, sizeof a, &err));
    fab_label_set_free(&same);
    scene.set = NULL;
    CHECK_OK(fab_export_file_stem(&scene, 0, a, sizeof a, &err));
    CHECK(strcmp(a, "structure_1") == 0);
}

static void metadata_is_there(void)
{
    char path[FAB_MAX_PATH_BYTES];
    write_as("glb", &twin.scene, "m.glb");
    write_as("ply", &twin.scene, "ply");
    write_as("obj", &twin.scene, "m.obj");
    write_as("3mf", &twin.scene, "m.3mf");
    file_bytes f = read_file(at("m.glb", path));
    const uint8_t *bin;
    fab_json *doc = glb_json(&f, &bin);
    const fab_json *asset = fab_json_find(fab_json_find(doc, "asset"), "extras");
    CHECK(strcmp(fab_json_text(fab_json_find(asset, "notice")), "Not for diagnostic use.") == 0);
    CHECK(!fab_json_find(fab_json_find(doc, "asset"), "copyright"));
    const fab_json *nodes = fab_json_find(doc, "nodes"), *kidney = NULL;
    for (size_t i = 0; i < fab_json_count(nodes); i++)
        if (strcmp(fab_json_text(fab_json_find(fab_json_at(nodes, i), "name")), "kidney_left") == 0)
            kidney = fab_json_find(fab_json_at(nodes, i), "extras");
    CHECK(kidney);
    CHECK(strcmp(fab_json_text(fab_json_find(fab_json_find(kidney, "code"), "value")),
                 "64033007") == 0);
    CHECK(strcmp(fab_json_text(fab_json_find(fab_json_find(kidney, "laterality"), "value")),
                 "7771000") == 0);
    CHECK_NEAR(json_number(kidney, "hd95_mm"), 0.25, 0);
    CHECK(fab_json_is_null(fab_json_find(kidney, "volume_error_percent"))); /* NaN: not measured */
    fab_json_free(doc);
    fab_free(f.data);
    CHECK(has_text(at("ply/aorta.ply", path), "comment space LPS\ncomment unit mm\n"));
    CHECK(has_text(at("ply/aorta.ply", path), "comment hd95_mm 0.2500\n"));
    CHECK(has_text(at("m.obj", path), "mtllib m.mtl\n"));
    CHECK(has_text(at("m.obj", path), "g kidney_left\n"));
    CHECK(has_text(at("m.mtl", path), "newmtl kidney_left\n"));
}

static void same_scene_same_bytes(void)
{
    char a[FAB_MAX_PATH_BYTES], b[FAB_MAX_PATH_BYTES];
    for (size_t i = 0; i < fab_export_count(); i++) {
        const fab_export_format *f = fab_export_at(i);
        if (f->per_structure) continue;
        write_as(f->name, &twin.scene, "once");
        write_as(f->name, &twin.scene, "twice");
        file_bytes x = read_file(at("once", a)), y = read_file(at("twice", b));
        if (strcmp(f->name, "obj") != 0) { /* names its own .mtl */
            CHECK(x.size && x.size == y.size && memcmp(x.data, y.data, x.size) == 0);
        }
        fab_free(x.data);
        fab_free(y.data);
    }
}

static void an_empty_scene_is_written(void)
{
    fab_mesh nothing = {.label = 3};
    fab_mesh_set none = {0}, hollow = {.count = 1, .items = &nothing};
    fab_export_scene scene = {.meshes = &none};
    for (size_t i = 0; i < fab_export_count(); i++)
        write_as(fab_export_at(i)->name, &scene, fab_export_at(i)->name);
    scene.meshes = &hollow;
    for (size_t i = 0; i < fab_export_count(); i++)
        write_as(fab_export_at(i)->name, &scene, fab_export_at(i)->name);
}

/* world_from_patient moves every format alike; a map that is not rigid is refused. */
static void moved_scenes(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    fab_export_scene scene = twin.scene;
    scene.world_from_patient = (fab_mat34){{{0, -1, 0, 10}, {1, 0, 0, 20}, {0, 0, 1, 30}}};
    write_as("stl", &twin.scene, "still");
    write_as("stl", &scene, "moved");
    write_as("glb", &scene, "moved.glb");
    solid a = solid_of_stl(at("still/aorta.stl", path));
    solid b = solid_of_stl(at("moved/aorta.stl", path));
    solid c = solid_of_glb(at("moved.glb", path), "aorta");
    double expected[3];
    fab_mat34_apply(&scene.world_from_patient, a.centroid, expected);
    for (int i = 0; i < 3; i++) {
        CHECK_NEAR(b.centroid[i], expected[i], 1e-3);
        CHECK_NEAR(c.centroid[i], expected[i], 2e-3);
    }
    CHECK_NEAR(b.volume, a.volume, 1e-4 * a.volume);
    for (size_t i = 0; i < fab_export_count(); i++) {
        scene.world_from_patient = (fab_mat34){{{2, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
        CHECK_FAILS(FAB_ERR_ARG, "not a rigid map",
                    fab_export_at(i)->write(&scene, at("bad", path), &err));
        scene.world_from_patient = (fab_mat34){{{-1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
        CHECK_FAILS(FAB_ERR_ARG, "not a rigid map",
                    fab_export_at(i)->write(&scene, at("bad", path), &err));
    }
    CHECK(access(at("bad", path), F_OK) != 0);
}

static void bad_meshes_are_refused(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    float corner[9] = {0, 0, 0, 1, 0, 0, 0, 1, 0};
    uint32_t index[3] = {0, 1, 3};
    fab_mesh mesh = {.label = 1, .vertex_count = 3, .triangle_count = 1, .position = corner,
                     .index = index};
    fab_mesh_set set = {.count = 1, .items = &mesh};
    fab_export_scene scene = {.meshes = &set};
    for (size_t i = 0; i < fab_export_count(); i++) {
        const fab_export_format *f = fab_export_at(i);
        index[2] = 3, corner[4] = 0;
        CHECK_FAILS(FAB_ERR_ARG, "vertex 3 of 3", f->write(&scene, at("bad", path), &err));
        index[2] = 2, corner[4] = NAN;
        CHECK_FAILS(FAB_ERR_ARG, "not finite (vertex 1)",
                    f->write(&scene, at("bad", path), &err));
        CHECK_FAILS(FAB_ERR_ARG, "no meshes",
                    f->write(&(fab_export_scene){0}, at("bad", path), &err));
    }
    CHECK(access(at("bad", path), F_OK) != 0);
}

/* Too many triangles for a headset at every level: refused; one that fits: taken. */
static void headset_budget(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_error err;
    enum { N = FAB_EXPORT_HEADSET_TRIANGLES + 1 };
    float corner[9] = {0, 0, 0, 1, 0, 0, 0, 1, 0};
    uint32_t *index = fab_alloc_array(3 * N, sizeof *index);
    for (uint32_t i = 0; i < 3 * N; i++) index[i] = i % 3;
    fab_mesh mesh = {.label = 1, .vertex_count = 3, .triangle_count = N, .position = corner,
                     .index = index}, small = mesh;
    small.triangle_count = 1;
    fab_mesh_set set = {.count = 1, .items = &mesh}, coarse = {.count = 1, .items = &small};
    const fab_mesh_set *lods[1] = {&coarse};
    fab_export_scene scene = {.meshes = &set};
    const fab_export_format *f = fab_export_find("glb-headset");
    CHECK_FAILS(FAB_ERR_LIMIT, "300000 triangles", f->write(&scene, at("much.glb", path), &err));
    CHECK(access(path, F_OK) != 0);
    scene.lods = lods, scene.lod_count = 1;
    CHECK_OK(f->write(&scene, at("much.glb", path), &err));
    uint32_t sum = 0;
    for (size_t l = 0; l < FAB_EXPORT_HEADSET_LEVELS; l++)
        sum += fab_export_headset_level_triangles(l);
    CHECK(sum <= FAB_EXPORT_HEADSET_TRIANGLES && !fab_export_headset_level_triangles(99));
    fab_free(index);
}

/* A full disk, played by a file size limit: named, and nothing is left behind. */
static void full_disk(void)
{
    char path[FAB_MAX_PATH_BYTES], name[64];
    fab_error err;
    struct rlimit before, small;
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < fab_export_count(); i++) {
        const fab_export_format *f = fab_export_at(i);
        snprintf(name, sizeof name, "full-%s", f->name);
        at(name, path);
        setrlimit(RLIMIT_FSIZE, &small);
        fab_status s = f->write(&twin.scene, path, &err);
        setrlimit(RLIMIT_FSIZE, &before);
        if (s != FAB_ERR_NOSPACE) fprintf(stderr, "%s: %s\n", f->name, err.message);
        CHECK(s == FAB_ERR_NOSPACE && strstr(err.message, "full-"));
        struct stat st;
        CHECK(f->per_structure || stat(path, &st) != 0);
        CHECK(!f->per_structure || rmdir(path) == 0); /* no file, no temporary */
    }
    CHECK_FAILS(FAB_ERR_IO, "no-such-folder",
                fab_export_find("glb")->write(&twin.scene, at("no-such-folder/x.glb", path), &err));
}

int main(void)
{
    fab_error err;
    if (fixture_fill(&twin, &err) != FAB_OK || !fab_test_folder(folder)) {
        fprintf(stderr, "fixture: %s\n", err.message);
        return 1;
    }
    int status = fab_test_run(
        (fab_test[]){TEST(table), TEST(stl_and_glb_agree), TEST(names_are_safe_and_unique),
                     TEST(metadata_is_there), TEST(same_scene_same_bytes),
                     TEST(an_empty_scene_is_written), TEST(moved_scenes),
                     TEST(bad_meshes_are_refused), TEST(headset_budget), TEST(full_disk)},
        10);
    fixture_free(&twin);
    fab_path_remove_tree(folder, &err);
    return status;
}
