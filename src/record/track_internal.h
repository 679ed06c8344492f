/* track_internal.h - batches of poses, hands and voice as bytes. */
#ifndef FAB_RECORD_TRACK_INTERNAL_H
#define FAB_RECORD_TRACK_INTERNAL_H

#include "bytes_internal.h"

enum { TRACK_VERSION = 1, TRACK_TICK_US = 100 };

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

fab_status fab_track_put_pose(fab_buf *b, const fab_pose_sample *s, track_pose_state *before,
                              fab_error *err);
fab_status fab_track_put_hand(fab_buf *b, const fab_hand_sample *s, track_hand_state *before,
                              fab_error *err);
fab_status fab_track_take_pose(fab_cursor *c, track_pose_state *before, fab_pose_sample *out);
fab_status fab_track_take_hand(fab_cursor *c, track_hand_state *before, fab_hand_sample *out);
/* Are all numbers of a sample in their ranges? */
fab_status fab_track_check_pose(const fab_pose_sample *s, fab_error *err);
fab_status fab_track_check_hand(const fab_hand_sample *s, fab_error *err);

#endif
