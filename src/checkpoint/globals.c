/* globals.c - the names a checkpoint may mention, and the value each one stands for.
 *
 * In a pickle, GLOBAL imports a name, REDUCE calls it, BUILD hands an object its state and
 * BINPERSID names something outside. Here a name is a row of the table below or refused, and a
 * "call" looks at the arguments and makes a value; there is no code to reach. Arguments are checked
 * as closely as if they were a file format, which they are.
 */
#include <stdio.h>
#include <string.h>

#include "checkpoint_internal.h"

typedef fab_status (*meaning)(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                    fab_error *err);

/* ---- arguments -------------------------------------------------------------------------- */

static bool is_whole(const fab_pickle_node *n)
{
    return n->kind == FAB_PICKLE_INT && n->as.integer >= 0;
}

static bool are_whole(const fab_pickle *p, const fab_pickle_node *tuple)
{
    if (tuple->kind != FAB_PICKLE_TUPLE) return false;
    for (size_t i = 0; i < tuple->count; i++)
        if (!is_whole(fab_pickle_item(p, tuple, i))) return false;
    return true;
}

/* ---- meanings --------------------------------------------------------------------------- */

/* collections.OrderedDict(): items follow by SETITEMS */
static fab_status ordered_dict(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                               fab_error *err)
{
    if (arguments->count)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "collections.OrderedDict with arguments is not read");
    return fab_pickle_add(p, (fab_pickle_node){.kind = FAB_PICKLE_DICT}, out, err);
}

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]):
 * the tensor's node takes over the first four items. Offsets and strides count elements. */
static fab_status tensor(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                         fab_error *err)
{
    if (arguments->count < 6 || arguments->count > 7)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a tensor made from %u values, not 6", arguments->count);
    if (fab_pickle_item(p, arguments, 0)->kind != FAB_PICKLE_STORAGE)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a tensor without a storage");
    const fab_pickle_node *shape = fab_pickle_item(p, arguments, 2);
    const fab_pickle_node *strides = fab_pickle_item(p, arguments, 3);
    if (!is_whole(fab_pickle_item(p, arguments, 1)) || !are_whole(p, shape) ||
        !are_whole(p, strides) || shape->count != strides->count)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a tensor whose offset, shape and strides are not whole "
                 "numbers of one count");
    const fab_pickle_node node = {.kind = FAB_PICKLE_TENSOR, .count = 4,
                                  .as.first = arguments->as.first};
    return fab_pickle_add(p, node, out, err);
}

/* torch._utils._rebuild_parameter(tensor, requires_grad, hooks): the tensor itself */
static fab_status parameter(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                            fab_error *err)
{
    if (arguments->count != 3 || fab_pickle_item(p, arguments, 0)->kind != FAB_PICKLE_TENSOR)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a parameter without a tensor");
    *out = p->items[arguments->as.first];
    return FAB_OK;
}

/* torch.Size((1, 2, 3)): the tuple */
static fab_status size(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                       fab_error *err)
{
    if (arguments->count != 1 || !are_whole(p, fab_pickle_item(p, arguments, 0)))
        FAB_FAIL(err, FAB_ERR_FORMAT, "a torch.Size that is not made of whole numbers");
    *out = p->items[arguments->as.first];
    return FAB_OK;
}

/* torch.device("cuda") or torch.device("cuda", 0) */
static fab_status device(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                         fab_error *err)
{
    const size_t count = arguments->count;
    if (count < 1 || count > 2 || fab_pickle_item(p, arguments, 0)->kind != FAB_PICKLE_STR ||
        (count == 2 && !is_whole(fab_pickle_item(p, arguments, 1))))
        FAB_FAIL(err, FAB_ERR_FORMAT, "a torch.device that is not a name and a number");
    fab_pickle_node node = *arguments;
    node.kind = FAB_PICKLE_DEVICE;
    return fab_pickle_add(p, node, out, err);
}

/* Bytes of protocol 2: _codecs.encode(text, "latin1"). Only numpy scalars need them, so eight are
 * enough. */
static fab_status latin1(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                         fab_error *err)
{
    if (arguments->count != 2 || fab_pickle_item(p, arguments, 0)->kind != FAB_PICKLE_STR ||
        !fab_pickle_is(fab_pickle_item(p, arguments, 1), "latin1"))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "_codecs.encode of anything but a string to latin1");
    const fab_pickle_node *text = fab_pickle_item(p, arguments, 0);
    fab_pickle_node node = {.kind = FAB_PICKLE_RAW};
    for (size_t i = 0; i < text->count; i++) {
        unsigned c = (unsigned char)text->as.text[i];
        if ((c == 0xc2 || c == 0xc3) && i + 1 < text->count)
            c = (c & 3) << 6 | ((unsigned char)text->as.text[++i] & 63);
        else if (c >= 0x80)
            FAB_FAIL(err, FAB_ERR_FORMAT, "_codecs.encode of a string that is not latin1");
        if (node.count == sizeof node.as.raw)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "_codecs.encode of more than %zu bytes",
                     sizeof node.as.raw);
        node.as.raw[node.count++] = (uint8_t)c;
    }
    return fab_pickle_add(p, node, out, err);
}

/* ---- numpy scalars ---------------------------------------------------------------------- */

static const struct dtype_row {
    const char *name;
    char kind; /* of numpy: bool, int, unsigned, float */
    uint8_t bytes;
} dtypes[] = {{"b1", 'b', 1}, {"i1", 'i', 1}, {"i2", 'i', 2}, {"i4", 'i', 4},
              {"i8", 'i', 8}, {"u1", 'u', 1}, {"u2", 'u', 2}, {"u4", 'u', 4},
              {"u8", 'u', 8}, {"f2", 'f', 2}, {"f4", 'f', 4}, {"f8", 'f', 8}};

/* numpy.dtype("f8", align, copy); its byte order follows by BUILD */
static fab_status dtype(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                        fab_error *err)
{
    if (arguments->count != 3 || fab_pickle_item(p, arguments, 0)->kind != FAB_PICKLE_STR)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a numpy.dtype without a name");
    const fab_pickle_node *name = fab_pickle_item(p, arguments, 0);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (fab_pickle_is(name, dtypes[i].name)) {
            const fab_pickle_node node = {.kind = FAB_PICKLE_DTYPE, .detail = (uint8_t)i};
            return fab_pickle_add(p, node, out, err);
        }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "numpy.dtype \"%.20s\" is not read",
             fab_pickle_printable(name->as.text, name->count).text);
}

/* The scalar that little-endian bytes are. */
static fab_status scalar_value(const struct dtype_row *row, const uint8_t *from,
                               fab_pickle_node *out, fab_error *err)
{
    uint64_t bits = 0;
    float single = 0;
    for (size_t i = row->bytes; i > 0; i--) bits = bits << 8 | from[i - 1];
    out->kind = row->kind == 'f' ? FAB_PICKLE_FLOAT : row->kind == 'b' ? FAB_PICKLE_BOOL
                                                                       : FAB_PICKLE_INT;
    if (row->kind == 'f' && row->bytes == 8) memcpy(&out->as.real, from, 8);
    else if (row->kind == 'f') {
        fab_tensor_to_f32(row->bytes == 2 ? FAB_TENSOR_F16 : FAB_TENSOR_F32, from, &single, 1);
        out->as.real = single;
    } else if (row->kind == 'b') out->as.integer = bits != 0;
    else {
        if (row->kind == 'u' && bits > INT64_MAX)
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a whole number above 2^63");
        if (row->kind == 'i' && row->bytes < 8 && bits >> (8 * row->bytes - 1))
            bits |= UINT64_MAX << (8 * row->bytes);
        out->as.integer = (int64_t)bits;
    }
    return FAB_OK;
}

/* numpy.core.multiarray.scalar(dtype, bytes) */
static fab_status scalar(fab_pickle *p, const fab_pickle_node *arguments, uint32_t *out,
                         fab_error *err)
{
    if (arguments->count != 2 || fab_pickle_item(p, arguments, 0)->kind != FAB_PICKLE_DTYPE)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a numpy scalar without a numpy.dtype");
    const struct dtype_row *row = &dtypes[fab_pickle_item(p, arguments, 0)->detail];
    const fab_pickle_node *bytes = fab_pickle_item(p, arguments, 1);
    const bool raw = bytes->kind == FAB_PICKLE_RAW;
    if ((!raw && bytes->kind != FAB_PICKLE_BYTES) || bytes->count != row->bytes)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a numpy scalar of type %s that is not %d bytes", row->name,
                 row->bytes);
    const uint8_t *from = raw ? bytes->as.raw : (const uint8_t *)bytes->as.text;
    fab_pickle_node node = {0};
    FAB_TRY(scalar_value(row, from, &node, err));
    return fab_pickle_add(p, node, out, err);
}

/* ---- the list --------------------------------------------------------------------------- */

static const struct global_row {
    const char *module, *name;
    meaning call;    /* NULL: it cannot be called */
    bool is_storage;
    uint8_t dtype;   /* of a storage */
} globals[] = {
    {"collections", "OrderedDict", .call = ordered_dict},
    {"torch._utils", "_rebuild_tensor_v2", .call = tensor},
    {"torch._utils", "_rebuild_parameter", .call = parameter},
    {"torch", "Size", .call = size},
    {"torch", "device", .call = device},
    {"_codecs", "encode", .call = latin1},
    {"numpy", "dtype", .call = dtype},
    {"numpy.core.multiarray", "scalar", .call = scalar},
    {"numpy._core.multiarray", "scalar", .call = scalar}, /* numpy 2 */
    {"torch", "FloatStorage", .is_storage = true, .dtype = FAB_TENSOR_F32},
    {"torch", "HalfStorage", .is_storage = true, .dtype = FAB_TENSOR_F16},
    {"torch", "BFloat16Storage", .is_storage = true, .dtype = FAB_TENSOR_BF16},
    {"torch", "DoubleStorage", .is_storage = true, .dtype = FAB_TENSOR_F64},
    {"torch", "LongStorage", .is_storage = true, .dtype = FAB_PICKLE_NO_FLOAT},
    {"torch", "IntStorage", .is_storage = true, .dtype = FAB_PICKLE_NO_FLOAT},
    {"torch", "ShortStorage", .is_storage = true, .dtype = FAB_PICKLE_NO_FLOAT},
    {"torch", "CharStorage", .is_storage = true, .dtype = FAB_PICKLE_NO_FLOAT},
    {"torch", "ByteStorage", .is_storage = true, .dtype = FAB_PICKLE_NO_FLOAT},
    {"torch", "BoolStorage", .is_storage = true, .dtype = FAB_PICKLE_NO_FLOAT},
};

static bool same(const char *row, const char *text, size_t count)
{
    return strlen(row) == count && memcmp(row, text, count) == 0;
}

fab_status fab_pickle_global(fab_pickle *p, const char *module, size_t module_count,
                             const char *name, size_t name_count, uint32_t *out, fab_error *err)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (same(globals[i].module, module, module_count) &&
            same(globals[i].name, name, name_count)) {
            const fab_pickle_node node = {.kind = FAB_PICKLE_GLOBAL, .detail = (uint8_t)i};
            return fab_pickle_add(p, node, out, err);
        }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "global %s.%s is not on the list of what is read: refused",
             fab_pickle_printable(module, module_count).text,
             fab_pickle_printable(name, name_count).text);
}

fab_pickle_text fab_pickle_describe(const fab_pickle_node *node)
{
    static const char *const names[] = {
        "None",   "a bool",  "an int", "a float", "a str",         "a bytes",        "a bytes",
        "a list", "a tuple", "a dict", "",        "a numpy.dtype", "a torch.device", "a storage",
        "a tensor"};
    fab_pickle_text out;
    if (node->kind == FAB_PICKLE_GLOBAL)
        snprintf(out.text, sizeof out.text, "global %s.%s", globals[node->detail].module,
                 globals[node->detail].name);
    else snprintf(out.text, sizeof out.text, "%s", names[node->kind]);
    return out;
}

fab_status fab_pickle_reduce(fab_pickle *p, uint32_t global, uint32_t arguments, uint32_t *out,
                             fab_error *err)
{
    const fab_pickle_node f = p->nodes[global], a = p->nodes[arguments]; /* nodes may move */
    if (f.kind != FAB_PICKLE_GLOBAL || !globals[f.detail].call)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a call of %s: refused", fab_pickle_describe(&f).text);
    if (a.kind != FAB_PICKLE_TUPLE)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a call of %s with %s", fab_pickle_describe(&f).text,
                 fab_pickle_describe(&a).text);
    return globals[f.detail].call(p, &a, out, err);
}

/* State of a dict: attributes beside its items (torch keeps versions of modules there), of no use
 * here. State of a dtype: (version, byte order, ...). */
fab_status fab_pickle_build(const fab_pickle *p, uint32_t object, uint32_t state, fab_error *err)
{
    const fab_pickle_node *o = &p->nodes[object], *s = &p->nodes[state];
    if (o->kind == FAB_PICKLE_DICT) return FAB_OK;
    if (o->kind != FAB_PICKLE_DTYPE)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s is given a state: refused",
                 fab_pickle_describe(o).text);
    if (s->kind != FAB_PICKLE_TUPLE || s->count < 2)
        FAB_FAIL(err, FAB_ERR_FORMAT, "the state of a numpy.dtype is %s",
                 fab_pickle_describe(s).text);
    const fab_pickle_node *order = fab_pickle_item(p, s, 1);
    if (!fab_pickle_is(order, "<") && !fab_pickle_is(order, "|"))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a numpy.dtype that is not little-endian");
    return FAB_OK;
}

/* ("storage", type, key, location, number of elements) */
fab_status fab_pickle_persistent(fab_pickle *p, uint32_t id, uint32_t *out, fab_error *err)
{
    const fab_pickle_node *t = &p->nodes[id];
    if (t->kind != FAB_PICKLE_TUPLE || t->count != 5 ||
        !fab_pickle_is(fab_pickle_item(p, t, 0), "storage"))
        FAB_FAIL(err, FAB_ERR_FORMAT, "a persistent id that is no storage");
    const fab_pickle_node *type = fab_pickle_item(p, t, 1), *key = fab_pickle_item(p, t, 2);
    if (type->kind != FAB_PICKLE_GLOBAL || !globals[type->detail].is_storage)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a storage of type %s", fab_pickle_describe(type).text);
    if (key->kind != FAB_PICKLE_STR || !key->count || memchr(key->as.text, 0, key->count) ||
        !is_whole(fab_pickle_item(p, t, 4)))
        FAB_FAIL(err, FAB_ERR_FORMAT, "a storage without a key and a number of values");
    const fab_pickle_node node = {.kind = FAB_PICKLE_STORAGE, .count = 5,
                                  .detail = globals[type->detail].dtype, .as.first = t->as.first};
    return fab_pickle_add(p, node, out, err);
}
