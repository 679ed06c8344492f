/* Values as pickles spell them, byte by byte: also the spellings that the PyTorch at hand does not
 * write (numpy 2, protocol 5, long forms). */
#include "fabrica/checkpoint.h"
#include "pickle_build.h"

static fab_error err;
static uint8_t body[4096], bytes[8192];

#define OPS(literal) (literal), sizeof(literal) - 1
#define F8 "cnumpy\ndtype\nX\2\0\0\0f8\x89\x88\x87R"
#define SCALAR "cnumpy._core.multiarray\nscalar\n"

static const struct {
    const char *ops;
    size_t size;
    const char *json;
} rows[] = {
    {OPS("N"), "null"},
    {OPS("\x88"), "true"},
    {OPS("\x89"), "false"},
    {OPS("K\xff"), "255"},
    {OPS("M\xff\xff"), "65535"},
    {OPS("J\xff\xff\xff\xff"), "-1"},
    {OPS("J\0\0\0\x80"), "-2147483648"},
    {OPS("\x8a\0"), "0"},
    {OPS("\x8a\1\xff"), "-1"},
    {OPS("\x8a\5\0\0\0\0\1"), "4294967296"},
    {OPS("\x8a\10\0\0\0\0\0\0\0\x80"), "-9223372036854775808"},
    {OPS("G\xc0\4\0\0\0\0\0\0"), "-2.5"},
    {OPS("G\x7f\xf0\0\0\0\0\0\0"), "null"}, /* infinite */
    {OPS("\x8c\2hi"), "\"hi\""},
    {OPS("\x8d\2\0\0\0\0\0\0\0hi"), "\"hi\""},
    {OPS("X\0\0\0\0"), "\"\""},
    {OPS("]"), "[]"},
    {OPS(")"), "[]"},
    {OPS("(t"), "[]"},
    {OPS("}"), "{}"},
    {OPS("ccollections\nOrderedDict\n)R}b"), "{}"},
    {OPS("K\1K\2K\3\x87"), "[1,2,3]"},
    {OPS("]K\1aK\2a"), "[1,2]"},
    {OPS("](K\1K\2K\3K\4K\5K\6K\7K\10K\11e"), "[1,2,3,4,5,6,7,8,9]"},
    {OPS("}K\1Ns"), "{\"1\":null}"},
    {OPS("}\x94(\x8c\1a]\x94\x8c\1bh\1u"), "{\"a\":[],\"b\":[]}"}, /* one list twice */
    {OPS("ctorch\nSize\nK\1K\2\x86\x85R"), "[1,2]"},
    {OPS("ctorch\ndevice\n\x8c\3cpu\x85R"), "\"cpu\""},
    {OPS("\x8c\5torch\x8c\6" "device\x93\x8c\4" "cudaK\1\x86R"), "\"cuda:1\""},
    {OPS(SCALAR F8 "C\10\0\0\0\0\0\0\4\xc0\x86R"), "-2.5"},
    {OPS(SCALAR F8 "B\10\0\0\0\0\0\0\0\0\0\4\xc0\x86R"), "-2.5"},
    {OPS("cnumpy.core.multiarray\nscalar\n" F8
         "c_codecs\nencode\nX\x9\0\0\0\0\0\0\0\0\0\4\xc3\x80X\6\0\0\0latin1\x86R\x86R"), "-2.5"},
    {OPS(SCALAR "cnumpy\ndtype\nX\2\0\0\0i2\x89\x88\x87R(K\3X\1\0\0\0<NNNtbC\2\xfe\xff\x86R"),
     "-2"},
    {OPS(SCALAR "cnumpy\ndtype\nX\2\0\0\0u2\x89\x88\x87RC\2\xfe\xff\x86R"), "65534"},
    {OPS(SCALAR "cnumpy\ndtype\nX\2\0\0\0b1\x89\x88\x87R(K\3X\1\0\0\0|NNNtbC\1\1\x86R"), "true"},
    {OPS(SCALAR "cnumpy\ndtype\nX\2\0\0\0f2\x89\x88\x87RC\2\0\x38\x86R"), "0.5"},
    {OPS(SCALAR "cnumpy\ndtype\nX\2\0\0\0f4\x89\x88\x87RC\4\0\0\x20\xc0\x86R"), "-2.5"},
};

/* The value under "k" as compact JSON. */
static void as_json(const char *ops, size_t size, fab_buf *into)
{
    pickle p = {body, 0};
    fab_reader r;
    fab_writer w;
    fab_checkpoint *c = NULL;
    fab_json *j = NULL;
    PICKLE_PUT(&p, "\x80\5}\x8c\1k");
    pickle_put(&p, ops, size);
    PICKLE_PUT(&p, "s.");
    fab_reader_from_memory(bytes, checkpoint_build(&p, "x", 1, bytes), "values.pth", &r);
    CHECK_OK(fab_checkpoint_read(&r, &c, &err));
    CHECK_OK(fab_checkpoint_json(c, "k", &j, &err));
    fab_writer_to_buf(into, &w);
    CHECK_OK(fab_json_dump(j, 0, &w, &err));
    into->data[into->size - 1] = 0; /* the newline */
    fab_json_free(j);
    fab_checkpoint_free(c);
}

static void each_spelling(void)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fab_buf text = {0};
        as_json(rows[i].ops, rows[i].size, &text);
        if (strcmp((char *)text.data, rows[i].json) != 0)
            fprintf(stderr, "row %zu: %s, not %s\n", i, (char *)text.data, rows[i].json);
        CHECK(strcmp((char *)text.data, rows[i].json) == 0);
        fab_buf_free(&text);
    }
}

int main(void)
{
    static const fab_test tests[] = {TEST(each_spelling)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
