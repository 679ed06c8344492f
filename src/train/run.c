/* run.c - a training run: patches, gradients, steps, a log, checkpoints. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train_internal.h"

enum { LOG_EVERY = 20, SAVE_EVERY_S = 300 };

typedef struct run {
    const fab_train_options *o;
    fab_recipe recipe;
    fab_cases cases;
    fab_trainer *trainer;
    fab_train_patch_buffers *patches; /* of one batch */
    fab_error *errors;
    int64_t iteration;
    double started_s, saved_s, cpu_s;
    struct {
        double cross_entropy, dice, cpu_s, patch_cpu_s;
        int count;
    } sum;
    double rate, last_cross_entropy, last_dice;
} run;

/* ---- patches -------------------------------------------------------------------------------- */

static void make_patch(void *ctx, int64_t index, int worker)
{
    run *r = ctx;
    (void)worker;
    r->errors[index].status = fab_patch_make(
        &r->recipe, &r->cases, r->iteration * r->recipe.schedule.batch + index,
        &r->patches[index], &r->errors[index]);
}

static fab_status make_batch(run *r, fab_error *err)
{
    fab_parallel_for(r->recipe.schedule.batch, make_patch, r);
    for (int i = 0; i < r->recipe.schedule.batch; i++)
        if (r->errors[i].status < 0)
            FAB_FAIL(err, r->errors[i].status, "patch: %.400s", r->errors[i].message);
    return FAB_OK;
}

/* ---- one iteration -------------------------------------------------------------------------- */

/* Cosine from the rate to a hundredth of it, after a linear warm-up (Loshchilov and Hutter 2017).*/
static double rate_at(const fab_schedule *s, int64_t iteration)
{
    const double done = (double)iteration / (double)s->iterations;
    const double warm = s->warmup > 0 ? (double)(iteration + 1) / (double)s->warmup : 1;
    const double cosine = 0.5 * (1 + cos(M_PI * (done < 1 ? done : 1)));
    return s->rate * (warm < 1 ? warm : 1) * (cosine > 0.01 ? cosine : 0.01);
}

static fab_status iterate(run *r, fab_error *err)
{
    const fab_schedule *s = &r->recipe.schedule;
    const double done = (double)r->iteration / (double)s->iterations;
    const double before = fab_time_cpu_s();
    float weights[FAB_UNET_MAX_CLASSES];
    FAB_TRY(make_batch(r, err));
    r->sum.patch_cpu_s += fab_time_cpu_s() - before;
    for (int k = 0; k < r->recipe.config.classes; k++)
        weights[k] = (float)pow(r->recipe.weight[k], 1 - s->even_out * (done < 1 ? done : 1));
    for (int i = 0; i < s->batch; i++) {
        fab_train_loss loss;
        FAB_TRY(fab_trainer_gradient(r->trainer, r->patches[i].hu, r->patches[i].labels, weights,
                                     1.0 / s->batch, &loss, err));
        r->sum.cross_entropy += loss.cross_entropy;
        r->sum.dice += loss.dice;
        r->sum.count++;
    }
    r->rate = rate_at(s, r->iteration);
    (void)fab_trainer_update(r->trainer, &(fab_adamw){r->rate, 0.9, 0.99, 1e-8, s->decay, s->clip,
                                                      s->average});
    r->iteration = fab_trainer_steps(r->trainer) > r->iteration ? fab_trainer_steps(r->trainer)
                                                                : r->iteration + 1;
    fab_trainer_set_steps(r->trainer, r->iteration); /* a step that was left out counts too */
    r->sum.cpu_s += fab_time_cpu_s() - before;
    return FAB_OK;
}

/* ---- what it tells -------------------------------------------------------------------------- */

static fab_status append_line(const char *path, const char *line, fab_error *err)
{
    FILE *f = fopen(path, "ae");
    if (!f) FAB_FAIL(err, FAB_ERR_IO, "cannot write %s", path);
    const bool ok = fprintf(f, "%s\n", line) > 0;
    if (fclose(f) != 0 || !ok) FAB_FAIL(err, FAB_ERR_IO, "cannot write %s", path);
    return FAB_OK;
}

static fab_status tell(run *r, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], line[300];
    const int n = r->sum.count;
    r->last_cross_entropy = r->sum.cross_entropy / n;
    r->last_dice = r->sum.dice / n;
    snprintf(line, sizeof line, "{\"iteration\": %lld, \"rate\": %.3g, \"cross_entropy\": %.4f, "
             "\"dice\": %.4f, \"cpu_s\": %.3f, \"patch_cpu_s\": %.3f}", (long long)r->iteration,
             r->rate, r->last_cross_entropy, r->last_dice, r->sum.cpu_s / n,
             r->sum.patch_cpu_s / n);
    FAB_TRY(fab_path_join(path, sizeof path, r->o->run, "log.jsonl", err));
    FAB_TRY(append_line(path, line, err));
    snprintf(line, sizeof line, "iteration %lld of %lld: cross-entropy %.3f, Dice %.3f, %.2f CPU s "
             "a patch (%.2f to make it)", (long long)r->iteration,
             (long long)r->recipe.schedule.iterations, r->last_cross_entropy, r->last_dice,
             r->sum.cpu_s / n, r->sum.patch_cpu_s / n);
    if (r->o->log) r->o->log(r->o->log_ctx, line);
    memset(&r->sum, 0, sizeof r->sum);
    return FAB_OK;
}

static fab_status save(run *r, fab_error *err)
{
    r->saved_s = fab_time_wall_s();
    return fab_state_save(r->o->run, &r->recipe, r->trainer, err);
}

/* ---- the run -------------------------------------------------------------------------------- */

static fab_status go(run *r, fab_error *err)
{
    const int64_t end = r->o->iterations > 0 ? r->o->iterations : r->recipe.schedule.iterations;
    const double until = r->o->minutes > 0 ? r->started_s + 60 * r->o->minutes : INFINITY;
    fab_status stopped = FAB_OK;
    const int64_t from = r->iteration;
    while (r->iteration < end && fab_time_wall_s() < until && stopped == FAB_OK) {
        FAB_TRY(iterate(r, err));
        if (r->iteration % LOG_EVERY == 0) FAB_TRY(tell(r, err));
        if (fab_time_wall_s() > r->saved_s + SAVE_EVERY_S) FAB_TRY(save(r, err));
        stopped = fab_progress_step(r->o->progress, "train",
                                    (double)r->iteration / (double)end, err);
    }
    if (r->iteration > from) FAB_TRY(save(r, stopped < 0 ? NULL : err));
    return stopped;
}

static fab_status make_trainer(run *r, fab_error *err)
{
    FAB_AUTO(fab_tensors_free) fab_tensors *any = NULL;
    FAB_TRY(fab_unet_random_weights(&r->recipe.config, &any, err));
    FAB_TRY(fab_trainer_create(&r->recipe.config, any, r->recipe.schedule.patch,
                               fab_nn_isa_best(FAB_PRECISION_FP32), &r->trainer, err));
    fab_error none = {0};
    const fab_status status = fab_state_load(r->o->run, r->trainer, &none);
    if (status == FAB_ERR_NOTFOUND)
        return fab_state_begin(&r->recipe, r->o->start_from, r->trainer, err);
    if (status < 0) FAB_FAIL(err, status, "%s", none.message);
    r->iteration = fab_trainer_steps(r->trainer);
    return FAB_OK;
}

static fab_status make_buffers(run *r, fab_error *err)
{
    const int batch = r->recipe.schedule.batch;
    r->patches = fab_calloc((size_t)batch, sizeof *r->patches);
    r->errors = fab_calloc((size_t)batch, sizeof *r->errors);
    if (!r->patches || !r->errors) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a batch");
    for (int i = 0; i < batch; i++)
        FAB_TRY(fab_patch_buffers(r->recipe.schedule.patch, &r->patches[i], err));
    return FAB_OK;
}

static fab_status load(run *r, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    const char *slash = strrchr(r->o->recipe, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - r->o->recipe) : 1,
             slash ? r->o->recipe : ".");
    FAB_TRY(fab_recipe_load(r->o->recipe, &r->recipe, err));
    if (fab_cases_load(&r->recipe, r->o->data ? r->o->data : folder, r->o->progress, &r->cases,
                       err) < 0)
        return fab_error_prefix(err, "%s", r->o->recipe);
    return FAB_OK;
}

static void free_run(run *r)
{
    for (int i = 0; r->patches && i < r->recipe.schedule.batch; i++)
        fab_patch_buffers_free(&r->patches[i]);
    fab_free(r->patches);
    fab_free(r->errors);
    fab_trainer_free(r->trainer);
    fab_cases_free(&r->cases);
    fab_recipe_free(&r->recipe);
}

static fab_status summarise(const run *r, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_TRY(fab_json_set(o, "iterations", fab_json_int(r->iteration), err));
    FAB_TRY(fab_json_set(o, "rate", fab_json_real(r->rate), err));
    FAB_TRY(fab_json_set(o, "cross_entropy", fab_json_real(r->last_cross_entropy), err));
    FAB_TRY(fab_json_set(o, "dice", fab_json_real(r->last_dice), err));
    FAB_TRY(fab_json_set(o, "cpu_s", fab_json_real(fab_time_cpu_s() - r->cpu_s), err));
    *out = o;
    o = NULL;
    return FAB_OK;
}

fab_status fab_train_run(const fab_train_options *o, fab_json **summary, fab_error *err)
{
    run r = {.o = o, .started_s = fab_time_wall_s(), .cpu_s = fab_time_cpu_s(),
             .last_cross_entropy = NAN, .last_dice = NAN};
    r.saved_s = r.started_s;
    fab_status status = load(&r, err);
    if (status == FAB_OK) status = fab_path_make_folder(o->run, err);
    if (status == FAB_OK) status = make_buffers(&r, err);
    if (status == FAB_OK) status = make_trainer(&r, err);
    if (status == FAB_OK) status = go(&r, err);
    if (status == FAB_OK && summary) status = summarise(&r, summary, err);
    free_run(&r);
    return status;
}

/* ---- looking -------------------------------------------------------------------------------- */

static fab_status as_volumes(const run *r, fab_volume **image, fab_volume **labels, fab_error *err)
{
    const double mm = r->recipe.spacing_mm;
    const int *patch = r->recipe.schedule.patch;
    const fab_grid g = {{patch[2], patch[1], patch[0]},
                        {{{mm, 0, 0, 0}, {0, mm, 0, 0}, {0, 0, mm, 0}}}};
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *l = NULL;
    FAB_TRY(fab_volume_create(&g, FAB_F32, &v, err));
    FAB_TRY(fab_volume_create(&g, FAB_U16, &l, err));
    memcpy(fab_volume_data_mut(v), r->patches[0].hu, fab_volume_bytes(v));
    memcpy(fab_volume_data_mut(l), r->patches[0].labels, fab_volume_bytes(l));
    *image = v;
    *labels = l;
    v = l = NULL;
    return FAB_OK;
}

fab_status fab_train_patch(const fab_train_options *o, int64_t index, fab_volume **image,
                           fab_volume **labels, fab_error *err)
{
    run r = {.o = o};
    fab_status status = load(&r, err);
    if (status == FAB_OK) status = make_buffers(&r, err);
    if (status == FAB_OK) status = fab_patch_make(&r.recipe, &r.cases, index, &r.patches[0], err);
    if (status == FAB_OK) status = as_volumes(&r, image, labels, err);
    free_run(&r);
    return status;
}
