/* bytes_internal.h - little-endian fields in and out, and what MCAP's records share. */
#ifndef FAB_RECORD_BYTES_INTERNAL_H
#define FAB_RECORD_BYTES_INTERNAL_H

#include <string.h>

#include "fabrica/record.h"

enum fab_mcap_opcode {
    MCAP_HEADER = 1, MCAP_FOOTER, MCAP_SCHEMA, MCAP_CHANNEL, MCAP_MESSAGE, MCAP_CHUNK,
    MCAP_MESSAGE_INDEX, MCAP_CHUNK_INDEX, MCAP_ATTACHMENT, MCAP_ATTACHMENT_INDEX, MCAP_STATISTICS,
    MCAP_METADATA, MCAP_METADATA_INDEX, MCAP_SUMMARY_OFFSET, MCAP_DATA_END
};
enum {
    MCAP_MAGIC_BYTES = 8,
    MCAP_PREFIX_BYTES = 9,   /* opcode and length */
    MCAP_MESSAGE_BYTES = 22, /* fixed fields of a message */
    MCAP_CHUNK_FIXED = 32,   /* start, end, size, crc, length of compression */
    MCAP_FOOTER_BYTES = 20,
    MCAP_CHUNK_TARGET = 256 << 10
};
extern const uint8_t fab_mcap_magic[MCAP_MAGIC_BYTES];

/* ---- out: each returns a status ---------------------------------------------------------- */

fab_status fab_put_uint(fab_buf *b, uint64_t value, int bytes, fab_error *err);
fab_status fab_put_string(fab_buf *b, const char *text, fab_error *err);
/* Object of strings as Map<string, string>; NULL: empty. */
fab_status fab_put_map(fab_buf *b, const fab_json *map, fab_error *err);
fab_status fab_put_varint(fab_buf *b, uint64_t value, fab_error *err); /* LEB128 */
void fab_poke_uint(uint8_t *at, uint64_t value, int bytes);

/* ---- in: a cursor that remembers where it is in the file ---------------------------------- */

typedef struct fab_cursor {
    const uint8_t *data;
    size_t size, at;
    uint64_t origin;   /* offset of data in the file */
    const char *what;  /* record's name, for messages */
    const char *file;
    fab_error *err;
} fab_cursor;

uint64_t fab_peek_uint(const uint8_t *at, int bytes);
/* FAB_ERR_FORMAT names record, field and offset. */
fab_status fab_take_uint(fab_cursor *c, int bytes, const char *field, uint64_t *out);
fab_status fab_take_bytes(fab_cursor *c, uint64_t count, const char *field, const uint8_t **out);
/* A string of at most FAB_LESSON_MAX_TEXT_BYTES without NUL; owned by the caller. */
fab_status fab_take_text(fab_cursor *c, const char *field, char **out);
fab_status fab_take_map(fab_cursor *c, const char *field, fab_json **out);
fab_status fab_take_varint(fab_cursor *c, const char *field, uint64_t *out);
fab_status fab_cursor_fail(fab_cursor *c, fab_status status, const char *field, const char *why);

#endif
