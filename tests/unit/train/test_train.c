/* test_train.c - a run learns, goes on where it was broken off with the same bits, leaves a package
 * that loads; patches depend on seed and index alone; bad recipes are refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/nifti.h"
#include "fabrica/phantom.h"
#include "harness.h"
#include "train_internal.h"

static fab_error err;
static char folder[] = "/tmp/fab-train-XXXXXX";

static const char recipe_text[] =
    "{\"format\": \"fabrica-training\", \"format_version\": 1,"
    " \"classes\": [\"outside\", \"spine\", \"lungs\", \"other\"],"
    " \"names\": {\"spine\": [\"vertebrae_*\", \"sacrum\"], \"lungs\": [\"lung_*\"]},"
    " \"rest\": \"other\", \"unknown\": [\"metal_implant\"],"
    " \"weights\": {\"spine\": 4}, \"focus\": {\"other\": 0},"
    " \"sources\": [{\"folder\": \"cases\", \"weight\": 2}%s],"
    " \"schedule\": {\"patch\": [16, 24, 32], \"batch\": 2, \"iterations\": 300, \"warmup\": 5,"
    "  \"rate\": 4e-3, \"decay\": 1e-4, \"clip\": 5, \"average\": 0.9, \"even_out\": 0.5,"
    "  \"seed\": 7},"
    " \"card\": {\"format\": \"fabrica-model\", \"format_version\": 1, \"name\": \"tiny\","
    "  \"version\": \"0\", \"modality\": \"CT\", \"license\": \"none\","
    "  \"architecture\": {\"type\": \"PlainConvUNet\", \"input_channels\": 1, \"classes\": 4,"
    "   \"stages\": [{\"features\": 8, \"kernel\": [3,3,3], \"stride\": [1,1,1], \"convs\": 1},"
    "    {\"features\": 16, \"kernel\": [3,3,3], \"stride\": [2,2,2], \"convs\": 1}],"
    "   \"decoder_convs\": [1],"
    "   \"norm\": {\"type\": \"instance\", \"eps\": 1e-5, \"affine\": true},"
    "   \"activation\": {\"type\": \"leaky_relu\", \"slope\": 0.01}, \"conv_bias\": true},"
    "  \"preprocessing\": {\"orientation\": \"LPS\", \"spacing_mm\": [6, 6, 6],"
    "   \"resampling\": \"fabrica-gauss-linear-1\", \"padding_value_hu\": -1024,"
    "   \"normalization\": {\"type\": \"ct\", \"clip_hu\": [-1000, 600],"
    "    \"mean\": -100, \"std\": 250}},"
    "  \"inference\": {\"patch_size\": [16, 24, 32], \"step\": 0.5,"
    "   \"gaussian_sigma_scale\": 0.125, \"mirror_axes\": []},"
    "  \"labels\": [{\"value\": 1, \"name\": \"spine\", \"split_left_right\": false},"
    "   {\"value\": 2, \"name\": \"lungs\", \"split_left_right\": false}]}}";

static char *path_of(const char *name)
{
    static char paths[8][512];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

static void write_text(const char *name, const char *text)
{
    CHECK_OK(fab_file_write_atomic(path_of(name), text, strlen(text), &err));
}

/* cases/a_ct.nii.gz and its labels: a coarse phantom. */
static void write_case(void)
{
    fab_phantom_options o;
    fab_phantom p = {0};
    FAB_AUTO(fab_json_free) fab_json *table = NULL;
    fab_phantom_options_default(&o);
    o.seed = 3;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 5;
    o.slice_thickness_mm = 5;
    CHECK_OK(fab_phantom_make(&o, &p, &err));
    CHECK_OK(fab_path_make_folder(path_of("cases"), &err));
    CHECK_OK(fab_nifti_write(p.image, path_of("cases/a_ct.nii.gz"), NULL, &err));
    CHECK_OK(fab_nifti_write(p.labels, path_of("cases/a_seg.nii.gz"), NULL, &err));
    CHECK_OK(fab_label_set_to_json(&p.set, &table, &err));
    CHECK_OK(fab_json_save_file(table, path_of("cases/a_seg.json"), &err));
    fab_phantom_free(&p);
}

static void write_recipe(const char *name, const char *more_sources)
{
    char text[8192];
    snprintf(text, sizeof text, recipe_text, more_sources);
    write_text(name, text);
}

static fab_train_options options(const char *run)
{
    return (fab_train_options){.recipe = path_of("recipe.json"), .run = path_of(run)};
}

static fab_json *train_until(const char *run, int64_t iterations)
{
    fab_json *summary = NULL;
    fab_train_options o = options(run);
    o.iterations = iterations;
    CHECK_OK(fab_train_run(&o, &summary, &err));
    return summary;
}

static double first_line(const char *run, const char *key)
{
    char path[64], line[400] = "";
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    FILE *f = fopen(path_of(path), "r");
    CHECK(f && fgets(line, sizeof line, f));
    if (f) fclose(f);
    CHECK_OK(fab_json_parse(line, strlen(line), "log", &o, &err));
    return fab_json_number(fab_json_find(o, key));
}

static void test_learns_and_loads(void)
{
    fab_model *m = NULL;
    FAB_AUTO(fab_json_free) fab_json *summary = train_until("straight", 300);
    CHECK(fab_json_number(fab_json_find(summary, "iterations")) == 300);
    CHECK(fab_json_number(fab_json_find(summary, "cross_entropy")) <
          0.7 * first_line("straight", "cross_entropy"));
    CHECK(fab_json_number(fab_json_find(summary, "dice")) > first_line("straight", "dice"));
    CHECK_OK(fab_model_load(path_of("straight/package"), FAB_PRECISION_FP32, &m, &err));
    CHECK(strcmp(fab_model_name(m), "tiny") == 0);
    fab_model_free(m);
}

static void test_goes_on_with_the_same_bits(void)
{
    char straight[65], broken[65];
    fab_json_free(train_until("broken", 97));
    fab_threads_set(3);
    fab_json_free(train_until("broken", 300));
    fab_threads_set(1);
    CHECK_OK(fab_sha256_file(path_of("straight/state-300.safetensors"), straight, &err));
    CHECK_OK(fab_sha256_file(path_of("broken/state-300.safetensors"), broken, &err));
    CHECK(strcmp(straight, broken) == 0);
    CHECK(access(path_of("broken/state-97.safetensors"), F_OK) != 0);
}

static void test_damaged_checkpoint(void)
{
    fab_train_options o = options("broken");
    write_text("broken/state-300.safetensors", "not this");
    CHECK_FAILS(FAB_ERR_INTEGRITY, "state-300.safetensors", fab_train_run(&o, NULL, &err));
}

/* A new run that starts from another's package begins where that one ended. */
static void test_starts_from_a_package(void)
{
    char package[512];
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    fab_train_options o = options("second");
    snprintf(package, sizeof package, "%s", path_of("straight/package"));
    o.start_from = package;
    o.iterations = 20;
    CHECK_OK(fab_train_run(&o, &summary, &err));
    CHECK(first_line("second", "cross_entropy") < 0.7 * first_line("straight", "cross_entropy"));
}

static void test_patches(void)
{
    fab_volume *image[2] = {NULL}, *labels[2] = {NULL};
    const fab_train_options o = options("straight");
    for (int i = 0; i < 2; i++)
        CHECK_OK(fab_train_patch(&o, 5, &image[i], &labels[i], &err));
    CHECK(memcmp(fab_volume_data(image[0]), fab_volume_data(image[1]),
                 fab_volume_bytes(image[0])) == 0);
    fab_volume_unref(image[1]);
    fab_volume_unref(labels[1]);
    CHECK_OK(fab_train_patch(&o, 6, &image[1], &labels[1], &err));
    CHECK(memcmp(fab_volume_data(image[0]), fab_volume_data(image[1]),
                 fab_volume_bytes(image[0])) != 0);
    int64_t seen[4] = {0};
    const uint16_t *l = fab_volume_data(labels[0]);
    const float *v = fab_volume_data(image[0]);
    for (int i = 0; i < 16 * 24 * 32; i++) {
        CHECK(l[i] < 4 || l[i] == FAB_TRAIN_IGNORE);
        CHECK(v[i] >= -3.61f && v[i] <= 2.81f); /* -1000 and 600 HU, normalised */
        if (l[i] < 4) seen[l[i]]++;
    }
    CHECK(seen[0] < 16 * 24 * 32 && seen[3] > 0);
    for (int i = 0; i < 2; i++) {
        fab_volume_unref(image[i]);
        fab_volume_unref(labels[i]);
    }
}

static void test_classes_of_names(void)
{
    fab_recipe r = {0};
    CHECK_OK(fab_recipe_load(path_of("recipe.json"), &r, &err));
    CHECK(fab_recipe_class(&r, "vertebrae_T7") == 1);
    CHECK(fab_recipe_class(&r, "spine") == 1);
    CHECK(fab_recipe_class(&r, "lung_upper_lobe_left") == 2);
    CHECK(fab_recipe_class(&r, "liver") == 3);
    CHECK(fab_recipe_class(&r, "metal_implant") == FAB_CASE_IGNORE);
    CHECK(r.weight[1] == 4 && r.weight[2] == 1 && r.focus[3] == 0 && r.focus[0] == 0);
    fab_recipe_free(&r);
}

/* The recipe with `from` replaced by `to` is refused with a message that has `word`. */
static void refused(const char *from, const char *to, fab_status status, const char *word)
{
    char text[8192], changed[9000];
    snprintf(text, sizeof text, recipe_text, "");
    const char *at = strstr(text, from);
    CHECK(at != NULL);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    write_text("bad.json", changed);
    fab_train_options o = options("bad");
    o.recipe = path_of("bad.json");
    CHECK_FAILS(status, word, fab_train_run(&o, NULL, &err));
    CHECK(strstr(err.message, "bad.json"));
}

static void test_bad_recipes(void)
{
    refused("\"fabrica-training\"", "\"else\"", FAB_ERR_FORMAT, "format");
    refused("\"other\"],", "\"other\", \"more\"],", FAB_ERR_FORMAT, "classes");
    refused("[16, 24, 32], \"batch\"", "[16, 23, 32], \"batch\"", FAB_ERR_FORMAT, "patch");
    refused("\"rest\": \"other\"", "\"rest\": \"nobody\"", FAB_ERR_FORMAT, "rest");
    refused("{\"spine\": 4}", "{\"spin\": 4}", FAB_ERR_FORMAT, "spin");
    refused("\"folder\": \"cases\"", "\"folder\": \"nowhere\"", FAB_ERR_NOTFOUND, "nowhere");
    refused("\"weight\": 2", "\"weight\": 0", FAB_ERR_FORMAT, "sources");
    refused("[6, 6, 6]", "[6, 6, 5]", FAB_ERR_UNSUPPORTED, "spacing_mm");
    refused("\"rate\": 4e-3", "\"rate\": \"fast\"", FAB_ERR_FORMAT, "rate");
    CHECK(access(path_of("bad/checkpoint.json"), F_OK) != 0);
}

static void prepares(void)
{
    write_case();
    write_recipe("recipe.json", "");
}

int main(void)
{
    fab_threads_set(1);
    if (!mkdtemp(folder)) return 1;
    const int code = FAB_RUN(TEST(prepares), TEST(test_classes_of_names),
                                               TEST(test_patches), TEST(test_learns_and_loads),
                                               TEST(test_goes_on_with_the_same_bits),
                                               TEST(test_starts_from_a_package),
                                               TEST(test_damaged_checkpoint),
                                               TEST(test_bad_recipes));
    (void)fab_path_remove_tree(folder, NULL);
    return code;
}
