/* Bad and hostile pickles: what a person must be told. Nothing in them may run, loop or fill the
 * memory. */
#include "pickle_build.h"

#include "fabrica/checkpoint.h"

static fab_error err;
static uint8_t body[32u << 20], bytes[34u << 20];

/* Reads a checkpoint whose data.pkl is `p`. */
static fab_status read_pickle(const pickle *p, fab_checkpoint **out)
{
    fab_reader r;
    fab_checkpoint *c = NULL;
    fab_reader_from_memory(bytes, checkpoint_build(p, "\0\0\200\77", 4, bytes), "case.pth", &r);
    fab_status status = fab_checkpoint_read(&r, &c, &err);
    if (status < 0) CHECK(!c && strstr(err.message, "case.pth"));
    if (out) *out = c;
    else fab_checkpoint_free(c);
    return status;
}

/* Opcodes of a whole pickle, with their protocol and stop unless `bare`. */
#define OPS(literal) .ops = (literal), .size = sizeof(literal) - 1

static const struct {
    const char *what, *ops;
    size_t size;
    bool bare;
    fab_status status;
    const char *message;
} cases[] = {
    /* what would run something */
    {"os.system", OPS("cos\nsystem\nX\x02\0\0\0id\x85R"), .status = FAB_ERR_UNSUPPORTED,
     .message = "data.pkl: global os.system is not on the list of what is read: refused"},
    {"posix.system by STACK_GLOBAL", OPS("\x8c\x05posix\x8c\x06system\x93)R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "global posix.system"},
    {"builtins.eval", OPS("cbuiltins\neval\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global builtins.eval"},
    {"__builtin__.getattr", OPS("c__builtin__\ngetattr\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global __builtin__.getattr"},
    {"torch.load", OPS("ctorch\nload\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global torch.load"},
    {"an attribute of a known name", OPS("ctorch\nFloatStorage.__init__\n"),
     .status = FAB_ERR_UNSUPPORTED, .message = "global torch.FloatStorage.__init__"},
    {"a known name of another module", OPS("cos\nOrderedDict\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global os.OrderedDict"},
    {"numpy arrays", OPS("cnumpy.core.multiarray\n_reconstruct\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global numpy.core.multiarray._reconstruct"},
    {"control characters in a name", OPS("ca\x1b[2Jb\nc\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global a?[2Jb.c"},
    {"call of a storage type", OPS("ctorch\nFloatStorage\n)R"), .status = FAB_ERR_UNSUPPORTED,
     .message = "a call of global torch.FloatStorage: refused"},
    {"call of a string", OPS("X\x02\0\0\0id)R"), .status = FAB_ERR_UNSUPPORTED,
     .message = "a call of a str: refused"},
    {"call with a list", OPS("ccollections\nOrderedDict\n]R"), .status = FAB_ERR_FORMAT,
     .message = "a call of global collections.OrderedDict with a list"},
    {"state for a list", OPS("]}b"), .status = FAB_ERR_UNSUPPORTED,
     .message = "a list is given a state: refused"},
    {"state for a global", OPS("ctorch\ndevice\n}b"), .status = FAB_ERR_UNSUPPORTED,
     .message = "global torch.device is given a state"},
    /* opcodes */
    {"INST", OPS("(ios\nsystem\n"), .status = FAB_ERR_UNSUPPORTED,
     .message = "opcode 0x69 at byte 3 is not read"},
    {"OBJ", OPS("(o"), .status = FAB_ERR_UNSUPPORTED, .message = "opcode 0x6f"},
    {"NEWOBJ", OPS("ctorch\ndevice\n)\x81"), .status = FAB_ERR_UNSUPPORTED,
     .message = "opcode 0x81"},
    {"NEWOBJ_EX", OPS("})}\x92"), .status = FAB_ERR_UNSUPPORTED, .message = "opcode 0x92"},
    {"EXT1", OPS("\x82\x01"), .status = FAB_ERR_UNSUPPORTED, .message = "opcode 0x82"},
    {"DUP", OPS("}2"), .status = FAB_ERR_UNSUPPORTED, .message = "opcode 0x32"},
    {"no opcode", OPS("\xff"), .status = FAB_ERR_UNSUPPORTED,
     .message = "opcode 0xff at byte 2 is not read"},
    {"protocol 0", OPS("(dp0\n."), .bare = true, .status = FAB_ERR_UNSUPPORTED,
     .message = "opcode 0x64"},
    {"protocol 1", OPS("\x80\x01}."), .bare = true, .status = FAB_ERR_UNSUPPORTED,
     .message = "pickle protocol 1 is not read (2 to 5 are)"},
    {"protocol 6", OPS("\x80\x06}."), .bare = true, .status = FAB_ERR_UNSUPPORTED,
     .message = "pickle protocol 6"},
    /* the machine */
    {"no stop", OPS("\x80\x02}"), .bare = true, .status = FAB_ERR_FORMAT,
     .message = "the pickle ends early, after 3 bytes"},
    {"cut in a number", OPS("\x80\x02J\x01"), .bare = true, .status = FAB_ERR_FORMAT,
     .message = "opcode 0x4a at byte 2: the pickle ends early"},
    {"cut in a float", OPS("\x80\x02G\x01"), .bare = true, .status = FAB_ERR_FORMAT,
     .message = "the pickle ends early"},
    {"cut in a global", OPS("\x80\x02" "ctorch"), .bare = true, .status = FAB_ERR_FORMAT,
     .message = "opcode 0x63 at byte 2: the pickle ends early"},
    {"bytes behind the end", OPS("\x80\x02}.}"), .bare = true, .status = FAB_ERR_FORMAT,
     .message = "1 bytes behind the end"},
    {"two values", OPS("}}"), .status = FAB_ERR_FORMAT, .message = "more than one value is left"},
    {"a mark left", OPS("}("), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"nothing", OPS(""), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"no mark", OPS("}t"), .status = FAB_ERR_FORMAT, .message = "there is no mark"},
    {"beyond a mark", OPS("K\1(\x85"), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"APPEND without a list", OPS("K\1a"), .status = FAB_ERR_FORMAT,
     .message = "the stack is empty"},
    {"APPEND to a dict", OPS("}K\1a"), .status = FAB_ERR_FORMAT,
     .message = "there is no list to append to"},
    {"APPENDS to nothing", OPS("(K\1e"), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"SETITEM on a list", OPS("]K\1K\1s"), .status = FAB_ERR_FORMAT,
     .message = "there is no dict to set items of"},
    {"a key without a value", OPS("}(K\1u"), .status = FAB_ERR_FORMAT,
     .message = "a key without a value"},
    {"REDUCE of nothing", OPS(")R"), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"BUILD of nothing", OPS("}b"), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"a global named by numbers", OPS("K\1K\1\x93"), .status = FAB_ERR_FORMAT,
     .message = "a global's name is no string"},
    {"FRAME beyond the end", OPS("\x95\xff\xff\0\0\0\0\0\0"), .status = FAB_ERR_FORMAT,
     .message = "the pickle ends early"},
    {"top is a list", OPS("]"), .status = FAB_ERR_UNSUPPORTED,
     .message = "holds a list, not a dict"},
    /* memo */
    {"nothing kept", OPS("h\5"), .status = FAB_ERR_FORMAT,
     .message = "opcode 0x68 at byte 2: nothing is kept under 5"},
    {"a hole in the memo", OPS("}q\5h\4"), .status = FAB_ERR_FORMAT,
     .message = "nothing is kept under 4"},
    {"keeping nothing", OPS("q\0"), .status = FAB_ERR_FORMAT, .message = "the stack is empty"},
    {"huge memo", OPS("}r\xff\xff\xff\xff"), .status = FAB_ERR_LIMIT,
     .message = "memo entry 4294967295, at most 8388608 are kept"},
    {"huge memo read", OPS("j\xff\xff\xff\xff"), .status = FAB_ERR_FORMAT,
     .message = "nothing is kept under 4294967295"},
    /* sizes */
    {"string of 4 GB", OPS("X\xff\xff\xff\xff"), .status = FAB_ERR_LIMIT,
     .message = "a string of 4294967295 bytes, at most 1048576 are read"},
    {"string of 2^64", OPS("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), .status = FAB_ERR_LIMIT,
     .message = "a string of 18446744073709551615 bytes"},
    {"string beyond the end", OPS("X\0\1\0\0abc"), .status = FAB_ERR_FORMAT,
     .message = "opcode 0x58 at byte 2: the pickle ends early"},
    {"bytes beyond the end", OPS("C\xff" "abc"), .status = FAB_ERR_FORMAT,
     .message = "the pickle ends early"},
    {"a number of 200 bytes", OPS("\x8a\xc8"), .status = FAB_ERR_UNSUPPORTED,
     .message = "a whole number of 200 bytes"},
    /* arguments of what is known */
    {"OrderedDict of pairs", OPS("ccollections\nOrderedDict\n]\x85R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "OrderedDict with arguments"},
    {"encode of a number", OPS("c_codecs\nencode\nK\1X\6\0\0\0latin1\x86R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "_codecs.encode of anything but a string"},
    {"encode to utf-8", OPS("c_codecs\nencode\nX\1\0\0\0aX\5\0\0\0utf-8\x86R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "_codecs.encode of anything but a string"},
    {"encode of much", OPS("c_codecs\nencode\nX\x9\0\0\0" "123456789X\6\0\0\0latin1\x86R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "_codecs.encode of more than 8 bytes"},
    {"encode of cut UTF-8", OPS("c_codecs\nencode\nX\1\0\0\0\xc3X\6\0\0\0latin1\x86R"),
     .status = FAB_ERR_FORMAT, .message = "not latin1"},
    {"dtype of objects", OPS("cnumpy\ndtype\nX\2\0\0\0O8\x89\x88\x87R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "numpy.dtype \"O8\" is not read"},
    {"dtype without a name", OPS("cnumpy\ndtype\n)R"), .status = FAB_ERR_FORMAT,
     .message = "a numpy.dtype without a name"},
    {"big-endian dtype",
     OPS("cnumpy\ndtype\nX\2\0\0\0f8\x89\x88\x87R(K\3X\1\0\0\0>tb"), .status = FAB_ERR_UNSUPPORTED,
     .message = "a numpy.dtype that is not little-endian"},
    {"dtype's state", OPS("cnumpy\ndtype\nX\2\0\0\0f8\x89\x88\x87R]b"), .status = FAB_ERR_FORMAT,
     .message = "the state of a numpy.dtype is a list"},
    {"scalar without dtype", OPS("cnumpy.core.multiarray\nscalar\n))\x86R"),
     .status = FAB_ERR_FORMAT, .message = "a numpy scalar without a numpy.dtype"},
    {"scalar of a wrong size",
     OPS("cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\2\0\0\0f8\x89\x88\x87RC\4abcd\x86R"),
     .status = FAB_ERR_FORMAT, .message = "a numpy scalar of type f8 that is not 8 bytes"},
    {"scalar above 2^63",
     OPS("cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\2\0\0\0u8\x89\x88\x87R"
         "C\10\xff\xff\xff\xff\xff\xff\xff\xff\x86R"),
     .status = FAB_ERR_UNSUPPORTED, .message = "a whole number above 2^63"},
    {"device by number", OPS("ctorch\ndevice\nK\1\x85R"), .status = FAB_ERR_FORMAT,
     .message = "a torch.device that is not a name and a number"},
    {"size of strings", OPS("ctorch\nSize\nX\1\0\0\0a\x85\x85R"), .status = FAB_ERR_FORMAT,
     .message = "a torch.Size that is not made of whole numbers"},
    {"parameter of a dict", OPS("ctorch._utils\n_rebuild_parameter\n}\x89}\x87R"),
     .status = FAB_ERR_FORMAT, .message = "a parameter without a tensor"},
    {"tensor of five", OPS("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNtR"),
     .status = FAB_ERR_FORMAT, .message = "a tensor made from 5 values"},
    {"tensor without a storage", OPS("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR"),
     .status = FAB_ERR_FORMAT, .message = "a tensor without a storage"},
    {"persistent id by name", OPS("X\1\0\0\0aQ"), .status = FAB_ERR_FORMAT,
     .message = "a persistent id that is no storage"},
    {"persistent id of a module", OPS("(X\6\0\0\0moduleNNNNtQ"), .status = FAB_ERR_FORMAT,
     .message = "a persistent id that is no storage"},
    {"storage of dicts", OPS("(X\7\0\0\0storageccollections\nOrderedDict\nX\1\0\0\0" "0NK\1tQ"),
     .status = FAB_ERR_UNSUPPORTED,
     .message = "a storage of type global collections.OrderedDict"},
    {"storage without a key", OPS("(X\7\0\0\0storagectorch\nFloatStorage\nK\1NK\1tQ"),
     .status = FAB_ERR_FORMAT, .message = "a storage without a key and a number of values"},
    {"storage with a zero in its key",
     OPS("(X\7\0\0\0storagectorch\nFloatStorage\nX\2\0\0\0" "0\0NK\1tQ"),
     .status = FAB_ERR_FORMAT, .message = "a storage without a key"},
    {"storage of -1 values",
     OPS("(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" "0NJ\xff\xff\xff\xfftQ"),
     .status = FAB_ERR_FORMAT, .message = "a storage without a key and a number of values"},
};

static void each_case(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pickle p = {body, 0};
        printf("  %s\n", cases[i].what);
        if (!cases[i].bare) PICKLE_PUT(&p, "\x80\x02");
        pickle_put(&p, cases[i].ops, cases[i].size);
        if (!cases[i].bare) PICKLE_PUT(&p, ".");
        CHECK_FAILS(cases[i].status, cases[i].message, read_pickle(&p, NULL));
    }
}

/* ---- too much --------------------------------------------------------------------------- */

static void too_many_marks(void)
{
    pickle p = {body, 0};
    PICKLE_PUT(&p, "\x80\x02");
    for (int i = 0; i <= FAB_MAX_PICKLE_MARKS; i++) PICKLE_PUT(&p, "(");
    CHECK_FAILS(FAB_ERR_LIMIT, "values nested deeper than 256", read_pickle(&p, NULL));
}

static void too_many_on_the_stack(void)
{
    pickle p = {body, 0};
    PICKLE_PUT(&p, "\x80\x02");
    for (size_t i = 0; i <= FAB_MAX_PICKLE_STACK; i++) PICKLE_PUT(&p, "N");
    CHECK_FAILS(FAB_ERR_LIMIT, "more than 1048576 values on its stack", read_pickle(&p, NULL));
}

static void too_many_values(void)
{
    pickle p = {body, 0};
    PICKLE_PUT(&p, "\x80\x02]");
    for (size_t i = 0; i <= FAB_MAX_PICKLE_NODES; i++) PICKLE_PUT(&p, "K\7a");
    CHECK_FAILS(FAB_ERR_LIMIT, "more than 8388608 values", read_pickle(&p, NULL));
}

/* ---- read well, and then asked for ------------------------------------------------------ */

/* The value that `ops` leave, under the key "k", as JSON. */
static fab_status json_of(const pickle *ops)
{
    static uint8_t whole[4u << 20];
    pickle p = {whole, 0};
    fab_checkpoint *c = NULL;
    fab_json *j = NULL;
    PICKLE_PUT(&p, "\x80\x04}");
    pickle_text(&p, "k");
    pickle_put(&p, ops->data, ops->size);
    PICKLE_PUT(&p, "s.");
    CHECK_OK(read_pickle(&p, &c));
    const fab_status status = fab_checkpoint_json(c, "k", &j, &err);
    CHECK((status == FAB_OK) == (j != NULL));
    if (status < 0) CHECK(strstr(err.message, "case.pth: k"));
    fab_json_free(j);
    fab_checkpoint_free(c);
    return status;
}

static const struct {
    const char *what, *ops;
    size_t size;
    fab_status status;
    const char *message;
} plain_cases[] = {
    {"a list in itself", OPS("]\x94h\0a"), FAB_ERR_LIMIT, "nested deeper than 64, or holds itself"},
    {"a dict in itself", OPS("}\x94X\1\0\0\0ah\0s"), FAB_ERR_LIMIT, "or holds itself"},
    {"a dict in its tuple", OPS("}\x94X\1\0\0\0ah\0\x85s"), FAB_ERR_LIMIT, "or holds itself"},
    {"a global", OPS("](NNctorch\nFloatStorage\ne"), FAB_ERR_UNSUPPORTED,
     "k: [2]: global torch.FloatStorage is no plain value"},
    {"bytes", OPS("}X\1\0\0\0aC\1xs"), FAB_ERR_UNSUPPORTED, "k: a: a bytes is no plain value"},
    {"a dtype", OPS("cnumpy\ndtype\nX\2\0\0\0f8\x89\x88\x87R"), FAB_ERR_UNSUPPORTED,
     "a numpy.dtype is no plain value"},
    {"a list as a key", OPS("}]Ns"), FAB_ERR_UNSUPPORTED, "k: a dict with a list as a key"},
    {"a key set again: the last counts", OPS("NsX\1\0\0\0kctorch\nSize\n"), FAB_ERR_UNSUPPORTED,
     "k: global torch.Size is no plain value"},
    {"a zero in a string", OPS("X\3\0\0\0a\0b"), FAB_ERR_UNSUPPORTED,
     "k: a str that holds a zero byte"},
};

static void each_plain_case(void)
{
    for (size_t i = 0; i < sizeof plain_cases / sizeof *plain_cases; i++) {
        pickle ops = {body, 0};
        printf("  %s\n", plain_cases[i].what);
        pickle_put(&ops, plain_cases[i].ops, plain_cases[i].size);
        CHECK_FAILS(plain_cases[i].status, plain_cases[i].message, json_of(&ops));
    }
}

/* A list of ten times one list of ten times one list ...: 10^9 values in a few hundred bytes. */
static void a_billion_values(void)
{
    pickle ops = {body, 0};
    PICKLE_PUT(&ops, "]q\0");
    for (int level = 1; level < 9; level++) {
        const uint8_t put[] = {'q', (uint8_t)level}, get[] = {'h', (uint8_t)(level - 1)};
        PICKLE_PUT(&ops, "]");
        pickle_put(&ops, put, 2);
        PICKLE_PUT(&ops, "(");
        for (int i = 0; i < 10; i++) pickle_put(&ops, get, 2);
        PICKLE_PUT(&ops, "e");
    }
    /* the levels are all on the stack: a tuple of the last is the value */
    pickle wrapped = {body + (1 << 20), 0};
    PICKLE_PUT(&wrapped, "(");
    pickle_put(&wrapped, ops.data, ops.size);
    PICKLE_PUT(&wrapped, "t");
    CHECK_FAILS(FAB_ERR_LIMIT, "more than 1048576 values", json_of(&wrapped));
}

/* One megabyte of text a hundred times over. */
static void a_string_many_times(void)
{
    pickle ops = {body, 0};
    PICKLE_PUT(&ops, "](X");
    pickle_number(&ops, FAB_MAX_PICKLE_STRING_BYTES, 4);
    memset(ops.data + ops.size, 'x', FAB_MAX_PICKLE_STRING_BYTES);
    ops.size += FAB_MAX_PICKLE_STRING_BYTES;
    PICKLE_PUT(&ops, "q\0");
    for (int i = 0; i < 100; i++) PICKLE_PUT(&ops, "h\0");
    PICKLE_PUT(&ops, "e");
    CHECK_FAILS(FAB_ERR_LIMIT, "more than 67108864 bytes of text", json_of(&ops));
}

static void depth_up_to_the_limit(void)
{
    for (int depth = FAB_MAX_PICKLE_DEPTH; depth <= FAB_MAX_PICKLE_DEPTH + 1; depth++) {
        pickle ops = {body, 0};
        PICKLE_PUT(&ops, "N");
        for (int i = 1; i < depth; i++) PICKLE_PUT(&ops, "\x85");
        if (depth == FAB_MAX_PICKLE_DEPTH) CHECK_OK(json_of(&ops));
        else CHECK_FAILS(FAB_ERR_LIMIT, "nested deeper than 64", json_of(&ops));
    }
}

int main(void)
{
    static const fab_test tests[] = {
        TEST(each_case), TEST(too_many_marks), TEST(too_many_on_the_stack), TEST(too_many_values),
        TEST(each_plain_case), TEST(a_billion_values), TEST(a_string_many_times),
        TEST(depth_up_to_the_limit),
    };
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
