/* patch.c - our engine on the network of network.py: one process, one setting; JSON of one run.
 *
 *   bench_patch FOLDER Z Y X PRECISION|ISA [LOGITS]
 *
 * Loops of independent multiply-adds, the peak, run before and after the network in the same
 * process. All logits are stored, as the other engines store them. Times are CPU time of all
 * threads. A precision that has no kernels of its own here is skipped (exit 77).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabrica/nn.h"

#define PEAK_ITERATIONS 20000000

/* The kernels of that name, else the best of the precision of that name. */
static fab_status isa_named(const char *name, fab_isa *isa, fab_error *err)
{
    fab_precision precision;
    for (int i = 0; i < FAB_ISA_COUNT; i++)
        if (strcmp(fab_nn_isa_name((fab_isa)i), name) == 0) {
            *isa = (fab_isa)i;
            return FAB_OK;
        }
    FAB_TRY(fab_precision_from_name(name, &precision, err));
    *isa = fab_nn_isa_best(precision);
    if (precision == FAB_PRECISION_AUTO || fab_nn_isa_precision(*isa) == precision) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "skipped: %s is %s here", name, fab_nn_isa_name(*isa));
}

static double peak_rate(fab_isa isa)
{
    const double cpu = fab_time_cpu_s(), flop = fab_nn_isa_peak_flop(isa, PEAK_ITERATIONS);
    return flop / (fab_time_cpu_s() - cpu);
}

static fab_status load(const char *folder, fab_isa isa, fab_unet_config *c, fab_net **net,
                       fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *architecture = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = NULL;
    fab_reader file;
    FAB_TRY(fab_path_join(path, sizeof path, folder, "architecture.json", err));
    FAB_TRY(fab_json_load_file(path, &architecture, err));
    FAB_TRY(fab_unet_config_from_json(architecture, c, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "weights.safetensors", err));
    FAB_TRY(fab_reader_open_file(path, &file, err));
    const fab_status status = fab_tensors_read_safetensors(&file, &weights, err);
    fab_reader_close(&file);
    FAB_TRY(status);
    return fab_net_create_unet(c, weights, isa, net, err);
}

static fab_status read_input(const char *folder, float *values, size_t count, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(path, sizeof path, folder, "input.f32", err));
    FILE *f = fopen(path, "rb");
    const size_t got = f ? fread(values, sizeof *values, count, f) : 0;
    if (f) fclose(f);
    if (got != count) FAB_FAIL(err, FAB_ERR_IO, "%s: not %zu values", path, count);
    return FAB_OK;
}

static fab_status save(const char *path, const float *values, size_t count, fab_error *err)
{
    FILE *f = fopen(path, "wb");
    const size_t put = f ? fwrite(values, sizeof *values, count, f) : 0;
    if (!f || fclose(f) != 0 || put != count) FAB_FAIL(err, FAB_ERR_IO, "cannot write %s", path);
    return FAB_OK;
}

static fab_status run(char **arg, fab_error *err)
{
    const int patch[3] = {atoi(arg[2]), atoi(arg[3]), atoi(arg[4])};
    fab_isa isa;
    const size_t voxels = (size_t)patch[0] * (size_t)patch[1] * (size_t)patch[2];
    fab_unet_config c;
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    FAB_TRY(isa_named(arg[5], &isa, err));
    FAB_TRY(load(arg[1], isa, &c, &net, err));
    FAB_TRY(fab_net_session_create(net, patch, &session, err));
    FAB_AUTO_FREE float *input = fab_alloc_array(voxels, sizeof *input);
    FAB_AUTO_FREE float *logits = fab_alloc_array(voxels * (size_t)c.classes, sizeof *logits);
    if (!input || !logits) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the patch");
    FAB_TRY(read_input(arg[1], input, voxels, err));
    FAB_TRY(fab_net_session_logits(session, input, logits, err)); /* warm up */
    double peak = peak_rate(isa), cpu = fab_time_cpu_s(), wall = fab_time_wall_s();
    FAB_TRY(fab_net_session_logits(session, input, logits, err));
    cpu = fab_time_cpu_s() - cpu;
    wall = fab_time_wall_s() - wall;
    const double again = peak_rate(isa), flop = fab_net_patch_flop(net, patch);
    const unsigned long long rss = fab_peak_rss_bytes();
    if (again > peak) peak = again;
    if (arg[6]) FAB_TRY(save(arg[6], logits, voxels * (size_t)c.classes, err));
    FAB_AUTO_FREE fab_net_profile *rows =
        fab_alloc_array((size_t)fab_net_operations(net), sizeof *rows);
    if (!rows) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a profile");
    double executed = 0;
    fab_net_session_profile(session, rows, false);
    for (int i = 0; i < fab_net_operations(net); i++) executed += rows[i].executed;
    printf("{\"version\": \"%s\", \"isa\": \"%s\", \"threads\": %d, \"gflop\": %.3f,\n"
           " \"executed_gflop\": %.3f, \"cpu_s\": %.4f, \"wall_s\": %.4f,\n"
           " \"peak_gflops_per_cpu_s\": %.2f, \"peak_rss_bytes\": %llu}\n",
           FAB_VERSION, fab_nn_isa_name(isa), fab_threads_get(), flop * 1e-9, executed * 1e-9, cpu,
           wall, peak * 1e-9, rss);
    return FAB_OK;
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    if (argc < 6 || argc > 7) {
        fprintf(stderr, "usage: bench_patch FOLDER Z Y X PRECISION|ISA [LOGITS]\n");
        return 2;
    }
    const fab_status status = run(argv, &err);
    if (status == FAB_OK) return 0;
    fprintf(stderr, "%s\n", err.message);
    return status == FAB_ERR_UNSUPPORTED ? 77 : 1;
}
