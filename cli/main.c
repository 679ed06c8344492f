/* main.c - fabrica: the command table. One file a command (cmd_*.c). */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cli.h"

static const cli_command *const commands[] = {
    &cli_twin,
    &cli_info,
    &cli_segment,
    &cli_mesh,
    &cli_export,
    &cli_evaluate,
    &cli_measure,
    &cli_validate,
    &cli_verify,
    &cli_lesson,
    &cli_view,
    &cli_phantom,
    &cli_model,
    &cli_train,
    &cli_bench,
    &cli_help,
    &cli_completion,
    &cli_version,
    NULL};

const cli_command *const *cli_commands(void) { return commands; }

const cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[sizeof commands / sizeof *commands];
    size_t count = 0;
    for (; commands[count]; count++) names[count] = commands[count]->name;
    const char *near = cli_nearest(name, names, count);
    fprintf(stderr, "fabrica: there is no command \"%s\"", name);
    if (near) fprintf(stderr, "; did you mean \"%s\"?\n", near);
    else fprintf(stderr, "; \"fabrica help\" lists them\n");
    return CLI_EXIT_USAGE;
}

/* What was asked for went to standard output: if it did not arrive, that is no success. */
static int flushed(int code)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    if (!failed || code != CLI_EXIT_OK) return code;
    if (errno == EPIPE) return CLI_EXIT_SIGNAL + SIGPIPE; /* "| head": nothing to complain about */
    fprintf(stderr, "fabrica: cannot write to standard output: %s\n", strerror(errno));
    return errno == ENOSPC ? CLI_EXIT_NOSPACE : CLI_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    cli_call call;
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is a write error like any other */
    if (argc < 2) {
        cli_print_help(stderr);
        return CLI_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0) name = "version";
    const cli_command *command = cli_find_command(name);
    if (!command) return unknown_command(name);
    if (!cli_parse(command, argc - 2, argv + 2, &call)) return CLI_EXIT_USAGE;
    if (call.wants_help) {
        cli_print_command_help(command, stdout);
        return flushed(CLI_EXIT_OK);
    }
    return flushed(command->run(&call));
}
