/* cmd_twin.c - fabrica twin: a series in, a case out. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', CLI_PATH, "CASE", "the folder to make (required)"},
    {"series", 0, CLI_TEXT, "N|UID", "which series; default: the usable one with most slices"},
    {"model", 'm', CLI_TEXT, "NAME", "which network; default: the newest of ours for the modality"},
    {"models", 0, CLI_PATH, "DIR", "where model packages are"},
    {"fast", 0, CLI_FLAG, NULL, "TotalSegmentator: its 3 mm network"},
    {"fastest", 0, CLI_FLAG, NULL, "TotalSegmentator: its 6 mm network"},
    {"roi-subset", 0, CLI_TEXT, "LIST", "TotalSegmentator: only these structures, by commas"},
    {"no-crop", 0, CLI_FLAG, NULL, "TotalSegmentator: show a single task the whole image"},
    {"labels", 0, CLI_PATH, "FILE", "use this label map instead of a network"},
    {"format", 0, CLI_TEXT, "LIST", "what goes into export/ (see fabrica export); default: all"},
    {"channel", 0, CLI_LIST, "NAME=PATH", "another image of a network of several; repeatable"},
    {"no-postprocessing", 0, CLI_FLAG, NULL, "leave off the clean-up an nnU-Net folder asks for"},
    {"no-detail", 0, CLI_FLAG, NULL, "leave off the second, finer look at the spine"},
    {"modality", 0, CLI_CHOICE, "CT|MR|PT", "what a NIfTI or NRRD file is, which does not say"},
    {"force", 0, CLI_FLAG, NULL, "go on with a scan the network is not made for; mark the result"},
    {"precision", 0, CLI_CHOICE, "auto|fp32|bf16|exact", "of the network; auto is fp32"},
    {"max-memory", 0, CLI_SIZE, "SIZE", "refuse to start if the network needs more, e.g. 2G"},
    {"step", 0, CLI_REAL, "F", "sliding window step, a share of the patch", 0.1, 1.0},
    {"mesh-error", 0, CLI_REAL, "MM", "simplification allowed; default: a tenth of a voxel", 0.0,
     10.0},
    {"smoothing", 0, CLI_INT, "N", "smoothing iterations", 0, 200},
    {"replace", 0, CLI_FLAG, NULL, "replace the case if it exists; its lessons stay"},
    {"json", 0, CLI_FLAG, NULL, "print the manifest"},
    {0}};

static const char *const examples[] = {
    "a twin of the best series in a folder", "fabrica twin study/ -o case",
    "from a zip, the second series, two threads", "fabrica twin study.zip --series 2 -o case -j 2",
    NULL};

static double number(const fab_json *o, const char *key)
{
    return fab_json_number(fab_json_find(o, key));
}

static size_t warnings_in(const fab_json *structures)
{
    size_t count = 0;
    for (size_t i = 0; i < fab_json_count(structures); i++) {
        const fab_json *list = fab_json_find(fab_json_at(structures, i), "findings");
        for (size_t f = 0; f < fab_json_count(list); f++) {
            const char *s = fab_json_text(fab_json_find(fab_json_at(list, f), "severity"));
            count += s && strcmp(s, "warning") == 0;
        }
    }
    return count;
}

static void summary(const cli_call *call, const char *output, const fab_json *m)
{
    const fab_json *structures = fab_json_find(m, "structures"), *run = fab_json_find(m, "run");
    const size_t count = fab_json_count(structures), warnings = warnings_in(structures);
    cli_say(call, "%s: %zu %s, %zu %s to look at\n", output, count,
            fab_plural((int64_t)count, "structure", "structures"), warnings,
            fab_plural((int64_t)warnings, "finding", "findings"));
    cli_say(call, "  report   %s/report.html\n", output);
    const fab_json *exports = fab_json_find(m, "exports");
    for (size_t i = 0; i < fab_json_count(exports); i++) {
        const char *path = fab_json_text(fab_json_find(fab_json_at(exports, i), "path"));
        cli_say(call, "  %s %s/%s\n", i ? "        " : "exports ", output, path ? path : "");
    }
    cli_say(call, "  took     %.1f s, %.1f s of CPU, peak memory %.0f MB\n", number(run, "wall_s"),
            number(run, "cpu_s"), number(run, "peak_rss_bytes") / 1e6);
}

static int run(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *manifest = NULL;
    const char *output = cli_text(call, "output", NULL);
    if (!output) return cli_usage_error(call, "needs -o CASE, the folder to make");
    fab_twin_options o = {
        .input = call->arguments[0], .series = cli_text(call, "series", NULL), .output = output,
        .replace = cli_has(call, "replace"), .model_folders = cli_model_folders(call),
        .model = cli_text(call, "model", NULL), .quality = cli_quality(call),
        .structures = cli_text(call, "roi-subset", NULL),
        .channels = call->list, .modality = cli_text(call, "modality", NULL),
        .force = cli_has(call, "force"),
        .no_postprocessing = cli_has(call, "no-postprocessing"),
        .no_detail = cli_has(call, "no-detail"),
        .no_crop = cli_has(call, "no-crop"),
        .precision = cli_precision(call),
        .labels = cli_text(call, "labels", NULL),
        .formats = cli_text(call, "format", NULL),
        .max_memory_bytes = cli_bytes(call, "max-memory"),
        .step = cli_real(call, "step", 0),
        .mesh = {(int)cli_int(call, "smoothing", -1), cli_real(call, "mesh-error", -1)},
        .watch = cli_begin(call)};
    fab_status status = fab_job_twin(&o, &manifest, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(manifest);
    summary(call, output, manifest);
    return code;
}

const cli_command cli_twin = {
    "twin", "SERIES", "make a digital twin of a CT or MR series", 1, 1,
    "Reads SERIES (a folder or zip with DICOM files of any mix, a NIfTI or an NRRD file), checks "
    "its geometry, finds the structures, and writes CASE: volume, label map, closed surfaces, "
    "export files, preview, report and manifest.\n"
    "CASE appears when it is complete; an interrupted run leaves nothing.",
    examples, options, run};
