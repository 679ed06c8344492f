/* Opus in Ogg of any bytes; what was accepted goes into a lesson that must be whole. A page has a
 * CRC: the fuzzer's own changes get a right one, or nothing behind it would ever be reached. */
#include <stdlib.h>
#include <string.h>

#include "fabrica/record.h"
#include "fuzz_target.h"

static const fab_lesson_about about = {
    .title = "A lesson", .language = "en", .created = "2026-11-22", .manifest_sha256 = "",
    .labels_sha256 = "", .software = "fuzz"};

/* A lesson of one row at the start and one at two seconds. */
static void make(fab_buf *into)
{
    fab_error err;
    fab_writer w;
    fab_lesson_writer *to = NULL;
    fab_writer_to_buf(into, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    if (fab_lesson_writer_create(&sink, &about, &to, &err) < 0) abort();
    for (int i = 1; i < 3; i++) {
        fab_buf text = {0};
        fab_json *row = NULL;
        if (fab_buf_appendf(&text, &err, "{\"op\":\"explode\",\"args\":{\"amount\":%d},\"seq\":%d,"
                            "\"by\":\"a\",\"t\":%d}", i, i, (i - 1) * 2000000) < 0 ||
            fab_json_parse(text.data, text.size, "row", &row, &err) < 0 ||
            fab_lesson_write_row(to, row, &err) < 0)
            abort();
        fab_json_free(row);
        fab_buf_free(&text);
    }
    if (fab_lesson_finish(to, &err) < 0) abort();
    fab_lesson_writer_free(to);
}

static void put_in(const fab_opus_track *voice)
{
    fab_buf plain = {0}, out = {0};
    fab_error err;
    fab_reader r, again;
    fab_writer w;
    fab_json *report = NULL;
    make(&plain);
    fab_reader_from_memory(plain.data, plain.size, "plain.mcap", &r);
    fab_writer_to_buf(&out, &w);
    const fab_mcap_sink sink = {&w, NULL, NULL};
    const fab_lesson_edit edit = {.to_us = -1, .set_voice = true, .voice_to_us = -1,
                                  .voice = voice};
    fab_status status = fab_lesson_rewrite(&r, &edit, &sink, &err);
    if (status < 0 && status != FAB_ERR_ARG) abort(); /* too long is all there is to refuse */
    fab_reader_from_memory(out.data, out.size, "voiced.mcap", &again);
    if (status == FAB_OK && fab_lesson_verify(&again, &report, &err) < 0) abort();
    fab_json_free(report);
    fab_buf_free(&plain);
    fab_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fab_reader r;
    fab_error err;
    fab_opus_track voice;
    fab_reader_from_memory(data, size, "fuzz.opus", &r);
    if (fab_opus_read_ogg(&r, &voice, &err) < 0) return 0;
    put_in(&voice);
    fab_opus_track_free(&voice);
    return 0;
}

#ifdef FAB_LIBFUZZER
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

/* RFC 3533: polynomial 0x04c11db7, no reflection, its own field taken as 0. */
static void mend_page(uint8_t *page, size_t size)
{
    uint32_t crc = 0;
    memset(page + 22, 0, 4);
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)page[i] << 24;
        for (int bit = 0; bit < 8; bit++) crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7u : 0);
    }
    for (int i = 0; i < 4; i++) page[22 + i] = (uint8_t)(crc >> 8 * i);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed)
{
    enum { HEAD = 27 };
    size_t made = LLVMFuzzerMutate(data, size, most);
    if (seed % 16 == 0) return made; /* a wrong one is a case too */
    for (size_t at = 0; at + HEAD <= made;) {
        size_t page = HEAD + data[at + 26];
        if (memcmp(data + at, "OggS", 4) != 0 || at + page > made) {
            at++;
            continue;
        }
        for (size_t i = 0; i < data[at + 26]; i++) page += data[at + HEAD + i];
        if (at + page > made) break;
        mend_page(data + at, page);
        at += page;
    }
    return made;
}
#endif
