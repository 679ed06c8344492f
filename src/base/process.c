/* process.c - clocks, memory and progress of this process. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "fabrica/base.h"

static double clock_s(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) return 0;
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double fab_time_wall_s(void)
{
    return clock_s(CLOCK_MONOTONIC);
}

double fab_time_cpu_s(void)
{
    return clock_s(CLOCK_PROCESS_CPUTIME_ID);
}

/* VmHWM, which starts at exec; getrusage's maximum is inherited across fork and exec. */
uint64_t fab_peak_rss_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu", &kib) == 1) break;
    if (f) fclose(f);
    if (kib) return kib << 10;
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (uint64_t)usage.ru_maxrss << 10;
}

bool fab_progress_cancelled(const fab_progress *p)
{
    return p && p->cancelled && p->cancelled(p->ctx);
}

fab_status fab_progress_step(const fab_progress *p, const char *step, double fraction,
                             fab_error *err)
{
    if (p && p->report) p->report(p->ctx, step, fraction);
    if (fab_progress_cancelled(p)) FAB_FAIL(err, FAB_ERR_CANCELLED, "stopped during %s", step);
    return FAB_OK;
}

static void report_span(void *ctx, const char *step, double fraction)
{
    const fab_progress_span *s = ctx;
    if (s->outer && s->outer->report)
        s->outer->report(s->outer->ctx, step, s->from + (s->to - s->from) * fraction);
}

static bool span_cancelled(void *ctx)
{
    return fab_progress_cancelled(((const fab_progress_span *)ctx)->outer);
}

void fab_progress_span_start(fab_progress_span *span, const fab_progress *outer, double from,
                             double to)
{
    *span = (fab_progress_span){{span, report_span, span_cancelled}, outer, from, to};
}
