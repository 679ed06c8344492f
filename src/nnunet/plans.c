/* plans.c - plans.json and dataset.json to one fab_nnunet_plan.
 *
 * nnU-Net has written two formats. Both describe a configuration by name, which may inherit from
 * another one; the newer holds the network as "architecture" with the constructor's arguments, the
 * older as UNet_class_name, base features and pooling. What a configuration does not say comes
 * from the one it inherits from; fields that would change the result and are not known here are
 * refused, fields of training are passed over.
 */
#include <math.h>
#include <string.h>

#include "plan_internal.h"

enum { MAX_INHERITANCE = 8 };

/* ---- a configuration with what it inherits ----------------------------------------------- */

typedef struct config {
    const fab_json *level[MAX_INHERITANCE];
    int levels;
} config;

static fab_status collect_levels(const fab_json *all, const char *name, config *c, fab_error *err)
{
    c->levels = 0;
    while (name) {
        const fab_json *one = NULL;
        if (c->levels == MAX_INHERITANCE)
            FAB_FAIL(err, FAB_ERR_LIMIT, "configurations inherit more than %d deep (a circle?)",
                     MAX_INHERITANCE);
        FAB_TRY(fab_json_get_object(all, name, &one, err));
        c->level[c->levels++] = one;
        name = fab_json_text(fab_json_find(one, "inherits_from"));
    }
    return FAB_OK;
}

/* The level that says `key`; the configuration itself where none does (messages name the key). */
static const fab_json *holder(const config *c, const char *key)
{
    for (int i = 0; i < c->levels; i++)
        if (fab_json_find(c->level[i], key)) return c->level[i];
    return c->level[0];
}

static const fab_json *find(const config *c, const char *key)
{
    return fab_json_find(holder(c, key), key);
}

/* ---- small readers ------------------------------------------------------------------------ */

/* The last `axes` of out[3]: three, or two of a 2d configuration; what is before is left. */
static fab_status get_reals(const fab_json *o, const char *key, int axes, double low, double high,
                            double out[3], fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(o, key, &list, err));
    for (int a = 0; a < axes; a++) {
        const fab_json *item = fab_json_at(list, (size_t)a);
        const double n = fab_json_number(item);
        if (fab_json_count(list) != (size_t)axes || !fab_json_is_number(item) ||
            !(n >= low && n <= high))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s must be %s numbers from %g to %g", key,
                     axes == 2 ? "two" : "three", low, high);
        out[3 - axes + a] = n;
    }
    return FAB_OK;
}

static fab_status get_ints(const fab_json *o, const char *key, int axes, int low, int high,
                           int out[3], fab_error *err)
{
    double n[3];
    FAB_TRY(get_reals(o, key, axes, low, high, n, err));
    for (int a = 3 - axes; a < 3; a++) {
        out[a] = (int)n[a];
        if ((double)out[a] != n[a]) FAB_FAIL(err, FAB_ERR_FORMAT, "%s must be whole numbers", key);
    }
    return FAB_OK;
}

static fab_status copy_text(const fab_json *o, const char *key, char *into, size_t room,
                            fab_error *err)
{
    const char *text = NULL;
    FAB_TRY(fab_json_get_string(o, key, &text, err));
    if (strlen(text) >= room) FAB_FAIL(err, FAB_ERR_LIMIT, "%s is too long", key);
    memcpy(into, text, strlen(text) + 1);
    return FAB_OK;
}

static fab_status get_transposes(const fab_json *plans, fab_nnunet_plan *p, fab_error *err)
{
    FAB_TRY(get_ints(plans, "transpose_forward", 3, 0, 2, p->transpose_forward, err));
    FAB_TRY(get_ints(plans, "transpose_backward", 3, 0, 2, p->transpose_backward, err));
    for (int a = 0; a < 3; a++)
        if (p->transpose_backward[p->transpose_forward[a]] != a)
            FAB_FAIL(err, FAB_ERR_FORMAT,
                     "transpose_forward and transpose_backward do not undo each other");
    return FAB_OK;
}

static fab_status get_reader(const fab_json *plans, fab_nnunet_plan *p, fab_error *err)
{
    static const struct {
        const char *name;
        bool reorients;
    } known[] = {{"NibabelIO", false}, {"SimpleITKIO", false}, {"NibabelIOWithReorient", true},
                 {"SimpleITKIOWithReorient", true}};
    const char *name = NULL;
    FAB_TRY(fab_json_get_string(plans, "image_reader_writer", &name, err));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        p->reorients = known[i].reorients;
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "image_reader_writer \"%.60s\" is not known", name);
}

/* ---- channels and resampling -------------------------------------------------------------- */

static fab_status get_ct(const fab_json *plans, int c, fab_nnunet_channel *out, fab_error *err)
{
    char key[16];
    const fab_json *all = NULL, *one = NULL;
    snprintf(key, sizeof key, "%d", c);
    FAB_TRY(fab_json_get_object(plans, "foreground_intensity_properties_per_channel", &all, err));
    fab_status status = fab_json_get_object(all, key, &one, err);
    if (status == FAB_OK)
        status = fab_json_get_real(one, "mean", -1e30, 1e30, &out->mean, err);
    if (status == FAB_OK) status = fab_json_get_real(one, "std", 0, 1e30, &out->std, err);
    if (status == FAB_OK)
        status = fab_json_get_real(one, "percentile_00_5", -1e30, 1e30, &out->low, err);
    if (status == FAB_OK)
        status = fab_json_get_real(one, "percentile_99_5", -1e30, 1e30, &out->high, err);
    return status == FAB_OK
               ? FAB_OK
               : fab_error_prefix(err, "foreground_intensity_properties_per_channel.%d", c);
}

static fab_status get_norm(const fab_json *plans, const char *name, int c,
                           fab_nnunet_channel *out, fab_error *err)
{
    static const struct {
        const char *name;
        fab_nnunet_norm norm;
    } known[] = {{"CTNormalization", FAB_NNUNET_CT},
                 {"ZScoreNormalization", FAB_NNUNET_ZSCORE},
                 {"NoNormalization", FAB_NNUNET_NONE},
                 {"RescaleTo01Normalization", FAB_NNUNET_RESCALE_01},
                 {"RGBTo01Normalization", FAB_NNUNET_RGB_01}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        out->norm = known[i].norm;
        return out->norm == FAB_NNUNET_CT ? get_ct(plans, c, out, err) : FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "normalization_schemes[%d] \"%.60s\" is not known", c, name);
}

/* "0": "CT". A name that is no text or too long is "channel 0": only people need it. */
static void get_channel_name(const fab_json *names, int c, fab_nnunet_channel *out)
{
    char key[16];
    snprintf(key, sizeof key, "%d", c);
    const char *name = fab_json_text(fab_json_find(names, key));
    if (name && name[0] && strlen(name) < sizeof out->name)
        memcpy(out->name, name, strlen(name) + 1);
    else snprintf(out->name, sizeof out->name, "channel %d", c);
}

static fab_status get_channels(const fab_json *plans, const fab_json *dataset, const config *c,
                               fab_nnunet_plan *p, fab_error *err)
{
    const fab_json *schemes = NULL, *masks = NULL, *names = NULL;
    const char *key = fab_json_find(dataset, "channel_names") ? "channel_names" : "modality";
    FAB_TRY(fab_json_get_object(dataset, key, &names, err));
    const size_t n = fab_json_count(names);
    if (n < 1 || n > FAB_NNUNET_MAX_CHANNELS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %zu channels, 1 to %d are supported", key, n,
                 FAB_NNUNET_MAX_CHANNELS);
    p->channels = (int)n;
    const char *norms = "normalization_schemes", *use = "use_mask_for_norm";
    FAB_TRY(fab_json_get_array(holder(c, norms), norms, &schemes, err));
    FAB_TRY(fab_json_get_array(holder(c, use), use, &masks, err));
    if (fab_json_count(schemes) != n || fab_json_count(masks) != n)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s has %zu %s and %s %zu for %zu %s", norms,
                 fab_json_count(schemes),
                 fab_plural((int64_t)fab_json_count(schemes), "entry", "entries"), use,
                 fab_json_count(masks), n, fab_plural((int64_t)n, "channel", "channels"));
    for (size_t i = 0; i < n; i++) {
        const char *name = fab_json_text(fab_json_at(schemes, i));
        if (!name || !fab_json_is_bool(fab_json_at(masks, i)))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s[%zu] must be text and %s[%zu] true or false", norms,
                     i, use, i);
        get_channel_name(names, (int)i, &p->channel[i]);
        p->channel[i].use_mask = fab_json_is_true(fab_json_at(masks, i));
        FAB_TRY(get_norm(plans, name, (int)i, &p->channel[i], err));
    }
    return FAB_OK;
}

static fab_status get_resampling(const config *c, const char *function, const char *kwargs,
                                 fab_nnunet_resampling *out, fab_error *err)
{
    const char *name = NULL;
    const fab_json *o = NULL;
    int64_t order = 0;
    FAB_TRY(fab_json_get_string(holder(c, function), function, &name, err));
    if (strcmp(name, "resample_data_or_seg_to_shape") != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s \"%.60s\" is not known", function, name);
    FAB_TRY(fab_json_get_object(holder(c, kwargs), kwargs, &o, err));
    const fab_json *separate = fab_json_find(o, "force_separate_z");
    bool forced = false;
    fab_status status = fab_json_get_int(o, "order", 0, 3, &order, err);
    out->order = (int)order;
    if (status == FAB_OK) status = fab_json_get_int(o, "order_z", 0, 3, &order, err);
    out->order_z = (int)order;
    out->separate_z = -1;
    if (status == FAB_OK && separate && !fab_json_is_null(separate)) {
        status = fab_json_get_bool(o, "force_separate_z", &forced, err);
        out->separate_z = forced;
    }
    if (status < 0) return fab_error_prefix(err, "%s", kwargs);
    if (out->order == 2 || out->order_z > 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: order %d with order_z %d is not supported", kwargs,
                 out->order, out->order_z);
    return FAB_OK;
}

/* Masks of labels are interpolated linearly or taken from the nearest voxel; along a separate axis
 * always the latter. */
static fab_status get_stage_resampling(const config *c, fab_nnunet_plan *p, fab_error *err)
{
    static const char *const kwargs = "resampling_fn_seg_kwargs";
    FAB_TRY(get_resampling(c, "resampling_fn_seg", kwargs, &p->stage, err));
    if (p->stage.order_z != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: order_z %d is not supported, only 0", kwargs,
                 p->stage.order_z);
    if (p->stage.order > 1)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: order %d is not supported, only 0 and 1", kwargs,
                 p->stage.order);
    return FAB_OK;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static fab_status read_plans(const fab_json *plans, const fab_json *dataset,
                             const char *configuration, fab_nnunet_plan *p, fab_error *err)
{
    const fab_json *all = NULL;
    config c;
    FAB_TRY(copy_text(plans, "dataset_name", p->dataset, sizeof p->dataset, err));
    FAB_TRY(get_reader(plans, p, err));
    FAB_TRY(get_transposes(plans, p, err));
    FAB_TRY(fab_json_get_object(plans, "configurations", &all, err));
    if (strlen(configuration) >= sizeof p->configuration)
        FAB_FAIL(err, FAB_ERR_LIMIT, "the configuration's name is too long");
    memcpy(p->configuration, configuration, strlen(configuration) + 1);
    FAB_TRY(collect_levels(all, configuration, &c, err));
    if (fab_json_text(find(&c, "previous_stage")))
        FAB_TRY(copy_text(holder(&c, "previous_stage"), "previous_stage", p->previous_stage,
                          sizeof p->previous_stage, err));
    p->flat = fab_json_count(find(&c, "patch_size")) == 2;
    p->patch[0] = 1;
    const int axes = p->flat ? 2 : 3;
    FAB_TRY(get_ints(holder(&c, "patch_size"), "patch_size", axes, 1, FAB_NNUNET_MAX_PATCH,
                     p->patch, err));
    FAB_TRY(get_reals(holder(&c, "spacing"), "spacing", axes, 1e-3, 1e3, p->spacing_mm, err));
    FAB_TRY(get_channels(plans, dataset, &c, p, err));
    FAB_TRY(get_resampling(&c, "resampling_fn_data", "resampling_fn_data_kwargs", &p->data, err));
    FAB_TRY(get_resampling(&c, "resampling_fn_probabilities", "resampling_fn_probabilities_kwargs",
                           &p->probabilities, err));
    if (p->previous_stage[0]) FAB_TRY(get_stage_resampling(&c, p, err));
    const char *network = fab_json_find(holder(&c, "architecture"), "architecture")
                              ? "architecture" : "UNet_class_name";
    return fab_nnunet_network_read(holder(&c, network), axes, &p->net, err);
}

/* A cascade's second stage also sees the first one's labels, one channel each. */
static void count_inputs(fab_nnunet_plan *p)
{
    p->net.classes = p->head_count;
    p->net.input_channels = p->channels + p->stage_labels;
}

static fab_status check_patch(const fab_nnunet_plan *p, fab_error *err)
{
    int divisor[3];
    fab_unet_config_divisor(&p->net, divisor);
    for (int a = 0; a < 3; a++)
        if (p->patch[a] % divisor[a])
            FAB_FAIL(err, FAB_ERR_FORMAT, "patch_size[%d] = %d is no multiple of the strides' "
                     "product %d", a, p->patch[a], divisor[a]);
    return FAB_OK;
}

fab_status fab_nnunet_plan_read(const fab_json *plans, const char *plans_name,
                                const fab_json *dataset, const char *dataset_name,
                                const char *configuration, fab_nnunet_plan *out, fab_error *err)
{
    FAB_AUTO_FREE fab_nnunet_plan *p = fab_calloc(1, sizeof *p);
    if (!p) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a plan");
    if (read_plans(plans, dataset, configuration, p, err) < 0)
        return fab_error_prefix(err, "%s", plans_name);
    if (fab_nnunet_labels_read(dataset, p, err) < 0)
        return fab_error_prefix(err, "%s", dataset_name);
    count_inputs(p);
    if (check_patch(p, err) < 0) return fab_error_prefix(err, "%s", plans_name);
    *out = *p;
    return FAB_OK;
}
