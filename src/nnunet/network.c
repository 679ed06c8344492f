/* network.c - the network a configuration asks for, in both formats of plans.json.
 *
 *   "architecture": {"network_class_name", "arch_kwargs": {...}}        since version 2.3
 *   "UNet_class_name", "UNet_base_num_features", "pool_op_kernel_sizes", ...   before
 *
 * Everything the engine takes for granted is checked: as many dimensions as the patch has, instance
 * norm with affine parameters, leaky ReLU, no dropout.
 */
#include <string.h>

#include "plan_internal.h"

/* Entry i of a list; a plain number stands for all. */
static fab_status get_entry(const fab_json *o, const char *key, size_t i, int low, int high,
                            int *out, fab_error *err)
{
    const fab_json *value = fab_json_find(o, key);
    const fab_json *item = fab_json_is_array(value) ? fab_json_at(value, i) : value;
    const double n = fab_json_number(item);
    if (!fab_json_is_number(item) || !(n >= low && n <= high) || n != (double)(int)n)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s[%zu] must be a whole number from %d to %d", key, i, low,
                 high);
    *out = (int)n;
    return FAB_OK;
}

/* Entry i of a list of triples, or of pairs for the last two axes (the first is 1 then); a plain
 * number stands for all. */
static fab_status get_axes(const fab_json *o, const char *key, size_t i, int axes, int most,
                           int out[3], fab_error *err)
{
    const fab_json *list = fab_json_find(o, key);
    const fab_json *item = fab_json_is_array(list) ? fab_json_at(list, i) : NULL;
    out[0] = 1;
    for (int a = 0; a < axes; a++) {
        const fab_json *one = fab_json_is_array(item) ? fab_json_at(item, (size_t)a) : item;
        const double n = fab_json_number(one);
        const bool all = !fab_json_is_array(item) || fab_json_count(item) == (size_t)axes;
        if (!fab_json_is_number(one) || !all || !(n >= 1 && n <= most) || n != (double)(int)n)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s[%zu] must be %s whole numbers from 1 to %d",
                     key, i, axes == 2 ? "two" : "three", most);
        out[3 - axes + a] = (int)n;
    }
    return FAB_OK;
}

/* Kernels and strides of all stages. */
static fab_status get_stages(const fab_json *o, const char *kernels, const char *strides,
                             int axes, fab_unet_config *c, fab_error *err)
{
    for (int s = 0; s < c->stage_count; s++) {
        fab_unet_stage *stage = &c->stages[s];
        FAB_TRY(get_axes(o, kernels, (size_t)s, axes, 3, stage->kernel, err));
        FAB_TRY(get_axes(o, strides, (size_t)s, axes, 2, stage->stride, err));
        for (int a = 0; a < 3; a++) {
            if (stage->kernel[a] == 2)
                FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s[%d]: a kernel of 2", kernels, s);
            if (s == 0 && stage->stride[a] != 1)
                FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s[0] must be 1, 1, 1", strides);
        }
    }
    return FAB_OK;
}

static fab_status get_convs(const fab_json *o, const char *encoder, const char *decoder,
                            fab_unet_config *c, fab_error *err)
{
    const int most = c->residual ? FAB_UNET_MAX_BLOCKS : FAB_UNET_MAX_CONVS;
    for (int s = 0; s < c->stage_count; s++)
        FAB_TRY(get_entry(o, encoder, (size_t)s, 1, most,
                          c->residual ? &c->blocks[s] : &c->stages[s].convs, err));
    for (int s = 0; s + 1 < c->stage_count; s++)
        FAB_TRY(get_entry(o, decoder, (size_t)s, 1, FAB_UNET_MAX_CONVS, &c->decoder_convs[s],
                          err));
    return FAB_OK;
}

static fab_status check_count(const fab_unet_config *c, const char *key, fab_error *err)
{
    if (c->stage_count < 2 || c->stage_count > FAB_UNET_MAX_STAGES)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: %d %s, 2 to %d are supported", key, c->stage_count,
                 fab_plural(c->stage_count, "stage", "stages"), FAB_UNET_MAX_STAGES);
    return FAB_OK;
}

static void set_defaults(fab_unet_config *c)
{
    c->norm_eps = 1e-5;
    c->slope = 0.01;
    c->conv_bias = true;
}

static fab_status get_class(const char *name, fab_unet_config *c, fab_error *err)
{
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    c->residual = strcmp(last, "ResidualEncoderUNet") == 0;
    if (c->residual || strcmp(last, "PlainConvUNet") == 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "network class \"%.80s\" is not run", name);
}

/* ---- the older format --------------------------------------------------------------------- */

static fab_status read_old(const fab_json *o, int axes, fab_unet_config *c, fab_error *err)
{
    static const char *const pools = "pool_op_kernel_sizes";
    const fab_json *list = NULL;
    const char *name = NULL;
    int64_t base = 0, most = 0;
    FAB_TRY(fab_json_get_string(o, "UNet_class_name", &name, err));
    FAB_TRY(get_class(name, c, err));
    FAB_TRY(fab_json_get_array(o, pools, &list, err));
    c->stage_count = fab_json_count(list) <= FAB_UNET_MAX_STAGES ? (int)fab_json_count(list) : 99;
    FAB_TRY(check_count(c, pools, err));
    FAB_TRY(fab_json_get_int(o, "UNet_base_num_features", 1, FAB_UNET_MAX_FEATURES, &base, err));
    FAB_TRY(fab_json_get_int(o, "unet_max_num_features", 1, FAB_UNET_MAX_FEATURES, &most, err));
    for (int s = 0; s < c->stage_count; s++)
        c->stages[s].features = (int)(base << s < most ? base << s : most);
    FAB_TRY(get_stages(o, "conv_kernel_sizes", pools, axes, c, err));
    return get_convs(o, "n_conv_per_stage_encoder", "n_conv_per_stage_decoder", c, err);
}

/* ---- the newer format --------------------------------------------------------------------- */

/* The member must be text that ends in one of two names. */
static fab_status check_class(const fab_json *o, const char *key, const char *wanted,
                              fab_error *err)
{
    const char *name = NULL;
    FAB_TRY(fab_json_get_string(o, key, &name, err));
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    if (strcmp(last, wanted) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is \"%.80s\", only %s is run", key, name, wanted);
    return FAB_OK;
}

static fab_status get_optional_real(const fab_json *o, const char *key, const char *member,
                                    double low, double high, double *out, fab_error *err)
{
    const fab_json *inner = fab_json_find(o, key);
    if (!inner || !fab_json_find(inner, member)) return FAB_OK;
    if (fab_json_get_real(inner, member, low, high, out, err) < 0)
        return fab_error_prefix(err, "%s", key);
    return FAB_OK;
}

static fab_status get_layers(const fab_json *o, int axes, fab_unet_config *c, fab_error *err)
{
    FAB_TRY(check_class(o, "conv_op", axes == 2 ? "Conv2d" : "Conv3d", err));
    FAB_TRY(check_class(o, "norm_op", axes == 2 ? "InstanceNorm2d" : "InstanceNorm3d", err));
    FAB_TRY(check_class(o, "nonlin", "LeakyReLU", err));
    const fab_json *affine = fab_json_find(fab_json_find(o, "norm_op_kwargs"), "affine");
    if (!fab_json_is_true(affine))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "norm_op_kwargs.affine must be true");
    const fab_json *dropout = fab_json_find(o, "dropout_op");
    if (dropout && !fab_json_is_null(dropout) && !fab_json_is_string(dropout))
        FAB_FAIL(err, FAB_ERR_FORMAT, "dropout_op must be a name or null");
    FAB_TRY(get_optional_real(o, "norm_op_kwargs", "eps", 1e-12, 1, &c->norm_eps, err));
    FAB_TRY(get_optional_real(o, "nonlin_kwargs", "negative_slope", 0, 0.999, &c->slope, err));
    return fab_json_get_bool(o, "conv_bias", &c->conv_bias, err);
}

static fab_status read_kwargs(const fab_json *o, int axes, fab_unet_config *c, fab_error *err)
{
    int64_t stages = 0;
    FAB_TRY(fab_json_get_int(o, "n_stages", 1, 64, &stages, err));
    c->stage_count = (int)stages;
    FAB_TRY(check_count(c, "n_stages", err));
    for (int s = 0; s < c->stage_count; s++)
        FAB_TRY(get_entry(o, "features_per_stage", (size_t)s, 1, FAB_UNET_MAX_FEATURES,
                          &c->stages[s].features, err));
    FAB_TRY(get_stages(o, "kernel_sizes", "strides", axes, c, err));
    FAB_TRY(get_convs(o, c->residual ? "n_blocks_per_stage" : "n_conv_per_stage",
                      "n_conv_per_stage_decoder", c, err));
    return get_layers(o, axes, c, err);
}

static fab_status read_new(const fab_json *o, int axes, fab_unet_config *c, fab_error *err)
{
    const fab_json *kwargs = NULL;
    const char *name = NULL;
    FAB_TRY(fab_json_get_string(o, "network_class_name", &name, err));
    FAB_TRY(get_class(name, c, err));
    FAB_TRY(fab_json_get_object(o, "arch_kwargs", &kwargs, err));
    if (read_kwargs(kwargs, axes, c, err) < 0) return fab_error_prefix(err, "arch_kwargs");
    return FAB_OK;
}

fab_status fab_nnunet_network_read(const fab_json *configuration, int axes, fab_unet_config *out,
                                   fab_error *err)
{
    const fab_json *architecture = fab_json_find(configuration, "architecture");
    set_defaults(out);
    if (!architecture) return read_old(configuration, axes, out, err);
    if (read_new(architecture, axes, out, err) < 0) return fab_error_prefix(err, "architecture");
    return FAB_OK;
}
