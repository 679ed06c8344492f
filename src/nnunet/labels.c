/* labels.c - labels, regions and the ignore label of dataset.json.
 *
 * Without regions a network has one head a label, background first. With regions (a label given as
 * a list of values) it has one head a region, in the order of the file; where heads overlap the
 * later one of regions_class_order wins.
 */
#include <string.h>

#include "plan_internal.h"

static fab_status get_value(const fab_json *item, const char *name, int *out, fab_error *err)
{
    const double n = fab_json_number(item);
    if (!fab_json_is_number(item) || !(n >= 0 && n <= 65534) || n != (double)(int)n)
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels.%.60s must hold whole numbers from 0 to 65534", name);
    *out = (int)n;
    return FAB_OK;
}

static fab_status get_label(const char *name, const fab_json *item, fab_nnunet_label *l,
                            fab_error *err)
{
    memset(l, 0, sizeof *l);
    if (strlen(name) >= sizeof l->name)
        FAB_FAIL(err, FAB_ERR_LIMIT, "labels: the name \"%.40s...\" is too long", name);
    memcpy(l->name, name, strlen(name) + 1);
    if (!fab_json_is_array(item)) return get_value(item, name, &l->value, err);
    const size_t n = fab_json_count(item);
    if (n < 1 || n > FAB_NNUNET_MAX_REGION)
        FAB_FAIL(err, FAB_ERR_LIMIT, "labels.%.60s has %zu values, 1 to %d are supported", name, n,
                 FAB_NNUNET_MAX_REGION);
    for (size_t i = 0; i < n; i++)
        FAB_TRY(get_value(fab_json_at(item, i), name, &l->region[i], err));
    l->region_count = (int)n;
    return FAB_OK;
}

static bool is_background(const fab_nnunet_label *l)
{
    for (int i = 0; i < l->region_count; i++)
        if (l->region[i] != 0) return false;
    return l->region_count > 0 || l->value == 0;
}

static fab_status add_head(fab_nnunet_plan *p, const fab_nnunet_label *l, fab_error *err)
{
    if (p->head_count == FAB_UNET_MAX_CLASSES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "labels: more than %d", FAB_UNET_MAX_CLASSES);
    p->head[p->head_count++] = *l;
    return FAB_OK;
}

/* All labels in the file's order; "ignore" apart. */
static fab_status collect(const fab_json *labels, fab_nnunet_plan *p, fab_error *err)
{
    void *cursor = NULL;
    const char *name = NULL;
    const fab_json *item = NULL;
    fab_nnunet_label l;
    p->ignore_value = -1;
    while (fab_json_next(labels, &cursor, &name, &item)) {
        FAB_TRY(get_label(name, item, &l, err));
        if (strcmp(name, "ignore") == 0) {
            if (l.region_count) FAB_FAIL(err, FAB_ERR_FORMAT, "labels.ignore must be one number");
            p->ignore_value = l.value;
            continue;
        }
        p->regions |= l.region_count > 1;
        FAB_TRY(add_head(p, &l, err));
    }
    return FAB_OK;
}

/* Heads by value: 0, 1, 2, ... each once. */
static fab_status order_labels(fab_nnunet_plan *p, fab_error *err)
{
    for (int i = 0; i < p->head_count; i++) {
        fab_nnunet_label *l = &p->head[i];
        if (l->region_count) l->value = l->region[0];
        l->region_count = 0;
    }
    for (int i = 0; i < p->head_count; i++) {
        int at = i;
        while (at < p->head_count && p->head[at].value != i) at++;
        if (at == p->head_count)
            FAB_FAIL(err, FAB_ERR_FORMAT, "labels must be numbered 0 to %d without gaps; no label "
                     "has %d", p->head_count - 1, i);
        const fab_nnunet_label other = p->head[i];
        p->head[i] = p->head[at];
        p->head[at] = other;
    }
    return FAB_OK;
}

static fab_status order_regions(const fab_json *dataset, fab_nnunet_plan *p, fab_error *err)
{
    const fab_json *order = NULL;
    int kept = 0;
    for (int i = 0; i < p->head_count; i++) {
        fab_nnunet_label *l = &p->head[i];
        if (is_background(l)) continue;
        if (l->region_count == 0) l->region[l->region_count++] = l->value;
        p->head[kept++] = *l;
    }
    p->head_count = kept;
    FAB_TRY(fab_json_get_array(dataset, "regions_class_order", &order, err));
    if (fab_json_count(order) != (size_t)kept)
        FAB_FAIL(err, FAB_ERR_FORMAT, "regions_class_order has %zu %s for %d %s",
                 fab_json_count(order),
                 fab_plural((int64_t)fab_json_count(order), "entry", "entries"), kept,
                 fab_plural(kept, "region", "regions"));
    for (int i = 0; i < kept; i++)
        if (get_value(fab_json_at(order, (size_t)i), p->head[i].name, &p->head[i].value, err) < 0)
            return fab_error_prefix(err, "regions_class_order");
    return FAB_OK;
}

/* ---- a cascade's first stage ------------------------------------------------------------ */

static fab_status add_stage_label(fab_nnunet_plan *p, int value, fab_error *err)
{
    int at = p->stage_labels;
    for (int i = 0; i < p->stage_labels; i++)
        if (p->stage_label[i] == value) return FAB_OK;
    if (value == 0) return FAB_OK;
    if (p->channels + p->stage_labels == FAB_UNET_MAX_INPUT_CHANNELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "labels: a cascade of more than %d images and labels",
                 FAB_UNET_MAX_INPUT_CHANNELS);
    for (; at > 0 && p->stage_label[at - 1] > value; at--)
        p->stage_label[at] = p->stage_label[at - 1];
    p->stage_label[at] = (uint16_t)value;
    p->stage_labels++;
    return FAB_OK;
}

/* nnU-Net's foreground_labels: every value but 0, of labels and regions alike, in their order. */
static fab_status find_stage_labels(fab_nnunet_plan *p, fab_error *err)
{
    for (int h = 0; h < p->head_count; h++) {
        const fab_nnunet_label *l = &p->head[h];
        if (!p->regions) FAB_TRY(add_stage_label(p, l->value, err));
        for (int i = 0; i < l->region_count; i++) FAB_TRY(add_stage_label(p, l->region[i], err));
    }
    return FAB_OK;
}

fab_status fab_nnunet_labels_read(const fab_json *dataset, fab_nnunet_plan *p, fab_error *err)
{
    const fab_json *labels = NULL;
    FAB_TRY(fab_json_get_object(dataset, "labels", &labels, err));
    FAB_TRY(collect(labels, p, err));
    FAB_TRY(p->regions ? order_regions(dataset, p, err) : order_labels(p, err));
    if (p->head_count < (p->regions ? 1 : 2))
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels: there is nothing to find");
    if (p->previous_stage[0]) FAB_TRY(find_stage_labels(p, err));
    return FAB_OK;
}
