/* Bad checkpoints around a good pickle: tensors that claim what is not there, zips that are not
 * what torch.save writes. What a person must be told. */
#include "pickle_build.h"

#include "fabrica/checkpoint.h"

static fab_error err;
static uint8_t body[1 << 20], bytes[20 << 20];
static float values[1024];

static fab_status read_tensors(size_t size, fab_tensors **out)
{
    fab_reader r;
    fab_checkpoint *c = NULL;
    fab_reader_from_memory(bytes, size, "case.pth", &r);
    fab_status status = fab_checkpoint_read(&r, &c, &err);
    if (status == FAB_OK) status = fab_checkpoint_tensors(c, "w", out, &err);
    fab_checkpoint_free(c);
    if (status < 0) CHECK(strstr(err.message, "case.pth") && !*out);
    return status;
}

#define HUGE_COUNT ((int64_t)1 << 62)

/* The storage has 24 fp32 values; tensor "a" is always a good view of it, "b" is the case. */
static const struct {
    const char *what;
    pickle_tensor b;
    fab_status status;
    const char *message;
} cases[] = {
    {"larger than its storage", {.numel = 24, .rank = 2, .shape = {5, 5}, .stride = {5, 1}},
     FAB_ERR_FORMAT, "tensor b: its shape and strides need more than the 24 values"},
    {"stride beyond the storage", {.numel = 24, .rank = 2, .shape = {2, 2}, .stride = {24, 1}},
     FAB_ERR_FORMAT, "tensor b: it reaches value 25 of a storage of 24"},
    {"offset beyond the storage",
     {.numel = 24, .offset = 20, .rank = 1, .shape = {5}, .stride = {1}},
     FAB_ERR_FORMAT, "tensor b: it reaches value 24 of a storage of 24"},
    {"offset far beyond",
     {.numel = 24, .offset = INT64_MAX, .rank = 1, .shape = {5}, .stride = {1}},
     FAB_ERR_FORMAT, "tensor b: it begins behind the 24 values"},
    {"offset at the end, no axis", {.numel = 24, .offset = 24}, FAB_ERR_FORMAT,
     "tensor b: it reaches value 24"},
    {"shape that overflows",
     {.numel = 24, .rank = 2, .shape = {HUGE_COUNT, HUGE_COUNT}, .stride = {1, 1}},
     FAB_ERR_FORMAT, "tensor b: its shape and strides need more"},
    {"stride that overflows",
     {.numel = 24, .rank = 2, .shape = {2, 2}, .stride = {INT64_MAX, INT64_MAX}},
     FAB_ERR_FORMAT, "tensor b: its shape and strides need more"},
    {"an axis of nothing", {.numel = 24, .rank = 2, .shape = {0, 4}, .stride = {4, 1}},
     FAB_ERR_UNSUPPORTED, "tensor b: it has no values"},
    {"expanded", {.numel = 24, .rank = 2, .shape = {3, 4}, .stride = {0, 1}}, FAB_ERR_UNSUPPORTED,
     "tensor b: its elements overlap"},
    {"sliding windows", {.numel = 24, .rank = 2, .shape = {5, 4}, .stride = {2, 1}},
     FAB_ERR_UNSUPPORTED, "tensor b: its elements overlap"},
    {"nine axes", {.numel = 24, .rank = 9, .shape = {1, 1, 1, 1, 1, 1, 1, 1, 1}}, FAB_ERR_LIMIT,
     "tensor b: shape has 9 axes, at most 8"},
    {"another size claimed", {.numel = 25, .rank = 1, .shape = {2}, .stride = {1}},
     FAB_ERR_FORMAT, "tensor b: claims another type or size of its storage than tensor a"},
    {"another type claimed",
     {.type = "HalfStorage", .numel = 24, .rank = 1, .shape = {2}, .stride = {1}},
     FAB_ERR_FORMAT, "tensor b: claims another type or size of its storage than tensor a"},
    {"storage missing", {.key = "1", .numel = 24, .rank = 1, .shape = {2}, .stride = {1}},
     FAB_ERR_FORMAT, "tensor b: its storage data/1 is missing"},
    {"storage outside", {.key = "../version", .numel = 2, .rank = 1, .shape = {2}, .stride = {1}},
     FAB_ERR_FORMAT, "its storage data/../version is missing"},
    {"storage of 2^62 values",
     {.key = "1", .numel = HUGE_COUNT, .rank = 1, .shape = {2}, .stride = {1}}, FAB_ERR_LIMIT,
     "tensor b: a storage of 4611686018427387904 values, at most 1073741824"},
    {"a missing storage of 4 GB",
     {.key = "1", .numel = FAB_MAX_WEIGHTS, .rank = 1, .shape = {2}, .stride = {1}},
     FAB_ERR_FORMAT, "tensor b: its storage data/1 is missing"},
};

static size_t build(const pickle_tensor *tensors, size_t count, size_t storage_bytes)
{
    pickle p = {body, 0};
    pickle_state_dict(&p, tensors, count);
    return checkpoint_build(&p, values, storage_bytes, bytes);
}

#define GOOD {.numel = 24, .rank = 2, .shape = {4, 6}, .stride = {6, 1}}

static void each_tensor(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const pickle_tensor two[] = {GOOD, cases[i].b};
        fab_tensors *t = NULL;
        printf("  %s\n", cases[i].what);
        CHECK_FAILS(cases[i].status, cases[i].message, read_tensors(build(two, 2, 96), &t));
    }
}

/* What the cases above are edits of; strides of an axis of length one mean nothing. */
static void the_good_one(void)
{
    static const int64_t shape[] = {4, 6}, turned[] = {6, 1, 4}, one[] = {1, 2};
    const pickle_tensor three[] = {
        GOOD, {.numel = 24, .rank = 3, .shape = {6, 1, 4}, .stride = {1, INT64_MAX, 6}},
        {.numel = 24, .offset = 22, .rank = 2, .shape = {1, 2}, .stride = {INT64_MAX, 1}}};
    const float *a = NULL, *b = NULL, *c = NULL;
    fab_tensors *t = NULL;
    for (int i = 0; i < 24; i++) values[i] = (float)i;
    CHECK_OK(read_tensors(build(three, 3, 96), &t));
    CHECK_OK(fab_tensors_get(t, "a", shape, 2, &a, &err));
    CHECK_OK(fab_tensors_get(t, "b", turned, 3, &b, &err));
    CHECK_OK(fab_tensors_get(t, "c", one, 2, &c, &err));
    for (int i = 0; i < 24; i++) CHECK(a[i] == (float)i && b[i % 6 * 4 + i / 6] == (float)i);
    CHECK(c == a + 22);
    fab_tensors_free(t);
}

/* What newer versions of PyTorch put beside the rest. */
static void further_files_are_passed_over(void)
{
    pickle p = {body, 0};
    const pickle_tensor good[] = {GOOD};
    fab_tensors *t = NULL;
    pickle_state_dict(&p, good, 1);
    const zip_entry e[] = {
        {.name = "m/data.pkl", .text = (const char *)p.data, .bytes = p.size},
        {.name = "m/.format_version", .text = "1"},
        {.name = "m/.storage_alignment", .text = "64"},
        {.name = "m/byteorder", .text = "little"},
        {.name = "m/data/0", .text = (const char *)values, .bytes = 96},
        {.name = "m/version", .text = "3\n"},
        {.name = "m/.data/serialization_id", .text = "0123456789"},
    };
    CHECK_OK(read_tensors(zip_build(e, sizeof e / sizeof *e, bytes), &t));
    CHECK(fab_tensors_count(t) == 1);
    fab_tensors_free(t);
}

static void storage_of_another_size(void)
{
    const pickle_tensor good[] = {GOOD};
    fab_tensors *t = NULL;
    CHECK_FAILS(FAB_ERR_FORMAT, "tensor a: its storage has 92 bytes, not 24 values of 4",
                read_tensors(build(good, 1, 92), &t));
    CHECK_FAILS(FAB_ERR_FORMAT, "tensor a: its storage has 100 bytes",
                read_tensors(build(good, 1, 100), &t));
}

static void not_finite(void)
{
    const pickle_tensor good[] = {GOOD};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    fab_tensors *t = NULL;
    for (size_t i = 0; i < 3; i++) {
        values[7] = bad[i];
        CHECK_FAILS(FAB_ERR_FORMAT, "case.pth: w: tensor a: value 7 is not a finite number",
                    read_tensors(build(good, 1, 96), &t));
    }
    values[7] = 0;
}

static void a_name_twice(void)
{
    pickle p = {body, 0};
    const pickle_tensor good = GOOD;
    fab_tensors *t = NULL;
    PICKLE_PUT(&p, "\x80\x02}");
    pickle_text(&p, "w");
    PICKLE_PUT(&p, "}(");
    for (int i = 0; i < 2; i++) {
        pickle_text(&p, "same");
        pickle_put_tensor(&p, &good);
    }
    PICKLE_PUT(&p, "us.");
    CHECK_FAILS(FAB_ERR_FORMAT, "tensor same is there twice",
                read_tensors(checkpoint_build(&p, values, 96, bytes), &t));
}

/* Twenty different views across one storage: each is fine, their copies together are not. */
static void more_copies_than_values(void)
{
    pickle_tensor many[20];
    fab_tensors *t = NULL;
    for (int i = 0; i < 20; i++)
        many[i] = (pickle_tensor){.numel = 24, .offset = i % 3, .rank = 2,
                                  .shape = {2, 4 + i / 3}, .stride = {1, 2}};
    CHECK_FAILS(FAB_ERR_LIMIT, "more views that are not contiguous than values",
                read_tensors(build(many, 20, 96), &t));
}

/* ---- the zip ---------------------------------------------------------------------------- */

static const struct {
    const char *what;
    int replaces; /* entry of the good zip, or -1: one more */
    zip_entry entry;
    fab_status status;
    const char *message;
} zip_cases[] = {
    {"wrong checksum of the pickle", 0, {.name = "m/data.pkl", .crc_change = 1}, FAB_ERR_FORMAT,
     "entry \"m/data.pkl\" is damaged"},
    {"wrong checksum of a storage", 2, {.name = "m/data/0", .crc_change = 1}, FAB_ERR_FORMAT,
     "tensor a: case.pth: entry \"m/data/0\" is damaged"},
    {"a storage shorter than it claims", 2, {.name = "m/data/0", .bytes = 40, .claimed_size = 96},
     FAB_ERR_FORMAT, "entry \"m/data/0\""},
    {"an empty pickle", 0, {.name = "m/data.pkl", .text = ""}, FAB_ERR_FORMAT,
     "the pickle ends early, after 0 bytes"},
    {"no version", 1, {.name = "m/other", .text = "3"}, FAB_ERR_FORMAT, "m/version is missing"},
    {"version 11", 1, {.name = "m/version", .text = "11\n"}, FAB_ERR_UNSUPPORTED,
     "version \"11\" of the layout"},
    {"version 0", 1, {.name = "m/version", .text = "0\n"}, FAB_ERR_UNSUPPORTED, "version \"0\""},
    {"long version", 1, {.name = "m/version", .text = "333333333333333333333"}, FAB_ERR_FORMAT,
     "m/version has 21 bytes"},
    {"big-endian", -1, {.name = "m/byteorder", .text = "big"}, FAB_ERR_UNSUPPORTED,
     "byte order \"big\" is not read"},
    {"TorchScript", -1, {.name = "m/constants.pkl", .text = "x"}, FAB_ERR_UNSUPPORTED,
     "a TorchScript archive"},
    {"no pickle", 0, {.name = "m/data.pickle", .text = "x"}, FAB_ERR_FORMAT,
     "the zip holds no NAME/data.pkl"},
    {"pickle too deep", 0, {.name = "m/n/data.pkl", .text = "x"}, FAB_ERR_FORMAT,
     "the zip holds no NAME/data.pkl"},
    {"two pickles", -1, {.name = "n/data.pkl", .text = "x"}, FAB_ERR_FORMAT,
     "more than one data.pkl"},
    {"a name twice", -1, {.name = "m/data/0", .text = "x"}, FAB_ERR_FORMAT,
     "entry \"m/data/0\" is there twice"},
    {"leaves the folder", -1, {.name = "../x", .text = "x"}, FAB_ERR_FORMAT, "holds \"..\""},
    {"encrypted", 2, {.name = "m/data/0", .flags = 1}, FAB_ERR_UNSUPPORTED, "is encrypted"},
    {"zip bomb", 2, {.name = "m/data/0", .claimed_size = 2000000000u}, FAB_ERR_LIMIT,
     "refused as a bomb"},
    {"3 GB", 2, {.name = "m/data/0", .claimed_size = 3000000000u}, FAB_ERR_LIMIT,
     "3000000000 bytes, more than 2147483648"},
};

static size_t build_zip(size_t i)
{
    pickle p = {body, 0};
    const pickle_tensor good[] = {GOOD};
    pickle_state_dict(&p, good, 1);
    zip_entry e[4] = {
        {.name = "m/data.pkl", .text = (const char *)p.data, .bytes = p.size},
        {.name = "m/version", .text = "3\n"},
        {.name = "m/data/0", .text = (const char *)values, .bytes = 96},
    };
    const int at = zip_cases[i].replaces;
    zip_entry changed = zip_cases[i].entry;
    if (at >= 0 && !changed.text) changed.text = e[at].text;
    if (at >= 0 && changed.text == e[at].text && !changed.bytes) changed.bytes = e[at].bytes;
    e[at < 0 ? 3 : at] = changed;
    return zip_build(e, at < 0 ? 4 : 3, bytes);
}

static void each_zip(void)
{
    for (size_t i = 0; i < sizeof zip_cases / sizeof *zip_cases; i++) {
        fab_tensors *t = NULL;
        printf("  %s\n", zip_cases[i].what);
        CHECK_FAILS(zip_cases[i].status, zip_cases[i].message, read_tensors(build_zip(i), &t));
    }
}

static void cut_anywhere(void)
{
    const pickle_tensor good[] = {GOOD};
    fab_tensors *t = NULL;
    const size_t size = build(good, 1, 96);
    for (size_t cut = 1; cut < size; cut++) CHECK(read_tensors(size - cut, &t) < 0);
    CHECK_FAILS(FAB_ERR_FORMAT, "not a readable zip file", read_tensors(size - 1, &t));
    CHECK_FAILS(FAB_ERR_FORMAT, "not a readable zip file", read_tensors(0, &t));
}

/* The pickle's own limit, in a zip large enough not to be a bomb. */
static void a_pickle_too_large(void)
{
    static char filler[1 << 20];
    const zip_entry e[] = {
        {.name = "m/data.pkl", .text = "x", .claimed_size = FAB_MAX_PICKLE_BYTES + 1},
        {.name = "m/version", .text = "3\n"},
        {.name = "m/data/0", .text = filler, .bytes = sizeof filler},
    };
    fab_tensors *t = NULL;
    CHECK_FAILS(FAB_ERR_LIMIT, "data.pkl has 67108865 bytes, at most 67108864 are read",
                read_tensors(zip_build(e, 3, bytes), &t));
}

/* Three storages of 2 GB, in a zip large enough not to be a bomb: refused before memory is
 * taken. */
static void storages_too_large_together(void)
{
    static char filler[17 << 20];
    pickle p = {body, 0};
    pickle_tensor three[3];
    zip_entry e[6] = {{.name = "m/version", .text = "3\n"},
                      {.name = "m/filler", .text = filler, .bytes = sizeof filler}};
    static const char *const keys[] = {"0", "1", "2"}, *const names[] = {"m/data/0", "m/data/1",
                                                                        "m/data/2"};
    for (int i = 0; i < 3; i++) {
        three[i] = (pickle_tensor){.key = keys[i], .numel = 1 << 29, .rank = 1, .shape = {2},
                                   .stride = {1}};
        e[2 + i] = (zip_entry){.name = names[i], .text = "x", .claimed_size = 2u << 30};
    }
    pickle_state_dict(&p, three, 3);
    e[5] = (zip_entry){.name = "m/data.pkl", .text = (const char *)p.data, .bytes = p.size};
    fab_tensors *t = NULL;
    CHECK_FAILS(FAB_ERR_LIMIT, "tensor c: more than 1073741824 values",
                read_tensors(zip_build(e, 6, bytes), &t));
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(the_good_one), TEST(further_files_are_passed_over), TEST(each_tensor),
        TEST(storage_of_another_size), TEST(not_finite),
        TEST(a_name_twice), TEST(more_copies_than_values), TEST(each_zip), TEST(cut_anywhere),
        TEST(a_pickle_too_large), TEST(storages_too_large_together),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
