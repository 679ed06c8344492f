/* Poses, hands: quantisation within the bounds that are stated, batches as they were, bad bytes. */
#include "lesson_build.h"
#include "track_internal.h"

static fab_error err;

static double degrees_between(const double a[4], const double b[4])
{
    /* by the difference's length: acos of a dot product near 1 knows nothing */
    double plus = 0, minus = 0;
    for (int i = 0; i < 4; i++) {
        plus += (a[i] + b[i]) * (a[i] + b[i]);
        minus += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return 4 * asin(fmin(1, sqrt(fmin(plus, minus)) / 2)) * 180 / acos(-1);
}

static void random_pose(fab_rng *rng, double reach_m, fab_pose_real *p)
{
    double norm = 0;
    for (int i = 0; i < 4; i++) p->rotation[i] = fab_rng_normal(rng);
    for (int i = 0; i < 4; i++) norm += p->rotation[i] * p->rotation[i];
    for (int i = 0; i < 4; i++) p->rotation[i] /= sqrt(norm);
    for (int i = 0; i < 3; i++) p->position_m[i] = fab_rng_range(rng, -reach_m, reach_m);
}

static void quantising(void)
{
    fab_rng rng;
    double worst_mm = 0, worst_deg = 0, joint_mm = 0, joint_deg = 0;
    fab_rng_seed(&rng, 1, 2);
    for (int n = 0; n < 200000; n++) {
        fab_pose_real wrist, joint, back;
        fab_pose a, b;
        random_pose(&rng, 5, &wrist);
        random_pose(&rng, 0.5, &joint);
        if (n % 4 == 0) joint.rotation[n / 4 % 4] = 0.5; /* near ties of the largest */
        if (n % 4 == 0)
            for (int i = 0; i < 4; i++) joint.rotation[i] = i % 2 ? 0.5 : -0.5;
        for (int i = 0; i < 3; i++) joint.position_m[i] += wrist.position_m[i];
        CHECK_OK(fab_pose_quantise(&wrist, &a, &err));
        fab_pose_restore(&a, &back);
        for (int i = 0; i < 3; i++)
            worst_mm = fmax(worst_mm, fabs(back.position_m[i] - wrist.position_m[i]) * 1000);
        worst_deg = fmax(worst_deg, degrees_between(back.rotation, wrist.rotation));
        CHECK_OK(fab_joint_quantise(&a, &joint, &b, &err));
        fab_joint_restore(&a, &b, &back);
        double away = 0;
        for (int i = 0; i < 3; i++) {
            double d = (back.position_m[i] - joint.position_m[i]) * 1000;
            away += d * d;
        }
        joint_mm = fmax(joint_mm, sqrt(away));
        joint_deg = fmax(joint_deg, degrees_between(back.rotation, joint.rotation));
    }
    printf("pose: %.4f mm, %.5f degrees; joint: %.4f mm, %.4f degrees\n", worst_mm, worst_deg,
           joint_mm, joint_deg);
    CHECK(worst_mm <= 0.05001 && worst_deg <= 0.01);
    CHECK(joint_mm <= 0.25 * sqrt(3) + 1e-6 && joint_deg <= 0.07);
}

static void refusals(void)
{
    fab_pose_real p = {{0, 0, 0}, {0, 0, 0, 1}};
    fab_pose out = {.largest = 9};
    p.position_m[1] = NAN;
    CHECK_FAILS(FAB_ERR_ARG, "position", fab_pose_quantise(&p, &out, &err));
    p.position_m[1] = 101;
    CHECK_FAILS(FAB_ERR_ARG, "position", fab_pose_quantise(&p, &out, &err));
    p.position_m[1] = 0;
    p.rotation[3] = 0.5;
    CHECK_FAILS(FAB_ERR_ARG, "rotation", fab_pose_quantise(&p, &out, &err));
    p.rotation[3] = INFINITY;
    CHECK_FAILS(FAB_ERR_ARG, "rotation", fab_pose_quantise(&p, &out, &err));
    CHECK(out.largest == 9);
}

static void poses_in_batches(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_pose_sample samples[300];
    track_pose_state before = {0}, after = {0};
    for (int i = 0; i < 300; i++) {
        CHECK_OK(lesson_pose_sample(i / 72.0, &samples[i], &err));
        if (i % 7 == 3) samples[i].devices = 5;
        if (i % 11 == 3) samples[i].pose[2].emulated = true;
        if (i % 50 == 9) samples[i].pose[0].position[1] = -1000000;
        if (i % 50 == 10) samples[i].pose[0].position[1] = 1000000;
        CHECK_OK(fab_track_check_pose(&samples[i], &err));
        CHECK_OK(fab_track_put_pose(&b, &samples[i], &before, &err));
    }
    fab_cursor c = {b.data, b.size, 0, 0, "pose", "test", &err};
    for (int i = 0; i < 300; i++) {
        fab_pose_sample s;
        CHECK_OK(fab_track_take_pose(&c, &after, &s));
        CHECK(s.time_us == samples[i].time_us && s.devices == samples[i].devices);
        for (int d = 0; d < 3; d++) {
            if (!(s.devices >> d & 1)) continue;
            CHECK(!memcmp(s.pose[d].position, samples[i].pose[d].position, 12));
            CHECK(!memcmp(s.pose[d].rotation, samples[i].pose[d].rotation, 6));
            CHECK(s.pose[d].largest == samples[i].pose[d].largest);
            CHECK(s.pose[d].emulated == samples[i].pose[d].emulated);
            CHECK(s.controls[d] == samples[i].controls[d]);
        }
    }
    CHECK(c.at == c.size);
    printf("%.1f bytes a device and sample\n", (double)b.size / (300 * 3 - 43));
}

static void hands_in_batches(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    fab_hand_sample samples[40];
    track_hand_state before = {0}, after = {0};
    for (int i = 0; i < 40; i++) {
        CHECK_OK(lesson_hand_sample(i / 36.0, &samples[i], &err));
        if (i % 7 == 3) samples[i].hands = 2;
        CHECK_OK(fab_track_check_hand(&samples[i], &err));
        CHECK_OK(fab_track_put_hand(&b, &samples[i], &before, &err));
    }
    fab_cursor c = {b.data, b.size, 0, 0, "hand", "test", &err};
    for (int i = 0; i < 40; i++) {
        fab_hand_sample s;
        CHECK_OK(fab_track_take_hand(&c, &after, &s));
        CHECK(s.time_us == samples[i].time_us && s.hands == samples[i].hands);
        for (int h = 0; h < 2; h++)
            for (int k = 1; (s.hands >> h & 1) && k < FAB_HAND_JOINTS; k++) {
                CHECK(!memcmp(s.joint[h][k].position, samples[i].joint[h][k].position, 12));
                CHECK(!memcmp(s.joint[h][k].rotation, samples[i].joint[h][k].rotation, 6));
            }
    }
    CHECK(c.at == c.size);
    printf("%.1f bytes a hand and sample\n", (double)b.size / (40 * 2 - 6));
}

/* Bytes as docs/formats/lesson.md shows them. */
static void bytes_as_documented(void)
{
    FAB_AUTO_BUF fab_buf b = {0};
    track_pose_state before = {0};
    fab_pose_sample s = {.time_us = 0, .devices = 1};
    static const uint8_t expected[] = {0, 1, 0x0F, 0xE8, 0x07, 0x80, 0xFA, 0x01, 0x03,
                                       0x8B, 0x01, 1, 0x27, 0x1F, 0x04, 1, 0, 0x80};
    s.pose[0] = (fab_pose){.position = {500, 16000, -2}, .largest = 3};
    CHECK_OK(fab_track_put_pose(&b, &s, &before, &err));
    s.time_us = 13900;
    s.pose[0] = (fab_pose){.position = {499, 16000, -1}, .rotation = {1, 0, -128}, .largest = 3};
    CHECK_OK(fab_track_put_pose(&b, &s, &before, &err));
    for (size_t i = 0; b.size != sizeof expected && i < b.size; i++) printf("%02X ", b.data[i]);
    CHECK(b.size == sizeof expected && !memcmp(b.data, expected, b.size));
}

static void bad_bytes(void)
{
    static const struct {
        const char *text;
        size_t size;
        uint8_t bytes[20];
    } bad[] = {
        {"time: 1 bytes", 0, {0}},
        {"devices", 2, {0, 0}},
        {"devices", 2, {0, 8}},
        {"a batch holds one second", 3, {0xFF, 0x7F, 1}},
        {"bit 15", 5, {0, 1, 0x04, 0, 0x80}},
        {"position: out of range", 13, {0, 1, 0x0C, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0}},
        {"over 32 bits", 9, {0, 1, 0x0C, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0}},
        {"rotation: out of range", 9, {0, 1, 0x30, 0xFF, 0xFF, 0x7F, 0, 0, 0}},
        {"longer than 63", 13, {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        track_pose_state state = {0};
        fab_pose_sample s;
        fab_cursor c = {bad[i].bytes, bad[i].size, 0, 100, "pose", "test", &err};
        fab_status status = fab_track_take_pose(&c, &state, &s);
        if (status != FAB_ERR_FORMAT || !strstr(err.message, bad[i].text))
            fprintf(stderr, "%zu: %s\n", i, err.message);
        CHECK(status == FAB_ERR_FORMAT && strstr(err.message, bad[i].text));
    }
}

int main(void)
{
    return FAB_RUN(TEST(quantising), TEST(refusals), TEST(poses_in_batches),
                   TEST(hands_in_batches), TEST(bytes_as_documented), TEST(bad_bytes));
}
