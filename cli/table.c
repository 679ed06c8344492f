/* table.c - columns that line up. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

bool cli_table_start(cli_table *t, const char *heads)
{
    *t = (cli_table){0};
    for (const char *at = heads; *at && t->columns < CLI_MAX_COLUMNS; t->columns++) {
        t->right[t->columns] = *at == '>';
        at += strcspn(at, "|");
        at += *at == '|';
    }
    if (!cli_table_row(t)) return false;
    int column = 0;
    for (const char *at = heads; *at && column < t->columns; column++) {
        at += *at == '>';
        size_t n = strcspn(at, "|");
        cli_table_cell(t, column, "%.*s", (int)n, at);
        at += n + (at[n] == '|');
    }
    return true;
}

bool cli_table_row(cli_table *t)
{
    size_t columns = (size_t)t->columns;
    if (t->rows == t->capacity) {
        size_t more = t->capacity ? t->capacity * 2 : 32;
        void *grown = fab_realloc(t->cells, more * columns * CLI_CELL_BYTES);
        if (!grown) return false;
        t->cells = grown;
        t->capacity = more;
    }
    memset(t->cells[t->rows * columns], 0, columns * CLI_CELL_BYTES);
    t->rows++;
    return true;
}

bool cli_table_cell(cli_table *t, int column, const char *format, ...)
{
    va_list args;
    char text[CLI_CELL_BYTES];
    if (!t->rows) return false;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cli_clean(text, t->cells[(t->rows - 1) * (size_t)t->columns + (size_t)column],
              CLI_CELL_BYTES);
    return true;
}

/* Columns a terminal uses: UTF-8 continuation bytes take none. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void cli_table_print(cli_table *t, FILE *to)
{
    int widths[CLI_MAX_COLUMNS] = {0};
    size_t columns = (size_t)t->columns;
    for (size_t i = 0; i < t->rows * columns; i++) {
        int w = width_of(t->cells[i]);
        if (w > widths[i % columns]) widths[i % columns] = w;
    }
    for (size_t i = 0; i < t->rows * columns; i++) {
        size_t c = i % columns;
        int pad = widths[c] - width_of(t->cells[i]);
        bool last = c + 1 == columns;
        if (t->right[c]) fprintf(to, "%*s%s", pad, "", t->cells[i]);
        else fprintf(to, "%s%*s", t->cells[i], last ? 0 : pad, "");
        fputs(last ? "\n" : "  ", to);
    }
    t->cells = fab_free(t->cells);
    t->rows = t->capacity = 0;
}
