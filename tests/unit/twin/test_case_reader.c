/* Opening a case that may come from anywhere. */
#include "tests.h"

static char root[FAB_MAX_PATH_BYTES];

static const char labels_text[] =
    "{\"format\":\"fabrica-labels\",\"format_version\":1,\"labels\":[{\"value\":5,\"name\":"
    "\"liver\",\"display\":\"Liver\",\"rgb\":[1,2,3]}]}";

static void write_manifest(const char *version, const char *file, const char *sha256)
{
    char text[2000];
    snprintf(text, sizeof text,
             "{\"format\":\"fabrica-case\",\"format_version\":%s,\"input\":{},\"geometry\":{},"
             "\"structures\":[{\"value\":5,\"name\":\"liver\",\"volume_ml\":1500.5,"
             "\"mesh\":{\"files\":[\"%s\"]}}],"
             "\"files\":[{\"path\":\"%s\",\"bytes\":3,\"sha256\":\"%s\"}]}",
             version, file, file, sha256);
    put_file(root, "manifest.json", text);
}

static const char abc_hash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void fresh(void)
{
    CHECK(fab_test_folder(root) != NULL);
    put_file(root, "labels.json", labels_text);
    put_file(root, "a.bin", "abc");
}

void case_open_and_verify(void)
{
    fab_error err;
    fab_case c;
    fresh();
    write_manifest("1", "a.bin", abc_hash);
    CHECK_OK(fab_case_open(root, &c, &err));
    CHECK(c.set.count == 1 && c.set.items[0].value == 5);
    CHECK(fab_case_mesh_levels(&c) == 1);
    CHECK_OK(fab_case_verify(&c, NULL, &err));
    put_file(root, "a.bin", "abd");
    CHECK_FAILS(FAB_ERR_INTEGRITY, "a.bin was changed", fab_case_verify(&c, NULL, &err));
    fab_case_close(&c);
    (void)fab_path_remove_tree(root, NULL);
}

void case_open_refuses(void)
{
    fab_error err;
    fab_case c = {0};
    fresh();
    CHECK_FAILS(FAB_ERR_NOTFOUND, "manifest.json", fab_case_open(root, &c, &err));
    write_manifest("2", "a.bin", abc_hash);
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "newer than 1", fab_case_open(root, &c, &err));
    write_manifest("0", "a.bin", abc_hash);
    CHECK_FAILS(FAB_ERR_FORMAT, "format_version", fab_case_open(root, &c, &err));
    put_file(root, "manifest.json", "{\"format\":\"something\",\"format_version\":1}");
    CHECK_FAILS(FAB_ERR_FORMAT, "fabrica-case", fab_case_open(root, &c, &err));
    put_file(root, "manifest.json", "{\"format\":\"fabrica-case\",\"format_version\":1,"
                                    "\"input\":{},\"geometry\":{},\"files\":[],\"structures\":"
                                    "[{\"value\":0,\"name\":\"x\",\"volume_ml\":1}]}");
    CHECK_FAILS(FAB_ERR_FORMAT, "structures[0]", fab_case_open(root, &c, &err));
    put_file(root, "manifest.json", "{\"format\":");
    CHECK_FAILS(FAB_ERR_FORMAT, "not valid JSON", fab_case_open(root, &c, &err));
    CHECK(c.manifest == NULL);
    (void)fab_path_remove_tree(root, NULL);
}

void case_paths_stay_inside(void)
{
    static const char *const outside[] = {"/etc/passwd", "../x", "a/../../b"};
    fab_error err;
    fab_case c;
    fresh();
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        fab_mesh_set set = {0};
        write_manifest("1", outside[i], abc_hash);
        CHECK_OK(fab_case_open(root, &c, &err));
        CHECK_FAILS(FAB_ERR_FORMAT, "outside the case", fab_case_verify(&c, NULL, &err));
        CHECK_FAILS(FAB_ERR_FORMAT, "outside the case", fab_case_load_meshes(&c, 0, &set, &err));
        fab_case_close(&c);
    }
    (void)fab_path_remove_tree(root, NULL);
}
