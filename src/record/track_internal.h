/* track_internal.h - batches of poses, hands and voice as bytes. */
#ifndef FAB_RECORD_TRACK_INTERNAL_H
#define FAB_RECORD_TRACK_INTERNAL_H

#include "bytes_internal.h"

enum { TRACK_VERSION = 1, TRACK_TICK_US = 100, TRACK_PACKET_US = 20000 /* of an Opus packet */ };

/* What the next sample of a batch is coded against. Zero at the start of a batch. */
typedef struct track_pose_state {
    int64_t time_us;
    fab_pose pose[FAB_DEVICE_COUNT];
    uint32_t controls[FAB_DEVICE_COUNT];
} track_pose_state;

typedef struct track_hand_state {
    int64_t time_us;
    fab_pose wrist[2], joint[2][FAB_HAND_JOINTS];
} track_hand_state;

/* Of a batch of packets: its log time, then what follows from the packets before. */
typedef struct track_voice_state {
    int64_t time_us;
    bool any;
    uint64_t first, sequence;
} track_voice_state;

typedef struct track_packet {
    int64_t time_us;      /* when it is heard */
    uint32_t sequence;
    const uint8_t *bytes; /* in the batch */
    size_t count;
} track_packet;

fab_status fab_track_put_pose(fab_buf *b, const fab_pose_sample *s, track_pose_state *before,
                              fab_error *err);
fab_status fab_track_put_hand(fab_buf *b, const fab_hand_sample *s, track_hand_state *before,
                              fab_error *err);
/* Version, flags and how many follow. */
fab_status fab_track_take_head(fab_cursor *c, uint64_t *count);
fab_status fab_track_take_packet(fab_cursor *c, track_voice_state *before, track_packet *out);
fab_status fab_track_take_pose(fab_cursor *c, track_pose_state *before, fab_pose_sample *out);
fab_status fab_track_take_hand(fab_cursor *c, track_hand_state *before, fab_hand_sample *out);
/* Are all numbers of a sample in their ranges? */
fab_status fab_track_check_pose(const fab_pose_sample *s, fab_error *err);
fab_status fab_track_check_hand(const fab_hand_sample *s, fab_error *err);

#endif
