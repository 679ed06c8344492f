/* slice.c - a plane through image and labels, as a radiologist expects to see it.
 *
 *     axial: R|.|L, front up      coronal: R|.|L, head up      sagittal: front|.|back, head up
 *
 * The picture's pixels are laid out in world space (LPS mm) and both volumes are sampled there, so
 * oblique volumes, thick slices and different grids need no case of their own. Labels are sampled
 * by a vote of the eight voxels around a point, weighted as for linear interpolation: borders come
 * out smooth instead of in voxel steps. They are drawn as thin lines, each structure's colour on
 * its own side. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render_internal.h"

enum { IMAGE_SAMPLES = 2, LABEL_SAMPLES = 3, MAX_LINE = 9 };
static const double margin = 1.02, fill_strength = 0.16, line_px = 1.7;

typedef struct plane_axes {
    double right[3], down[3];
    const char *letters; /* left, right, top, bottom of the picture */
} plane_axes;

static const plane_axes planes[] = {
    [FAB_AXIAL] = {{1, 0, 0}, {0, 1, 0}, "RLAP"},
    [FAB_CORONAL] = {{1, 0, 0}, {0, 0, -1}, "RLSI"},
    [FAB_SAGITTAL] = {{0, 1, 0}, {0, 0, -1}, "APSI"},
};

/* Where the picture lies: world = corner + x * right + y * down, x and y in pixels. */
typedef struct slice_frame {
    const plane_axes *axes;
    double corner[3], mm_per_pixel;
} slice_frame;

/* ---- layout ----------------------------------------------------------------------------- */

/* Extent of the volume's box along the picture's two axes. */
static void extent_of(const fab_grid *g, const plane_axes *axes, double low[2], double high[2])
{
    for (int i = 0; i < 2; i++) low[i] = INFINITY, high[i] = -INFINITY;
    for (int corner = 0; corner < 8; corner++) {
        double p[3];
        for (int a = 0; a < 3; a++) p[a] = corner >> a & 1 ? g->size[a] - 0.5 : -0.5;
        fab_mat34_apply(&g->world_from_voxel, p, p);
        for (int i = 0; i < 2; i++) {
            const double *axis = i ? axes->down : axes->right;
            double at = p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2];
            low[i] = fmin(low[i], at);
            high[i] = fmax(high[i], at);
        }
    }
}

static slice_frame lay_out(const fab_grid *g, fab_plane plane, const double world[3], int width,
                           int height)
{
    slice_frame f = {.axes = &planes[plane]};
    double low[2], high[2], shift[2];
    extent_of(g, f.axes, low, high);
    f.mm_per_pixel = margin * fmax((high[0] - low[0]) / width, (high[1] - low[1]) / height);
    for (int i = 0; i < 2; i++) {
        const double *axis = i ? f.axes->down : f.axes->right;
        double at = world[0] * axis[0] + world[1] * axis[1] + world[2] * axis[2];
        shift[i] = (low[i] + high[i]) / 2 - f.mm_per_pixel * (i ? height : width) / 2 - at;
    }
    for (int a = 0; a < 3; a++)
        f.corner[a] = world[a] + shift[0] * f.axes->right[a] + shift[1] * f.axes->down[a];
    return f;
}

/* A one-slice grid with `samples` samples a pixel along each axis. */
static fab_grid sample_grid(const slice_frame *f, int width, int height, int samples)
{
    fab_grid g = {.size = {width * samples, height * samples, 1}};
    double step = f->mm_per_pixel / samples, normal[3];
    for (int a = 0; a < 3; a++) {
        int b = (a + 1) % 3, c = (a + 2) % 3;
        normal[a] = f->axes->right[b] * f->axes->down[c] - f->axes->right[c] * f->axes->down[b];
    }
    for (int a = 0; a < 3; a++) {
        g.world_from_voxel.m[a][0] = step * f->axes->right[a];
        g.world_from_voxel.m[a][1] = step * f->axes->down[a];
        g.world_from_voxel.m[a][2] = step * normal[a];
        g.world_from_voxel.m[a][3] =
            f->corner[a] + 0.5 * step * (f->axes->right[a] + f->axes->down[a]);
    }
    return g;
}

/* ---- grey values ------------------------------------------------------------------------ */

static fab_status draw_grey(const fab_volume *image, const slice_frame *f, double center,
                            double width_units, fab_image *out, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *slice = NULL;
    fab_grid g = sample_grid(f, out->width, out->height, IMAGE_SAMPLES);
    double dark = center - width_units / 2;
    FAB_TRY(fab_volume_resample(image, &g, FAB_LINEAR, floor(dark), &slice, err));
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++) {
            double sum = 0;
            for (int s = 0; s < IMAGE_SAMPLES * IMAGE_SAMPLES; s++) {
                double v = fab_volume_get(slice, x * IMAGE_SAMPLES + s % IMAGE_SAMPLES,
                                          y * IMAGE_SAMPLES + s / IMAGE_SAMPLES, 0);
                v = (v - dark) / width_units;
                sum += v > 0 ? v < 1 ? v : 1 : 0; /* NaN is dark */
            }
            uint8_t grey = (uint8_t)lround(255 * sum / (IMAGE_SAMPLES * IMAGE_SAMPLES));
            uint8_t *p = out->rgba + 4 * ((size_t)y * (size_t)out->width + (size_t)x);
            p[0] = p[1] = p[2] = grey;
            p[3] = 255;
        }
    return FAB_OK;
}

/* ---- labels ----------------------------------------------------------------------------- */

/* Labels of the picture's samples. */
typedef struct label_map {
    int width, height;
    uint16_t *values;
    const int32_t *size; /* of the volume */
    const void *data;    /* U8, or wide: U16 */
    bool wide;
    fab_mat34 voxel_from_sample;
    uint8_t *run; /* of each sample: how far another label is in its row, at most 255 */
} label_map;

/* A disc around a sample: half its width `dy` rows above or below. */
typedef struct outline {
    int reach, half[MAX_LINE + 1];
} outline;

static inline int label_at(const label_map *map, size_t at)
{
    return map->wide ? ((const uint16_t *)map->data)[at] : ((const uint8_t *)map->data)[at];
}

/* The label with most weight; the smaller value on a tie. */
static int heaviest(const int label[8], const double part[3])
{
    double weight[8] = {0}, most = 0;
    int best = 0;
    for (int corner = 0; corner < 8; corner++) {
        int first = 0;
        double w = 1;
        for (int a = 0; a < 3; a++) w *= corner >> a & 1 ? part[a] : 1 - part[a];
        while (label[first] != label[corner]) first++;
        weight[first] += w;
    }
    for (int i = 0; i < 8; i++)
        if (weight[i] > most || (weight[i] == most && most > 0 && label[i] < best)) {
            most = weight[i];
            best = label[i];
        }
    return best;
}

/* The eight voxels around a point; samples are closer together than voxels, so most often they are
 * those of the sample before. */
typedef struct surrounding {
    int base[3], label[8];
    bool known, one; /* one: all have the same label */
} surrounding;

/* What is outside the volume has no label. */
static void look_around(const label_map *map, const int base[3], surrounding *s)
{
    if (s->known && s->base[0] == base[0] && s->base[1] == base[1] && s->base[2] == base[2])
        return;
    const size_t row = (size_t)map->size[0], plane = row * (size_t)map->size[1];
    s->known = s->one = true;
    memcpy(s->base, base, sizeof s->base);
    for (int line = 0; line < 4; line++) {
        const int j = base[1] + (line & 1), k = base[2] + (line >> 1);
        const bool in = j >= 0 && j < map->size[1] && k >= 0 && k < map->size[2];
        const size_t from = in ? (size_t)j * row + (size_t)k * plane : 0;
        int *pair = s->label + 2 * line;
        pair[0] = in && base[0] >= 0 ? label_at(map, from + (size_t)base[0]) : 0;
        pair[1] = in && base[0] + 1 < map->size[0] ? label_at(map, from + (size_t)(base[0] + 1))
                                                   : 0;
        s->one &= pair[0] == s->label[0] && pair[1] == s->label[0];
    }
}

/* A point between voxels. */
typedef struct place {
    int base[3];
    double part[3];
} place;

/* Puts p, which is inside the volume or less than 1 outside along the axis, between voxels. */
static void set_place(place *at, int axis, double p)
{
    at->base[axis] = (int)(p + 1) - 1;
    at->part[axis] = p - at->base[axis];
}

static bool is_near(const label_map *map, int axis, double p)
{
    return p > -1 && p < map->size[axis];
}

/* Along most rows only one axis's coordinate changes. */
static void vote_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const label_map *map = ctx;
    const double(*m)[4] = map->voxel_from_sample.m;
    uint16_t *values = map->values + (size_t)y * (size_t)map->width;
    surrounding around = {.known = false};
    place at = {0};
    int moving[3], count = 0;
    bool near = true;
    for (int a = 0; a < 3; a++) {
        const double p = m[a][1] * (double)y + m[a][3];
        if (m[a][0] != 0) moving[count++] = a;
        else if (is_near(map, a, p)) set_place(&at, a, p);
        else near = false;
    }
    for (int x = 0; x < map->width; x++) {
        bool inside = near;
        for (int i = 0; i < count && inside; i++) {
            const int a = moving[i];
            const double p = m[a][0] * x + m[a][1] * (double)y + m[a][3];
            inside = is_near(map, a, p);
            if (inside) set_place(&at, a, p);
        }
        values[x] = 0;
        if (!inside) continue;
        look_around(map, at.base, &around);
        values[x] = (uint16_t)(around.one ? around.label[0] : heaviest(around.label, at.part));
    }
}

static uint16_t value_at(const label_map *map, int x, int y)
{
    if (x < 0 || y < 0 || x >= map->width || y >= map->height) return 0;
    return map->values[(size_t)y * (size_t)map->width + (size_t)x];
}

/* How far each sample of a row is from one of another label in it; beyond the row there is none. */
static void run_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const label_map *map = ctx;
    const uint16_t *value = map->values + (size_t)y * (size_t)map->width;
    uint8_t *run = map->run + (size_t)y * (size_t)map->width;
    int from = 0;
    for (int x = 1; x <= map->width; x++) {
        if (x < map->width && value[x] == value[from]) continue;
        for (int i = from; i < x; i++) { /* samples from..x - 1 are alike */
            int near = i - from < x - 1 - i ? i - from : x - 1 - i;
            run[i] = (uint8_t)(near < UINT8_MAX ? near + 1 : UINT8_MAX);
        }
        from = x;
    }
}

/* Is another label within the line's width of sample (x, y)? */
static bool on_line(const label_map *map, int x, int y, const outline *l)
{
    const size_t at = (size_t)y * (size_t)map->width + (size_t)x;
    if (map->run[at] <= l->reach) return true;
    for (int dy = -l->reach; dy <= l->reach; dy++) {
        if (y + dy < 0 || y + dy >= map->height) return true;
        const size_t there = (size_t)(y + dy) * (size_t)map->width + (size_t)x;
        if (map->values[there] != map->values[at]) return true;
        if (map->run[there] <= l->half[dy < 0 ? -dy : dy]) return true;
    }
    return false;
}

/* A line's colour: the structure's, but bright and saturated, so that it also shows on bone. */
static void vivid(const uint8_t rgb[3], double out[3])
{
    double high = fmax(rgb[0], fmax(rgb[1], rgb[2])), low = fmin(rgb[0], fmin(rgb[1], rgb[2]));
    double saturation = high > 0 ? (high - low) / high : 0;
    for (int c = 0; c < 3; c++) {
        double lack = high > 0 ? (high - rgb[c]) / high : 0; /* 0 for the strongest channel */
        if (saturation > 0.04 && saturation < 0.62) lack *= 0.62 / saturation;
        out[c] = fmax(high, 238) * (1 - lack);
    }
}

/* How a label is drawn, by value. */
typedef struct tint {
    bool drawn;
    double fill[3], line[3];
} tint;

typedef struct tint_job {
    const label_map *map;
    const tint *tints;
    int tint_count;
    outline line;
    fab_image *out;
} tint_job;

static void tint_pixel(const tint_job *job, int x, int y)
{
    enum { SAMPLES = LABEL_SAMPLES * LABEL_SAMPLES };
    const label_map *map = job->map;
    uint8_t *p = job->out->rgba + 4 * ((size_t)y * (size_t)job->out->width + (size_t)x);
    const double share = 1.0 / SAMPLES;
    const tint *seen[SAMPLES];
    double sum[3] = {0};
    bool any = false;
    for (int s = 0; s < SAMPLES; s++) {
        int value = value_at(map, x * LABEL_SAMPLES + s % LABEL_SAMPLES,
                             y * LABEL_SAMPLES + s / LABEL_SAMPLES);
        seen[s] = value < job->tint_count && job->tints[value].drawn ? &job->tints[value] : NULL;
        any |= seen[s] != NULL;
    }
    for (int s = 0; s < SAMPLES && any; s++) {
        const int sx = x * LABEL_SAMPLES + s % LABEL_SAMPLES;
        const int sy = y * LABEL_SAMPLES + s / LABEL_SAMPLES;
        const bool line = seen[s] && on_line(map, sx, sy, &job->line);
        const double a = line ? 0.95 : seen[s] ? fill_strength : 0;
        for (int c = 0; c < 3; c++) {
            double colour = line ? seen[s]->line[c] : seen[s] ? seen[s]->fill[c] : 0;
            sum[c] += share * ((1 - a) * p[c] + a * colour);
        }
    }
    for (int c = 0; any && c < 3; c++) p[c] = (uint8_t)lround(sum[c]);
}

static void tint_row(void *ctx, int64_t y, int worker)
{
    (void)worker;
    const tint_job *job = ctx;
    for (int x = 0; x < job->out->width; x++) tint_pixel(job, x, (int)y);
}

/* From fab_calloc, *count of them; NULL: no memory. */
static tint *make_tints(const fab_label_set *set, int *count)
{
    *count = 1;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].value >= *count) *count = set->items[i].value + 1;
    tint *tints = fab_calloc((size_t)*count, sizeof *tints);
    for (size_t i = 0; tints && i < set->count; i++) {
        const fab_label *label = &set->items[i];
        tint *t = &tints[label->value];
        if (label->value <= 0) continue;
        t->drawn = true;
        for (int c = 0; c < 3; c++) t->fill[c] = label->rgb[c];
        vivid(label->rgb, t->line);
    }
    return tints;
}

static outline line_of(int height)
{
    int reach = (int)lround(line_px * LABEL_SAMPLES * fmax(height / 700.0, 0.8));
    outline l = {.reach = reach < 1 ? 1 : reach > MAX_LINE ? MAX_LINE : reach};
    for (int dy = 0; dy <= l.reach; dy++)
        while ((l.half[dy] + 1) * (l.half[dy] + 1) + dy * dy <= l.reach * l.reach) l.half[dy]++;
    return l;
}

static fab_status draw_labels(const fab_volume *labels, const fab_label_set *set,
                              const slice_frame *f, fab_image *out, fab_error *err)
{
    fab_dtype type = fab_volume_dtype(labels);
    if (type != FAB_U8 && type != FAB_U16)
        FAB_FAIL(err, FAB_ERR_ARG, "render: a label map of type %s", fab_dtype_name(type));
    fab_grid g = sample_grid(f, out->width, out->height, LABEL_SAMPLES);
    label_map map = {.width = g.size[0], .height = g.size[1],
                     .size = fab_volume_grid(labels)->size, .data = fab_volume_data(labels),
                     .wide = type == FAB_U16};
    fab_mat34 voxel_from_world;
    FAB_TRY(fab_mat34_invert(&fab_volume_grid(labels)->world_from_voxel, &voxel_from_world, err));
    map.voxel_from_sample = fab_mat34_multiply(&voxel_from_world, &g.world_from_voxel);
    size_t samples = (size_t)map.width * (size_t)map.height;
    FAB_AUTO_FREE uint16_t *values = fab_alloc_array(samples, sizeof *values);
    FAB_AUTO_FREE uint8_t *run = fab_malloc(samples);
    tint_job job = {.map = &map, .out = out, .line = line_of(out->height)};
    FAB_AUTO_FREE tint *tints = make_tints(set, &job.tint_count);
    if (!values || !run || !tints)
        FAB_FAIL(err, FAB_ERR_NOMEM, "render: no memory for a slice's labels");
    map.values = values;
    map.run = run;
    fab_parallel_for(map.height, vote_row, &map);
    fab_parallel_for(map.height, run_row, &map);
    job.tints = tints;
    fab_parallel_for(out->height, tint_row, &job);
    return FAB_OK;
}

/* ---- letters and scale bar -------------------------------------------------------------- */

static void shadowed_text(fab_image *out, double x, double y, const char *text,
                          fab_text_style style)
{
    fab_text_style shadow = style;
    memcpy(shadow.rgba, (const uint8_t[4]){0, 0, 0, 190}, 4);
    shadow.weight = 0.34;
    fab_render_text(out, x, y, text, &shadow);
    fab_render_text(out, x, y, text, &style);
}

static void draw_letters(const slice_frame *f, fab_image *out)
{
    double h = fmax(out->height * 0.024, 8), edge = h * 0.9;
    fab_text_style style = {.height_px = h, .weight = 0.14, .rgba = {235, 238, 242, 255},
                            .align = FAB_TEXT_CENTER};
    double at[4][2] = {{edge + h * 0.3, (out->height + h) / 2},
                       {out->width - edge - h * 0.3, (out->height + h) / 2},
                       {out->width / 2.0, edge + h},
                       {out->width / 2.0, out->height - edge}};
    for (int i = 0; i < 4; i++)
        shadowed_text(out, at[i][0], at[i][1], (char[2]){f->axes->letters[i], 0}, style);
}

void fab_render_scale_bar(fab_image *out, double mm_per_pixel, double x, double y, double most_px,
                          double height_px)
{
    static const double lengths_mm[] = {500, 200, 100, 50, 20, 10, 5, 2, 1};
    double mm = 0;
    for (size_t i = 0; i < sizeof lengths_mm / sizeof *lengths_mm && mm == 0; i++)
        if (lengths_mm[i] / mm_per_pixel <= most_px) mm = lengths_mm[i];
    if (mm == 0) return;
    const uint8_t line[4] = {235, 238, 242, 255}, shadow[4] = {0, 0, 0, 150};
    double length = mm / mm_per_pixel, thick = fmax(height_px * 0.16, 1.5);
    char text[32];
    snprintf(text, sizeof text, mm >= 10 ? "%.0f cm" : "%.0f mm", mm >= 10 ? mm / 10 : mm);
    fab_image_fill_box(out, x - 1, y - thick - 1, length + 2, thick + 2, 1.5, shadow);
    fab_image_fill_box(out, x, y - thick, length, thick, thick / 2, line);
    fab_text_style style = {.height_px = height_px, .rgba = {235, 238, 242, 255}};
    shadowed_text(out, x, y - thick - height_px * 0.55, text, style);
}

static fab_status check_slice(const fab_volume *image, fab_plane plane, const double world[3],
                              double window_width, fab_error *err)
{
    if (!image) FAB_FAIL(err, FAB_ERR_ARG, "render: no image to cut");
    if ((int)plane < FAB_AXIAL || plane > FAB_SAGITTAL)
        FAB_FAIL(err, FAB_ERR_ARG, "render: plane %d is none", (int)plane);
    if (!(window_width > 0) || !isfinite(world[0] + world[1] + world[2]))
        FAB_FAIL(err, FAB_ERR_ARG, "render: a window of width %g through %g, %g, %g makes no sense",
                 window_width, world[0], world[1], world[2]);
    return FAB_OK;
}

fab_status fab_render_slice(const fab_volume *image, const fab_volume *labels,
                            const fab_label_set *set, fab_plane plane, const double world[3],
                            double window_center, double window_width, int width, int height,
                            fab_image *out, fab_error *err)
{
    FAB_TRY(check_slice(image, plane, world, window_width, err));
    if (width > FAB_MAX_DIM / LABEL_SAMPLES || height > FAB_MAX_DIM / LABEL_SAMPLES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "render: a slice of %d x %d pixels, at most %d a side",
                 width, height, FAB_MAX_DIM / LABEL_SAMPLES);
    __attribute__((cleanup(fab_image_free))) fab_image made = {0};
    FAB_TRY(fab_image_create(width, height, &made, err));
    slice_frame f = lay_out(fab_volume_grid(image), plane, world, width, height);
    FAB_TRY(draw_grey(image, &f, window_center, window_width, &made, err));
    if (labels && set) FAB_TRY(draw_labels(labels, set, &f, &made, err));
    draw_letters(&f, &made);
    double h = fmax(height * 0.021, 8);
    fab_render_scale_bar(&made, f.mm_per_pixel, 1.4 * h, height - 1.3 * h, width * 0.25, h);
    *out = made;
    made = (fab_image){0};
    return FAB_OK;
}
