/* cmd_info.c - fabrica info: what is in there, and what would be refused. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {{"json", 0, CLI_FLAG, NULL, "print JSON"}, {0}};

static const char *text_of(const fab_json *o, const char *key)
{
    static char ring[8][600]; /* one line uses at most eight */
    static int next;
    next = (next + 1) % 8;
    return cli_clean(fab_json_text(fab_json_find(o, key)), ring[next], sizeof ring[next]);
}

static double number(const fab_json *o, const char *key)
{
    return fab_json_number(fab_json_find(o, key));
}

static void print_series(const fab_json *s)
{
    const fab_json *mm = fab_json_find(s, "spacing_mm");
    printf("    %2.0f  %-3s %.0f x %.0f x %.0f  %.3g x %.3g x %.3g mm  %s  \"%s\"\n",
           number(s, "number"), text_of(s, "modality"), number(s, "columns"), number(s, "rows"),
           number(s, "frames"), fab_json_number(fab_json_at(mm, 0)),
           fab_json_number(fab_json_at(mm, 1)), fab_json_number(fab_json_at(mm, 2)),
           text_of(s, "orientation"), text_of(s, "description"));
    const char *verdict = text_of(s, "verdict"), *why = text_of(s, "verdict_text");
    bool usable = false;
    (void)fab_json_get_bool(s, "usable", &usable, NULL);
    printf("        geometry: %s%s%s%s\n", verdict, usable ? "" : " (refused)",
           why[0] ? ": " : "", why);
    if (text_of(s, "repairs")[0]) printf("        repaired: %s\n", text_of(s, "repairs"));
}

static void print_patient(const fab_json *p)
{
    const fab_json *studies = fab_json_find(p, "studies");
    printf("Patient \"%s\"  %s %s %s\n", text_of(p, "id"), text_of(p, "name"), text_of(p, "sex"),
           text_of(p, "birth_date"));
    for (size_t i = 0; i < fab_json_count(studies); i++) {
        const fab_json *study = fab_json_at(studies, i), *series = fab_json_find(study, "series");
        printf("  Study %s  %s\n", text_of(study, "date"), text_of(study, "description"));
        for (size_t j = 0; j < fab_json_count(series); j++) print_series(fab_json_at(series, j));
    }
}

static void print_scan(const fab_json *o)
{
    const fab_json *patients = fab_json_find(o, "patients"), *bad = fab_json_find(o, "rejected");
    for (size_t i = 0; i < fab_json_count(patients); i++) print_patient(fab_json_at(patients, i));
    if (number(o, "rejected_count") > 0)
        printf("Not used: %.0f file%s\n", number(o, "rejected_count"),
               number(o, "rejected_count") == 1 ? "" : "s");
    for (size_t i = 0; i < fab_json_count(bad) && i < 10; i++)
        printf("  %s: %s\n", text_of(fab_json_at(bad, i), "path"),
               text_of(fab_json_at(bad, i), "reason"));
    if (fab_json_is_number(fab_json_find(o, "picked")))
        printf("fabrica twin takes series %.0f: %s\n", number(o, "picked"),
               text_of(o, "pick_reason"));
    else printf("fabrica twin takes none: %s\n", text_of(o, "pick_reason"));
}

static void print_volume(const fab_json *v)
{
    const fab_json *grid = fab_json_find(v, "grid");
    const fab_json *size = fab_json_find(grid, "size"), *mm = fab_json_find(grid, "spacing_mm");
    printf("Volume  %.0f x %.0f x %.0f  %.3g x %.3g x %.3g mm  %s  %s, values %g to %g\n",
           fab_json_number(fab_json_at(size, 0)), fab_json_number(fab_json_at(size, 1)),
           fab_json_number(fab_json_at(size, 2)), fab_json_number(fab_json_at(mm, 0)),
           fab_json_number(fab_json_at(mm, 1)), fab_json_number(fab_json_at(mm, 2)),
           text_of(grid, "orientation"), text_of(v, "type"), number(v, "lowest"),
           number(v, "highest"));
    if (text_of(v, "notes")[0]) printf("        %s\n", text_of(v, "notes"));
}

static int run(const cli_call *call)
{
    fab_error err = {0};
    FAB_AUTO(fab_json_free) fab_json *o = NULL;
    const fab_job_watch *watch = cli_begin(call);
    fab_status status = fab_job_info(call->arguments[0], watch, &o, &err);
    int code = cli_end(call, status, &err);
    if (status < 0) return code;
    if (cli_has(call, "json")) return cli_print_json(o);
    const fab_json *volume = fab_json_find(o, "volume");
    if (volume) print_volume(volume);
    else print_scan(o);
    return code;
}

static const char *const examples[] = {"patients, studies and series of a folder",
                                       "fabrica info study/", NULL};

const cli_command cli_info = {
    "info", "SERIES", "show what a folder, archive or file holds", 1, 1,
    "Lists patients, studies and series with the geometry verdict of each: usable, corrected, or "
    "refused and why. Pixels are not decoded.",
    examples, options, run};
