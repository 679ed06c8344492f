/* validate_pairs.c - which of the truth's values and which of the prediction's make up a structure.
 *
 * Names differ between data sets (TotalSegmentator's two versions, BTCV, AMOS) and models merge
 * what truths keep apart: a model card says by "members" which finer structures each of its labels
 * stands for. A structure of which the truth lacks a part is not evaluated: what it does not draw
 * would count as wrong. */
#include "validate.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef char name_text[FAB_MAX_NAME_BYTES];

/* ---- names -------------------------------------------------------------------------------- */

/* Other data sets' names of structures that TotalSegmentator has too. */
static const struct alias {
    const char *other, *name;
} aliases[] = {
    {"right_kidney", "kidney_right"}, {"left_kidney", "kidney_left"},
    {"postcava", "inferior_vena_cava"}, {"ivc", "inferior_vena_cava"},
    {"bladder", "urinary_bladder"}, {"gall_bladder", "gallbladder"},
    {"left_adrenal_gland", "adrenal_gland_left"}, {"right_adrenal_gland", "adrenal_gland_right"},
    {"left_lung", "lung_left"}, {"right_lung", "lung_right"}, {"oesophagus", "esophagus"},
    {"left_femur", "femur_left"}, {"right_femur", "femur_right"}, {"thyroid", "thyroid_gland"},
    {"left_hip", "hip_left"}, {"right_hip", "hip_right"},
};

static void canonical_name(const char *from, name_text to)
{
    size_t n = 0;
    for (; from[n] && n + 1 < sizeof(name_text); n++) {
        int c = (unsigned char)from[n];
        to[n] = (char)(isalnum(c) ? tolower(c) : '_');
    }
    to[n] = '\0';
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(aliases[i].other, to) == 0)
            snprintf(to, sizeof(name_text), "%s", aliases[i].name);
}

static bool same_name(const char *a, const char *b)
{
    name_text x, y;
    canonical_name(a, x);
    canonical_name(b, y);
    return strcmp(x, y) == 0;
}

/* "rib_*" stands for every name that begins so. */
static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    if (n && pattern[n - 1] == '*') return strncmp(pattern, name, n - 1) == 0;
    return same_name(pattern, name);
}

static bool add_value(int *values, size_t *count, int value)
{
    for (size_t i = 0; i < *count; i++)
        if (values[i] == value) return true;
    if (*count < FAB_MAX_STRUCTURES) values[(*count)++] = value;
    return true;
}

static bool add_named(const fab_label_set *set, const char *pattern, int *values, size_t *count)
{
    bool any = false;
    for (size_t i = 0; i < set->count; i++)
        if (matches(pattern, set->items[i].name))
            any = add_value(values, count, set->items[i].value);
    return any;
}

static bool listed(const fab_json *names, const char *name)
{
    for (size_t i = 0; i < fab_json_count(names); i++) {
        const char *text = fab_json_text(fab_json_at(names, i));
        if (text && matches(text, name)) return true;
    }
    return false;
}

/* What version 1 of TotalSegmentator drew in parts. */
static bool add_parts(const fab_label_set *set, const char *name, int *values, size_t *count)
{
    static const char *const heart[] = {"heart_myocardium", "heart_atrium_left",
                                        "heart_atrium_right", "heart_ventricle_left",
                                        "heart_ventricle_right"};
    enum { PARTS = sizeof heart / sizeof *heart };
    if (!same_name(name, "heart")) return false;
    for (int i = 0; i < PARTS; i++)
        if (!fab_label_set_by_name(set, heart[i])) return false;
    for (int i = 0; i < PARTS; i++) (void)add_named(set, heart[i], values, count);
    return true;
}

/* ---- the list ----------------------------------------------------------------------------- */

void fab_pairs_free(fab_pair_list *l)
{
    fab_free(l->items);
    *l = (fab_pair_list){0};
}

static fab_status new_pair(fab_pair_list *l, const char *name, fab_pair **out, fab_error *err)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 32;
        fab_pair *items = fab_realloc(l->items, capacity * sizeof *items);
        if (!items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of structures");
        l->items = items;
        l->capacity = capacity;
    }
    *out = &l->items[l->count++];
    **out = (fab_pair){0};
    snprintf((*out)->name, sizeof (*out)->name, "%s", name);
    return FAB_OK;
}

static void append(char *text, size_t capacity, const char *name)
{
    size_t used = strlen(text);
    if (used + strlen(name) + 8 < capacity)
        snprintf(text + used, capacity - used, "%s%s", used ? ", " : "", name);
    else if (used >= 3 && used + 5 < capacity && strcmp(text + used - 3, "...") != 0)
        snprintf(text + used, capacity - used, " ...");
}

/* ---- by the data set's mapping ------------------------------------------------------------ */

static fab_status take_list(const fab_json *list, const fab_label_set *set, int *values,
                            size_t *count, char *unknown, size_t capacity, fab_error *err)
{
    for (size_t i = 0; i < fab_json_count(list); i++) {
        const fab_json *item = fab_json_at(list, i);
        const char *name = fab_json_text(item);
        double number = fab_json_number(item);
        if (name && !add_named(set, name, values, count)) append(unknown, capacity, name);
        if (name) continue;
        if (!fab_json_is_number(item) || !(number >= 1 && number <= FAB_MAX_LABELS) ||
            number != floor(number))
            FAB_FAIL(err, FAB_ERR_FORMAT, "a mapping lists names and values (1 to %d)",
                     FAB_MAX_LABELS);
        (void)add_value(values, count, (int)number);
    }
    return FAB_OK;
}

static fab_status pair_of_row(const fab_json *row, const fab_label_set *truth,
                              const fab_label_set *predicted, fab_pair_list *l, fab_error *err)
{
    const char *name = NULL;
    const fab_json *a = NULL, *b = NULL;
    char no_truth[120] = "", no_prediction[120] = "";
    fab_pair *p = NULL;
    FAB_TRY(fab_json_get_string(row, "name", &name, err));
    FAB_TRY(fab_json_get_array(row, "reference", &a, err));
    FAB_TRY(fab_json_get_array(row, "predicted", &b, err));
    FAB_TRY(new_pair(l, name, &p, err));
    FAB_TRY(take_list(a, truth, p->truth, &p->truth_count, no_truth, sizeof no_truth, err));
    FAB_TRY(take_list(b, predicted, p->predicted, &p->predicted_count, no_prediction,
                      sizeof no_prediction, err));
    if (!p->predicted_count)
        FAB_FAIL(err, FAB_ERR_ARG, "structure \"%.60s\": the model has no %s", name,
                 no_prediction[0] ? no_prediction : "such structure");
    if (no_truth[0])
        snprintf(p->reason, sizeof p->reason, "this truth's table has no %s", no_truth);
    else if (!p->truth_count)
        snprintf(p->reason, sizeof p->reason, "the mapping names nothing in the truth");
    return FAB_OK;
}

static fab_status by_mapping(const fab_json *mapping, const fab_label_set *truth,
                             const fab_label_set *predicted, fab_pair_list *l, fab_error *err)
{
    if (fab_json_count(mapping) > FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a mapping of more than %d structures", FAB_MAX_STRUCTURES);
    for (size_t i = 0; i < fab_json_count(mapping); i++) {
        fab_status status = pair_of_row(fab_json_at(mapping, i), truth, predicted, l, err);
        if (status < 0) (void)fab_error_prefix(err, "mapping, row %zu", i + 1);
        FAB_TRY(status);
    }
    return FAB_OK;
}

/* ---- by the model's card ------------------------------------------------------------------ */

/* Small parts, without which the whole is still what the model means by it. */
static bool is_detail(const char *member)
{
    static const char *const details[] = {"kidney_cyst_left", "kidney_cyst_right",
                                          "atrial_appendage_left", "vertebrae_S1"};
    for (size_t i = 0; i < sizeof details / sizeof *details; i++)
        if (strcmp(details[i], member) == 0) return true;
    return false;
}

/* Vertebrae more than the usual ones belong where those do. */
static void add_variants(const fab_label_set *truth, const char *member, fab_pair *p)
{
    if (strcmp(member, "vertebrae_T12") == 0)
        (void)add_named(truth, "vertebrae_T13", p->truth, &p->truth_count);
    if (strcmp(member, "vertebrae_L5") == 0)
        (void)add_named(truth, "vertebrae_L6", p->truth, &p->truth_count);
}

/* Only members whose names have `side` in them, "" for all. */
static void take_members(const fab_json *members, const char *side, const fab_label_set *truth,
                         fab_pair *p)
{
    char lacking[120] = "", details[100] = "";
    size_t held = 0, wanted = 0, lacks = 0;
    for (size_t i = 0; i < fab_json_count(members); i++) {
        const char *member = fab_json_text(fab_json_at(members, i));
        if (!member || !strstr(member, side)) continue;
        wanted++;
        bool found = add_named(truth, member, p->truth, &p->truth_count) ||
                     add_parts(truth, member, p->truth, &p->truth_count);
        held += found;
        if (found) add_variants(truth, member, p);
        else if (is_detail(member)) append(details, sizeof details, member);
        else {
            append(lacking, sizeof lacking, member);
            lacks++;
        }
    }
    if (!held) snprintf(p->reason, sizeof p->reason, "not in the truth");
    else if (lacks)
        snprintf(p->reason, sizeof p->reason, "only in part in the truth: %zu of %zu, without %s",
                 held, wanted, lacking);
    else if (details[0])
        snprintf(p->remark, sizeof p->remark, "the truth does not draw %s", details);
}

static fab_status pair_of_label(const char *name, const fab_json *members, const char *side,
                                const char *const *own, const fab_label_set *truth,
                                const fab_label_set *predicted, fab_pair_list *l, fab_error *err)
{
    fab_pair *p = NULL;
    FAB_TRY(new_pair(l, name, &p, err));
    for (; *own; own++)
        (void)add_named(predicted, *own, p->predicted, &p->predicted_count);
    /* a truth that merges the same way has the structure under the model's own name */
    if (!(members && listed(members, name)) &&
        add_named(truth, name, p->truth, &p->truth_count))
        return FAB_OK;
    if (members) take_members(members, side, truth, p);
    else if (!add_parts(truth, name, p->truth, &p->truth_count))
        snprintf(p->reason, sizeof p->reason, "not in the truth");
    return FAB_OK;
}

static bool all_sided(const fab_json *members)
{
    for (size_t i = 0; i < fab_json_count(members); i++) {
        const char *member = fab_json_text(fab_json_at(members, i));
        if (!member || (!strstr(member, "left") && !strstr(member, "right"))) return false;
    }
    return fab_json_count(members) > 0;
}

/* A label that is split into sides is looked at side by side: only so do swapped sides show. */
static fab_status pairs_of_label(const fab_json *row, const fab_label_set *truth,
                                 const fab_label_set *predicted, fab_pair_list *l, fab_error *err)
{
    const char *name = fab_json_text(fab_json_find(row, "name"));
    const char *left = fab_json_text(fab_json_find(row, "left_name"));
    const char *right = fab_json_text(fab_json_find(row, "right_name"));
    const fab_json *members = fab_json_find(row, "members");
    if (!fab_json_is_array(members)) members = NULL;
    if (!name || (members && !fab_json_count(members))) return FAB_OK; /* no structure */
    const char *both[] = {name, left, right, NULL};
    if (!left || !right || !all_sided(members))
        return pair_of_label(name, members, "", both, truth, predicted, l, err);
    const char *l_only[] = {left, NULL}, *r_only[] = {right, NULL};
    FAB_TRY(pair_of_label(left, members, "left", l_only, truth, predicted, l, err));
    return pair_of_label(right, members, "right", r_only, truth, predicted, l, err);
}

static bool has_pair(const fab_pair_list *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++)
        if (same_name(l->items[i].name, name)) return true;
    return false;
}

static bool is_predicted(const fab_pair_list *l, int value)
{
    for (size_t i = 0; i < l->count; i++)
        for (size_t v = 0; v < l->items[i].predicted_count; v++)
            if (l->items[i].predicted[v] == value) return true;
    return false;
}

static fab_status by_card(const fab_json *card, const fab_label_set *truth,
                          const fab_label_set *predicted, fab_pair_list *l, fab_error *err)
{
    const fab_json *labels = fab_json_find(card, "labels");
    for (size_t i = 0; i < fab_json_count(labels); i++)
        FAB_TRY(pairs_of_label(fab_json_at(labels, i), truth, predicted, l, err));
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) { /* without what this run was not asked for */
        if (!l->items[i].predicted_count) continue;
        if (kept != i) l->items[kept] = l->items[i];
        kept++;
    }
    l->count = kept;
    for (size_t i = 0; i < predicted->count; i++) {
        const char *own[] = {predicted->items[i].name, NULL};
        if (is_predicted(l, predicted->items[i].value) || has_pair(l, own[0])) continue;
        FAB_TRY(pair_of_label(own[0], NULL, "", own, truth, predicted, l, err));
    }
    return FAB_OK;
}

/* ---- what a case's truth draws in full ---------------------------------------------------- */

static void check_labelled(const fab_json *labelled, const fab_label_set *truth, fab_pair *p)
{
    char lacking[120] = "";
    if (p->reason[0] || listed(labelled, p->name)) return;
    for (size_t i = 0; i < p->truth_count; i++) {
        const fab_label *label = fab_label_set_find(truth, p->truth[i]);
        if (label && !listed(labelled, label->name)) append(lacking, sizeof lacking, label->name);
    }
    if (lacking[0])
        snprintf(p->reason, sizeof p->reason, "not drawn in full in this case: %s", lacking);
}

fab_status fab_pairs_make(const fab_dataset *d, const fab_val_case *c, const fab_json *card,
                          const fab_label_set *truth, const fab_label_set *predicted,
                          fab_pair_list *out, fab_error *err)
{
    fab_pair_list l = {0};
    fab_status status = d->mapping ? by_mapping(d->mapping, truth, predicted, &l, err)
                                   : by_card(card, truth, predicted, &l, err);
    if (status < 0) {
        fab_pairs_free(&l);
        return status;
    }
    for (size_t i = 0; i < l.count && c->labelled; i++)
        check_labelled(c->labelled, truth, &l.items[i]);
    *out = l;
    return FAB_OK;
}
