/* Every allocation of writing each format fails once: a clean error, nothing left behind. */
#include <dirent.h>

#include "fabrica/export.h"
#include "harness.h"

static char folder[FAB_MAX_PATH_BYTES];
static fab_export_scene scene;

static fab_status write_one(void *ctx)
{
    const fab_export_format *format = ctx;
    char path[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    if (fab_path_join(path, sizeof path, folder, "out", &err) < 0) return FAB_ERR_ARG;
    fab_status status = format->write(&scene, path, &err);
    CHECK(status == FAB_OK || err.message[0]);
    return status;
}

/* No temporary may survive. */
static bool clean(const char *path)
{
    bool good = true;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) good &= !strstr(e->d_name, ".tmp-");
    if (d) closedir(d);
    return good;
}

/* Two tetrahedra, one with normals; one has a name and a code. */
static void every_format(void)
{
    static float corners[2][12] = {{0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9},
                                   {20, 0, 0, 29, 0, 0, 20, 9, 0, 20, 0, 9}};
    static float normals[12] = {-1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
    static uint32_t faces[12] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};
    static fab_mesh_report reports[2];
    fab_mesh meshes[2], coarse = {.label = 1, .vertex_count = 4, .triangle_count = 3,
                                  .position = corners[0], .index = faces};
    for (int i = 0; i < 2; i++)
        meshes[i] = (fab_mesh){.label = i + 1, .vertex_count = 4, .triangle_count = 4,
                               .position = corners[i], .index = faces,
                               .normal = i ? NULL : normals};
    fab_mesh_set set = {.count = 2, .items = meshes}, lod = {.count = 1, .items = &coarse};
    const fab_mesh_set *lods[1] = {&lod};
    fab_label_set names = {0};
    fab_error err;
    CHECK_OK(fab_label_set_add(&names, 1, "aorta", &err));
    CHECK(fab_test_folder(folder));
    scene = (fab_export_scene){.meshes = &set, .reports = reports, .set = &names, .lods = lods,
                               .lod_count = 1, .source_sha256 = "00", .generator = "torture"};
    for (size_t i = 0; i < fab_export_count(); i++) {
        char path[FAB_MAX_PATH_BYTES];
        fab_test_torture(write_one, (void *)(uintptr_t)fab_export_at(i));
        CHECK_OK(fab_path_join(path, sizeof path, folder, "out", &err));
        CHECK(clean(folder) && clean(path));
        CHECK_OK(fab_path_remove_tree(path, &err));
    }
    CHECK_OK(fab_path_remove_tree(folder, &err));
    fab_label_set_free(&names);
}

int main(void)
{
    return FAB_RUN(TEST(every_format));
}
