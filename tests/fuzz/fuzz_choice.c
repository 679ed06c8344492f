/* inference_information.json from any bytes: what is accepted names folders below the data set's,
 * each once, and folds. */
#include <stdlib.h>
#include <string.h>

#include "fabrica/nnunet.h"
#include "fuzz_target.h"

static void check_name(const char *name, size_t room)
{
    const char *end = memchr(name, 0, room);
    if (!end || name[0] == '.' || strpbrk(name, "/\\")) abort();
    for (const char *at = name; at < end; at++)
        if ((unsigned char)*at < ' ') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_nnunet_choice c;
    fab_json *json = NULL;
    fab_error err;
    if (fab_json_parse((const char *)data, size, "information", &json, &err) < 0) return 0;
    if (fab_nnunet_choice_read(json, "information", &c, &err) == FAB_OK) {
        if (c.count < 1 || c.count > FAB_NNUNET_MAX_MEMBERS) abort();
        if (c.fold_count < 1 || c.fold_count > FAB_NNUNET_MAX_FOLDS) abort();
        for (int i = 0; i < c.count; i++) {
            check_name(c.member[i], sizeof c.member[i]);
            if (!c.member[i][0]) abort();
            for (int k = 0; k < i; k++)
                if (strcmp(c.member[i], c.member[k]) == 0) abort();
        }
        for (int i = 0; i < c.fold_count; i++)
            if (c.fold[i] < -1 || c.fold[i] >= 1000) abort();
        check_name(c.postprocessing, sizeof c.postprocessing);
    }
    fab_json_free(json);
    return 0;
}
