/* progress.c - one line that moves on a terminal, or one JSON line an event on standard error. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

static struct progress {
    cli_progress_mode mode;
    bool quiet, line_open, told_last;
    double started_s, told_s;
    int told_index;
} state;

static const double redraw_s = 0.1, json_s = 0.25, settle_s = 2.0, settle_share = 0.03;

void cli_progress_start(cli_progress_mode mode, bool quiet)
{
    state = (struct progress){.mode = mode, .quiet = quiet, .told_index = -1,
                              .started_s = fab_time_wall_s()};
}

cli_progress_mode cli_progress_current(void) { return state.mode; }

/* Seconds left by the share done, or negative while that says nothing yet. */
static double time_left(const fab_job_step *s, double now)
{
    double elapsed = now - state.started_s;
    if (elapsed < settle_s || s->overall < settle_share || s->overall > 1) return -1;
    return elapsed * (1 - s->overall) / s->overall;
}

static void time_text(double seconds, char *into, size_t capacity)
{
    long n = (long)(seconds + 0.5);
    if (seconds < 0 || n == 0) snprintf(into, capacity, " ");
    else if (n < 90) snprintf(into, capacity, "%ld s left", n);
    else if (n < 3600) snprintf(into, capacity, "%ld min %02ld s left", n / 60, n % 60);
    else snprintf(into, capacity, "%ld h %02ld min left", n / 3600, n % 3600 / 60);
}

static int terminal_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20) return w.ws_col;
    return 80;
}

static void draw_bar(const fab_job_step *s, double now)
{
    static const char full[] = "\xe2\x94\x81", rest[] = "\xe2\x94\x80"; /* heavy and light rule */
    char left[40], bar[40 * 3 + 1] = "";
    time_text(time_left(s, now), left, sizeof left);
    int room = terminal_width() - 58, cells = room < 8 ? 8 : room > 40 ? 40 : room;
    int done = (int)(s->overall * cells + 0.5);
    for (int i = 0; i < cells; i++) memcpy(bar + (size_t)i * 3, i < done ? full : rest, 3);
    bar[(size_t)cells * 3] = '\0';
    fprintf(stderr, "\r\x1b[K%2d/%d  %-26.26s %s %3.0f %%  %s", s->index + 1, s->count, s->text,
            bar, 100 * s->overall, left);
    fflush(stderr);
    state.line_open = true;
}

static void json_string(const char *text)
{
    size_t size;
    FAB_AUTO(fab_json_free) fab_json *value = fab_json_string(text);
    FAB_AUTO_BUF fab_buf buf = {0};
    fab_writer w;
    fab_writer_to_buf(&buf, &w);
    if (!value || fab_json_dump(value, 0, &w, NULL) < 0) return;
    size = buf.size && buf.data[buf.size - 1] == '\n' ? buf.size - 1 : buf.size;
    fprintf(stderr, "%.*s", (int)size, (const char *)buf.data);
}

static void tell_json(const fab_job_step *s, double now)
{
    double left = time_left(s, now);
    fprintf(stderr, "{\"event\":\"progress\",\"step\":\"%s\",\"index\":%d,\"count\":%d,"
                    "\"fraction\":%.4f,\"overall\":%.4f,\"elapsed_s\":%.2f,\"left_s\":",
            s->name, s->index, s->count, s->fraction, s->overall, now - state.started_s);
    if (left < 0) fprintf(stderr, "null}\n");
    else fprintf(stderr, "%.1f}\n", left);
}

void cli_progress_step(const fab_job_step *s)
{
    if (state.mode == CLI_PROGRESS_NONE) return;
    double now = fab_time_wall_s();
    bool new_step = s->index != state.told_index, last = s->overall >= 1 && !state.told_last;
    double pause = state.mode == CLI_PROGRESS_BAR ? redraw_s : json_s;
    if (!new_step && !last && now - state.told_s < pause) return;
    state.told_index = s->index;
    state.told_last = s->overall >= 1;
    state.told_s = now;
    if (state.mode == CLI_PROGRESS_BAR) draw_bar(s, now);
    else tell_json(s, now);
}

void cli_progress_note(const char *text)
{
    char clean[1400];
    if (state.mode == CLI_PROGRESS_JSON) {
        fprintf(stderr, "{\"event\":\"note\",\"text\":");
        json_string(text);
        fprintf(stderr, "}\n");
        return;
    }
    if (state.quiet) return;
    cli_progress_end();
    fprintf(stderr, "note: %s\n", cli_clean(text, clean, sizeof clean));
}

bool cli_progress_is_open(void) { return state.line_open; }

void cli_progress_end(void)
{
    if (!state.line_open) return;
    fprintf(stderr, "\r\x1b[K");
    fflush(stderr);
    state.line_open = false;
}
