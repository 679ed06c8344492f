/* cmd_help.c - fabrica help, version and completion. */
#include <string.h>

#include "cli.h"

static const cli_option help_options[] = {
    {"man", 0, CLI_FLAG, NULL, "print the man page (troff)"}, {0}};

static int run_help(const cli_call *call)
{
    if (cli_has(call, "man")) {
        cli_print_man(stdout);
        return CLI_EXIT_OK;
    }
    if (!call->argument_count) {
        cli_print_help(stdout);
        return CLI_EXIT_OK;
    }
    if (strcmp(call->arguments[0], "exit-codes") == 0) {
        cli_print_exit_codes(stdout);
        return CLI_EXIT_OK;
    }
    const cli_command *command = cli_find_command(call->arguments[0]);
    if (!command)
        return cli_usage_error(call, "there is no command \"%s\"", call->arguments[0]);
    cli_print_command_help(command, stdout);
    return CLI_EXIT_OK;
}

const cli_command cli_help = {
    "help", "[COMMAND|exit-codes]", "explain a command", 0, 1,
    "Without an argument, lists the commands.", NULL, help_options, run_help};

static int run_completion(const cli_call *call)
{
    if (call->argument_count && strcmp(call->arguments[0], "bash") != 0)
        return cli_usage_error(call, "only bash completion is there, not \"%s\"",
                               call->arguments[0]);
    cli_print_completion(stdout);
    return CLI_EXIT_OK;
}

static const char *const completion_examples[] = {"in ~/.bashrc",
                                                  "eval \"$(fabrica completion bash)\"", NULL};

const cli_command cli_completion = {
    "completion", "[bash]", "print the shell completion", 0, 1,
    "Prints a bash completion script.", completion_examples, NULL, run_completion};

static int run_version(const cli_call *call)
{
    (void)call;
    printf("fabrica " FAB_VERSION "\n");
    return CLI_EXIT_OK;
}

const cli_command cli_version = {
    "version", "", "print the version", 0, 0, "Prints the version.", NULL, NULL, run_version};
