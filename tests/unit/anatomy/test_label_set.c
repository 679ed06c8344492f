/* Label sets: order, replacing, names fit for files, and labels.json there and back. */
#include <dirent.h>

#include "harness.h"

#include "fabrica/anatomy.h"

static fab_error err;

static void keeps_values_ascending(void)
{
    fab_label_set set = {0};
    CHECK_OK(fab_label_set_add(&set, 9, "liver", &err));
    CHECK_OK(fab_label_set_add(&set, 2, "my lesion", &err));
    CHECK_OK(fab_label_set_add(&set, 5, "kidney_left", &err));
    CHECK(set.count == 3 && set.items[0].value == 2 && set.items[2].value == 9);
    CHECK(fab_label_set_find(&set, 5)->anatomy == fab_anatomy_find("kidney_left"));
    CHECK(!fab_label_set_find(&set, 5 + 1) && !fab_label_set_by_name(&set, "spleen"));
    CHECK(!fab_label_set_by_name(&set, "my lesion")->anatomy);
    CHECK_OK(fab_label_set_add(&set, 5, "spleen", &err)); /* replaces */
    CHECK(set.count == 3 && !strcmp(fab_label_set_find(&set, 5)->name, "spleen"));
    CHECK(!memcmp(fab_label_set_find(&set, 5)->rgb, fab_anatomy_find("spleen")->rgb, 3));
    fab_label_set_free(&set);
    CHECK(!set.count && !set.items);
}

static void refuses_what_makes_no_sense(void)
{
    fab_label_set set = {0};
    char longer[FAB_MAX_NAME_BYTES + 1];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    CHECK_OK(fab_label_set_add(&set, 1, "liver", &err));
    CHECK_FAILS(FAB_ERR_ARG, "outside 1..65535", fab_label_set_add(&set, 0, "spleen", &err));
    CHECK_FAILS(FAB_ERR_ARG, "outside 1..65535", fab_label_set_add(&set, 65536, "spleen", &err));
    CHECK_FAILS(FAB_ERR_ARG, "used by the values 1 and 2",
                fab_label_set_add(&set, 2, "liver", &err));
    CHECK_FAILS(FAB_ERR_ARG, "no name", fab_label_set_add(&set, 2, "", &err));
    CHECK_FAILS(FAB_ERR_ARG, "no name", fab_label_set_add(&set, 2, NULL, &err));
    CHECK_FAILS(FAB_ERR_LIMIT, "longer than", fab_label_set_add(&set, 2, longer, &err));
    CHECK_FAILS(FAB_ERR_ARG, "0x2f", fab_label_set_add(&set, 2, "a/b", &err));
    CHECK_FAILS(FAB_ERR_ARG, "starts with a dot", fab_label_set_add(&set, 2, "..", &err));
    CHECK_FAILS(FAB_ERR_ARG, "0x0a", fab_label_set_add(&set, 2, "a\nb", &err));
    CHECK(set.count == 1);
    for (int i = 2; i <= FAB_MAX_STRUCTURES; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%d", i);
        CHECK_OK(fab_label_set_add(&set, i, name, &err));
    }
    CHECK_FAILS(FAB_ERR_LIMIT, "more than 512", fab_label_set_add(&set, 600, "one more", &err));
    fab_label_set_free(&set);
}

static fab_status parse(const char *text, fab_label_set *out)
{
    fab_json *json = NULL;
    FAB_TRY(fab_json_parse(text, strlen(text), "labels.json", &json, &err));
    fab_status status = fab_label_set_from_json(json, out, &err);
    fab_json_free(json);
    return status;
}

static void json_there_and_back(void)
{
    fab_label_set set = {0}, copy = {0}, back = {0};
    fab_json *json = NULL;
    CHECK_OK(fab_label_set_add(&set, 3, "rib_left_4", &err));
    CHECK_OK(fab_label_set_add(&set, 1, "disc_L4_L5", &err));
    CHECK_OK(fab_label_set_add(&set, 77, "Läsion 1", &err));
    set.items[2].rgb[0] = 17;
    CHECK_OK(fab_label_set_copy(&set, &copy, &err));
    CHECK_OK(fab_label_set_to_json(&copy, &json, &err));
    const fab_json *labels = fab_json_find(json, "labels"), *rib = fab_json_at(labels, 1);
    CHECK(!strcmp(fab_json_text(fab_json_find(rib, "laterality")), "left"));
    CHECK(!strcmp(fab_json_text(fab_json_find(fab_json_find(rib, "code"), "value")), "25523003"));
    CHECK(!fab_json_find(fab_json_at(labels, 2), "code"));
    CHECK_OK(fab_label_set_from_json(json, &back, &err));
    CHECK(back.count == 3);
    for (size_t i = 0; i < 3; i++) {
        const fab_label *a = &back.items[i], *b = &set.items[i];
        CHECK(a->value == b->value && !strcmp(a->name, b->name) && !memcmp(a->rgb, b->rgb, 3));
        CHECK(a->anatomy == b->anatomy);
    }
    fab_json_free(json);
    fab_label_set_free(&set);
    fab_label_set_free(&copy);
    fab_label_set_free(&back);
}

#define HEAD "{\"format\":\"fabrica-labels\",\"format_version\":1,\"labels\":["

static void bad_json_is_named(void)
{
    static const struct {
        const char *text, *message;
        fab_status status;
    } cases[] = {
        {"[]", "must be a JSON object", FAB_ERR_FORMAT},
        {"{}", "format", FAB_ERR_FORMAT},
        {"{\"format\":\"x\"}", "not \"fabrica-labels\"", FAB_ERR_FORMAT},
        {"{\"format\":\"fabrica-labels\",\"format_version\":2,\"labels\":[]}", "format_version 2",
         FAB_ERR_UNSUPPORTED},
        {"{\"format\":\"fabrica-labels\",\"format_version\":1}", "labels", FAB_ERR_FORMAT},
        {HEAD "7]}", "not an object", FAB_ERR_FORMAT},
        {HEAD "{\"name\":\"liver\"}]}", "value", FAB_ERR_FORMAT},
        {HEAD "{\"value\":1}]}", "name", FAB_ERR_FORMAT},
        {HEAD "{\"value\":1,\"name\":\"a\"},{\"value\":1,\"name\":\"b\"}]}", "appears twice",
         FAB_ERR_FORMAT},
        {HEAD "{\"value\":1,\"name\":\"a\",\"rgb\":[1,2]}]}", "3 numbers", FAB_ERR_FORMAT},
        {HEAD "{\"value\":1,\"name\":\"a\",\"rgb\":[1,2,256]}]}", "outside 0..255", FAB_ERR_FORMAT},
        {HEAD "{\"value\":1,\"name\":\"a/b\"}]}", "0x2f", FAB_ERR_ARG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fab_label_set set = {0};
        CHECK_FAILS(cases[i].status, cases[i].message, parse(cases[i].text, &set));
        CHECK(!set.items && !set.count);
    }
}

/* ---- the contract: files of contract/fixtures/{good,bad} -------------------------------- */

static fab_status load(const char *path, fab_label_set *out)
{
    fab_json *json = NULL;
    FAB_TRY(fab_json_load_file(path, &json, &err));
    fab_status status = fab_label_set_from_json(json, out, &err);
    fab_json_free(json);
    return status;
}

/* Calls fn on each labels-*.json of the folder; returns how many. */
static int each_fixture(const char *kind, void (*fn)(const char *path))
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    int count = 0;
    snprintf(folder, sizeof folder, "%.2000s/contract/fixtures/%s", root ? root : ".", kind);
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
        if (strncmp(d->d_name, "labels-", 7)) continue;
        CHECK_OK(fab_path_join(path, sizeof path, folder, d->d_name, &err));
        fn(path);
        count++;
    }
    closedir(dir);
    return count;
}

/* Read and written again it is the same, byte for byte. */
static void good_one(const char *path)
{
    fab_label_set set = {0};
    fab_json *json = NULL, *original = NULL;
    fab_buf a = {0}, b = {0};
    fab_writer w;
    CHECK_OK(load(path, &set));
    CHECK_OK(fab_label_set_to_json(&set, &json, &err));
    CHECK_OK(fab_json_load_file(path, &original, &err));
    fab_writer_to_buf(&a, &w);
    CHECK_OK(fab_json_dump(json, 2, &w, &err));
    fab_writer_to_buf(&b, &w);
    CHECK_OK(fab_json_dump(original, 2, &w, &err));
    CHECK(a.size == b.size && !memcmp(a.data, b.data, a.size));
    fab_buf_free(&a);
    fab_buf_free(&b);
    fab_json_free(json);
    fab_json_free(original);
    fab_label_set_free(&set);
}

static void bad_one(const char *path)
{
    fab_label_set set = {0};
    if (load(path, &set) >= 0) fprintf(stderr, "accepted: %s\n", path);
    CHECK(load(path, &set) < 0 && !set.items);
}

static void contract_fixtures(void)
{
    CHECK(each_fixture("good", good_one) >= 2);
    CHECK(each_fixture("bad", bad_one) >= 13);
}

static fab_status build_and_write(void *ctx)
{
    (void)ctx;
    fab_label_set set __attribute__((cleanup(fab_label_set_free))) = {0};
    fab_label_set back __attribute__((cleanup(fab_label_set_free))) = {0};
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_TRY(fab_label_set_add(&set, 1, "liver", &err));
    FAB_TRY(fab_label_set_add(&set, 2, "other", &err));
    FAB_TRY(fab_label_set_copy(&set, &back, &err));
    fab_label_set_free(&back);
    FAB_TRY(fab_label_set_to_json(&set, &json, &err));
    return fab_label_set_from_json(json, &back, &err);
}

static void survives_failing_memory(void)
{
    fab_test_torture(build_and_write, NULL);
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(keeps_values_ascending), TEST(refuses_what_makes_no_sense), TEST(json_there_and_back),
        TEST(bad_json_is_named), TEST(contract_fixtures), TEST(survives_failing_memory),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
