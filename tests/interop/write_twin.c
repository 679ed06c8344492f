/* write_twin.c FOLDER: the export tests' twin in every format, for other people's readers. */
#include "../unit/export/fixture.h"

static int fail(const fab_error *err)
{
    fprintf(stderr, "write_twin: %s\n", err->message);
    return 1;
}

static fab_status write_all(const fab_export_scene *scene, const char *folder, fab_error *err)
{
    FAB_TRY(fab_path_make_folder(folder, err));
    for (size_t i = 0; i < fab_export_count(); i++) {
        const fab_export_format *f = fab_export_at(i);
        char name[64], path[FAB_MAX_PATH_BYTES];
        snprintf(name, sizeof name, f->per_structure ? "%s" : "twin%s",
                 f->per_structure ? f->name : f->extension);
        FAB_TRY(fab_path_join(path, sizeof path, folder, name, err));
        FAB_TRY(f->write(scene, path, err));
    }
    return FAB_OK;
}

/* A tetrahedron for every structure the anatomy table knows: each name, code and colour is read. */
static fab_status write_every_structure(const char *folder, fab_error *err)
{
    static uint32_t faces[12] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};
    size_t count = fab_anatomy_count();
    fab_mesh *meshes = fab_calloc(count, sizeof *meshes);
    float *corners = fab_calloc(count, 12 * sizeof *corners);
    fab_label_set names = {0};
    fab_status status = meshes && corners ? FAB_OK : FAB_ERR_NOMEM;
    for (size_t i = 0; i < count && status == FAB_OK; i++) {
        for (int v = 0; v < 4; v++)
            for (int a = 0; a < 3; a++)
                corners[12 * i + (size_t)(3 * v + a)] =
                    (float)(v == a + 1) * 8 + (float)(a ? i / 16 : i % 16) * 10 * (float)(a < 2);
        meshes[i] = (fab_mesh){.label = (int)i + 1, .vertex_count = 4, .triangle_count = 4,
                               .position = corners + 12 * i, .index = faces};
        status = fab_label_set_add(&names, (int)i + 1, fab_anatomy_at(i)->name, err);
    }
    fab_mesh_set set = {.count = count, .items = meshes};
    fab_export_scene scene = {.meshes = &set, .set = &names};
    if (status == FAB_OK) status = write_all(&scene, folder, err);
    fab_label_set_free(&names);
    fab_free(corners);
    fab_free(meshes);
    return status;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    fixture twin = {0};
    fab_mesh_set none = {0};
    char path[FAB_MAX_PATH_BYTES];
    if (argc != 2) return 2;
    if (fixture_fill(&twin, &err) < 0) return fail(&err);
    if (write_all(&twin.scene, argv[1], &err) < 0) return fail(&err);
    fab_export_scene empty = {.meshes = &none};
    if (fab_path_join(path, sizeof path, argv[1], "empty", &err) < 0) return fail(&err);
    if (write_all(&empty, path, &err) < 0) return fail(&err);
    if (fab_path_join(path, sizeof path, argv[1], "every", &err) < 0) return fail(&err);
    if (write_every_structure(path, &err) < 0) return fail(&err);
    fixture_free(&twin);
    return 0;
}
