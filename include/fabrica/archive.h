/* fabrica/archive.h - layer 2: unpacking zip files that may be hostile. */
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

#ifdef __cplusplus
}
#endif
#endif
