/* labels.json from any bytes. What is accepted must be written and read again as the same set. */
#include <stdlib.h>
#include <string.h>

#include "fabrica/anatomy.h"
#include "fuzz_target.h"

static bool same(const fab_label *a, const fab_label *b)
{
    return a->value == b->value && !strcmp(a->name, b->name) && !memcmp(a->rgb, b->rgb, 3) &&
           a->anatomy == b->anatomy;
}

static void check_again(const fab_label_set *set)
{
    fab_label_set again = {0};
    fab_json *json = NULL;
    fab_error err;
    if (fab_label_set_to_json(set, &json, &err) < 0) abort();
    if (fab_label_set_from_json(json, &again, &err) < 0 || again.count != set->count) abort();
    for (size_t i = 0; i < set->count; i++)
        if (!same(&again.items[i], &set->items[i])) abort();
    fab_json_free(json);
    fab_label_set_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_label_set set = {0};
    fab_json *json = NULL;
    fab_error err;
    if (fab_json_parse(data, size, "labels.json", &json, &err) < 0) return 0;
    if (fab_label_set_from_json(json, &set, &err) == FAB_OK) check_again(&set);
    fab_label_set_free(&set);
    fab_json_free(json);
    return 0;
}
