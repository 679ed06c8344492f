/* describe.c - help, exit codes, man page and shell completion, all printed from the tables. */
#include <string.h>

#include "cli.h"

static const struct {
    int code;
    const char *text;
} exit_codes[] = {
    {CLI_EXIT_OK, "done"},
    {CLI_EXIT_FAILED, "failed: out of memory, an operating system error, an internal error"},
    {CLI_EXIT_USAGE, "the command line makes no sense, or the output exists already"},
    {CLI_EXIT_REFUSED, "the input was refused: missing, damaged, not supported, above a limit, or "
                       "its geometry cannot be trusted"},
    {CLI_EXIT_INTEGRITY, "a hash does not match: the file was changed after it was written"},
    {CLI_EXIT_NOSPACE, "the disk or quota is full"},
    {CLI_EXIT_SIGNAL + 1, "stopped because the terminal closed (SIGHUP); nothing was written"},
    {CLI_EXIT_SIGNAL + 2, "stopped by Ctrl-C (SIGINT); nothing was written"},
    {CLI_EXIT_SIGNAL + 13, "stopped because nobody read its output (SIGPIPE); nothing was written"},
    {CLI_EXIT_SIGNAL + 15, "stopped by SIGTERM; nothing was written"},
};

void cli_print_exit_codes(FILE *to)
{
    fprintf(to, "Exit codes:\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        fprintf(to, "  %3d  %s\n", exit_codes[i].code, exit_codes[i].text);
}

/* ---- help ------------------------------------------------------------------------------- */

static void print_options(const cli_option *table, FILE *to)
{
    for (size_t i = 0; table && table[i].name; i++) {
        const cli_option *o = &table[i];
        char left[80], letter[8] = "";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%4s--%s%s%s", letter, o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        if (strlen(left) > 28) fprintf(to, "  %s\n  %-28s  %s\n", left, "", o->help);
        else fprintf(to, "  %-28s  %s\n", left, o->help);
    }
}

/* Paragraphs filled to 78 columns. */
static void wrap(const char *text, FILE *to)
{
    int column = 0;
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (column && column + 1 + n > 78) column = fputc('\n', to) == EOF;
        fprintf(to, "%s%.*s", column ? " " : "", n, text);
        column += n + (column > 0);
        text += n;
        if (*text == '\n') column = fputc('\n', to) == EOF;
        if (*text) text++;
    }
    fputc('\n', to);
}

void cli_print_command_help(const cli_command *c, FILE *to)
{
    fprintf(to, "fabrica %s - %s\n\nUsage: fabrica %s%s%s [options]\n\n", c->name, c->summary,
            c->name, c->arguments[0] ? " " : "", c->arguments);
    wrap(c->description, to);
    if (c->options && c->options[0].name) {
        fprintf(to, "\nOptions:\n");
        print_options(c->options, to);
    }
    fprintf(to, "\nFor every command:\n");
    print_options(cli_global_options, to);
    for (size_t i = 0; c->examples && c->examples[i]; i += 2)
        fprintf(to, "%s  # %s\n  %s\n", i ? "" : "\nExamples:\n", c->examples[i],
                c->examples[i + 1]);
}

void cli_print_help(FILE *to)
{
    const cli_command *const *all = cli_commands();
    fprintf(to, "fabrica - a digital twin from a CT or MR study\n\n"
                "Usage: fabrica COMMAND [arguments] [options]\n\nCommands:\n");
    for (size_t i = 0; all[i]; i++) fprintf(to, "  %-11s %s\n", all[i]->name, all[i]->summary);
    fprintf(to, "\n\"fabrica COMMAND --help\" explains a command, \"fabrica help exit-codes\" the "
                "exit codes.\nNot for diagnostic use.\n");
}

/* ---- man page --------------------------------------------------------------------------- */

static void roff(const char *text, FILE *to)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\'')) fputs("\\&", to);
        if (*text == '\\') fputs("\\e", to);
        else if (*text == '-') fputs("\\-", to);
        else if (*text == '\n') fputs("\n.PP\n", to);
        else fputc(*text, to);
        line_start = *text == '\n';
    }
}

static void roff_options(const cli_option *table, FILE *to)
{
    for (size_t i = 0; table && table[i].name; i++) {
        fprintf(to, ".TP\n");
        if (table[i].letter) fprintf(to, "\\fB\\-%c\\fR, ", table[i].letter);
        fprintf(to, "\\fB\\-\\-");
        roff(table[i].name, to);
        fprintf(to, "\\fR%s", table[i].value ? " \\fI" : "");
        if (table[i].value) {
            roff(table[i].value, to);
            fprintf(to, "\\fR");
        }
        fputc('\n', to);
        roff(table[i].help, to);
        fputc('\n', to);
    }
}

static void roff_command(const cli_command *c, FILE *to)
{
    fprintf(to, ".SS \"fabrica %s %s\"\n", c->name, c->arguments);
    roff(c->description, to);
    fputc('\n', to);
    roff_options(c->options, to);
    for (size_t i = 0; c->examples && c->examples[i]; i += 2) {
        fprintf(to, ".PP\n");
        roff(c->examples[i], to);
        fprintf(to, ":\n.PP\n.nf\n.RS\n");
        roff(c->examples[i + 1], to);
        fprintf(to, "\n.RE\n.fi\n");
    }
}

void cli_print_man(FILE *to)
{
    const cli_command *const *all = cli_commands();
    fprintf(to, ".TH FABRICA 1 \"\" \"fabrica " FAB_VERSION "\" \"User Commands\"\n.SH NAME\n"
                "fabrica \\- a digital twin from a CT or MR study\n.SH SYNOPSIS\n"
                ".B fabrica\n\\fICOMMAND\\fR [\\fIarguments\\fR] [\\fIoptions\\fR]\n"
                ".SH DESCRIPTION\nFabrica reads a CT or MR series, finds the anatomy in it with a "
                "neural network on the CPU, and writes a folder with closed surfaces, label map, "
                "report and export files. Nothing leaves the machine. Not for diagnostic use.\n"
                ".SH COMMANDS\n");
    for (size_t i = 0; all[i]; i++) roff_command(all[i], to);
    fprintf(to, ".SH \"OPTIONS OF EVERY COMMAND\"\n");
    roff_options(cli_global_options, to);
    fprintf(to, ".SH \"EXIT STATUS\"\n");
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        fprintf(to, ".TP\n.B %d\n%s\n", exit_codes[i].code, exit_codes[i].text);
    fprintf(to, ".SH ENVIRONMENT\n.TP\n.B FABRICA_MODELS\nfolders with model packages, separated "
                "by colons\n.TP\n.B FABRICA_WEB\nfolder with the web client of fabrica view\n"
                ".SH FILES\n.TP\n.I CASE/manifest.json\nwhat went in, what was done, "
                "what came out\n");
}

/* ---- completion ------------------------------------------------------------------------- */

static void complete_values(const cli_command *c, FILE *to)
{
    for (size_t i = 0; c->options && c->options[i].name; i++) {
        if (c->options[i].kind != CLI_CHOICE) continue;
        fprintf(to, "    %s:--%s) COMPREPLY=($(compgen -W '", c->name, c->options[i].name);
        for (const char *at = c->options[i].value; *at; at++) fputc(*at == '|' ? ' ' : *at, to);
        fprintf(to, "' -- \"$word\")); return ;;\n");
    }
}

void cli_print_completion(FILE *to)
{
    const cli_command *const *all = cli_commands();
    fprintf(to, "# bash completion of fabrica " FAB_VERSION ", printed by: fabrica completion\n"
                "_fabrica() {\n  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
                "  local before=${COMP_WORDS[COMP_CWORD-1]} options=\n  COMPREPLY=()\n"
                "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W '");
    for (size_t i = 0; all[i]; i++) fprintf(to, "%s%s", i ? " " : "", all[i]->name);
    fprintf(to, "' -- \"$word\"))\n    return\n  fi\n  case $command:$before in\n");
    for (size_t i = 0; all[i]; i++) complete_values(all[i], to);
    fprintf(to, "    *:--progress) COMPREPLY=($(compgen -W 'auto bar json none' -- \"$word\")); "
                "return ;;\n    model:model) COMPREPLY=($(compgen -W 'list show verify add' -- "
                "\"$word\")); return ;;\n  esac\n  case $command in\n");
    for (size_t i = 0; all[i]; i++) {
        fprintf(to, "    %s) options='", all[i]->name);
        for (size_t o = 0; all[i]->options && all[i]->options[o].name; o++)
            fprintf(to, "--%s ", all[i]->options[o].name);
        fprintf(to, "--threads --progress --quiet --help' ;;\n");
    }
    fprintf(to, "  esac\n  case $word in\n    -*) COMPREPLY=($(compgen -W \"$options\" -- "
                "\"$word\")) ;;\n    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n  esac\n}\n"
                "complete -o filenames -F _fabrica fabrica\n");
}
