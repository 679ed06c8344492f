/* Every allocation of reading, building and running networks fails once: the residual golden, and
 * the chain of convolutions. */
#include "fabrica/nn.h"
#include "harness.h"

static fab_sequential_config config; /* large */

static fab_status open_golden(const char *name, fab_reader *out, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(path, sizeof path, "%s/tests/golden/%s", root ? root : ".", name);
    return fab_reader_open_file(path, out, err);
}

static void sink(void *ctx, int z, int y, int x0, int count, const float *logits, int pitch)
{
    (void)ctx, (void)z, (void)y, (void)x0, (void)count, (void)logits, (void)pitch;
}

static fab_status run(const fab_net *net, const int size[3], fab_error *err)
{
    static const float input[2 * 9 * 12 * 16];
    FAB_AUTO(fab_net_session_free) fab_net_session *s = NULL;
    FAB_TRY(fab_net_session_create(net, size, &s, err));
    return fab_net_session_run(s, input, sink, NULL, err);
}

static fab_status chain(void *ctx)
{
    fab_error err;
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = NULL;
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    fab_reader model = {0}, data = {0};
    (void)ctx;
    fab_status status = open_golden("sequential_tiny/model.json", &model, &err);
    if (status == FAB_OK) status = open_golden("sequential_tiny/model.bin", &data, &err);
    if (status == FAB_OK)
        status = fab_sequential_read_tfjs(&model, &data, &config, &weights, &err);
    fab_reader_close(&model);
    fab_reader_close(&data);
    FAB_TRY(status);
    FAB_TRY(fab_net_create_sequential(&config, weights, FAB_ISA_SCALAR, &net, &err));
    return run(net, (int[]){3, 4, 5}, &err);
}

static fab_status meshnet(void *ctx)
{
    static const char text[] =
        "{\"layers\": [{\"in_channels\": 1, \"out_channels\": 2, \"kernel_size\": 3, "
        "\"padding\": 4, \"stride\": 1, \"dilation\": 4}]}";
    fab_error err;
    fab_reader r = {0};
    (void)ctx;
    fab_reader_from_memory(text, sizeof text - 1, "mesh.json", &r);
    const fab_status status = fab_sequential_read_meshnet(&r, &config, &err);
    fab_reader_close(&r);
    return status;
}

static fab_status residual(void *ctx)
{
    fab_error err;
    const fab_json *card = ctx, *architecture = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *weights = NULL;
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    fab_unet_config c;
    fab_reader r = {0};
    FAB_TRY(fab_json_get_object(card, "architecture", &architecture, &err));
    FAB_TRY(fab_unet_config_from_json(architecture, &c, &err));
    FAB_TRY(open_golden("resenc_tiny/weights.safetensors", &r, &err));
    const fab_status status = fab_tensors_read_safetensors(&r, &weights, &err);
    fab_reader_close(&r);
    FAB_TRY(status);
    FAB_TRY(fab_net_create_unet(&c, weights, FAB_ISA_SCALAR, &net, &err));
    return run(net, (int[]){4, 4, 8}, &err);
}

static void chains(void)
{
    fab_test_torture(chain, NULL);
}

static void meshnets(void)
{
    fab_test_torture(meshnet, NULL);
}

static void residual_networks(void)
{
    fab_error err;
    fab_reader r = {0};
    fab_json *card = NULL;
    CHECK_OK(open_golden("resenc_tiny/model.json", &r, &err));
    CHECK_OK(fab_json_load(&r, &card, &err));
    fab_reader_close(&r);
    fab_test_torture(residual, card);
    fab_json_free(card);
}

int main(void)
{
    return FAB_RUN(TEST(chains), TEST(meshnets), TEST(residual_networks));
}
