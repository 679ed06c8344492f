/* The live channel with a recording open. The input is messages: a byte of how (0-1 text, 2-3 a
 * batch with its head made good, 4 any binary, 5 time passes, 6 a whole message of the table
 * below), two bytes of length, then so many bytes. What is answered is JSON, the channel holds, and
 * a lesson that was finished is as written. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz_target.h"
#include "server_internal.h"

static char folder[64];
static fab_studio studio;
static const uint16_t ids[] = {1, 2, 5};

static void wake(void *ctx) { (void)ctx; }

static void clean(void) { (void)fab_path_remove_tree(folder, NULL); }

static void prepare(void)
{
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* no disk is worn */
    if (sodium_init() < 0) abort();
    snprintf(folder, sizeof folder, "%s/fab-fuzz-XXXXXX", tmp);
    if (!mkdtemp(folder)) abort();
    atexit(clean);
    studio = (fab_studio){.structures = ids, .structure_count = 3, .most_bytes = 1 << 24,
                          .wake = wake};
    snprintf(studio.folder, sizeof studio.folder, "%s/lessons", folder);
}

static const char start[] =
    "{\"type\":\"record.start\",\"title\":\"f\",\"language\":\"en\",\"software\":\"f\","
    "\"state\":null,\"channels\":[{\"kind\":\"pose\"},{\"kind\":\"hand\"},{\"kind\":\"voice\"}]}";
static const char *const whole[] = {
    start, "{\"type\":\"record.stop\"}", "{\"type\":\"ping\",\"t\":1}",
    "{\"type\":\"row\",\"row\":{\"op\":\"explode\",\"args\":{\"amount\":7},\"seq\":1,"
    "\"by\":\"a\",\"t\":1000}}",
    "{\"type\":\"row\",\"row\":{\"op\":\"chapter\",\"args\":{\"title\":\"c\"},\"seq\":2,"
    "\"by\":\"a\",\"t\":2000000}}",
    "{\"type\":\"meta\",\"t\":5000,\"object\":{\"event\":\"e\"}}",
    "{\"type\":\"record.attach\",\"name\":\"thumbnail.png\",\"media_type\":\"image/png\","
    "\"data\":\"AAAA\"}"};

/* Every line that was answered is a JSON object with a type. */
static void check_answer(const fab_buf *out)
{
    for (size_t at = 0; at < out->size;) {
        const uint8_t *end = memchr(out->data + at, '\n', out->size - at);
        size_t n = end ? (size_t)(end - out->data) - at : out->size - at;
        FAB_AUTO(fab_json_free) fab_json *o = NULL;
        if (fab_json_parse(out->data + at, n, "answer", &o, NULL) < 0) abort();
        if (!fab_json_is_string(fab_json_find(o, "type"))) abort();
        at += n + 1;
    }
}

/* A batch whose kind, zeros, time below an hour, version and count are good. */
static void mend(uint8_t *bytes, size_t size)
{
    if (size < 20) return;
    bytes[0] %= 3;
    memset(bytes + 1, 0, 7);
    memset(bytes + 12, 0, 4);
    uint32_t time_us = (uint32_t)(bytes[8] | bytes[9] << 8 | bytes[10] << 16) * 100;
    for (int i = 0; i < 4; i++) bytes[8 + i] = (uint8_t)(time_us >> 8 * i);
    bytes[16] = 1;
    bytes[17] = bytes[19] = 0;
    bytes[18] = (uint8_t)(bytes[18] % 8 + 1);
}

static fab_status take(fab_live *l, const uint8_t *at, size_t size, uint8_t how, double *now_s,
                       fab_buf *out)
{
    FAB_AUTO_FREE uint8_t *copy = fab_malloc(size ? size : 1); /* reads beyond it are seen */
    if (!copy) return FAB_OK;
    if (size) memcpy(copy, at, size);
    uint8_t kind = how % 8;
    if (kind < 2) return fab_live_text(l, copy, size, *now_s, out, NULL);
    if (kind < 4) mend(copy, size);
    if (kind < 5) return fab_live_binary(l, copy, size, *now_s, out, NULL);
    if (kind > 5) {
        const char *text = whole[how / 8 % (sizeof whole / sizeof *whole)];
        return fab_live_text(l, text, strlen(text), *now_s, out, NULL);
    }
    *now_s += size ? at[0] : 1;
    return fab_live_poll(l, *now_s, out, NULL);
}

/* Whatever came, what was finished is a whole lesson. */
static void check_lesson(void)
{
    char path[128];
    FAB_AUTO(fab_json_free) fab_json *report = NULL;
    fab_reader r;
    fab_error err = {0};
    snprintf(path, sizeof path, "%.100s/f.mcap", studio.folder);
    if (fab_reader_open_file(path, &r, NULL) < 0) return;
    if (fab_lesson_verify(&r, &report, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
    if (fab_json_is_true(fab_json_find(report, "cut"))) abort();
    fab_reader_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FAB_AUTO_BUF fab_buf out = {0};
    fab_live *l = NULL;
    double now_s = 1;
    if (!folder[0]) prepare();
    if (fab_live_open(&studio, FAB_ROLE_OWNER, &l, &out, NULL) < 0) abort();
    if (fab_live_text(l, start, sizeof start - 1, now_s, &out, NULL) < 0) abort();
    for (size_t at = 0; at + 3 <= size;) {
        uint8_t how = data[at];
        size_t n = (size_t)(data[at + 1] | data[at + 2] << 8);
        at += 3;
        if (n > size - at) n = size - at;
        if (take(l, data + at, n, how, &now_s, &out) < 0) abort();
        at += n;
    }
    fab_live_close(l);
    check_answer(&out);
    check_lesson();
    if (studio.running || fab_path_remove_tree(studio.folder, NULL) < 0) abort();
    return 0;
}
