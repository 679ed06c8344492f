/* test_choice.c - inference_information.json: what nnU-Net writes, and files that are not that. */
#include "harness.h"
#include "model_internal.h"

static fab_error err;

#define MODEL(configuration) \
    "{\"configuration\": \"" configuration "\", \"trainer\": \"T\", \"plans_identifier\": \"P\"}"
#define FILE_OF(folds, models, more) \
    "{\"folds\": " folds ", \"dataset_name_or_id\": 4, \"best_model_or_ensemble\": {" \
    "\"selected_model_or_models\": " models more "}}"

static fab_status read_text(const char *text, fab_nnunet_choice *c)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    CHECK_OK(fab_json_parse(text, strlen(text), "text", &json, &err));
    return fab_nnunet_choice_read(json, "D/inference_information.json", c, &err);
}

static void what_nnunet_writes(void)
{
    fab_nnunet_choice c;
    CHECK_OK(read_text(FILE_OF("[0, 1, 4]", "[" MODEL("2d") ", " MODEL("3d_fullres") "]",
                               ", \"postprocessing_file\": \"/r/D/ensembles/e___a___b/"
                               "postprocessing.pkl\""), &c));
    CHECK(c.count == 2 && strcmp(c.member[0], "T__P__2d") == 0);
    CHECK(strcmp(c.member[1], "T__P__3d_fullres") == 0);
    CHECK(c.fold_count == 3 && c.fold[0] == 0 && c.fold[2] == 4);
    CHECK(strcmp(c.postprocessing, "e___a___b") == 0);
    CHECK_OK(read_text(FILE_OF("[\"all\"]", "[" MODEL("3d_lowres") "]",
                               ", \"postprocessing_file\": \"C:\\\\r\\\\crossval_results_folds_all"
                               "\\\\postprocessing.pkl\""), &c));
    CHECK(c.count == 1 && c.fold_count == 1 && c.fold[0] == FAB_NNUNET_FOLD_ALL);
    CHECK(strcmp(c.postprocessing, "crossval_results_folds_all") == 0);
    CHECK_OK(read_text(FILE_OF("[0]", "[" MODEL("2d") "]", ""), &c));
    CHECK(c.postprocessing[0] == '\0');
    CHECK_OK(read_text(FILE_OF("[0]", "[" MODEL("2d") "]", ", \"postprocessing_file\": null"), &c));
}

static void what_is_not_that(void)
{
    static const struct {
        const char *text, *message;
        fab_status status;
    } bad[] = {
        {"[]", "D/inference_information.json: not a JSON object", FAB_ERR_FORMAT},
        {"{}", "folds", FAB_ERR_FORMAT},
        {FILE_OF("[]", "[" MODEL("2d") "]", ""), "folds has 0 entries", FAB_ERR_FORMAT},
        {FILE_OF("[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]", "[" MODEL("2d") "]", ""),
         "folds has 17 entries, 1 to 16", FAB_ERR_LIMIT},
        {FILE_OF("[0, 1.5]", "[" MODEL("2d") "]", ""), "folds[1] is no fold", FAB_ERR_FORMAT},
        {FILE_OF("[1000]", "[" MODEL("2d") "]", ""), "folds[0] is no fold", FAB_ERR_FORMAT},
        {FILE_OF("[-2]", "[" MODEL("2d") "]", ""), "folds[0] is no fold", FAB_ERR_FORMAT},
        {FILE_OF("[1e300]", "[" MODEL("2d") "]", ""), "folds[0] is no fold", FAB_ERR_FORMAT},
        {FILE_OF("[\"../0\"]", "[" MODEL("2d") "]", ""), "folds[0] is no fold", FAB_ERR_FORMAT},
        {FILE_OF("[2, 0, 2]", "[" MODEL("2d") "]", ""), "folds[2] is named twice", FAB_ERR_FORMAT},
        {"{\"folds\": [0]}", "best_model_or_ensemble", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "{}", ""), "selected_model_or_models", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[]", ""), "selected_model_or_models has 0 entries", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[1,2,3,4,5,6,7,8,9]", ""), "has 9 entries, 1 to 8", FAB_ERR_LIMIT},
        {FILE_OF("[0]", "[" MODEL("2d") ", 7]", ""), "selected_model_or_models[1]: is no object",
         FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("2d") ", " MODEL("2d") "]", ""), "T__P__2d is named twice",
         FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[{\"configuration\": \"2d\", \"trainer\": \"T\"}]", ""),
         "best_model_or_ensemble: selected_model_or_models[0]: field \"plans_identifier\"",
         FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("../2d") "]", ""), "configuration \"../2d\" is no name",
         FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("a\\\\b") "]", ""), "is no name", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("") "]", ""), "is no name", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("2d") "]", ", \"postprocessing_file\": \"/a/../pp.pkl\""),
         "postprocessing_file \"/a/../pp.pkl\" is no file in a folder", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("2d") "]", ", \"postprocessing_file\": \"pp.pkl\""),
         "is no file in a folder", FAB_ERR_FORMAT},
        {FILE_OF("[0]", "[" MODEL("2d") "]", ", \"postprocessing_file\": 3"),
         "postprocessing_file", FAB_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fab_nnunet_choice c = {.count = -1};
        CHECK_FAILS(bad[i].status, bad[i].message, read_text(bad[i].text, &c));
        CHECK(c.count == -1 && strstr(err.message, "D/inference_information.json: "));
    }
    char name[300], text[900];
    fab_nnunet_choice c;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "{\"folds\": [0], \"best_model_or_ensemble\": "
             "{\"selected_model_or_models\": [{\"configuration\": \"%s\", \"trainer\": \"T\", "
             "\"plans_identifier\": \"P\"}]}}", name);
    CHECK_FAILS(FAB_ERR_LIMIT, "the name is too long", read_text(text, &c));
}

int main(void)
{
    fab_test tests[] = {TEST(what_nnunet_writes), TEST(what_is_not_that)};
    return fab_test_run(tests, sizeof tests / sizeof *tests);
}
