/* lesson_internal.h - what the files of the profile share. */
#ifndef FAB_RECORD_LESSON_INTERNAL_H
#define FAB_RECORD_LESSON_INTERNAL_H

#include "scene_internal.h"
#include "track_internal.h"

#define LESSON_PROFILE "fabrica-lesson"
enum {
    LESSON_VERSION = 1,
    LESSON_CHUNK_US = 1000000,    /* of a chunk and of a batch */
    LESSON_LATE_US = 1000000,     /* how far behind the newest a time may be */
    LESSON_KEYFRAME_US = 10000000, /* keyframes are no nearer, chapters' aside */
    LESSON_SEEK_BYTES = 160000,    /* a jump reads about this much behind a keyframe */
    LESSON_KEYFRAME_SHARE = 16,    /* of the file, at most, where that allows it */
    LESSON_PACKET_US = TRACK_PACKET_US,
    LESSON_BATCH_HEAD = 4         /* version, zero, count */
};

/* One row a kind: topic, message encoding, schema (NULL: none, binary). */
typedef struct lesson_kind_row {
    const char *topic, *encoding, *schema;
} lesson_kind_row;
extern const lesson_kind_row fab_lesson_kinds[FAB_LESSON_KINDS];
/* The kind of a channel; FAB_LESSON_KINDS if it is none of ours. */
fab_lesson_kind fab_lesson_kind_of(const fab_mcap_channel *channel);
fab_status fab_lesson_check_about(const fab_lesson_about *about, fab_error *err);
fab_status fab_lesson_about_map(const fab_lesson_about *about, fab_json **out, fab_error *err);
/* "1,5,7" to label values; owned by the caller. */
fab_status fab_lesson_parse_structures(const char *text, uint16_t **out, size_t *count,
                                       fab_error *err);

/* As fab_lesson_open, on fab_mcap_open_scan. */
fab_status fab_lesson_open_strict(const fab_reader *source, fab_lesson **out, fab_error *err);

fab_status fab_lesson_export_gltf(const fab_reader *source, fab_writer *to, fab_error *err);

#endif
