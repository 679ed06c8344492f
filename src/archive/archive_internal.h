/* archive_internal.h - what unpacking and reading in memory share. */
#ifndef FAB_ARCHIVE_INTERNAL_H
#define FAB_ARCHIVE_INTERNAL_H

#include <zip.h>

#include "fabrica/archive.h"

/* A libzip source that reads r, which must outlive it (source.c). */
fab_status fab_archive_zip_open(const fab_reader *r, zip_t **out, fab_error *err);

typedef struct fab_archive_entry {
    char name[FAB_MAX_PATH_BYTES]; /* relative, '/' between parts, no part "." or ".." or empty */
    uint64_t size;
    bool is_folder;
} fab_archive_entry;

/* What entry `index` is; refuses what must not be unpacked (entry.c). */
fab_status fab_archive_entry_read(zip_t *zip, uint64_t index, const char *archive,
                                  fab_archive_entry *out, fab_error *err);

/* Looks at every entry; refuses too many, too much in all, and bombs (entry.c). */
fab_status fab_archive_weigh(zip_t *zip, const fab_reader *r, uint64_t *total, fab_error *err);

/* Up to count bytes of the entry's content; less at its end only. The end is where the checksum
 * is compared (entry.c). */
fab_status fab_archive_entry_fill(zip_file_t *from, const char *archive, const char *entry,
                                  void *into, size_t count, size_t *got, fab_error *err);

#endif
