/* job.c - a job's steps: what its watcher hears, when it must stop, what each step cost. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* Decoding happens in worker processes; their time is ours. */
static double cpu_with_children_s(void)
{
    struct rusage c;
    double s = fab_time_cpu_s();
    if (getrusage(RUSAGE_CHILDREN, &c) == 0)
        s += (double)c.ru_utime.tv_sec + 1e-6 * (double)c.ru_utime.tv_usec +
             (double)c.ru_stime.tv_sec + 1e-6 * (double)c.ru_stime.tv_usec;
    return s;
}

static void tell(fab_job *job)
{
    const fab_job_watch *w = job->watch;
    if (!w || !w->step || job->current < 0) return;
    double before = 0, total = 0;
    for (int i = 0; i < job->count; i++) {
        total += job->steps[i].weight;
        if (i < job->current) before += job->steps[i].weight;
    }
    double here = job->steps[job->current].weight * job->fraction;
    fab_job_step s = {job->steps[job->current].name, job->steps[job->current].text, job->current,
                      job->count, job->fraction, total > 0 ? (before + here) / total : 0};
    w->step(w->ctx, &s);
}

static void leave_part(fab_job *job)
{
    if (!job->open) return;
    job->open->wall_s += fab_time_wall_s() - job->part_wall_s;
    job->open->cpu_s += cpu_with_children_s() - job->part_cpu_s;
    job->open = NULL;
}

/* The current step's part of that name; a step's own name is none. NULL when there is no room. */
static fab_job_part_times *part_named(fab_job *job, const char *name)
{
    fab_job_part_times *part = job->parts[job->current];
    if (strcmp(name, job->steps[job->current].name) == 0) return NULL;
    for (int i = 0; i < FAB_JOB_MAX_PARTS; i++, part++) {
        if (!part->name) part->name = name;
        if (strcmp(part->name, name) == 0) return part;
    }
    return NULL;
}

static void follow_part(fab_job *job, const char *name, double fraction)
{
    if (job->current < 0) return;
    fab_job_part_times *part = part_named(job, name);
    if (part != job->open) {
        leave_part(job);
        job->open = part;
        job->part_wall_s = fab_time_wall_s();
        job->part_cpu_s = cpu_with_children_s();
    }
    if (fraction >= 1) leave_part(job);
}

static void on_report(void *ctx, const char *step, double fraction)
{
    fab_job *job = ctx;
    follow_part(job, step, fraction);
    double f = job->part_from + job->part_span * fmin(fmax(fraction, 0), 1);
    if (f > job->fraction) job->fraction = f;
    tell(job);
}

static bool on_cancelled(void *ctx)
{
    const fab_job *job = ctx;
    const fab_job_watch *w = job->watch;
    return w && w->cancelled && w->cancelled(w->ctx);
}

void fab_job_start(fab_job *job, const fab_job_watch *watch, const fab_step_def *steps, int count)
{
    *job = (fab_job){.watch = watch, .steps = steps, .count = count, .current = -1};
    job->progress = (fab_progress){job, on_report, on_cancelled};
    job->started_wall_s = fab_time_wall_s();
    job->started_cpu_s = cpu_with_children_s();
    job->part_span = 1;
}

static void close_step(fab_job *job)
{
    if (job->current < 0) return;
    leave_part(job);
    job->wall_s[job->current] += fab_time_wall_s() - job->step_wall_s;
    job->cpu_s[job->current] += cpu_with_children_s() - job->step_cpu_s;
}

fab_status fab_job_enter(fab_job *job, int index, fab_error *err)
{
    close_step(job);
    job->current = index;
    job->fraction = 0;
    job->part_from = 0;
    job->part_span = 1;
    job->step_wall_s = fab_time_wall_s();
    job->step_cpu_s = cpu_with_children_s();
    return fab_progress_step(&job->progress, job->steps[index].name, 0, err);
}

fab_status fab_job_part(fab_job *job, size_t index, size_t count, fab_error *err)
{
    job->part_from = count ? (double)index / (double)count : 0;
    job->part_span = count ? 1.0 / (double)count : 1;
    return fab_progress_step(&job->progress, job->steps[job->current].name, 0, err);
}

void fab_job_finish(fab_job *job)
{
    job->fraction = 1;
    tell(job);
    close_step(job);
    job->current = -1;
}

void fab_job_note(const fab_job_watch *watch, const char *format, ...)
{
    char text[1200];
    if (!watch || !watch->note) return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    watch->note(watch->ctx, text);
}

void fab_job_scratch(const fab_job_watch *watch, const char *folder, bool live)
{
    if (watch && watch->scratch) watch->scratch(watch->ctx, folder, live);
}

fab_status fab_job_begin_folder(const fab_job_watch *watch, const char *path, const char *marker,
                                bool replace, fab_case_writer **out, fab_error *err)
{
    FAB_TRY(fab_case_begin_folder(path, marker, replace, out, err));
    fab_job_scratch(watch, fab_case_folder(*out), true);
    return FAB_OK;
}

fab_status fab_job_commit_folder(const fab_job_watch *watch, fab_case_writer **w, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", fab_case_folder(*w));
    FAB_TRY(fab_case_commit(w, err));
    fab_job_scratch(watch, folder, false);
    return FAB_OK;
}

fab_case_writer *fab_job_abort_folder(const fab_job_watch *watch, fab_case_writer *w)
{
    char folder[FAB_MAX_PATH_BYTES];
    if (!w) return NULL;
    snprintf(folder, sizeof folder, "%s", fab_case_folder(w));
    fab_case_abort(w);
    fab_job_scratch(watch, folder, false);
    return NULL;
}

static fab_status put_parts(const fab_job *job, int step, fab_json *row, fab_error *err)
{
    const fab_job_part_times *part = job->parts[step];
    fab_json *parts = NULL;
    FAB_TRY(fab_put_array(row, "parts", &parts, err));
    for (int i = 0; i < FAB_JOB_MAX_PARTS && part[i].name; i++) {
        fab_json *times = NULL;
        FAB_TRY(fab_add_object(parts, &times, err));
        FAB_TRY(fab_put_text(times, "name", part[i].name, err));
        FAB_TRY(fab_put_real(times, "wall_s", part[i].wall_s, 3, err));
        FAB_TRY(fab_put_real(times, "cpu_s", part[i].cpu_s, 3, err));
    }
    return FAB_OK;
}

fab_status fab_job_run_json(const fab_job *job, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *run = fab_json_object();
    fab_json *steps = NULL;
    struct rusage child = {0};
    FAB_TRY(fab_put_real(run, "wall_s", fab_time_wall_s() - job->started_wall_s, 3, err));
    FAB_TRY(fab_put_real(run, "cpu_s", cpu_with_children_s() - job->started_cpu_s, 3, err));
    FAB_TRY(fab_put_int(run, "peak_rss_bytes", (int64_t)fab_peak_rss_bytes(), err));
    if (getrusage(RUSAGE_CHILDREN, &child) == 0)
        FAB_TRY(fab_put_int(run, "peak_rss_worker_bytes", (int64_t)child.ru_maxrss * 1024, err));
    FAB_TRY(fab_put_int(run, "threads", fab_threads_get(), err));
    FAB_TRY(fab_put_array(run, "steps", &steps, err));
    for (int i = 0; i < job->count; i++) {
        fab_json *row = NULL;
        FAB_TRY(fab_add_object(steps, &row, err));
        FAB_TRY(fab_put_text(row, "name", job->steps[i].name, err));
        FAB_TRY(fab_put_real(row, "wall_s", job->wall_s[i], 3, err));
        FAB_TRY(fab_put_real(row, "cpu_s", job->cpu_s[i], 3, err));
        FAB_TRY(put_parts(job, i, row, err));
    }
    *out = run;
    run = NULL;
    return FAB_OK;
}
