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
    fixture_free(&twin);
    return 0;
}
