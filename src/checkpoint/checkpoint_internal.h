/* checkpoint_internal.h - a pickle's values, and what the files of src/checkpoint share. */
#ifndef FAB_CHECKPOINT_INTERNAL_H
#define FAB_CHECKPOINT_INTERNAL_H

#include "fabrica/archive.h"
#include "fabrica/checkpoint.h"

typedef enum fab_pickle_kind {
    FAB_PICKLE_NONE,
    FAB_PICKLE_BOOL,    /* integer 0 or 1 */
    FAB_PICKLE_INT,
    FAB_PICKLE_FLOAT,
    FAB_PICKLE_STR,     /* count bytes of text, any bytes */
    FAB_PICKLE_BYTES,   /* the same */
    FAB_PICKLE_RAW,     /* count bytes, at most 8, in `raw` */
    FAB_PICKLE_LIST,    /* count items */
    FAB_PICKLE_TUPLE,   /* count items */
    FAB_PICKLE_DICT,    /* count items: key, value, key, value, ... as they were set */
    FAB_PICKLE_GLOBAL,  /* detail: its row */
    FAB_PICKLE_DTYPE,   /* numpy's; detail: its row */
    FAB_PICKLE_DEVICE,  /* items: type, then perhaps index */
    FAB_PICKLE_STORAGE, /* items: "storage", type, key, location, number of elements; detail:
                         * fab_tensor_dtype, or FAB_PICKLE_NO_FLOAT */
    FAB_PICKLE_TENSOR   /* items: storage, offset, shape, strides */
} fab_pickle_kind;

#define FAB_PICKLE_NO_FLOAT 255

/* Values refer to each other by index, so that a shared or circular value is nothing special.
 * Text stays in the pickle's bytes. Sixteen bytes a node: pickles of long trainings hold
 * millions. */
typedef struct fab_pickle_node {
    uint8_t kind, detail;
    uint32_t count;
    union {
        int64_t integer;
        double real;
        const char *text;
        uint32_t *list;  /* LIST, DICT: own memory */
        uint32_t first;  /* TUPLE, DEVICE, STORAGE, TENSOR: in fab_pickle.items */
        uint8_t raw[8];
    } as;
} fab_pickle_node;

typedef struct fab_pickle {
    const char *name; /* of the file, in messages */
    const uint8_t *bytes;
    size_t size;
    fab_pickle_node *nodes;
    size_t node_count, node_capacity;
    uint32_t *items;
    size_t item_count, item_capacity;
    uint32_t root;
} fab_pickle;

/* Reads p->bytes (pickle.c). On failure fab_pickle_free is still needed. */
fab_status fab_pickle_parse(fab_pickle *p, fab_error *err);
void fab_pickle_free(fab_pickle *p);
fab_status fab_pickle_add(fab_pickle *p, fab_pickle_node node, uint32_t *index, fab_error *err);
/* An item of a LIST, TUPLE, DICT, DEVICE, STORAGE or TENSOR. */
const fab_pickle_node *fab_pickle_item(const fab_pickle *p, const fab_pickle_node *of, size_t i);
/* Text as messages show it: cut, and bytes that are no printable ASCII as '?'. */
typedef struct fab_pickle_text {
    char text[128];
} fab_pickle_text;
fab_pickle_text fab_pickle_printable(const char *text, size_t count);
bool fab_pickle_is(const fab_pickle_node *node, const char *text); /* a STR of that text */
/* A dict's value at a key, the one set last; NULL if none. */
const fab_pickle_node *fab_pickle_find(const fab_pickle *p, const fab_pickle_node *dict,
                                       const char *key);

/* What the globals mean (globals.c). Results are new nodes or ones that are there. */
/* What messages call it: "a list", "global torch.FloatStorage". */
fab_pickle_text fab_pickle_describe(const fab_pickle_node *node);
fab_status fab_pickle_global(fab_pickle *p, const char *module, size_t module_count,
                             const char *name, size_t name_count, uint32_t *out, fab_error *err);
fab_status fab_pickle_reduce(fab_pickle *p, uint32_t global, uint32_t arguments, uint32_t *out,
                             fab_error *err);
fab_status fab_pickle_build(const fab_pickle *p, uint32_t object, uint32_t state, fab_error *err);
fab_status fab_pickle_persistent(fab_pickle *p, uint32_t id, uint32_t *out, fab_error *err);

struct fab_checkpoint {
    fab_archive *archive;
    char source[256];
    char prefix[FAB_MAX_PATH_BYTES]; /* "NAME/" */
    uint8_t *bytes;                  /* data.pkl; the pickle's text lies in it */
    fab_pickle pickle;
};

/* The value at a top-level key; FAB_ERR_NOTFOUND naming file and key. */
fab_status fab_checkpoint_find(const fab_checkpoint *c, const char *key,
                               const fab_pickle_node **out, fab_error *err);

#endif
