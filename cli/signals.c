/* signals.c - stopping within a second, leaving nothing behind.
 *
 *     Ctrl-C -> handler: flag, wake the watchdog -> the job sees the flag at its next step, cleans
 *               up and returns -> exit
 *               watchdog: 0.8 s later the job is still busy -> removes the job's temporary folders
 *               itself and exits
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

enum { MAX_SCRATCH = 8, PATIENCE_MS = 800, REMOVE_TRIES = 20 };

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

/* The job still runs and may be putting a file in while its folder is being emptied. */
static void remove_scratch(void)
{
    pthread_mutex_lock(&scratch_lock);
    for (int i = 0; i < MAX_SCRATCH; i++) {
        for (int n = 0; scratch[i][0] && n < REMOVE_TRIES; n++) {
            (void)fab_path_remove_tree(scratch[i], NULL);
            if (access(scratch[i], F_OK) != 0) break;
            sleep_ms(2);
        }
    }
}

static void *watchdog(void *unused)
{
    (void)unused;
    while (sem_wait(&wake) != 0 && errno == EINTR) continue;
    for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
        if (atomic_load(&finished)) return NULL;
        sleep_ms(10);
    }
    if (atomic_load(&finished)) return NULL;
    remove_scratch();
    cli_progress_end();
    static const char text[] = "fabrica: stopped; nothing was written\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
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
}

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
