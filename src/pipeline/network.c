/* network.c - choosing a model of either kind and running it. */
#include "network.h"

#include <stdio.h>
#include <string.h>

#include "fabrica/brainchop.h"
#include "fabrica/nnunet.h"

struct fab_network {
    fab_json *card;
    char folder[FAB_MAX_PATH_BYTES];
    fab_model *model; /* our own package; NULL: an added one */
};

fab_network *fab_network_free(fab_network *n)
{
    if (!n) return NULL;
    fab_json_free(n->card);
    fab_model_free(n->model);
    return fab_free(n);
}

static const char *text_of(const fab_json *o, const char *key)
{
    const char *text = fab_json_text(fab_json_find(o, key));
    return text ? text : "";
}

const fab_json *fab_network_card(const fab_network *n)
{
    return n->model ? fab_model_card(n->model) : n->card;
}

const char *fab_network_name(const fab_network *n)
{
    return text_of(fab_network_card(n), "name");
}

const char *fab_network_version(const fab_network *n)
{
    return text_of(fab_network_card(n), "version");
}

const char *fab_network_weights_sha256(const fab_network *n)
{
    return text_of(fab_json_find(fab_network_card(n), "weights"), "sha256");
}

/* ---- choosing ----------------------------------------------------------------------------- */

/* NIfTI and NRRD do not say what made them. No CT is without a voxel below 0 HU (fat, air): that is
 * a label map, an MR, or a CT stored with an offset, and a network for CT would find nonsense. */
static fab_status check_hounsfield(const fab_network *n, const fab_study *study, fab_error *err)
{
    double low = 0, high = 0;
    fab_volume_minmax(study->volume, &low, &high);
    if (low < 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
             "model %s is for CT, and %s has values from %g to %g: not Hounsfield units (is it a "
             "label map, an MR, or stored with an offset?)", fab_network_name(n), study->name, low,
             high);
}

static fab_status check_modality(const fab_network *n, const fab_study *study, fab_error *err)
{
    const char *wants = text_of(fab_network_card(n), "modality");
    if (wants[0] && !study->modality[0] && strcmp(wants, "CT") == 0)
        return check_hounsfield(n, study, err);
    if (!wants[0] || !study->modality[0] || strcmp(wants, study->modality) == 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "model %s is for %s; %s is %s", fab_network_name(n), wants,
             study->name, study->modality);
}

static bool is_format(const fab_json *card, const char *format)
{
    return strcmp(text_of(card, "format"), format) == 0;
}

static bool is_added(const fab_json *card)
{
    return is_format(card, FAB_NETWORK_NNUNET) || is_format(card, FAB_NETWORK_BRAINCHOP);
}

fab_status fab_network_choose(const char *const *folders, const char *name,
                              const fab_study *study, fab_network **out, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_network_free) fab_network *n = fab_calloc(1, sizeof *n);
    if (!n) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    FAB_TRY(fab_models_find(folders, name, study->modality, n->folder, sizeof n->folder, err));
    FAB_TRY(fab_path_join(path, sizeof path, n->folder, "model.json", err));
    FAB_TRY(fab_json_load_file(path, &n->card, err));
    if (!is_added(n->card)) FAB_TRY(fab_model_load(n->folder, &n->model, err));
    FAB_TRY(check_modality(n, study, err));
    *out = n;
    n = NULL;
    return FAB_OK;
}

/* ---- our own packages --------------------------------------------------------------------- */

static void clear_value(fab_volume *v, int value)
{
    int64_t n = v ? fab_grid_voxels(fab_volume_grid(v)) : 0;
    void *data = v ? fab_volume_data_mut(v) : NULL;
    if (!data) return;
    if (fab_volume_dtype(v) == FAB_U8) {
        uint8_t *at = data;
        for (int64_t i = 0; i < n; i++) at[i] = at[i] == value ? 0 : at[i];
    } else {
        uint16_t *at = data;
        for (int64_t i = 0; i < n; i++) at[i] = at[i] == value ? 0 : at[i];
    }
}

static void remove_row(fab_segment_result *r, size_t row)
{
    clear_value(r->labels, r->set.items[row].value);
    clear_value(r->fine_labels, r->set.items[row].value);
    for (size_t i = row + 1; i < r->set.count; i++) {
        r->set.items[i - 1] = r->set.items[i];
        if (r->confidence) r->confidence[i - 1] = r->confidence[i];
    }
    r->set.count--;
}

/* A class whose "members" are an empty list is no structure but all that is left of the body: it
 * helps the network to tell tissue from air and has no place in a label map. */
static void drop_rest(const fab_json *card, fab_segment_result *r)
{
    const fab_json *labels = fab_json_find(card, "labels");
    for (size_t i = 0; i < fab_json_count(labels); i++) {
        const fab_json *label = fab_json_at(labels, i), *members = fab_json_find(label, "members");
        const char *name = fab_json_text(fab_json_find(label, "name"));
        if (!name || !fab_json_is_array(members) || fab_json_count(members)) continue;
        for (size_t row = r->set.count; row-- > 0;)
            if (strcmp(r->set.items[row].name, name) == 0) remove_row(r, row);
    }
}

static fab_status segment_own(const fab_network *n, const fab_volume *image,
                              const fab_network_run *how, fab_segment_result *out, fab_error *err)
{
    fab_segment_options so = {how->step, how->max_memory_bytes, how->progress};
    if (how->quality != FAB_TOTALSEG_BEST || how->structures)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s has one network for all its structures: --fast, "
                 "--fastest and --roi-subset are for TotalSegmentator's", fab_network_name(n));
    FAB_TRY(fab_segment(n->model, image, &so, out, err));
    drop_rest(fab_model_card(n->model), out);
    return FAB_OK;
}

/* ---- nnU-Net folders ---------------------------------------------------------------------- */

enum { MAX_STRUCTURES = 512 };

/* The comma list as a NULL-terminated array of names in `text`, which is changed. */
static fab_status split_names(char *text, const char **names, fab_error *err)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *one = strtok_r(text, ", ", &rest); one; one = strtok_r(NULL, ", ", &rest)) {
        if (count == MAX_STRUCTURES)
            FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d structures asked for", MAX_STRUCTURES);
        names[count++] = one;
    }
    names[count] = NULL;
    if (!count) FAB_FAIL(err, FAB_ERR_ARG, "no structure is asked for");
    return FAB_OK;
}

static fab_status run_totalseg(const fab_network *n, const fab_volume *image,
                               const fab_network_run *how, fab_segment_result *out,
                               fab_error *err)
{
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = NULL;
    FAB_AUTO_FREE const char **names = fab_calloc(MAX_STRUCTURES + 1, sizeof *names);
    FAB_AUTO_FREE char *text = how->structures ? fab_strdup(how->structures) : NULL;
    fab_totalseg_options o = {.step = how->step, .exact = true,
                              .max_memory_bytes = how->max_memory_bytes,
                              .progress = how->progress};
    if (!names || (how->structures && !text)) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    if (text) FAB_TRY(split_names(text, names, err));
    if (text) o.structures = names;
    FAB_TRY(fab_totalseg_load(n->folder, how->quality, &t, err));
    FAB_TRY(fab_totalseg_run(t, image, &o, &out->labels, NULL, &out->patches, err));
    return fab_label_set_copy(fab_totalseg_labels(t), &out->set, err);
}

/* A name below a folder: relative, and no ".." in it. */
static bool stays_below(const char *name)
{
    if (!name[0] || name[0] == '/') return false;
    for (const char *at = name; *at; at += strspn(at, "/")) {
        const size_t n = strcspn(at, "/");
        if (n == 2 && memcmp(at, "..", 2) == 0) return false;
        at += n;
    }
    return true;
}

fab_status fab_network_part_folder(const char *folder, const fab_json *card, size_t part,
                                   char *out, size_t room, fab_error *err)
{
    const fab_json *row = fab_json_at(fab_json_find(card, "parts"), part);
    const char *below = text_of(row, "folder");
    if (!stays_below(below))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s/model.json: parts[%zu].folder \"%.80s\" is no folder in "
                 "the package", folder, part, below);
    return fab_path_join(out, room, folder, below, err);
}

static fab_status set_of_plan(const fab_nnunet_plan *p, fab_label_set *set, fab_error *err)
{
    for (int h = p->regions ? 0 : 1; h < p->head_count; h++)
        FAB_TRY(fab_label_set_add(set, p->head[h].value, p->head[h].name, err));
    return FAB_OK;
}

static fab_status run_nnunet(const fab_network *n, const fab_volume *image,
                             const fab_network_run *how, fab_segment_result *out, fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    fab_nnunet_options o = {.step = how->step, .exact = true,
                            .max_memory_bytes = how->max_memory_bytes,
                            .progress = how->progress};
    if (how->quality != FAB_TOTALSEG_BEST || how->structures)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s is no TotalSegmentator: it has no --fast, --fastest "
                 "or --roi-subset", fab_network_name(n));
    FAB_TRY(fab_network_part_folder(n->folder, n->card, 0, folder, sizeof folder, err));
    FAB_TRY(fab_nnunet_load(folder, NULL, &m, err));
    const int channels = fab_nnunet_plan_of(m)->channels;
    if (channels != 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "model %s needs %d images of one patient on one grid; "
                 "one is given", fab_network_name(n), channels);
    FAB_TRY(set_of_plan(fab_nnunet_plan_of(m), &out->set, err));
    return fab_nnunet_predict(m, &image, NULL, &o, &out->labels, &out->patches, err);
}

/* ---- brainchop's ------------------------------------------------------------------------- */

static fab_status run_brainchop(const fab_network *n, const fab_volume *image,
                                const fab_network_run *how, fab_segment_result *out,
                                fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_brainchop_free) fab_brainchop *m = NULL;
    const fab_brainchop_options o = {how->max_memory_bytes, how->progress};
    if (how->quality != FAB_TOTALSEG_BEST || how->structures || how->step > 0)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s looks at the whole head at once: it has no --fast, "
                 "--fastest, --roi-subset or --step", fab_network_name(n));
    FAB_TRY(fab_network_part_folder(n->folder, n->card, 0, folder, sizeof folder, err));
    FAB_TRY(fab_brainchop_load(folder, &m, err));
    return fab_brainchop_segment(m, image, &o, out, err);
}

fab_status fab_network_segment(const fab_network *n, const fab_volume *image,
                               const fab_network_run *how, fab_segment_result *out,
                               fab_error *err)
{
    if (n->model) return segment_own(n, image, how, out, err);
    if (is_format(n->card, FAB_NETWORK_BRAINCHOP)) return run_brainchop(n, image, how, out, err);
    out->isa = fab_nn_isa_name(fab_nn_isa_best());
    return strcmp(text_of(n->card, "resampling"), "totalsegmentator") == 0
               ? run_totalseg(n, image, how, out, err) : run_nnunet(n, image, how, out, err);
}
