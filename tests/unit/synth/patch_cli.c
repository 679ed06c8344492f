/* patch_cli.c - looks at synthetic patients: a developer's program, no part of the product.
 *
 *   patch_cli LABELS SET.json BONE.nrrd|- FOLDER|- COUNT [SEED [FOCUS|- [COBB
 *             [ARTEFACTS [CONTRAST]]]]]
 *
 * SET.json is a labels.json or {"1": "spleen", ...}. Writes FOLDER/SEED_hu.nii.gz and
 * SEED_fine.nii.gz of every patch, and the map as FOLDER/map.nii.gz; prints the time a patch takes
 * and the shares of the names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabrica/json.h"
#include "fabrica/nifti.h"
#include "synth_internal.h"

static fab_status read_set(const char *path, fab_label_set *set, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    fab_reader r;
    uint8_t *text = NULL;
    size_t count = 0;
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = fab_reader_read_all(&r, FAB_MAX_JSON_BYTES, &text, &count, err);
    fab_reader_close(&r);
    if (!status) status = fab_json_parse(text, count, path, &json, err);
    fab_free(text);
    FAB_TRY(status);
    if (fab_json_find(json, "format")) return fab_label_set_from_json(json, set, err);
    for (int v = 1; v < 256; v++) {
        char key[16];
        snprintf(key, sizeof key, "%d", v);
        const fab_json *name = fab_json_find(json, key);
        if (name) FAB_TRY(fab_label_set_add(set, v, fab_json_text(name), err));
    }
    return FAB_OK;
}

static fab_status write(const char *folder, const char *name, const int n[3], float step,
                        fab_dtype type, const void *data, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], file[64];
    snprintf(file, sizeof file, "%s.nii.gz", name);
    FAB_TRY(fab_path_join(path, sizeof path, folder, file, err));
    const double s = (double)step;
    const fab_grid g = {{n[0], n[1], n[2]}, {{{s, 0, 0, 0}, {0, s, 0, 0}, {0, 0, s, 0}}}};
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_TRY(fab_volume_create(&g, type, &v, err));
    memcpy(fab_volume_data_mut(v), data, fab_volume_bytes(v));
    return fab_nifti_write(v, path, "synthetic patch", err);
}

static void print_shares(const int64_t share[256], int64_t all)
{
    for (int v = 0; v < 256; v++)
        if (share[v])
            printf("%6.2f per mille %s\n", 1000.0 * (double)share[v] / (double)all,
                   fab_synth_name(v) ? fab_synth_name(v) : "unknown");
}

static fab_status patches(const fab_synth_source *s, char **argv, int argc, fab_error *err)
{
    enum { VOXELS = 48 * 64 * 96 };
    static const int n[3] = {96, 64, 48};
    static float hu[VOXELS];
    static uint8_t fine[VOXELS];
    int64_t share[256] = {0};
    double seconds = 0;
    const int count = (int)strtol(argv[5], NULL, 10),
              first = argc > 6 ? (int)strtol(argv[6], NULL, 10) : 1;
    for (int i = 0; i < count; i++) {
        fab_synth_options o;
        fab_synth_options_default(&o);
        o.seed = (uint64_t)(first + i);
        if (argc > 7 && strcmp(argv[7], "-") != 0) o.focus = argv[7];
        if (argc > 8) o.cobb_deg = strtod(argv[8], NULL);
        if (argc > 9) o.artefacts = (int)strtol(argv[9], NULL, 10);
        if (argc > 10) o.contrast = (int)strtol(argv[10], NULL, 10);
        const double start = fab_time_cpu_s();
        FAB_TRY(fab_synth_patch(s, &o, hu, fine, err));
        seconds += fab_time_cpu_s() - start;
        for (int k = 0; k < VOXELS; k++) share[fine[k]]++;
        char name[64];
        if (!strcmp(argv[4], "-")) continue;
        snprintf(name, sizeof name, "%04d_hu", first + i);
        FAB_TRY(write(argv[4], name, n, 3, FAB_F32, hu, err));
        snprintf(name, sizeof name, "%04d_fine", first + i);
        FAB_TRY(write(argv[4], name, n, 3, FAB_U8, fine, err));
    }
    print_shares(share, (int64_t)count * VOXELS);
    if (count) printf("%.3f s of CPU a patch\n", seconds / count);
    return FAB_OK;
}

static fab_status look(int argc, char **argv, bool parts, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL, *bone = NULL;
    FAB_AUTO(fab_synth_source_free) fab_synth_source *s = NULL;
    __attribute__((cleanup(fab_label_set_free))) fab_label_set set = {0};
    FAB_TRY(fab_nifti_read(argv[1], &labels, NULL, 0, err));
    FAB_TRY(read_set(argv[2], &set, err));
    if (strcmp(argv[3], "-") != 0) FAB_TRY(fab_nrrd_read(argv[3], &bone, NULL, 0, err));
    const double start = fab_time_cpu_s();
    FAB_TRY(fab_synth_source_make(labels, &set, bone, parts, &s, err));
    printf("map: %d x %d x %d of %.2f mm, %d joints, %.1f s\n", s->size[0], s->size[1], s->size[2],
           (double)s->step, s->joints, fab_time_cpu_s() - start);
    if (strcmp(argv[4], "-") != 0)
        FAB_TRY(write(argv[4], "map", s->size, s->step, FAB_U8, s->label, err));
    return patches(s, argv, argc, err);
}

int main(int argc, char **argv)
{
    fab_error err;
    const bool parts = argc > 1 && !strcmp(argv[1], "--parts");
    if (parts) argc--, argv++;
    if (argc < 6) {
        fprintf(stderr, "patch_cli [--parts] LABELS SET.json BONE|- FOLDER|- COUNT "
                        "[FIRST_SEED [FOCUS|- "
                        "[COBB [ARTEFACTS [CONTRAST]]]]]\n");
        return 2;
    }
    if (look(argc, argv, parts, &err) == FAB_OK) return 0;
    fprintf(stderr, "%s\n", err.message);
    return 1;
}
