/* pickle.c - a pickle read as data. Nothing in it is ever called.
 *
 * A pickle is a program for a machine with a stack, a memo (values kept under numbers, to be used
 * again) and marks (where on the stack a list, dict or tuple begins):
 *
 *     } ( X"lr" G0.01 u .        empty dict, mark, string, float, set items, stop
 *
 * Python's machine may also import any name (GLOBAL) and call it (REDUCE): that is how a pickle
 * takes over a computer. Ours knows the opcodes of the table below; GLOBAL and REDUCE go to
 * globals.c, where a short list says which value each pair of them stands for. The opcodes are
 * those of protocols 2 to 5 (Python's pickletools.py is the reference) that torch.save uses.
 *
 * Values are nodes in one array and refer to each other by index. Memory is bounded by the length
 * of the pickle: each opcode makes at most one node and each stack entry becomes at most one item.
 */
#include <string.h>

#include "checkpoint_internal.h"

#define NOT_SET UINT32_MAX
#define MAX_PROTOCOL 5

enum { NODE_NONE, NODE_FALSE, NODE_TRUE, NODE_EMPTY_TUPLE }; /* made once, used by all */

typedef struct machine {
    fab_pickle *p;
    size_t at, opcode_at;
    uint8_t opcode;
    bool stopped;
    uint32_t *stack;
    size_t depth, stack_capacity;
    size_t marks[FAB_MAX_PICKLE_MARKS];
    size_t mark_count;
    uint32_t *memo;
    size_t memo_count, memo_capacity; /* count: entries that may be set, those below it are */
    size_t memoized;                  /* entries set: MEMOIZE takes the next */
} machine;

/* ---- nodes ------------------------------------------------------------------------------ */

/* The array with room for `need` elements of `each` bytes, or NULL; half as much again at a time.
 * The old array stays valid if there is no memory. */
static void *grown(void *array, size_t *capacity, size_t need, size_t each)
{
    if (need <= *capacity) return array;
    size_t more = *capacity + *capacity / 2 + 64;
    if (more < need) more = need;
    void *bigger = fab_realloc(array, more * each);
    if (bigger) *capacity = more;
    return bigger;
}

fab_status fab_pickle_add(fab_pickle *p, fab_pickle_node node, uint32_t *index, fab_error *err)
{
    if (p->node_count >= FAB_MAX_PICKLE_NODES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %u values", FAB_MAX_PICKLE_NODES);
    fab_pickle_node *nodes = grown(p->nodes, &p->node_capacity, p->node_count + 1, sizeof node);
    if (!nodes) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for its values");
    p->nodes = nodes;
    nodes[p->node_count] = node;
    *index = (uint32_t)p->node_count++;
    return FAB_OK;
}

void fab_pickle_free(fab_pickle *p)
{
    for (size_t i = 0; i < p->node_count; i++)
        if (p->nodes[i].kind == FAB_PICKLE_LIST || p->nodes[i].kind == FAB_PICKLE_DICT)
            fab_free(p->nodes[i].as.list);
    fab_free(p->nodes);
    fab_free(p->items);
    *p = (fab_pickle){0};
}

const fab_pickle_node *fab_pickle_item(const fab_pickle *p, const fab_pickle_node *of, size_t i)
{
    const bool own = of->kind == FAB_PICKLE_LIST || of->kind == FAB_PICKLE_DICT;
    return &p->nodes[own ? of->as.list[i] : p->items[of->as.first + i]];
}

fab_pickle_text fab_pickle_printable(const char *text, size_t count)
{
    fab_pickle_text out;
    const size_t room = sizeof out.text - 1, n = count < room ? count : room;
    for (size_t i = 0; i < n; i++) {
        const char c = text[i];
        out.text[i] = (char)(c < 0x20 || c > 0x7e ? '?' : c);
    }
    out.text[n] = 0;
    return out;
}

bool fab_pickle_is(const fab_pickle_node *node, const char *text)
{
    const size_t count = strlen(text);
    return node->kind == FAB_PICKLE_STR && node->count == count &&
           memcmp(node->as.text, text, count) == 0;
}

const fab_pickle_node *fab_pickle_find(const fab_pickle *p, const fab_pickle_node *dict,
                                       const char *key)
{
    for (size_t i = dict->count; i >= 2; i -= 2)
        if (fab_pickle_is(fab_pickle_item(p, dict, i - 2), key))
            return fab_pickle_item(p, dict, i - 1);
    return NULL;
}

/* ---- the machine ------------------------------------------------------------------------ */

static fab_status bad(const machine *m, const char *what, fab_error *err)
{
    FAB_FAIL(err, FAB_ERR_FORMAT, "opcode 0x%02x at byte %zu: %s", (unsigned)m->opcode,
             m->opcode_at, what);
}

static fab_status take(machine *m, size_t count, const uint8_t **out, fab_error *err)
{
    if (count > m->p->size - m->at) return bad(m, "the pickle ends early", err);
    *out = m->p->bytes + m->at;
    m->at += count;
    return FAB_OK;
}

/* An unsigned little-endian number of at most 8 bytes. */
static fab_status take_number(machine *m, size_t bytes, uint64_t *out, fab_error *err)
{
    const uint8_t *from = NULL;
    uint64_t value = 0;
    FAB_TRY(take(m, bytes, &from, err));
    for (size_t i = bytes; i > 0; i--) value = value << 8 | from[i - 1];
    *out = value;
    return FAB_OK;
}

static fab_status push(machine *m, uint32_t node, fab_error *err)
{
    if (m->depth >= FAB_MAX_PICKLE_STACK)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %u values on its stack", FAB_MAX_PICKLE_STACK);
    uint32_t *stack = grown(m->stack, &m->stack_capacity, m->depth + 1, sizeof *stack);
    if (!stack) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for its stack");
    m->stack = stack;
    stack[m->depth++] = node;
    return FAB_OK;
}

static fab_status push_new(machine *m, fab_pickle_node node, fab_error *err)
{
    uint32_t index = 0;
    FAB_TRY(fab_pickle_add(m->p, node, &index, err));
    return push(m, index, err);
}

/* Entries above the last mark. */
static size_t available(const machine *m)
{
    return m->depth - (m->mark_count ? m->marks[m->mark_count - 1] : 0);
}

static fab_status pop(machine *m, uint32_t *out, fab_error *err)
{
    if (!available(m)) return bad(m, "the stack is empty", err);
    *out = m->stack[--m->depth];
    return FAB_OK;
}

static fab_status top(const machine *m, uint32_t *out, fab_error *err)
{
    if (!available(m)) return bad(m, "the stack is empty", err);
    *out = m->stack[m->depth - 1];
    return FAB_OK;
}

/* Where the entries of the last mark begin; the mark is gone afterwards. */
static fab_status pop_mark(machine *m, size_t *out, fab_error *err)
{
    if (!m->mark_count) return bad(m, "there is no mark", err);
    *out = m->marks[--m->mark_count];
    return FAB_OK;
}

/* ---- opcodes: framing ------------------------------------------------------------------- */

static fab_status op_proto(machine *m, fab_error *err)
{
    uint64_t protocol = 0;
    FAB_TRY(take_number(m, 1, &protocol, err));
    if (protocol < 2 || protocol > MAX_PROTOCOL)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "pickle protocol %u is not read (2 to %d are)",
                 (unsigned)protocol, MAX_PROTOCOL);
    return FAB_OK;
}

static fab_status op_frame(machine *m, fab_error *err)
{
    uint64_t bytes = 0;
    FAB_TRY(take_number(m, 8, &bytes, err));
    return bytes > m->p->size - m->at ? bad(m, "the pickle ends early", err) : FAB_OK;
}

static fab_status op_stop(machine *m, fab_error *err)
{
    FAB_TRY(pop(m, &m->p->root, err));
    if (m->depth || m->mark_count) return bad(m, "more than one value is left", err);
    if (m->at != m->p->size)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%zu bytes behind the end of the pickle",
                 m->p->size - m->at);
    m->stopped = true;
    return FAB_OK;
}

static fab_status op_mark(machine *m, fab_error *err)
{
    if (m->mark_count >= FAB_MAX_PICKLE_MARKS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "values nested deeper than %d", FAB_MAX_PICKLE_MARKS);
    m->marks[m->mark_count++] = m->depth;
    return FAB_OK;
}

/* ---- opcodes: plain values -------------------------------------------------------------- */

static fab_status op_none(machine *m, fab_error *err)
{
    return push(m, NODE_NONE, err);
}

static fab_status op_false(machine *m, fab_error *err)
{
    return push(m, NODE_FALSE, err);
}

static fab_status op_true(machine *m, fab_error *err)
{
    return push(m, NODE_TRUE, err);
}

static fab_status push_int(machine *m, int64_t value, fab_error *err)
{
    return push_new(m, (fab_pickle_node){.kind = FAB_PICKLE_INT, .as.integer = value}, err);
}

static fab_status op_int1(machine *m, fab_error *err)
{
    uint64_t value = 0;
    FAB_TRY(take_number(m, 1, &value, err));
    return push_int(m, (int64_t)value, err);
}

static fab_status op_int2(machine *m, fab_error *err)
{
    uint64_t value = 0;
    FAB_TRY(take_number(m, 2, &value, err));
    return push_int(m, (int64_t)value, err);
}

static fab_status op_int4(machine *m, fab_error *err)
{
    uint64_t value = 0;
    FAB_TRY(take_number(m, 4, &value, err));
    return push_int(m, (int32_t)(uint32_t)value, err);
}

/* LONG1: a length, then two's complement. */
static fab_status op_long(machine *m, fab_error *err)
{
    uint64_t bytes = 0, value = 0;
    FAB_TRY(take_number(m, 1, &bytes, err));
    if (bytes > 8)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "a whole number of %u bytes, at most 8 are read",
                 (unsigned)bytes);
    FAB_TRY(take_number(m, (size_t)bytes, &value, err));
    if (bytes > 0 && bytes < 8 && value >> (8 * bytes - 1)) value |= UINT64_MAX << (8 * bytes);
    return push_int(m, (int64_t)value, err);
}

static fab_status op_float(machine *m, fab_error *err)
{
    const uint8_t *from = NULL;
    uint64_t bits = 0;
    double value;
    FAB_TRY(take(m, 8, &from, err));
    for (int i = 0; i < 8; i++) bits = bits << 8 | from[i]; /* big-endian */
    memcpy(&value, &bits, sizeof value);
    return push_new(m, (fab_pickle_node){.kind = FAB_PICKLE_FLOAT, .as.real = value}, err);
}

static fab_status push_text(machine *m, size_t length_bytes, fab_pickle_kind kind, fab_error *err)
{
    const uint8_t *from = NULL;
    uint64_t count = 0;
    FAB_TRY(take_number(m, length_bytes, &count, err));
    if (count > FAB_MAX_PICKLE_STRING_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a string of %llu bytes, at most %u are read",
                 (unsigned long long)count, FAB_MAX_PICKLE_STRING_BYTES);
    FAB_TRY(take(m, (size_t)count, &from, err));
    const fab_pickle_node node = {.kind = (uint8_t)kind, .count = (uint32_t)count,
                                  .as.text = (const char *)from};
    return push_new(m, node, err);
}

static fab_status op_str1(machine *m, fab_error *err)
{
    return push_text(m, 1, FAB_PICKLE_STR, err);
}

static fab_status op_str4(machine *m, fab_error *err)
{
    return push_text(m, 4, FAB_PICKLE_STR, err);
}

static fab_status op_str8(machine *m, fab_error *err)
{
    return push_text(m, 8, FAB_PICKLE_STR, err);
}

static fab_status op_bytes1(machine *m, fab_error *err)
{
    return push_text(m, 1, FAB_PICKLE_BYTES, err);
}

static fab_status op_bytes4(machine *m, fab_error *err)
{
    return push_text(m, 4, FAB_PICKLE_BYTES, err);
}

/* ---- opcodes: containers ---------------------------------------------------------------- */

static fab_status op_list(machine *m, fab_error *err)
{
    return push_new(m, (fab_pickle_node){.kind = FAB_PICKLE_LIST}, err);
}

static fab_status op_dict(machine *m, fab_error *err)
{
    return push_new(m, (fab_pickle_node){.kind = FAB_PICKLE_DICT}, err);
}

static fab_status op_tuple0(machine *m, fab_error *err)
{
    return push(m, NODE_EMPTY_TUPLE, err);
}

/* The stack's entries from `from` become one tuple. */
static fab_status tuple_from(machine *m, size_t from, fab_error *err)
{
    fab_pickle *p = m->p;
    const size_t count = m->depth - from;
    uint32_t *items = grown(p->items, &p->item_capacity, p->item_count + count, sizeof *items);
    if (!items && count) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a tuple");
    p->items = items;
    const fab_pickle_node node = {.kind = FAB_PICKLE_TUPLE, .count = (uint32_t)count,
                                  .as.first = (uint32_t)p->item_count};
    if (count) memcpy(items + p->item_count, m->stack + from, count * sizeof *items);
    p->item_count += count;
    m->depth = from;
    return push_new(m, node, err);
}

static fab_status tuple_of(machine *m, size_t count, fab_error *err)
{
    if (available(m) < count) return bad(m, "the stack is empty", err);
    return tuple_from(m, m->depth - count, err);
}

static fab_status op_tuple1(machine *m, fab_error *err)
{
    return tuple_of(m, 1, err);
}

static fab_status op_tuple2(machine *m, fab_error *err)
{
    return tuple_of(m, 2, err);
}

static fab_status op_tuple3(machine *m, fab_error *err)
{
    return tuple_of(m, 3, err);
}

static fab_status op_tuple(machine *m, fab_error *err)
{
    size_t from = 0;
    FAB_TRY(pop_mark(m, &from, err));
    return tuple_from(m, from, err);
}

/* The stack's entries from `from` are moved into the list or dict below them. Its memory grows
 * when its count is a power of two, to the next one. */
static fab_status extend(machine *m, size_t from, fab_pickle_kind kind, fab_error *err)
{
    const size_t added = m->depth - from;
    uint32_t target = 0;
    m->depth = from;
    FAB_TRY(top(m, &target, err));
    fab_pickle_node *node = &m->p->nodes[target];
    if (node->kind != kind)
        return bad(m, kind == FAB_PICKLE_LIST ? "there is no list to append to"
                                              : "there is no dict to set items of", err);
    if (kind == FAB_PICKLE_DICT && added % 2) return bad(m, "a key without a value", err);
    for (size_t i = 0; i < added; i++) {
        const size_t count = node->count;
        if (count == 0 || (count >= 4 && (count & (count - 1)) == 0)) {
            uint32_t *list = fab_realloc(node->as.list, (count ? 2 * count : 4) * sizeof *list);
            if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a list");
            node->as.list = list;
        }
        node->as.list[node->count++] = m->stack[from + i];
    }
    return FAB_OK;
}

static fab_status op_append(machine *m, fab_error *err)
{
    if (available(m) < 2) return bad(m, "the stack is empty", err);
    return extend(m, m->depth - 1, FAB_PICKLE_LIST, err);
}

static fab_status op_setitem(machine *m, fab_error *err)
{
    if (available(m) < 3) return bad(m, "the stack is empty", err);
    return extend(m, m->depth - 2, FAB_PICKLE_DICT, err);
}

static fab_status op_appends(machine *m, fab_error *err)
{
    size_t from = 0;
    FAB_TRY(pop_mark(m, &from, err));
    return extend(m, from, FAB_PICKLE_LIST, err);
}

static fab_status op_setitems(machine *m, fab_error *err)
{
    size_t from = 0;
    FAB_TRY(pop_mark(m, &from, err));
    return extend(m, from, FAB_PICKLE_DICT, err);
}

/* ---- opcodes: memo ---------------------------------------------------------------------- */

static fab_status memo_get(machine *m, uint64_t key, fab_error *err)
{
    if (key >= m->memo_count || m->memo[key] == NOT_SET)
        FAB_FAIL(err, FAB_ERR_FORMAT, "opcode 0x%02x at byte %zu: nothing is kept under %llu",
                 (unsigned)m->opcode, m->opcode_at, (unsigned long long)key);
    return push(m, m->memo[key], err);
}

static fab_status memo_put(machine *m, uint64_t key, fab_error *err)
{
    uint32_t node = 0;
    FAB_TRY(top(m, &node, err));
    if (key >= FAB_MAX_PICKLE_MEMO)
        FAB_FAIL(err, FAB_ERR_LIMIT, "memo entry %llu, at most %u are kept",
                 (unsigned long long)key, FAB_MAX_PICKLE_MEMO);
    uint32_t *memo = grown(m->memo, &m->memo_capacity, (size_t)key + 1, sizeof *memo);
    if (!memo) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for its memo");
    m->memo = memo;
    while (m->memo_count <= key) memo[m->memo_count++] = NOT_SET;
    if (memo[key] == NOT_SET) m->memoized++;
    memo[key] = node;
    return FAB_OK;
}

static fab_status op_get1(machine *m, fab_error *err)
{
    uint64_t key = 0;
    FAB_TRY(take_number(m, 1, &key, err));
    return memo_get(m, key, err);
}

static fab_status op_get4(machine *m, fab_error *err)
{
    uint64_t key = 0;
    FAB_TRY(take_number(m, 4, &key, err));
    return memo_get(m, key, err);
}

static fab_status op_put1(machine *m, fab_error *err)
{
    uint64_t key = 0;
    FAB_TRY(take_number(m, 1, &key, err));
    return memo_put(m, key, err);
}

static fab_status op_put4(machine *m, fab_error *err)
{
    uint64_t key = 0;
    FAB_TRY(take_number(m, 4, &key, err));
    return memo_put(m, key, err);
}

static fab_status op_memoize(machine *m, fab_error *err)
{
    return memo_put(m, m->memoized, err);
}

/* ---- opcodes: what globals.c gives a meaning -------------------------------------------- */

/* A line of the pickle, without its end. */
static fab_status take_line(machine *m, const char **line, size_t *count, fab_error *err)
{
    const uint8_t *from = m->p->bytes + m->at, *taken = NULL;
    const uint8_t *end = memchr(from, '\n', m->p->size - m->at);
    if (!end) return bad(m, "the pickle ends early", err);
    *count = (size_t)(end - from);
    *line = (const char *)from;
    return take(m, *count + 1, &taken, err);
}

static fab_status op_global(machine *m, fab_error *err)
{
    const char *module = NULL, *name = NULL;
    size_t module_count = 0, name_count = 0;
    uint32_t node = 0;
    FAB_TRY(take_line(m, &module, &module_count, err));
    FAB_TRY(take_line(m, &name, &name_count, err));
    FAB_TRY(fab_pickle_global(m->p, module, module_count, name, name_count, &node, err));
    return push(m, node, err);
}

static fab_status op_stack_global(machine *m, fab_error *err)
{
    uint32_t module = 0, name = 0, node = 0;
    FAB_TRY(pop(m, &name, err));
    FAB_TRY(pop(m, &module, err));
    const fab_pickle_node *a = &m->p->nodes[module], *b = &m->p->nodes[name];
    if (a->kind != FAB_PICKLE_STR || b->kind != FAB_PICKLE_STR)
        return bad(m, "a global's name is no string", err);
    FAB_TRY(fab_pickle_global(m->p, a->as.text, a->count, b->as.text, b->count, &node, err));
    return push(m, node, err);
}

static fab_status op_reduce(machine *m, fab_error *err)
{
    uint32_t global = 0, arguments = 0, node = 0;
    FAB_TRY(pop(m, &arguments, err));
    FAB_TRY(pop(m, &global, err));
    FAB_TRY(fab_pickle_reduce(m->p, global, arguments, &node, err));
    return push(m, node, err);
}

static fab_status op_build(machine *m, fab_error *err)
{
    uint32_t object = 0, state = 0;
    FAB_TRY(pop(m, &state, err));
    FAB_TRY(top(m, &object, err));
    return fab_pickle_build(m->p, object, state, err);
}

static fab_status op_persistent(machine *m, fab_error *err)
{
    uint32_t id = 0, node = 0;
    FAB_TRY(pop(m, &id, err));
    FAB_TRY(fab_pickle_persistent(m->p, id, &node, err));
    return push(m, node, err);
}

/* ---- the whole -------------------------------------------------------------------------- */

static fab_status (*const opcodes[256])(machine *m, fab_error *err) = {
    [0x80] = op_proto,   [0x95] = op_frame,   ['.'] = op_stop,     ['('] = op_mark,
    ['N'] = op_none,     [0x88] = op_true,    [0x89] = op_false,   ['K'] = op_int1,
    ['M'] = op_int2,     ['J'] = op_int4,     [0x8a] = op_long,    ['G'] = op_float,
    [0x8c] = op_str1,    ['X'] = op_str4,     [0x8d] = op_str8,    ['C'] = op_bytes1,
    ['B'] = op_bytes4,   [']'] = op_list,     ['}'] = op_dict,     [')'] = op_tuple0,
    [0x85] = op_tuple1,  [0x86] = op_tuple2,  [0x87] = op_tuple3,  ['t'] = op_tuple,
    ['a'] = op_append,   ['e'] = op_appends,  ['s'] = op_setitem,  ['u'] = op_setitems,
    ['h'] = op_get1,     ['j'] = op_get4,     ['q'] = op_put1,     ['r'] = op_put4,
    [0x94] = op_memoize, ['c'] = op_global,   [0x93] = op_stack_global,
    ['R'] = op_reduce,   ['b'] = op_build,    ['Q'] = op_persistent,
};

static fab_status add_constants(fab_pickle *p, fab_error *err)
{
    uint32_t index = 0;
    FAB_TRY(fab_pickle_add(p, (fab_pickle_node){.kind = FAB_PICKLE_NONE}, &index, err));
    FAB_TRY(fab_pickle_add(p, (fab_pickle_node){.kind = FAB_PICKLE_BOOL}, &index, err));
    FAB_TRY(fab_pickle_add(p, (fab_pickle_node){.kind = FAB_PICKLE_BOOL, .as.integer = 1}, &index,
                           err));
    return fab_pickle_add(p, (fab_pickle_node){.kind = FAB_PICKLE_TUPLE}, &index, err);
}

static fab_status run(machine *m, fab_error *err)
{
    FAB_TRY(add_constants(m->p, err));
    while (!m->stopped) {
        if (m->at == m->p->size)
            FAB_FAIL(err, FAB_ERR_FORMAT, "the pickle ends early, after %zu bytes", m->p->size);
        m->opcode_at = m->at;
        m->opcode = m->p->bytes[m->at++];
        if (!opcodes[m->opcode])
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "opcode 0x%02x at byte %zu is not read",
                     (unsigned)m->opcode, m->opcode_at);
        FAB_TRY(opcodes[m->opcode](m, err));
    }
    return FAB_OK;
}

fab_status fab_pickle_parse(fab_pickle *p, fab_error *err)
{
    FAB_AUTO_FREE machine *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory");
    m->p = p;
    const fab_status status = run(m, err);
    fab_free(m->stack);
    fab_free(m->memo);
    return status;
}
