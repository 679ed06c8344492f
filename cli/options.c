/* options.c - one parser for every command, driven by its table. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const cli_option cli_global_options[] = {
    {"threads", 'j', CLI_INT, "N", "worker threads; 0 is one for each CPU", 0, FAB_MAX_THREADS},
    {"progress", 0, CLI_CHOICE, "auto|bar|json|none",
     "bar on a terminal, JSON lines on standard error, or nothing"},
    {"quiet", 'q', CLI_FLAG, NULL, "print errors only"},
    {"help", 'h', CLI_FLAG, NULL, "print this help"},
    {0}};

/* ---- names that were meant -------------------------------------------------------------- */

enum { MAX_WORD = 40 };

/* Optimal string alignment: insert, delete, replace, swap neighbours. */
static int edit_distance(const char *a, const char *b)
{
    int rows[3][MAX_WORD + 1], n = (int)strlen(a), m = (int)strlen(b);
    if (n > MAX_WORD || m > MAX_WORD) return MAX_WORD;
    for (int j = 0; j <= m; j++) rows[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = rows[i % 3], *before = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best) best = before[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && older[j - 2] + 1 < best) best = older[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *cli_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    int distance = (int)strlen(word) / 3 + 1, nearest = distance + 1;
    for (size_t i = 0; i < count; i++) {
        int d = edit_distance(word, names[i]);
        if (strncmp(names[i], word, strlen(word)) == 0 && strlen(word) > 1) d = 1;
        if (d >= nearest) continue;
        nearest = d;
        best = names[i];
    }
    return best;
}

/* ---- checking values -------------------------------------------------------------------- */

int cli_usage_error(const cli_call *call, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "fabrica %s: ", call->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n(\"fabrica %s --help\" explains)\n", call->command->name);
    return CLI_EXIT_USAGE;
}

static bool parse_number(const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && errno == 0 && isfinite(*out);
}

static bool parse_size(const char *text, size_t *out)
{
    static const char units[] = "KMGT";
    char *end = NULL;
    double n = strtod(text, &end);
    if (end == text || !isfinite(n) || n < 0) return false;
    if (*end) {
        const char *unit = strchr(units, *end >= 'a' ? *end - 32 : *end);
        if (!unit) return false;
        for (const char *u = units; u <= unit; u++) n *= 1024;
        end++;
        if (*end == 'i') end++;
        if (*end == 'B' || *end == 'b') end++;
    }
    if (*end || n > 1e15) return false;
    *out = (size_t)n;
    return true;
}

static bool parse_vector(const char *text, double values[3])
{
    int count = 0;
    for (const char *at = text; count < 3; at++) {
        char *end = NULL;
        values[count] = strtod(at, &end);
        if (end == at || !isfinite(values[count])) return false;
        count++;
        at = end;
        if (*at == '\0') break;
        if ((*at != ',' && *at != 'x') || count == 3) return false;
    }
    if (count == 1) values[1] = values[2] = values[0];
    return count == 1 || count == 3;
}

static bool among(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; *at;) {
        size_t n = strcspn(at, "|");
        if (n == length && strncmp(at, text, n) == 0) return true;
        at += n + (at[n] == '|');
    }
    return false;
}

static bool check_number(const cli_call *call, const cli_option *o, const char *text)
{
    double n = 0;
    if (!parse_number(text, &n) || (o->kind == CLI_INT && n != floor(n))) {
        cli_usage_error(call, "--%s takes a %s, not \"%s\"", o->name,
                        o->kind == CLI_INT ? "whole number" : "number", text);
        return false;
    }
    if ((o->low != 0 || o->high != 0) && (n < o->low || n > o->high)) {
        cli_usage_error(call, "--%s is from %g to %g, not %s", o->name, o->low, o->high, text);
        return false;
    }
    return true;
}

static bool check_vector(const cli_call *call, const cli_option *o, const char *text)
{
    double v[3] = {0};
    bool good = parse_vector(text, v);
    for (int a = 0; a < 3 && o->high > 0; a++) good = good && v[a] >= o->low && v[a] <= o->high;
    if (!good)
        cli_usage_error(call, "--%s takes one number or three (X,Y,Z) from %g to %g, not \"%s\"",
                        o->name, o->low, o->high, text);
    return good;
}

static bool check_value(const cli_call *call, const cli_option *o, const char *text)
{
    size_t bytes = 0;
    switch (o->kind) {
    case CLI_INT:
    case CLI_REAL: return check_number(call, o, text);
    case CLI_VECTOR: return check_vector(call, o, text);
    case CLI_SIZE:
        if (parse_size(text, &bytes)) return true;
        cli_usage_error(call, "--%s takes a size such as 800M or 2G, not \"%s\"", o->name, text);
        return false;
    case CLI_CHOICE:
        if (among(o->value, text)) return true;
        cli_usage_error(call, "--%s is one of %s, not \"%s\"", o->name, o->value, text);
        return false;
    default:
        if (text[0]) return true;
        cli_usage_error(call, "--%s is empty", o->name);
        return false;
    }
}

/* ---- parsing ---------------------------------------------------------------------------- */

static int find_option(const cli_call *call, const char *name, size_t length)
{
    for (int i = 0; i < call->option_count; i++)
        if (strlen(call->options[i]->name) == length &&
            strncmp(call->options[i]->name, name, length) == 0)
            return i;
    return -1;
}

static bool unknown_option(const cli_call *call, const char *text)
{
    const char *names[CLI_MAX_OPTIONS];
    char word[MAX_WORD + 1];
    for (int i = 0; i < call->option_count; i++) names[i] = call->options[i]->name;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(text + strspn(text, "-"), "="),
             text + strspn(text, "-"));
    const char *near = cli_nearest(word, names, (size_t)call->option_count);
    if (near) cli_usage_error(call, "no option %s; did you mean --%s?", text, near);
    else cli_usage_error(call, "no option %s", text);
    return false;
}

static bool set_option(cli_call *call, int index, const char *value)
{
    const cli_option *o = call->options[index];
    if (o->kind == CLI_LIST) {
        int count = 0;
        while (call->list[count]) count++;
        if (count == CLI_MAX_LIST) {
            cli_usage_error(call, "--%s is given more than %d times", o->name, CLI_MAX_LIST);
            return false;
        }
        call->list[count] = value;
    } else if (call->values[index] && o->kind != CLI_FLAG) {
        cli_usage_error(call, "--%s is given twice", o->name);
        return false;
    }
    call->values[index] = value;
    return o->kind == CLI_FLAG || check_value(call, o, value);
}

/* One word that begins with a dash; takes the next one too if it is the value. */
static bool parse_option(cli_call *call, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *value = NULL;
    int index = -1;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        index = find_option(call, word + 2, length);
        if (word[2 + length] == '=') value = word + 3 + length;
    } else {
        for (int i = 0; i < call->option_count; i++)
            if (call->options[i]->letter && call->options[i]->letter == word[1]) index = i;
        if (word[2]) value = word + 2;
    }
    if (index < 0) return unknown_option(call, word);
    const cli_option *o = call->options[index];
    if (o->kind == CLI_FLAG && value) {
        cli_usage_error(call, "--%s takes no value", o->name);
        return false;
    }
    if (o->kind != CLI_FLAG && !value) {
        if (*at + 1 >= argc) {
            cli_usage_error(call, "--%s needs a value (%s)", o->name, o->value);
            return false;
        }
        value = argv[++*at];
    }
    return set_option(call, index, value ? value : "");
}

static bool add_argument(cli_call *call, const char *word)
{
    if (call->argument_count >= call->command->most ||
        call->argument_count >= CLI_MAX_ARGUMENTS) {
        cli_usage_error(call, "\"%s\" is one argument too many", word);
        return false;
    }
    call->arguments[call->argument_count++] = word;
    return true;
}

static void add_options(cli_call *call, const cli_option *table)
{
    for (size_t i = 0; table && table[i].name; i++) {
        assert(call->option_count < CLI_MAX_OPTIONS);
        call->options[call->option_count++] = &table[i];
    }
}

bool cli_parse(const cli_command *command, int argc, char **argv, cli_call *out)
{
    bool only_arguments = false;
    *out = (cli_call){.command = command};
    add_options(out, command->options);
    add_options(out, cli_global_options);
    for (int at = 0; at < argc; at++) {
        const char *word = argv[at];
        bool is_option = !only_arguments && word[0] == '-' && word[1];
        if (is_option && strcmp(word, "--") == 0) only_arguments = true;
        else if (is_option && !parse_option(out, argc, argv, &at)) return false;
        else if (!is_option && !add_argument(out, word)) return false;
    }
    out->wants_help = cli_has(out, "help");
    if (out->wants_help || out->argument_count >= command->least) return true;
    cli_usage_error(out, "needs %s", command->arguments);
    return false;
}

/* ---- values ----------------------------------------------------------------------------- */

static const char *value_of(const cli_call *call, const char *name)
{
    int index = find_option(call, name, strlen(name));
    assert(index >= 0);
    return call->values[index];
}

bool cli_has(const cli_call *call, const char *name) { return value_of(call, name) != NULL; }

const char *cli_text(const cli_call *call, const char *name, const char *otherwise)
{
    const char *value = value_of(call, name);
    return value ? value : otherwise;
}

double cli_real(const cli_call *call, const char *name, double otherwise)
{
    const char *value = value_of(call, name);
    return value ? strtod(value, NULL) : otherwise;
}

long cli_int(const cli_call *call, const char *name, long otherwise)
{
    const char *value = value_of(call, name);
    return value ? (long)strtod(value, NULL) : otherwise;
}

size_t cli_bytes(const cli_call *call, const char *name)
{
    size_t bytes = 0;
    const char *value = value_of(call, name);
    if (value) (void)parse_size(value, &bytes);
    return bytes;
}

void cli_vector(const cli_call *call, const char *name, double values[3])
{
    const char *value = value_of(call, name);
    if (value) (void)parse_vector(value, values);
}
