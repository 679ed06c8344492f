/* entry.c - what one zip entry is, whether it may be unpacked or read, and its bytes.
 *
 * A name is taken apart at '/' (and '\', as some Windows programs write it). Parts "." and "" are
 * dropped; ".." and a leading '/' are refused: such a name would leave the folder ("zip slip").
 */
#include <string.h>
#include <sys/stat.h>

#include "archive_internal.h"

#define MAX_PART_BYTES 255

static fab_status add_part(fab_archive_entry *e, const char *part, size_t length, int depth,
                           const char *archive, fab_error *err)
{
    size_t used = strlen(e->name);
    if (length == 2 && !memcmp(part, "..", 2))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: an entry's name holds \"..\" and would leave the "
                 "folder: refused", archive);
    if (length > MAX_PART_BYTES || used + length + 2 > sizeof e->name)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: an entry's name is too long", archive);
    if (depth > FAB_MAX_FOLDER_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: folders nested deeper than %d", archive,
                 FAB_MAX_FOLDER_DEPTH);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: an entry's name holds the control character 0x%02x",
                     archive, (unsigned)(unsigned char)part[i]);
    if (used) e->name[used++] = '/';
    memcpy(e->name + used, part, length);
    e->name[used + length] = 0;
    return FAB_OK;
}

static fab_status take_name(fab_archive_entry *e, const char *name, const char *archive,
                            fab_error *err)
{
    int depth = 0;
    size_t length = strlen(name);
    if (name[0] == '/' || name[0] == '\\')
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" has an absolute name: refused",
                 archive, name);
    e->name[0] = 0;
    for (size_t at = 0; at < length;) {
        size_t part = strcspn(name + at, "/\\");
        if (part && !(part == 1 && name[at] == '.'))
            FAB_TRY(add_part(e, name + at, part, depth++, archive, err));
        at += part + 1;
    }
    e->is_folder = length && (name[length - 1] == '/' || name[length - 1] == '\\');
    if (!e->name[0] && !e->is_folder)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: an entry without a name", archive);
    return FAB_OK;
}

/* Unix file type from the attributes: only plain files and folders are unpacked. */
static fab_status check_kind(zip_t *zip, uint64_t index, fab_archive_entry *e, const char *archive,
                             fab_error *err)
{
    zip_uint8_t system = 0;
    zip_uint32_t attributes = 0;
    if (zip_file_get_external_attributes(zip, index, 0, &system, &attributes) < 0) return FAB_OK;
    if (system != ZIP_OPSYS_UNIX && system != ZIP_OPSYS_OS_X) return FAB_OK;
    unsigned type = attributes >> 16 & S_IFMT;
    if (type == 0 || type == S_IFREG) return FAB_OK;
    if (type == S_IFDIR && e->is_folder) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: entry \"%.100s\" is a %s; only plain files are "
             "unpacked", archive, e->name, type == S_IFLNK ? "link" : "special file");
}

static fab_status check_coding(const zip_stat_t *st, const fab_archive_entry *e,
                               const char *archive, fab_error *err)
{
    if (st->valid & ZIP_STAT_ENCRYPTION_METHOD && st->encryption_method != ZIP_EM_NONE)
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: entry \"%.100s\" is encrypted; unpack it first",
                 archive, e->name);
    if (st->valid & ZIP_STAT_COMP_METHOD && !zip_compression_method_supported(st->comp_method, 0))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: entry \"%.100s\" has the compression method %d, "
                 "not known", archive, e->name, st->comp_method);
    if (st->size > FAB_MAX_ZIP_ENTRY_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: entry \"%.100s\" has %llu bytes, more than %llu", archive,
                 e->name, (unsigned long long)st->size,
                 (unsigned long long)FAB_MAX_ZIP_ENTRY_BYTES);
    return FAB_OK;
}

fab_status fab_archive_entry_read(zip_t *zip, uint64_t index, const char *archive,
                                  fab_archive_entry *out, fab_error *err)
{
    zip_stat_t st;
    zip_stat_init(&st);
    const char *name = zip_get_name(zip, index, ZIP_FL_ENC_GUESS);
    if (!name || zip_stat_index(zip, index, 0, &st) < 0 || !(st.valid & ZIP_STAT_SIZE))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry %llu of the zip cannot be read (%s)", archive,
                 (unsigned long long)index, zip_strerror(zip));
    FAB_TRY(take_name(out, name, archive, err));
    FAB_TRY(check_kind(zip, index, out, archive, err));
    FAB_TRY(check_coding(&st, out, archive, err));
    out->size = out->is_folder ? 0 : st.size;
    return FAB_OK;
}

/* The sum is held against the size of the zip itself, not against the sizes its entries claim to be
 * packed in: entries that share the same packed bytes (Fifield 2019) are a bomb like any other. */
fab_status fab_archive_weigh(zip_t *zip, const fab_reader *r, uint64_t *total, fab_error *err)
{
    fab_archive_entry entry;
    uint64_t sum = 0;
    zip_int64_t count = zip_get_num_entries(zip, 0);
    if (count > FAB_MAX_FILES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %lld entries, more than %d", r->name, (long long)count,
                 FAB_MAX_FILES);
    for (zip_int64_t i = 0; i < count; i++) {
        FAB_TRY(fab_archive_entry_read(zip, (uint64_t)i, r->name, &entry, err));
        sum += entry.size;
        if (sum > FAB_MAX_ZIP_TOTAL_BYTES)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%s: would unpack to more than %llu bytes", r->name,
                     (unsigned long long)FAB_MAX_ZIP_TOTAL_BYTES);
    }
    if (sum > FAB_MAX_ZIP_FREE_BYTES && sum / FAB_MAX_ZIP_RATIO > r->size)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: %llu bytes would unpack to %llu, more than %d to 1: "
                 "refused as a bomb", r->name, (unsigned long long)r->size,
                 (unsigned long long)sum, FAB_MAX_ZIP_RATIO);
    *total = sum;
    return FAB_OK;
}

fab_status fab_archive_entry_fill(zip_file_t *from, const char *archive, const char *entry,
                                  void *into, size_t count, size_t *got, fab_error *err)
{
    size_t done = 0;
    while (done < count) {
        zip_int64_t n = zip_fread(from, (uint8_t *)into + done, count - done);
        if (n < 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s: entry \"%.100s\" is damaged (%s)", archive, entry,
                     zip_file_strerror(from));
        if (n == 0) break;
        done += (size_t)n;
    }
    *got = done;
    return FAB_OK;
}
