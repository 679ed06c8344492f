/* cmd_model.c - fabrica model list, show, verify and add. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"models", 0, CLI_PATH, "DIR", "where model packages are"},
    {"name", 0, CLI_TEXT, "NAME", "add: what to call it; default: the path's last part"},
    {"configuration", 0, CLI_TEXT, "NAME,...",
     "add: of several results; more than one: their ensemble; default: what "
     "inference_information.json names, else 3d_fullres, else 3d_cascade_fullres"},
    {"task", 0, CLI_TEXT, "NAME", "add: of TotalSegmentator's tasks in the folder, e.g. total"},
    {"totalsegmentator", 0, CLI_FLAG, NULL,
     "add: a data set for TotalSegmentator whose name is not known as one"},
    {"replace", 0, CLI_FLAG, NULL, "add: in place of a model of that name"},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static int list(const cli_call *call, const fab_json *models)
{
    cli_table t;
    if (cli_has(call, "json")) return cli_print_json(models);
    if (!fab_json_count(models)) {
        cli_say(call, "no models found; see --models and FABRICA_MODELS\n");
        return CLI_EXIT_OK;
    }
    if (!cli_table_start(&t, "Name|Version|Modality|>Structures|Licence|Folder"))
        return CLI_EXIT_FAILED;
    for (size_t i = 0; i < fab_json_count(models) && cli_table_row(&t); i++) {
        const fab_json *m = fab_json_at(models, i);
        cli_table_cell(&t, 0, "%s", fab_text_of(m, "name"));
        cli_table_cell(&t, 1, "%s", fab_text_of(m, "version"));
        cli_table_cell(&t, 2, "%s", fab_text_of(m, "modality"));
        cli_table_cell(&t, 3, "%zu", fab_json_count(fab_json_find(m, "structures")));
        cli_table_cell(&t, 4, "%s", fab_text_of(m, "license"));
        cli_table_cell(&t, 5, "%s", fab_json_find(m, "problem") ? fab_text_of(m, "problem")
                                                               : fab_text_of(m, "folder"));
    }
    cli_table_print(&t, stdout);
    return CLI_EXIT_OK;
}

/* Any JSON as indented lines of "key: value". */
static void print_value(const char *key, const fab_json *v, int depth)
{
    char clean[1200];
    const char *child = NULL;
    const fab_json *value = NULL;
    void *cursor = NULL;
    if (depth > 6) return;
    printf("%*s%s%s", 2 * depth, "", key ? key : "-", key ? ":" : "");
    if (fab_json_is_string(v)) printf(" %s\n", cli_clean(fab_json_text(v), clean, sizeof clean));
    else if (fab_json_is_number(v)) printf(" %g\n", fab_json_number(v));
    else if (!fab_json_is_array(v) && !fab_json_is_object(v))
        printf(" %s\n", fab_json_is_null(v) ? "none" : "yes or no, see --json");
    else printf("\n");
    for (size_t i = 0; fab_json_is_array(v) && i < fab_json_count(v); i++)
        print_value(NULL, fab_json_at(v, i), depth + 1);
    while (fab_json_is_object(v) && fab_json_next(v, &cursor, &child, &value))
        print_value(child, value, depth + 1);
}

static int show(const cli_call *call, const fab_json *models, const char *folder)
{
    static const char *const keys[] = {"name", "version", "modality", "license", "weights",
                                       "description", "training", "evaluation", "limitations",
                                       "parts"};
    for (size_t i = 0; i < fab_json_count(models); i++) {
        const fab_json *m = fab_json_at(models, i), *card = fab_json_find(m, "card");
        if (strcmp(fab_text_of(m, "folder"), folder) != 0) continue;
        if (cli_has(call, "json")) return cli_print_json(card);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (fab_json_find(card, keys[k])) print_value(keys[k], fab_json_find(card, keys[k]), 0);
        print_value("structures", fab_json_find(m, "structures"), 0);
        return CLI_EXIT_OK;
    }
    return CLI_EXIT_FAILED;
}

static int verify(const cli_call *call, const fab_json *models, const char *folder)
{
    int worst = CLI_EXIT_OK;
    size_t checked = 0;
    for (size_t i = 0; i < fab_json_count(models); i++) {
        const fab_json *m = fab_json_at(models, i);
        fab_error err = {0};
        if (folder && strcmp(fab_text_of(m, "folder"), folder) != 0) continue;
        fab_status status = fab_models_verify(fab_text_of(m, "folder"), &err);
        if (status == FAB_OK)
            cli_say(call, "%s %s: ok\n", fab_text_of(m, "name"), fab_text_of(m, "version"));
        else fprintf(stderr, "fabrica model: %s\n", err.message);
        if (status < 0 && worst == CLI_EXIT_OK) worst = cli_exit_code(status);
        checked++;
    }
    if (checked) return worst;
    fprintf(stderr, "fabrica model: there is no model to verify\n");
    return CLI_EXIT_REFUSED;
}

static int add(const cli_call *call, const char *path)
{
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    fab_error err = {0};
    const char *const *where = cli_model_folders(call);
    const char *own = cli_own_models();
    fab_model_add o = {.path = path, .name = cli_text(call, "name", NULL),
                       .models = cli_text(call, "models", own ? own : where[0]),
                       .configuration = cli_text(call, "configuration", NULL),
                       .task = cli_text(call, "task", NULL),
                       .totalsegmentator = cli_has(call, "totalsegmentator"),
                       .replace = cli_has(call, "replace")};
    if (!path) return cli_usage_error(call, "model add: which folder or zip?");
    if (!o.models) return cli_usage_error(call, "model add: no place for models; give --models");
    o.watch = cli_begin(call);
    fab_status status = fab_models_add(&o, &card, &err);
    const int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(card);
    const size_t parts = fab_json_count(fab_json_find(card, "parts"));
    const size_t structures = fab_json_count(fab_json_find(card, "labels"));
    cli_say(call, "added %s to %s: %zu %s, %zu %s\n", fab_text_of(card, "name"), o.models, parts,
            fab_plural((int64_t)parts, "part", "parts"), structures,
            fab_plural((int64_t)structures, "structure", "structures"));
    return CLI_EXIT_OK;
}

enum { LIST, SHOW, VERIFY, ADD, ACTION_COUNT };
static const char *const actions[] = {"list", "show", "verify", "add"};

static int find_action(const cli_call *call)
{
    const char *action = call->argument_count ? call->arguments[0] : "list";
    for (int i = 0; i < ACTION_COUNT; i++)
        if (strcmp(action, actions[i]) == 0) return i;
    const char *near = cli_nearest(action, actions, ACTION_COUNT);
    cli_usage_error(call, "list, show, verify or add, not \"%s\"%s%s", action,
                    near ? "; did you mean " : "", near ? near : "");
    return ACTION_COUNT;
}

/* The packages to act on, and the folder of the one that is named ("" if none is). */
static fab_status find_models(const cli_call *call, int action, const char *name, char *folder,
                              size_t capacity, fab_json **models, fab_error *err)
{
    const char *given[2] = {name, NULL};
    const char *const *where = cli_model_folders(call);
    folder[0] = '\0';
    if (name || action == SHOW)
        FAB_TRY(fab_models_find(where, name, "", folder, capacity, err));
    bool by_folder = name && strcmp(folder, name) == 0;
    return fab_models_list(by_folder ? given : where, models, err);
}

static int run(const cli_call *call)
{
    const char *name = call->argument_count > 1 ? call->arguments[1] : NULL;
    FAB_AUTO(fab_json_free) fab_json *models = NULL;
    char folder[FAB_MAX_PATH_BYTES];
    fab_error err = {0};
    int which = find_action(call);
    if (which == ACTION_COUNT) return CLI_EXIT_USAGE;
    if (which == ADD) return add(call, name);
    fab_status status = find_models(call, which, name, folder, sizeof folder, &models, &err);
    if (status < 0) {
        fprintf(stderr, "fabrica model: %s\n", err.message);
        return cli_exit_code(status);
    }
    if (which == LIST) return list(call, models);
    if (which == SHOW) return show(call, models, folder);
    return verify(call, models, name ? folder : NULL);
}

static const char *const examples[] = {
    "what is there", "fabrica model list", "the card of one", "fabrica model show NAME",
    "are the weights those of the card", "fabrica model verify",
    "two configurations of nnU-Net as an ensemble",
    "fabrica model add Dataset004_Hip --configuration 2d,3d_fullres",
    "TotalSegmentator's networks, as downloaded", "fabrica model add Dataset297_x.zip --name total",
    NULL};

const cli_command cli_model = {
    "model", "list|show|verify|add [NAME|PATH]", "list, describe, verify and add networks", 0, 2,
    "Model packages are looked for in --models, else in $FABRICA_MODELS (folders separated by "
    "colons), ~/.local/share/fabrica/models, models/ of the source tree and "
    "share/fabrica/models of the installation. NAME may also be a package's folder. add takes an "
    "nnU-Net result folder, a data set's folder (of it what nnUNetv2_find_best_configuration "
    "chose, ensembles too), a folder of data sets as TotalSegmentator keeps them, a network's "
    "folder as brainchop publishes it, or a zip of these; the package goes to --models or "
    "~/.local/share/fabrica/models.",
    examples, options, run};
