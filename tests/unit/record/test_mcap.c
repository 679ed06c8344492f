/* The container: written and read, cut at every byte, every bit flipped, lengths that lie. */
#include "bytes_internal.h"
#include "lesson_build.h"

static fab_error err;

/* Channels 1 and 2, `chunks` chunks of 3 messages, an attachment, metadata. */
static void build(fab_buf *out, int chunks)
{
    fab_writer w;
    fab_writer_to_buf(out, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    fab_mcap_writer *m = NULL;
    fab_json *map = fab_json_object();
    uint16_t schema = 0, a = 0, b = 0;
    CHECK_OK(fab_json_set(map, "k", fab_json_string("v"), &err));
    CHECK_OK(fab_mcap_writer_create(&sink, "p", "l", &m, &err));
    CHECK_OK(fab_mcap_write_metadata(m, "about", map, &err));
    CHECK_OK(fab_mcap_write_schema(m, "s", "jsonschema", "{}", &schema, &err));
    CHECK_OK(fab_mcap_write_channel(m, schema, "one", "json", map, &a, &err));
    CHECK_OK(fab_mcap_write_channel(m, 0, "two", "raw", NULL, &b, &err));
    for (int i = 0; i < chunks; i++) {
        uint64_t t = (uint64_t)i * 1000000000;
        CHECK_OK(fab_mcap_write_message(m, b, 0, t + 5, "xy", 2, &err));
        CHECK_OK(fab_mcap_write_message(m, a, 1, t + 3, "abc", 3, &err));
        CHECK_OK(fab_mcap_write_message(m, b, 2, t + 9, "", 0, &err));
        CHECK_OK(fab_mcap_end_chunk(m, &err));
    }
    CHECK_OK(fab_mcap_write_attachment(m, 7, "n.txt", "text/plain", "hello", 5, &err));
    CHECK_OK(fab_mcap_finish(m, &err));
    CHECK_FAILS(FAB_ERR_ARG, "finished", fab_mcap_end_chunk(m, &err));
    fab_mcap_writer_free(m);
    fab_json_free(map);
}

static void check_all(const fab_reader *r, bool scan)
{
    fab_mcap *m = NULL;
    fab_mcap_message message;
    fab_json *map = NULL;
    FAB_AUTO_BUF fab_buf data = {0};
    CHECK_OK(scan ? fab_mcap_open_scan(r, &m, &err) : fab_mcap_open(r, &m, &err));
    CHECK(!fab_mcap_is_cut(m) && fab_mcap_chunk_count(m) == 2);
    CHECK(!strcmp(fab_mcap_profile(m), "p") && !strcmp(fab_mcap_library(m), "l"));
    CHECK(fab_mcap_channel_count(m) == 2 && fab_mcap_whole_bytes(m) == r->size);
    CHECK(!strcmp(fab_mcap_channel_by_id(m, 1)->topic, "one"));
    CHECK(fab_mcap_channel_by_id(m, 2)->messages == 4 && !fab_mcap_channel_by_id(m, 3));
    CHECK(!strcmp(fab_text_of(fab_mcap_channel_by_id(m, 1)->metadata, "k"), "v"));
    CHECK(fab_mcap_chunk_at(m, 1)->start_ns == 1000000003);
    CHECK(fab_mcap_chunk_at(m, 1)->end_ns == 1000000009);
    CHECK(fab_mcap_chunk_at(m, 1)->channel_count == 2 && !fab_mcap_chunk_at(m, 2));
    CHECK_OK(fab_mcap_load_chunk(m, 1, &err));
    CHECK_OK(fab_mcap_next_message(m, &message, &err));
    CHECK(message.channel == 2 && message.size == 2 && !memcmp(message.data, "xy", 2));
    CHECK_OK(fab_mcap_next_message(m, &message, &err));
    CHECK(message.channel == 1 && message.sequence == 1 && message.time_ns == 1000000003);
    CHECK_OK(fab_mcap_next_message(m, &message, &err));
    CHECK(fab_mcap_next_message(m, &message, &err) == FAB_MCAP_END);
    CHECK(fab_mcap_attachment_count(m) == 1);
    CHECK(!strcmp(fab_mcap_attachment_at(m, 0)->name, "n.txt"));
    CHECK_OK(fab_mcap_read_attachment(m, 0, &data, &err));
    CHECK(data.size == 5 && !memcmp(data.data, "hello", 5));
    CHECK_OK(fab_mcap_read_metadata(m, "about", &map, &err));
    CHECK(!strcmp(fab_text_of(map, "k"), "v"));
    fab_json_free(map);
    CHECK_FAILS(FAB_ERR_NOTFOUND, "\"x\"", fab_mcap_read_metadata(m, "x", &map, &err));
    fab_mcap_free(m);
}

static void written_and_read(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    fab_reader r;
    CHECK(fab_crc32(0, "123456789", 9) == 0xCBF43926);
    CHECK(fab_crc32(fab_crc32(0, "1234", 4), "56789", 5) == 0xCBF43926);
    build(&out, 2);
    fab_reader_from_memory(out.data, out.size, "memory.mcap", &r);
    check_all(&r, false);
    check_all(&r, true);
}

/* Where the message records of all chunks end, in the file. */
static size_t message_ends(const fab_buf *all, size_t *ends)
{
    fab_reader r;
    fab_mcap *m = NULL;
    fab_mcap_message message;
    size_t count = 0;
    fab_reader_from_memory(all->data, all->size, "whole.mcap", &r);
    CHECK_OK(fab_mcap_open(&r, &m, &err));
    for (size_t i = 0; i < fab_mcap_chunk_count(m); i++) {
        CHECK_OK(fab_mcap_load_chunk(m, i, &err));
        while (fab_mcap_next_message(m, &message, &err) == FAB_OK)
            ends[count++] = (size_t)fab_mcap_chunk_at(m, i)->records + message.at +
                            MCAP_PREFIX_BYTES + MCAP_MESSAGE_BYTES + message.size;
    }
    fab_mcap_free(m);
    return count;
}

/* A file of any length has every message whose record is whole, and says that it is cut. */
static void cut_at_every_byte(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    size_t ends[9], opened = 0;
    build(&out, 3);
    CHECK(message_ends(&out, ends) == 9);
    for (size_t size = 0; size < out.size; size++) {
        fab_reader r;
        fab_mcap *m = NULL;
        fab_mcap_message message;
        size_t expected = 0, found = 0;
        fab_reader_from_memory(out.data, size, "cut.mcap", &r);
        fab_status status = fab_mcap_open(&r, &m, &err);
        CHECK(status == FAB_OK || (status == FAB_ERR_FORMAT && size < 27));
        if (status < 0) continue;
        while (expected < 9 && ends[expected] <= size) expected++;
        for (size_t i = 0; i < fab_mcap_chunk_count(m); i++) {
            CHECK_OK(fab_mcap_load_chunk(m, i, &err));
            while (fab_mcap_next_message(m, &message, &err) == FAB_OK) found++;
        }
        CHECK(found == expected && fab_mcap_is_cut(m) && fab_mcap_whole_bytes(m) <= size);
        fab_mcap_free(m);
        opened++;
    }
    CHECK(opened == out.size - 27);
    /* what a crash of the machine leaves: zeros from somewhere on */
    for (size_t size = 27; size < ends[8]; size++) {
        FAB_AUTO_BUF fab_buf holes = {0};
        fab_reader r;
        fab_mcap *m = NULL;
        CHECK_OK(fab_buf_append(&holes, out.data, out.size, &err));
        memset(holes.data + size, 0, out.size - size);
        fab_reader_from_memory(holes.data, holes.size, "holes.mcap", &r);
        fab_status status = fab_mcap_open(&r, &m, &err);
        if (status == FAB_OK) CHECK(fab_mcap_is_cut(m));
        else CHECK(status == FAB_ERR_FORMAT);
        fab_mcap_free(m);
    }
}

/* Any bit of a finished file that is not right is seen by the strict reader. */
static void every_bit_flipped(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    size_t unseen = 0;
    build(&out, 2);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        fab_reader r;
        fab_mcap *m = NULL;
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        fab_reader_from_memory(out.data, out.size, "flip.mcap", &r);
        fab_status status = fab_mcap_open_scan(&r, &m, &err);
        /* in the magic at the end or the footer's head the file looks cut: that is said too */
        if (status == FAB_OK && !fab_mcap_is_cut(m)) unseen++;
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        fab_mcap_free(m);
    }
    CHECK(unseen == 0);
}

/* Fields of 8 bytes overwritten by what should be refused; the reader says where. */
static void lengths_that_lie(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    build(&out, 2);
    static const uint64_t lies[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF, UINT64_MAX, UINT64_MAX - 8,
                                    (uint64_t)1 << 62};
    for (size_t at = 8; at + 8 <= out.size; at++)
        for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
            uint8_t kept[8];
            fab_reader r;
            fab_mcap *m = NULL;
            memcpy(kept, out.data + at, 8);
            fab_poke_uint(out.data + at, lies[k], 8);
            fab_reader_from_memory(out.data, out.size, "lie.mcap", &r);
            for (int scan = 0; scan < 2; scan++) {
                err.message[0] = 0;
                fab_status status =
                    scan ? fab_mcap_open_scan(&r, &m, &err) : fab_mcap_open(&r, &m, &err);
                CHECK(status == FAB_OK || strstr(err.message, "lie.mcap") || err.message[0]);
                for (size_t i = 0; m && i < fab_mcap_chunk_count(m); i++) {
                    fab_mcap_message message;
                    if (fab_mcap_load_chunk(m, i, &err) < 0) continue;
                    while (fab_mcap_next_message(m, &message, &err) == FAB_OK) continue;
                }
                m = fab_mcap_free(m);
            }
            memcpy(out.data + at, kept, 8);
        }
}

static void named_refusals(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    fab_reader r;
    fab_mcap *m = NULL;
    build(&out, 2);
    fab_reader_from_memory("hello, world", 12, "words.mcap", &r);
    CHECK_FAILS(FAB_ERR_FORMAT, "words.mcap: no MCAP file", fab_mcap_open(&r, &m, &err));
    fab_reader_from_memory(out.data, out.size, "bad.mcap", &r);
    CHECK_OK(fab_mcap_open(&r, &m, &err));
    size_t chunk = (size_t)fab_mcap_chunk_at(m, 0)->offset;
    m = fab_mcap_free(m);
    out.data[chunk + 60] ^= 1;
    CHECK_OK(fab_mcap_open(&r, &m, &err));
    CHECK_FAILS(FAB_ERR_INTEGRITY, "its CRC does not match", fab_mcap_load_chunk(m, 0, &err));
    m = fab_mcap_free(m);
    out.data[chunk + 60] ^= 1;
    out.data[out.size - 40] ^= 1;
    CHECK_FAILS(FAB_ERR_INTEGRITY, "summary at byte", fab_mcap_open(&r, &m, &err));
    out.data[out.size - 40] ^= 1;
    memcpy(out.data + chunk + 9 + 28, "\4\0\0\0", 4); /* compression of 4 bytes */
    CHECK_FAILS(FAB_ERR_UNSUPPORTED, "compression \"", fab_mcap_open_scan(&r, &m, &err));
}

/* A write that fails ends the recording: no silent gap. */
static fab_status no_space(void *ctx, const void *bytes, size_t count, fab_error *e)
{
    int *left = ctx;
    (void)bytes;
    (void)count;
    if ((*left)-- > 0) return FAB_OK;
    return fab_error_set(e, FAB_ERR_NOSPACE, "disk full");
}

static void a_full_disk(void)
{
    int left = 2;
    fab_writer w = {.ctx = &left, .write = no_space};
    const fab_mcap_sink sink = {&w, NULL, NULL};
    fab_mcap_writer *m = NULL;
    uint16_t channel = 0;
    CHECK_OK(fab_mcap_writer_create(&sink, "p", "l", &m, &err));
    CHECK_OK(fab_mcap_write_channel(m, 0, "t", "raw", NULL, &channel, &err));
    CHECK_OK(fab_mcap_write_message(m, channel, 0, 1, "x", 1, &err));
    CHECK_FAILS(FAB_ERR_NOSPACE, "disk full", fab_mcap_end_chunk(m, &err));
    CHECK_FAILS(FAB_ERR_IO, "given up", fab_mcap_write_message(m, channel, 0, 1, "x", 1, &err));
    CHECK_FAILS(FAB_ERR_IO, "given up", fab_mcap_finish(m, &err));
    fab_mcap_writer_free(m);
}

static void chunks_end_in_time(void)
{
    FAB_AUTO_BUF fab_buf out = {0};
    fab_writer w;
    fab_reader r;
    fab_mcap_writer *m = NULL;
    fab_mcap *back = NULL;
    uint16_t channel = 0;
    static uint8_t block[100000];
    fab_writer_to_buf(&out, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    CHECK_OK(fab_mcap_writer_create(&sink, "p", "l", &m, &err));
    CHECK_OK(fab_mcap_write_channel(m, 0, "t", "raw", NULL, &channel, &err));
    for (int i = 0; i < 10; i++)
        CHECK_OK(fab_mcap_write_message(m, channel, 0, 1, block, sizeof block, &err));
    CHECK_OK(fab_mcap_finish(m, &err));
    fab_mcap_writer_free(m);
    fab_reader_from_memory(out.data, out.size, "big.mcap", &r);
    CHECK_OK(fab_mcap_open_scan(&r, &back, &err));
    CHECK(fab_mcap_chunk_count(back) == 5);
    for (size_t i = 0; i < 5; i++) CHECK(fab_mcap_chunk_at(back, i)->bytes <= 256 << 10);
    fab_mcap_free(back);
}

int main(void)
{
    return FAB_RUN(TEST(written_and_read), TEST(cut_at_every_byte), TEST(every_bit_flipped),
                   TEST(lengths_that_lie), TEST(named_refusals), TEST(a_full_disk),
                   TEST(chunks_end_in_time));
}
