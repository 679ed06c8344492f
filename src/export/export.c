/* export.c - the table of formats, and the loop shared by those that write one file a structure. */
#include <stdio.h>
#include <string.h>

#include "export_internal.h"

static const fab_export_format formats[] = {
    {"glb", ".glb", "model/gltf-binary", "glTF 2.0 binary, metres, +Y up, full detail", false,
     fab_export_write_glb},
    {"glb-headset", ".headset.glb", "model/gltf-binary",
     "glTF 2.0 binary for headsets: quantised, meshopt-compressed, levels of detail", false,
     fab_export_write_glb_headset},
    {"stl", ".stl", "model/stl", "binary STL, LPS millimetres, one file a structure", true,
     fab_export_write_stl},
    {"obj", ".obj", "model/obj", "Wavefront OBJ with MTL, LPS millimetres", false,
     fab_export_write_obj},
    {"ply", ".ply", "application/octet-stream",
     "binary PLY with normals and colour, LPS millimetres, one file a structure", true,
     fab_export_write_ply},
    {"3mf", ".3mf", "model/3mf", "3D Manufacturing Format, LPS millimetres, with colours", false,
     fab_export_write_3mf},
};

size_t fab_export_count(void)
{
    return sizeof formats / sizeof *formats;
}

const fab_export_format *fab_export_at(size_t index)
{
    return index < fab_export_count() ? &formats[index] : NULL;
}

const fab_export_format *fab_export_find(const char *name)
{
    for (size_t i = 0; name && i < fab_export_count(); i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}

static fab_status write_part(const fab_export_parts *parts, const fab_export_part *part,
                             const char *path, fab_export_part_writer write_one, fab_error *err)
{
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_TRY(fab_atomic_open(path, &file, err));
    FAB_TRY(write_one(parts, part, fab_atomic_writer(file), err));
    return fab_atomic_commit(&file, err);
}

fab_status fab_export_each_part(const fab_export_scene *scene, const char *folder,
                                const char *extension, fab_export_part_writer write_one,
                                fab_error *err)
{
    FAB_AUTO_PARTS fab_export_parts parts = {0};
    FAB_TRY(fab_export_parts_make(scene, &parts, err));
    FAB_TRY(fab_path_make_subfolder(folder, err));
    for (size_t p = 0; p < parts.count; p++) {
        char file[FAB_MAX_NAME_BYTES + 32], path[FAB_MAX_PATH_BYTES];
        snprintf(file, sizeof file, "%s%s", parts.items[p].name, extension);
        FAB_TRY(fab_path_join(path, sizeof path, folder, file, err));
        FAB_TRY(write_part(&parts, &parts.items[p], path, write_one, err));
    }
    return FAB_OK;
}
