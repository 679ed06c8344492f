/* signals.c - stopping within a second, leaving nothing behind.
 *
 *     Ctrl-C -> handler: flag, wake the watchdog -> the job sees the flag at its next step, cleans
 *               up and returns -> exit
 *               watchdog: 0.2 s later the job is still busy -> renames the job's temporary folders,
 *               so that it can put nothing more into them, removes them and half-written files,
 *               and exits
 *     A closed terminal (SIGHUP) and a closed pipe under the progress (SIGPIPE) stop it likewise.
 *     Ctrl-C again -> default action: dead at once (the next run tidies up, see case_writer.c)
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { MAX_SCRATCH = 8, REMOVE_TRIES = 20 };

static double patience_s = 0.2; /* set before the watchdog starts */

static atomic_int signal_number;
static atomic_bool finished;
static sem_t wake;
static pthread_mutex_t scratch_lock = PTHREAD_MUTEX_INITIALIZER;
static char scratch[MAX_SCRATCH][FAB_MAX_PATH_BYTES];

static void on_signal(int number)
{
    int saved = errno;
    atomic_store(&signal_number, number);
    sem_post(&wake);
    errno = saved;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}

/* The job still runs: under another name its paths lead nowhere, and the one file that it may be
 * making at this moment is caught by trying again. The new name is one mkdtemp never gives, and
 * one that the next run's tidying knows. A folder that is gone has become the finished case. */
static void remove_folder(const char *folder)
{
    char doomed[FAB_MAX_PATH_BYTES];
    snprintf(doomed, sizeof doomed, "%s", folder);
    doomed[strlen(doomed) - 1] = '-';
    if (rename(folder, doomed) != 0) return;
    for (int n = 0; n < REMOVE_TRIES && access(doomed, F_OK) == 0; n++) {
        (void)fab_path_remove_tree(doomed, NULL);
        if (n) sleep_ms(2);
    }
}

static void remove_scratch(void)
{
    pthread_mutex_lock(&scratch_lock); /* for good: the process ends here */
    for (int i = 0; i < MAX_SCRATCH; i++)
        if (scratch[i][0]) remove_folder(scratch[i]);
    fab_atomic_remove_unfinished();
}

static void *watchdog(void *unused)
{
    (void)unused;
    while (sem_wait(&wake) != 0 && errno == EINTR) continue;
    double until_s = fab_time_wall_s() + patience_s;
    while (fab_time_wall_s() < until_s && !atomic_load(&finished)) sleep_ms(10);
    if (atomic_load(&finished)) return NULL;
    remove_scratch();
    /* not through stdio, whose lock the job may hold */
    const char *text = cli_progress_is_open() ? "\r\x1b[Kfabrica: stopped\n" : "fabrica: stopped\n";
    (void)!write(STDERR_FILENO, text, strlen(text));
    _exit(CLI_EXIT_SIGNAL + atomic_load(&signal_number));
}

void cli_signals_start(void)
{
    pthread_t thread;
    sigset_t all, before;
    struct sigaction action = {0};
    if (sem_init(&wake, 0, 0) != 0) return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool watching = pthread_create(&thread, NULL, watchdog, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!watching) return;
    pthread_detach(thread);
    action.sa_handler = on_signal;
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction given;
    if (sigaction(SIGHUP, NULL, &given) == 0 && given.sa_handler != SIG_IGN) /* not under nohup */
        sigaction(SIGHUP, &action, NULL);
    action.sa_flags = (int)SA_RESTART; /* every further line of progress raises it again */
    sigaction(SIGPIPE, &action, NULL);
}

void cli_signals_patience(double seconds) { patience_s = seconds; }

void cli_signals_done(void) { atomic_store(&finished, true); }

bool cli_signals_cancelled(void) { return atomic_load(&signal_number) != 0; }

int cli_signals_number(void) { return atomic_load(&signal_number); }

void cli_signals_scratch(const char *folder, bool live)
{
    pthread_mutex_lock(&scratch_lock);
    for (int i = 0; i < MAX_SCRATCH; i++) {
        bool match = live ? scratch[i][0] == '\0' : strcmp(scratch[i], folder) == 0;
        if (!match) continue;
        if (live) snprintf(scratch[i], sizeof scratch[i], "%s", folder);
        else scratch[i][0] = '\0';
        break;
    }
    pthread_mutex_unlock(&scratch_lock);
}
