/* network.c - choosing a model of either kind and running it. */
#include "network.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fabrica/brainchop.h"
#include "members.h"

struct fab_network {
    fab_json *card;
    char folder[FAB_MAX_PATH_BYTES];
    fab_model *model;  /* our own package; NULL: an added one */
    fab_model *detail; /* looks at the spine again; NULL: there is none */
    fab_finder *finder; /* looks first; NULL: the whole image is seen */
    char unseen[800];   /* why it is, though its rule is another; "" */
    int channels;
    char channel_name[FAB_NNUNET_MAX_CHANNELS][FAB_MAX_NAME_BYTES];
};

fab_network *fab_network_free(fab_network *n)
{
    if (!n) return NULL;
    fab_json_free(n->card);
    fab_model_free(n->model);
    fab_model_free(n->detail);
    fab_finder_free(n->finder);
    return fab_free(n);
}

const fab_json *fab_network_card(const fab_network *n)
{
    return n->model ? fab_model_card(n->model) : n->card;
}

const fab_json *fab_network_detail_card(const fab_network *n)
{
    return n->detail ? fab_model_card(n->detail) : NULL;
}

fab_status fab_network_put_finder(const fab_network *n, fab_json *o, fab_error *err)
{
    return fab_finder_put(n->finder, o, err);
}

const fab_json *fab_network_finder_card(const fab_network *n, int before)
{
    const fab_finder *f = n->finder;
    while (f && before-- > 0) f = fab_finder_before(f);
    return f ? fab_finder_card(f) : NULL;
}

const char *fab_network_name(const fab_network *n)
{
    return fab_text_of(fab_network_card(n), "name");
}

const char *fab_network_version(const fab_network *n)
{
    return fab_text_of(fab_network_card(n), "version");
}

const char *fab_network_weights_sha256(const fab_network *n)
{
    return fab_text_of(fab_json_find(fab_network_card(n), "weights"), "sha256");
}

int fab_network_channels(const fab_network *n) { return n->channels; }
const char *fab_network_channel_name(const fab_network *n, int channel)
{
    return n->channel_name[channel];
}

/* ---- choosing ----------------------------------------------------------------------------- */

/* NIfTI and NRRD do not say what made them, and a network for CT finds nonsense in an MR. In
 * Hounsfield units fat is about -100 and air -1000, so no CT is nearly without voxels below -50;
 * and where nothing is air, no CT is 0 over a quarter of the image, as an MR is around the patient.
 * A label map, a normalised image and a CT stored with an offset are caught by the first rule. */
static fab_status check_hounsfield(const fab_network *n, const fab_study *study, fab_error *err)
{
    enum { FAT = -50, NO_AIR = -500 };
    const int64_t count = fab_grid_voxels(fab_volume_grid(study->volume));
    int64_t below = 0, zero = 0;
    double low = 0, high = 0;
    char why[160];
    fab_volume_minmax(study->volume, &low, &high);
    for (int64_t i = 0; i < count; i++) {
        const double v = fab_volume_at(study->volume, i);
        below += v < FAT;
        zero += fabs(v) <= 5;
    }
    if ((double)below < 0.001 * (double)count)
        snprintf(why, sizeof why, "%.2g %% of them below %d, where fat is -100 and air -1000",
                 100 * (double)below / (double)count, FAT);
    else if (low > NO_AIR && (double)zero > 0.25 * (double)count)
        snprintf(why, sizeof why, "none of them air and %.0f %% about 0",
                 100 * (double)zero / (double)count);
    else return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
             "model %s is for CT, and %s has values from %g to %g, %s: not Hounsfield units (is it "
             "a label map, an MR, or stored with an offset? if it is CT, say --modality CT)",
             fab_network_name(n), study->name, low, high, why);
}

fab_status fab_network_check(const fab_network *n, const fab_study *study, bool declared,
                             fab_error *err)
{
    const char *wants = fab_text_of(fab_network_card(n), "modality");
    if (declared && !study->modality[0] && strcmp(wants, "CT") == 0)
        return check_hounsfield(n, study, err);
    if (!wants[0] || !study->modality[0] || strcmp(wants, study->modality) == 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "model %s is for %s; %s is %s", fab_network_name(n), wants,
             study->name, study->modality);
}

static bool is_format(const fab_json *card, const char *format)
{
    return strcmp(fab_text_of(card, "format"), format) == 0;
}

static bool is_added(const fab_json *card)
{
    return is_format(card, FAB_NETWORK_NNUNET) || is_format(card, FAB_NETWORK_BRAINCHOP);
}

bool fab_network_is_totalseg(const fab_json *card)
{
    return is_format(card, FAB_NETWORK_NNUNET) &&
           strcmp(fab_text_of(card, "resampling"), "totalsegmentator") == 0;
}

/* Only nnU-Net's own may see more than one image. */
static fab_status get_channels(fab_network *n, fab_error *err)
{
    const fab_nnunet_load_options only = {.plan_only = true, .no_postprocessing = true};
    char folder[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    n->channels = 1;
    if (!is_format(n->card, FAB_NETWORK_NNUNET) || fab_network_is_totalseg(n->card))
        return FAB_OK;
    FAB_TRY(fab_network_part_folder(n->folder, n->card, 0, folder, sizeof folder, err));
    FAB_TRY(fab_nnunet_load(folder, &only, &m, err));
    const fab_nnunet_plan *p = fab_nnunet_plan_of(m);
    n->channels = p->channels;
    for (int i = 0; i < p->channels; i++)
        memcpy(n->channel_name[i], p->channel[i].name, sizeof n->channel_name[i]);
    return FAB_OK;
}

/* The newest of the known packages that is a second look at this one's results. */
static fab_status load_detail(const char *const *folders, fab_precision precision, fab_network *n,
                              fab_error *err)
{
    char folder[FAB_MAX_PATH_BYTES];
    if (!fab_models_find_detail(folders, fab_model_name(n->model), folder, sizeof folder))
        return FAB_OK;
    FAB_TRY(fab_model_load(folder, precision, &n->detail, err));
    if (fab_detail_check(n->detail, err) < 0) return fab_error_prefix(err, "%s/model.json", folder);
    return FAB_OK;
}

fab_status fab_network_choose(const fab_network_choice *choice, const fab_study *study,
                              fab_network **out, fab_error *err)
{
    const char *const *folders = choice->folders;
    char path[FAB_MAX_PATH_BYTES];
    FAB_AUTO(fab_network_free) fab_network *n = fab_calloc(1, sizeof *n);
    if (!n) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    FAB_TRY(fab_models_find(folders, choice->name, study->modality, n->folder,
                            sizeof n->folder, err));
    FAB_TRY(fab_path_join(path, sizeof path, n->folder, "model.json", err));
    FAB_TRY(fab_json_load_file(path, &n->card, err));
    if (!is_added(n->card)) FAB_TRY(fab_model_load(n->folder, choice->precision, &n->model, err));
    if (n->model && choice->detail) FAB_TRY(load_detail(folders, choice->precision, n, err));
    FAB_TRY(get_channels(n, err));
    if (n->channels == 1) FAB_TRY(fab_network_check(n, study, true, err));
    if (choice->crop && fab_network_is_totalseg(n->card))
        FAB_TRY(fab_finder_choose(folders, n->folder, n->card, &n->finder, n->unseen,
                                  sizeof n->unseen, err));
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
    if (!n->detail || !how->detail) return FAB_OK;
    return fab_detail_refine(n->detail, image, how->progress, out, how->detail, err);
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

enum { MAX_PARTS = 64 };

fab_status fab_network_load_totalseg(const char *folder, const fab_json *card,
                                     fab_totalseg_quality quality, fab_totalseg **out,
                                     fab_error *err)
{
    const char *parts[MAX_PARTS + 1] = {NULL};
    const fab_json *rows = fab_json_find(card, "parts");
    const size_t count = fab_json_count(rows);
    if (count < 1 || count > MAX_PARTS)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s/model.json: parts names %zu folders, 1 to %d are "
                 "supported", folder, count, MAX_PARTS);
    for (size_t i = 0; i < count; i++) {
        char path[FAB_MAX_PATH_BYTES];
        FAB_TRY(fab_network_part_folder(folder, card, i, path, sizeof path, err));
        parts[i] = fab_text_of(fab_json_at(rows, i), "folder");
    }
    return fab_totalseg_load(folder, parts, quality, out, err);
}

/* Notes of the result and, at once, of the watcher. */
static void note(const fab_network_run *how, fab_segment_result *out, const char *text)
{
    const size_t used = strlen(out->notes);
    if (!text[0]) return;
    snprintf(out->notes + used, sizeof out->notes - used, "%s%s", used ? " " : "", text);
    fab_job_note(how->watch, "%s", text);
}

/* What lay in no box has no probability either. */
static fab_status take_soft(fab_nnunet_soft *soft, fab_segment_result *out, fab_error *err)
{
    if (soft->labels) return fab_soft_apply(soft, out, err);
    out->confidence = fab_calloc(out->set.count + 1, sizeof *out->confidence);
    if (!out->confidence) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for confidences");
    return FAB_OK;
}

static fab_status run_totalseg(const fab_network *n, const fab_volume *image,
                               const fab_network_run *how, fab_segment_result *out,
                               fab_error *err)
{
    FAB_AUTO(fab_totalseg_free) fab_totalseg *t = NULL;
    FAB_AUTO_FREE const char **names = fab_calloc(MAX_STRUCTURES + 1, sizeof *names);
    FAB_AUTO_FREE char *asked = how->structures ? fab_strdup(how->structures) : NULL;
    fab_totalseg_options o = {.step = how->step, .exact = true,
                              .max_memory_bytes = how->max_memory_bytes,
                              .precision = how->precision, .progress = how->progress,
                              .look = n->finder ? fab_finder_look(n->finder) : NULL};
    fab_totalseg_seen seen = {0};
    char text[900];
    o.seen = &seen;
    if (!names || (how->structures && !asked)) FAB_FAIL(err, FAB_ERR_NOMEM, "out of memory");
    if (asked) FAB_TRY(split_names(asked, names, err));
    if (asked) o.structures = names;
    FAB_TRY(fab_network_load_totalseg(n->folder, n->card, how->quality, &t, err));
    note(how, out, n->unseen);
    fab_nnunet_soft soft = {0};
    o.soft = &soft;
    o.surfaces = how->surfaces;
    FAB_TRY(fab_label_set_copy(fab_totalseg_labels(t), &out->set, err));
    FAB_TRY(fab_totalseg_run(t, image, &o, &out->labels, NULL, &out->patches, err));
    if (n->finder) fab_finder_tell(n->finder, &seen, fab_volume_grid(image), text, sizeof text);
    if (n->finder) note(how, out, text);
    return take_soft(&soft, out, err);
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
    const char *below = fab_text_of(row, "folder");
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

/* "All but the largest component of liver removed", ... in the order it was done. */
static void note_postprocessing(const fab_nnunet_postprocessing *p, const fab_nnunet_report *r,
                                fab_segment_result *out)
{
    char *to = out->notes;
    const size_t room = sizeof out->notes;
    if (!p->count) return;
    snprintf(to + strlen(to), room - strlen(to),
             "%snnU-Net's postprocessing kept the largest component of", to[0] ? " " : "");
    for (int i = 0; i < p->count; i++) {
        const fab_nnunet_step *s = &p->step[i];
        snprintf(to + strlen(to), room - strlen(to), "%s", i ? ", then of" : "");
        for (int k = 0; k < s->count && strlen(to) < room - 200; k++) {
            const fab_label *l = fab_label_set_find(&out->set, s->value[k]);
            char number[16];
            snprintf(number, sizeof number, "%d", s->value[k]);
            snprintf(to + strlen(to), room - strlen(to), "%s%s", k ? " + " : " ",
                     l ? l->name : number);
        }
    }
    snprintf(to + strlen(to), room - strlen(to), "; %lld %s taken away.",
             (long long)r->removed_voxels,
             fab_plural(r->removed_voxels, "voxel was", "voxels were"));
}

/* "Mean of the probabilities of A (5 folds) and B (5 folds)." */
static void note_ensemble(const fab_nnunet *m, const fab_network_run *how, fab_segment_result *out)
{
    char text[900] = "Mean of the probabilities of";
    const int count = fab_nnunet_members(m);
    if (!count) return;
    for (int i = 0; i < count; i++) {
        const fab_nnunet *one = fab_nnunet_member(m, i);
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s %.80s (%d %s)",
                 !i ? "" : i + 1 < count ? "," : " and", fab_path_name(fab_nnunet_folder(one)),
                 fab_nnunet_folds(one), fab_plural(fab_nnunet_folds(one), "fold", "folds"));
    }
    snprintf(text + strlen(text), sizeof text - strlen(text), ".");
    note(how, out, text);
}

static fab_status run_nnunet(const fab_network *n, const fab_volume *const *images,
                             const fab_network_run *how, fab_segment_result *out, fab_error *err)
{
    const fab_nnunet_load_options load = {.no_postprocessing = how->no_postprocessing,
                                          .precision = how->precision};
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    fab_nnunet_soft soft = {0};
    fab_nnunet_options o = {.step = how->step, .exact = true,
                            .max_memory_bytes = how->max_memory_bytes,
                            .soft = &soft, .surfaces = how->surfaces,
                            .progress = how->progress};
    if (how->quality != FAB_TOTALSEG_BEST || how->structures)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s is no TotalSegmentator: it has no --fast, --fastest "
                 "or --roi-subset", fab_network_name(n));
    FAB_TRY(fab_members_load(n->folder, n->card, &load, &m, err));
    note_ensemble(m, how, out);
    FAB_TRY(set_of_plan(fab_nnunet_plan_of(m), &out->set, err));
    fab_nnunet_report report = {0};
    FAB_TRY(fab_nnunet_predict(m, images, NULL, &o, &out->labels, &report, err));
    out->patches = report.patches;
    note_postprocessing(fab_nnunet_postprocessing_of(m), &report, out);
    return fab_soft_apply(&soft, out, err);
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
    if (how->precision == FAB_PRECISION_BF16)
        FAB_FAIL(err, FAB_ERR_ARG, "model %s is a chain of convolutions: those run in fp32 only",
                 fab_network_name(n));
    FAB_TRY(fab_network_part_folder(n->folder, n->card, 0, folder, sizeof folder, err));
    FAB_TRY(fab_brainchop_load(folder, &m, err));
    return fab_brainchop_segment(m, image, &o, out, err);
}

fab_status fab_network_segment(const fab_network *n, const fab_volume *const *images,
                               const fab_network_run *how, fab_segment_result *out,
                               fab_error *err)
{
    if (n->model) return segment_own(n, images[0], how, out, err);
    if (is_format(n->card, FAB_NETWORK_BRAINCHOP))
        return run_brainchop(n, images[0], how, out, err);
    out->isa = fab_nn_isa_best(how->precision);
    return fab_network_is_totalseg(n->card) ? run_totalseg(n, images[0], how, out, err)
                          : run_nnunet(n, images, how, out, err);
}
