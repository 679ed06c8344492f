/* unet_config.c - the "architecture" object of a model card, checked field by field; and every
 * field of a description, whoever filled it in. */
#include <string.h>

#include "nn_internal.h"

static fab_status get_axes(const fab_json *o, const char *key, int most, int odd, int out[3],
                           fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(o, key, &list, err));
    for (size_t a = 0; a < 3; a++) {
        const fab_json *item = fab_json_at(list, a);
        const double n = fab_json_number(item);
        const int value = n >= 1 && n <= most ? (int)n : 0;
        if (fab_json_count(list) != 3 || !fab_json_is_number(item) || value == 0 ||
            (double)value != n || (odd && value % 2 == 0))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s must be three numbers (z, y, x), each %s", key,
                     odd ? "1 or 3" : "1 or 2");
        out[a] = value;
    }
    return FAB_OK;
}

/* *blocks is read in place of s->convs if the encoder is residual. */
static fab_status get_stage(const fab_json *o, bool residual, fab_unet_stage *s, int *blocks,
                            fab_error *err)
{
    int64_t n = 0;
    FAB_TRY(fab_json_get_int(o, "features", 1, FAB_UNET_MAX_FEATURES, &n, err));
    s->features = (int)n;
    if (residual) FAB_TRY(fab_json_get_int(o, "blocks", 1, FAB_UNET_MAX_BLOCKS, &n, err));
    else FAB_TRY(fab_json_get_int(o, "convs", 1, FAB_UNET_MAX_CONVS, &n, err));
    *(residual ? blocks : &s->convs) = (int)n;
    FAB_TRY(get_axes(o, "kernel", 3, 1, s->kernel, err));
    return get_axes(o, "stride", 2, 0, s->stride, err);
}

static fab_status get_stages(const fab_json *o, fab_unet_config *c, fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(o, "stages", &list, err));
    const size_t count = fab_json_count(list);
    if (count < 2 || count > FAB_UNET_MAX_STAGES)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "stages: %zu of them, 2 to %d are supported", count,
                 FAB_UNET_MAX_STAGES);
    c->stage_count = (int)count;
    for (size_t i = 0; i < count; i++)
        if (get_stage(fab_json_at(list, i), c->residual, &c->stages[i], &c->blocks[i], err) < 0)
            return fab_error_prefix(err, "stages[%zu]", i);
    for (int a = 0; a < 3; a++)
        if (c->stages[0].stride[a] != 1)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "stages[0].stride must be 1, 1, 1");
    FAB_TRY(fab_json_get_array(o, "decoder_convs", &list, err));
    if (fab_json_count(list) != count - 1)
        FAB_FAIL(err, FAB_ERR_FORMAT, "decoder_convs has %zu %s, %zu stages need %zu",
                 fab_json_count(list),
                 fab_plural((int64_t)fab_json_count(list), "entry", "entries"), count, count - 1);
    for (size_t i = 0; i + 1 < count; i++) {
        const double n = fab_json_number(fab_json_at(list, i));
        if (!(n >= 1 && n <= FAB_UNET_MAX_CONVS) || n != (double)(int)n)
            FAB_FAIL(err, FAB_ERR_FORMAT, "decoder_convs[%zu] is not from 1 to %d", i,
                     FAB_UNET_MAX_CONVS);
        c->decoder_convs[i] = (int)n;
    }
    return FAB_OK;
}

/* The member `key`.type must be `type`. */
static fab_status get_typed(const fab_json *o, const char *key, const char *type,
                            const fab_json **out, fab_error *err)
{
    const char *is = NULL;
    FAB_TRY(fab_json_get_object(o, key, out, err));
    if (fab_json_get_string(*out, "type", &is, err) < 0) return fab_error_prefix(err, "%s", key);
    if (strcmp(is, type) != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s.type is \"%.40s\", only \"%s\" is supported", key,
                 is, type);
    return FAB_OK;
}

static fab_status get_norm_and_activation(const fab_json *o, fab_unet_config *c, fab_error *err)
{
    const fab_json *part = NULL;
    bool affine = false;
    FAB_TRY(get_typed(o, "norm", "instance", &part, err));
    FAB_TRY(fab_json_get_real(part, "eps", 1e-12, 1.0, &c->norm_eps, err));
    FAB_TRY(fab_json_get_bool(part, "affine", &affine, err));
    if (!affine) FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "norm.affine must be true");
    FAB_TRY(get_typed(o, "activation", "leaky_relu", &part, err));
    FAB_TRY(fab_json_get_real(part, "slope", 0.0, 0.999, &c->slope, err));
    return fab_json_get_bool(o, "conv_bias", &c->conv_bias, err);
}

fab_status fab_unet_config_from_json(const fab_json *architecture, fab_unet_config *out,
                                     fab_error *err)
{
    fab_unet_config c = {0};
    const char *type = NULL;
    int64_t n = 0;
    FAB_TRY(fab_json_get_string(architecture, "type", &type, err));
    c.residual = strcmp(type, "ResidualEncoderUNet") == 0;
    if (!c.residual && strcmp(type, "PlainConvUNet") != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED,
                 "type is \"%.40s\", \"PlainConvUNet\" and \"ResidualEncoderUNet\" are supported",
                 type);
    FAB_TRY(fab_json_get_int(architecture, "input_channels", 1, FAB_UNET_MAX_INPUT_CHANNELS, &n,
                             err));
    c.input_channels = (int)n;
    FAB_TRY(fab_json_get_int(architecture, "classes", 2, FAB_UNET_MAX_CLASSES, &n, err));
    c.classes = (int)n;
    FAB_TRY(get_stages(architecture, &c, err));
    FAB_TRY(get_norm_and_activation(architecture, &c, err));
    *out = c;
    return FAB_OK;
}

static fab_status check_count(const char *what, int n, int most, fab_error *err)
{
    if (n < 1 || n > most)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s is %d, not from 1 to %d", what, n, most);
    return FAB_OK;
}

static fab_status check_stage(const fab_unet_config *c, int s, fab_error *err)
{
    const fab_unet_stage *stage = &c->stages[s];
    FAB_TRY(check_count("features", stage->features, FAB_UNET_MAX_FEATURES, err));
    if (c->residual) FAB_TRY(check_count("blocks", c->blocks[s], FAB_UNET_MAX_BLOCKS, err));
    else FAB_TRY(check_count("convs", stage->convs, FAB_UNET_MAX_CONVS, err));
    if (s + 1 < c->stage_count)
        FAB_TRY(check_count("decoder_convs", c->decoder_convs[s], FAB_UNET_MAX_CONVS, err));
    for (int a = 0; a < 3; a++) {
        if (stage->kernel[a] != 1 && stage->kernel[a] != 3)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "kernel %d: 1 and 3 are supported",
                     stage->kernel[a]);
        if (stage->stride[a] < 1 || stage->stride[a] > (s ? 2 : 1))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "stride %d: 1 and, after the first stage, 2 are "
                     "supported", stage->stride[a]);
    }
    return FAB_OK;
}

fab_status fab_nn_unet_check(const fab_unet_config *c, fab_error *err)
{
    FAB_TRY(check_count("input_channels", c->input_channels, FAB_UNET_MAX_INPUT_CHANNELS, err));
    FAB_TRY(check_count("classes", c->classes, FAB_UNET_MAX_CLASSES, err));
    FAB_TRY(check_count("stage_count", c->stage_count, FAB_UNET_MAX_STAGES, err));
    if (c->stage_count < 2) FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "stage_count is 1, not 2 or more");
    if (!(c->norm_eps > 0 && c->norm_eps <= 1))
        FAB_FAIL(err, FAB_ERR_ARG, "norm_eps %g is not above 0, up to 1", c->norm_eps);
    if (!(c->slope >= 0 && c->slope < 1))
        FAB_FAIL(err, FAB_ERR_ARG, "slope %g is not from 0 to below 1", c->slope);
    for (int s = 0; s < c->stage_count; s++)
        if (check_stage(c, s, err) < 0) return fab_error_prefix(err, "stages[%d]", s);
    return FAB_OK;
}

void fab_unet_config_divisor(const fab_unet_config *c, int divisor[3])
{
    for (int a = 0; a < 3; a++) {
        divisor[a] = 1;
        for (int s = 0; s < c->stage_count; s++) divisor[a] *= c->stages[s].stride[a];
    }
}
