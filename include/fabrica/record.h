/* fabrica/record.h - spatial lessons: what a teacher did, said and changed in a scene, as a file.
 *
 * Three layers, each usable alone:
 *   fab_mcap    the container: MCAP (https://mcap.dev/spec), written append-only, read by its index
 *               or, when the file was cut, by a scan
 *   fab_scene   the scene operations of contract/operations.json: rows in, state and hash out
 *   fab_lesson  the profile "fabrica-lesson" (docs/formats/lesson.md) on both
 * Everything that is recorded is integers; what a session showed is what was recorded (ADR 0112).
 * Times are microseconds from the start of the lesson (nanoseconds in the container).
 */
#ifndef FABRICA_RECORD_H
#define FABRICA_RECORD_H

#include "fabrica/base.h"
#include "fabrica/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* CRC-32 (ISO-HDLC: polynomial 0xEDB88320, as in zlib) of count bytes that follow what gave
 * `before`; start with 0. */
uint32_t fab_crc32(uint32_t before, const void *bytes, size_t count);

/* ---- container: writing ----------------------------------------------------------------- */

/* Where a recording goes. `sync` (may be NULL) is called after a chunk, at most once a second of
 * the lesson's time, and at the end: it makes what was written so far survive a crash. Both are
 * owned by the caller and outlive the writer. */
typedef struct fab_mcap_sink {
    fab_writer *out;
    void *ctx;
    fab_status (*sync)(void *ctx, fab_error *err);
} fab_mcap_sink;

typedef struct fab_mcap_writer fab_mcap_writer;

/* Writes magic and header. profile and library are copied. */
fab_status fab_mcap_writer_create(const fab_mcap_sink *sink, const char *profile,
                                  const char *library, fab_mcap_writer **out, fab_error *err);
fab_mcap_writer *fab_mcap_writer_free(fab_mcap_writer *w); /* without finish: the file is cut */
/* Schema of channels; encoding "jsonschema", data its text. Ids count from 1. */
fab_status fab_mcap_write_schema(fab_mcap_writer *w, const char *name, const char *encoding,
                                 const char *data, uint16_t *id, fab_error *err);
/* metadata: an object of strings or NULL, borrowed. schema_id 0: none. Ids count from 1. */
fab_status fab_mcap_write_channel(fab_mcap_writer *w, uint16_t schema_id, const char *topic,
                                  const char *encoding, const fab_json *metadata, uint16_t *id,
                                  fab_error *err);
/* Adds a message to the open chunk; the chunk is ended before it would pass 256 KiB. */
fab_status fab_mcap_write_message(fab_mcap_writer *w, uint16_t channel, uint32_t sequence,
                                  uint64_t time_ns, const void *data, size_t count,
                                  fab_error *err);
size_t fab_mcap_chunk_bytes(const fab_mcap_writer *w); /* in the open chunk so far */
uint64_t fab_mcap_written_bytes(const fab_mcap_writer *w); /* in the file, without the open chunk */
/* Writes the open chunk and its indexes in one piece; none open: nothing. */
fab_status fab_mcap_end_chunk(fab_mcap_writer *w, fab_error *err);
/* Ends the open chunk first. At most FAB_LESSON_MAX_ATTACHMENT_BYTES. */
fab_status fab_mcap_write_attachment(fab_mcap_writer *w, uint64_t time_ns, const char *name,
                                     const char *media_type, const void *data, size_t count,
                                     fab_error *err);
fab_status fab_mcap_write_metadata(fab_mcap_writer *w, const char *name, const fab_json *map,
                                   fab_error *err);
/* Data end, summary, footer, magic; then syncs. Nothing may be written after it. */
fab_status fab_mcap_finish(fab_mcap_writer *w, fab_error *err);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_mcap_writer, fab_mcap_writer_free)
#endif

/* A file for a live recording: exists from the start, grows, is synced. An existing file is
 * refused (FAB_ERR_ARG). Closing without finish leaves a cut lesson that can be read. */
typedef struct fab_record_file fab_record_file;
fab_status fab_record_file_open(const char *path, fab_record_file **out, fab_mcap_sink *sink,
                                fab_error *err);
fab_record_file *fab_record_file_close(fab_record_file *f);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_record_file, fab_record_file_close)
#endif

/* ---- container: reading ----------------------------------------------------------------- */

typedef struct fab_mcap fab_mcap;

typedef struct fab_mcap_channel {
    uint16_t id, schema_id;
    char *topic, *encoding;
    fab_json *metadata; /* object of strings */
    uint64_t messages;  /* of Statistics, or counted by the scan */
} fab_mcap_channel;

typedef struct fab_mcap_chunk {
    uint64_t start_ns, end_ns;     /* log times of its messages */
    uint64_t offset, length;       /* of the record with opcode and length */
    uint64_t records, bytes;       /* offset in the file and size of the records field */
    uint64_t uncompressed;         /* size it says to have unpacked: equal to bytes here */
    uint32_t crc;                  /* of the records; 0: not given. Known once it is loaded */
    bool cut;                      /* the file ends inside; bytes are whole records */
    const uint16_t *channels;      /* those with messages inside, ascending; NULL: not known */
    size_t channel_count;
} fab_mcap_chunk;

typedef struct fab_mcap_attachment {
    uint64_t offset, length; /* of the record */
    uint64_t time_ns, data_bytes;
    char *name, *media_type;
} fab_mcap_attachment;

typedef struct fab_mcap_message {
    uint16_t channel;
    uint32_t sequence;
    uint64_t time_ns, publish_ns;
    const uint8_t *data; /* in the loaded chunk: until the next load or free */
    size_t size;
    size_t at;           /* of the record in the chunk */
} fab_mcap_message;

enum { FAB_MCAP_END = 1 }; /* outcome: no more */

/* By the summary if the file has one, else by a scan that keeps all that is whole. The reader is
 * borrowed and must outlive it. Errors name offset and field. Messages outside chunks and
 * compression are FAB_ERR_UNSUPPORTED. */
fab_status fab_mcap_open(const fab_reader *source, fab_mcap **out, fab_error *err);
/* Always by a scan of the whole file, checking every CRC: FAB_ERR_INTEGRITY names the first that
 * is wrong. A file with a footer must have a summary that says what the scan finds. */
fab_status fab_mcap_open_scan(const fab_reader *source, fab_mcap **out, fab_error *err);
fab_mcap *fab_mcap_free(fab_mcap *m);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_mcap, fab_mcap_free)
#endif

const char *fab_mcap_profile(const fab_mcap *m);
const char *fab_mcap_library(const fab_mcap *m);
bool fab_mcap_is_cut(const fab_mcap *m);          /* no footer: the recording did not end well */
uint64_t fab_mcap_whole_bytes(const fab_mcap *m); /* of a cut file: up to here all is used */
size_t fab_mcap_chunk_count(const fab_mcap *m);
const fab_mcap_chunk *fab_mcap_chunk_at(const fab_mcap *m, size_t index);
size_t fab_mcap_channel_count(const fab_mcap *m);
const fab_mcap_channel *fab_mcap_channel_at(const fab_mcap *m, size_t index);
const fab_mcap_channel *fab_mcap_channel_by_id(const fab_mcap *m, uint16_t id); /* NULL: none */
size_t fab_mcap_attachment_count(const fab_mcap *m);
const fab_mcap_attachment *fab_mcap_attachment_at(const fab_mcap *m, size_t index);
/* Appends the attachment's data; its CRC is checked. */
fab_status fab_mcap_read_attachment(const fab_mcap *m, size_t index, fab_buf *into,
                                    fab_error *err);
/* The first metadata record of that name, an object of strings, owned by the caller. */
fab_status fab_mcap_read_metadata(const fab_mcap *m, const char *name, fab_json **out,
                                  fab_error *err);
/* Reads one chunk (one read_at call) and checks its CRC; then its messages come one by one. */
fab_status fab_mcap_load_chunk(fab_mcap *m, size_t index, fab_error *err);
fab_status fab_mcap_next_message(fab_mcap *m, fab_mcap_message *out, fab_error *err);

/* ---- scene ------------------------------------------------------------------------------ */

/* State of a scene as contract/operations.json describes it (ADR 0111). */
typedef struct fab_scene fab_scene;

/* ids: label values of all structures of the model (for structure.only), copied; may be none. */
fab_status fab_scene_create(const uint16_t *ids, size_t count, fab_scene **out, fab_error *err);
fab_scene *fab_scene_free(fab_scene *s);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_scene, fab_scene_free)
#endif
/* Checks a row {"op", "args", "seq", "by", "t" [, "undoes"]} against the table. FAB_ERR_FORMAT
 * names the row's number and the field. */
fab_status fab_scene_check_row(const fab_json *row, fab_error *err);
/* The same, then applies it. On failure the state is as before. */
fab_status fab_scene_apply(fab_scene *s, const fab_json *row, fab_error *err);
/* Appends the state as canonical JSON: keys by code point, no spaces, no newline. */
fab_status fab_scene_dump(const fab_scene *s, fab_buf *into, fab_error *err);
/* SHA-256 of that text, lower-case hexadecimal. */
fab_status fab_scene_hash(const fab_scene *s, char hex[65], fab_error *err);
/* Takes a state (a keyframe's) in place of its own. */
fab_status fab_scene_load(fab_scene *s, const fab_json *state, fab_error *err);

/* ---- poses ------------------------------------------------------------------------------ */

/* Metres and a unit quaternion x y z w, as WebXR gives them, in the room's frame (y up). */
typedef struct fab_pose_real {
    double position_m[3], rotation[4];
} fab_pose_real;

/* 0.1 mm; rotation: index of the largest of x y z w (made positive, left out) and the three
 * others in order, times sqrt(2) * scale; scale 16383 (15 bits) for devices and wrists, 2047 (12
 * bits) for joints. Positions of joints: 0.5 mm in the wrist's frame. */
typedef struct fab_pose {
    int32_t position[3];
    int16_t rotation[3];
    uint8_t largest;  /* 0 to 3 */
    bool emulated;    /* the device guessed it (not tracked) */
} fab_pose;

enum { FAB_DEVICE_HEAD, FAB_DEVICE_LEFT, FAB_DEVICE_RIGHT, FAB_DEVICE_COUNT };
enum { FAB_HAND_JOINTS = 25 }; /* WebXR Hand Input's order: 0 is the wrist */

typedef struct fab_pose_sample {
    int64_t time_us;  /* multiple of 100 */
    uint8_t devices;  /* bit a device */
    fab_pose pose[FAB_DEVICE_COUNT];
    /* bits 0-7 pressed (gamepad buttons 0 to 7), 8-15 trigger, 16-23 squeeze, 24-31 zero */
    uint32_t controls[FAB_DEVICE_COUNT];
} fab_pose_sample;

typedef struct fab_hand_sample {
    int64_t time_us; /* multiple of 100 */
    uint8_t hands;   /* bit 0 left, bit 1 right */
    fab_pose wrist[2];
    fab_pose joint[2][FAB_HAND_JOINTS]; /* [h][0] is not used */
} fab_hand_sample;

/* Rounds. Error: 0.05 mm and 0.01 degrees. FAB_ERR_ARG: not finite, over 100 m, no unit
 * quaternion (norm within 1 %). */
fab_status fab_pose_quantise(const fab_pose_real *from, fab_pose *to, fab_error *err);
void fab_pose_restore(const fab_pose *from, fab_pose_real *to);
/* A joint relative to its wrist (restored from `wrist`). Error: 0.25 mm a component, 0.07
 * degrees. FAB_ERR_ARG also: more than 1 m from the wrist. */
fab_status fab_joint_quantise(const fab_pose *wrist, const fab_pose_real *joint, fab_pose *to,
                              fab_error *err);
void fab_joint_restore(const fab_pose *wrist, const fab_pose *joint, fab_pose_real *to);

/* ---- lessons: writing ------------------------------------------------------------------- */

typedef enum fab_lesson_kind {
    FAB_LESSON_POSE, FAB_LESSON_HAND, FAB_LESSON_VOICE, FAB_LESSON_OP, FAB_LESSON_KEYFRAME,
    FAB_LESSON_META, FAB_LESSON_KINDS
} fab_lesson_kind;
const char *fab_lesson_kind_name(fab_lesson_kind kind); /* topic: "pose" ... */

/* A language tag of 2 to 35 letters, digits and hyphens; FAB_ERR_ARG says what it is instead. */
fab_status fab_lesson_check_language(const char *tag, fab_error *err);

/* What the lesson says about itself; strings are copied. No patient data. */
typedef struct fab_lesson_about {
    const char *title;           /* 1 to 500 bytes */
    const char *language;        /* BCP 47: "en", "zh-CN" */
    const char *created;         /* "YYYY-MM-DD": the day and no more */
    const char *manifest_sha256; /* of the twin's manifest.json, 64 digits; "" if none */
    const char *labels_sha256;   /* of its label map; "" if none */
    const char *software;        /* who wrote it: "fabrica-web 0.1" */
    const uint16_t *structures;  /* label values of the model */
    size_t structure_count;
} fab_lesson_about;

typedef struct fab_lesson_writer fab_lesson_writer;

fab_status fab_lesson_writer_create(const fab_mcap_sink *sink, const fab_lesson_about *about,
                                    fab_lesson_writer **out, fab_error *err);
fab_lesson_writer *fab_lesson_writer_free(fab_lesson_writer *w);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_lesson_writer, fab_lesson_writer_free)
#endif
/* A stream of poses, hands or voice of one person: who is "" or [A-Za-z0-9_.-]{1,64}; metadata
 * (may be NULL, borrowed): strings of the channel, such as voice's "pre_skip". */
fab_status fab_lesson_add_stream(fab_lesson_writer *w, fab_lesson_kind kind, const char *who,
                                 const fab_json *metadata, int *stream, fab_error *err);
/* Times of all calls together do not go back by more than one chunk's worth: what is older than
 * the last chunk that was written is FAB_ERR_ARG; a stream's own times only grow. */
fab_status fab_lesson_write_pose(fab_lesson_writer *w, int stream, const fab_pose_sample *s,
                                 fab_error *err);
fab_status fab_lesson_write_hand(fab_lesson_writer *w, int stream, const fab_hand_sample *s,
                                 fab_error *err);
/* One Opus packet of 20 ms that starts at time_us (multiple of 100); sequence grows by one a
 * packet, more where some were lost or silent, and time with it. */
fab_status fab_lesson_write_voice(fab_lesson_writer *w, int stream, int64_t time_us,
                                  uint32_t sequence, const void *packet, size_t count,
                                  fab_error *err);
/* A batch of poses, hands or voice as a message of the file has it (docs/formats/lesson.md), of log
 * time time_us: checked to its last byte before anything of it is written; the writer makes its own
 * batches of it. Times and ranges as above; what is wrong is FAB_ERR_FORMAT, FAB_ERR_LIMIT,
 * FAB_ERR_UNSUPPORTED or FAB_ERR_ARG, and nothing was written. *end_us
 * (may be NULL): its last sample, or the end of its last packet. */
fab_status fab_lesson_write_batch(fab_lesson_writer *w, fab_lesson_kind kind, int stream,
                                  int64_t time_us, const void *bytes, size_t count,
                                  int64_t *end_us, fab_error *err);
/* A row of contract/operations.json; checked, applied to the writer's scene, written. */
fab_status fab_lesson_write_row(fab_lesson_writer *w, const fab_json *row, fab_error *err);
/* An object with "event"; no key of the forbidden list (fab_lesson_check_private). */
fab_status fab_lesson_write_meta(fab_lesson_writer *w, int64_t time_us, const fab_json *object,
                                 fab_error *err);
fab_status fab_lesson_attach(fab_lesson_writer *w, const char *name, const char *media_type,
                             const void *data, size_t count, fab_error *err);
/* Takes a state as it was where this lesson begins (a trimmed one); before any row. */
fab_status fab_lesson_write_state(fab_lesson_writer *w, int64_t time_us, const fab_json *state,
                                  fab_error *err);
/* Ends the open chunk before its second is over, so that what came is in the file. */
fab_status fab_lesson_flush(fab_lesson_writer *w, fab_error *err);
fab_status fab_lesson_finish(fab_lesson_writer *w, fab_error *err);

/* FAB_ERR_FORMAT names the first key, at any depth, that is on the list of what would name a
 * patient (docs/formats/lesson.md). */
fab_status fab_lesson_check_private(const fab_json *value, fab_error *err);

/* ---- lessons: reading ------------------------------------------------------------------- */

typedef struct fab_lesson fab_lesson;

typedef struct fab_lesson_event {
    fab_lesson_kind kind;
    uint16_t channel;
    int64_t time_us;
    uint32_t sequence;           /* voice: of the packet; else of the message */
    const fab_pose_sample *pose; /* of its kind, else NULL; all until the next event */
    const fab_hand_sample *hand;
    const fab_json *json;        /* op, keyframe, meta */
    const uint8_t *packet;       /* voice */
    size_t packet_bytes;
} fab_lesson_event;

enum { FAB_LESSON_END = 1 };

/* The reader is borrowed. FAB_ERR_UNSUPPORTED: MCAP of another profile, or a format version that
 * cannot be read. */
fab_status fab_lesson_open(const fab_reader *source, fab_lesson **out, fab_error *err);
fab_lesson *fab_lesson_free(fab_lesson *l);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_lesson, fab_lesson_free)
#endif
const fab_mcap *fab_lesson_container(const fab_lesson *l);
const fab_json *fab_lesson_about_json(const fab_lesson *l); /* metadata "fabrica-lesson" */
/* Label values of the model, of the metadata; NULL if none. */
const uint16_t *fab_lesson_structures(const fab_lesson *l, size_t *count);
/* To the last sample or the end of the last packet. */
int64_t fab_lesson_duration_us(const fab_lesson *l);
size_t fab_lesson_skipped(const fab_lesson *l); /* messages passed over: kinds not known */
/* Events in order of time, chunk by chunk; FAB_LESSON_END at the end. */
fab_status fab_lesson_next(fab_lesson *l, fab_lesson_event *out, fab_error *err);
/* Goes to the last chunk that starts at or before time_us; *scene (if not NULL): the state at
 * that time, owned by the caller. Reads the chunk of the last keyframe before it, those with rows
 * since, and the chunk itself. */
fab_status fab_lesson_seek(fab_lesson *l, int64_t time_us, fab_scene **scene, fab_error *err);

/* Whole check: CRCs, times, sequences, rows, hashes of keyframes against the rows applied, keys
 * that would name a patient. report (owned by the caller): counts, an object. A cut lesson passes
 * with "cut": true. */
fab_status fab_lesson_verify(const fab_reader *source, fab_json **report, fab_error *err);
/* Duration, channels with sizes, chapters, about, rates: an object, owned by the caller. */
fab_status fab_lesson_describe(const fab_reader *source, fab_json **out, fab_error *err);

/* ---- lessons: editing and export -------------------------------------------------------- */

/* Opus packets of 20 ms in a row. */
typedef struct fab_opus_track {
    fab_buf data;  /* one after another */
    fab_buf ends;  /* of each in data, u32 little-endian */
    size_t count;
    int channels;  /* 1 or 2 */
    int pre_skip;  /* samples of 48 kHz to drop at the start */
} fab_opus_track;

/* Of an Ogg file (RFC 7845), owned by the caller: fab_opus_track_free. FAB_ERR_FORMAT: no Ogg, not
 * Opus, damaged or cut; FAB_ERR_UNSUPPORTED: packets of another length than 20 ms, more than two
 * channels, several streams; FAB_ERR_LIMIT: over FAB_LESSON_MAX_VOICE_BYTES. */
fab_status fab_opus_read_ogg(const fab_reader *source, fab_opus_track *out, fab_error *err);
void fab_opus_track_free(fab_opus_track *t); /* empties it */

typedef struct fab_lesson_chapter {
    int64_t time_us;
    const char *title;
} fab_lesson_chapter;

typedef struct fab_lesson_edit {
    int64_t from_us, to_us;             /* kept; times are moved so that from_us is 0 */
    bool set_chapters;                  /* in place of those there are */
    const fab_lesson_chapter *chapters; /* ascending; times of the source */
    size_t chapter_count;
    const char *attachment;             /* name of one to add or replace, NULL: none */
    const char *media_type;
    const void *data;                   /* NULL: the attachment is taken out */
    size_t data_bytes;
    bool set_voice;                     /* in place of what is heard from voice_from_us on, */
    int64_t voice_from_us, voice_to_us; /* before voice_to_us (below 0: the end) in the source */
    const fab_opus_track *voice;        /* not longer than that; NULL: silence */
} fab_lesson_edit;

/* Writes an edited copy: rows get new numbers, keyframes are made anew, captions are re-timed.
 * to_us < 0: to the end. */
fab_status fab_lesson_rewrite(const fab_reader *source, const fab_lesson_edit *edit,
                              const fab_mcap_sink *sink, fab_error *err);
/* Chapters as JSON: [{"t": us, "title": text}], owned by the caller. */
fab_status fab_lesson_chapters(const fab_reader *source, fab_json **out, fab_error *err);
typedef enum fab_lesson_export_format {
    FAB_LESSON_JSONL, FAB_LESSON_WEBVTT, FAB_LESSON_GLTF
} fab_lesson_export_format;
/* jsonl: every event, one line each. webvtt: the captions, or the chapters as cues if there are
 * none. gltf: a GLB 2.0 whose nodes head, left, right (and the hands' joints) move. */
fab_status fab_lesson_export(const fab_reader *source, fab_lesson_export_format format,
                             fab_writer *to, fab_error *err);
/* Is it WebVTT (https://www.w3.org/TR/webvtt1/) with times that ascend? FAB_ERR_FORMAT names the
 * line. Its cues moved by -from_us and cut to to_us are appended to `into` (may be NULL). */
fab_status fab_webvtt_retime(const char *text, size_t count, int64_t from_us, int64_t to_us,
                             fab_buf *into, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
