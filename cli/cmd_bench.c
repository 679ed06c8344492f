/* cmd_bench.c - fabrica bench: how fast the network engine is here, and where its time goes. */
#include "cli.h"

static const cli_option options[] = {
    {"patch", 0, CLI_INT, "N", "voxels along an edge; default 64, or the model's patch", 1, 512},
    {"classes", 0, CLI_INT, "N", "outputs of the network; default 25", 1, 512},
    {"model", 0, CLI_TEXT, "NAME", "measure this model's network, with random weights"},
    {"models", 0, CLI_PATH, "DIR", "where model packages are"},
    {"isa", 0, CLI_TEXT, "NAME", "only these kernels; default: the best for the precision"},
    {"precision", 0, CLI_CHOICE, "auto|fp32|bf16|exact", "of the network; auto is fp32"},
    {"layers", 0, CLI_FLAG, NULL, "one line an operation instead of sums by kind and level"},
    {"json", 0, CLI_FLAG, NULL, "print JSON"},
    {0}};

static double real_of(const fab_json *o, const char *key)
{
    return fab_json_number(fab_json_find(o, key));
}

static void print_isas(const fab_json *o)
{
    cli_table t;
    const fab_json *rows = fab_json_find(o, "isas");
    static const char heads[] = "Instruction set|>1 thread, CPU time|>All threads, wall time|";
    if (!cli_table_start(&t, heads)) return;
    for (size_t i = 0; i < fab_json_count(rows) && cli_table_row(&t); i++) {
        const fab_json *row = fab_json_at(rows, i);
        cli_table_cell(&t, 0, "%s", fab_text_of(row, "name"));
        cli_table_cell(&t, 1, "%.1f GFLOP/s", real_of(row, "peak_gflops_one_thread"));
        cli_table_cell(&t, 2, "%.1f GFLOP/s", real_of(row, "peak_gflops_all_threads"));
        if (fab_json_is_true(fab_json_find(row, "runs_network")))
            cli_table_cell(&t, 3, "runs the network");
    }
    cli_table_print(&t, stdout);
}

static void print_network(const fab_json *o)
{
    const fab_json *n = fab_json_find(o, "network"), *patch = fab_json_find(n, "patch");
    char clean[FAB_MAX_NAME_BYTES];
    const char *model = cli_clean(fab_text_of(n, "model"), clean, sizeof clean);
    printf("\n%s, %.0f x %.0f x %.0f voxels, %.0f classes, %.1f GFLOP\n",
           model[0] ? model : "U-Net of TotalSegmentator's widths",
           fab_json_number(fab_json_at(patch, 0)), fab_json_number(fab_json_at(patch, 1)),
           fab_json_number(fab_json_at(patch, 2)), real_of(n, "classes"), real_of(n, "gflop"));
    printf("%.3f s with %.0f threads, %.3f CPU s, %.1f GFLOP per CPU s\n", real_of(n, "wall_s"),
           real_of(o, "threads"), real_of(n, "cpu_s"), real_of(n, "gflops_per_cpu_s"));
    printf("%.1f GFLOP of products executed: %.1f %% of the peak (%.1f)\n",
           real_of(n, "executed_gflop"), real_of(n, "percent_of_peak"),
           real_of(n, "peak_gflops_per_cpu_s"));
    printf("memory: %.0f MiB for a session, %.0f MiB of weights\n\n",
           real_of(n, "session_bytes") / 1048576, real_of(n, "weights_bytes") / 1048576);
}

static void print_times(const fab_json *n, bool layers)
{
    cli_table t;
    const fab_json *rows = fab_json_find(n, layers ? "layers" : "groups");
    static const char heads[] = "Operation|>Level|>GFLOP|>executed|>CPU ms|>of it loads|>Share %|"
                                ">Peak %";
    if (!cli_table_start(&t, heads)) return;
    for (size_t i = 0; i < fab_json_count(rows) && cli_table_row(&t); i++) {
        const fab_json *row = fab_json_at(rows, i);
        if (layers) cli_table_cell(&t, 0, "%s", fab_text_of(row, "name"));
        else
            cli_table_cell(&t, 0, "%.0f x %s", real_of(row, "operations"),
                           fab_text_of(row, "kind"));
        cli_table_cell(&t, 1, "%.0f", real_of(row, "level"));
        cli_table_cell(&t, 2, "%.3f", real_of(row, "gflop"));
        cli_table_cell(&t, 3, "%.3f", real_of(row, "executed_gflop"));
        cli_table_cell(&t, 4, "%.2f", 1e3 * real_of(row, "cpu_s"));
        cli_table_cell(&t, 5, "%.2f", 1e3 * real_of(row, "load_cpu_s"));
        cli_table_cell(&t, 6, "%.1f", real_of(row, "percent_of_time"));
        cli_table_cell(&t, 7, "%.1f", real_of(row, "percent_of_peak"));
    }
    cli_table_print(&t, stdout);
}

static int run(const cli_call *call)
{
    FAB_AUTO(fab_json_free) fab_json *out = NULL;
    fab_error err = {0};
    if (cli_has(call, "model") && cli_has(call, "classes"))
        return cli_usage_error(call, "--classes is a model's own: not with --model");
    fab_bench_job o = {.model_folders = cli_model_folders(call),
                       .model = cli_text(call, "model", NULL),
                       .isa = cli_text(call, "isa", NULL), .precision = cli_precision(call),
                       .patch = (int)cli_int(call, "patch", 0),
                       .classes = (int)cli_int(call, "classes", 25),
                       .watch = cli_begin(call)};
    fab_status status = fab_job_bench(&o, &out, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(out);
    print_isas(out);
    print_network(out);
    print_times(fab_json_find(out, "network"), cli_has(call, "layers"));
    return code;
}

static const char *const examples[] = {
    "this machine and the usual network", "fabrica bench", "layer by layer, AVX2 kernels only",
    "fabrica bench --isa avx2 --layers", "the network of a model", "fabrica bench --model NAME",
    NULL};

const cli_command cli_bench = {
    "bench", "", "measure the network engine on this machine", 0, 0,
    "Prints the peak of every instruction set that runs here (a loop of independent fused "
    "multiply-adds) and what a network reaches of it, by CPU time; peak and network take turns. "
    "GFLOP counts multiply-adds by the definition of a convolution; executed are those of the "
    "algorithm, whose share of the peak this is. "
    "On a busy machine the wall times count other programs too. "
    "The network has TotalSegmentator's widths (32 to 320, two 3x3x3 convolutions a stage), or is "
    "a model's; its weights are random, since time does not depend on them.\n"
    "Times by kind and level of resolution (0 is full) come from the run with the least CPU time. "
    "\"of it loads\" is reading, normalising and padding the input, timed alone in a second pass.",
    examples, options, run};
