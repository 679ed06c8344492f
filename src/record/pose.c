/* pose.c - poses as integers: 0.1 mm and smallest-three quaternions.
 *
 * Of a unit quaternion the largest component is left out and made positive (q and -q are one
 * rotation); the others are then within 1/sqrt(2) and keep 15 (12) bits with sign. The step of
 * 15 bits is 1/(16383 sqrt 2) = 4.3e-5, so a component is off by at most 2.2e-5, the one left
 * out by at most three times that, the rotation by at most 2 sqrt(12) 2.2e-5 rad = 0.009
 * degrees. */
#include <math.h>
#include <string.h>

#include "track_internal.h"

enum { SCALE_POSE = 16383, SCALE_JOINT = 2047, MOST_TENTHS = 1000000, MOST_JOINT = 2047 };

static fab_status pack_rotation(const double q[4], int scale, fab_pose *to, fab_error *err)
{
    double norm = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    int largest = 0, n = 0;
    if (!(fabs(norm - 1) <= 0.01))
        FAB_FAIL(err, FAB_ERR_ARG, "rotation: the quaternion's length is %g, not 1", norm);
    for (int i = 1; i < 4; i++)
        if (fabs(q[i]) > fabs(q[largest])) largest = i;
    double factor = sqrt(2) * scale / (q[largest] < 0 ? -norm : norm);
    for (int i = 0; i < 4; i++) {
        if (i == largest) continue;
        double v = round(q[i] * factor);
        to->rotation[n++] = (int16_t)(v > scale ? scale : v < -scale ? -scale : v);
    }
    to->largest = (uint8_t)largest;
    return FAB_OK;
}

static void unpack_rotation(const fab_pose *from, int scale, double q[4])
{
    double rest = 1;
    for (int i = 0, n = 0; i < 4; i++) {
        if (i == from->largest) continue;
        q[i] = from->rotation[n++] / (sqrt(2) * scale);
        rest -= q[i] * q[i];
    }
    q[from->largest & 3] = rest > 0 ? sqrt(rest) : 0;
}

static fab_status pack_position(const double m[3], double per_m, int64_t most, fab_pose *to,
                                fab_error *err)
{
    for (int i = 0; i < 3; i++) {
        double v = round(m[i] * per_m);
        if (!(fabs(v) <= (double)most))
            FAB_FAIL(err, FAB_ERR_ARG, "position: %g m, at most %g", m[i], (double)most / per_m);
        to->position[i] = (int32_t)v;
    }
    return FAB_OK;
}

fab_status fab_pose_quantise(const fab_pose_real *from, fab_pose *to, fab_error *err)
{
    fab_pose out = {.emulated = false};
    FAB_TRY(pack_position(from->position_m, 1e4, MOST_TENTHS, &out, err));
    FAB_TRY(pack_rotation(from->rotation, SCALE_POSE, &out, err));
    *to = out;
    return FAB_OK;
}

void fab_pose_restore(const fab_pose *from, fab_pose_real *to)
{
    for (int i = 0; i < 3; i++) to->position_m[i] = from->position[i] * 1e-4;
    unpack_rotation(from, SCALE_POSE, to->rotation);
}

/* v turned by q; with sign -1 by its inverse. */
static void turn(const double q[4], double sign, const double v[3], double out[3])
{
    const double x = sign * q[0], y = sign * q[1], z = sign * q[2], w = q[3];
    const double t[3] = {2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]),
                         2 * (x * v[1] - y * v[0])};
    out[0] = v[0] + w * t[0] + y * t[2] - z * t[1];
    out[1] = v[1] + w * t[1] + z * t[0] - x * t[2];
    out[2] = v[2] + w * t[2] + x * t[1] - y * t[0];
}

/* a b; with sign -1: a's inverse b. */
static void multiply(const double a[4], double sign, const double b[4], double out[4])
{
    const double x = sign * a[0], y = sign * a[1], z = sign * a[2], w = a[3];
    out[0] = w * b[0] + x * b[3] + y * b[2] - z * b[1];
    out[1] = w * b[1] - x * b[2] + y * b[3] + z * b[0];
    out[2] = w * b[2] + x * b[1] - y * b[0] + z * b[3];
    out[3] = w * b[3] - x * b[0] - y * b[1] - z * b[2];
}

fab_status fab_joint_quantise(const fab_pose *wrist, const fab_pose_real *joint, fab_pose *to,
                              fab_error *err)
{
    fab_pose_real base;
    fab_pose out = {.emulated = false};
    double away[3], local[3], q[4];
    fab_pose_restore(wrist, &base);
    for (int i = 0; i < 3; i++) away[i] = joint->position_m[i] - base.position_m[i];
    turn(base.rotation, -1, away, local);
    multiply(base.rotation, -1, joint->rotation, q);
    FAB_TRY(pack_position(local, 2000, MOST_JOINT, &out, err));
    FAB_TRY(pack_rotation(q, SCALE_JOINT, &out, err));
    *to = out;
    return FAB_OK;
}

void fab_joint_restore(const fab_pose *wrist, const fab_pose *joint, fab_pose_real *to)
{
    fab_pose_real base;
    double local[3], q[4];
    fab_pose_restore(wrist, &base);
    for (int i = 0; i < 3; i++) local[i] = joint->position[i] / 2000.0;
    unpack_rotation(joint, SCALE_JOINT, q);
    turn(base.rotation, 1, local, to->position_m);
    for (int i = 0; i < 3; i++) to->position_m[i] += base.position_m[i];
    multiply(base.rotation, 1, q, to->rotation);
}

static fab_status check_pose(const fab_pose *p, int64_t most, int scale, const char *what,
                             fab_error *err)
{
    for (int i = 0; i < 3; i++)
        if (p->position[i] > most || p->position[i] < -most || p->rotation[i] > scale ||
            p->rotation[i] < -scale)
            FAB_FAIL(err, FAB_ERR_ARG, "%s: position %d or rotation %d is out of range", what,
                     p->position[i], p->rotation[i]);
    if (p->largest > 3) FAB_FAIL(err, FAB_ERR_ARG, "%s: largest is %d", what, p->largest);
    return FAB_OK;
}

static fab_status check_time(int64_t time_us, fab_error *err)
{
    if (time_us < 0 || time_us > FAB_LESSON_MAX_TIME_US || time_us % TRACK_TICK_US)
        FAB_FAIL(err, FAB_ERR_ARG, "time_us: %lld is below 0, over 48 h or no multiple of 100",
                 (long long)time_us);
    return FAB_OK;
}

fab_status fab_track_check_pose(const fab_pose_sample *s, fab_error *err)
{
    FAB_TRY(check_time(s->time_us, err));
    if (!s->devices || s->devices >> FAB_DEVICE_COUNT)
        FAB_FAIL(err, FAB_ERR_ARG, "devices: %d", s->devices);
    for (int i = 0; i < FAB_DEVICE_COUNT; i++) {
        if (!(s->devices >> i & 1)) continue;
        FAB_TRY(check_pose(&s->pose[i], MOST_TENTHS, SCALE_POSE, "pose", err));
        if (s->controls[i] >> 24) FAB_FAIL(err, FAB_ERR_ARG, "controls: bits 24 to 31 are zero");
    }
    return FAB_OK;
}

fab_status fab_track_check_hand(const fab_hand_sample *s, fab_error *err)
{
    FAB_TRY(check_time(s->time_us, err));
    if (!s->hands || s->hands >> 2) FAB_FAIL(err, FAB_ERR_ARG, "hands: %d", s->hands);
    for (int h = 0; h < 2; h++) {
        if (!(s->hands >> h & 1)) continue;
        FAB_TRY(check_pose(&s->wrist[h], MOST_TENTHS, SCALE_POSE, "wrist", err));
        for (int i = 1; i < FAB_HAND_JOINTS; i++)
            FAB_TRY(check_pose(&s->joint[h][i], MOST_JOINT, SCALE_JOINT, "joint", err));
    }
    return FAB_OK;
}
