/* cmd_measure.c - fabrica measure: angles, heights, canal and density of the spine. */
#include <math.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"labels", 0, CLI_PATH, "FILE", "table of LABELS; default: the JSON beside it"},
    {"image", 0, CLI_PATH, "FILE", "CT of LABELS on any grid, for HU; a case has its own"},
    {"output", 'o', CLI_PATH, "FILE", "write the measurements to this JSON file too"},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static void print_angle(const fab_json *s, const char *key, const char *name)
{
    const fab_json *a = fab_json_find(s, key);
    double deg = fab_real_of(a, "deg");
    if (isnan(deg)) printf("%-26s -       %s\n", name, fab_text_of(a, "why"));
    else printf("%-26s %5.1f +- %.1f deg\n", name, deg, fab_real_of(a, "sigma_deg"));
}

static void print_curves(const fab_json *s)
{
    const fab_json *curves = fab_json_find(s, "coronal_curves");
    for (size_t i = 0; i < fab_json_count(curves); i++) {
        const fab_json *c = fab_json_at(curves, i);
        const char *apex = fab_text_of(c, "apex");
        printf("Cobb, %-20s %5.1f +- %.1f deg  %s to %s, convex %s%s%s\n",
               fab_text_of(c, "kind"), fab_real_of(c, "cobb_deg"), fab_real_of(c, "sigma_deg"),
               fab_text_of(c, "upper_end_vertebra"), fab_text_of(c, "lower_end_vertebra"),
               fab_text_of(c, "convex_side"), apex[0] ? ", apex " : "", apex);
    }
    if (!fab_json_count(curves))
        print_angle(s, "largest_coronal_angle", "largest coronal angle");
}

static void number_cell(cli_table *t, int column, double value, const char *format)
{
    if (isnan(value)) cli_table_cell(t, column, "-");
    else cli_table_cell(t, column, strcmp(format, "%+.0f") ? "%.0f" : "%+.0f", value);
}

static void heights_cell(cli_table *t, int column, const fab_json *row)
{
    const fab_json *h = fab_json_find(row, "heights_mm");
    if (!h) cli_table_cell(t, column, "-");
    else
        cli_table_cell(t, column, "%.1f %.1f %.1f", fab_real_of(h, "anterior"),
                       fab_real_of(h, "middle"),
                       fab_real_of(h, "posterior"));
}

static void print_level(cli_table *t, const fab_json *s, const fab_json *row)
{
    const char *level = fab_text_of(row, "level"), *why = fab_text_of(row, "why");
    const fab_json *disc = fab_spine_disc_below(s, level);
    cli_table_cell(t, 0, "%s", level);
    number_cell(t, 1, fab_real_of(row, "coronal_tilt_deg"), "%+.0f");
    number_cell(t, 2, fab_real_of(row, "axial_rotation_deg"), "%+.0f");
    heights_cell(t, 3, row);
    number_cell(t, 4, fab_real_of(fab_json_find(row, "trabecular_hu"), "mean"), "%.0f");
    number_cell(t, 5, fab_real_of(fab_json_find(row, "canal"), "area_mm2"), "%.0f");
    heights_cell(t, 6, disc);
    number_cell(t, 7, fab_real_of(fab_json_find(disc, "canal"), "area_mm2"), "%.0f");
    cli_table_cell(t, 8, "%s%s%s", fab_text_of(row, "quality"), why[0] ? ": " : "", why);
}

static void print_levels(const fab_json *s)
{
    cli_table t;
    const fab_json *rows = fab_json_find(s, "vertebrae");
    if (!cli_table_start(&t, "Level|>Tilt deg|>Turn deg|>Height A M P mm|>HU|>Canal mm2|"
                             ">Disc below A M P mm|>Canal there|Quality"))
        return;
    for (size_t i = 0; i < fab_json_count(rows) && cli_table_row(&t); i++)
        print_level(&t, s, fab_json_at(rows, i));
    cli_table_print(&t, stdout);
}

static void print_spine(const fab_json *s)
{
    print_curves(s);
    print_angle(s, "lumbar_lordosis_L1_S1", "lordosis L1-S1");
    print_angle(s, "thoracic_kyphosis_T4_T12", "kyphosis T4-T12");
    print_angle(s, "thoracic_kyphosis_T5_T12", "kyphosis T5-T12");
    print_angle(s, "sacral_slope", "sacral slope");
    print_angle(s, "pelvic_tilt", "pelvic tilt");
    print_angle(s, "pelvic_incidence", "pelvic incidence");
    printf("\n");
    print_levels(s);
    printf("Tilt and turn: + to the patient's left. Not for diagnosis.\n");
}

static int run(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *out = NULL;
    fab_measure_job o = {.input = call->arguments[0], .table = cli_text(call, "labels", NULL),
                         .image = cli_text(call, "image", NULL),
                         .output = cli_text(call, "output", NULL), .watch = cli_begin(call)};
    fab_status status = fab_job_measure(&o, &out, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(out);
    if (!cli_quiet(call)) print_spine(fab_json_find(out, "spine"));
    return code;
}

static const char *const examples[] = {
    "of a twin with named vertebrae", "fabrica measure case",
    "of a label map, bone density from its CT",
    "fabrica measure labels.nii.gz --image ct.nii.gz --json", NULL};

const cli_command cli_measure = {
    "measure", "CASE|LABELS", "measure the spine: Cobb, lordosis, heights, canal", 1, 1,
    "Prints Cobb angles with their end vertebrae, lordosis and kyphosis, and per level tilt, axial "
    "rotation, heights of body and disc, canal area and the HU of the trabecular bone. The label "
    "map needs named vertebrae (vertebrae_T1 ... vertebrae_L5); what is missing or cut by the "
    "scan's edge is said.\n"
    "docs/guide/measurements.md defines every number. Not for diagnosis.",
    examples, options, run};
