/* cmd_train.c - fabrica train: makes or improves a network on this machine. */
#include "cli.h"

static const cli_option options[] = {
    {"run", 0, CLI_PATH, "DIR", "the run's folder, gone on with if it has a checkpoint (required)"},
    {"data", 0, CLI_PATH, "DIR", "where the recipe's paths begin; default: the recipe's folder"},
    {"start-from", 0, CLI_PATH, "DIR", "model package whose weights a new run begins with"},
    {"iterations", 0, CLI_INT, "N", "stop after this many in all; default: the recipe's", 1,
     100000000},
    {"minutes", 0, CLI_REAL, "M", "stop after this time", 0.01, 1e6},
    {"patch", 0, CLI_INT, "N", "do not train: write the run's patch N into DIR, to look at", 0,
     2e9},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static int run(const cli_call *call)
{
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    fab_error err = {0};
    const char *folder = cli_text(call, "run", NULL);
    if (!folder) return cli_usage_error(call, "needs --run DIR, the folder of the run");
    cli_signals_patience(60);
    const fab_train_job o = {.recipe = call->arguments[0], .data = cli_text(call, "data", NULL),
                             .run = folder, .start_from = cli_text(call, "start-from", NULL),
                             .iterations = cli_int(call, "iterations", 0),
                             .minutes = cli_real(call, "minutes", 0),
                             .patch = cli_int(call, "patch", -1), .watch = cli_begin(call)};
    const fab_status status = fab_job_train(&o, &summary, &err);
    const int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(summary);
    if (o.patch >= 0)
        cli_say(call, "%s\n%s\n", fab_json_text(fab_json_find(summary, "image")),
                fab_json_text(fab_json_find(summary, "labels")));
    else
        cli_say(call, "%s/package: the network after %.0f iterations\n", folder,
                fab_json_number(fab_json_find(summary, "iterations")));
    return code;
}

static const char *const examples[] = {
    "an hour of the torso network, from where the run is",
    "fabrica train train/recipes/torso-ct.json --data DATA --run RUN --minutes 60",
    "a network for this hospital's own corrections, from the shipped one",
    "fabrica train recipe.json --run RUN --start-from models/torso-ct", NULL};

const cli_command cli_train = {
    "train", "RECIPE", "train a network on this machine, without Python or GPU", 1, 1,
    "RECIPE (docs/formats/training.md) is a JSON file with the network's card, its classes, where "
    "its cases come from, and the schedule. Cases are scans with label maps, or label maps alone, "
    "which images of patients nobody has are made from on the way.\n"
    "The run's folder keeps a checkpoint (every five minutes, and when the run is stopped), "
    "log.jsonl, and package/, which \"fabrica segment --model\" takes. The same command again goes "
    "on from there; the same recipe, seed and iterations give the same patches.\n"
    "Training device and research software: a network that was trained must be validated before "
    "anyone relies on it.",
    examples, options, run};
