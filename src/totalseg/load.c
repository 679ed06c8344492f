/* load.c - which data sets lie in a folder, and which of them make one task. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "totalseg_internal.h"

enum { MAX_FOUND = 128 };

typedef struct found {
    int number, auxiliary;
    bool other; /* another of TotalSegmentator's tasks than "total" of CT */
    double spacing_mm, resample_mm[3];
    char folder[FAB_MAX_PATH_BYTES];
} found;

typedef struct search {
    int count;
    found item[MAX_FOUND];
} search;

/* NNN of "DatasetNNN_..."; -1 for any other name. */
static int dataset_number(const char *name)
{
    char *end = NULL;
    if (strncmp(name, "Dataset", 7) != 0) return -1;
    long n = strtol(name + 7, &end, 10);
    return end > name + 7 && *end == '_' && n >= 0 && n < 100000 ? (int)n : -1;
}

static fab_status load_plan(const char *folder, fab_nnunet **out, fab_error *err)
{
    const fab_nnunet_load_options only = {.plan_only = true, .no_postprocessing = true};
    return fab_nnunet_load(folder, &only, out, err);
}

static double smallest(const double mm[3])
{
    return fmin(fmin(mm[0], mm[1]), mm[2]);
}

/* name: of the data set, "Dataset297_x", in whose folder `folder` is. */
static fab_status add_dataset(search *s, const char *folder, const char *name, fab_error *err)
{
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    if (s->count == MAX_FOUND)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: more than %d data sets", folder, MAX_FOUND);
    FAB_TRY(load_plan(folder, &m, err));
    const fab_nnunet_plan *p = fab_nnunet_plan_of(m);
    found *f = &s->item[s->count++];
    f->number = dataset_number(name);
    f->spacing_mm = smallest(p->spacing_mm);
    fab_totalseg_resampling(name, p, f->resample_mm);
    f->auxiliary = fab_totalseg_auxiliary(name);
    const char *task = fab_totalseg_task(name);
    f->other = task && strcmp(task, "total") != 0 && strcmp(task, "total_v3") != 0;
    snprintf(f->folder, sizeof f->folder, "%s", folder);
    if (p->flat)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: a 2d network; TotalSegmentator's are 3d", folder);
    if (p->channels != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %d channels; TotalSegmentator's have one", folder,
                 p->channels);
    return FAB_OK;
}

static int by_number(const void *a, const void *b)
{
    const found *p = a, *q = b;
    return p->number != q->number ? p->number - q->number : strcmp(p->folder, q->folder);
}

static fab_status find_datasets(const char *folder, search *s, fab_error *err)
{
    fab_status status = FAB_OK;
    DIR *dir = opendir(folder);
    if (!dir) FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no such folder", folder);
    for (struct dirent *e; status == FAB_OK && (e = readdir(dir));) {
        char path[FAB_MAX_PATH_BYTES];
        if (dataset_number(e->d_name) < 0) continue;
        status = fab_path_join(path, sizeof path, folder, e->d_name, err);
        if (status == FAB_OK) status = add_dataset(s, path, e->d_name, err);
    }
    closedir(dir);
    if (status == FAB_OK && s->count == 0 && dataset_number(fab_path_name(folder)) >= 0)
        return add_dataset(s, folder, fab_path_name(folder), err); /* last: a package may be
                                                                      called so too */
    return status;
}

static fab_status find_parts(const char *folder, const char *const *parts, search *s,
                             fab_error *err)
{
    for (size_t i = 0; parts[i]; i++) {
        char path[FAB_MAX_PATH_BYTES];
        FAB_TRY(fab_path_join(path, sizeof path, folder, parts[i], err));
        FAB_TRY(add_dataset(s, path, parts[i], err));
    }
    return FAB_OK;
}

/* The spacing asked for; the best is the finest there is. */
static fab_status pick_spacing(const search *s, const char *folder, fab_totalseg_quality quality,
                               double *out, fab_error *err)
{
    static const double mm[] = {0, 3, 6};
    char there[200] = "";
    double finest = INFINITY;
    for (int i = 0; i < s->count; i++) {
        const size_t used = strlen(there);
        snprintf(there + used, sizeof there - used, "%s%d (%g mm)", used ? ", " : "",
                 s->item[i].number, s->item[i].spacing_mm);
        finest = fmin(finest, s->item[i].spacing_mm);
        if (quality != FAB_TOTALSEG_BEST && fabs(s->item[i].spacing_mm - mm[quality]) < 1e-3) {
            *out = mm[quality];
            return FAB_OK;
        }
    }
    if (s->count == 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no DatasetNNN_... folder of TotalSegmentator", folder);
    if (quality != FAB_TOTALSEG_BEST)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: no network of %g mm; there are data sets %s", folder,
                 mm[quality], there);
    *out = finest;
    return FAB_OK;
}

/* ---- one table of names ------------------------------------------------------------------- */

static bool all_known(const fab_nnunet_plan *p)
{
    for (int h = 1; h < p->head_count; h++)
        if (fab_total_value(p->head[h].name) == 0) return false;
    return true;
}

/* Values of a part's heads. Names that two parts know keep the first one's value. */
static fab_status add_names(fab_totalseg *t, fab_totalseg_part *part, const fab_nnunet_plan *p,
                            bool total, fab_error *err)
{
    if (p->regions)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: regions are not TotalSegmentator's", part->folder);
    part->heads = p->head_count;
    for (int h = 1; h < p->head_count; h++) {
        const char *name = p->head[h].name;
        if (part->auxiliary && h >= part->auxiliary) break;
        const fab_label *known = fab_label_set_by_name(&t->set, name);
        int value = known ? known->value
                          : total ? fab_total_value(name) : (int)t->set.count + 1;
        if (!known && fab_label_set_add(&t->set, value, name, err) < 0)
            return fab_error_prefix(err, "%s", part->folder);
        part->value_of[h] = (uint16_t)value;
    }
    return FAB_OK;
}

/* Parts of one task see the same image. The first of the spacing says how it is resampled. */
static bool belongs(fab_totalseg *t, const found *f)
{
    if (fabs(f->spacing_mm - t->spacing_mm) > 1e-3) return false;
    if (t->part_count == 0) memcpy(t->resample_mm, f->resample_mm, sizeof t->resample_mm);
    for (int a = 0; a < 3; a++)
        if (fabs(f->resample_mm[a] - t->resample_mm[a]) > 1e-3) return false;
    return true;
}

static fab_status join_parts(fab_totalseg *t, const search *s, fab_error *err)
{
    fab_nnunet *model[FAB_TOTALSEG_MAX_PARTS] = {NULL};
    fab_status status = FAB_OK;
    bool total = true;
    for (int i = 0; i < s->count && status == FAB_OK; i++) {
        if (!belongs(t, &s->item[i])) continue;
        if (t->part_count == FAB_TOTALSEG_MAX_PARTS)
            status = fab_error_set(err, FAB_ERR_LIMIT, "more than %d parts of %g mm",
                                   FAB_TOTALSEG_MAX_PARTS, t->spacing_mm);
        if (status == FAB_OK) status = load_plan(s->item[i].folder, &model[t->part_count], err);
        if (status < 0) break;
        fab_totalseg_part *part = &t->part[t->part_count];
        part->number = s->item[i].number;
        part->auxiliary = s->item[i].auxiliary;
        memcpy(part->folder, s->item[i].folder, sizeof part->folder);
        total = total && !s->item[i].other && all_known(fab_nnunet_plan_of(model[t->part_count]));
        t->part_count++;
    }
    t->total = total;
    for (int i = 0; i < t->part_count; i++) {
        if (status == FAB_OK)
            status = add_names(t, &t->part[i], fab_nnunet_plan_of(model[i]), total, err);
        fab_nnunet_free(model[i]);
    }
    return status;
}

static bool has_spacing(const search *s, double mm)
{
    for (int i = 0; i < s->count; i++)
        if (fabs(s->item[i].spacing_mm - mm) < 1e-3) return true;
    return false;
}

/* TotalSegmentator looks for the structures that are asked for by its 6 mm network first, in MR by
 * the 3 mm one. */
static fab_status add_rough(fab_totalseg *t, const search *s, fab_error *err)
{
    const double mm = t->total ? 6 : 3;
    if (t->spacing_mm >= mm - 1e-3 || !has_spacing(s, mm)) return FAB_OK;
    t->rough = fab_calloc(1, sizeof *t->rough);
    if (!t->rough) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of networks");
    t->rough->spacing_mm = mm;
    return join_parts(t->rough, s, err);
}

fab_status fab_totalseg_load(const char *folder, const char *const *parts,
                             fab_totalseg_quality quality, fab_totalseg **out, fab_error *err)
{
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = fab_calloc(1, sizeof *t);
    FAB_AUTO_FREE search *s = fab_calloc(1, sizeof *s);
    if (!t || !s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of networks");
    FAB_TRY(parts ? find_parts(folder, parts, s, err) : find_datasets(folder, s, err));
    if (s->count > 1) qsort(s->item, (size_t)s->count, sizeof *s->item, by_number);
    FAB_TRY(pick_spacing(s, folder, quality, &t->spacing_mm, err));
    FAB_TRY(join_parts(t, s, err));
    FAB_TRY(add_rough(t, s, err));
    *out = t;
    t = NULL;
    return FAB_OK;
}

fab_totalseg *fab_totalseg_free(fab_totalseg *t)
{
    if (!t) return NULL;
    fab_label_set_free(&t->set);
    fab_totalseg_free(t->rough);
    return fab_free(t);
}

int fab_totalseg_parts(const fab_totalseg *t) { return t->part_count; }
const char *fab_totalseg_part_folder(const fab_totalseg *t, int part)
{
    return t->part[part].folder;
}
double fab_totalseg_spacing_mm(const fab_totalseg *t) { return t->spacing_mm; }
const fab_label_set *fab_totalseg_labels(const fab_totalseg *t) { return &t->set; }
