/* talk.c - what every command does the same way: start, watch a job, end, say, print JSON. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int cli_exit_code(fab_status status)
{
    static const struct {
        fab_status status;
        int code;
    } codes[] = {
        {FAB_ERR_FORMAT, CLI_EXIT_REFUSED},     {FAB_ERR_UNSUPPORTED, CLI_EXIT_REFUSED},
        {FAB_ERR_LIMIT, CLI_EXIT_REFUSED},      {FAB_ERR_GEOMETRY, CLI_EXIT_REFUSED},
        {FAB_ERR_NOTFOUND, CLI_EXIT_REFUSED},   {FAB_ERR_CRASHED, CLI_EXIT_REFUSED},
        {FAB_ERR_ARG, CLI_EXIT_USAGE},          {FAB_ERR_INTEGRITY, CLI_EXIT_INTEGRITY},
        {FAB_ERR_NOSPACE, CLI_EXIT_NOSPACE},
    };
    if (status >= 0) return CLI_EXIT_OK;
    if (status == FAB_ERR_CANCELLED) return CLI_EXIT_SIGNAL + cli_signals_number();
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == status) return codes[i].code;
    return CLI_EXIT_FAILED;
}

static void on_step(void *ctx, const fab_job_step *step)
{
    (void)ctx;
    cli_progress_step(step);
}

static bool on_cancelled(void *ctx)
{
    (void)ctx;
    return cli_signals_cancelled();
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    cli_progress_note(text);
}

static void on_scratch(void *ctx, const char *folder, bool live)
{
    (void)ctx;
    cli_signals_scratch(folder, live);
}

bool cli_quiet(const cli_call *call) { return cli_has(call, "quiet"); }

static cli_progress_mode progress_mode(const cli_call *call)
{
    const char *text = cli_text(call, "progress", "auto");
    if (strcmp(text, "json") == 0) return CLI_PROGRESS_JSON;
    if (strcmp(text, "bar") == 0) return CLI_PROGRESS_BAR;
    if (strcmp(text, "none") == 0 || cli_quiet(call)) return CLI_PROGRESS_NONE;
    return isatty(STDERR_FILENO) ? CLI_PROGRESS_BAR : CLI_PROGRESS_NONE;
}

const fab_job_watch *cli_begin(const cli_call *call)
{
    static const fab_job_watch watch = {NULL, on_step, on_cancelled, on_note, on_scratch};
    fab_threads_set((int)cli_int(call, "threads", 0));
    cli_progress_start(progress_mode(call), cli_quiet(call));
    cli_signals_start();
    return &watch;
}

static void tell_error_json(const cli_call *call, const fab_error *err, int code)
{
    FAB_AUTO(fab_json_free) fab_json *o = fab_json_object();
    FAB_AUTO_BUF fab_buf buf = {0};
    fab_writer w;
    fab_writer_to_buf(&buf, &w);
    bool good = fab_json_set(o, "event", fab_json_string("error"), NULL) == FAB_OK &&
                fab_json_set(o, "command", fab_json_string(call->command->name), NULL) == FAB_OK &&
                fab_json_set(o, "status", fab_json_string(fab_status_name(err->status)),
                             NULL) == FAB_OK &&
                fab_json_set(o, "exit", fab_json_int(code), NULL) == FAB_OK &&
                fab_json_set(o, "message", fab_json_string(err->message), NULL) == FAB_OK &&
                fab_json_dump(o, 0, &w, NULL) == FAB_OK;
    if (good) fprintf(stderr, "%.*s", (int)buf.size, (const char *)buf.data);
}

int cli_end(const cli_call *call, fab_status status, const fab_error *err)
{
    char clean[FAB_MAX_ERROR_BYTES + 16];
    cli_signals_done();
    cli_progress_end();
    int code = cli_exit_code(status);
    if (status >= 0) return code;
    if (cli_progress_current() == CLI_PROGRESS_JSON) tell_error_json(call, err, code);
    else if (status == FAB_ERR_CANCELLED)
        fprintf(stderr, "fabrica %s: stopped; nothing was written\n", call->command->name);
    else
        fprintf(stderr, "fabrica %s: %s\n", call->command->name,
                cli_clean(err->message, clean, sizeof clean));
    return code;
}

void cli_say(const cli_call *call, const char *format, ...)
{
    va_list args;
    if (cli_quiet(call)) return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

static fab_status write_stdout(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    (void)ctx;
    if (fwrite(bytes, 1, count, stdout) == count) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_IO, "cannot write to standard output");
}

int cli_print_json(const fab_json *value)
{
    fab_error err = {0};
    fab_writer w = {.write = write_stdout};
    if (fab_json_dump(value, 2, &w, &err) < 0 || fflush(stdout) != 0) {
        fprintf(stderr, "fabrica: %s\n", err.message[0] ? err.message : "cannot write output");
        return CLI_EXIT_FAILED;
    }
    return CLI_EXIT_OK;
}

const char *cli_clean(const char *text, char *into, size_t capacity)
{
    return fab_text_clean(text, ' ', into, capacity);
}
