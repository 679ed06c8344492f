/* fabrica/archive.h - layer 2: zip files that may be hostile, unpacked or read in memory. */
#ifndef FABRICA_ARCHIVE_H
#define FABRICA_ARCHIVE_H

#include "fabrica/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Unpacks the zip at path into `folder`, which must exist and be empty; entries keep their names
 * below it ('\' counts as '/'). Everything is checked before the first byte is written; on failure
 * the folder is empty again.
 *
 * FAB_ERR_FORMAT: not a zip, truncated, wrong checksum or size, a name twice, or a name that would
 * leave the folder. FAB_ERR_UNSUPPORTED: encrypted entries, links and other special files, unknown
 * compression. FAB_ERR_LIMIT: FAB_MAX_FILES, FAB_MAX_FOLDER_DEPTH, FAB_MAX_ZIP_ENTRY_BYTES,
 * FAB_MAX_ZIP_TOTAL_BYTES, or a bomb: more than FAB_MAX_ZIP_RATIO times the size of the zip itself
 * (above FAB_MAX_ZIP_FREE_BYTES). FAB_ERR_NOSPACE: the disk is too small. FAB_ERR_CANCELLED.
 * Files get mode 0600, folders 0700. progress may be NULL. Reads by libzip. */
fab_status fab_archive_unpack(const char *path, const char *folder, const fab_progress *progress,
                              fab_error *err);
/* The same from any bytes. */
fab_status fab_archive_unpack_from(const fab_reader *r, const char *folder,
                                   const fab_progress *progress, fab_error *err);

/* ---- entry by entry, in memory ---------------------------------------------------------- */

/* The files of a zip, sorted by name (strcmp); folders are left out. One thread at a time. */
typedef struct fab_archive fab_archive;
/* Looks at every entry and refuses what fab_archive_unpack_from refuses before it writes, and a
 * name twice. `r` must outlive the archive. */
fab_status fab_archive_open(const fab_reader *r, fab_archive **out, fab_error *err);
fab_archive *fab_archive_free(fab_archive *a);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_archive, fab_archive_free)
#endif
size_t fab_archive_count(const fab_archive *a);
const char *fab_archive_name(const fab_archive *a, size_t index); /* borrowed */
uint64_t fab_archive_bytes(const fab_archive *a, size_t index);   /* unpacked */
/* Index of the file of that name; false if there is none. */
bool fab_archive_find(const fab_archive *a, const char *name, size_t *index);
/* The whole content, fab_archive_bytes(a, index) bytes, straight into the caller's memory.
 * FAB_ERR_FORMAT: wrong checksum, longer or shorter than it claims. On failure `into` holds
 * anything. */
fab_status fab_archive_read(const fab_archive *a, size_t index, void *into, fab_error *err);
/* The same piece by piece: `w` gets blocks of FAB_ARCHIVE_BLOCK_BYTES, the last may be shorter. The
 * checksum is known only at the end: on failure what was written is not to be used. */
#define FAB_ARCHIVE_BLOCK_BYTES 65536
fab_status fab_archive_copy(const fab_archive *a, size_t index, fab_writer *w, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
