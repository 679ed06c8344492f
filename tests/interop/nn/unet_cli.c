/* unet_cli CARD WEIGHTS INPUT OUTPUT Z Y X: a network's logits for one patch, raw fp32. */
#include <stdio.h>
#include <stdlib.h>

#include "fabrica/nn.h"

static fab_status load(const char *card_path, const char *weights_path, fab_net **net,
                       fab_unet_config *config, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *card = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *tensors = NULL;
    const fab_json *architecture = NULL;
    fab_reader r = {0};
    FAB_TRY(fab_json_load_file(card_path, &card, err));
    FAB_TRY(fab_json_get_object(card, "architecture", &architecture, err));
    FAB_TRY(fab_unet_config_from_json(architecture, config, err));
    FAB_TRY(fab_reader_open_file(weights_path, &r, err));
    const fab_status status = fab_tensors_read_safetensors(&r, &tensors, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    return fab_net_create_unet(config, tensors, fab_nn_isa_best(FAB_PRECISION_FP32), net, err);
}

static fab_status run(char **argv, fab_error *err)
{
    FAB_AUTO(fab_net_free) fab_net *net = NULL;
    FAB_AUTO(fab_net_session_free) fab_net_session *session = NULL;
    FAB_AUTO_FREE uint8_t *input = NULL;
    fab_unet_config config;
    fab_reader r = {0};
    size_t bytes = 0, voxels = 1;
    int patch[3];
    for (int a = 0; a < 3; a++) {
        patch[a] = (int)strtol(argv[5 + a], NULL, 10);
        voxels *= (size_t)patch[a];
    }
    FAB_TRY(load(argv[1], argv[2], &net, &config, err));
    FAB_TRY(fab_reader_open_file(argv[3], &r, err));
    const fab_status status = fab_reader_read_all(&r, (size_t)1 << 30, &input, &bytes, err);
    fab_reader_close(&r);
    FAB_TRY(status);
    if (bytes != voxels * (size_t)config.input_channels * sizeof(float))
        FAB_FAIL(err, FAB_ERR_ARG, "%s has %zu bytes", argv[3], bytes);
    const size_t count = voxels * (size_t)config.classes;
    FAB_AUTO_FREE float *logits = fab_alloc_array(count, sizeof *logits);
    if (!logits) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory");
    FAB_TRY(fab_net_session_create(net, patch, &session, err));
    FAB_TRY(fab_net_session_logits(session, (const float *)(const void *)input, logits, err));
    return fab_file_write_atomic(argv[4], logits, count * sizeof *logits, err);
}

int main(int argc, char **argv)
{
    fab_error err = {0};
    if (argc == 8 && run(argv, &err) == FAB_OK) return 0;
    fprintf(stderr, "unet_cli: %s\n", argc == 8 ? err.message : "wrong arguments");
    return 1;
}
