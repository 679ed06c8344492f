/* build.h - a DICOM object under construction: a thin C face of DCMTK's data sets (build.cc).
 *
 * Failures stick: after the first one every call does nothing, and fab_dcm_write reports it. Items
 * belong to their object. Tags are 0xGGGGEEEE; the VR comes from the dictionary.
 */
#ifndef FAB_DICOM_BUILD_H
#define FAB_DICOM_BUILD_H

#include "fabrica/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fab_dcm fab_dcm;
typedef struct fab_dcm_item fab_dcm_item;

fab_dcm *fab_dcm_create(void); /* NULL: no memory */
fab_dcm *fab_dcm_free(fab_dcm *d);
FAB_DEFINE_AUTO(fab_dcm, fab_dcm_free)
fab_dcm_item *fab_dcm_root(fab_dcm *d);
/* Appends an item to a sequence (made if absent). NULL after a failure, which others take. */
fab_dcm_item *fab_dcm_add(fab_dcm *d, fab_dcm_item *parent, uint32_t tag);

/* The last item of a sequence that has one. */
fab_dcm_item *fab_dcm_last(fab_dcm *d, fab_dcm_item *parent, uint32_t tag);

void fab_dcm_text(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const char *value);
void fab_dcm_u16(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const uint16_t *v, size_t count);
void fab_dcm_u32(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const uint32_t *v, size_t count);
/* Attribute Tag (AT), one value. */
void fab_dcm_attribute(fab_dcm *d, fab_dcm_item *item, uint32_t tag, uint16_t group,
                       uint16_t element);
/* Decimal String: as many digits as 16 characters hold (PS3.5 6.2), backslash between. */
void fab_dcm_decimals(fab_dcm *d, fab_dcm_item *item, uint32_t tag, const double *v, size_t count);
void fab_dcm_integer(fab_dcm *d, fab_dcm_item *item, uint32_t tag, long value);
/* Copies 16-bit cells in host order (OW). */
void fab_dcm_pixels_u16(fab_dcm *d, const uint16_t *cells, size_t count);

/* The whole file with meta header in transfer syntax `uid` (compressed first if it needs to be).
 * FAB_ERR_UNSUPPORTED names a syntax that cannot be written. */
fab_status fab_dcm_write(fab_dcm *d, const char *uid, fab_buf *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
