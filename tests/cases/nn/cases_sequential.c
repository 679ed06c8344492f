/* Bad chains of convolutions: TensorFlow.js models and MeshNets with one edit each, and what a
 * person is told; sizes that overflow; descriptions filled in wrongly by a program. */
#include "fabrica/nn.h"
#include "harness.h"
#include "random_unet.h"

static fab_error err;
static fab_sequential_config config; /* large */

typedef struct edit {
    const char *from, *to; /* the first `from` becomes `to` */
    fab_status status;
    const char *message;
} edit;

static const edit tfjs[] = {
    {"{\"format\"", "[\"format\"", FAB_ERR_FORMAT, "JSON"},
    {"layers-model", "graph-model", FAB_ERR_UNSUPPORTED, "format is \"graph-model\""},
    {"\"modelTopology\"", "\"topology\"", FAB_ERR_FORMAT, "modelTopology"},
    {"\"model_config\"", "\"config\"", FAB_ERR_FORMAT, "model_config"},
    {"\"Functional\"", "\"Ensemble\"", FAB_ERR_UNSUPPORTED, "class_name is \"Ensemble\""},
    {"\"layers\":", "\"strata\":", FAB_ERR_FORMAT, "layers"},
    {"\"layers\": [", "\"layers\": [], \"x\": [", FAB_ERR_FORMAT, "layers has no Conv3D"},
    {"\"InputLayer\"", "\"Lambda\"", FAB_ERR_UNSUPPORTED,
     "layers[0]: class_name is \"Lambda\": that layer is not supported"},
    {"\"Activation\"", "\"GroupNormalization\"", FAB_ERR_UNSUPPORTED,
     "layers[2]: class_name is \"GroupNormalization\""},
    {"\"Activation\"", "\"InputLayer\"", FAB_ERR_UNSUPPORTED, "layers[2]: InputLayer \"act0\""},
    {"\"Conv3D\"", "\"BatchNormalization\"", FAB_ERR_UNSUPPORTED, "does not follow a convolution"},
    {"\"Conv3D\"", "\"ReLU\"", FAB_ERR_UNSUPPORTED, "does not follow a convolution"},
    {"\"name\": \"conv0\", \"filters\"", "\"filters\"", FAB_ERR_FORMAT, "layers[1]: "},
    {"\"name\": \"conv0\", \"filters\"", "\"name\": \"\", \"filters\"", FAB_ERR_FORMAT,
     "config.name"},
    {"[null, 9, 11, 13, 2]", "[null, 9, 11, 13, 0]", FAB_ERR_UNSUPPORTED, "batch_input_shape"},
    {"[null, 9, 11, 13, 2]", "[null, 9, 11, 13, 529]", FAB_ERR_UNSUPPORTED, "batch_input_shape"},
    {"[null, 9, 11, 13, 2]", "[null, 9, 11, 2]", FAB_ERR_UNSUPPORTED, "batch_input_shape"},
    {"[null, 9, 11, 13, 2]", "[null, 9, 11, 13, 3]", FAB_ERR_FORMAT,
     "weightsManifest: conv0/kernel has another shape"},
    {"\"filters\": 12", "\"filters\": 0", FAB_ERR_FORMAT, "Conv3D \"conv0\": "},
    {"\"filters\": 12", "\"filters\": 1e12", FAB_ERR_FORMAT, "filters"},
    {"\"filters\": 12", "\"filters\": 13", FAB_ERR_FORMAT, "conv0/kernel has another shape"},
    {"\"filters\": 5", "\"filters\": 600", FAB_ERR_LIMIT, "600 classes"},
    {"\"kernel_size\": [3, 3, 3]", "\"kernel_size\": [3, 3]", FAB_ERR_UNSUPPORTED, "kernel_size"},
    {"\"kernel_size\": [3, 3, 3]", "\"kernel_size\": [5, 3, 3]", FAB_ERR_UNSUPPORTED,
     "kernel_size"},
    {"\"kernel_size\": [3, 3, 3]", "\"kernel_size\": [2, 3, 3]", FAB_ERR_UNSUPPORTED,
     "kernel 2 x 3 x 3"},
    {"\"strides\": [1, 1, 1]", "\"strides\": [1, 2, 1]", FAB_ERR_UNSUPPORTED, "strides"},
    {"\"dilation_rate\": [1, 1, 1]", "\"dilation_rate\": [1, 1, 0]", FAB_ERR_UNSUPPORTED,
     "dilation_rate"},
    {"\"dilation_rate\": [1, 1, 1]", "\"dilation_rate\": [2147483648, 1, 1]", FAB_ERR_UNSUPPORTED,
     "dilation_rate must be three whole numbers from 1 to 128"},
    {"\"dilation_rate\": [1, 1, 1]", "\"dilation_rate\": [1.5, 1, 1]", FAB_ERR_UNSUPPORTED,
     "dilation_rate"},
    {"\"dilation_rate\": [1, 1, 1]", "\"dilation\": [1, 1, 1]", FAB_ERR_FORMAT, "dilation_rate"},
    {"\"same\"", "\"valid\"", FAB_ERR_UNSUPPORTED, "padding is \"valid\""},
    {"channels_last", "channels_first", FAB_ERR_UNSUPPORTED, "data_format"},
    {"\"use_bias\": true", "\"use_bias\": true, \"groups\": 2", FAB_ERR_FORMAT, "groups"},
    {"\"use_bias\": true", "\"use_bias\": 1", FAB_ERR_FORMAT, "use_bias"},
    {"\"activation\": \"relu\"", "\"activation\": \"gelu\"", FAB_ERR_UNSUPPORTED,
     "Activation \"act0\": activation is \"gelu\""},
    {"\"activation\": \"linear\"", "\"activation\": \"elu\"", FAB_ERR_UNSUPPORTED,
     "layers[2]: Activation \"act0\": an activation that does not follow a convolution"},
    {"[[[\"input\", 0, 0, {}]]]", "[[[\"conv1\", 0, 0, {}]]]", FAB_ERR_UNSUPPORTED,
     "only chains are supported"},
    {"[[[\"input\", 0, 0, {}]]]", "[[[\"input\", 0, 0, {}], [\"input\", 0, 0, {}]]]",
     FAB_ERR_UNSUPPORTED, "only chains"},
    {"[[[\"input\", 0, 0, {}]]]", "[]", FAB_ERR_UNSUPPORTED, "inbound_nodes is empty"},
    {"\"name\": \"m\"", "\"output_layers\": [[\"act2\", 0, 0]]", FAB_ERR_UNSUPPORTED,
     "output_layers"},
    {"\"axis\": [4]", "\"axis\": [1]", FAB_ERR_UNSUPPORTED, "axis"},
    {"\"axis\": [4]", "\"x\": [4]", FAB_ERR_UNSUPPORTED, "BatchNormalization \"norm1\": axis"},
    {"\"epsilon\": 0.001", "\"epsilon\": -1", FAB_ERR_FORMAT, "epsilon"},
    {"\"weightsManifest\": [", "\"weightsManifest\": [{}, ", FAB_ERR_UNSUPPORTED,
     "weightsManifest has 2 groups"},
    {"\"weightsManifest\"", "\"manifest\"", FAB_ERR_FORMAT, "weightsManifest"},
    {"[\"model.bin\"]", "[\"a.bin\", \"b.bin\"]", FAB_ERR_UNSUPPORTED, "paths has 2 files"},
    {"\"dtype\": \"float32\"", "\"dtype\": \"int32\"", FAB_ERR_UNSUPPORTED,
     "weights[0]: conv0/kernel: dtype is \"int32\""},
    {"\"dtype\": \"float32\"", "\"quantization\": {\"dtype\": \"uint8\"}, \"dtype\": \"float32\"",
     FAB_ERR_UNSUPPORTED, "conv0/kernel: quantization is not supported"},
    {"\"weights\": [", "\"weights\": [], \"x\": [", FAB_ERR_FORMAT, "weightsManifest"},
    {"\"name\": \"conv1\", \"filters\"", "\"name\": \"conv0\", \"filters\"",
     FAB_ERR_UNSUPPORTED, "inbound_nodes is not \"conv0\" alone"},
    {"\"name\": \"conv0/kernel\"", "\"name\": \"conv9/kernel\"", FAB_ERR_NOTFOUND,
     "conv0/kernel is missing"},
    {"\"name\": \"norm1/beta\"", "\"name\": \"norm1/alpha\"", FAB_ERR_NOTFOUND,
     "norm1/beta is missing"},
    {"\"shape\": [3, 3, 3, 2, 12]", "\"shape\": [3, 3, 3, 2, 13]", FAB_ERR_FORMAT,
     "weightsManifest of model.json needs"},
    {"\"shape\": [3, 3, 3, 2, 12]", "\"shape\": [2048, 2048, 2048, 2048, 2048]", FAB_ERR_LIMIT,
     "more than"},
    {"\"shape\": [3, 3, 3, 2, 12]", "\"shape\": [3, 3, 3, 2, 12, 1]", FAB_ERR_UNSUPPORTED,
     "6 axes"},
    {"\"shape\": [3, 3, 3, 2, 12]", "\"shape\": [3, 3, 3, -2, 12]", FAB_ERR_FORMAT, "shape[3]"},
};

#define LAYER(in, out, kernel, padding, dilation)                                                 \
    "{\"in_channels\": " in ", \"out_channels\": " out ", \"kernel_size\": " kernel               \
    ", \"padding\": " padding ", \"stride\": 1, \"dilation\": " dilation "}"

static const char meshnet_good[] =
    "{\"bnorm\": false, \"elu\": true, \"dropout_p\": 0, \"bias\": true, \"layers\": [" LAYER(
        "1", "4", "3", "1", "1") ", " LAYER("4", "4", "3", "2", "2") ", " LAYER("4", "3", "1", "0",
                                                                               "1") "]}";

static const edit meshnet[] = {
    {"\"bnorm\": false", "\"bnorm\": true", FAB_ERR_UNSUPPORTED, "bnorm is true"},
    {"\"elu\": true", "\"gelu\": true", FAB_ERR_UNSUPPORTED, "gelu is true"},
    {"\"elu\": true", "\"elu\": \"yes\"", FAB_ERR_FORMAT, "elu"},
    {"\"layers\": [", "\"layers\": [], \"x\": [", FAB_ERR_LIMIT, "layers has 0 entries"},
    {"\"layers\"", "\"strata\"", FAB_ERR_FORMAT, "layers"},
    {"\"in_channels\": 1", "\"in_channels\": -1", FAB_ERR_FORMAT, "layers[0]: "},
    {"\"in_channels\": 1", "\"in_channels\": 529", FAB_ERR_LIMIT, "529 input channels"},
    {"\"in_channels\": 4", "\"in_channels\": 5", FAB_ERR_FORMAT,
     "layers[1]: in_channels is 5, the layer before has 4"},
    {"\"out_channels\": 3", "\"out_channels\": 1000", FAB_ERR_LIMIT, "1000 classes"},
    {"\"kernel_size\": 3", "\"kernel_size\": 2", FAB_ERR_UNSUPPORTED, "kernel_size 2"},
    {"\"kernel_size\": 3", "\"kernel_size\": 5", FAB_ERR_FORMAT, "kernel_size"},
    {"\"padding\": 2", "\"padding\": 1", FAB_ERR_UNSUPPORTED, "would change the size"},
    {"\"stride\": 1", "\"stride\": 2", FAB_ERR_FORMAT, "stride"},
    {"\"dilation\": 2", "\"dilation\": 0", FAB_ERR_FORMAT, "dilation"},
    {"\"dilation\": 2", "\"dilation\": 1e30", FAB_ERR_FORMAT, "dilation"},
    {"\"dilation\": 2", "\"dilation\": 129", FAB_ERR_FORMAT, "dilation"},
};

static void golden(const char *name, uint8_t **bytes, size_t *size)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    fab_reader r = {0};
    snprintf(path, sizeof path, "%s/tests/golden/sequential_tiny/%s", root ? root : ".", name);
    CHECK_OK(fab_reader_open_file(path, &r, &err));
    CHECK_OK(fab_reader_read_all(&r, 1u << 20, bytes, size, &err));
    fab_reader_close(&r);
}

/* `text` with one edit, from malloc. */
static char *edited(const char *text, const edit *e)
{
    const char *at = strstr(text, e->from);
    const size_t capacity = strlen(text) + strlen(e->to) + 1;
    char *out = malloc(capacity);
    if (!at) fprintf(stderr, "not in the model: %s\n", e->from);
    CHECK(at && out);
    snprintf(out, capacity, "%.*s%s%s", (int)(at - text), text, e->to, at + strlen(e->from));
    return out;
}

static fab_status read_tfjs(const char *text, const uint8_t *data, size_t size,
                            fab_tensors **weights)
{
    fab_reader model = {0}, bin = {0};
    fab_reader_from_memory(text, strlen(text), "model.json", &model);
    fab_reader_from_memory(data, size, "model.bin", &bin);
    const fab_status s = fab_sequential_read_tfjs(&model, &bin, &config, weights, &err);
    fab_reader_close(&model);
    fab_reader_close(&bin);
    return s;
}

static void bad_tfjs_models_are_refused(void)
{
    uint8_t *model = NULL, *data = NULL;
    size_t model_size = 0, size = 0;
    golden("model.json", &model, &model_size);
    golden("model.bin", &data, &size);
    for (size_t i = 0; i < sizeof tfjs / sizeof *tfjs; i++) {
        fab_tensors *weights = NULL;
        char *text = edited((const char *)model, &tfjs[i]);
        memset(&config, 0x7f, sizeof config);
        CHECK_FAILS(tfjs[i].status, tfjs[i].message, read_tfjs(text, data, size, &weights));
        CHECK(strstr(err.message, "model.json") || strstr(err.message, "model.bin"));
        CHECK(weights == NULL && config.layer_count == 0x7f7f7f7f); /* untouched */
        free(text);
    }
    fab_free(model);
    fab_free(data);
}

static void bad_weight_files_are_refused(void)
{
    uint8_t *model = NULL, *data = NULL;
    size_t model_size = 0, size = 0;
    fab_tensors *weights = NULL;
    golden("model.json", &model, &model_size);
    golden("model.bin", &data, &size);
    CHECK_OK(read_tfjs((const char *)model, data, size, &weights));
    weights = fab_tensors_free(weights);
    CHECK_FAILS(FAB_ERR_FORMAT, "model.bin: ", read_tfjs((const char *)model, data, size - 4,
                                                         &weights));
    CHECK_FAILS(FAB_ERR_FORMAT, "model.bin: 0 bytes", read_tfjs((const char *)model, data, 0,
                                                                &weights));
    memset(data + 40, 0xff, 4);
    CHECK_FAILS(FAB_ERR_FORMAT, "model.bin: tensor conv0.weight: value ",
                read_tfjs((const char *)model, data, size, &weights));
    CHECK(weights == NULL);
    fab_free(model);
    fab_free(data);
}

static fab_status read_meshnet(const char *text)
{
    fab_reader r = {0};
    fab_reader_from_memory(text, strlen(text), "mesh.json", &r);
    const fab_status s = fab_sequential_read_meshnet(&r, &config, &err);
    fab_reader_close(&r);
    return s;
}

static void bad_meshnets_are_refused(void)
{
    CHECK_OK(read_meshnet(meshnet_good));
    CHECK(config.layer_count == 3 && config.input_channels == 1);
    CHECK(strcmp(config.layers[2].conv, "model.4") == 0);
    CHECK(config.layers[1].activation == FAB_ACTIVATION_ELU);
    CHECK(config.layers[2].activation == FAB_ACTIVATION_LINEAR);
    for (size_t i = 0; i < sizeof meshnet / sizeof *meshnet; i++) {
        char *text = edited(meshnet_good, &meshnet[i]);
        CHECK_FAILS(meshnet[i].status, meshnet[i].message, read_meshnet(text));
        CHECK(strstr(err.message, "mesh.json"));
        free(text);
    }
}

static fab_status create(void)
{
    fab_net *net = NULL;
    fab_sequential_config good = config;
    good.input_channels = 1;
    good.layer_count = 1;
    good.layers[0] = (fab_sequential_layer){.conv = "a", .outputs = 2, .kernel = {3, 3, 3},
                                            .dilation = {1, 1, 1}};
    fab_tensors *t = random_sequential_tensors(&good, 1);
    const fab_status s = fab_net_create_sequential(&config, t, FAB_ISA_SCALAR, &net, &err);
    CHECK((s == FAB_OK) == (net != NULL));
    fab_net_free(net);
    fab_tensors_free(t);
    return s;
}

static void reset(void)
{
    memset(&config, 0, sizeof config);
    config.input_channels = config.layer_count = 1;
    config.layers[0] = (fab_sequential_layer){.conv = "a", .outputs = 2, .kernel = {3, 3, 3},
                                              .dilation = {1, 1, 1}};
}

/* A description a program filled in: one field wrong. */
static void bad_descriptions_are_refused(void)
{
    fab_sequential_layer *l = &config.layers[0];
    reset();
    CHECK_OK(create());
#define REFUSED(change, status, text)                                                             \
    do {                                                                                          \
        reset();                                                                                  \
        change;                                                                                   \
        CHECK_FAILS(status, text, create());                                                      \
    } while (0)
    REFUSED(config.layer_count = 0, FAB_ERR_LIMIT, "0 convolutions");
    REFUSED(config.layer_count = 65, FAB_ERR_LIMIT, "65 convolutions");
    REFUSED(config.input_channels = 0, FAB_ERR_LIMIT, "0 input channels");
    REFUSED(config.input_channels = 2, FAB_ERR_FORMAT,
            "random.safetensors: tensor a.weight has shape [2,1,3,3,3]");
    REFUSED(l->outputs = INT32_MAX, FAB_ERR_LIMIT, "layer 0 (a): 2147483647 outputs");
    REFUSED(l->kernel[1] = 2, FAB_ERR_UNSUPPORTED, "kernel 3 x 2 x 3");
    REFUSED(l->kernel[2] = -1, FAB_ERR_UNSUPPORTED, "kernel 3 x 3 x -1");
    REFUSED(l->dilation[0] = INT32_MAX, FAB_ERR_LIMIT, "dilation 2147483647 x 1 x 1");
    REFUSED(l->dilation[0] = 0, FAB_ERR_LIMIT, "dilation 0 x 1 x 1");
    REFUSED(l->conv[0] = 0, FAB_ERR_ARG, "name");
    REFUSED(memset(l->conv, 'a', sizeof l->conv), FAB_ERR_ARG, "name");
    REFUSED(memset(l->norm, 'a', sizeof l->norm), FAB_ERR_ARG, "name");
    REFUSED(snprintf(l->norm, sizeof l->norm, "n"), FAB_ERR_NOTFOUND,
            "tensor n.running_mean is missing");
    REFUSED((snprintf(l->norm, sizeof l->norm, "n"), l->norm_eps = NAN), FAB_ERR_ARG, "epsilon");
    REFUSED(l->bias = true, FAB_ERR_NOTFOUND, "tensor a.bias is missing");
    REFUSED(l->activation = (fab_activation)7, FAB_ERR_ARG, "activation 7");
    REFUSED((l->activation = FAB_ACTIVATION_LEAKY_RELU, l->slope = 1), FAB_ERR_ARG, "slope 1 ");
    REFUSED((l->activation = FAB_ACTIVATION_ELU, l->slope = NAN), FAB_ERR_ARG, "slope");
}

/* Volumes a session refuses. */
static void bad_sizes_are_refused(void)
{
    static const struct {
        int size[3];
        fab_status status;
        const char *message;
    } sizes[] = {{{0, 1, 1}, FAB_ERR_ARG, "size 0 on axis 0"},
                 {{1, -5, 1}, FAB_ERR_ARG, "size -5 on axis 1"},
                 {{1, 1, 8193}, FAB_ERR_ARG, "size 8193 on axis 2"},
                 {{8192, 8192, 8192}, FAB_ERR_LIMIT, "voxels are above the limit"},
                 {{1, 8192, 8192}, FAB_ERR_LIMIT, "layer 1: 257 planes of"}};
    reset();
    config.layer_count = 2;
    config.layers[1] = config.layers[0];
    config.layers[1].conv[0] = 'b';
    for (int a = 0; a < 3; a++) config.layers[1].dilation[a] = 128;
    fab_tensors *t = random_sequential_tensors(&config, 1);
    fab_net *net = NULL;
    fab_net_session *session = NULL;
    CHECK_OK(fab_net_create_sequential(&config, t, FAB_ISA_SCALAR, &net, &err));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_FAILS(sizes[i].status, sizes[i].message,
                    fab_net_session_create(net, sizes[i].size, &session, &err));
        CHECK(session == NULL && fab_net_session_bytes(net, sizes[i].size) == 0);
    }
    fab_net_free(net);
    fab_tensors_free(t);
}

/* A variance below zero, however small the epsilon. */
static void bad_variances_are_refused(void)
{
    random_unet u = {0};
    fab_buf file = {0};
    fab_net *net = NULL;
    const int one = 1;
    reset();
    config.layers[0].outputs = 1;
    config.layers[0].norm_eps = 1e-3;
    snprintf(config.layers[0].norm, sizeof config.layers[0].norm, "n");
    random_tensor(&u, "a.weight", (int[]){1, 1, 3, 3, 3}, 5, 0, 1);
    random_tensor(&u, "n.running_mean", &one, 1, 0, 1);
    random_tensor(&u, "n.running_var", &one, 1, -1, 0);
    random_finish(&u, &file);
    fab_tensors *t = random_read(&file);
    CHECK_FAILS(FAB_ERR_FORMAT, "random.safetensors: tensor n.running_var: value 0 is -1",
                fab_net_create_sequential(&config, t, FAB_ISA_SCALAR, &net, &err));
    fab_tensors_free(t);
}

int main(void)
{
    return FAB_RUN(TEST(bad_tfjs_models_are_refused), TEST(bad_weight_files_are_refused),
                   TEST(bad_meshnets_are_refused), TEST(bad_descriptions_are_refused),
                   TEST(bad_sizes_are_refused), TEST(bad_variances_are_refused));
}
