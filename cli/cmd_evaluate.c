/* cmd_evaluate.c - fabrica evaluate: agreement of a label map with a reference. */
#include <math.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"map", 0, CLI_PATH, "FILE", "which values make up which structure (JSON), or a model.json"},
    {"labels-ref", 0, CLI_PATH, "FILE", "table of REF; default: the JSON beside it"},
    {"labels-pred", 0, CLI_PATH, "FILE", "table of PRED; default: the JSON beside it"},
    {"tolerance", 0, CLI_REAL, "MM", "of the surface Dice (NSD); default 3", 0.0, 100.0},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static void real_cell(cli_table *t, int column, const fab_json *row, const char *key, int decimals)
{
    const fab_json *v = fab_json_find(row, key);
    if (fab_json_is_number(v)) cli_table_cell(t, column, "%.*f", decimals, fab_json_number(v));
    else cli_table_cell(t, column, "-");
}

static void print_row(cli_table *t, const fab_json *row, const char *name)
{
    if (!cli_table_row(t)) return;
    cli_table_cell(t, 0, "%s", name ? name : "");
    real_cell(t, 1, row, "dice", 3);
    real_cell(t, 2, row, "nsd", 3);
    real_cell(t, 3, row, "hd95_mm", 2);
    real_cell(t, 4, row, "assd_mm", 2);
    real_cell(t, 5, row, "volume_reference_ml", 1);
    real_cell(t, 6, row, "volume_predicted_ml", 1);
    real_cell(t, 7, row, "volume_difference_percent", 1);
}

enum { UNMATCHED_SHOWN = 8 };

static void print_unmatched(const fab_json *list, const char *side)
{
    size_t count = fab_json_count(list);
    size_t shown = count > UNMATCHED_SHOWN + 1 ? UNMATCHED_SHOWN : count;
    if (!count) return;
    printf("not compared, of %s:", side);
    for (size_t i = 0; i < shown; i++) {
        char clean[FAB_MAX_NAME_BYTES];
        printf("%s %s", i ? "," : "",
               cli_clean(fab_json_text(fab_json_at(list, i)), clean, sizeof clean));
    }
    if (shown < count) printf(" and %zu more (all with --json)", count - shown);
    printf("\n");
}

static void print_table(const fab_json *o)
{
    cli_table t;
    const fab_json *rows = fab_json_find(o, "structures"), *mean = fab_json_find(o, "mean");
    if (!cli_table_start(&t, "Structure|>Dice|>NSD|>HD95 mm|>ASSD mm|>Ref ml|>Pred ml|>Volume %"))
        return;
    for (size_t i = 0; i < fab_json_count(rows); i++)
        print_row(&t, fab_json_at(rows, i),
                  fab_json_text(fab_json_find(fab_json_at(rows, i), "name")));
    print_row(&t, mean, "mean of those in REF");
    cli_table_print(&t, stdout);
    printf("NSD at %g mm\n", fab_json_number(fab_json_find(o, "tolerance_mm")));
    const fab_json *unmatched = fab_json_find(o, "unmatched");
    print_unmatched(fab_json_find(unmatched, "reference"), "REF");
    print_unmatched(fab_json_find(unmatched, "predicted"), "PRED");
}

static int run(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *out = NULL;
    fab_evaluate_job o = {.reference = call->arguments[0], .predicted = call->arguments[1],
                          .reference_table = cli_text(call, "labels-ref", NULL),
                          .predicted_table = cli_text(call, "labels-pred", NULL),
                          .mapping = cli_text(call, "map", NULL),
                          .tolerance_mm = cli_real(call, "tolerance", 3.0),
                          .watch = cli_begin(call)};
    fab_status status = fab_job_evaluate(&o, &out, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(out);
    print_table(out);
    return code;
}

static const char *const examples[] = {
    "against expert labels, classes as a mapping says",
    "fabrica evaluate expert.nii.gz case/labels.nii.gz --map classes.json", NULL};

const cli_command cli_evaluate = {
    "evaluate", "REF PRED", "compare a label map with a reference", 2, 2,
    "Prints, per structure, Dice, surface Dice (NSD), 95th percentile Hausdorff distance, average "
    "symmetric surface distance and both volumes. PRED on another grid is resampled to REF's by "
    "nearest voxel, and that is said.\n"
    "Structures are matched by name (by value where a side has no table), or by --map: a JSON "
    "object {\"structures\": [{\"name\": ..., \"reference\": [names or values, \"rib_*\" allowed], "
    "\"predicted\": [...]}]}.",
    examples, options, run};
