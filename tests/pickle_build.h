/* pickle_build.h - pickles and checkpoints made byte by byte for tests. */
#ifndef FAB_TEST_PICKLE_BUILD_H
#define FAB_TEST_PICKLE_BUILD_H

#include "zip_build.h"

typedef struct pickle {
    uint8_t *data; /* the caller's, large enough */
    size_t size;
} pickle;

static inline void pickle_put(pickle *p, const void *bytes, size_t count)
{
    memcpy(p->data + p->size, bytes, count);
    p->size += count;
}

/* Opcodes as a string literal, zero bytes included. */
#define PICKLE_PUT(p, literal) pickle_put((p), (literal), sizeof(literal) - 1)

static inline void pickle_number(pickle *p, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) p->data[p->size++] = (uint8_t)(value >> (8 * i));
}

static inline void pickle_text(pickle *p, const char *text)
{
    PICKLE_PUT(p, "X");
    pickle_number(p, strlen(text), 4);
    pickle_put(p, text, strlen(text));
}

static inline void pickle_int(pickle *p, int64_t value)
{
    PICKLE_PUT(p, "\x8a\x08");
    pickle_number(p, (uint64_t)value, 8);
}

static inline void pickle_global(pickle *p, const char *module, const char *name)
{
    PICKLE_PUT(p, "c");
    pickle_put(p, module, strlen(module));
    PICKLE_PUT(p, "\n");
    pickle_put(p, name, strlen(name));
    PICKLE_PUT(p, "\n");
}

typedef struct pickle_tensor {
    const char *type, *key; /* NULL: FloatStorage, "0" */
    int64_t numel, offset;
    int rank;
    int64_t shape[9], stride[9];
} pickle_tensor;

static inline void pickle_tuple(pickle *p, const int64_t *values, int count)
{
    PICKLE_PUT(p, "(");
    for (int i = 0; i < count; i++) pickle_int(p, values[i]);
    PICKLE_PUT(p, "t");
}

static inline void pickle_put_tensor(pickle *p, const pickle_tensor *t)
{
    pickle_global(p, "torch._utils", "_rebuild_tensor_v2");
    PICKLE_PUT(p, "((");
    pickle_text(p, "storage");
    pickle_global(p, "torch", t->type ? t->type : "FloatStorage");
    pickle_text(p, t->key ? t->key : "0");
    pickle_text(p, "cpu");
    pickle_int(p, t->numel);
    PICKLE_PUT(p, "tQ");
    pickle_int(p, t->offset);
    pickle_tuple(p, t->shape, t->rank);
    pickle_tuple(p, t->stride, t->rank);
    PICKLE_PUT(p, "\x89}tR");
}

/* {"w": {"a": first, "b": second, ...}} */
static inline void pickle_state_dict(pickle *p, const pickle_tensor *tensors, size_t count)
{
    PICKLE_PUT(p, "\x80\x02}");
    pickle_text(p, "w");
    pickle_global(p, "collections", "OrderedDict");
    PICKLE_PUT(p, ")R(");
    for (size_t i = 0; i < count; i++) {
        pickle_text(p, (char[]){(char)('a' + i), 0});
        pickle_put_tensor(p, &tensors[i]);
    }
    PICKLE_PUT(p, "us.");
}

/* A checkpoint with one storage "0"; into has room for 2000 bytes and its content. */
static inline size_t checkpoint_build(const pickle *p, const void *storage, size_t storage_bytes,
                                      uint8_t *into)
{
    const zip_entry e[] = {
        {.name = "m/data.pkl", .text = (const char *)p->data, .bytes = p->size},
        {.name = "m/version", .text = "3\n"},
        {.name = "m/data/0", .text = storage, .bytes = storage_bytes},
    };
    return zip_build(e, 3, into);
}

#endif
