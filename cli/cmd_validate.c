/* cmd_validate.c - fabrica validate: a model against a labelled data set, and a dossier of it. */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "commit.h"

static const cli_option options[] = {
    {"output", 'o', CLI_PATH, "DOSSIER", "the folder to make (required)"},
    {"model", 'm', CLI_TEXT, "NAME", "which network; default: the newest of ours for the modality"},
    {"models", 0, CLI_PATH, "DIR", "where model packages are"},
    {"predictions", 0, CLI_PATH, "DIR", "label maps made before, CASE.nii.gz"},
    {"tolerance", 0, CLI_REAL, "MM", "of the surface Dice (NSD); default 3", 0.0, 100.0},
    {"cache", 0, CLI_PATH, "DIR", "where predictions are kept; default: DOSSIER.cache"},
    {"fast", 0, CLI_FLAG, NULL, "TotalSegmentator: its 3 mm network"},
    {"fastest", 0, CLI_FLAG, NULL, "TotalSegmentator: its 6 mm network"},
    {"roi-subset", 0, CLI_TEXT, "LIST", "TotalSegmentator: only these structures, by commas"},
    {"no-crop", 0, CLI_FLAG, NULL, "TotalSegmentator: show a single task the whole image"},
    {"no-postprocessing", 0, CLI_FLAG, NULL, "leave off the clean-up an nnU-Net folder asks for"},
    {"no-detail", 0, CLI_FLAG, NULL, "leave off the second, finer look at the spine"},
    {"modality", 0, CLI_CHOICE, "CT|MR|PT", "what NIfTI and NRRD files are, which do not say"},
    {"precision", 0, CLI_CHOICE, "auto|fp32|bf16|exact", "of the network; auto is fp32"},
    {"max-memory", 0, CLI_SIZE, "SIZE", "a case fails if the network needs more, e.g. 2G"},
    {"step", 0, CLI_REAL, "F", "sliding window step, a share of the patch", 0.1, 1.0},
    {"replace", 0, CLI_FLAG, NULL, "replace the dossier if it exists"},
    {"json", 0, CLI_FLAG, NULL, "print dossier.json"},
    {0}};

static double number(const fab_json *o, const char *key)
{
    return fab_json_number(fab_json_find(o, key));
}

static void cell(cli_table *t, int column, const fab_json *row, const char *key, const char *which,
                 int decimals)
{
    const fab_json *v = fab_json_find(fab_json_find(row, key), which);
    if (fab_json_is_number(v)) cli_table_cell(t, column, "%.*f", decimals, fab_json_number(v));
    else cli_table_cell(t, column, "-");
}

static void print_structures(const fab_json *rows)
{
    cli_table t;
    if (!cli_table_start(&t, "Structure|>Cases|>Dice median|>worst|in|>NSD median|>HD95 mm|"
                             ">Volume %"))
        return;
    for (size_t i = 0; i < fab_json_count(rows); i++) {
        const fab_json *row = fab_json_at(rows, i);
        if (number(row, "evaluated") < 1 || !cli_table_row(&t)) continue;
        cli_table_cell(&t, 0, "%s", fab_text_of(row, "name"));
        cli_table_cell(&t, 1, "%.0f", number(row, "evaluated"));
        cell(&t, 2, row, "dice", "median", 3);
        cell(&t, 3, row, "dice", "worst", 3);
        cli_table_cell(&t, 4, "%s", fab_text_of(fab_json_find(row, "dice"), "worst_case"));
        cell(&t, 5, row, "nsd", "median", 3);
        cell(&t, 6, row, "hd95_mm", "median", 2);
        cell(&t, 7, row, "volume_difference_percent", "median", 1);
    }
    cli_table_print(&t, stdout);
}

static void print_summary(const cli_call *call, const char *output, const fab_json *d)
{
    const fab_json *t = fab_json_find(d, "totals"), *levels = fab_json_find(d, "levels");
    if (cli_quiet(call)) return;
    print_structures(fab_json_find(d, "structures"));
    if (levels)
        printf("vertebrae: %.0f of %.0f have their name, %.0f but for a shift common to the case\n",
               number(levels, "right"), number(levels, "vertebrae"),
               number(levels, "right_with_shift"));
    printf("%s/dossier.html: %.0f of %.0f cases evaluated, %.0f failed, %.0f without a truth\n",
           output, number(t, "evaluated"), number(t, "cases"), number(t, "failed"),
           number(t, "without_truth"));
}

/* The dossier is there, but not of all cases. */
static int failed_cases(const cli_call *call, const fab_json *d)
{
    const fab_json *cases = fab_json_find(d, "cases");
    char clean[FAB_MAX_ERROR_BYTES], name[300];
    if (number(fab_json_find(d, "totals"), "failed") < 1) return CLI_EXIT_OK;
    for (size_t i = 0; i < fab_json_count(cases); i++) {
        const fab_json *c = fab_json_at(cases, i);
        if (strcmp(fab_text_of(c, "status"), "failed") != 0) continue;
        fprintf(stderr, "fabrica %s: case %s failed: %s\n", call->command->name,
                cli_clean(fab_text_of(c, "name"), name, sizeof name),
                cli_clean(fab_text_of(c, "error"), clean, sizeof clean));
    }
    return CLI_EXIT_REFUSED;
}

static int run(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *dossier = NULL;
    const char *output = cli_text(call, "output", NULL);
    if (!output) return cli_usage_error(call, "needs -o DOSSIER, the folder to make");
    fab_validate_job o = {.dataset = call->arguments[0], .output = output,
                          .cache = cli_text(call, "cache", NULL),
                          .predictions = cli_text(call, "predictions", NULL),
                          .replace = cli_has(call, "replace"),
                          .model_folders = cli_model_folders(call),
                          .model = cli_text(call, "model", NULL),
                          .tolerance_mm = cli_real(call, "tolerance", 3.0),
                          .step = cli_real(call, "step", 0),
                          .max_memory_bytes = cli_bytes(call, "max-memory"),
                          .quality = cli_quality(call),
                          .structures = cli_text(call, "roi-subset", NULL),
                          .modality = cli_text(call, "modality", NULL),
                          .no_postprocessing = cli_has(call, "no-postprocessing"),
                          .no_detail = cli_has(call, "no-detail"),
                          .no_crop = cli_has(call, "no-crop"),
                          .precision = cli_precision(call), .program = "/proc/self/exe",
                          .commit = CLI_COMMIT, .watch = cli_begin(call)};
    fab_status status = fab_job_validate(&o, &dossier, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) code = cli_print_json(dossier);
    else print_summary(call, output, dossier);
    int failed = failed_cases(call, dossier);
    return code == CLI_EXIT_OK ? failed : code;
}

static const char *const examples[] = {
    "a model on a data set of nnU-Net, TotalSegmentator or VerSe",
    "fabrica validate Dataset042_Test -m NAME -o dossier",
    "label maps that another program made",
    "fabrica validate data --predictions theirs -o dossier", NULL};

const cli_command cli_validate = {
    "validate", "DATASET", "measure a model on a labelled data set: a dossier", 1, 1,
    "Segments every case of DATASET and compares it with its labels: Dice, surface Dice (NSD), "
    "distances, volumes and names of vertebrae, a structure and a case at a time; the worst as "
    "pictures. Writes dossier.html, dossier.json and confidence.jsonl.\n"
    "DATASET is a folder in the layout of nnU-Net, TotalSegmentator or VerSe, or with a list of "
    "cases (dataset.json, see docs/formats/dossier.md).\n"
    "A case that fails is listed and the rest goes on; the exit code is then 3. Predictions are "
    "kept in the cache, so that a validation that was stopped goes on where it was.",
    examples, options, run};
