/* nrrd_internal.h - the fields of a NRRD header that matter to us. */
#ifndef FAB_NRRD_INTERNAL_H
#define FAB_NRRD_INTERNAL_H

#include "nifti_internal.h"

#define FAB_NRRD_MAX_AXES 16

typedef enum fab_nrrd_encoding { FAB_NRRD_RAW, FAB_NRRD_GZIP, FAB_NRRD_ASCII } fab_nrrd_encoding;
typedef enum fab_nrrd_endian { FAB_NRRD_NO_ENDIAN, FAB_NRRD_LITTLE, FAB_NRRD_BIG } fab_nrrd_endian;

typedef struct fab_nrrd_header {
    const char *name; /* of the file, for messages */
    bool has_type, has_encoding, has_sizes, has_directions, has_origin;
    fab_nifti_raw raw;
    int raw_bytes, dimension;
    int64_t sizes[FAB_NRRD_MAX_AXES];
    fab_nrrd_encoding encoding;
    fab_nrrd_endian endian;
    double sign[2]; /* to LPS: of the world's x and y; 0 while no space is given */
    bool direction_none[FAB_NRRD_MAX_AXES];
    double direction[FAB_NRRD_MAX_AXES][3], origin[3];
    int64_t line_skip, byte_skip;
    char data_file[FAB_MAX_PATH_BYTES]; /* empty: attached */
    uint64_t end;                       /* offset of the byte after the header */
} fab_nrrd_header;

/* Reads and understands the header text of r. */
fab_status fab_nrrd_header_read(const fab_reader *r, fab_nrrd_header *h, fab_error *err);
/* One "key: value" line's value, already trimmed (nrrd_fields.c). Unknown keys are passed over. */
fab_status fab_nrrd_field(fab_nrrd_header *h, const char *key, const char *value, fab_error *err);
/* Size and LPS mm geometry. */
fab_status fab_nrrd_grid(const fab_nrrd_header *h, fab_grid *out, fab_error *err);

#endif
