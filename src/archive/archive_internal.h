/* archive_internal.h - the parts of unpacking. */
#ifndef FAB_ARCHIVE_INTERNAL_H
#define FAB_ARCHIVE_INTERNAL_H

#include <zip.h>

#include "fabrica/archive.h"

/* A libzip source that reads r, which must outlive it (source.c). */
fab_status fab_archive_open(const fab_reader *r, zip_t **out, fab_error *err);

typedef struct fab_archive_entry {
    char name[FAB_MAX_PATH_BYTES]; /* relative, '/' between parts, no part "." or ".." or empty */
    uint64_t size;
    bool is_folder;
} fab_archive_entry;

/* What entry `index` is; refuses what must not be unpacked (entry.c). */
fab_status fab_archive_entry_read(zip_t *zip, uint64_t index, const char *archive,
                                  fab_archive_entry *out, fab_error *err);

#endif
