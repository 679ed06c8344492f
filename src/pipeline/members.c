/* members.c - which networks of a data set's folder make a model. nnU-Net leaves there:
 *
 *   TRAINER__PLANS__CONFIGURATION/               a result, one for each configuration
 *   inference_information.json                   which of them, or which two together, did best
 *   ensembles/ensemble___A___B___0_1_2_3_4/      postprocessing.json of A and B together
 */
#include "members.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "network.h"

typedef struct members {
    fab_nnunet *item[FAB_NNUNET_MAX_MEMBERS];
    int count;
} members;

static void release(members *m)
{
    for (int i = 0; i < m->count; i++) fab_nnunet_free(m->item[i]);
}

/* The only one as it is; several joined. */
static fab_status join(members *m, const char *postprocessing, fab_nnunet **out, fab_error *err)
{
    if (m->count == 1) *out = m->item[0];
    else FAB_TRY(fab_nnunet_join(m->item, m->count, postprocessing, out, err));
    m->count = 0;
    return FAB_OK;
}

static bool has_file(const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    return fab_path_join(path, sizeof path, folder, name, NULL) == FAB_OK
           && access(path, F_OK) == 0;
}

static bool has_postprocessing(const char *folder)
{
    return has_file(folder, "postprocessing.json") || has_file(folder, "postprocessing.pkl");
}

static fab_status ensemble_folder(const char *path, const char *name, char *out, size_t room,
                                  fab_error *err)
{
    char ensembles[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(ensembles, sizeof ensembles, path, FAB_MEMBERS_ENSEMBLES, err));
    return fab_path_join(out, room, ensembles, name, err);
}

/* ---- named by --configuration ------------------------------------------------------------- */

/* The folder of these members' postprocessing, named in this order or the other; "": none. */
static fab_status search_postprocessing(const char *path, const members *m, char *out,
                                        size_t room, fab_error *err)
{
    const fab_nnunet *order[2][FAB_NNUNET_MAX_MEMBERS];
    char name[FAB_MAX_PATH_BYTES];
    for (int i = 0; i < m->count; i++)
        order[0][i] = order[1][m->count - 1 - i] = m->item[i];
    for (int k = 0; k < 2; k++) {
        fab_nnunet_ensemble_name(order[k], m->count, name, sizeof name);
        if (!name[0]) break;
        FAB_TRY(ensemble_folder(path, name, out, room, err));
        if (has_postprocessing(out)) return FAB_OK;
    }
    out[0] = '\0';
    return FAB_OK;
}

static fab_status load_named(const char *path, char *names, members *m, fab_error *err)
{
    fab_nnunet_load_options o = {.plan_only = true, .no_postprocessing = true};
    char *rest = NULL;
    for (char *one = strtok_r(names, ", ", &rest); one; one = strtok_r(NULL, ", ", &rest)) {
        if (m->count == FAB_NNUNET_MAX_MEMBERS)
            FAB_FAIL(err, FAB_ERR_LIMIT, "an ensemble of more than %d", FAB_NNUNET_MAX_MEMBERS);
        o.configuration = one;
        FAB_TRY(fab_nnunet_load(path, &o, &m->item[m->count], err));
        m->count++;
        for (int i = 0; i + 1 < m->count; i++)
            if (strcmp(fab_nnunet_folder(m->item[i]),
                       fab_nnunet_folder(m->item[m->count - 1])) == 0)
                FAB_FAIL(err, FAB_ERR_ARG, "%s is named twice", one);
    }
    if (m->count < 2) FAB_FAIL(err, FAB_ERR_ARG, "an ensemble of fewer than two configurations");
    return FAB_OK;
}

static fab_status find_named(const char *path, const char *configuration, fab_nnunet **out,
                             fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES] = "";
    members m = {.count = 0};
    FAB_AUTO_FREE char *names = fab_strdup(configuration);
    if (!names) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    fab_status status = load_named(path, names, &m, err);
    if (status == FAB_OK) status = search_postprocessing(path, &m, folder, sizeof folder, err);
    if (status == FAB_OK) status = join(&m, folder[0] ? folder : NULL, out, err);
    release(&m);
    return status;
}

/* ---- named by nnU-Net --------------------------------------------------------------------- */

#define CHOICE "inference_information.json"

static fab_status load_chosen(const char *path, const fab_nnunet_choice *c, members *m,
                              fab_error *err)
{
    for (int i = 0; i < c->count; i++) {
        char folder[FAB_MAX_PATH_BYTES];
        fab_nnunet_load_options o = {.configuration = c->member[i], .plan_only = true,
                                     .no_postprocessing = c->count > 1,
                                     .fold_count = c->fold_count};
        memcpy(o.fold, c->fold, sizeof o.fold);
        FAB_TRY(fab_path_join(folder, sizeof folder, path, c->member[i], err));
        if (!has_file(folder, "plans.json") || !has_file(folder, "dataset.json"))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s/" CHOICE ": best_model_or_ensemble."
                     "selected_model_or_models[%d] is %s, which is not there (plans.json and "
                     "dataset.json; --configuration takes others)", path, i, c->member[i]);
        FAB_TRY(fab_nnunet_load(folder, &o, &m->item[i], err));
        m->count++;
        for (int f = 0; f < c->fold_count; f++) {
            char fold[16];
            fab_nnunet_fold_name(m->item[i], f, fold);
            if (!has_file(folder, fold))
                FAB_FAIL(err, FAB_ERR_FORMAT, "%s/" CHOICE ": folds[%d]: %s has no %s", path, f,
                         c->member[i], fold);
        }
    }
    return FAB_OK;
}

/* What is named and not there is refused: published figures include it. */
static fab_status chosen_postprocessing(const char *path, const fab_nnunet_choice *c,
                                        const members *m, char *out, size_t room, fab_error *err)
{
    out[0] = '\0';
    if (!c->postprocessing[0]) return FAB_OK;
    if (c->count > 1) FAB_TRY(ensemble_folder(path, c->postprocessing, out, room, err));
    if (c->count > 1 ? has_postprocessing(out)
                     : fab_nnunet_postprocessing_of(m->item[0])->file[0] != '\0')
        return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s/" CHOICE ": best_model_or_ensemble.postprocessing_file: "
             "%s%s/postprocessing.json is not there; to go without it, name the same by "
             "--configuration", path, c->count > 1 ? FAB_MEMBERS_ENSEMBLES "/" : "",
             c->postprocessing);
}

static void tell(const fab_nnunet_choice *c, char told[600])
{
    size_t used = (size_t)snprintf(told, 600, CHOICE " names %s",
                                   c->count > 1 ? "the ensemble of " : "");
    for (int i = 0; i < c->count && used < 600; i++)
        used += (size_t)snprintf(told + used, 600 - used, "%s%s",
                                 !i ? "" : i + 1 < c->count ? ", " : " and ", c->member[i]);
    for (int f = 0; f < c->fold_count && used < 600; f++) {
        const char *before = f ? " " : c->fold_count > 1 ? ", folds " : ", fold ";
        if (c->fold[f] < 0) used += (size_t)snprintf(told + used, 600 - used, "%sall", before);
        else used += (size_t)snprintf(told + used, 600 - used, "%s%d", before, c->fold[f]);
    }
}

static fab_status find_chosen(const char *path, fab_nnunet **out, char told[600], fab_error *err)
{
    char file[FAB_MAX_PATH_BYTES], folder[FAB_MAX_PATH_BYTES];
    members m = {.count = 0};
    fab_nnunet_choice c;
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_TRY(fab_path_join(file, sizeof file, path, CHOICE, err));
    FAB_TRY(fab_json_load_file(file, &json, err));
    FAB_TRY(fab_nnunet_choice_read(json, file, &c, err));
    fab_status status = load_chosen(path, &c, &m, err);
    if (status == FAB_OK)
        status = chosen_postprocessing(path, &c, &m, folder, sizeof folder, err);
    if (status == FAB_OK) status = join(&m, folder[0] ? folder : NULL, out, err);
    release(&m);
    if (status == FAB_OK) tell(&c, told);
    return status;
}

fab_status fab_members_find(const char *path, const char *configuration, fab_nnunet **out,
                            char told[600], fab_error *err)
{
    const fab_nnunet_load_options o = {.configuration = configuration, .plan_only = true};
    told[0] = '\0';
    if (configuration && strchr(configuration, ','))
        return find_named(path, configuration, out, err);
    if (!configuration && has_file(path, CHOICE)) return find_chosen(path, out, told, err);
    return fab_nnunet_load(path, &o, out, err);
}

/* ---- of a package ------------------------------------------------------------------------- */

static fab_status load_parts(const char *package, const fab_json *card,
                             const fab_nnunet_load_options *options, members *m, fab_error *err)
{
    const size_t count = fab_json_count(fab_json_find(card, "parts"));
    fab_nnunet_load_options o = *options;
    if (count > FAB_NNUNET_MAX_MEMBERS)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s/model.json: parts names %zu folders, 1 to %d are "
                 "supported", package, count, FAB_NNUNET_MAX_MEMBERS);
    o.no_postprocessing = o.no_postprocessing || count > 1;
    for (size_t i = 0; i < (count ? count : 1); i++) {
        char folder[FAB_MAX_PATH_BYTES];
        FAB_TRY(fab_network_part_folder(package, card, i, folder, sizeof folder, err));
        FAB_TRY(fab_nnunet_load(folder, &o, &m->item[m->count], err));
        m->count++;
    }
    return FAB_OK;
}

fab_status fab_members_load(const char *package, const fab_json *card,
                            const fab_nnunet_load_options *options, fab_nnunet **out,
                            fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES], dataset[FAB_MAX_PATH_BYTES];
    members m = {.count = 0};
    const fab_json *ensemble = fab_json_find(card, "ensemble");
    const bool clean = !options->no_postprocessing
                       && fab_json_is_true(fab_json_find(ensemble, "postprocessing"));
    fab_status status = load_parts(package, card, options, &m, err);
    if (status == FAB_OK) {
        const char *first = fab_nnunet_folder(m.item[0]);
        const int n = (int)(fab_path_name(first) - first) - 1;
        snprintf(dataset, sizeof dataset, "%.*s", n > 0 ? n : 0, first);
        status = fab_path_join(folder, sizeof folder, dataset, FAB_MEMBERS_ENSEMBLES, err);
    }
    if (status == FAB_OK) status = join(&m, clean ? folder : NULL, out, err);
    release(&m);
    return status;
}
