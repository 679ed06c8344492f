/* cmd_steps.c - fabrica segment, mesh and export: the steps of a twin alone. */
#include <string.h>

#include "cli.h"

static double number(const fab_json *o, const char *key)
{
    return fab_json_number(fab_json_find(o, key));
}

/* ---- segment ---------------------------------------------------------------------------- */

static const cli_option segment_options[] = {
    {"output", 'o', CLI_PATH, "FILE", "label map to write, .nii.gz (required)"},
    {"series", 0, CLI_TEXT, "N|UID", "which series; default: the usable one with most slices"},
    {"model", 'm', CLI_TEXT, "NAME", "which network; default: the newest of ours for the modality"},
    {"models", 0, CLI_PATH, "DIR", "where model packages are"},
    {"fast", 0, CLI_FLAG, NULL, "TotalSegmentator: its 3 mm network"},
    {"fastest", 0, CLI_FLAG, NULL, "TotalSegmentator: its 6 mm network"},
    {"roi-subset", 0, CLI_TEXT, "LIST", "TotalSegmentator: only these structures, by commas"},
    {"no-crop", 0, CLI_FLAG, NULL, "TotalSegmentator: show a single task the whole image"},
    {"channel", 0, CLI_LIST, "NAME=PATH", "another image of a network of several; repeatable"},
    {"no-postprocessing", 0, CLI_FLAG, NULL, "leave off the clean-up an nnU-Net folder asks for"},
    {"no-detail", 0, CLI_FLAG, NULL, "leave off the second, finer look at the spine"},
    {"parts", 0, CLI_PATH, "FILE", "also write the parts of vertebrae (NAME.nii.gz, NAME.json)"},
    {"modality", 0, CLI_CHOICE, "CT|MR|PT", "what a NIfTI or NRRD file is, which does not say"},
    {"force", 0, CLI_FLAG, NULL, "go on with a scan the network is not made for; mark the result"},
    {"precision", 0, CLI_CHOICE, "auto|fp32|bf16|exact", "of the network; auto is fp32"},
    {"max-memory", 0, CLI_SIZE, "SIZE", "refuse to start if the network needs more, e.g. 2G"},
    {"step", 0, CLI_REAL, "F", "sliding window step, a share of the patch", 0.1, 1.0},
    {"replace", 0, CLI_FLAG, NULL, "replace the files if they exist"},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static void print_structures(const cli_call *call, const fab_json *s)
{
    cli_table t;
    const fab_json *rows = fab_json_find(s, "structures");
    if (cli_quiet(call) || !cli_table_start(&t, "Structure|>Volume ml|>Confidence|Findings"))
        return;
    for (size_t i = 0; i < fab_json_count(rows) && cli_table_row(&t); i++) {
        const fab_json *row = fab_json_at(rows, i), *findings = fab_json_find(row, "findings");
        cli_table_cell(&t, 0, "%s", fab_text_of(row, "name"));
        cli_table_cell(&t, 1, "%.1f", number(row, "volume_ml"));
        if (fab_json_is_number(fab_json_find(row, "confidence")))
            cli_table_cell(&t, 2, "%.2f", number(row, "confidence"));
        else cli_table_cell(&t, 2, "-");
        const char *first = fab_json_text(fab_json_at(findings, 0));
        bool more = fab_json_count(findings) > 1;
        cli_table_cell(&t, 3, "%s%s", first ? first : "", more ? " ..." : "");
    }
    cli_table_print(&t, stdout);
}

static int run_segment(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    const char *output = cli_text(call, "output", NULL);
    if (!output) return cli_usage_error(call, "needs -o FILE.nii.gz");
    fab_segment_job o = {.input = call->arguments[0], .series = cli_text(call, "series", NULL),
                         .output = output, .replace = cli_has(call, "replace"),
                         .model_folders = cli_model_folders(call),
                         .model = cli_text(call, "model", NULL), .quality = cli_quality(call),
                         .structures = cli_text(call, "roi-subset", NULL),
                         .channels = call->list,
                         .modality = cli_text(call, "modality", NULL),
        .force = cli_has(call, "force"),
                         .no_postprocessing = cli_has(call, "no-postprocessing"),
                         .no_detail = cli_has(call, "no-detail"),
                         .no_crop = cli_has(call, "no-crop"),
                         .parts = cli_text(call, "parts", NULL),
                         .precision = cli_precision(call),
                         .max_memory_bytes = cli_bytes(call, "max-memory"),
                         .step = cli_real(call, "step", 0), .watch = cli_begin(call)};
    fab_status status = fab_job_segment(&o, &summary, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(summary);
    print_structures(call, summary);
    return code;
}

static const char *const segment_examples[] = {
    "label map and its table (labels.json)", "fabrica segment study/ -o labels.nii.gz",
    "a network of two channels",
    "fabrica segment t1.nii.gz --channel T2=t2.nii.gz -m NAME -o labels.nii.gz", NULL};

const cli_command cli_segment = {
    "segment", "SERIES", "find the structures of a series: a label map", 1, 1,
    "Writes a NIfTI label map on the series' own grid and, beside it, a JSON table of its values.",
    segment_examples, segment_options, run_segment};

/* ---- mesh ------------------------------------------------------------------------------- */

static const cli_option mesh_options[] = {
    {"output", 'o', CLI_PATH, "DIR", "the folder to make (required)"},
    {"labels", 0, CLI_PATH, "FILE", "table of label names; default: the JSON beside LABELS"},
    {"mesh-error", 0, CLI_REAL, "MM", "simplification allowed; default: a tenth of a voxel", 0.0,
     10.0},
    {"smoothing", 0, CLI_INT, "N", "smoothing iterations", 0, 200},
    {"replace", 0, CLI_FLAG, NULL, "replace the folder if it exists"},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static void print_meshes(const cli_call *call, const fab_json *s)
{
    cli_table t;
    const fab_json *rows = fab_json_find(s, "meshes");
    if (cli_quiet(call) ||
        !cli_table_start(&t, "Structure|>Triangles|>Volume ml|>Volume error %|>HD95 mm|Closed"))
        return;
    for (size_t i = 0; i < fab_json_count(rows) && cli_table_row(&t); i++) {
        const fab_json *row = fab_json_at(rows, i);
        bool closed = false;
        (void)fab_json_get_bool(row, "closed", &closed, NULL);
        cli_table_cell(&t, 0, "%s", fab_text_of(row, "name"));
        cli_table_cell(&t, 1, "%.0f", number(row, "triangles"));
        cli_table_cell(&t, 2, "%.2f", number(row, "volume_ml"));
        cli_table_cell(&t, 3, "%+.2f", number(row, "volume_error_percent"));
        cli_table_cell(&t, 4, "%.2f", number(row, "hd95_mm"));
        cli_table_cell(&t, 5, "%s", closed ? "yes" : "no");
    }
    cli_table_print(&t, stdout);
}

static int run_mesh(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    const char *output = cli_text(call, "output", NULL);
    if (!output) return cli_usage_error(call, "needs -o DIR, the folder to make");
    fab_mesh_job o = {.labels = call->arguments[0], .table = cli_text(call, "labels", NULL),
                      .output = output, .replace = cli_has(call, "replace"),
                      .mesh = {(int)cli_int(call, "smoothing", -1),
                               cli_real(call, "mesh-error", -1)},
                      .watch = cli_begin(call)};
    fab_status status = fab_job_mesh(&o, &summary, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(summary);
    print_meshes(call, summary);
    return code;
}

static const char *const mesh_examples[] = {
    "one closed PLY surface a structure", "fabrica mesh labels.nii.gz -o meshes", NULL};

const cli_command cli_mesh = {
    "mesh", "LABELS", "build closed surfaces from a label map", 1, 1,
    "Writes one PLY a structure (mm, LPS) and meshes.json with what was measured on each: "
    "closedness, volume error, distance to the mask.",
    mesh_examples, mesh_options, run_mesh};

/* ---- export ----------------------------------------------------------------------------- */

static const cli_option export_options[] = {
    {"format", 0, CLI_TEXT, "LIST", "of glb, glb-headset, stl, obj, ply, 3mf, nifti, seg; "
                                    "default: all"},
    {"output", 'o', CLI_PATH, "DIR", "the folder to make (required)"},
    {"source", 0, CLI_PATH, "SERIES", "the DICOM series the labels belong to, for seg"},
    {"series", 0, CLI_TEXT, "N|UID", "which series of --source"},
    {"replace", 0, CLI_FLAG, NULL, "replace the folder if it exists"},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static int run_export(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *summary = NULL;
    const char *output = cli_text(call, "output", NULL);
    if (!output) return cli_usage_error(call, "needs -o DIR, the folder to make");
    fab_export_job o = {.input = call->arguments[0], .source = cli_text(call, "source", NULL),
                        .series = cli_text(call, "series", NULL),
                        .formats = cli_text(call, "format", NULL), .output = output,
                        .replace = cli_has(call, "replace"), .watch = cli_begin(call)};
    fab_status status = fab_job_export(&o, &summary, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(summary);
    const fab_json *rows = fab_json_find(summary, "exports");
    for (size_t i = 0; i < fab_json_count(rows); i++)
        cli_say(call, "%-12s %s/%s\n", fab_text_of(fab_json_at(rows, i), "format"), output,
                fab_text_of(fab_json_at(rows, i), "path"));
    return code;
}

static const char *const export_examples[] = {
    "surfaces for a printer and a headset", "fabrica export case --format 3mf,glb-headset -o out",
    "a DICOM segmentation of a corrected label map",
    "fabrica export labels.nii.gz --format seg --source study/ -o out", NULL};

const cli_command cli_export = {
    "export", "CASE|LABELS", "write formats from a case or a label map", 1, 1,
    "Writes the chosen formats into a new folder: from the surfaces a case holds, or from a NIfTI "
    "label map, of which surfaces are built first.",
    export_examples, export_options, run_export};
