/* mcap_internal.h - what the reader's files share. */
#ifndef FAB_RECORD_MCAP_INTERNAL_H
#define FAB_RECORD_MCAP_INTERNAL_H

#include "bytes_internal.h"

typedef struct mcap_place {
    uint64_t offset, length;
    char *name;
} mcap_place;

typedef struct mcap_schema {
    uint16_t id;
    uint32_t crc; /* of its record: two of one id are the same */
} mcap_schema;

struct fab_mcap {
    const fab_reader *source;
    char *profile, *library;
    bool cut;
    uint64_t data_start;        /* behind the header */
    uint64_t whole;             /* end of what is used */
    uint64_t data_end, data_stop; /* DataEnd and what follows it */
    bool has_footer, has_statistics;
    uint64_t summary_start;
    uint32_t data_crc;
    fab_mcap_channel *channels; /* ascending ids */
    size_t channel_count;
    mcap_schema *schemas;
    size_t schema_count;
    fab_mcap_chunk *chunks;
    size_t chunk_count;
    fab_mcap_attachment *attachments;
    size_t attachment_count;
    mcap_place *metadata;
    size_t metadata_count;
    uint64_t message_count;     /* of Statistics or the scan */
    fab_buf loaded, record;     /* records of the loaded chunk; scratch */
    size_t at, chunk;
};

enum { MCAP_CHUNK_HEAD = MCAP_CHUNK_FIXED + 8 }; /* to the records, if nothing is compressed */

/* Makes room for one more of `size` bytes in an array of count elements, at most `most`. */
fab_status fab_mcap_grow(void **array, size_t count, size_t size, size_t most, const char *what,
                         fab_error *err);
/* A cursor on record content that lies at `origin` in the file. */
fab_cursor fab_mcap_cursor(const fab_mcap *m, const uint8_t *data, size_t size, uint64_t origin,
                           const char *what, fab_error *err);
/* Each adds what one record says. */
fab_status fab_mcap_add_schema(fab_mcap *m, fab_cursor *c);
fab_status fab_mcap_add_channel(fab_mcap *m, fab_cursor *c);
fab_status fab_mcap_add_chunk_index(fab_mcap *m, fab_cursor *c);
fab_status fab_mcap_add_attachment_index(fab_mcap *m, fab_cursor *c);
/* Adds what was read with `status`; if that or the room fails, frees it. */
fab_status fab_mcap_keep_attachment(fab_mcap *m, fab_status status, fab_mcap_attachment *one,
                                    fab_error *err);
fab_status fab_mcap_add_metadata_index(fab_mcap *m, fab_cursor *c);
fab_status fab_mcap_add_statistics(fab_mcap *m, fab_cursor *c);
fab_mcap_channel *fab_mcap_find_channel(const fab_mcap *m, uint16_t id);
/* Fields of a chunk record before its records. */
fab_status fab_mcap_chunk_head(fab_cursor *c, fab_mcap_chunk *chunk);
/* Head, and content into m->record: at most FAB_LESSON_MAX_RECORD_BYTES. */
fab_status fab_mcap_read_head(const fab_mcap *m, uint64_t offset, uint8_t *opcode,
                              uint64_t *length, fab_error *err);
fab_status fab_mcap_read_content(fab_mcap *m, uint64_t offset, uint64_t length, fab_buf *into,
                                 fab_error *err);
/* Attachment record at offset: its fields; data (may be NULL) is appended. CRC checked. */
fab_status fab_mcap_attachment_fields(const fab_mcap *m, uint64_t offset, uint64_t length,
                                      fab_mcap_attachment *out, fab_buf *data, fab_error *err);
fab_status fab_mcap_scan(fab_mcap *m, bool strict, fab_error *err);

#endif
