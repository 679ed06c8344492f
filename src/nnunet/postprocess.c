/* postprocess.c - what nnU-Net's cross-validation found to help: all but the largest component of
 * some labels goes.
 *
 *   {"postprocessing_fns": ["remove_all_but_largest_component_from_segmentation", ...],
 *    "postprocessing_kwargs": [{"labels_or_regions": [1, [2, 3]], "background_label": 0}, ...]}
 *
 * A label is a number; a region is a list of numbers that JSON writes like a list of labels. Both
 * mean their union, so the lists are read flat. Components touch by corners (acvl_utils labels with
 * full connectivity), and where several are the largest all of them stay.
 */
#include <stdio.h>
#include <string.h>

#include "model_internal.h"

enum { MAX_STEPS = FAB_UNET_MAX_CLASSES + 1, MAX_VALUES = 4096, MAX_LABEL = 65535 };

static const char *const known_function = "remove_all_but_largest_component_from_segmentation";

void fab_nnunet_postprocessing_free(fab_nnunet_postprocessing *p)
{
    for (int i = 0; i < p->count; i++) fab_free(p->step[i].value);
    fab_free(p->step);
    memset(p, 0, sizeof *p);
}

static fab_status add_value(const fab_json *item, fab_nnunet_step *s, fab_error *err)
{
    const double n = fab_json_number(item);
    if (!fab_json_is_number(item) || !(n >= 0 && n < MAX_LABEL) || n != (double)(int)n)
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels_or_regions must hold whole numbers from 0 to %d",
                 MAX_LABEL - 1);
    if (s->count == MAX_VALUES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "labels_or_regions: more than %d values", MAX_VALUES);
    s->value[s->count++] = (uint16_t)n;
    return FAB_OK;
}

/* 1, [1, 2] or [[1, 2], 3]. */
static fab_status add_values(const fab_json *item, fab_nnunet_step *s, fab_error *err)
{
    if (!fab_json_is_array(item)) return add_value(item, s, err);
    if (!fab_json_count(item))
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels_or_regions: a list is empty");
    for (size_t i = 0; i < fab_json_count(item); i++) {
        const fab_json *one = fab_json_at(item, i);
        if (!fab_json_is_array(one)) FAB_TRY(add_value(one, s, err));
        for (size_t k = 0; k < fab_json_count(one); k++)
            FAB_TRY(add_value(fab_json_at(one, k), s, err));
    }
    return FAB_OK;
}

static fab_status read_step(const fab_json *kwargs, fab_nnunet_step *s, fab_error *err)
{
    int64_t background = 0;
    const fab_json *labels = fab_json_find(kwargs, "labels_or_regions");
    if (!fab_json_is_object(kwargs) || !labels)
        FAB_FAIL(err, FAB_ERR_FORMAT, "labels_or_regions is missing");
    if (fab_json_find(kwargs, "background_label"))
        FAB_TRY(fab_json_get_int(kwargs, "background_label", 0, MAX_LABEL - 1, &background, err));
    s->background = (int)background;
    s->value = fab_alloc_array(MAX_VALUES, sizeof *s->value);
    if (!s->value) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of labels");
    return add_values(labels, s, err);
}

static fab_status read_steps(const fab_json *json, fab_nnunet_postprocessing *p, fab_error *err)
{
    const fab_json *functions = NULL, *kwargs = NULL;
    FAB_TRY(fab_json_get_array(json, "postprocessing_fns", &functions, err));
    FAB_TRY(fab_json_get_array(json, "postprocessing_kwargs", &kwargs, err));
    const size_t count = fab_json_count(functions);
    if (count != fab_json_count(kwargs))
        FAB_FAIL(err, FAB_ERR_FORMAT, "postprocessing_fns has %zu %s, postprocessing_kwargs %zu",
                 count, fab_plural((int64_t)count, "entry", "entries"), fab_json_count(kwargs));
    if (count > MAX_STEPS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "postprocessing_fns: more than %d", MAX_STEPS);
    p->step = fab_calloc(count ? count : 1, sizeof *p->step);
    if (!p->step) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a postprocessing");
    for (size_t i = 0; i < count; i++) {
        const char *name = fab_json_text(fab_json_at(functions, i));
        if (!name || strcmp(name, known_function) != 0)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "postprocessing_fns[%zu] \"%.80s\" is not known, "
                     "only %s", i, name ? name : "", known_function);
        p->count++;
        if (read_step(fab_json_at(kwargs, i), &p->step[i], err) < 0)
            return fab_error_prefix(err, "postprocessing_kwargs[%zu]", i);
    }
    return FAB_OK;
}

fab_status fab_nnunet_postprocessing_read(const fab_json *json, const char *name,
                                          fab_nnunet_postprocessing *out, fab_error *err)
{
    fab_nnunet_postprocessing p = {.count = 0};
    if (read_steps(json, &p, err) < 0) {
        fab_nnunet_postprocessing_free(&p);
        return fab_error_prefix(err, "%s", name);
    }
    snprintf(p.file, sizeof p.file, "%s", name);
    *out = p;
    return FAB_OK;
}

fab_status fab_nnunet_postprocess(const fab_nnunet_postprocessing *p, fab_volume *labels,
                                  int64_t *removed, fab_error *err)
{
    static const fab_component_rule rule = {.largest = true};
    const int highest = fab_volume_dtype(labels) == FAB_U8 ? 255 : MAX_LABEL;
    FAB_AUTO_FREE bool *member = fab_calloc((size_t)highest + 1, sizeof *member);
    int64_t sum = 0;
    if (!member) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list of labels");
    for (int i = 0; i < p->count; i++) {
        const fab_nnunet_step *s = &p->step[i];
        int64_t gone = 0;
        memset(member, 0, ((size_t)highest + 1) * sizeof *member);
        for (int k = 0; k < s->count; k++)
            if (s->value[k] <= highest) member[s->value[k]] = true;
        FAB_TRY(fab_labels_keep_components(labels, member, (size_t)highest + 1, &rule,
                                           s->background, &gone, err));
        sum += gone;
    }
    if (removed) *removed = sum;
    return FAB_OK;
}
