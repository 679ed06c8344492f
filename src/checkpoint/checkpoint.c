/* checkpoint.c - the zip around a checkpoint's pickle.
 *
 *     NAME/data.pkl    the values (pickle.c)
 *     NAME/version     "3": the version of this layout
 *     NAME/byteorder   "little" or "big", of the storages; since PyTorch 2.1, little before
 *     NAME/data/KEY    a storage's bytes (weights.c)
 *
 * NAME is whatever the file was called when it was saved. Other files are passed over.
 */
#include <stdio.h>
#include <string.h>

#include "checkpoint_internal.h"

#define MAX_SMALL_BYTES 16 /* of version and byteorder */
#define MAX_VERSION 10     /* torch's own kMaxSupportedFileFormatVersion */

/* PyTorch before 1.6 wrote a row of pickles that begins with this number. */
static const uint8_t legacy_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                       0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

fab_checkpoint *fab_checkpoint_free(fab_checkpoint *c)
{
    if (!c) return NULL;
    fab_pickle_free(&c->pickle);
    fab_archive_free(c->archive);
    fab_free(c->bytes);
    return fab_free(c);
}

static fab_status check_not_legacy(const fab_reader *r, fab_error *err)
{
    uint8_t head[sizeof legacy_magic];
    if (r->size < sizeof head) return FAB_OK;
    FAB_TRY(fab_reader_read(r, 0, head, sizeof head, err));
    if (memcmp(head, legacy_magic, sizeof head) != 0) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: the format of PyTorch before 1.6 is not read; load it "
             "with PyTorch and save it again", r->name);
}

static bool has(const fab_checkpoint *c, const char *name, size_t *index)
{
    char path[FAB_MAX_PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s%s", c->prefix, name);
    return fab_archive_find(c->archive, path, index);
}

/* The one "NAME/data.pkl" there is. */
static fab_status find_pickle(fab_checkpoint *c, size_t *index, fab_error *err)
{
    static const char file[] = "data.pkl";
    bool found = false;
    for (size_t i = 0; i < fab_archive_count(c->archive); i++) {
        const char *name = fab_archive_name(c->archive, i), *slash = strchr(name, '/');
        if (!slash || strcmp(slash + 1, file) != 0) continue;
        if (found) FAB_FAIL(err, FAB_ERR_FORMAT, "%s: more than one data.pkl", c->source);
        found = true;
        *index = i;
        snprintf(c->prefix, sizeof c->prefix, "%.*s", (int)(slash + 1 - name), name);
    }
    if (!found)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: no PyTorch checkpoint: the zip holds no NAME/data.pkl",
                 c->source);
    return FAB_OK;
}

/* A file of a few bytes as text. */
static fab_status read_small(const fab_checkpoint *c, size_t index, char text[MAX_SMALL_BYTES + 1],
                             fab_error *err)
{
    const uint64_t bytes = fab_archive_bytes(c->archive, index);
    if (bytes > MAX_SMALL_BYTES)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %s has %llu bytes", c->source,
                 fab_archive_name(c->archive, index), (unsigned long long)bytes);
    text[bytes] = 0;
    return fab_archive_read(c->archive, index, text, err);
}

static fab_status check_layout(const fab_checkpoint *c, fab_error *err)
{
    char text[MAX_SMALL_BYTES + 1];
    size_t index = 0;
    int version = 0;
    if (has(c, "constants.pkl", &index))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: a TorchScript archive holds a program and is not "
                 "read; a checkpoint saved by torch.save is", c->source);
    if (!has(c, "version", &index))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %sversion is missing", c->source, c->prefix);
    FAB_TRY(read_small(c, index, text, err));
    for (const char *p = text; *p >= '0' && *p <= '9' && version <= MAX_VERSION; p++)
        version = 10 * version + *p - '0';
    if (version < 1 || version > MAX_VERSION)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: version \"%s\" of the layout is not read",
                 c->source, fab_pickle_printable(text, strcspn(text, "\n")).text);
    if (!has(c, "byteorder", &index)) return FAB_OK;
    FAB_TRY(read_small(c, index, text, err));
    if (strcmp(text, "little") != 0)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: byte order \"%s\" is not read (little is)",
                 c->source, fab_pickle_printable(text, strlen(text)).text);
    return FAB_OK;
}

static fab_status read_pickle(fab_checkpoint *c, size_t index, fab_error *err)
{
    const uint64_t bytes = fab_archive_bytes(c->archive, index);
    if (bytes > FAB_MAX_PICKLE_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: data.pkl has %llu bytes, at most %u are read", c->source,
                 (unsigned long long)bytes, FAB_MAX_PICKLE_BYTES);
    c->bytes = fab_malloc((size_t)bytes);
    if (!c->bytes) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory for data.pkl", c->source);
    FAB_TRY(fab_archive_read(c->archive, index, c->bytes, err));
    c->pickle.bytes = c->bytes;
    c->pickle.size = (size_t)bytes;
    const fab_status status = fab_pickle_parse(&c->pickle, err);
    if (status < 0) {
        fab_error_prefix(err, "%s: data.pkl", c->source);
        return status;
    }
    const fab_pickle_node *root = &c->pickle.nodes[c->pickle.root];
    if (root->kind != FAB_PICKLE_DICT)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: holds %s, not a dict", c->source,
                 fab_pickle_describe(root).text);
    return FAB_OK;
}

fab_status fab_checkpoint_read(const fab_reader *r, fab_checkpoint **out, fab_error *err)
{
    size_t index = 0;
    FAB_AUTO(fab_checkpoint_free) fab_checkpoint *c = fab_calloc(1, sizeof *c);
    if (!c) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory", r->name);
    memcpy(c->source, r->name, sizeof c->source);
    FAB_TRY(check_not_legacy(r, err));
    FAB_TRY(fab_archive_open(r, &c->archive, err));
    FAB_TRY(find_pickle(c, &index, err));
    FAB_TRY(check_layout(c, err));
    FAB_TRY(read_pickle(c, index, err));
    *out = c;
    c = NULL;
    return FAB_OK;
}

fab_status fab_checkpoint_find(const fab_checkpoint *c, const char *key,
                               const fab_pickle_node **out, fab_error *err)
{
    const fab_pickle *p = &c->pickle;
    *out = fab_pickle_find(p, &p->nodes[p->root], key);
    if (!*out) FAB_FAIL(err, FAB_ERR_NOTFOUND, "%s: \"%s\" is missing", c->source, key);
    return FAB_OK;
}
