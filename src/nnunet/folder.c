/* folder.c - a result folder on disk to a model: which configuration, folds and weights. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fabrica/checkpoint.h"
#include "model_internal.h"

/* ---- finding the folder ------------------------------------------------------------------- */

static bool has_file(const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    return fab_path_join(path, sizeof path, folder, name, NULL) == FAB_OK
           && access(path, F_OK) == 0;
}

static bool is_result(const char *folder)
{
    return has_file(folder, "plans.json") && has_file(folder, "dataset.json");
}

/* What follows the second "__" of TRAINER__PLANS__CONFIGURATION; NULL if there is none. */
static const char *configuration_of(const char *folder)
{
    const char *name = fab_path_name(folder);
    const char *one = strstr(name, "__"), *two = one ? strstr(one + 2, "__") : NULL;
    return two && two[2] ? two + 2 : NULL;
}

typedef struct search {
    const char *wanted; /* configuration or folder's name; NULL: the best, or the only one */
    char found[FAB_MAX_PATH_BYTES], names[512];
    int count, rank;    /* how many of that rank */
} search;

/* What is taken where nobody says: a cascade rather than its first stage alone. */
static int rank_of(const char *configuration)
{
    if (strcmp(configuration, "3d_fullres") == 0) return 2;
    return strcmp(configuration, "3d_cascade_fullres") == 0;
}

static bool is_wanted(const char *path, const char *configuration, const char *wanted)
{
    return strcmp(configuration, wanted) == 0 || strcmp(fab_path_name(path), wanted) == 0;
}

static void consider(search *s, const char *path)
{
    const char *name = configuration_of(path);
    if (!name || !is_result(path)) return;
    const int rank = s->wanted ? 0 : rank_of(name);
    size_t used = strlen(s->names);
    snprintf(s->names + used, sizeof s->names - used, "%s%s", used ? ", " : "", name);
    if ((s->wanted && !is_wanted(path, name, s->wanted)) || rank < s->rank) return;
    if (rank > s->rank) s->count = 0;
    s->rank = rank;
    s->count++;
    snprintf(s->found, sizeof s->found, "%s", path);
}

static fab_status find_below(const char *folder, search *s, fab_error *err)
{
    DIR *dir = opendir(folder);
    if (!dir) FAB_FAIL(err, FAB_ERR_IO, "%s: no such folder", folder);
    fab_status status = FAB_OK;
    for (struct dirent *e; status == FAB_OK && (e = readdir(dir));) {
        char path[FAB_MAX_PATH_BYTES];
        if (e->d_name[0] == '.') continue;
        status = fab_path_join(path, sizeof path, folder, e->d_name, err);
        if (status == FAB_OK) consider(s, path);
    }
    closedir(dir);
    return status;
}

static fab_status find_result(const char *path, const char *wanted, char *out, size_t room,
                              fab_error *err)
{
    search s = {.wanted = wanted};
    if (is_result(path)) {
        snprintf(out, room, "%s", path);
        return FAB_OK;
    }
    FAB_TRY(find_below(path, &s, err));
    if (s.count == 0) /* others are there: a choice that cannot be met, not an empty folder */
        FAB_FAIL(err, s.names[0] ? FAB_ERR_ARG : FAB_ERR_NOTFOUND,
                 "%s: no nnU-Net results%s%s (a folder with plans.json and dataset.json)%s%s", path,
                 wanted ? " of configuration " : "", wanted ? wanted : "",
                 s.names[0] ? "; there are: " : "", s.names);
    if (s.count > 1)
        FAB_FAIL(err, FAB_ERR_ARG, "%s: several results (%s): name one%s", path, s.names,
                 wanted ? " as TRAINER__PLANS__CONFIGURATION" : "");
    snprintf(out, room, "%s", s.found);
    return FAB_OK;
}

/* ---- folds -------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static fab_status list_folds(fab_nnunet *m, fab_error *err)
{
    DIR *dir = opendir(m->folder);
    if (!dir) FAB_FAIL(err, FAB_ERR_IO, "%s: cannot be read", m->folder);
    for (struct dirent *e; (e = readdir(dir));) {
        char *end = NULL;
        if (strncmp(e->d_name, "fold_", 5) != 0) continue;
        long n = strtol(e->d_name + 5, &end, 10);
        if (strcmp(e->d_name, "fold_all") == 0) n = FAB_NNUNET_FOLD_ALL;
        else if (end == e->d_name + 5 || *end || n < 0 || n >= 1000) continue;
        if (m->fold_count < FAB_NNUNET_MAX_FOLDS) m->fold[m->fold_count++] = (int)n;
    }
    closedir(dir);
    if (m->fold_count > 1) qsort(m->fold, (size_t)m->fold_count, sizeof *m->fold, by_number);
    if (m->fold_count > 1 && m->fold[0] == FAB_NNUNET_FOLD_ALL) /* only where it is the only one */
        memmove(m->fold, m->fold + 1, (size_t)--m->fold_count * sizeof *m->fold);
    return FAB_OK;
}

/* "inference_allowed_mirroring_axes": null or a list; the same for all folds. A 2d network counts
 * from the first axis in the slice. */
static fab_status get_mirroring(const fab_checkpoint *c, bool flat, bool mirror[3],
                                fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *axes = NULL;
    memset(mirror, 0, 3 * sizeof *mirror);
    FAB_TRY(fab_checkpoint_json(c, "inference_allowed_mirroring_axes", &axes, err));
    if (fab_json_is_null(axes)) return FAB_OK;
    for (size_t i = 0; i < fab_json_count(axes); i++) {
        const fab_json *item = fab_json_at(axes, i);
        const double n = fab_json_number(item);
        if (!fab_json_is_number(item) || (n != 0 && n != 1 && (n != 2 || flat)))
            FAB_FAIL(err, FAB_ERR_FORMAT, "inference_allowed_mirroring_axes[%zu] is no axis", i);
        mirror[(int)n + flat] = true;
    }
    return FAB_OK;
}

static fab_status read_fold(fab_nnunet *m, int at, const fab_reader *r, fab_isa isa,
                            fab_error *err)
{
    bool mirror[3];
    FAB_AUTO(fab_checkpoint_free) fab_checkpoint *c = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = NULL;
    FAB_TRY(fab_checkpoint_read(r, &c, err));
    if (get_mirroring(c, m->plan.flat, mirror, err) < 0)
        return fab_error_prefix(err, "%s", r->name);
    if (at > 0 && memcmp(mirror, m->mirror, sizeof mirror) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: the folds allow different mirroring axes", r->name);
    memcpy(m->mirror, mirror, sizeof mirror);
    FAB_TRY(fab_checkpoint_tensors(c, "network_weights", &weights, err));
    c = fab_checkpoint_free(c);
    if (m->plan.flat) {
        fab_tensors *flat = weights;
        weights = NULL;
        const fab_status status = fab_nnunet_unflatten(flat, &weights, err);
        fab_tensors_free(flat);
        FAB_TRY(status);
    }
    return fab_net_create_unet(&m->plan.net, weights, isa, &m->net[at], err);
}

void fab_nnunet_fold_name(const fab_nnunet *m, int index, char name[16])
{
    if (m->fold[index] == FAB_NNUNET_FOLD_ALL) snprintf(name, 16, "fold_all");
    else snprintf(name, 16, "fold_%d", m->fold[index]);
}

static fab_status load_fold(fab_nnunet *m, int at, const fab_nnunet_load_options *o,
                            fab_sha256 *hash, fab_error *err)
{
    const char *checkpoint = o->checkpoint ? o->checkpoint : "checkpoint_final.pth";
    char fold[16], path[FAB_MAX_PATH_BYTES], below[FAB_MAX_PATH_BYTES], hex[65];
    fab_reader r;
    fab_nnunet_fold_name(m, at, fold);
    FAB_TRY(fab_path_join(below, sizeof below, m->folder, fold, err));
    FAB_TRY(fab_path_join(path, sizeof path, below, checkpoint, err));
    FAB_TRY(fab_sha256_file(path, hex, err));
    fab_sha256_update(hash, hex, 64);
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = read_fold(m, at, &r, fab_nn_isa_best(o->precision), err);
    fab_reader_close(&r);
    return status < 0 ? fab_error_prefix(err, "%.*s", (int)(strrchr(path, '/') - path), path)
                      : FAB_OK;
}

/* Those asked for; else all there are, none being an error only where weights are wanted. */
static fab_status choose_folds(fab_nnunet *m, const fab_nnunet_load_options *o, fab_error *err)
{
    if (o->fold_count < 0 || o->fold_count > FAB_NNUNET_MAX_FOLDS)
        FAB_FAIL(err, FAB_ERR_ARG, "%d folds; up to %d", o->fold_count, FAB_NNUNET_MAX_FOLDS);
    m->fold_count = o->fold_count;
    memcpy(m->fold, o->fold, sizeof m->fold);
    if (m->fold_count == 0) FAB_TRY(list_folds(m, err));
    if (m->fold_count == 0 && !o->plan_only)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no fold_N folder with weights", m->folder);
    return FAB_OK;
}

static fab_status load_folds(fab_nnunet *m, const fab_nnunet_load_options *o, fab_error *err)
{
    fab_sha256 hash;
    uint8_t digest[32];
    fab_sha256_init(&hash);
    if (m->previous) fab_sha256_update(&hash, m->previous->sha256, 64);
    for (int i = 0; i < m->fold_count; i++)
        FAB_TRY(load_fold(m, i, o, &hash, err));
    fab_sha256_final(&hash, digest);
    fab_sha256_hex(digest, m->sha256);
    return FAB_OK;
}

/* ---- postprocessing ----------------------------------------------------------------------- */

typedef struct pp_search {
    char own[64 + 8 * FAB_NNUNET_MAX_FOLDS]; /* the folder of the folds that are used */
    char found[FAB_MAX_NAME_BYTES + 64];     /* the only one, or our own */
    int count;
    bool ours, json;
} pp_search;

static void name_own(const fab_nnunet *m, pp_search *s)
{
    snprintf(s->own, sizeof s->own, "crossval_results_folds");
    for (int i = 0; i < m->fold_count; i++) {
        const size_t used = strlen(s->own);
        if (m->fold[i] == FAB_NNUNET_FOLD_ALL)
            snprintf(s->own + used, sizeof s->own - used, "_all");
        else snprintf(s->own + used, sizeof s->own - used, "_%d", m->fold[i]);
    }
}

static void consider_pp(pp_search *s, const char *folder, const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    if (strncmp(name, "crossval_results_folds_", 23) != 0) return;
    if (fab_path_join(path, sizeof path, folder, name, NULL) < 0) return;
    const bool json = has_file(path, "postprocessing.json");
    if ((!json && !has_file(path, "postprocessing.pkl")) || strlen(name) >= sizeof s->found) return;
    const bool own = strcmp(name, s->own) == 0;
    s->count++;
    if (s->ours) return;
    s->ours = own;
    s->json = json;
    snprintf(s->found, sizeof s->found, "%s", name);
}

static fab_status refuse_pickle(const char *folder, fab_error *err)
{
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s/postprocessing.pkl holds Python functions and is not "
             "read; postprocessing.json, which nnU-Net writes beside it, is missing (without "
             "either, nothing is removed after the network)", folder);
}

static fab_status find_postprocessing(const fab_nnunet *m, char *path, size_t room, fab_error *err)
{
    pp_search s = {.count = 0};
    path[0] = '\0';
    if (has_file(m->folder, "postprocessing.json"))
        return fab_path_join(path, room, m->folder, "postprocessing.json", err);
    name_own(m, &s);
    DIR *dir = opendir(m->folder);
    if (!dir) FAB_FAIL(err, FAB_ERR_IO, "%s: cannot be read", m->folder);
    for (struct dirent *e; (e = readdir(dir));) consider_pp(&s, m->folder, e->d_name);
    closedir(dir);
    if (s.count == 0) return FAB_OK;
    if (s.count > 1 && !s.ours)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %d folders crossval_results_folds_... with "
                 "postprocessing and none for the folds that are there (%s); keep one", m->folder,
                 s.count, s.own);
    char folder[FAB_MAX_PATH_BYTES];
    FAB_TRY(fab_path_join(folder, sizeof folder, m->folder, s.found, err));
    if (!s.json) return refuse_pickle(folder, err);
    return fab_path_join(path, room, folder, "postprocessing.json", err);
}

static fab_status read_postprocessing(const char *path, fab_nnunet_postprocessing *out,
                                      fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    FAB_TRY(fab_json_load_file(path, &json, err));
    return fab_nnunet_postprocessing_read(json, path, out, err);
}

fab_status fab_nnunet_load_postprocessing(const char *folder, fab_nnunet_postprocessing *out,
                                          fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    if (!has_file(folder, "postprocessing.json") && has_file(folder, "postprocessing.pkl"))
        return refuse_pickle(folder, err);
    FAB_TRY(fab_path_join(path, sizeof path, folder, "postprocessing.json", err));
    return read_postprocessing(path, out, err);
}

static fab_status load_postprocessing(fab_nnunet *m, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_TRY(find_postprocessing(m, path, sizeof path, err));
    return path[0] ? read_postprocessing(path, &m->postprocessing, err) : FAB_OK;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static fab_status load_plan(fab_nnunet *m, const char *wanted, fab_error *err)
{
    char plans_path[FAB_MAX_PATH_BYTES], dataset_path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *plans = NULL;
    FAB_AUTO(fab_json_free) fab_json *dataset = NULL;
    const char *configuration = configuration_of(m->folder);
    if (!configuration) configuration = wanted ? wanted : "3d_fullres";
    if (wanted && !is_wanted(m->folder, configuration, wanted))
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds configuration %s, not %s", m->folder,
                 configuration, wanted);
    FAB_TRY(fab_path_join(plans_path, sizeof plans_path, m->folder, "plans.json", err));
    FAB_TRY(fab_path_join(dataset_path, sizeof dataset_path, m->folder, "dataset.json", err));
    FAB_TRY(fab_json_load_file(plans_path, &plans, err));
    FAB_TRY(fab_json_load_file(dataset_path, &dataset, err));
    return fab_nnunet_plan_read(plans, plans_path, dataset, dataset_path, configuration, &m->plan,
                                err);
}

static fab_status load(const char *path, const fab_nnunet_load_options *o,
                       const fab_nnunet *second, fab_nnunet **out, fab_error *err);

/* The first stage of a cascade, where nnU-Net keeps it: the same trainer and plans. */
static fab_status load_previous(fab_nnunet *m, const fab_nnunet_load_options *options,
                                fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *stage = m->plan.previous_stage, *own = configuration_of(m->folder);
    fab_nnunet_load_options o = *options;
    o.configuration = stage;
    o.no_postprocessing = true; /* nnU-Net hands over what the network said */
    if (!own)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %s needs the results of %s; they are looked for "
                 "beside a folder called TRAINER__PLANS__%s", m->folder, m->plan.configuration,
                 stage, m->plan.configuration);
    const int n = snprintf(path, sizeof path, "%.*s%s", (int)(own - m->folder), m->folder, stage);
    if (n < 0 || (size_t)n >= sizeof path)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: the path is too long", m->folder);
    if (strchr(stage, '/') || !is_result(path))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %s needs the results of %s, and %s is not there",
                 m->folder, m->plan.configuration, stage, path);
    FAB_TRY(load(path, &o, m, &m->previous, err));
    if (m->previous->plan.channels != m->plan.channels)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %d %s, but %s has %d", path,
                 m->previous->plan.channels,
                 fab_plural(m->previous->plan.channels, "channel", "channels"),
                 m->plan.configuration, m->plan.channels);
    return FAB_OK;
}

/* `second`: the cascade that this one is a first stage of. */
static fab_status load(const char *path, const fab_nnunet_load_options *o,
                       const fab_nnunet *second, fab_nnunet **out, fab_error *err)
{
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    FAB_TRY(find_result(path, o->configuration, m->folder, sizeof m->folder, err));
    FAB_TRY(load_plan(m, o->configuration, err));
    if (m->plan.previous_stage[0] && second)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %s is the stage before %s and has one before "
                 "itself: cascades have two", m->folder, m->plan.configuration,
                 second->plan.configuration);
    if (m->plan.previous_stage[0]) FAB_TRY(load_previous(m, o, err));
    FAB_TRY(choose_folds(m, o, err));
    if (!o->no_postprocessing) FAB_TRY(load_postprocessing(m, err));
    if (!o->plan_only) FAB_TRY(load_folds(m, o, err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

fab_status fab_nnunet_load(const char *path, const fab_nnunet_load_options *options,
                           fab_nnunet **out, fab_error *err)
{
    static const fab_nnunet_load_options all;
    return load(path, options ? options : &all, NULL, out, err);
}

fab_nnunet *fab_nnunet_free(fab_nnunet *m)
{
    if (!m) return NULL;
    for (int i = 0; i < FAB_NNUNET_MAX_FOLDS; i++) fab_net_free(m->net[i]);
    for (int i = 0; i < m->member_count; i++) fab_nnunet_free(m->member[i]);
    fab_nnunet_postprocessing_free(&m->postprocessing);
    fab_nnunet_free(m->previous);
    return fab_free(m);
}

const fab_nnunet_plan *fab_nnunet_plan_of(const fab_nnunet *m) { return &m->plan; }
const char *fab_nnunet_folder(const fab_nnunet *m) { return m->folder; }
const char *fab_nnunet_weights_sha256(const fab_nnunet *m) { return m->sha256; }
int fab_nnunet_folds(const fab_nnunet *m) { return m->fold_count; }
const fab_nnunet *fab_nnunet_previous(const fab_nnunet *m) { return m->previous; }
const fab_nnunet_postprocessing *fab_nnunet_postprocessing_of(const fab_nnunet *m)
{
    return &m->postprocessing;
}
