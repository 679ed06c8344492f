/* Every allocation of reading a checkpoint fails once: an error, no leak. (libzip's and jansson's
 * own memory is not ours to fail.) */
#include "pickle_build.h"

#include "fabrica/checkpoint.h"

static fab_error err;
static uint8_t body[4096], bytes[8192];

static fab_status read_once(void *ctx)
{
    FAB_AUTO(fab_checkpoint_free) fab_checkpoint *c = NULL;
    FAB_AUTO(fab_tensors_free) fab_tensors *t = NULL;
    FAB_AUTO(fab_json_free) fab_json *j = NULL;
    fab_reader r;
    fab_reader_from_memory(bytes, *(const size_t *)ctx, "torture.pth", &r);
    FAB_TRY(fab_checkpoint_read(&r, &c, &err));
    FAB_TRY(fab_checkpoint_tensors(c, "w", &t, &err));
    CHECK(fab_tensors_count(t) == 3);
    return fab_checkpoint_json(c, "k", &j, &err);
}

/* {"w": {two views in C order and one that is not}, "k": {"list": [1, "text", (2.0,)]}} */
static void reading(void)
{
    static const float values[24] = {1};
    static const pickle_tensor tensors[] = {
        {.numel = 24, .rank = 2, .shape = {4, 6}, .stride = {6, 1}},
        {.numel = 24, .rank = 2, .shape = {6, 4}, .stride = {1, 6}},
        {.numel = 24, .offset = 3, .rank = 1, .shape = {5}, .stride = {1}},
    };
    pickle p = {body, 0};
    pickle_state_dict(&p, tensors, 3);
    p.size--; /* without its stop */
    pickle_text(&p, "k");
    PICKLE_PUT(&p, "}");
    pickle_text(&p, "list");
    PICKLE_PUT(&p, "](K\1");
    pickle_text(&p, "text");
    PICKLE_PUT(&p, "G\100\0\0\0\0\0\0\0\x85q\1ess.");
    size_t size = checkpoint_build(&p, values, sizeof values, bytes);
    fab_test_torture(read_once, &size);
}

int main(void)
{
    static const fab_test tests[] = {TEST(reading)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
