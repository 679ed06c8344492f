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
    const char *wanted; /* configuration; NULL: 3d_fullres or the only one */
    char found[FAB_MAX_PATH_BYTES], names[512];
    int count;
    bool fullres;
} search;

static void consider(search *s, const char *path)
{
    const char *name = configuration_of(path);
    if (!name || !is_result(path)) return;
    const bool fits = s->wanted && strcmp(name, s->wanted) == 0;
    const bool fullres = !s->wanted && strcmp(name, "3d_fullres") == 0;
    size_t used = strlen(s->names);
    snprintf(s->names + used, sizeof s->names - used, "%s%s", used ? ", " : "", name);
    if (s->wanted && !fits) return;
    if (s->fullres && !fullres) return;
    if (fullres && !s->fullres) s->count = 0;
    s->fullres |= fullres;
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
    if (s.count == 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no nnU-Net results%s%s (a folder with plans.json and "
                 "dataset.json)%s%s", path, wanted ? " of configuration " : "",
                 wanted ? wanted : "", s.names[0] ? "; there are: " : "", s.names);
    if (s.count > 1)
        FAB_FAIL(err, FAB_ERR_ARG, "%s: several results (%s): name one", path, s.names);
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
    if (m->fold_count == 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no fold_N folder with weights", m->folder);
    qsort(m->fold, (size_t)m->fold_count, sizeof *m->fold, by_number);
    return FAB_OK;
}

/* "inference_allowed_mirroring_axes": null or a list; the same for all folds. */
static fab_status get_mirroring(const fab_checkpoint *c, bool mirror[3], fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *axes = NULL;
    memset(mirror, 0, 3 * sizeof *mirror);
    FAB_TRY(fab_checkpoint_json(c, "inference_allowed_mirroring_axes", &axes, err));
    if (fab_json_is_null(axes)) return FAB_OK;
    for (size_t i = 0; i < fab_json_count(axes); i++) {
        const fab_json *item = fab_json_at(axes, i);
        const double n = fab_json_number(item);
        if (!fab_json_is_number(item) || (n != 0 && n != 1 && n != 2))
            FAB_FAIL(err, FAB_ERR_FORMAT, "inference_allowed_mirroring_axes[%zu] is no axis", i);
        mirror[(int)n] = true;
    }
    return FAB_OK;
}

static fab_status read_fold(fab_nnunet *m, int at, const fab_reader *r, fab_error *err)
{
    bool mirror[3];
    FAB_AUTO(fab_checkpoint_free) fab_checkpoint *c = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = NULL;
    FAB_TRY(fab_checkpoint_read(r, &c, err));
    if (get_mirroring(c, mirror, err) < 0) return fab_error_prefix(err, "%s", r->name);
    if (at > 0 && memcmp(mirror, m->mirror, sizeof mirror) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: the folds allow different mirroring axes", r->name);
    memcpy(m->mirror, mirror, sizeof mirror);
    FAB_TRY(fab_checkpoint_tensors(c, "network_weights", &weights, err));
    c = fab_checkpoint_free(c);
    return fab_net_create_unet(&m->plan.net, weights, fab_nn_isa_best(FAB_PRECISION_FP32), &m->net[at], err);
}

static fab_status load_fold(fab_nnunet *m, int at, const char *checkpoint, fab_sha256 *hash,
                            fab_error *err)
{
    char name[FAB_MAX_NAME_BYTES + 32], path[FAB_MAX_PATH_BYTES], hex[65];
    fab_reader r;
    if (m->fold[at] == FAB_NNUNET_FOLD_ALL) snprintf(name, sizeof name, "fold_all/%s", checkpoint);
    else snprintf(name, sizeof name, "fold_%d/%s", m->fold[at], checkpoint);
    FAB_TRY(fab_path_join(path, sizeof path, m->folder, name, err));
    FAB_TRY(fab_sha256_file(path, hex, err));
    fab_sha256_update(hash, hex, 64);
    FAB_TRY(fab_reader_open_file(path, &r, err));
    fab_status status = read_fold(m, at, &r, err);
    fab_reader_close(&r);
    return status < 0 ? fab_error_prefix(err, "%.*s", (int)(strrchr(path, '/') - path), path)
                      : FAB_OK;
}

static fab_status load_folds(fab_nnunet *m, const fab_nnunet_load_options *o, fab_error *err)
{
    fab_sha256 hash;
    uint8_t digest[32];
    if (o->fold_count < 0 || o->fold_count > FAB_NNUNET_MAX_FOLDS)
        FAB_FAIL(err, FAB_ERR_ARG, "%d folds; up to %d", o->fold_count, FAB_NNUNET_MAX_FOLDS);
    m->fold_count = o->fold_count;
    memcpy(m->fold, o->fold, sizeof m->fold);
    if (m->fold_count == 0) FAB_TRY(list_folds(m, err));
    fab_sha256_init(&hash);
    for (int i = 0; i < m->fold_count; i++)
        FAB_TRY(load_fold(m, i, o->checkpoint ? o->checkpoint : "checkpoint_final.pth", &hash,
                          err));
    fab_sha256_final(&hash, digest);
    fab_sha256_hex(digest, m->sha256);
    return FAB_OK;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static fab_status load_plan(fab_nnunet *m, const char *wanted, fab_error *err)
{
    char plans_path[FAB_MAX_PATH_BYTES], dataset_path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_json_free) fab_json *plans = NULL;
    FAB_AUTO(fab_json_free) fab_json *dataset = NULL;
    const char *configuration = configuration_of(m->folder);
    if (!configuration) configuration = wanted ? wanted : "3d_fullres";
    if (wanted && strcmp(wanted, configuration) != 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s holds configuration %s, not %s", m->folder,
                 configuration, wanted);
    FAB_TRY(fab_path_join(plans_path, sizeof plans_path, m->folder, "plans.json", err));
    FAB_TRY(fab_path_join(dataset_path, sizeof dataset_path, m->folder, "dataset.json", err));
    FAB_TRY(fab_json_load_file(plans_path, &plans, err));
    FAB_TRY(fab_json_load_file(dataset_path, &dataset, err));
    return fab_nnunet_plan_read(plans, plans_path, dataset, dataset_path, configuration, &m->plan,
                                err);
}

fab_status fab_nnunet_load(const char *path, const fab_nnunet_load_options *options,
                           fab_nnunet **out, fab_error *err)
{
    fab_nnunet_load_options o = {0};
    if (options) o = *options;
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    FAB_TRY(find_result(path, o.configuration, m->folder, sizeof m->folder, err));
    FAB_TRY(load_plan(m, o.configuration, err));
    if (!o.plan_only) FAB_TRY(load_folds(m, &o, err));
    *out = m;
    m = NULL;
    return FAB_OK;
}

fab_nnunet *fab_nnunet_free(fab_nnunet *m)
{
    if (!m) return NULL;
    for (int i = 0; i < FAB_NNUNET_MAX_FOLDS; i++) fab_net_free(m->net[i]);
    return fab_free(m);
}

const fab_nnunet_plan *fab_nnunet_plan_of(const fab_nnunet *m) { return &m->plan; }
const char *fab_nnunet_folder(const fab_nnunet *m) { return m->folder; }
const char *fab_nnunet_weights_sha256(const fab_nnunet *m) { return m->sha256; }
int fab_nnunet_folds(const fab_nnunet *m) { return m->fold_count; }
