/* cli.h - the command line: a table of commands, each with a table of options. Help, man page and
 * shell completion are printed from the same tables, so they cannot disagree with what is parsed.
 * Only this part of Fabrica prints, exits, or reads argv and the environment. */
#ifndef FAB_CLI_H
#define FAB_CLI_H

#include <stdio.h>

#include "fabrica/pipeline.h"

/* Exit codes; `fabrica help exit-codes` and the man page print this list. */
enum {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1,   /* memory, an operating system error, an internal error */
    CLI_EXIT_USAGE = 2,    /* the command line makes no sense */
    CLI_EXIT_REFUSED = 3,  /* the input is missing, damaged, unsupported, or its geometry unsafe */
    CLI_EXIT_INTEGRITY = 4,/* a hash or checksum does not match */
    CLI_EXIT_NOSPACE = 5,  /* disk full */
    CLI_EXIT_SIGNAL = 128  /* plus the signal: 130 after Ctrl-C, 143 after SIGTERM */
};
int cli_exit_code(fab_status status);

/* ---- options ---------------------------------------------------------------------------- */

typedef enum cli_kind {
    CLI_FLAG, CLI_TEXT, CLI_PATH, CLI_INT, CLI_REAL, CLI_CHOICE, CLI_SIZE, CLI_VECTOR,
    CLI_LIST /* text; may be given several times */
} cli_kind;

typedef struct cli_option {
    const char *name;    /* without the dashes; NULL ends a table */
    char letter;         /* 0: none */
    cli_kind kind;
    const char *value;   /* placeholder in help; for CLI_CHOICE the choices: "auto|json|none" */
    const char *help;
    double low, high;    /* inclusive range of numbers; both 0: any */
} cli_option;

typedef struct cli_call cli_call;

typedef struct cli_command {
    const char *name, *arguments, *summary;
    int least, most;            /* how many arguments */
    const char *description;    /* paragraphs separated by a newline */
    const char *const *examples;/* pairs: what, command line; ends with NULL */
    const cli_option *options;
    int (*run)(const cli_call *call);
} cli_command;

enum { CLI_MAX_OPTIONS = 48, CLI_MAX_ARGUMENTS = 8, CLI_MAX_LIST = 16 };

struct cli_call {
    const cli_command *command;
    const char *arguments[CLI_MAX_ARGUMENTS];
    int argument_count;
    const cli_option *options[CLI_MAX_OPTIONS]; /* the command's, then the global ones */
    const char *values[CLI_MAX_OPTIONS];        /* NULL: not given */
    int option_count;
    const char *list[CLI_MAX_LIST + 1];         /* of the one CLI_LIST option; ends with NULL */
    bool wants_help;
};

extern const cli_option cli_global_options[];
const cli_command *const *cli_commands(void); /* ends with NULL */
const cli_command *cli_find_command(const char *name);

/* Parses argv after the command's name. Prints what is wrong and returns false. */
bool cli_parse(const cli_command *command, int argc, char **argv, cli_call *out);
/* Values checked by cli_parse. Asking for an option the command has not is a programming error. */
bool cli_has(const cli_call *call, const char *name);
const char *cli_text(const cli_call *call, const char *name, const char *otherwise);
double cli_real(const cli_call *call, const char *name, double otherwise);
long cli_int(const cli_call *call, const char *name, long otherwise);
size_t cli_bytes(const cli_call *call, const char *name); /* "2G" */
void cli_vector(const cli_call *call, const char *name, double values[3]); /* "1,1,3" or "2" */
/* The name of `names` nearest to `word` by edit distance, NULL if none is near. */
const char *cli_nearest(const char *word, const char *const *names, size_t count);

/* ---- talking to the person -------------------------------------------------------------- */

/* Sets threads, progress and signal handling from the global options. Pass the result to jobs. */
const fab_job_watch *cli_begin(const cli_call *call);
/* Ends the progress line; prints the error if status is negative; returns the exit code. */
int cli_end(const cli_call *call, fab_status status, const fab_error *err);
int cli_usage_error(const cli_call *call, const char *format, ...) FAB_PRINTF(2, 3);
bool cli_quiet(const cli_call *call);
/* A line of the result, on standard output, unless --quiet. */
void cli_say(const cli_call *call, const char *format, ...) FAB_PRINTF(2, 3);
int cli_print_json(const fab_json *value);
/* Text for humans: control characters are replaced, so that no file can steer the terminal. */
const char *cli_clean(const char *text, char *into, size_t capacity);

/* ---- tables ----------------------------------------------------------------------------- */

enum { CLI_MAX_COLUMNS = 10, CLI_CELL_BYTES = 160 };

typedef struct cli_table {
    int columns;
    bool right[CLI_MAX_COLUMNS];
    size_t rows, capacity;
    char (*cells)[CLI_CELL_BYTES]; /* rows x columns, the first row is the head */
} cli_table;
/* heads: "Name|>Dice|>HD95 mm", '>' aligns right */
bool cli_table_start(cli_table *t, const char *heads);
bool cli_table_cell(cli_table *t, int column, const char *format, ...) FAB_PRINTF(3, 4);
bool cli_table_row(cli_table *t);
void cli_table_print(cli_table *t, FILE *to); /* and frees */

/* ---- where things are ------------------------------------------------------------------- */

/* --models, $FABRICA_MODELS, models/ of the source tree, share/fabrica/models; NULL-terminated. */
const char *const *cli_model_folders(const cli_call *call);
/* Where this person's own models go; NULL if there is no home. */
const char *cli_own_models(void);
/* Where this person's things of that name are kept: $XDG_DATA_HOME/fabrica/NAME; NULL if there is
 * no home. Valid until the next call. */
const char *cli_own_folder(const char *name);
/* --web, $FABRICA_WEB, web/dist of the source tree, share/fabrica/web; NULL if there is none. */
const char *cli_web_folder(const cli_call *call);
/* --precision; auto without. */
fab_precision cli_precision(const cli_call *call);
/* --fast, --fastest. */
fab_totalseg_quality cli_quality(const cli_call *call);

/* ---- stopping --------------------------------------------------------------------------- */

/* From here Ctrl-C, SIGTERM, SIGHUP and SIGPIPE ask the job to stop; a job that has not stopped
 * within 0.2 s is left where it is, its temporary folders are removed and the process exits. A
 * second signal kills. */
void cli_signals_start(void);
/* Before cli_begin: how long a command may take to save its work once it is asked to stop. */
void cli_signals_patience(double seconds);
/* The job came to an end: the watchdog no longer acts. */
void cli_signals_done(void);
bool cli_signals_cancelled(void);
int cli_signals_number(void);
void cli_signals_scratch(const char *folder, bool live);

/* ---- progress --------------------------------------------------------------------------- */

typedef enum cli_progress_mode { CLI_PROGRESS_NONE, CLI_PROGRESS_BAR, CLI_PROGRESS_JSON }
    cli_progress_mode;
void cli_progress_start(cli_progress_mode mode, bool quiet);
void cli_progress_step(const fab_job_step *step);
void cli_progress_note(const char *text);
void cli_progress_end(void);
bool cli_progress_is_open(void); /* a line of a bar is on the terminal */
cli_progress_mode cli_progress_current(void);

/* ---- pictures on the terminal ----------------------------------------------------------- */

void cli_print_qr(const char *text, FILE *to);

/* ---- printed from the tables ------------------------------------------------------------ */

void cli_print_command_help(const cli_command *command, FILE *to);
void cli_print_help(FILE *to);
void cli_print_exit_codes(FILE *to);
void cli_print_man(FILE *to);
void cli_print_completion(FILE *to);

extern const cli_command cli_twin, cli_info, cli_segment, cli_mesh, cli_export, cli_evaluate,
    cli_validate, cli_measure, cli_phantom, cli_model, cli_train, cli_bench, cli_verify, cli_view,
    cli_lesson, cli_help, cli_completion, cli_version;

#endif
