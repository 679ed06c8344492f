/* bench_job.c - what the network engine does on this machine, against what the machine can do.
 *
 * The peak is a loop of independent fused multiply-adds. It and the network take turns in one
 * process (peak, network, peak, network, peak) and rates are by CPU time of all threads, so that
 * other programs and changing clocks distort the ratio little. Best of each is reported.
 */
#include <stdio.h>
#include <string.h>

#include "pipeline_internal.h"
#include "fabrica/nnunet.h"
#include "network.h"

enum { ROUNDS = 3, LEVELS = FAB_UNET_MAX_STAGES };

static const double peak_s = 0.1;      /* of one measurement of the peak, and thread */
static const double enough_wall_s = 5; /* no further round after this */

typedef struct bench {
    fab_job job;
    const fab_bench_job *o;
    char model[FAB_MAX_NAME_BYTES]; /* "" without */
    fab_unet_config config;
    int patch[3];
    fab_isa isa; /* the network's */
    fab_net *net;
    fab_net_session *session;
    fab_net_profile *rows, *round; /* of the best round; of the present one */
    float *input;
    double wall_s, cpu_s, peak; /* best; FLOP per CPU second */
} bench;

enum { STEP_PREPARE, STEP_PEAK, STEP_NETWORK, STEP_LOADS, STEP_COUNT };
static const fab_step_def steps[] = {{"prepare", "Making the network", 10},
                                     {"peak", "Measuring the processor", 15},
                                     {"network", "Running the network", 65},
                                     {"loads", "Timing loads and norms", 10}};

/* ---- the processor's peak ----------------------------------------------------------------- */

typedef struct peak {
    fab_isa isa;
    int64_t iterations;
    double flop[FAB_MAX_THREADS];
} peak;

typedef struct rate {
    double by_cpu, by_wall; /* FLOP a second */
} rate;

static void peak_task(void *ctx, int64_t index, int worker)
{
    peak *p = ctx;
    (void)worker;
    p->flop[index] = fab_nn_isa_peak_flop(p->isa, p->iterations);
}

static rate measure(peak *p, int threads)
{
    double wall = fab_time_wall_s(), cpu = fab_time_cpu_s(), flop = 0;
    fab_parallel_for(threads, peak_task, p);
    cpu = fab_time_cpu_s() - cpu;
    wall = fab_time_wall_s() - wall;
    for (int i = 0; i < threads; i++) flop += p->flop[i];
    return (rate){cpu > 0 ? flop / cpu : 0, wall > 0 ? flop / wall : 0};
}

/* Iterations that take about peak_s. */
static void calibrate(peak *p)
{
    double spent = 0;
    for (p->iterations = 1000; spent < peak_s / 8 && p->iterations < INT64_MAX / 64;) {
        p->iterations *= 4;
        spent = fab_time_cpu_s();
        p->flop[0] = fab_nn_isa_peak_flop(p->isa, p->iterations);
        spent = fab_time_cpu_s() - spent;
    }
    p->iterations = (int64_t)((double)p->iterations * (peak_s / spent)) + 1;
}

static fab_status put_isa(bench *b, fab_isa isa, fab_json *rows, fab_error *err)
{
    peak p = {.isa = isa};
    rate one = {0}, all = {0};
    fab_json *row = NULL;
    calibrate(&p);
    for (int i = 0; i < ROUNDS; i++) {
        FAB_TRY(fab_progress_step(&b->job.progress, "peak", (double)i / ROUNDS, err));
        const rate single = measure(&p, 1), every = measure(&p, fab_threads_get());
        if (single.by_cpu > one.by_cpu) one = single;
        if (every.by_wall > all.by_wall) all = every;
    }
    FAB_TRY(fab_add_object(rows, &row, err));
    FAB_TRY(fab_put_text(row, "name", fab_nn_isa_name(isa), err));
    FAB_TRY(fab_put_real(row, "peak_gflops_one_thread", one.by_cpu * 1e-9, 2, err));
    FAB_TRY(fab_put_real(row, "peak_gflops_all_threads", all.by_wall * 1e-9, 2, err));
    return fab_put_bool(row, "runs_network", isa == b->isa, err);
}

static fab_status put_isas(bench *b, fab_json *out, fab_error *err)
{
    fab_json *rows = NULL;
    FAB_TRY(fab_job_enter(&b->job, STEP_PEAK, err));
    FAB_TRY(fab_put_array(out, "isas", &rows, err));
    for (int isa = 0; isa < FAB_ISA_COUNT; isa++) {
        FAB_TRY(fab_job_part(&b->job, (size_t)isa, FAB_ISA_COUNT, err));
        const bool kin = fab_nn_isa_precision((fab_isa)isa) == fab_nn_isa_precision(b->isa);
        if (b->o->isa ? isa == (int)b->isa : kin && fab_nn_isa_runs((fab_isa)isa))
            FAB_TRY(put_isa(b, (fab_isa)isa, rows, err));
    }
    return FAB_OK;
}

/* ---- which network ------------------------------------------------------------------------ */

static fab_status choose_isa(bench *b, fab_error *err)
{
    char known[512] = "";
    b->isa = fab_nn_isa_best(b->o->precision);
    if (!b->o->isa) return FAB_OK;
    for (int i = 0; i < FAB_ISA_COUNT; i++) {
        const bool runs = fab_nn_isa_runs((fab_isa)i);
        const size_t at = strlen(known);
        if (runs && strcmp(fab_nn_isa_name((fab_isa)i), b->o->isa) == 0) {
            b->isa = (fab_isa)i;
            return FAB_OK;
        }
        if (runs)
            snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "",
                     fab_nn_isa_name((fab_isa)i));
    }
    FAB_FAIL(err, FAB_ERR_ARG, "no instruction set \"%s\" runs here; these do: %s", b->o->isa,
             known);
}

/* The widths of TotalSegmentator's networks at 1.5 mm (nnU-Net's 3d_fullres). */
static void usual_network(bench *b)
{
    static const int features[] = {32, 64, 128, 256, 320, 320};
    fab_unet_config *c = &b->config;
    *c = (fab_unet_config){.input_channels = 1, .stage_count = 6,
                           .classes = b->o->classes ? b->o->classes : 25, .norm_eps = 1e-5,
                           .slope = 0.01, .conv_bias = true};
    for (int s = 0; s < c->stage_count; s++) {
        const int stride = s ? 2 : 1;
        c->stages[s] = (fab_unet_stage){features[s], {3, 3, 3}, {stride, stride, stride}, 2};
        if (s) c->decoder_convs[s - 1] = 2;
    }
    for (int a = 0; a < 3; a++) b->patch[a] = 64;
}

static fab_status patch_of_card(const fab_json *card, int patch[3], fab_error *err)
{
    const fab_json *inference = NULL, *sizes = NULL;
    FAB_TRY(fab_json_get_object(card, "inference", &inference, err));
    FAB_TRY(fab_json_get_array(inference, "patch_size", &sizes, err));
    for (size_t a = 0; a < 3; a++) {
        const double n = fab_json_number(fab_json_at(sizes, a));
        patch[a] = n >= 1 && n <= FAB_MAX_DIM ? (int)n : 0; /* the session refuses 0 */
    }
    return FAB_OK;
}

/* Shape and patch of a package; weights are not read. */
static fab_status model_network(bench *b, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES], path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    const fab_json *shape = NULL;
    const fab_nnunet_load_options plan_only = {.plan_only = true};
    FAB_TRY(fab_models_find(b->o->model_folders, b->o->model, "", folder, sizeof folder, err));
    FAB_TRY(fab_path_join(path, sizeof path, folder, "model.json", err));
    FAB_TRY(fab_json_load_file(path, &card, err));
    const char *format = fab_json_text(fab_json_find(card, "format"));
    const char *name = fab_json_text(fab_json_find(card, "name"));
    snprintf(b->model, sizeof b->model, "%s", name ? name : b->o->model);
    if (format && strcmp(format, FAB_NETWORK_BRAINCHOP) == 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is no U-Net: bench measures U-Nets", b->model);
    if (!format || strcmp(format, FAB_NETWORK_NNUNET) != 0) {
        FAB_TRY(fab_json_get_object(card, "architecture", &shape, err));
        FAB_TRY(fab_unet_config_from_json(shape, &b->config, err));
        return patch_of_card(card, b->patch, err);
    }
    const fab_json *part = fab_json_at(fab_json_find(card, "parts"), 0);
    const char *where = fab_json_text(fab_json_find(part, "folder"));
    FAB_TRY(fab_path_join(path, sizeof path, folder, where ? where : "", err));
    FAB_TRY(fab_nnunet_load(path, &plan_only, &m, err));
    const fab_nnunet_plan *plan = fab_nnunet_plan_of(m);
    b->config = plan->net;
    memcpy(b->patch, plan->patch, sizeof b->patch);
    return FAB_OK;
}

static fab_status prepare(bench *b, fab_error *err)
{
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = NULL;
    fab_rng rng;
    FAB_TRY(fab_job_enter(&b->job, STEP_PREPARE, err));
    FAB_TRY(choose_isa(b, err));
    if (b->o->model) FAB_TRY(model_network(b, err));
    else usual_network(b);
    for (int a = 0; a < 3 && b->o->patch; a++) b->patch[a] = b->o->patch;
    FAB_TRY(fab_unet_random_weights(&b->config, &weights, err));
    FAB_TRY(fab_net_create_unet(&b->config, weights, b->isa, &b->net, err));
    FAB_TRY(fab_net_session_create(b->net, b->patch, &b->session, err));
    const size_t ops = (size_t)fab_net_operations(b->net);
    const size_t values = (size_t)b->config.input_channels * (size_t)b->patch[0] *
                          (size_t)b->patch[1] * (size_t)b->patch[2];
    b->rows = fab_calloc(ops, sizeof *b->rows);
    b->round = fab_calloc(ops, sizeof *b->round);
    b->input = fab_alloc_array(values, sizeof *b->input);
    if (!b->rows || !b->round || !b->input)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for the patch");
    fab_rng_seed(&rng, 84, 2);
    for (size_t i = 0; i < values; i++) b->input[i] = (float)fab_rng_normal(&rng);
    return FAB_OK;
}

/* ---- running it --------------------------------------------------------------------------- */

static void ignore_logits(void *ctx, int z, int y, int x0, int count, const float *l, int pitch)
{
    (void)ctx, (void)z, (void)y, (void)x0, (void)count, (void)l, (void)pitch;
}

static fab_status run_once(bench *b, fab_error *err)
{
    fab_net_session_profile(b->session, b->round, false);
    double wall = fab_time_wall_s(), cpu = fab_time_cpu_s();
    FAB_TRY(fab_net_session_run(b->session, b->input, ignore_logits, NULL, err));
    cpu = fab_time_cpu_s() - cpu;
    wall = fab_time_wall_s() - wall;
    if (!b->wall_s || wall < b->wall_s) b->wall_s = wall;
    if (b->cpu_s && cpu >= b->cpu_s) return FAB_OK;
    b->cpu_s = cpu;
    memcpy(b->rows, b->round, (size_t)fab_net_operations(b->net) * sizeof *b->rows);
    return FAB_OK;
}

static void take_peak(bench *b, peak *p)
{
    const rate r = measure(p, fab_threads_get());
    if (r.by_cpu > b->peak) b->peak = r.by_cpu;
}

static fab_status run_rounds(bench *b, fab_error *err)
{
    peak p = {.isa = b->isa};
    FAB_TRY(fab_job_enter(&b->job, STEP_NETWORK, err));
    calibrate(&p);
    FAB_TRY(fab_net_session_run(b->session, b->input, ignore_logits, NULL, err)); /* warm up */
    const double began = fab_time_wall_s();
    take_peak(b, &p);
    for (int i = 0; i < ROUNDS && (!i || fab_time_wall_s() - began < enough_wall_s); i++) {
        FAB_TRY(fab_progress_step(&b->job.progress, "network", (double)(i + 1) / (ROUNDS + 1),
                                  err));
        FAB_TRY(run_once(b, err));
        take_peak(b, &p);
    }
    FAB_TRY(fab_job_enter(&b->job, STEP_LOADS, err));
    fab_net_session_profile(b->session, b->round, true);
    FAB_TRY(fab_net_session_run(b->session, b->input, ignore_logits, NULL, err));
    for (int i = 0; i < fab_net_operations(b->net); i++)
        b->rows[i].load_cpu_s = b->round[i].load_cpu_s;
    return FAB_OK;
}

/* ---- telling ------------------------------------------------------------------------------ */

static fab_status put_times(const bench *b, const fab_net_profile *p, fab_json *row,
                            fab_error *err)
{
    const double rate_of = p->cpu_s > 0 ? p->executed / p->cpu_s : 0;
    FAB_TRY(fab_put_text(row, "kind", p->kind, err));
    FAB_TRY(fab_put_int(row, "level", p->level, err));
    FAB_TRY(fab_put_real(row, "gflop", p->flop * 1e-9, 6, err));
    FAB_TRY(fab_put_real(row, "executed_gflop", p->executed * 1e-9, 6, err));
    FAB_TRY(fab_put_real(row, "wall_s", p->wall_s, 6, err));
    FAB_TRY(fab_put_real(row, "cpu_s", p->cpu_s, 6, err));
    FAB_TRY(fab_put_real(row, "load_cpu_s", p->load_cpu_s, 6, err));
    FAB_TRY(fab_put_real(row, "percent_of_time", 100 * p->cpu_s / b->cpu_s, 2, err));
    return fab_put_real(row, "percent_of_peak", 100 * rate_of / b->peak, 1, err);
}

static fab_status put_layers(const bench *b, fab_json *network, fab_error *err)
{
    fab_json *rows = NULL, *row = NULL;
    FAB_TRY(fab_put_array(network, "layers", &rows, err));
    for (int i = 0; i < fab_net_operations(b->net); i++) {
        FAB_TRY(fab_add_object(rows, &row, err));
        FAB_TRY(fab_put_text(row, "name", b->rows[i].name, err));
        FAB_TRY(put_times(b, &b->rows[i], row, err));
    }
    return FAB_OK;
}

/* Operations of one kind on one level together. */
static fab_status put_groups(const bench *b, fab_json *network, fab_error *err)
{
    static const char *const kinds[] = {"conv", "up", "head", "pool", "add"};
    fab_json *rows = NULL, *row = NULL;
    FAB_TRY(fab_put_array(network, "groups", &rows, err));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int level = 0; level < LEVELS; level++) {
            fab_net_profile sum = {.kind = kinds[k], .level = level};
            int count = 0;
            for (int i = 0; i < fab_net_operations(b->net); i++) {
                const fab_net_profile *p = &b->rows[i];
                if (p->level != level || strcmp(p->kind, kinds[k]) != 0) continue;
                sum.flop += p->flop;
                sum.executed += p->executed;
                sum.wall_s += p->wall_s;
                sum.cpu_s += p->cpu_s;
                sum.load_cpu_s += p->load_cpu_s;
                count++;
            }
            if (!count) continue;
            FAB_TRY(fab_add_object(rows, &row, err));
            FAB_TRY(fab_put_int(row, "operations", count, err));
            FAB_TRY(put_times(b, &sum, row, err));
        }
    return FAB_OK;
}

static fab_status put_network(const bench *b, fab_json *out, fab_error *err)
{
    fab_json *n = NULL, *sizes = NULL;
    const double flop = fab_net_patch_flop(b->net, b->patch);
    double executed = 0;
    for (int i = 0; i < fab_net_operations(b->net); i++) executed += b->rows[i].executed;
    FAB_TRY(fab_put_object(out, "network", &n, err));
    FAB_TRY(fab_put_text_or_null(n, "model", b->model, err));
    FAB_TRY(fab_put_text(n, "isa", fab_nn_isa_name(b->isa), err));
    FAB_TRY(fab_put_text(n, "precision", fab_precision_name(fab_nn_isa_precision(b->isa)), err));
    FAB_TRY(fab_put_array(n, "patch", &sizes, err));
    for (int a = 0; a < 3; a++) FAB_TRY(fab_json_append(sizes, fab_json_int(b->patch[a]), err));
    FAB_TRY(fab_put_int(n, "classes", b->config.classes, err));
    FAB_TRY(fab_put_real(n, "gflop", flop * 1e-9, 3, err));
    FAB_TRY(fab_put_real(n, "executed_gflop", executed * 1e-9, 3, err));
    FAB_TRY(fab_put_real(n, "wall_s", b->wall_s, 6, err));
    FAB_TRY(fab_put_real(n, "cpu_s", b->cpu_s, 6, err));
    FAB_TRY(fab_put_real(n, "gflops_per_cpu_s", flop / b->cpu_s * 1e-9, 2, err));
    FAB_TRY(fab_put_real(n, "peak_gflops_per_cpu_s", b->peak * 1e-9, 2, err));
    FAB_TRY(fab_put_real(n, "percent_of_peak", 100 * executed / b->cpu_s / b->peak, 1, err));
    FAB_TRY(fab_put_int(n, "weights_bytes", (int64_t)fab_net_bytes(b->net), err));
    FAB_TRY(fab_put_int(n, "session_bytes",
                        (int64_t)fab_net_session_bytes(b->net, b->patch), err));
    FAB_TRY(put_groups(b, n, err));
    return put_layers(b, n, err);
}

static fab_status measure_all(bench *b, fab_json *out, fab_error *err)
{
    FAB_TRY(prepare(b, err));
    FAB_TRY(fab_put_int(out, "threads", fab_threads_get(), err));
    FAB_TRY(put_isas(b, out, err));
    FAB_TRY(run_rounds(b, err));
    FAB_TRY(put_network(b, out, err));
    fab_job_finish(&b->job);
    return FAB_OK;
}

fab_status fab_job_bench(const fab_bench_job *o, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *made = fab_json_object();
    bench b = {.o = o};
    if (!made) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    fab_job_start(&b.job, o->watch, steps, STEP_COUNT);
    const fab_status status = measure_all(&b, made, err);
    fab_net_session_free(b.session);
    fab_net_free(b.net);
    fab_free(b.rows);
    fab_free(b.round);
    fab_free(b.input);
    FAB_TRY(status);
    *out = made;
    made = NULL;
    return FAB_OK;
}
