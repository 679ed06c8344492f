/* Checkpoints written by PyTorch (train/golden_checkpoint.py): every tensor and every plain value
 * as torch.load reads them, which expected.json holds. */
#include "fabrica/checkpoint.h"
#include "harness.h"

static fab_error err;

static const char *golden(const char *name, char into[FAB_MAX_PATH_BYTES])
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    snprintf(into, FAB_MAX_PATH_BYTES, "%s/tests/golden/checkpoint/%s", root ? root : ".", name);
    return into;
}

static fab_json *expected(const char *name)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *all = NULL;
    const fab_json *one = NULL;
    CHECK_OK(fab_json_load_file(golden("expected.json", path), &all, &err));
    CHECK_OK(fab_json_get_object(all, name, &one, &err));
    fab_json *kept = fab_json_retain((fab_json *)(uintptr_t)one);
    fab_json_free(all);
    return kept;
}

/* The same bits. */
static void check_tensor(const fab_tensors *t, const char *name, const fab_json *wanted)
{
    int64_t shape[FAB_TENSOR_MAX_RANK];
    const float *values = NULL;
    const fab_json *s = fab_json_find(wanted, "shape"), *v = fab_json_find(wanted, "values");
    for (size_t i = 0; i < fab_json_count(s); i++)
        shape[i] = (int64_t)fab_json_number(fab_json_at(s, i));
    CHECK_OK(fab_tensors_get(t, name, shape, (int)fab_json_count(s), &values, &err));
    for (size_t i = 0; i < fab_json_count(v); i++) {
        const float wanted_value = (float)fab_json_number(fab_json_at(v, i));
        CHECK(memcmp(&values[i], &wanted_value, sizeof wanted_value) == 0);
    }
}

static void check_tensors(const fab_checkpoint *c, const fab_json *wanted)
{
    fab_tensors *t = NULL;
    void *cursor = NULL;
    const char *name = NULL;
    const fab_json *one = NULL;
    CHECK_OK(fab_checkpoint_tensors(c, "network_weights", &t, &err));
    CHECK(fab_json_count(wanted) > 0 && fab_tensors_count(t) == fab_json_count(wanted));
    while (fab_json_next(wanted, &cursor, &name, &one)) check_tensor(t, name, one);
    fab_tensors_free(t);
}

static void text_of(const fab_json *value, fab_buf *into)
{
    fab_writer w;
    fab_writer_to_buf(into, &w);
    CHECK_OK(fab_json_dump(value, 1, &w, &err));
    CHECK_OK(fab_buf_append(into, "", 1, &err));
}

static void check_plain(const fab_checkpoint *c, const fab_json *wanted)
{
    void *cursor = NULL;
    const char *key = NULL;
    const fab_json *one = NULL;
    while (fab_json_next(wanted, &cursor, &key, &one)) {
        fab_json *value = NULL;
        fab_buf got = {0}, expects = {0};
        if (fab_json_text(one) && !strcmp(fab_json_text(one), "a tensor")) {
            CHECK_FAILS(FAB_ERR_UNSUPPORTED, "a tensor is no plain value",
                        fab_checkpoint_json(c, key, &value, &err));
            CHECK(!value && strstr(err.message, key) && strstr(err.message, ".pth"));
            continue;
        }
        CHECK_OK(fab_checkpoint_json(c, key, &value, &err));
        text_of(value, &got);
        text_of(one, &expects);
        if (strcmp((char *)got.data, (char *)expects.data) != 0)
            fprintf(stderr, "%s: %s, expected %s\n", key, got.data, expects.data);
        CHECK(strcmp((char *)got.data, (char *)expects.data) == 0);
        fab_buf_free(&got);
        fab_buf_free(&expects);
        fab_json_free(value);
    }
}

static void open_golden(const char *name, fab_reader *r, fab_checkpoint **c)
{
    char path[FAB_MAX_PATH_BYTES];
    CHECK_OK(fab_reader_open_file(golden(name, path), r, &err));
    CHECK_OK(fab_checkpoint_read(r, c, &err));
}

static void as_torch_reads_it(void)
{
    static const char *const files[] = {"nnunet.pth", "protocol4.pth", "dtypes.pth"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        fab_reader r;
        fab_checkpoint *c = NULL;
        fab_json *wanted = expected(files[i]);
        printf("  %s\n", files[i]);
        open_golden(files[i], &r, &c);
        check_tensors(c, fab_json_find(wanted, "tensors"));
        check_plain(c, fab_json_find(wanted, "plain"));
        fab_checkpoint_free(c);
        fab_reader_close(&r);
        fab_json_free(wanted);
    }
}

/* Names on one storage are one array; tensors outlive the checkpoint and its file. */
static void shared_storage_is_shared(void)
{
    static const int64_t shape[] = {2, 1, 3, 3, 3};
    static const char *const names[] = {"encoder.stages.0.0.convs.0.all_modules.0.weight",
                                        "decoder.encoder.stages.0.0.convs.0.conv.weight",
                                        "decoder.encoder.stages.0.0.convs.0.all_modules.0.weight"};
    fab_reader r;
    fab_checkpoint *c = NULL;
    fab_tensors *t = NULL;
    const float *first = NULL, *other = NULL;
    open_golden("nnunet.pth", &r, &c);
    CHECK_OK(fab_checkpoint_tensors(c, "network_weights", &t, &err));
    fab_checkpoint_free(c);
    fab_reader_close(&r);
    CHECK_OK(fab_tensors_get(t, "encoder.stages.0.0.convs.0.conv.weight", shape, 5, &first, &err));
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(fab_tensors_get(t, names[i], shape, 5, &other, &err));
        CHECK(other == first);
    }
    CHECK(strcmp(fab_tensors_source(t), "nnunet.pth") == 0);
    fab_tensors_free(t);
}

/* A tensor with strides of its own that has two names is copied once. */
static void copies_are_shared_too(void)
{
    static const int64_t shape[] = {3, 4, 2, 2, 2};
    fab_reader r;
    fab_checkpoint *c = NULL;
    fab_tensors *t = NULL;
    const float *a = NULL, *b = NULL;
    open_golden("dtypes.pth", &r, &c);
    CHECK_OK(fab_checkpoint_tensors(c, "network_weights", &t, &err));
    CHECK_OK(fab_tensors_get(t, "transposed", shape, 5, &a, &err));
    CHECK_OK(fab_tensors_get(t, "transposed_again", shape, 5, &b, &err));
    CHECK(a == b);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "tensor long is missing",
                fab_tensors_get(t, "long", shape, 1, &a, &err));
    fab_tensors_free(t);
    fab_checkpoint_free(c);
    fab_reader_close(&r);
}

static void what_is_not_there_or_not_right(void)
{
    fab_reader r;
    fab_checkpoint *c = NULL;
    fab_tensors *t = NULL;
    fab_json *j = NULL;
    open_golden("nnunet.pth", &r, &c);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "nnunet.pth: \"state_dict\" is missing",
                fab_checkpoint_tensors(c, "state_dict", &t, &err));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "nnunet.pth: \"x\" is missing",
                fab_checkpoint_json(c, "x", &j, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "nnunet.pth: trainer_name: a str, not a dict of tensors",
                fab_checkpoint_tensors(c, "trainer_name", &t, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "nnunet.pth: init_args: plans is a dict, not a tensor",
                fab_checkpoint_tensors(c, "init_args", &t, &err));
    CHECK(!t && !j);
    fab_checkpoint_free(c);
    fab_reader_close(&r);
}

static void other_formats_are_refused(void)
{
    static const struct {
        const char *name, *message;
    } rows[] = {
        {"legacy.pth", "legacy.pth: the format of PyTorch before 1.6 is not read"},
        {"module.pth", "global torch.nn.modules.linear.Linear is not on the list"},
    };
    char path[FAB_MAX_PATH_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fab_reader r;
        fab_checkpoint *c = NULL;
        CHECK_OK(fab_reader_open_file(golden(rows[i].name, path), &r, &err));
        CHECK_FAILS(FAB_ERR_UNSUPPORTED, rows[i].message, fab_checkpoint_read(&r, &c, &err));
        CHECK(!c);
        fab_reader_close(&r);
    }
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(as_torch_reads_it), TEST(shared_storage_is_shared), TEST(copies_are_shared_too),
        TEST(what_is_not_there_or_not_right), TEST(other_formats_are_refused),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
