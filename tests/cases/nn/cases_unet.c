/* U-Nets that cannot be: descriptions in JSON (the residual kind; the plain kind's are in
 * tests/cases/segment) and as a program fills them in, and weights that do not fit. */
#include "fabrica/nn.h"
#include "harness.h"
#include "random_unet.h"

static fab_error err;

#define STAGE(features, stride, blocks)                                                           \
    "{\"features\": " features ", \"kernel\": [1, 3, 3], \"stride\": [1, " stride ", " stride     \
    "], \"blocks\": " blocks "}"

static const char good_json[] =
    "{\"type\": \"ResidualEncoderUNet\", \"input_channels\": 1, \"classes\": 2, "
    "\"stages\": [" STAGE("3", "1", "1") ", " STAGE("5", "2", "2") "], "
    "\"decoder_convs\": [1], \"conv_bias\": true, "
    "\"norm\": {\"type\": \"instance\", \"eps\": 1e-5, \"affine\": true}, "
    "\"activation\": {\"type\": \"leaky_relu\", \"slope\": 0.01}}";

static const struct {
    const char *from, *to; /* the first `from` becomes `to` */
    fab_status status;
    const char *message;
} cases[] = {
    {"ResidualEncoderUNet", "ResidualUNet", FAB_ERR_UNSUPPORTED,
     "type is \"ResidualUNet\", \"PlainConvUNet\" and \"ResidualEncoderUNet\" are supported"},
    {"\"blocks\": 1", "\"convs\": 1", FAB_ERR_FORMAT, "stages[0]: "},
    {"\"blocks\": 1", "\"blocks\": 0", FAB_ERR_FORMAT, "blocks"},
    {"\"blocks\": 2", "\"blocks\": 9", FAB_ERR_FORMAT, "stages[1]: "},
    {"\"blocks\": 2", "\"blocks\": 4294967297", FAB_ERR_FORMAT, "blocks"},
    {"\"blocks\": 2", "\"blocks\": 1.5", FAB_ERR_FORMAT, "blocks"},
    {"[1, 2, 2]", "[1, 3, 2]", FAB_ERR_UNSUPPORTED, "stages[1]: stride"},
    {"[1, 1, 1]", "[1, 2, 1]", FAB_ERR_UNSUPPORTED, "stages[0].stride"},
    {"[1, 3, 3]", "[1, 2, 3]", FAB_ERR_UNSUPPORTED, "stages[0]: kernel"},
    {"\"decoder_convs\": [1]", "\"decoder_convs\": []", FAB_ERR_FORMAT, "decoder_convs has 0"},
};

static fab_status read_json(const char *text, fab_unet_config *c)
{
    fab_json *json = NULL;
    CHECK_OK(fab_json_parse(text, strlen(text), "test", &json, &err));
    const fab_status s = fab_unet_config_from_json(json, c, &err);
    fab_json_free(json);
    return s;
}

static void bad_residual_cards_are_refused(void)
{
    fab_unet_config c;
    CHECK_OK(read_json(good_json, &c));
    CHECK(c.residual && c.blocks[0] == 1 && c.blocks[1] == 2 && c.stages[1].kernel[0] == 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[2048];
        const char *at = strstr(good_json, cases[i].from);
        CHECK(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good_json), good_json, cases[i].to,
                 at + strlen(cases[i].from));
        CHECK_FAILS(cases[i].status, cases[i].message, read_json(text, &c));
    }
}

static fab_unet_config good(void)
{
    fab_unet_config c;
    CHECK_OK(read_json(good_json, &c));
    return c;
}

static fab_status create(const fab_unet_config *c, const fab_unet_config *weights_of)
{
    fab_net *net = NULL;
    fab_tensors *t = random_unet_tensors(weights_of, 1);
    const fab_status s = fab_net_create_unet(c, t, FAB_ISA_SCALAR, &net, &err);
    CHECK((s == FAB_OK) == (net != NULL));
    fab_net_free(net);
    fab_tensors_free(t);
    return s;
}

static void bad_descriptions_are_refused(void)
{
    const fab_unet_config right = good();
    fab_unet_config c = right;
    CHECK_OK(create(&c, &right));
#define REFUSED(change, status, text)                                                             \
    do {                                                                                          \
        c = right;                                                                                \
        change;                                                                                   \
        CHECK_FAILS(status, text, create(&c, &right));                                            \
    } while (0)
    REFUSED(c.stage_count = 9, FAB_ERR_LIMIT, "stage_count is 9");
    REFUSED(c.stage_count = 1, FAB_ERR_UNSUPPORTED, "stage_count is 1");
    REFUSED(c.input_channels = 529, FAB_ERR_LIMIT, "input_channels is 529");
    REFUSED(c.classes = 0, FAB_ERR_LIMIT, "classes is 0");
    REFUSED(c.blocks[1] = 9, FAB_ERR_LIMIT, "stages[1]: blocks is 9");
    REFUSED(c.blocks[0] = INT32_MAX, FAB_ERR_LIMIT, "stages[0]: blocks is 2147483647");
    REFUSED(c.decoder_convs[0] = 9, FAB_ERR_LIMIT, "decoder_convs is 9");
    REFUSED(c.stages[1].features = INT32_MAX, FAB_ERR_LIMIT, "features is 2147483647");
    REFUSED(c.stages[1].kernel[0] = 5, FAB_ERR_UNSUPPORTED, "stages[1]: kernel 5");
    REFUSED(c.stages[0].stride[0] = 2, FAB_ERR_UNSUPPORTED, "stages[0]: stride 2");
    REFUSED(c.stages[1].stride[0] = 0, FAB_ERR_UNSUPPORTED, "stages[1]: stride 0");
    REFUSED(c.norm_eps = 0, FAB_ERR_ARG, "norm_eps");
    REFUSED(c.slope = NAN, FAB_ERR_ARG, "slope");
    REFUSED((c.residual = false, c.stages[0].convs = 9), FAB_ERR_LIMIT, "convs is 9");
    /* weights of another network */
    REFUSED(c.blocks[1] = 3, FAB_ERR_NOTFOUND,
            "random.safetensors: tensor encoder.stages.1.blocks.2.conv1.conv.weight is missing");
    REFUSED(c.stages[1].features = 4, FAB_ERR_FORMAT,
            "encoder.stages.1.blocks.0.skip.1.conv.weight has shape [5,3,1,1,1]");
    REFUSED(c.stages[1].stride[1] = c.stages[1].stride[2] = 1, FAB_ERR_NOTFOUND,
            "tensor encoder.stages.1.blocks.0.skip.0.conv.weight is missing");
    REFUSED((c.residual = false, c.stages[0].convs = c.stages[1].convs = 1), FAB_ERR_NOTFOUND,
            "tensor encoder.stages.0.0.convs.0.conv.weight is missing");
}

int main(void)
{
    return FAB_RUN(TEST(bad_residual_cards_are_refused), TEST(bad_descriptions_are_refused));
}
