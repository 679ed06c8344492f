/* write_seg.c - a label map as a DICOM Segmentation, BINARY (PS3.3 A.51, C.8.20; docs/adr/0013).
 *
 *   segment 1..N     the values of the label set that occur, ascending; one item each in the
 *                    Segment Sequence, with its codes, side, colour, tracking UID and algorithm
 *   frame            one for each (segment, slice) that is not empty, segments outermost
 *   Pixel Data       one bit a voxel, least significant first, frames without padding between
 *
 * Frames lie on the volume's own grid. If that is the source's, each frame takes over its slice's
 * Image Position; if the series was resampled, positions are computed from the grid, the source
 * images that surround the plane are referenced, and Spatial Locations Preserved says NO.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "build.h"
#include "dicom_internal.h"

#define SEG_CLASS "1.2.840.10008.5.1.4.1.1.66.4"
#define EXPLICIT_LITTLE "1.2.840.10008.1.2.1"
#define SAME_GRID_MM 1e-3
#define ON_SLICE_STEPS 1e-4

typedef struct seg_frame {
    uint32_t segment; /* 0.. */
    int32_t slice;
} seg_frame;

typedef struct seg_job {
    const fab_series *source;
    const fab_volume *labels;
    const fab_seg_write *how;
    const fab_label **segments; /* segment_count of them, borrowed from the set */
    uint32_t segment_count;
    seg_frame *frames;
    size_t frame_count;
} seg_job;

static void free_job(seg_job *job)
{
    fab_free(job->segments);
    fab_free(job->frames);
}

/* How many voxels from `at` on, below `end`, have the same value; *value gets it. */
static size_t run_of(const void *data, bool wide, size_t at, size_t end, uint32_t *value)
{
    const uint8_t *bytes = data;
    size_t size = wide ? 2 : 1, i = at + 1;
    uint64_t same, here;
    if (wide) {
        *value = ((const uint16_t *)data)[at];
        same = *value * UINT64_C(0x0001000100010001);
    } else {
        *value = bytes[at];
        same = *value * UINT64_C(0x0101010101010101);
    }
    for (size_t step = sizeof same / size; end - i >= step; i += step) {
        memcpy(&here, bytes + i * size, sizeof here);
        if (here != same) break;
    }
    while (i < end && memcmp(bytes + i * size, bytes + at * size, size) == 0) i++;
    return i - at;
}

/* ---- what is there --------------------------------------------------------------------------- */

static fab_status check_request(const fab_series *source, const fab_volume *labels,
                                const fab_seg_write *how, fab_error *err)
{
    fab_dtype t = fab_volume_dtype(labels);
    if (t != FAB_U8 && t != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "a segmentation is written from uint8 or uint16 labels, not %s",
                 fab_dtype_name(t));
    if (!fab_grid_equal(fab_volume_grid(labels), fab_volume_grid(source->volume), SAME_GRID_MM))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the label map is not on the series' grid");
    if (!how->uid_seed || !how->uid_seed[0] || (how->algorithm_name && !how->algorithm_name[0]))
        FAB_FAIL(err, FAB_ERR_ARG,
                 "a segmentation needs a seed for its UIDs, an algorithm a name");
    return FAB_OK;
}

/* Marks (value, slice) pairs that occur: present[value * slices + slice]. */
static fab_status mark_present(const fab_volume *labels, const fab_label_set *set, size_t values,
                               uint8_t *present, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(labels);
    const void *data = fab_volume_data(labels);
    const bool wide = fab_volume_dtype(labels) == FAB_U16;
    size_t cells = (size_t)g->size[0] * (size_t)g->size[1], slices = (size_t)g->size[2];
    for (size_t k = 0; k < slices; k++) {
        uint32_t value = 0;
        for (size_t i = cells * k, end = i + cells; i < end;) {
            i += run_of(data, wide, i, end, &value);
            if (value == 0) continue;
            if (value >= values ||
                (!present[value * slices + k] && !fab_label_set_find(set, (int)value)))
                FAB_FAIL(err, FAB_ERR_ARG, "label value %u occurs but has no name", value);
            present[value * slices + k] = 1;
        }
    }
    return FAB_OK;
}

static fab_status collect(seg_job *job, const fab_label_set *set, const uint8_t *present,
                          fab_error *err)
{
    size_t slices = (size_t)fab_volume_grid(job->labels)->size[2], room = 0;
    job->segments = fab_calloc(set->count + 1, sizeof(const fab_label *));
    if (!job->segments) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for segments");
    for (size_t s = 0; s < set->count; s++) {
        size_t value = (size_t)set->items[s].value, used = 0;
        for (size_t k = 0; k < slices; k++) used += present[value * slices + k];
        if (used == 0) continue;
        job->segments[job->segment_count++] = &set->items[s];
        room += used;
    }
    if (room == 0) FAB_FAIL(err, FAB_ERR_ARG, "the label map is empty: nothing to write");
    job->frames = fab_alloc_array(room, sizeof *job->frames);
    if (!job->frames) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu frames", room);
    for (uint32_t s = 0; s < job->segment_count; s++)
        for (size_t k = 0; k < slices; k++)
            if (present[(size_t)job->segments[s]->value * slices + k])
                job->frames[job->frame_count++] = (seg_frame){s, (int32_t)k};
    return FAB_OK;
}

static fab_status find_frames(seg_job *job, const fab_label_set *set, fab_error *err)
{
    size_t slices = (size_t)fab_volume_grid(job->labels)->size[2];
    size_t values = 1;
    for (size_t s = 0; s < set->count; s++) {
        if (set->items[s].value < 1 || set->items[s].value > FAB_MAX_LABELS)
            FAB_FAIL(err, FAB_ERR_LIMIT, "label value %d", set->items[s].value);
        if ((size_t)set->items[s].value >= values) values = (size_t)set->items[s].value + 1;
    }
    FAB_AUTO_FREE uint8_t *present = fab_calloc(values, slices);
    if (!present) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu slices", slices);
    FAB_TRY(mark_present(job->labels, set, values, present, err));
    return collect(job, set, present, err);
}

/* ---- modules --------------------------------------------------------------------------------- */

static void put_code(fab_dcm *d, fab_dcm_item *parent, uint32_t tag, const char *scheme,
                     const char *value, const char *meaning)
{
    fab_dcm_item *i = fab_dcm_add(d, parent, tag);
    fab_dcm_text(d, i, 0x00080100, value);
    fab_dcm_text(d, i, 0x00080102, scheme);
    fab_dcm_text(d, i, 0x00080104, meaning);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text && text[0] ? text : otherwise;
}

/* Patient, study, frame of reference: the source's own. */
static void put_source_modules(fab_dcm *d, const fab_series_info *s)
{
    fab_dcm_item *r = fab_dcm_root(d);
    fab_dcm_text(d, r, 0x00080005, "ISO_IR 192");
    fab_dcm_text(d, r, 0x00100010, s->patient_name);
    fab_dcm_text(d, r, 0x00100020, s->patient_id);
    fab_dcm_text(d, r, 0x00100030, s->patient_birth_date);
    fab_dcm_text(d, r, 0x00100040, s->patient_sex);
    fab_dcm_text(d, r, 0x0020000d, s->study_uid);
    fab_dcm_text(d, r, 0x00080020, s->study_date);
    fab_dcm_text(d, r, 0x00080030, s->study_time);
    fab_dcm_text(d, r, 0x00080090, "");
    fab_dcm_text(d, r, 0x00200010, s->study_id);
    fab_dcm_text(d, r, 0x00080050, s->accession_number);
    if (s->study_description[0]) fab_dcm_text(d, r, 0x00081030, s->study_description);
    fab_dcm_text(d, r, 0x00200052, s->frame_of_reference_uid);
    fab_dcm_text(d, r, 0x00201040, "");
}

/* Content date and time are the study's: a clock would make two runs differ. */
static void put_series_modules(fab_dcm *d, const seg_job *job)
{
    const fab_series_info *s = &job->source->info;
    fab_dcm_item *r = fab_dcm_root(d);
    char uid[FAB_UID_BYTES];
    fab_dcm_text(d, r, 0x00080060, "SEG");
    fab_dicom_uid_derive(uid, "series-seg", job->how->uid_seed, 0);
    fab_dcm_text(d, r, 0x0020000e, uid);
    fab_dcm_integer(d, r, 0x00200011, s->series_number < 100000 ? s->series_number * 10L + 9 : 9);
    fab_dcm_text(d, r, 0x0008103e, or_else(job->how->series_description, "Segmentation"));
    fab_dcm_text(d, r, 0x00080070, "Fabrica");
    fab_dcm_text(d, r, 0x00081090, "Fabrica");
    fab_dcm_text(d, r, 0x00181000, "0");
    fab_dcm_text(d, r, 0x00181020, FAB_VERSION);
    fab_dcm_text(d, r, 0x00080016, SEG_CLASS);
    fab_dicom_uid_derive(uid, "instance-seg", job->how->uid_seed, 0);
    fab_dcm_text(d, r, 0x00080018, uid);
    fab_dcm_integer(d, r, 0x00200013, 1);
    fab_dcm_text(d, r, 0x00080008, "DERIVED\\PRIMARY");
    fab_dcm_text(d, r, 0x00080023, or_else(s->study_date, "19000101"));
    fab_dcm_text(d, r, 0x00080033, or_else(s->study_time, "000000"));
    fab_dcm_text(d, r, 0x00700080, or_else(job->how->content_label, "SEGMENTATION"));
    fab_dcm_text(d, r, 0x00700081, or_else(job->how->series_description, "Segmentation"));
    fab_dcm_text(d, r, 0x00700084, "");
    fab_dcm_text(d, r, 0x00282110, "00");
    fab_dcm_text(d, r, 0x00620001, "BINARY");
}

static void put_u16(fab_dcm *d, uint32_t tag, uint16_t value)
{
    fab_dcm_u16(d, fab_dcm_root(d), tag, &value, 1);
}

static void put_image_module(fab_dcm *d, const seg_job *job)
{
    const fab_grid *g = fab_volume_grid(job->labels);
    put_u16(d, 0x00280002, 1);
    fab_dcm_text(d, fab_dcm_root(d), 0x00280004, "MONOCHROME2");
    fab_dcm_integer(d, fab_dcm_root(d), 0x00280008, (long)job->frame_count);
    put_u16(d, 0x00280010, (uint16_t)g->size[1]);
    put_u16(d, 0x00280011, (uint16_t)g->size[0]);
    put_u16(d, 0x00280100, 1);
    put_u16(d, 0x00280101, 1);
    put_u16(d, 0x00280102, 0);
    put_u16(d, 0x00280103, 0);
}

/* A free name has no code in the table: a private one (99FAB) made of the name itself. */
static void put_type(fab_dcm *d, fab_dcm_item *item, const fab_label *label)
{
    const fab_anatomy *a = label->anatomy;
    if (!a) {
        char value[17];
        snprintf(value, sizeof value, "%.16s", label->name);
        put_code(d, item, 0x00620003, "SCT", "123037004", "Anatomical Structure");
        put_code(d, item, 0x0062000f, "99FAB", value, label->name);
        return;
    }
    put_code(d, item, 0x00620003, a->category.scheme, a->category.value, a->category.meaning);
    put_code(d, item, 0x0062000f, a->type.scheme, a->type.value, a->type.meaning);
    if (a->region.value) /* a disc's level, a cyst's organ */
        put_code(d, item, 0x00082218, a->region.scheme, a->region.value, a->region.meaning);
    if (a->side == FAB_SIDE_NONE) return;
    fab_code side = fab_anatomy_side_code(a->side);
    fab_dcm_item *type = fab_dcm_last(d, item, 0x0062000f);
    put_code(d, type, 0x00620011, side.scheme, side.value, side.meaning);
}

/* Segments without an algorithm were given by a person: MANUAL has neither name nor identification
 * (PS3.3 C.8.20.2: both are type 1C, for AUTOMATIC and SEMIAUTOMATIC). */
static void put_algorithm(fab_dcm *d, fab_dcm_item *item, const fab_seg_write *how)
{
    fab_dcm_text(d, item, 0x00620008, how->algorithm_name ? "AUTOMATIC" : "MANUAL");
    if (!how->algorithm_name) return;
    fab_dcm_text(d, item, 0x00620009, how->algorithm_name);
    fab_dcm_item *algorithm = fab_dcm_add(d, item, 0x00620007);
    put_code(d, algorithm, 0x0066002f, "DCM", "123110", "Artificial Intelligence");
    fab_dcm_text(d, algorithm, 0x00660036, how->algorithm_name);
    fab_dcm_text(d, algorithm, 0x00660031, or_else(how->algorithm_version, FAB_VERSION));
    if (how->algorithm_parameters)
        fab_dcm_text(d, algorithm, 0x00660032, how->algorithm_parameters);
}

static void put_description(fab_dcm *d, fab_dcm_item *item, const fab_seg_write *how,
                            const fab_label *label)
{
    char text[FAB_SEG_DESCRIPTION_BYTES] = "";
    if (how->describe) how->describe(how->describe_ctx, label->value, text, sizeof text);
    if (text[0]) fab_dcm_text(d, item, 0x00620006, text);
}

static void put_segment(fab_dcm *d, const seg_job *job, uint32_t index)
{
    const fab_label *label = job->segments[index];
    const fab_seg_write *how = job->how;
    fab_dcm_item *item = fab_dcm_add(d, fab_dcm_root(d), 0x00620002);
    uint16_t number = (uint16_t)(index + 1), lab[3];
    char uid[FAB_UID_BYTES], seed[FAB_MAX_NAME_BYTES + 512], tracking[FAB_MAX_NAME_BYTES + 16];
    fab_dcm_u16(d, item, 0x00620004, &number, 1);
    fab_dcm_text(d, item, 0x00620005, label->anatomy ? label->anatomy->display : label->name);
    put_description(d, item, how, label);
    put_algorithm(d, item, how);
    put_type(d, item, label);
    fab_anatomy_dicom_cielab(label->rgb, lab);
    fab_dcm_u16(d, item, 0x0062000d, lab, 3);
    snprintf(tracking, sizeof tracking, "%s", label->name);
    snprintf(seed, sizeof seed, "%.400s %s", how->uid_seed, label->name);
    fab_dicom_uid_derive(uid, "tracking", seed, 0);
    fab_dcm_text(d, item, 0x00620020, tracking);
    fab_dcm_text(d, item, 0x00620021, uid);
}

/* ---- functional groups --------------------------------------------------------------------- */

static void put_tag(fab_dcm *d, fab_dcm_item *item, uint32_t tag, uint32_t value)
{
    fab_dcm_attribute(d, item, tag, (uint16_t)(value >> 16), (uint16_t)(value & 0xffff));
}

static void put_dimensions(fab_dcm *d, const seg_job *job)
{
    static const uint32_t index[2][2] = {{0x0062000b, 0x0062000a}, {0x00200032, 0x00209113}};
    static const char *const label[2] = {"Segment", "Position"};
    fab_dcm_item *r = fab_dcm_root(d);
    char uid[FAB_UID_BYTES];
    fab_dicom_uid_derive(uid, "dimensions", job->how->uid_seed, 0);
    fab_dcm_text(d, fab_dcm_add(d, r, 0x00209221), 0x00209164, uid);
    for (int i = 0; i < 2; i++) {
        fab_dcm_item *item = fab_dcm_add(d, r, 0x00209222);
        fab_dcm_text(d, item, 0x00209164, uid);
        put_tag(d, item, 0x00209165, index[i][0]);
        put_tag(d, item, 0x00209167, index[i][1]);
        fab_dcm_text(d, item, 0x00209421, label[i]);
    }
}

static void put_shared_groups(fab_dcm *d, const seg_job *job)
{
    const fab_mat34 *m = &fab_volume_grid(job->labels)->world_from_voxel;
    fab_dcm_item *shared = fab_dcm_add(d, fab_dcm_root(d), 0x52009229);
    double spacing[3], orientation[6], normal[3], along = 0;
    fab_grid_spacing(fab_volume_grid(job->labels), spacing);
    for (int i = 0; i < 3; i++) {
        orientation[i] = m->m[i][0] / spacing[0];
        orientation[3 + i] = m->m[i][1] / spacing[1];
    }
    for (int i = 0; i < 3; i++) {
        int a = (i + 1) % 3, b = (i + 2) % 3;
        normal[i] = orientation[a] * orientation[3 + b] - orientation[b] * orientation[3 + a];
        along += normal[i] * m->m[i][2];
    }
    double step = fabs(along), pixel[2] = {spacing[1], spacing[0]};
    fab_dcm_decimals(d, fab_dcm_add(d, shared, 0x00209116), 0x00200037, orientation, 6);
    fab_dcm_item *measures = fab_dcm_add(d, shared, 0x00289110);
    fab_dcm_decimals(d, measures, 0x00180050, &step, 1);
    fab_dcm_decimals(d, measures, 0x00180088, &step, 1);
    fab_dcm_decimals(d, measures, 0x00280030, pixel, 2);
}

/* The source slices a plane comes from: one, or the two around it when spacing was uneven. */
static void source_slices(const seg_job *job, int32_t k, size_t out[2], size_t *count)
{
    const fab_series *s = job->source;
    const fab_mat34 *m = &fab_volume_grid(job->labels)->world_from_voxel;
    double step = 0, here = 0;
    out[0] = (size_t)k < s->slice_count ? (size_t)k : s->slice_count - 1;
    *count = 1;
    if (!s->resampled) return;
    for (int i = 0; i < 3; i++) step += m->m[i][2] * m->m[i][2];
    for (size_t n = 0; n < s->slice_count; n++) {
        here = 0;
        for (int i = 0; i < 3; i++)
            here += (s->slice_position[n][i] - s->slice_position[0][i]) * m->m[i][2];
        here = here / step - k; /* in steps, from the plane */
        if (here > ON_SLICE_STEPS) {
            out[1] = n;
            *count = n > 0 ? 2 : 1;
            if (n == 0) out[0] = n;
            return;
        }
        out[0] = n;
        if (here >= -ON_SLICE_STEPS) return;
    }
}

static void put_derivation(fab_dcm *d, fab_dcm_item *frame, const seg_job *job, int32_t k)
{
    const fab_series *s = job->source;
    size_t slices[2], count = 0;
    fab_dcm_item *derivation = fab_dcm_add(d, frame, 0x00089124);
    put_code(d, derivation, 0x00089215, "DCM", "113076", "Segmentation");
    source_slices(job, k, slices, &count);
    for (size_t i = 0; i < count; i++) {
        fab_dcm_item *image = fab_dcm_add(d, derivation, 0x00082112);
        fab_dcm_text(d, image, 0x00081150, s->sop_class_uid[slices[i]]);
        fab_dcm_text(d, image, 0x00081155, s->sop_instance_uid[slices[i]]);
        if (s->frame_number[slices[i]] > 0)
            fab_dcm_integer(d, image, 0x00081160, s->frame_number[slices[i]]);
        fab_dcm_text(d, image, 0x0028135a, s->resampled ? "NO" : "YES");
        put_code(d, image, 0x0040a170, "DCM", "121322",
                 "Source image for image processing operation");
    }
}

static void put_frame_groups(fab_dcm *d, const seg_job *job, const seg_frame *f)
{
    fab_dcm_item *frame = fab_dcm_add(d, fab_dcm_root(d), 0x52009230);
    uint32_t index[2] = {f->segment + 1, (uint32_t)f->slice + 1};
    uint16_t number = (uint16_t)(f->segment + 1);
    double position[3] = {0, 0, (double)f->slice};
    if (job->source->resampled)
        fab_mat34_apply(&fab_volume_grid(job->labels)->world_from_voxel, position, position);
    else memcpy(position, job->source->slice_position[f->slice], sizeof position);
    put_derivation(d, frame, job, f->slice);
    fab_dcm_u32(d, fab_dcm_add(d, frame, 0x00209111), 0x00209157, index, 2);
    fab_dcm_decimals(d, fab_dcm_add(d, frame, 0x00209113), 0x00200032, position, 3);
    fab_dcm_u16(d, fab_dcm_add(d, frame, 0x0062000a), 0x0062000b, &number, 1);
}

/* Common Instance Reference: every source image once. */
static void put_references(fab_dcm *d, const seg_job *job)
{
    const fab_series *s = job->source;
    fab_dcm_item *series = fab_dcm_add(d, fab_dcm_root(d), 0x00081115);
    fab_dcm_text(d, series, 0x0020000e, s->info.series_uid);
    for (size_t i = 0; i < s->slice_count; i++) {
        if (i > 0 && strcmp(s->sop_instance_uid[i], s->sop_instance_uid[i - 1]) == 0) continue;
        fab_dcm_item *image = fab_dcm_add(d, series, 0x0008114a);
        fab_dcm_text(d, image, 0x00081150, s->sop_class_uid[i]);
        fab_dcm_text(d, image, 0x00081155, s->sop_instance_uid[i]);
    }
}

/* ---- pixels -------------------------------------------------------------------------------- */

/* Sets `count` bits from `first` on. */
static void set_bits(uint8_t *bits, size_t first, size_t count)
{
    size_t end = first + count, low = first / 8, high = end / 8;
    uint8_t head = (uint8_t)(0xff << (first % 8)), tail = (uint8_t)~(0xff << (end % 8));
    if (low == high) {
        bits[low] |= head & tail;
        return;
    }
    bits[low] |= head;
    memset(bits + low + 1, 0xff, high - low - 1);
    if (tail) bits[high] |= tail;
}

/* Sets the bits of one slice's voxels, each in the frame of its value there. */
static void put_slice(const fab_volume *labels, int32_t k, const uint32_t *frame, uint8_t *bits)
{
    const fab_grid *g = fab_volume_grid(labels);
    const void *data = fab_volume_data(labels);
    const bool wide = fab_volume_dtype(labels) == FAB_U16;
    size_t cells = (size_t)g->size[0] * (size_t)g->size[1], first = cells * (size_t)k;
    for (size_t i = 0; i < cells;) {
        uint32_t value = 0;
        size_t run = run_of(data, wide, first + i, first + cells, &value);
        if (value) set_bits(bits, cells * frame[value] + i, run);
        i += run;
    }
}

/* Pixel Data behind everything else, straight to the file: as an element of the data set it would
 * be in memory three times, and it is most of the file. */
static fab_status write_pixels(const seg_job *job, fab_writer *w, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(job->labels);
    size_t cells = (size_t)g->size[0] * (size_t)g->size[1];
    size_t bytes = (cells * job->frame_count + 7) / 8, even = (bytes + 1) / 2 * 2;
    if (even >= UINT32_MAX)
        FAB_FAIL(err, FAB_ERR_LIMIT, "a segmentation of %zu frames is above 4 GiB",
                 job->frame_count);
    uint8_t head[12] = {0xe0, 0x7f, 0x10, 0x00, 'O', 'B'};
    FAB_AUTO_FREE uint8_t *bits = fab_calloc(even, 1);
    FAB_AUTO_FREE uint32_t *frame = fab_calloc(FAB_MAX_LABELS + 1, sizeof *frame);
    if (!bits || !frame)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu frames", job->frame_count);
    for (int32_t k = 0; k < g->size[2]; k++) {
        for (size_t f = 0; f < job->frame_count; f++)
            if (job->frames[f].slice == k)
                frame[job->segments[job->frames[f].segment]->value] = (uint32_t)f;
        put_slice(job->labels, k, frame, bits);
    }
    for (size_t i = 0; i < 4; i++) head[8 + i] = (uint8_t)(even >> (8 * i));
    FAB_TRY(fab_writer_write(w, head, sizeof head, err));
    return fab_writer_write(w, bits, even, err);
}

static fab_status write_job(seg_job *job, const fab_label_set *set, const char *path,
                            fab_error *err)
{
    FAB_TRY(find_frames(job, set, err));
    FAB_AUTO_BUF fab_buf bytes = {0};
    FAB_AUTO(fab_atomic_abort) fab_atomic_file *file = NULL;
    FAB_AUTO(fab_dcm_free) fab_dcm *d = fab_dcm_create();
    if (!d) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a segmentation");
    put_source_modules(d, &job->source->info);
    put_series_modules(d, job);
    put_image_module(d, job);
    put_references(d, job);
    for (uint32_t s = 0; s < job->segment_count; s++) put_segment(d, job, s);
    put_dimensions(d, job);
    put_shared_groups(d, job);
    for (size_t f = 0; f < job->frame_count; f++) put_frame_groups(d, job, &job->frames[f]);
    FAB_TRY(fab_dcm_write(d, EXPLICIT_LITTLE, &bytes, err));
    FAB_TRY(fab_atomic_open(path, &file, err));
    FAB_TRY(fab_writer_write(fab_atomic_writer(file), bytes.data, bytes.size, err));
    FAB_TRY(write_pixels(job, fab_atomic_writer(file), err));
    return fab_atomic_commit(&file, err);
}

fab_status fab_dicom_write_seg(const fab_series *source, const fab_volume *labels,
                               const fab_label_set *set, const fab_seg_write *how,
                               const char *path, fab_error *err)
{
    seg_job job = {.source = source, .labels = labels, .how = how};
    FAB_TRY(check_request(source, labels, how, err));
    fab_status s = write_job(&job, set, path, err);
    free_job(&job);
    return s;
}
