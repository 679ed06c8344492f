/* executes.c - whether code runs on this processor: tried under a SIGILL guard. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "fabrica/base.h"

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER; /* the handler is the process's */
static sigjmp_buf escape;

static void on_illegal(int signal_number)
{
    (void)signal_number;
    siglongjmp(escape, 1);
}

bool fab_executes(void (*run)(void *ctx), void *ctx)
{
    struct sigaction guard = {.sa_handler = on_illegal}, before;
    volatile bool done = false;
    sigemptyset(&guard.sa_mask);
    pthread_mutex_lock(&one_at_a_time);
    if (sigaction(SIGILL, &guard, &before) == 0) {
        if (sigsetjmp(escape, 1) == 0) {
            run(ctx);
            done = true;
        }
        sigaction(SIGILL, &before, NULL);
    }
    pthread_mutex_unlock(&one_at_a_time);
    return done;
}
