/* threads.c - parallel loops over a small persistent pool.
 *
 * One loop runs at a time; a loop started inside a loop runs serially in its worker, and a loop
 * started while another thread's loop runs waits for the pool. Indices are handed out one by one
 * by an atomic counter, so callers choose chunks that are worth an atomic add. If threads cannot
 * be started, the caller does all the work: results never depend on the number of workers.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "fabrica/base.h"

typedef struct fab_loop {
    void (*fn)(void *ctx, int64_t index, int worker);
    void *ctx;
    int64_t count;
    atomic_llong next;
} fab_loop;

static pthread_mutex_t owner_lock = PTHREAD_MUTEX_INITIALIZER; /* who may run a loop */
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_ready = PTHREAD_COND_INITIALIZER;
static pthread_cond_t work_done = PTHREAD_COND_INITIALIZER;
static fab_loop *current;      /* under pool_lock */
static uint64_t generation;    /* under pool_lock */
static int started, wanted, busy;
static atomic_int configured;  /* 0: one per CPU */
static pthread_once_t cpus_counted = PTHREAD_ONCE_INIT;
static int cpus;
static _Thread_local bool inside_loop;

void fab_threads_set(int count)
{
    if (count < 0) count = 0;
    if (count > FAB_MAX_THREADS) count = FAB_MAX_THREADS;
    atomic_store(&configured, count);
}

/* Once, whatever becomes of the process's affinity: scratch is made for so many workers. */
static void count_cpus(void)
{
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    if (count < 1) count = sysconf(_SC_NPROCESSORS_ONLN); /* the set of a machine of over 1024 */
    if (count < 1) count = 1;
    cpus = count > FAB_MAX_THREADS ? FAB_MAX_THREADS : (int)count;
}

int fab_threads_get(void)
{
    const int count = atomic_load(&configured);
    pthread_once(&cpus_counted, count_cpus);
    return count > 0 ? count : cpus;
}

static void run_indices(fab_loop *loop, int worker)
{
    inside_loop = true;
    for (;;) {
        int64_t index = atomic_fetch_add(&loop->next, 1);
        if (index >= loop->count) break;
        loop->fn(loop->ctx, index, worker);
    }
    inside_loop = false;
}

static void *worker_main(void *arg)
{
    int worker = (int)(intptr_t)arg;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool_lock);
    for (;;) {
        while (generation == seen || !current) {
            if (generation != seen && !current) seen = generation;
            pthread_cond_wait(&work_ready, &pool_lock);
        }
        seen = generation;
        if (worker >= wanted) continue;
        fab_loop *loop = current;
        busy++;
        pthread_mutex_unlock(&pool_lock);
        run_indices(loop, worker);
        pthread_mutex_lock(&pool_lock);
        if (--busy == 0) pthread_cond_signal(&work_done);
    }
    return NULL;
}

/* Starts workers 1..count-1 that do not run yet. pool_lock held. */
static void start_workers(int count)
{
    if (started == 0) started = 1; /* worker 0 is the caller */
    while (started < count) {
        pthread_t thread;
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        int failed = pthread_create(&thread, &attr, worker_main, (void *)(intptr_t)started);
        pthread_attr_destroy(&attr);
        if (failed) return;
        started++;
    }
}

void fab_parallel_for(int64_t count, void (*fn)(void *ctx, int64_t index, int worker), void *ctx)
{
    int threads = fab_threads_get();
    if (inside_loop || threads == 1 || count <= 1) {
        for (int64_t i = 0; i < count; i++) fn(ctx, i, 0);
        return;
    }
    fab_loop loop = {.fn = fn, .ctx = ctx, .count = count};
    pthread_mutex_lock(&owner_lock);
    pthread_mutex_lock(&pool_lock);
    start_workers(threads);
    wanted = threads;
    current = &loop;
    generation++;
    pthread_cond_broadcast(&work_ready);
    pthread_mutex_unlock(&pool_lock);
    run_indices(&loop, 0);
    pthread_mutex_lock(&pool_lock);
    current = NULL; /* late wakers find nothing */
    while (busy > 0) pthread_cond_wait(&work_done, &pool_lock);
    pthread_mutex_unlock(&pool_lock);
    pthread_mutex_unlock(&owner_lock);
}
