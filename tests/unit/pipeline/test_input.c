/* What an input is, which labels a table names, which model is meant. */
#include "tests.h"

static void put(const char *name, const void *bytes, size_t count)
{
    fab_error err;
    CHECK_OK(fab_file_write_atomic(in(root, name), bytes, count, &err));
}

void input_kinds_by_content(void)
{
    static const uint8_t nifti[352] = {0x5c, 1}, big_nifti[352] = {0, 0, 1, 0x5c};
    uint8_t dicom[132] = {0};
    fab_error err;
    fab_input_kind kind;
    fresh();
    memcpy(dicom + 128, "DICM", 4);
    const struct {
        const void *bytes;
        size_t count;
        fab_input_kind kind;
    } rows[] = {
        {nifti, 352, FAB_INPUT_NIFTI},       {big_nifti, 352, FAB_INPUT_NIFTI},
        {"NRRD0005\n", 9, FAB_INPUT_NRRD},   {"PK\3\4....", 8, FAB_INPUT_ZIP},
        {"\x1f\x8b\x08\0\0", 5, FAB_INPUT_NIFTI}, {dicom, 132, FAB_INPUT_DICOM_FILE},
        {"\x08\0\x05\0CS\x0a\0", 8, FAB_INPUT_DICOM_FILE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("x.bin", rows[i].bytes, rows[i].count); /* the name says nothing */
        CHECK_OK(fab_input_detect(in(root, "x.bin"), &kind, &err));
        CHECK(kind == rows[i].kind);
    }
    CHECK_OK(fab_input_detect(root, &kind, &err));
    CHECK(kind == FAB_INPUT_DICOM_FOLDER);
    put("x.bin", "", 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "is empty (0 bytes)",
                fab_input_detect(in(root, "x.bin"), &kind, &err));
    put("x.nii", "hello", 5);
    CHECK_FAILS(FAB_ERR_FORMAT, "is none of DICOM",
                fab_input_detect(in(root, "x.nii"), &kind, &err));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "does not exist", fab_input_detect(in(root, "no"), &kind, &err));
    clean();
}

/* Names of the structures that a twin of boxes 1 and 2 has under a label table. */
static fab_status names_under(const char *table, char *names, size_t capacity, fab_error *err)
{
    static const box boxes[] = {{1, {10, 10, 10}, {20, 20, 20}}, {2, {25, 25, 25}, {30, 30, 30}}};
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    write_labels(root, "l", boxes, 2, table);
    fab_mesh_job o = {.labels = in(root, "l.nii.gz"), .output = in(root, "meshes"), .replace = true,
                      .mesh = {-1, -1}};
    fab_status status = fab_job_mesh(&o, &summary, err);
    if (status < 0) return status;
    const fab_json *rows = fab_json_find(summary, "meshes");
    names[0] = '\0';
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        size_t used = strlen(names);
        snprintf(names + used, capacity - used, "%s ",
                 fab_json_text(fab_json_find(fab_json_at(rows, i), "name")));
    }
    return FAB_OK;
}

void label_tables_of_other_tools(void)
{
    fab_error err;
    char names[200];
    fresh();
    CHECK_OK(names_under("{\"1\": \"liver\", \"2\": \"spleen\", \"0\": \"background\"}", names,
                         sizeof names, &err));
    CHECK(strcmp(names, "liver spleen ") == 0);
    CHECK_OK(names_under("{\"labels\": {\"heart\": 1, \"aorta\": 2}}", names, sizeof names, &err));
    CHECK(strcmp(names, "heart aorta ") == 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "neither a label value nor a name",
                names_under("{\"liver\": 1.5}", names, sizeof names, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a table", names_under("[1, 2]", names, sizeof names, &err));
    CHECK_OK(fab_path_remove_tree(in(root, "l.json"), &err));
    CHECK_OK(names_under(NULL, names, sizeof names, &err));
    CHECK(strcmp(names, "label_1 label_2 ") == 0);
    clean();
}

static void put_card(const char *folder, const char *name, const char *version,
                     const char *modality)
{
    fab_error err;
    char text[300];
    CHECK_OK(fab_path_make_folder(in(root, folder), &err));
    snprintf(text, sizeof text,
             "{\"name\":\"%s\",\"version\":\"%s\",\"modality\":\"%s\",\"labels\":"
             "[{\"name\":\"kidneys\",\"left_name\":\"kidney_left\","
             "\"right_name\":\"kidney_right\"},{\"name\":\"liver\"}]}",
             name, version, modality);
    CHECK_OK(fab_file_write_atomic(in(in(root, folder), "model.json"), text, strlen(text), &err));
}

void models_newest_and_named(void)
{
    fab_error err;
    char folder[FAB_MAX_PATH_BYTES];
    fresh();
    const char *const folders[] = {root, "/nonexistent", NULL};
    put_card("a", "torso", "1.9.0", "CT");
    put_card("b", "torso", "1.10.0", "CT");
    put_card("c", "spine", "2.0.0", "MR");
    CHECK_OK(fab_path_make_folder(in(root, "d"), &err));
    put("d/model.json", "{", 1);
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    CHECK_OK(fab_models_list(folders, &list, &err));
    CHECK(fab_json_count(list) == 4);
    const fab_json *first = fab_json_at(list, 0);
    CHECK(fab_json_count(fab_json_find(first, "structures")) == 3);
    CHECK(fab_json_find(fab_json_at(list, 3), "problem") != NULL);
    CHECK_OK(fab_models_find(folders, NULL, "CT", folder, sizeof folder, &err));
    CHECK(strcmp(folder, in(root, "b")) == 0);
    CHECK_OK(fab_models_find(folders, "spine", "CT", folder, sizeof folder, &err));
    CHECK(strcmp(folder, in(root, "c")) == 0);
    CHECK_OK(fab_models_find(folders, in(root, "a"), "", folder, sizeof folder, &err));
    CHECK(strcmp(folder, in(root, "a")) == 0);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "no model for PT; known: torso (CT)",
                fab_models_find(folders, NULL, "PT", folder, sizeof folder, &err));
    clean();
}
