/* Meshes of a case come back bit for bit, and damaged ones are refused. */
#include "tests.h"

static float corners[4][3] = {{0, 0, 0}, {1.5f, 0, 0}, {0, 2.25f, -1}, {0.1f, 0.2f, 3}};
static uint32_t faces[4][3] = {{0, 2, 1}, {0, 1, 3}, {1, 2, 3}, {2, 0, 3}};
static uint8_t flags[4] = {0, FAB_TRI_SCAN_EDGE, 0, 1};

static fab_mesh tetrahedron(void)
{
    return (fab_mesh){.label = 7, .vertex_count = 4, .triangle_count = 4,
                      .position = corners[0], .index = faces[0], .flags = flags};
}

static void write_to(fab_buf *buf)
{
    fab_error err;
    fab_writer w;
    fab_mesh mesh = tetrahedron();
    fab_writer_to_buf(buf, &w);
    CHECK_OK(fab_case_mesh_write(&mesh, &w, &err));
}

void mesh_round_trip(void)
{
    fab_error err;
    fab_buf buf = {0};
    fab_reader r;
    fab_mesh back = {0};
    write_to(&buf);
    fab_reader_from_memory(buf.data, buf.size, "t.ply", &r);
    CHECK_OK(fab_case_mesh_read(&r, &back, &err));
    CHECK(back.label == 7 && back.vertex_count == 4 && back.triangle_count == 4);
    CHECK(memcmp(back.position, corners, sizeof corners) == 0);
    CHECK(memcmp(back.index, faces, sizeof faces) == 0);
    CHECK(memcmp(back.flags, flags, sizeof flags) == 0);
    fab_mesh_free(&back);
    fab_buf_free(&buf);
}

static void refused(fab_buf *buf, fab_status status, const char *text)
{
    fab_error err;
    fab_reader r;
    fab_mesh back = {0};
    fab_reader_from_memory(buf->data, buf->size, "t.ply", &r);
    CHECK_FAILS(status, text, fab_case_mesh_read(&r, &back, &err));
    CHECK(back.position == NULL);
}

static uint8_t *find(fab_buf *buf, const char *text)
{
    uint8_t *at = memmem(buf->data, buf->size, text, strlen(text));
    CHECK(at != NULL);
    return at;
}

void mesh_refuses_damage(void)
{
    fab_buf buf = {0};
    write_to(&buf);
    size_t whole = buf.size;
    for (buf.size = 0; buf.size < whole; buf.size++) {
        fab_error err;
        fab_reader r;
        fab_mesh back = {0};
        fab_reader_from_memory(buf.data, buf.size, "t.ply", &r);
        CHECK(fab_case_mesh_read(&r, &back, &err) < 0);
    }
    find(&buf, "element vertex 4")[15] = '5';
    refused(&buf, FAB_ERR_FORMAT, "its header says 5 vertices");
    find(&buf, "element vertex 5")[15] = '4';
    find(&buf, "format binary_little")[7] = 'a';
    refused(&buf, FAB_ERR_FORMAT, "header differs");
    find(&buf, "format ainary_little")[7] = 'b';
    uint8_t *body = find(&buf, "end_header\n") + 11;
    static const uint8_t nan_bytes[4] = {0, 0, 0xc0, 0x7f};
    uint8_t old[4];
    memcpy(old, body + 12, 4);
    memcpy(body + 12, nan_bytes, 4);
    refused(&buf, FAB_ERR_FORMAT, "vertex 1 is not a finite point");
    memcpy(body + 12, old, 4);
    body[48 + 14 + 1] = 4; /* first corner of the second triangle */
    refused(&buf, FAB_ERR_FORMAT, "triangle 1 is damaged");
    fab_buf_free(&buf);
}

static fab_status read_back(void *ctx)
{
    fab_buf *buf = ctx;
    fab_error err;
    fab_reader r;
    fab_mesh back = {0};
    fab_reader_from_memory(buf->data, buf->size, "t.ply", &r);
    fab_status status = fab_case_mesh_read(&r, &back, &err);
    if (status == FAB_OK) fab_mesh_free(&back);
    return status;
}

void mesh_alloc_failures(void)
{
    fab_buf buf = {0};
    write_to(&buf);
    fab_test_torture(read_back, &buf);
    fab_buf_free(&buf);
}
