/* finder.c - TotalSegmentator's single tasks look for a structure of another task first: which of
 * the installed models does that for this one, and what it said. */
#include "network.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* One that looks, with one before it if it needs that itself (teeth: skull, jaws, teeth). */
struct fab_finder {
    fab_json *card;
    fab_totalseg *network;
    fab_totalseg_look look;
    fab_finder *before;
};

fab_finder *fab_finder_free(fab_finder *f)
{
    if (!f) return NULL;
    fab_finder_free(f->before);
    fab_json_free(f->card);
    fab_totalseg_free(f->network);
    return fab_free(f);
}

const fab_totalseg_look *fab_finder_look(const fab_finder *f) { return &f->look; }
const fab_json *fab_finder_card(const fab_finder *f) { return f->card; }
const fab_finder *fab_finder_before(const fab_finder *f) { return f->before; }

/* "liver, spleen" */
static void list_names(const char *const *names, char *into, size_t room)
{
    into[0] = '\0';
    for (size_t i = 0; names[i]; i++) {
        const size_t used = strlen(into);
        snprintf(into + used, room - used, "%s%s", i ? ", " : "", names[i]);
    }
}

static const char *first_part(const fab_json *card)
{
    return fab_text_of(fab_json_at(fab_json_find(card, "parts"), 0), "folder");
}

static const char *unknown_name(const fab_totalseg *t, const char *const *names)
{
    for (size_t i = 0; names && names[i]; i++)
        if (!fab_label_set_by_name(fab_totalseg_labels(t), names[i])) return names[i];
    return NULL;
}

/* Models of that task, by what their data sets are called. */
static bool is_of_task(const fab_json *row, const char *task)
{
    const fab_json *card = fab_json_find(row, "card");
    if (fab_json_find(row, "problem") || !fab_network_is_totalseg(card)) return false;
    const char *its = fab_totalseg_task(first_part(card));
    return its && strcmp(its, task) == 0;
}

/* *f->network stays NULL, with why, where the model lacks that network or a name. */
static fab_status try_model(const fab_json *row, const fab_totalseg_crop *rule, fab_finder *f,
                            char *why, size_t room, fab_error *err)
{
    const fab_json *card = fab_json_find(row, "card");
    const char *name = fab_text_of(row, "name");
    const size_t used = strlen(why);
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = NULL;
    const fab_status status =
        fab_network_load_totalseg(fab_text_of(row, "folder"), card, rule->quality, &t, err);
    if (status == FAB_ERR_NOTFOUND) {
        snprintf(why + used, room - used, "; model %s has no such network", name);
        return FAB_OK;
    }
    if (status < 0) return fab_error_prefix(err, "model %s, which is to look first", name);
    const char *unknown = unknown_name(t, rule->structures);
    if (!unknown) unknown = unknown_name(t, rule->keep);
    if (unknown) {
        snprintf(why + used, room - used, "; model %s does not know %s", name, unknown);
        return FAB_OK;
    }
    f->card = fab_json_retain((fab_json *)(uintptr_t)card);
    f->network = t;
    t = NULL;
    return FAB_OK;
}

/* The folder that holds a package, which may have been given by its path. */
static void folder_around(const char *package, char *into, size_t room)
{
    size_t n = strlen(package);
    while (n > 1 && package[n - 1] == '/') n--;
    while (n > 0 && package[n - 1] != '/') n--;
    if (n == 0) snprintf(into, room, ".");
    else snprintf(into, room, "%.*s", (int)n, package);
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Beside the package first. */
static fab_status list_models(const char *const *folders, const char *package, fab_json **list,
                              fab_error *err)
{
    char around[FAB_MAX_PATH_BYTES];
    size_t count = 0;
    while (folders && folders[count]) count++;
    FAB_AUTO_FREE const char **places = fab_calloc(count + 2, sizeof *places);
    if (!places) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    folder_around(package, around, sizeof around);
    places[0] = around;
    for (size_t i = 0, used = 1; i < count; i++)
        if (!same_folder(around, folders[i])) places[used++] = folders[i];
    return fab_models_list(places, list, err);
}

static void say_none(const fab_json *card, const fab_totalseg_crop *rule, const char *why,
                     char *missing, size_t room)
{
    static const char *const which[] = {"network", "3 mm network", "6 mm network"};
    char names[300];
    list_names(rule->structures, names, sizeof names);
    snprintf(missing, room,
             "%s sees the whole image: TotalSegmentator finds %s with the %s of its task %s first, "
             "which is not installed%s", fab_text_of(card, "name"), names,
             which[rule->quality], rule->task, why);
}

fab_status fab_finder_choose(const char *const *folders, const char *package,
                             const fab_json *card, fab_finder **out, char *missing, size_t room,
                             fab_error *err)
{
    const fab_totalseg_crop *rule = fab_totalseg_crop_of(first_part(card));
    char why[300] = "";
    missing[0] = '\0';
    *out = NULL;
    if (!rule) return FAB_OK;
    FAB_AUTO(fab_json_free) fab_json *list = NULL;
    FAB_AUTO(fab_finder_free) fab_finder *f = fab_calloc(1, sizeof *f);
    if (!f) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    FAB_TRY(list_models(folders, package, &list, err));
    const fab_json *row = NULL;
    for (size_t i = 0; i < fab_json_count(list) && !f->network; i++) {
        row = fab_json_at(list, i);
        if (is_of_task(row, rule->task))
            FAB_TRY(try_model(row, rule, f, why, sizeof why, err));
    }
    if (!f->network) {
        say_none(card, rule, why, missing, room);
        return FAB_OK;
    }
    FAB_TRY(fab_finder_choose(folders, fab_text_of(row, "folder"), f->card, &f->before, missing,
                              room, err));
    f->look = (fab_totalseg_look){f->network, rule, f->before ? &f->before->look : NULL};
    *out = f;
    f = NULL;
    return FAB_OK;
}

/* ---- what is told of it ------------------------------------------------------------------- */

void fab_finder_tell(const fab_finder *f, const fab_totalseg_seen *seen, const fab_grid *image,
                     char *into, size_t room)
{
    const fab_totalseg_crop *rule = f->look.rule;
    const char *name = fab_text_of(f->card, "name");
    char names[300], near[300];
    list_names(rule->structures, names, sizeof names);
    if (!seen->found) {
        snprintf(into, room, "%s found nothing of %s: no label is given, as by TotalSegmentator; "
                 "--no-crop looks everywhere.", name, names);
        return;
    }
    snprintf(into, room, "The network saw %d x %d x %d of %d x %d x %d voxels: the box of %s, as "
             "%s found it, and %g mm around.", seen->size[0], seen->size[1], seen->size[2],
             image->size[0], image->size[1], image->size[2], names, name, rule->addon_mm);
    if (!rule->keep) return;
    const size_t used = strlen(into);
    list_names(rule->keep, near, sizeof near);
    snprintf(into + used, room - used, " What was more than %g mm from %s was taken away: %lld %s.",
             rule->keep_mm, near, (long long)seen->removed,
             fab_plural(seen->removed, "voxel", "voxels"));
}

fab_status fab_finder_put(const fab_finder *f, fab_json *o, fab_error *err)
{
    fab_json *row = NULL, *list = NULL;
    if (!f) return FAB_OK;
    FAB_TRY(fab_put_object(o, "finder", &row, err));
    FAB_TRY(fab_put_text(row, "name", fab_text_of(f->card, "name"), err));
    FAB_TRY(fab_put_text(row, "version", fab_text_of(f->card, "version"), err));
    FAB_TRY(fab_put_text(row, "weights_sha256",
                         fab_text_of(fab_json_find(f->card, "weights"), "sha256"), err));
    FAB_TRY(fab_put_array(row, "structures", &list, err));
    for (size_t i = 0; f->look.rule->structures[i]; i++)
        FAB_TRY(fab_add_text(list, f->look.rule->structures[i], err));
    return fab_put_real(row, "addon_mm", f->look.rule->addon_mm, 1, err);
}
