/* read_seg.h - a DICOM Segmentation for tests: Explicit VR Little Endian walked by hand, so that
 * nothing of the writer's library is used; each segment's voxels, placed by its frames' own Image
 * Position, Image Orientation and Pixel Spacing (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1). */
#ifndef FAB_TEST_READ_SEG_H
#define FAB_TEST_READ_SEG_H

#include "unit/export/readers.h"

enum { SEG_SEGMENTS = 256 };

typedef struct seg_segment {
    char name[FAB_MAX_NAME_BYTES]; /* Tracking ID */
    char side[17];                 /* code of the laterality modifier, or "" */
    int64_t voxels;
    double centroid[3]; /* LPS mm */
} seg_segment;

typedef struct seg_object {
    size_t count;
    seg_segment segment[SEG_SEGMENTS]; /* number - 1 */
} seg_object;

typedef struct seg_span {
    const uint8_t *at, *end;
} seg_span;

/* Takes the next element off *s; an item (FFFE,E000) comes as an element too. */
static inline uint32_t seg_next(seg_span *s, seg_span *value)
{
    const uint8_t *p = s->at;
    CHECK(s->end - p >= 8);
    uint32_t tag = (uint32_t)(p[1] << 8 | p[0]) << 16 | (uint32_t)(p[3] << 8 | p[2]);
    static const char *const wide[] = {"OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OL"};
    uint32_t length = p[6] | (uint32_t)p[7] << 8;
    size_t head = 8;
    if (tag == 0xfffee000) length = u32_at(p + 4);
    for (size_t i = 0; tag != 0xfffee000 && i < sizeof wide / sizeof wide[0]; i++)
        if (memcmp(p + 4, wide[i], 2) == 0) {
            CHECK(s->end - p >= 12);
            length = u32_at(p + 8);
            head = 12;
        }
    CHECK(length <= (size_t)(s->end - p) - head); /* undefined lengths are not written */
    *value = (seg_span){p + head, p + head + length};
    s->at = value->end;
    return tag;
}

/* An empty span if the tag is absent. */
static inline seg_span seg_find(seg_span in, uint32_t tag)
{
    seg_span value;
    while (in.at < in.end)
        if (seg_next(&in, &value) == tag) return value;
    return (seg_span){0};
}

/* The first item of a sequence; empty if there is none. */
static inline seg_span seg_item(seg_span in, uint32_t tag)
{
    return seg_find(seg_find(in, tag), 0xfffee000);
}

static inline void seg_text(seg_span value, char *into, size_t capacity)
{
    size_t n = (size_t)(value.end - value.at);
    CHECK(n < capacity);
    if (n) memcpy(into, value.at, n);
    while (n && (into[n - 1] == ' ' || into[n - 1] == 0)) n--;
    into[n] = 0;
}

static inline void seg_decimals(seg_span value, double *out, size_t count)
{
    char text[256], *at = text;
    seg_text(value, text, sizeof text);
    for (size_t i = 0; i < count; i++) {
        char *end;
        out[i] = strtod(at, &end);
        CHECK(end > at && (*end == '\\' || (*end == 0 && i + 1 == count)));
        at = end + 1;
    }
}

static inline uint32_t seg_u16(seg_span value)
{
    CHECK(value.end - value.at == 2);
    return (uint32_t)(value.at[0] | value.at[1] << 8);
}

static inline void seg_read_segments(seg_span set, seg_object *out)
{
    seg_span list = seg_find(set, 0x00620002), item;
    while (list.at < list.end) {
        CHECK(seg_next(&list, &item) == 0xfffee000 && out->count < SEG_SEGMENTS);
        seg_segment *s = &out->segment[out->count++];
        CHECK(seg_u16(seg_find(item, 0x00620004)) == out->count);
        seg_text(seg_find(item, 0x00620020), s->name, sizeof s->name);
        seg_span modifier = seg_item(seg_item(item, 0x0062000f), 0x00620011);
        seg_text(seg_find(modifier, 0x00080100), s->side, sizeof s->side);
    }
}

typedef struct seg_plane {
    size_t columns, rows;
    double per_column[3], per_row[3]; /* mm a pixel, along a row and down a column */
} seg_plane;

static inline void seg_read_plane(seg_span set, seg_plane *p)
{
    double cosines[6], spacing[2];
    seg_span shared = seg_item(set, 0x52009229);
    p->rows = seg_u16(seg_find(set, 0x00280010));
    p->columns = seg_u16(seg_find(set, 0x00280011));
    seg_decimals(seg_find(seg_item(shared, 0x00209116), 0x00200037), cosines, 6);
    seg_decimals(seg_find(seg_item(shared, 0x00289110), 0x00280030), spacing, 2);
    for (int i = 0; i < 3; i++) {
        p->per_column[i] = cosines[i] * spacing[1];
        p->per_row[i] = cosines[3 + i] * spacing[0];
    }
}

/* Adds the places of the frame's set bits. */
static inline void seg_add_frame(const seg_plane *p, seg_span frame, seg_span bits, size_t number,
                                 seg_object *out)
{
    double origin[3];
    size_t segment = seg_u16(seg_find(seg_item(frame, 0x0062000a), 0x0062000b));
    size_t first = number * p->rows * p->columns;
    CHECK(segment >= 1 && segment <= out->count);
    CHECK((first + p->rows * p->columns + 7) / 8 <= (size_t)(bits.end - bits.at));
    seg_segment *s = &out->segment[segment - 1];
    seg_decimals(seg_find(seg_item(frame, 0x00209113), 0x00200032), origin, 3);
    for (size_t r = 0; r < p->rows; r++)
        for (size_t c = 0; c < p->columns; c++) {
            size_t bit = first + r * p->columns + c;
            if (!(bits.at[bit / 8] >> (bit % 8) & 1)) continue;
            s->voxels++;
            for (int i = 0; i < 3; i++)
                s->centroid[i] += origin[i] + (double)c * p->per_column[i] +
                                  (double)r * p->per_row[i];
        }
}

static inline void seg_read(const char *path, seg_object *out)
{
    file_bytes f = read_file(path);
    seg_plane plane;
    char frames[17];
    *out = (seg_object){0};
    CHECK(f.data && f.size > 132 && memcmp(f.data + 128, "DICM", 4) == 0);
    seg_span set = {f.data + 132, f.data + f.size}, frame;
    seg_read_segments(set, out);
    seg_read_plane(set, &plane);
    seg_text(seg_find(set, 0x00280008), frames, sizeof frames);
    seg_span bits = seg_find(set, 0x7fe00010), list = seg_find(set, 0x52009230);
    size_t n = 0;
    for (; list.at < list.end; n++) {
        CHECK(seg_next(&list, &frame) == 0xfffee000);
        seg_add_frame(&plane, frame, bits, n, out);
    }
    CHECK(n > 0 && n == strtoul(frames, NULL, 10));
    for (size_t i = 0; i < out->count; i++)
        for (int a = 0; a < 3; a++)
            out->segment[i].centroid[a] /= (double)out->segment[i].voxels;
    fab_free(f.data);
}

#endif
