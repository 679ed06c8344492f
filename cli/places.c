/* places.c - where model packages, the web client and a person's own things may be. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { MAX_FOLDERS = 16 };

static char folders[MAX_FOLDERS][FAB_MAX_PATH_BYTES];
static const char *list[MAX_FOLDERS + 1];
static size_t count;

static void add(const char *text, size_t length)
{
    if (!length || length >= FAB_MAX_PATH_BYTES || count == MAX_FOLDERS) return;
    memcpy(folders[count], text, length);
    folders[count][length] = '\0';
    list[count] = folders[count];
    list[++count] = NULL;
}

static void add_if_there(const char *folder)
{
    if (access(folder, R_OK) == 0) add(folder, strlen(folder));
}

const char *cli_own_folder(const char *name)
{
    static char path[FAB_MAX_PATH_BYTES];
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && data[0] == '/') snprintf(path, sizeof path, "%s/fabrica/%s", data, name);
    else if (home && home[0] == '/')
        snprintf(path, sizeof path, "%s/.local/share/fabrica/%s", home, name);
    else return NULL;
    return path;
}

const char *cli_own_models(void) { return cli_own_folder("models"); }

/* The folder this program is in; empty if that cannot be known. */
static void program_folder(char *into, size_t capacity)
{
    ssize_t got = readlink("/proc/self/exe", into, capacity - 1);
    into[got > 0 ? got : 0] = '\0';
    char *slash = strrchr(into, '/');
    if (slash) *slash = '\0';
    else into[0] = '\0';
}

const char *cli_web_folder(const cli_call *call)
{
    static const char *const places[] = {"../web/dist", "../share/fabrica/web"};
    static char path[FAB_MAX_PATH_BYTES];
    char here[FAB_MAX_PATH_BYTES - 64];
    const char *given = cli_text(call, "web", getenv("FABRICA_WEB"));
    if (given && given[0]) return given;
    program_folder(here, sizeof here);
    for (size_t i = 0; here[0] && i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s/index.html", here, places[i]);
        if (access(path, R_OK) != 0) continue;
        *strrchr(path, '/') = '\0';
        return path;
    }
    return NULL;
}

const char *const *cli_model_folders(const cli_call *call)
{
    const char *given = cli_text(call, "models", NULL), *environment = getenv("FABRICA_MODELS");
    char here[FAB_MAX_PATH_BYTES - 64], path[FAB_MAX_PATH_BYTES];
    count = 0;
    list[0] = NULL;
    if (given) {
        add(given, strlen(given));
        return list;
    }
    for (const char *at = environment ? environment : ""; *at;) {
        size_t n = strcspn(at, ":");
        add(at, n);
        at += n + (at[n] == ':');
    }
    if (cli_own_models()) add_if_there(cli_own_models());
    program_folder(here, sizeof here);
    if (!here[0]) return list;
    snprintf(path, sizeof path, "%s/../models", here);
    add_if_there(path);
    snprintf(path, sizeof path, "%s/../share/fabrica/models", here);
    add_if_there(path);
    return list;
}

fab_precision cli_precision(const cli_call *call)
{
    fab_precision p = FAB_PRECISION_AUTO;
    const char *name = cli_text(call, "precision", NULL);
    if (name) (void)fab_precision_from_name(name, &p, NULL); /* one of the option's choices */
    return p;
}

fab_totalseg_quality cli_quality(const cli_call *call)
{
    return cli_has(call, "fastest") ? FAB_TOTALSEG_FASTEST
           : cli_has(call, "fast") ? FAB_TOTALSEG_FAST : FAB_TOTALSEG_BEST;
}
