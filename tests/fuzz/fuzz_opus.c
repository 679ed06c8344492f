/* Opus in Ogg of any bytes; what was accepted goes into a lesson that must be whole. */
#include <stdlib.h>

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
