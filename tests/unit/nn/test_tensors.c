/* Named tensors: made from a block, found by name, and the values files hold as fp32. */
#include "fabrica/nn.h"
#include "harness.h"

static fab_error err;

static float *block(size_t count)
{
    float *values = fab_alloc_array(count, sizeof *values);
    CHECK(values);
    for (size_t i = 0; i < count; i++) values[i] = (float)i;
    return values;
}

static void sorted_and_shared(void)
{
    static const int64_t shape[] = {2, 3};
    float *values = block(12), *kept = values;
    char name[] = "z";
    const fab_tensor items[] = {
        {.name = name, .rank = 2, .shape = {2, 3}, .values = values + 6},
        {.name = "a", .rank = 1, .shape = {12}, .values = values},
        {.name = "m", .rank = 2, .shape = {2, 3}, .values = values + 6},
        {.name = "one", .rank = 0, .values = values + 11},
    };
    fab_tensors *t = NULL;
    const float *found = NULL;
    CHECK_OK(fab_tensors_make("file", items, 4, &values, 12, &t, &err));
    name[0] = '?'; /* names are copied */
    CHECK(!values && fab_tensors_count(t) == 4 && !strcmp(fab_tensors_source(t), "file"));
    static const char *const order[] = {"a", "m", "one", "z"};
    for (size_t i = 0; i < 4; i++) CHECK(!strcmp(fab_tensors_at(t, i)->name, order[i]));
    CHECK(!fab_tensors_at(t, 4));
    CHECK_OK(fab_tensors_get(t, "z", shape, 2, &found, &err));
    CHECK(found == kept + 6 && found[5] == 11);
    CHECK_OK(fab_tensors_get(t, "one", shape, 0, &found, &err));
    CHECK(*found == 11);
    CHECK_FAILS(FAB_ERR_FORMAT, "file: tensor a has shape [12], the architecture needs [2,3]",
                fab_tensors_get(t, "a", shape, 2, &found, &err));
    CHECK_FAILS(FAB_ERR_NOTFOUND, "file: tensor b is missing",
                fab_tensors_get(t, "b", shape, 2, &found, &err));
    fab_tensors_free(t);
}

static void refusals_leave_the_block(void)
{
    float *values = block(12), *kept = values;
    values[5] = NAN;
    const struct {
        fab_tensor items[2];
        fab_status status;
        const char *message;
    } cases[] = {
        {{{.name = "a", .rank = 1, .shape = {3}, .values = values},
          {.name = "a", .rank = 1, .shape = {3}, .values = values + 8}},
         FAB_ERR_FORMAT, "tensor a is there twice"},
        {{{.name = "a", .rank = 1, .shape = {3}, .values = values},
          {.name = "", .rank = 1, .shape = {3}, .values = values}},
         FAB_ERR_FORMAT, "a tensor without a name"},
        {{{.name = "a", .rank = 1, .shape = {3}, .values = values},
          {.name = "b", .rank = 2, .shape = {2, 3}, .values = values + 7}},
         FAB_ERR_FORMAT, "tensor b lies outside the 12 values"},
        {{{.name = "a", .rank = 1, .shape = {3}, .values = values},
          {.name = "b", .rank = 1, .shape = {1}, .values = values + 12}},
         FAB_ERR_FORMAT, "tensor b lies outside"},
        {{{.name = "a", .rank = 1, .shape = {3}, .values = values},
          {.name = "b", .rank = 2, .shape = {INT64_MAX, 4}, .values = values}},
         FAB_ERR_FORMAT, "tensor b lies outside"},
        {{{.name = "a", .rank = 1, .shape = {3}, .values = values},
          {.name = "b", .rank = 1, .shape = {0}, .values = values}},
         FAB_ERR_FORMAT, "tensor b lies outside"},
        /* the part of b that a does not have */
        {{{.name = "a", .rank = 1, .shape = {5}, .values = values},
          {.name = "b", .rank = 1, .shape = {4}, .values = values + 3}},
         FAB_ERR_FORMAT, "tensor b: value 2 is not a finite number"},
    };
    fab_tensors *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_FAILS(cases[i].status, cases[i].message,
                    fab_tensors_make("file", cases[i].items, 2, &values, 12, &t, &err));
        CHECK(!t && values == kept);
    }
    /* a value that belongs to no tensor may be anything */
    CHECK_OK(fab_tensors_make("file", cases[0].items, 1, &values, 12, &t, &err));
    fab_tensors_free(t);
}

static void too_many(void)
{
    static fab_tensor items[FAB_MAX_TENSORS + 1];
    float *values = block(1);
    fab_tensors *t = NULL;
    CHECK_FAILS(FAB_ERR_LIMIT, "8193 tensors, at most 8192",
                fab_tensors_make("file", items, FAB_MAX_TENSORS + 1, &values, 1, &t, &err));
    fab_free(values);
}

static void values_of_files(void)
{
    static const uint8_t f16[] = {0, 0x3c, 0xff, 0x7b, 1, 0, 0, 0x80, 0, 0x7c, 1, 0x7e, 0xff, 3};
    static const uint8_t bf16[] = {0x80, 0x3f, 0, 0xc0, 0x80, 0x7f};
    const double f64[] = {1.0 / 3, -2.5, 1e300, 1e-300};
    float out[7];
    CHECK(fab_tensor_dtype_bytes(FAB_TENSOR_F32) == 4);
    CHECK(fab_tensor_dtype_bytes(FAB_TENSOR_F16) == 2);
    CHECK(fab_tensor_dtype_bytes(FAB_TENSOR_BF16) == 2);
    CHECK(fab_tensor_dtype_bytes(FAB_TENSOR_F64) == 8);
    fab_tensor_to_f32(FAB_TENSOR_F16, f16, out, 7);
    CHECK(out[0] == 1 && out[1] == 65504 && out[2] == 0x1p-24f && out[3] == 0 && signbit(out[3]));
    CHECK(isinf(out[4]) && isnan(out[5]) && out[6] == 1023 * 0x1p-24f);
    fab_tensor_to_f32(FAB_TENSOR_BF16, bf16, out, 3);
    CHECK(out[0] == 1 && out[1] == -2 && isinf(out[2]));
    fab_tensor_to_f32(FAB_TENSOR_F64, f64, out, 4);
    CHECK(out[0] == 1.0f / 3 && out[1] == -2.5f && isinf(out[2]) && out[3] == 0);
    fab_tensor_to_f32(FAB_TENSOR_F32, out, out + 4, 3);
    CHECK(out[4] == out[0] && out[5] == -2.5f && isinf(out[6]));
}

/* Every binary16 against its definition: sign, 5 bits of exponent, 10 of mantissa. */
static void every_half(void)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        const uint8_t bytes[] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
        double value = exponent == 31 ? INFINITY
                       : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                      : ldexp(mantissa, -24);
        float got = 0;
        fab_tensor_to_f32(FAB_TENSOR_F16, bytes, &got, 1);
        if (exponent == 31 && mantissa) CHECK(isnan(got));
        else CHECK(fabsf(got) == value);
        CHECK(!signbit(got) == (bits < 32768));
    }
}

int main(void)
{
    static const fab_test tests[] = {TEST(sorted_and_shared), TEST(refusals_leave_the_block),
                                     TEST(too_many), TEST(values_of_files), TEST(every_half)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
