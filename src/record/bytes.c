/* bytes.c - little-endian fields and MCAP's strings and maps, in and out. Every length that comes
 * from outside is compared with what is left before it is used. */
#include "bytes_internal.h"

const uint8_t fab_mcap_magic[MCAP_MAGIC_BYTES] = {0x89, 'M', 'C', 'A', 'P', '0', '\r', '\n'};

void fab_poke_uint(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
}

fab_status fab_put_uint(fab_buf *b, uint64_t value, int bytes, fab_error *err)
{
    uint8_t little[8];
    fab_poke_uint(little, value, bytes);
    return fab_buf_append(b, little, (size_t)bytes, err);
}

fab_status fab_put_string(fab_buf *b, const char *text, fab_error *err)
{
    size_t length = strlen(text);
    if (length > FAB_LESSON_MAX_TEXT_BYTES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a text of %zu bytes, at most %u are written", length,
                 FAB_LESSON_MAX_TEXT_BYTES);
    FAB_TRY(fab_put_uint(b, length, 4, err));
    return fab_buf_append(b, text, length, err);
}

fab_status fab_put_map(fab_buf *b, const fab_json *map, fab_error *err)
{
    const char *key = NULL;
    const fab_json *value = NULL;
    size_t start = b->size;
    FAB_TRY(fab_put_uint(b, 0, 4, err));
    for (void *cursor = NULL; map && fab_json_next(map, &cursor, &key, &value);) {
        if (!fab_json_is_string(value))
            FAB_FAIL(err, FAB_ERR_ARG, "metadata \"%.80s\" is not a text", key);
        FAB_TRY(fab_put_string(b, key, err));
        FAB_TRY(fab_put_string(b, fab_json_text(value), err));
    }
    fab_poke_uint(b->data + start, b->size - start - 4, 4);
    return FAB_OK;
}

fab_status fab_put_varint(fab_buf *b, uint64_t value, fab_error *err)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) bytes[n++] = (uint8_t)(value | 0x80);
    bytes[n++] = (uint8_t)value;
    return fab_buf_append(b, bytes, n, err);
}

uint64_t fab_peek_uint(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i--;) value = value << 8 | at[i];
    return value;
}

fab_status fab_cursor_fail(fab_cursor *c, fab_status status, const char *field, const char *why)
{
    FAB_FAIL(c->err, status, "%s: %s at byte %llu: %s: %s", c->file, c->what,
             (unsigned long long)(c->origin + c->at), field, why);
}

fab_status fab_take_bytes(fab_cursor *c, uint64_t count, const char *field, const uint8_t **out)
{
    if (count > c->size - c->at)
        FAB_FAIL(c->err, FAB_ERR_FORMAT, "%s: %s at byte %llu: %s: %llu bytes, %zu are left",
                 c->file, c->what, (unsigned long long)(c->origin + c->at), field,
                 (unsigned long long)count, c->size - c->at);
    *out = c->data + c->at;
    c->at += (size_t)count;
    return FAB_OK;
}

fab_status fab_take_uint(fab_cursor *c, int bytes, const char *field, uint64_t *out)
{
    const uint8_t *at = NULL;
    FAB_TRY(fab_take_bytes(c, (uint64_t)bytes, field, &at));
    *out = fab_peek_uint(at, bytes);
    return FAB_OK;
}

fab_status fab_take_text(fab_cursor *c, const char *field, char **out)
{
    uint64_t length = 0;
    const uint8_t *at = NULL;
    FAB_TRY(fab_take_uint(c, 4, field, &length));
    FAB_TRY(fab_take_bytes(c, length, field, &at));
    if (length > FAB_LESSON_MAX_TEXT_BYTES)
        return fab_cursor_fail(c, FAB_ERR_LIMIT, field, "the text is too long");
    if (memchr(at, 0, (size_t)length))
        return fab_cursor_fail(c, FAB_ERR_FORMAT, field, "a text with a NUL in it");
    char *text = fab_malloc((size_t)length + 1);
    if (!text) return fab_cursor_fail(c, FAB_ERR_NOMEM, field, "no memory");
    memcpy(text, at, (size_t)length);
    text[length] = 0;
    *out = text;
    if (fab_utf8_valid(text)) return FAB_OK;
    *out = fab_free(text);
    return fab_cursor_fail(c, FAB_ERR_FORMAT, field, "not UTF-8");
}

static fab_status take_entry(fab_cursor *c, const char *field, fab_json *map)
{
    FAB_AUTO_FREE char *key = NULL;
    FAB_AUTO_FREE char *value = NULL;
    FAB_TRY(fab_take_text(c, field, &key));
    FAB_TRY(fab_take_text(c, field, &value));
    if (fab_json_find(map, key))
        return fab_cursor_fail(c, FAB_ERR_FORMAT, field, "a key is there twice");
    if (fab_json_count(map) >= FAB_LESSON_MAX_MAP_ENTRIES)
        return fab_cursor_fail(c, FAB_ERR_LIMIT, field, "too many entries");
    return fab_json_set(map, key, fab_json_string(value), c->err);
}

fab_status fab_take_map(fab_cursor *c, const char *field, fab_json **out)
{
    FAB_AUTO(fab_json_free) fab_json *map = fab_json_object();
    uint64_t length = 0;
    const uint8_t *at = NULL;
    if (!map) return fab_cursor_fail(c, FAB_ERR_NOMEM, field, "no memory");
    FAB_TRY(fab_take_uint(c, 4, field, &length));
    fab_cursor inside = *c;
    FAB_TRY(fab_take_bytes(c, length, field, &at));
    inside.size = inside.at + (size_t)length;
    while (inside.at < inside.size) FAB_TRY(take_entry(&inside, field, map));
    *out = map;
    map = NULL;
    return FAB_OK;
}

fab_status fab_take_varint(fab_cursor *c, const char *field, uint64_t *out)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
        uint64_t byte = 0;
        FAB_TRY(fab_take_uint(c, 1, field, &byte));
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return FAB_OK;
        }
    }
    return fab_cursor_fail(c, FAB_ERR_FORMAT, field, "a number longer than 63 bits");
}
