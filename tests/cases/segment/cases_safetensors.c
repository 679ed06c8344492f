/* Bad safetensors files: what the header may not say, and what a person must be told. */
#include "fabrica/nn.h"
#include "harness.h"

static fab_error err;

#define ONE(shape, offsets)                                                                       \
    "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header;
    size_t data_bytes;
    fab_status status;
    const char *message;
} cases[] = {
    {"", 0, FAB_ERR_FORMAT, "not valid JSON"},
    {"[1]", 0, FAB_ERR_FORMAT, "no JSON object"},
    {"{\"a\":3}", 0, FAB_ERR_FORMAT, "tensor a"},
    {"{\"a\":{}}", 0, FAB_ERR_FORMAT, "dtype"},
    {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,16]}}", 16, FAB_ERR_UNSUPPORTED,
     "dtype F64"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}", 16, FAB_ERR_FORMAT, "shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", 16, FAB_ERR_FORMAT, "data_offsets"},
    {ONE("[4]", "[0]"), 16, FAB_ERR_FORMAT, "not [begin, end]"},
    {ONE("[4]", "[0,20]"), 16, FAB_ERR_FORMAT, "data_offsets[1] is outside the file's 16"},
    {ONE("[4]", "[-4,12]"), 16, FAB_ERR_FORMAT, "data_offsets[0]"},
    {ONE("[4]", "[0,1e300]"), 16, FAB_ERR_FORMAT, "data_offsets[1]"},
    {ONE("[4]", "[16,0]"), 16, FAB_ERR_FORMAT, "do not hold its shape"},
    {ONE("[5]", "[0,16]"), 16, FAB_ERR_FORMAT, "needs 20 bytes"},
    {ONE("[4]", "[0,16]"), 20, FAB_ERR_FORMAT, "20 data bytes, the tensors cover 16"},
    {ONE("[3]", "[4,16]"), 16, FAB_ERR_FORMAT, "begins at 4"},
    {ONE("[0]", "[0,0]"), 0, FAB_ERR_FORMAT, "shape[0]"},
    {ONE("[-2]", "[0,16]"), 16, FAB_ERR_FORMAT, "shape[0]"},
    {ONE("[2.5]", "[0,16]"), 16, FAB_ERR_FORMAT, "shape[0]"},
    {ONE("[\"4\"]", "[0,16]"), 16, FAB_ERR_FORMAT, "shape[0]"},
    {ONE("[1000000000,1000000000,1000000000]", "[0,16]"), 16, FAB_ERR_LIMIT, "more than"},
    {ONE("[1,1,1,1,1,1,1,1,4]", "[0,16]"), 16, FAB_ERR_LIMIT, "9 axes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, FAB_ERR_FORMAT,
     "tensor b begins at 4"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, FAB_ERR_FORMAT,
     "not valid JSON"},
};

/* length (8 bytes), header, data of `fill` bytes; *size gets the length. */
static uint8_t *file_of(const char *header, size_t data_bytes, uint8_t fill, size_t *size)
{
    const size_t n = strlen(header);
    uint8_t *bytes = malloc(8 + n + data_bytes + 1);
    CHECK(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(bytes + 8, header, n);
    memset(bytes + 8 + n, fill, data_bytes);
    *size = 8 + n + data_bytes;
    return bytes;
}

static fab_status read_bytes(const uint8_t *bytes, size_t size, fab_tensors **out)
{
    fab_reader r;
    fab_reader_from_memory(bytes, size, "case.safetensors", &r);
    return fab_tensors_read_safetensors(&r, out, &err);
}

static void bad_headers_are_refused(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = 0;
        fab_tensors *t = NULL;
        uint8_t *bytes = file_of(cases[i].header, cases[i].data_bytes, 0, &size);
        CHECK_FAILS(cases[i].status, cases[i].message, read_bytes(bytes, size, &t));
        CHECK(strstr(err.message, "case.safetensors") && t == NULL);
        free(bytes);
    }
}

static void lying_lengths_are_refused(void)
{
    size_t size = 0;
    fab_tensors *t = NULL;
    uint8_t *bytes = file_of(ONE("[4]", "[0,16]"), 16, 0, &size);
    CHECK_FAILS(FAB_ERR_FORMAT, "too short", read_bytes(bytes, 7, &t));
    CHECK_FAILS(FAB_ERR_FORMAT, "the header claims", read_bytes(bytes, 20, &t));
    memset(bytes, 0xff, 8);
    CHECK_FAILS(FAB_ERR_FORMAT, "the header claims 18446744073709551615",
                read_bytes(bytes, size, &t));
    free(bytes);
}

static void values_that_are_no_numbers_are_refused(void)
{
    size_t size = 0;
    fab_tensors *t = NULL;
    uint8_t *bytes = file_of(ONE("[4]", "[0,16]"), 16, 0xff, &size);
    CHECK_FAILS(FAB_ERR_FORMAT, "tensor a: value 0 is not a finite number",
                read_bytes(bytes, size, &t));
    free(bytes);
}

/* F16 and BF16 become the same numbers in F32. */
static void half_types_convert_exactly(void)
{
    static const uint8_t data[] = {0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b, /* F16 */
                                   0x80, 0x3f, 0x49, 0xc0};                       /* BF16 */
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[0,8]},\"__metadata__\":{},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,1],\"data_offsets\":[8,12]}}";
    size_t size = 0;
    const float *v = NULL;
    fab_tensors *t = NULL;
    uint8_t *bytes = file_of(header, sizeof data, 0, &size);
    memcpy(bytes + size - sizeof data, data, sizeof data);
    CHECK_OK(read_bytes(bytes, size, &t));
    CHECK(fab_tensors_count(t) == 2);
    CHECK_OK(fab_tensors_get(t, "h", (int64_t[]){4}, 1, &v, &err));
    CHECK(v[0] == 1.0f && v[1] == -2.0f && v[2] == ldexpf(1, -24) && v[3] == 65504.0f);
    CHECK_OK(fab_tensors_get(t, "b", (int64_t[]){2, 1}, 2, &v, &err));
    CHECK(v[0] == 1.0f && v[1] == -3.140625f);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "tensor x is missing",
                fab_tensors_get(t, "x", (int64_t[]){4}, 1, &v, &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "has shape [2,1], the architecture needs [2]",
                fab_tensors_get(t, "b", (int64_t[]){2}, 1, &v, &err));
    fab_tensors_free(t);
    free(bytes);
}

int main(void)
{
    return FAB_RUN(TEST(bad_headers_are_refused), TEST(lying_lengths_are_refused),
                   TEST(values_that_are_no_numbers_are_refused), TEST(half_types_convert_exactly));
}
