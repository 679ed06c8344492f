/* lesson_gltf.c - head, controllers and hands as a GLB 2.0 that moves: a node a device, each a
 * small octahedron, one animation with translation and rotation of each (linear; glTF 2.0,
 * 3.11). The model is left out: it is the twin's own file. Hands are given at 12 Hz. */
#include <stdio.h>

#include "lesson_internal.h"

enum { MAX_TRACKS = 512, HAND_STEP_US = 83000, MAX_BINARY = 1 << 29 };

typedef struct track {
    uint16_t channel;
    int part;          /* device, or 100 + 25 h + joint */
    int64_t last_us;
    size_t count;
    float start_s, end_s;
    fab_buf times, moves, turns;
} track;

typedef struct tracks {
    track *rows;
    size_t count, bytes;
    fab_error *err;
} tracks;

static fab_status put_float(fab_buf *b, double value, fab_error *err)
{
    float f = (float)value;
    uint32_t bits = 0;
    memcpy(&bits, &f, sizeof bits);
    return fab_put_uint(b, bits, 4, err);
}

static fab_status track_of(tracks *t, uint16_t channel, int part, track **out)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].channel == channel && t->rows[i].part == part) {
            *out = &t->rows[i];
            return FAB_OK;
        }
    if (t->count == MAX_TRACKS)
        FAB_FAIL(t->err, FAB_ERR_LIMIT, "more than %d things that move", MAX_TRACKS);
    *out = &t->rows[t->count++];
    **out = (track){.channel = channel, .part = part, .last_us = INT64_MIN / 2};
    return FAB_OK;
}

static fab_status add(tracks *t, uint16_t channel, int part, int64_t time_us,
                      const fab_pose_real *p)
{
    track *row = NULL;
    FAB_TRY(track_of(t, channel, part, &row));
    float seconds = (float)((double)time_us * 1e-6);
    if (row->count && seconds <= row->end_s) return FAB_OK; /* times strictly ascend */
    if (part >= 100 && time_us - row->last_us < HAND_STEP_US) return FAB_OK;
    row->last_us = time_us;
    if (!row->count) row->start_s = seconds;
    row->end_s = seconds;
    row->count++;
    t->bytes += 32;
    if (t->bytes > MAX_BINARY)
        FAB_FAIL(t->err, FAB_ERR_LIMIT, "an animation of more than %d MB; trim the lesson first",
                 MAX_BINARY >> 20);
    FAB_TRY(put_float(&row->times, seconds, t->err));
    for (int i = 0; i < 3; i++) FAB_TRY(put_float(&row->moves, p->position_m[i], t->err));
    for (int i = 0; i < 4; i++) FAB_TRY(put_float(&row->turns, p->rotation[i], t->err));
    return FAB_OK;
}

static fab_status collect(tracks *t, const fab_lesson_event *e)
{
    fab_pose_real real;
    for (int i = 0; e->kind == FAB_LESSON_POSE && i < FAB_DEVICE_COUNT; i++) {
        if (!(e->pose->devices >> i & 1)) continue;
        fab_pose_restore(&e->pose->pose[i], &real);
        FAB_TRY(add(t, e->channel, i, e->time_us, &real));
    }
    for (int n = 0; e->kind == FAB_LESSON_HAND && n < 2 * FAB_HAND_JOINTS; n++) {
        int h = n / FAB_HAND_JOINTS, i = n % FAB_HAND_JOINTS;
        if (!(e->hand->hands >> h & 1)) continue;
        if (i) fab_joint_restore(&e->hand->wrist[h], &e->hand->joint[h][i], &real);
        else fab_pose_restore(&e->hand->wrist[h], &real);
        FAB_TRY(add(t, e->channel, 100 + n, e->time_us, &real));
    }
    return FAB_OK;
}

/* ---- the file ------------------------------------------------------------------------------- */

typedef struct gltf {
    fab_buf views, accessors, nodes, samplers, channels, binary;
    int view_count, sampler_count;
    fab_error *err;
} gltf;

static fab_status put_view(gltf *g, const fab_buf *data, const char *type, int component,
                           size_t count, const char *more)
{
    const char *comma = g->view_count ? "," : "";
    FAB_TRY(fab_buf_appendf(&g->views, g->err,
                            "%s{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu}", comma,
                            g->binary.size, data->size));
    FAB_TRY(fab_buf_appendf(&g->accessors, g->err, "%s{\"bufferView\":%d,\"componentType\":%d,"
                            "\"count\":%zu,\"type\":\"%s\"%s}", comma, g->view_count, component,
                            count, type, more));
    g->view_count++;
    return fab_buf_append(&g->binary, data->data, data->size, g->err);
}

/* Views 0 and 1: corners and triangles of an octahedron of 2 cm. */
static fab_status put_marker(gltf *g)
{
    static const double corners[18] = {.01, 0, 0, -.01, 0, 0, 0, .01, 0, 0, -.01, 0, 0, 0, .01,
                                       0, 0, -.01};
    static const uint8_t faces[24] = {0, 2, 4, 2, 1, 4, 1, 3, 4, 3, 0, 4,
                                      2, 0, 5, 1, 2, 5, 3, 1, 5, 0, 3, 5};
    FAB_AUTO_BUF fab_buf data = {0};
    for (int i = 0; i < 18; i++) FAB_TRY(put_float(&data, corners[i], g->err));
    FAB_TRY(put_view(g, &data, "VEC3", 5126, 6,
                     ",\"min\":[-0.01,-0.01,-0.01],\"max\":[0.01,0.01,0.01]"));
    data.size = 0;
    for (int i = 0; i < 24; i++) FAB_TRY(fab_put_uint(&data, faces[i], 2, g->err));
    return put_view(g, &data, "SCALAR", 5123, 24, "");
}

static fab_status put_name(fab_buf *b, const track *row, const char *who, fab_error *err)
{
    static const char *const devices[] = {"head", "left", "right"};
    char part[64];
    int n = row->part - 100;
    if (n < 0) snprintf(part, sizeof part, "%s", devices[row->part]);
    else snprintf(part, sizeof part, "%s_hand_joint_%02d", n < FAB_HAND_JOINTS ? "left" : "right",
                  n % FAB_HAND_JOINTS);
    return fab_buf_appendf(b, err, "\"%s%s%s\"", who, *who ? "_" : "", part);
}

static fab_status put_track(gltf *g, size_t index, const track *row, const char *topic)
{
    const char *slash = strchr(topic, '/'), *comma = index ? "," : "";
    char times[96];
    const int input = g->view_count;
    snprintf(times, sizeof times, ",\"min\":[%.9g],\"max\":[%.9g]",
             (double)row->start_s, (double)row->end_s);
    FAB_TRY(put_view(g, &row->times, "SCALAR", 5126, row->count, times));
    FAB_TRY(put_view(g, &row->moves, "VEC3", 5126, row->count, ""));
    FAB_TRY(put_view(g, &row->turns, "VEC4", 5126, row->count, ""));
    FAB_TRY(fab_buf_appendf(&g->nodes, g->err, "%s{\"mesh\":0,\"name\":", comma));
    FAB_TRY(put_name(&g->nodes, row, slash ? slash + 1 : "", g->err));
    FAB_TRY(fab_buf_append(&g->nodes, "}", 1, g->err));
    for (int i = 0; i < 2; i++) {
        FAB_TRY(fab_buf_appendf(&g->samplers, g->err, "%s{\"input\":%d,\"output\":%d}",
                                g->sampler_count ? "," : "", input, input + 1 + i));
        FAB_TRY(fab_buf_appendf(&g->channels, g->err, "%s{\"sampler\":%d,\"target\":{\"node\":%zu,"
                                "\"path\":\"%s\"}}", g->sampler_count ? "," : "", g->sampler_count,
                                index, i ? "rotation" : "translation"));
        g->sampler_count++;
    }
    return FAB_OK;
}

static fab_status put_text(fab_buf *to, const fab_buf *part, fab_error *err)
{
    return fab_buf_append(to, part->data, part->size, err);
}

static fab_status put_json(const gltf *g, size_t nodes, fab_buf *to)
{
    FAB_TRY(fab_buf_appendf(to, g->err, "{\"asset\":{\"version\":\"2.0\",\"generator\":\"fabrica "
                            FAB_VERSION "\"},\"scene\":0,\"scenes\":[{\"nodes\":["));
    for (size_t i = 0; i < nodes; i++)
        FAB_TRY(fab_buf_appendf(to, g->err, i ? ",%zu" : "%zu", i));
    FAB_TRY(fab_buf_appendf(to, g->err, "]}],\"meshes\":[{\"primitives\":[{\"attributes\":"
                            "{\"POSITION\":0},\"indices\":1}]}],\"nodes\":["));
    FAB_TRY(put_text(to, &g->nodes, g->err));
    FAB_TRY(fab_buf_appendf(to, g->err, "],\"animations\":[{\"name\":\"lesson\",\"samplers\":["));
    FAB_TRY(put_text(to, &g->samplers, g->err));
    FAB_TRY(fab_buf_appendf(to, g->err, "],\"channels\":["));
    FAB_TRY(put_text(to, &g->channels, g->err));
    FAB_TRY(fab_buf_appendf(to, g->err, "]}],\"accessors\":["));
    FAB_TRY(put_text(to, &g->accessors, g->err));
    FAB_TRY(fab_buf_appendf(to, g->err, "],\"bufferViews\":["));
    FAB_TRY(put_text(to, &g->views, g->err));
    FAB_TRY(fab_buf_appendf(to, g->err, "],\"buffers\":[{\"byteLength\":%zu}]}", g->binary.size));
    while (to->size % 4) FAB_TRY(fab_buf_append(to, " ", 1, g->err));
    return FAB_OK;
}

static fab_status put_glb(const gltf *g, const fab_buf *json, fab_writer *to)
{
    FAB_AUTO_BUF fab_buf head = {0};
    const uint64_t fields[] = {0x46546C67, 2, 12 + 8 + json->size + 8 + g->binary.size, json->size,
                               0x4E4F534A};
    for (int i = 0; i < 5; i++) FAB_TRY(fab_put_uint(&head, fields[i], 4, g->err));
    FAB_TRY(fab_writer_write(to, head.data, head.size, g->err));
    FAB_TRY(fab_writer_write(to, json->data, json->size, g->err));
    head.size = 0;
    FAB_TRY(fab_put_uint(&head, g->binary.size, 4, g->err));
    FAB_TRY(fab_put_uint(&head, 0x004E4942, 4, g->err));
    FAB_TRY(fab_writer_write(to, head.data, head.size, g->err));
    return fab_writer_write(to, g->binary.data, g->binary.size, g->err);
}

static fab_status build(gltf *g, const tracks *t, const fab_mcap *m, fab_writer *to)
{
    FAB_AUTO_BUF fab_buf json = {0};
    FAB_TRY(put_marker(g));
    for (size_t i = 0; i < t->count; i++)
        FAB_TRY(put_track(g, i, &t->rows[i],
                          fab_mcap_channel_by_id(m, t->rows[i].channel)->topic));
    FAB_TRY(put_json(g, t->count, &json));
    return put_glb(g, &json, to);
}

static fab_status read_tracks(fab_lesson *l, tracks *t)
{
    fab_lesson_event e;
    fab_status status = FAB_OK;
    while ((status = fab_lesson_next(l, &e, t->err)) == FAB_OK) FAB_TRY(collect(t, &e));
    if (status < 0) return status;
    if (!t->count) FAB_FAIL(t->err, FAB_ERR_NOTFOUND, "nothing moves in this lesson");
    return FAB_OK;
}

fab_status fab_lesson_export_gltf(const fab_reader *source, fab_writer *to, fab_error *err)
{
    FAB_AUTO(fab_lesson_free) fab_lesson *l = NULL;
    tracks t = {.err = err};
    gltf g = {.err = err};
    FAB_TRY(fab_lesson_open(source, &l, err));
    t.rows = fab_calloc(MAX_TRACKS, sizeof *t.rows);
    if (!t.rows) FAB_FAIL(err, FAB_ERR_NOMEM, "%s: no memory to export it", source->name);
    fab_status status = read_tracks(l, &t);
    if (status == FAB_OK) status = build(&g, &t, fab_lesson_container(l), to);
    for (size_t i = 0; i < t.count; i++) {
        fab_buf_free(&t.rows[i].times);
        fab_buf_free(&t.rows[i].moves);
        fab_buf_free(&t.rows[i].turns);
    }
    fab_buf *const all[] = {&g.views, &g.accessors, &g.nodes, &g.samplers, &g.channels, &g.binary};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) fab_buf_free(all[i]);
    fab_free(t.rows);
    return status;
}
