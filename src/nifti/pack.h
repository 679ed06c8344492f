/* pack.h - gzip for 16-bit images (this folder). */
#ifndef FAB_NIFTI_PACK_H
#define FAB_NIFTI_PACK_H

#include "fabrica/base.h"

/* Writes one gzip member of `head` and then `cells` (native, little-endian) as bytes: the same
 * bytes for the same input. head_bytes must be even. */
fab_status fab_nifti_pack_16(const uint8_t *head, size_t head_bytes, const uint16_t *cells,
                             size_t count, fab_writer *w, fab_error *err);

#endif
