/* weights.c - a state dict's tensors, from the storages they are views of.
 *
 * A tensor is (storage, offset, shape, strides), counted in elements; several tensors may be
 * views of one storage, and nnU-Net's are: every layer is there under two or three names. So
 * storages, not tensors, are read, each once, into one block, where tensors are pointers:
 *
 *     | storage "0" | storage "1" | ... | copies of tensors whose strides are not C order |
 *
 * The copies are there for checkpoints trained with channels last; there are none as a rule.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_internal.h"

typedef struct view {
    const char *name;              /* in plan.names */
    const fab_pickle_node *key;    /* of the storage */
    fab_tensor_dtype dtype;
    int64_t numel;                 /* of the storage */
    int64_t offset, count;
    int rank;
    int64_t shape[FAB_TENSOR_MAX_RANK], stride[FAB_TENSOR_MAX_RANK];
    bool copied;                   /* not in C order */
    size_t file;                   /* of the storage, in the archive */
    size_t at;                     /* of the storage, then of the values, in the block */
} view;

typedef struct plan {
    const fab_checkpoint *c;
    size_t count;                  /* of views; sorted by storage once they are all there */
    view *views;
    char *names;
    size_t storage_values, copy_values;
    float *values;
} plan;

static fab_pickle_text shown(const char *name)
{
    return fab_pickle_printable(name, strlen(name));
}

/* ---- one tensor ------------------------------------------------------------------------- */

/* The strides of C order, where an axis of length 1 may have any. */
static bool in_c_order(const view *v)
{
    int64_t expected = 1;
    for (int i = v->rank - 1; i >= 0; i--) {
        if (v->shape[i] != 1 && v->stride[i] != expected) return false;
        expected *= v->shape[i];
    }
    return true;
}

/* No element twice: from the shortest stride to the longest, each passes over all before it. */
static bool is_disjoint(const view *v)
{
    int64_t passed = 1;
    bool done[FAB_TENSOR_MAX_RANK] = {false};
    for (int round = 0; round < v->rank; round++) {
        int next = -1;
        for (int i = 0; i < v->rank; i++)
            if (!done[i] && v->shape[i] > 1 && (next < 0 || v->stride[i] < v->stride[next]))
                next = i;
        if (next < 0) break;
        if (v->stride[next] < passed) return false;
        passed = v->stride[next] * v->shape[next];
        done[next] = true;
    }
    return true;
}

/* Shape and strides within the storage. No product overflows: each number is held against the
 * storage's size first. */
static fab_status check_view(view *v, fab_error *err)
{
    int64_t last = v->offset;
    v->count = 1;
    if (v->offset > v->numel)
        FAB_FAIL(err, FAB_ERR_FORMAT, "it begins behind the %lld values of its storage",
                 (long long)v->numel);
    for (int i = 0; i < v->rank; i++) {
        if (v->shape[i] == 0) FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "it has no values");
        if (v->shape[i] > v->numel / v->count ||
            (v->shape[i] > 1 && v->stride[i] > v->numel / (v->shape[i] - 1)))
            FAB_FAIL(err, FAB_ERR_FORMAT, "its shape and strides need more than the %lld values "
                     "of its storage", (long long)v->numel);
        v->count *= v->shape[i];
        if (v->shape[i] == 1) v->stride[i] = 0; /* of no meaning, may be anything */
        last += (v->shape[i] - 1) * v->stride[i];
    }
    if (last >= v->numel)
        FAB_FAIL(err, FAB_ERR_FORMAT, "it reaches value %lld of a storage of %lld",
                 (long long)last, (long long)v->numel);
    if (!is_disjoint(v)) FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "its elements overlap");
    v->copied = !in_c_order(v);
    return FAB_OK;
}

static fab_status take_view(const fab_pickle *p, const fab_pickle_node *tensor, view *v,
                            fab_error *err)
{
    const fab_pickle_node *storage = fab_pickle_item(p, tensor, 0);
    const fab_pickle_node *shape = fab_pickle_item(p, tensor, 2);
    const fab_pickle_node *strides = fab_pickle_item(p, tensor, 3);
    v->key = fab_pickle_item(p, storage, 2);
    v->numel = fab_pickle_item(p, storage, 4)->as.integer;
    v->dtype = (fab_tensor_dtype)storage->detail;
    v->offset = fab_pickle_item(p, tensor, 1)->as.integer;
    if (shape->count > FAB_TENSOR_MAX_RANK)
        FAB_FAIL(err, FAB_ERR_LIMIT, "shape has %u axes, at most %d are read", shape->count,
                 FAB_TENSOR_MAX_RANK);
    if (v->numel > FAB_MAX_WEIGHTS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a storage of %lld values, at most %lld are read",
                 (long long)v->numel, (long long)FAB_MAX_WEIGHTS);
    v->rank = (int)shape->count;
    for (int i = 0; i < v->rank; i++) {
        v->shape[i] = fab_pickle_item(p, shape, (size_t)i)->as.integer;
        v->stride[i] = fab_pickle_item(p, strides, (size_t)i)->as.integer;
    }
    return check_view(v, err);
}

/* ---- all tensors of the dict ------------------------------------------------------------ */

static bool is_wanted(const fab_pickle *p, const fab_pickle_node *value)
{
    return value->kind == FAB_PICKLE_TENSOR &&
           fab_pickle_item(p, value, 0)->detail != FAB_PICKLE_NO_FLOAT;
}

/* Refuses what is no tensor by name; counts those wanted and the bytes of their names. */
static fab_status look_through(plan *s, const fab_pickle_node *dict, size_t *name_bytes,
                               fab_error *err)
{
    const fab_pickle *p = &s->c->pickle;
    if (dict->kind != FAB_PICKLE_DICT)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s, not a dict of tensors",
                 fab_pickle_describe(dict).text);
    for (size_t i = 0; i < dict->count; i += 2) {
        const fab_pickle_node *key = fab_pickle_item(p, dict, i);
        const fab_pickle_node *value = fab_pickle_item(p, dict, i + 1);
        if (key->kind != FAB_PICKLE_STR || !key->count || memchr(key->as.text, 0, key->count))
            FAB_FAIL(err, FAB_ERR_FORMAT, "the name of tensor %zu is no text", i / 2);
        if (value->kind != FAB_PICKLE_TENSOR)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s is %s, not a tensor",
                     fab_pickle_printable(key->as.text, key->count).text,
                     fab_pickle_describe(value).text);
        if (!is_wanted(p, value)) continue;
        s->count++;
        *name_bytes += (size_t)key->count + 1;
    }
    if (s->count > FAB_MAX_TENSORS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%zu tensors, at most %d are read", s->count,
                 FAB_MAX_TENSORS);
    return FAB_OK;
}

static fab_status take_views(plan *s, const fab_pickle_node *dict, fab_error *err)
{
    const fab_pickle *p = &s->c->pickle;
    size_t name_bytes = 0;
    FAB_TRY(look_through(s, dict, &name_bytes, err));
    s->views = fab_calloc(s->count, sizeof *s->views);
    s->names = fab_malloc(name_bytes);
    if (!s->views || !s->names) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for its tensors");
    char *name = s->names;
    view *v = s->views;
    for (size_t i = 0; i < dict->count; i += 2) {
        const fab_pickle_node *key = fab_pickle_item(p, dict, i);
        const fab_pickle_node *value = fab_pickle_item(p, dict, i + 1);
        if (!is_wanted(p, value)) continue;
        memcpy(name, key->as.text, key->count);
        name[key->count] = 0;
        v->name = name;
        const fab_status status = take_view(p, value, v, err);
        if (status < 0) {
            fab_error_prefix(err, "tensor %s", shown(name).text);
            return status;
        }
        name += key->count + 1;
        v++;
    }
    return FAB_OK;
}

/* ---- the block -------------------------------------------------------------------------- */

static int by_storage(const void *a, const void *b)
{
    const view *x = a, *y = b;
    const uint32_t m = x->key->count, n = y->key->count;
    const int order = memcmp(x->key->as.text, y->key->as.text, m < n ? m : n);
    if (order || m != n) return order ? order : m < n ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name; /* as in the file */
}

static bool same_storage(const view *a, const view *b)
{
    return a->key->count == b->key->count &&
           memcmp(a->key->as.text, b->key->as.text, a->key->count) == 0;
}

/* Finds a storage's file; it has the size that is claimed. */
static fab_status find_storage(const plan *s, view *v, fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES];
    const int n = snprintf(path, sizeof path, "%sdata/%.*s", s->c->prefix, (int)v->key->count,
                           v->key->as.text);
    if (n < 0 || (size_t)n >= sizeof path || !fab_archive_find(s->c->archive, path, &v->file))
        FAB_FAIL(err, FAB_ERR_FORMAT, "its storage data/%s is missing",
                 fab_pickle_printable(v->key->as.text, v->key->count).text);
    const uint64_t bytes = fab_archive_bytes(s->c->archive, v->file);
    if (bytes != (uint64_t)v->numel * fab_tensor_dtype_bytes(v->dtype))
        FAB_FAIL(err, FAB_ERR_FORMAT, "its storage has %llu bytes, not %lld values of %zu",
                 (unsigned long long)bytes, (long long)v->numel,
                 fab_tensor_dtype_bytes(v->dtype));
    return FAB_OK;
}

/* Gives v's storage a place in the block, that of the view before it if that is on the same one;
 * what they claim of it must agree. */
static fab_status place_storage(plan *s, view *v, const view *before, fab_error *err)
{
    if (before && same_storage(before, v)) {
        if (before->dtype != v->dtype || before->numel != v->numel)
            FAB_FAIL(err, FAB_ERR_FORMAT, "claims another type or size of its storage than "
                     "tensor %s", shown(before->name).text);
        v->at = before->at;
        return FAB_OK;
    }
    FAB_TRY(find_storage(s, v, err));
    v->at = s->storage_values;
    s->storage_values += (size_t)v->numel;
    if (s->storage_values > (size_t)FAB_MAX_WEIGHTS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %lld values", (long long)FAB_MAX_WEIGHTS);
    return FAB_OK;
}

/* All of this before memory is taken: a file cannot ask for more than it holds. */
static fab_status place_storages(plan *s, fab_error *err)
{
    qsort(s->views, s->count, sizeof *s->views, by_storage);
    for (size_t i = 0; i < s->count; i++) {
        view *v = &s->views[i];
        const fab_status status = place_storage(s, v, i ? v - 1 : NULL, err);
        if (status < 0) {
            fab_error_prefix(err, "tensor %s", shown(v->name).text);
            return status;
        }
    }
    return FAB_OK;
}

/* A writer that turns a storage's bytes into floats. Blocks hold whole values: their size is a
 * multiple of every value's. */
typedef struct converter {
    fab_tensor_dtype dtype;
    float *next;
} converter;

static fab_status convert_block(void *ctx, const void *bytes, size_t count, fab_error *err)
{
    (void)err;
    converter *to = ctx;
    const size_t values = count / fab_tensor_dtype_bytes(to->dtype);
    fab_tensor_to_f32(to->dtype, bytes, to->next, values);
    to->next += values;
    return FAB_OK;
}

static fab_status read_storage(const plan *s, const view *v, fab_error *err)
{
    if (v->dtype == FAB_TENSOR_F32)
        return fab_archive_read(s->c->archive, v->file, s->values + v->at, err);
    converter to = {v->dtype, s->values + v->at};
    fab_writer w = {.ctx = &to, .write = convert_block};
    return fab_archive_copy(s->c->archive, v->file, &w, err);
}

static fab_status read_storages(plan *s, fab_error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        const view *v = &s->views[i];
        if (i && same_storage(v - 1, v)) continue;
        const fab_status status = read_storage(s, v, err);
        if (status < 0) {
            fab_error_prefix(err, "tensor %s", shown(v->name).text);
            return status;
        }
    }
    return FAB_OK;
}

/* ---- copies ----------------------------------------------------------------------------- */

static bool same_elements(const view *a, const view *b)
{
    const size_t bytes = (size_t)a->rank * sizeof *a->shape;
    return a->rank == b->rank && a->offset == b->offset &&
           memcmp(a->shape, b->shape, bytes) == 0 && memcmp(a->stride, b->stride, bytes) == 0;
}

/* The view before it that has the same elements of the same storage, or NULL. */
static view *same_copy(const plan *s, size_t i)
{
    view *v = &s->views[i];
    for (size_t j = i; j > 0 && same_storage(&s->views[j - 1], v); j--)
        if (s->views[j - 1].copied && same_elements(&s->views[j - 1], v)) return &s->views[j - 1];
    return NULL;
}

/* Disjoint elements: a copy is never larger than its storage. All of them together may not be
 * larger than all storages, or a small file could ask for any amount of memory. */
static fab_status weigh_copies(plan *s, fab_error *err)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!s->views[i].copied || same_copy(s, i)) continue;
        s->copy_values += (size_t)s->views[i].count;
        if (s->copy_values > s->storage_values)
            FAB_FAIL(err, FAB_ERR_LIMIT, "tensor %s: more views that are not contiguous than "
                     "values", shown(s->views[i].name).text);
    }
    return FAB_OK;
}

/* v's elements in C order. */
static void copy_elements(const view *v, const float *storage, float *to)
{
    int64_t at[FAB_TENSOR_MAX_RANK] = {0}, from = v->offset;
    for (int64_t i = 0; i < v->count; i++) {
        to[i] = storage[from];
        for (int a = v->rank - 1; a >= 0; a--) {
            from += v->stride[a];
            if (++at[a] < v->shape[a]) break;
            from -= v->stride[a] * v->shape[a];
            at[a] = 0;
        }
    }
}

/* From here on view.at is where its values begin. */
static void place_values(plan *s)
{
    size_t next = s->storage_values;
    for (size_t i = 0; i < s->count; i++) {
        view *v = &s->views[i];
        const view *same = v->copied ? same_copy(s, i) : NULL;
        if (same) v->at = same->at;
        else if (!v->copied) v->at += (size_t)v->offset;
        else {
            copy_elements(v, s->values + v->at, s->values + next);
            v->at = next;
            next += (size_t)v->count;
        }
    }
}

/* ---- the whole -------------------------------------------------------------------------- */

static fab_status make(plan *s, fab_tensors **out, fab_error *err)
{
    FAB_AUTO_FREE fab_tensor *items = fab_calloc(s->count, sizeof *items);
    if (!items) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for its tensors");
    for (size_t i = 0; i < s->count; i++) {
        const view *v = &s->views[i];
        items[i] = (fab_tensor){.name = v->name, .rank = v->rank, .values = s->values + v->at};
        memcpy(items[i].shape, v->shape, sizeof v->shape);
    }
    return fab_tensors_make(s->c->source, items, s->count, &s->values,
                            s->storage_values + s->copy_values, out, err);
}

static fab_status read_all(plan *s, const fab_pickle_node *dict, fab_tensors **out, fab_error *err)
{
    FAB_TRY(take_views(s, dict, err));
    FAB_TRY(place_storages(s, err));
    FAB_TRY(weigh_copies(s, err));
    s->values = fab_alloc_array(s->storage_values + s->copy_values, sizeof *s->values);
    if (!s->values) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu values", s->storage_values);
    FAB_TRY(read_storages(s, err));
    place_values(s);
    return make(s, out, err);
}

fab_status fab_checkpoint_tensors(const fab_checkpoint *c, const char *key, fab_tensors **out,
                                  fab_error *err)
{
    plan s = {.c = c};
    const fab_pickle_node *dict = NULL;
    FAB_TRY(fab_checkpoint_find(c, key, &dict, err));
    const fab_status status = read_all(&s, dict, out, err);
    fab_free(s.views);
    fab_free(s.names);
    fab_free(s.values);
    if (status < 0) fab_error_prefix(err, "%s: %s", c->source, key);
    return status;
}
