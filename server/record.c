/* record.c - a recording: messages of the live channel (ADR 0113) become a lesson on the disk. It
 * sees no socket; live.c hands it what came and asks it what was saved.
 *
 *     record.start, row, meta, record.attach, batch  -> checked -> fab_lesson_writer -> fab_tape
 *
 * What a client says is checked twice: here by its form, in src/record by its meaning. */
#include "server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const double rest_s = 1; /* without a message */
enum { STREAMS = 3, MOST_NAMES = 1000, BATCH_HEAD = 16, ATTACHMENT_NAME = 64 };

struct fab_recording {
    fab_studio *studio;
    fab_tape *tape;
    fab_lesson_writer *writer;
    int folder;
    int streams[STREAMS];        /* by kind, -1: none */
    char name[FAB_LESSON_SLUG_BYTES];
    char attached[FAB_SERVER_MAX_ATTACHMENTS][ATTACHMENT_NAME];
    size_t attached_count;
    int64_t newest_us, checked_us;
    uint64_t dropped;
    double rested_s;             /* since when nothing came, 0: something did */
    bool waiting;                /* something is not in the file yet */
    bool broken;                 /* its file can no longer be written */
};

const char *fab_recording_name(const fab_recording *r) { return r->name; }

fab_recording *fab_recording_free(fab_recording *r)
{
    if (!r) return NULL;
    fab_lesson_writer_free(r->writer);
    if (r->tape && r->studio->shelf) fab_shelf_hold(r->studio->shelf, r->name, false);
    fab_tape_close(r->tape);
    if (r->folder >= 0) close(r->folder);
    r->studio->running--;
    return fab_free(r);
}
FAB_DEFINE_AUTO(fab_recording, fab_recording_free)

/* What a call of the writer means for the recording. */
static fab_status written(fab_recording *r, fab_status status)
{
    if (status == FAB_ERR_IO || status == FAB_ERR_NOSPACE || status == FAB_ERR_NOMEM)
        r->broken = true;
    return status;
}

static void reached(fab_recording *r, int64_t time_us)
{
    r->waiting = true;
    r->rested_s = 0;
    if (time_us > r->newest_us) r->newest_us = time_us;
}

/* A chunk that ends while something of time_us is written holds all that is older. */
static void mark(fab_recording *r, int64_t time_us)
{
    fab_tape_mark(r->tape, time_us < r->newest_us ? time_us : r->newest_us);
}

/* ---- start ------------------------------------------------------------------------------ */

static fab_status open_folder(const fab_studio *s, int *out, fab_error *err)
{
    if (mkdir(s->folder, 0777) != 0 && errno != EEXIST)
        FAB_FAIL(err, errno == ENOSPC ? FAB_ERR_NOSPACE : FAB_ERR_IO, "cannot make lessons/ in the "
                 "case: %s", strerror(errno));
    *out = open(s->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*out < 0)
        FAB_FAIL(err, FAB_ERR_IO, "cannot open lessons/ of the case: %s", strerror(errno));
    return FAB_OK;
}

static fab_status check_space(const fab_studio *s, int folder, fab_error *err)
{
    struct statvfs st;
    if (fstatvfs(folder, &st) != 0) return FAB_OK; /* a file system that does not say */
    uint64_t left = (uint64_t)st.f_bavail * st.f_frsize;
    if (left >= s->spare_bytes) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_NOSPACE, "the disk is nearly full: %.0f MB are free, %.0f are kept free",
             (double)left * 1e-6, (double)s->spare_bytes * 1e-6);
}

/* The first free of NAME, NAME-2, NAME-3 ... */
static fab_status open_tape(fab_recording *r, const char *title, fab_mcap_sink *sink,
                            fab_error *err)
{
    char slug[FAB_LESSON_SLUG_BYTES], file[FAB_LESSON_SLUG_BYTES + 8];
    const fab_studio *s = r->studio;
    fab_shelf_slug(title, slug);
    for (int n = 1; n < MOST_NAMES; n++) {
        if (n == 1) snprintf(r->name, sizeof r->name, "%s", slug);
        else snprintf(r->name, sizeof r->name, "%.*s-%d", FAB_LESSON_SLUG_BYTES - 6, slug, n);
        snprintf(file, sizeof file, "%s.mcap", r->name);
        if (faccessat(r->folder, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0) continue;
        if (s->shelf && strcmp(r->name, fab_shelf_given(s->shelf)) == 0) continue;
        if (s->shelf) fab_shelf_hold(s->shelf, r->name, true);
        fab_status status = fab_tape_open(r->folder, file, s->wake, s->ctx, &r->tape, sink, err);
        if (status == FAB_OK) return FAB_OK;
        if (s->shelf) fab_shelf_hold(s->shelf, r->name, false);
        if (status != FAB_ERR_ARG) return status;
    }
    FAB_FAIL(err, FAB_ERR_LIMIT, "there are %d lessons of this title: take another", MOST_NAMES);
}

static fab_status add_channel(fab_recording *r, const fab_json *channel, fab_error *err)
{
    const char *name = NULL;
    const fab_json *metadata = fab_json_find(channel, "metadata");
    FAB_TRY(fab_json_get_string(channel, "kind", &name, err));
    if (metadata && !fab_json_is_object(metadata) && !fab_json_is_null(metadata))
        FAB_FAIL(err, FAB_ERR_FORMAT, "metadata: not an object of texts");
    const char *key = NULL;
    const fab_json *value = NULL;
    void *at = NULL;
    while (fab_json_is_object(metadata) && fab_json_next(metadata, &at, &key, &value))
        if (!fab_json_is_string(value))
            FAB_FAIL(err, FAB_ERR_FORMAT, "metadata: \"%.40s\" is not a text", key);
    for (int kind = 0; kind < STREAMS; kind++) {
        if (strcmp(name, fab_lesson_kind_name((fab_lesson_kind)kind)) != 0) continue;
        if (r->streams[kind] >= 0) FAB_FAIL(err, FAB_ERR_FORMAT, "%s is named twice", name);
        return fab_lesson_add_stream(r->writer, (fab_lesson_kind)kind, "",
                                     fab_json_is_object(metadata) ? metadata : NULL,
                                     &r->streams[kind], err);
    }
    FAB_FAIL(err, FAB_ERR_FORMAT, "kind: \"%.40s\" is not pose, hand or voice", name);
}

static fab_status add_channels(fab_recording *r, const fab_json *message, fab_error *err)
{
    const fab_json *channels = fab_json_find(message, "channels");
    if (!fab_json_is_array(channels)) FAB_FAIL(err, FAB_ERR_FORMAT, "\"channels\" is not a list");
    for (size_t i = 0; i < fab_json_count(channels); i++)
        if (add_channel(r, fab_json_at(channels, i), err) < 0)
            return fab_error_prefix(err, "channels[%zu]", i);
    return FAB_OK;
}

static fab_status begin(fab_recording *r, const fab_json *message, const fab_mcap_sink *sink,
                        fab_error *err)
{
    char day[16];
    const fab_studio *s = r->studio;
    time_t now = time(NULL);
    struct tm local;
    localtime_r(&now, &local);
    strftime(day, sizeof day, "%Y-%m-%d", &local);
    const fab_json *state = fab_json_find(message, "state");
    fab_lesson_about about = {.created = day, .manifest_sha256 = s->manifest_sha256,
                              .labels_sha256 = s->labels_sha256, .structures = s->structures,
                              .structure_count = s->structure_count};
    FAB_TRY(fab_json_get_string(message, "title", &about.title, err));
    FAB_TRY(fab_json_get_string(message, "language", &about.language, err));
    FAB_TRY(fab_json_get_string(message, "software", &about.software, err));
    if (strlen(about.software) > 200) FAB_FAIL(err, FAB_ERR_FORMAT, "\"software\" is too long");
    FAB_TRY(fab_lesson_writer_create(sink, &about, &r->writer, err));
    FAB_TRY(add_channels(r, message, err));
    if (!state || fab_json_is_null(state)) return FAB_OK;
    if (fab_lesson_write_state(r->writer, 0, state, err) < 0) return fab_error_prefix(err, "state");
    return FAB_OK;
}

fab_status fab_recording_start(fab_studio *studio, const fab_json *message, fab_recording **out,
                               fab_error *err)
{
    char file[FAB_LESSON_SLUG_BYTES + 8];
    fab_mcap_sink sink;
    if (studio->running >= FAB_SERVER_MAX_RECORDINGS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%d are being recorded already", studio->running);
    FAB_AUTO(fab_recording_free) fab_recording *r = fab_calloc(1, sizeof *r);
    if (!r) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to record");
    studio->running++;
    r->studio = studio;
    r->folder = r->streams[0] = r->streams[1] = r->streams[2] = -1;
    r->checked_us = -1;
    FAB_TRY(open_folder(studio, &r->folder, err));
    FAB_TRY(check_space(studio, r->folder, err));
    FAB_TRY(open_tape(r, fab_text_of(message, "title"), &sink, err));
    fab_status status = begin(r, message, &sink, err);
    if (status < 0) { /* it never was */
        snprintf(file, sizeof file, "%s.mcap", r->name);
        (void)unlinkat(r->folder, file, 0);
        return status;
    }
    *out = r;
    r = NULL;
    return FAB_OK;
}

/* ---- while it runs ------------------------------------------------------------------------ */

fab_status fab_recording_row(fab_recording *r, const fab_json *message, fab_error *err)
{
    const fab_json *row = NULL;
    int64_t time_us = 0;
    FAB_TRY(fab_json_get_object(message, "row", &row, err));
    FAB_TRY(fab_json_get_int(row, "t", 0, FAB_LESSON_MAX_TIME_US, &time_us, err));
    mark(r, time_us);
    FAB_TRY(written(r, fab_lesson_write_row(r->writer, row, err)));
    reached(r, time_us);
    return FAB_OK;
}

fab_status fab_recording_meta(fab_recording *r, const fab_json *message, fab_error *err)
{
    const fab_json *object = NULL;
    int64_t time_us = 0;
    FAB_TRY(fab_json_get_int(message, "t", 0, FAB_LESSON_MAX_TIME_US, &time_us, err));
    FAB_TRY(fab_json_get_object(message, "object", &object, err));
    mark(r, time_us);
    FAB_TRY(written(r, fab_lesson_write_meta(r->writer, time_us, object, err)));
    reached(r, time_us);
    return FAB_OK;
}

/* "captions.LANGUAGE.vtt" with a language's letters. */
static bool is_captions(const char *name)
{
    size_t n = strlen(name);
    if (n < 14 || n >= ATTACHMENT_NAME || strncmp(name, "captions.", 9) != 0 ||
        strcmp(name + n - 4, ".vtt") != 0)
        return false;
    return strspn(name + 9, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") ==
           n - 13;
}

/* Those that docs/formats/lesson.md knows, and no other. */
static fab_status check_attachment(const fab_recording *r, const char *name, const char *type,
                                   const uint8_t *data, size_t size, fab_error *err)
{
    static const struct {
        const char *name, *type;
    } known[] = {{"thumbnail.png", "image/png"}, {"thumbnail.jpg", "image/jpeg"},
                 {"thumbnail.webp", "image/webp"}, {"consent.json", "application/json"}};
    const char *wanted = is_captions(name) ? "text/vtt" : NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i].name) == 0) wanted = known[i].type;
    if (!wanted)
        FAB_FAIL(err, FAB_ERR_FORMAT, "name: \"%.60s\" is not captions.LANGUAGE.vtt, "
                 "thumbnail.png, .jpg, .webp or consent.json", name);
    if (strcmp(type, wanted) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "media_type: \"%.60s\" is not %s", type, wanted);
    for (size_t i = 0; i < r->attached_count; i++)
        if (strcmp(r->attached[i], name) == 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "name: %s is attached already", name);
    if (r->attached_count == FAB_SERVER_MAX_ATTACHMENTS)
        FAB_FAIL(err, FAB_ERR_LIMIT, "more than %d attachments", FAB_SERVER_MAX_ATTACHMENTS);
    if (wanted[0] == 't') return fab_webvtt_retime((const char *)data, size, 0, -1, NULL, err);
    if (wanted[0] == 'i') return FAB_OK;
    FAB_AUTO(fab_json_free) fab_json *consent = NULL;
    FAB_TRY(fab_json_parse(data, size, name, &consent, err));
    return fab_lesson_check_private(consent, err);
}

fab_status fab_recording_attach(fab_recording *r, const fab_json *message, fab_error *err)
{
    const char *name = NULL, *type = NULL, *text = NULL;
    size_t size = 0;
    FAB_TRY(fab_json_get_string(message, "name", &name, err));
    FAB_TRY(fab_json_get_string(message, "media_type", &type, err));
    FAB_TRY(fab_json_get_string(message, "data", &text, err));
    size_t length = strlen(text), most = length / 4 * 3 + 3;
    if (most > FAB_SERVER_MAX_ATTACHMENT_BYTES + 3)
        FAB_FAIL(err, FAB_ERR_LIMIT, "data: more than %u bytes", FAB_SERVER_MAX_ATTACHMENT_BYTES);
    FAB_AUTO_FREE uint8_t *data = fab_malloc(most);
    if (!data) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an attachment");
    if (sodium_base642bin(data, most, text, length, NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 || !size)
        FAB_FAIL(err, FAB_ERR_FORMAT, "data: not base64, or nothing");
    FAB_TRY(check_attachment(r, name, type, data, size, err));
    mark(r, r->newest_us);
    FAB_TRY(written(r, fab_lesson_attach(r->writer, name, type, data, size, err)));
    snprintf(r->attached[r->attached_count++], ATTACHMENT_NAME, "%s", name);
    return FAB_OK;
}

static fab_status batch(fab_recording *r, const uint8_t *at, size_t count, fab_error *err)
{
    static const uint8_t zeros[7];
    uint64_t time_us = 0;
    int64_t end_us = 0;
    if (count < BATCH_HEAD) FAB_FAIL(err, FAB_ERR_FORMAT, "a binary message of %zu bytes", count);
    for (int i = 7; i >= 0; i--) time_us = time_us << 8 | at[8 + i];
    if (at[0] >= STREAMS || memcmp(at + 1, zeros, sizeof zeros) != 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "a binary message begins with its kind, 0 to 2, and 7 zeros");
    if (r->streams[at[0]] < 0)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s is not among this recording's channels",
                 fab_lesson_kind_name((fab_lesson_kind)at[0]));
    if (time_us > (uint64_t)FAB_LESSON_MAX_TIME_US)
        FAB_FAIL(err, FAB_ERR_FORMAT, "log time: over 48 h");
    mark(r, (int64_t)time_us);
    FAB_TRY(written(r, fab_lesson_write_batch(r->writer, (fab_lesson_kind)at[0],
                                              r->streams[at[0]], (int64_t)time_us, at + BATCH_HEAD,
                                              count - BATCH_HEAD, &end_us, err)));
    reached(r, end_us);
    return FAB_OK;
}

fab_status fab_recording_batch(fab_recording *r, const void *bytes, size_t count, fab_error *err)
{
    fab_status status = batch(r, bytes, count, err);
    if (status < 0) r->dropped++;
    return status;
}

/* While samples come a chunk ends each second; a row before a silence must not wait for more. */
fab_status fab_recording_rest(fab_recording *r, double now_s, fab_error *err)
{
    if (!r->waiting || r->broken) return FAB_OK;
    if (r->rested_s == 0) r->rested_s = now_s;
    if (now_s - r->rested_s < rest_s) return FAB_OK;
    r->waiting = false;
    mark(r, r->newest_us);
    FAB_TRY(written(r, fab_lesson_flush(r->writer, err)));
    return written(r, fab_tape_sync(r->tape, err));
}

fab_status fab_recording_check(fab_recording *r, int64_t *saved_us, fab_error *err)
{
    fab_status status = fab_tape_saved(r->tape, saved_us, err);
    if (status < 0) r->broken = true;
    FAB_TRY(status);
    if (r->newest_us > FAB_SERVER_MAX_RECORDED_US)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a lesson is at most %d hours long",
                 (int)(FAB_SERVER_MAX_RECORDED_US / 3600000000));
    if (fab_tape_bytes(r->tape) > r->studio->most_bytes)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a lesson has at most %.0f MB",
                 (double)r->studio->most_bytes * 1e-6);
    if (*saved_us == r->checked_us) return FAB_OK;
    r->checked_us = *saved_us;
    return check_space(r->studio, r->folder, err);
}

fab_status fab_recording_finish(fab_recording *r, fab_recorded *out, fab_error *err)
{
    fab_recorded done = {.duration_us = r->newest_us, .dropped = r->dropped};
    if (r->broken) FAB_FAIL(err, FAB_ERR_IO, "the lesson ends where it was saved last");
    mark(r, r->newest_us);
    FAB_TRY(written(r, fab_lesson_finish(r->writer, err)));
    FAB_TRY(written(r, fab_tape_finish(r->tape, &done.bytes, done.sha256, err)));
    snprintf(done.name, sizeof done.name, "%s", r->name);
    if (out) *out = done;
    return FAB_OK;
}
