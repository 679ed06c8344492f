/* validate_pictures.c - the worst cases as pictures: three planes through the place where truth and
 * prediction differ most, both outlined. */
#include "validate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PANEL = 340, GAP = 5, WORST_OF_ALL = 6 };
static const double block_mm = 12, field_margin_mm = 15, least_field_mm = 90, most_field_mm = 220;
static const uint8_t truth_rgb[3] = {40, 200, 255}, predicted_rgb[3] = {255, 150, 30};

/* ---- where truth and prediction differ ---------------------------------------------------- */

typedef struct place {
    int32_t low[3], high[3]; /* box of both, inclusive; low > high: neither has a voxel */
    double at[3];            /* voxel: the middle of the worst block */
} place;

typedef struct member {
    const fab_volume *labels;
    bool inside[FAB_MAX_LABELS + 1];
} member;

static void set_member(member *m, const fab_volume *labels, const int *values, size_t count)
{
    m->labels = labels;
    for (size_t i = 0; i < count; i++) m->inside[values[i]] = true;
}

static bool has(const member *m, int64_t index)
{
    return m->inside[fab_volume_dtype(m->labels) == FAB_U8
                         ? ((const uint8_t *)fab_volume_data(m->labels))[index]
                         : ((const uint16_t *)fab_volume_data(m->labels))[index]];
}

typedef struct block {
    int64_t wrong;
    double sum[3];
} block;

typedef struct block_grid {
    int32_t edge[3], size[3]; /* voxels along a block, blocks along the volume */
    block *blocks;
} block_grid;

static void look_at(const member side[2], int64_t index, const int32_t at[3], place *p,
                    block_grid *b)
{
    bool a = has(&side[0], index), c = has(&side[1], index);
    if (!a && !c) return;
    for (int k = 0; k < 3; k++) {
        if (at[k] < p->low[k]) p->low[k] = at[k];
        if (at[k] > p->high[k]) p->high[k] = at[k];
    }
    if (a == c) return;
    block *to = &b->blocks[at[0] / b->edge[0] +
                           (int64_t)b->size[0] * (at[1] / b->edge[1] +
                                                  (int64_t)b->size[1] * (at[2] / b->edge[2]))];
    to->wrong++;
    for (int k = 0; k < 3; k++) to->sum[k] += at[k];
}

/* The block with most voxels that only one side has; else the middle of the structure. */
static fab_status find_place(const member side[2], place *p, fab_error *err)
{
    const fab_grid *g = fab_volume_grid(side[0].labels);
    block_grid b = {0};
    double mm[3];
    fab_grid_spacing(g, mm);
    for (int a = 0; a < 3; a++) {
        b.edge[a] = (int32_t)fmax(1, round(block_mm / mm[a]));
        b.size[a] = (g->size[a] + b.edge[a] - 1) / b.edge[a];
        p->low[a] = g->size[a];
        p->high[a] = -1;
    }
    size_t count = (size_t)b.size[0] * (size_t)b.size[1] * (size_t)b.size[2], worst = 0;
    FAB_AUTO_FREE block *blocks = fab_calloc(count, sizeof *blocks);
    if (!blocks) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a picture");
    b.blocks = blocks;
    int64_t index = 0;
    for (int32_t k = 0; k < g->size[2]; k++)
        for (int32_t j = 0; j < g->size[1]; j++)
            for (int32_t i = 0; i < g->size[0]; i++, index++)
                look_at(side, index, (const int32_t[3]){i, j, k}, p, &b);
    for (size_t i = 1; i < count; i++)
        if (blocks[i].wrong > blocks[worst].wrong) worst = i;
    const block *w = &blocks[worst];
    for (int a = 0; a < 3; a++)
        p->at[a] = w->wrong ? w->sum[a] / (double)w->wrong : 0.5 * (p->low[a] + p->high[a]);
    return FAB_OK;
}

/* ---- the part shown ----------------------------------------------------------------------- */

/* A cube around the structure, or, of a larger one, around the error. */
static void choose_box(const fab_grid *g, const place *p, int32_t low[3], int32_t size[3])
{
    double mm[3], field = least_field_mm;
    fab_grid_spacing(g, mm);
    for (int a = 0; a < 3; a++)
        field = fmax(field, (p->high[a] - p->low[a] + 1) * mm[a] + 2 * field_margin_mm);
    field = fmin(field, most_field_mm);
    for (int a = 0; a < 3; a++) {
        double extent = (p->high[a] - p->low[a] + 1) * mm[a] + 2 * field_margin_mm;
        double middle = extent <= field ? 0.5 * (p->low[a] + p->high[a]) : p->at[a];
        int32_t from = (int32_t)floor(middle - 0.5 * field / mm[a]);
        int32_t to = (int32_t)ceil(middle + 0.5 * field / mm[a]);
        low[a] = from < 0 ? 0 : from;
        size[a] = (to >= g->size[a] ? g->size[a] - 1 : to) - low[a] + 1;
    }
}

static fab_status crop_mask(const member *m, const int32_t low[3], const int32_t size[3],
                            fab_volume **out, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *crop = NULL, *mask = NULL;
    FAB_TRY(fab_volume_crop(m->labels, low, size, &crop, err));
    FAB_TRY(fab_volume_create(fab_volume_grid(crop), FAB_U8, &mask, err));
    int64_t n = fab_grid_voxels(fab_volume_grid(crop));
    uint8_t *to = fab_volume_data_mut(mask);
    for (int64_t i = 0; i < n; i++) {
        to[i] = m->inside[fab_volume_dtype(crop) == FAB_U8
                              ? ((const uint8_t *)fab_volume_data(crop))[i]
                              : ((const uint16_t *)fab_volume_data(crop))[i]];
    }
    *out = mask;
    mask = NULL;
    return FAB_OK;
}

typedef struct scene {
    fab_volume *image, *mask[2];
    fab_label_set set[2];
    double world[3], center, width;
} scene;

static void scene_free(scene *s)
{
    fab_volume_unref(s->image);
    for (int i = 0; i < 2; i++) {
        fab_volume_unref(s->mask[i]);
        fab_label_set_free(&s->set[i]);
    }
}

static void choose_window(scene *s, const char *structure, bool ct)
{
    static const struct {
        fab_tissue tissue;
        double center, width;
    } windows[] = {{FAB_TISSUE_BONE, 300, 1200}, {FAB_TISSUE_DISC, 300, 1200},
                   {FAB_TISSUE_LUNG, -450, 1500}};
    const fab_anatomy *a = fab_anatomy_find(structure);
    s->center = 50;
    s->width = 450;
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        if (a && a->tissue == windows[i].tissue) {
            s->center = windows[i].center;
            s->width = windows[i].width;
        }
    if (ct) return;
    double low = 0, high = 0;
    fab_volume_minmax(s->image, &low, &high);
    s->center = 0.5 * (low + high);
    s->width = fmax(high - low, 1);
}

/* ---- drawing ------------------------------------------------------------------------------ */

static uint8_t mix(uint8_t plain, uint8_t a, uint8_t b, bool has_a, bool has_b)
{
    if (has_a && has_b) return (uint8_t)((a + b + 1) / 2);
    return has_a ? a : has_b ? b : plain;
}

/* Where both outlines run they are blended. */
static void blend(fab_image *plain, const fab_image *a, const fab_image *b)
{
    size_t n = (size_t)plain->width * (size_t)plain->height;
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = plain->rgba + 4 * i;
        const uint8_t *x = a->rgba + 4 * i, *y = b->rgba + 4 * i;
        bool in_a = memcmp(p, x, 4) != 0, in_b = memcmp(p, y, 4) != 0;
        for (int c = 0; c < 3; c++) p[c] = mix(p[c], x[c], y[c], in_a, in_b);
    }
}

static fab_status draw_plane(const scene *s, fab_plane plane, fab_image *out, fab_error *err)
{
    fab_image plain = {0}, with[2] = {{0}, {0}};
    fab_status status = fab_render_slice(s->image, NULL, NULL, plane, s->world, s->center,
                                         s->width, PANEL, PANEL, &plain, err);
    for (int i = 0; i < 2 && status == FAB_OK; i++)
        status = fab_render_slice(s->image, s->mask[i], &s->set[i], plane, s->world, s->center,
                                  s->width, PANEL, PANEL, &with[i], err);
    if (status == FAB_OK) {
        blend(&plain, &with[0], &with[1]);
        fab_image_draw(out, (int)plane * (PANEL + GAP), 0, &plain);
    }
    fab_image_free(&plain);
    for (int i = 0; i < 2; i++) fab_image_free(&with[i]);
    return status;
}

static fab_status make_scene(const fab_val_open *c, const fab_pair *pair, scene *s,
                             fab_error *err)
{
    FAB_AUTO_FREE member *side = fab_calloc(2, sizeof *side);
    place p;
    int32_t low[3], size[3];
    const uint8_t *rgb[2] = {truth_rgb, predicted_rgb};
    static const char *const names[2] = {"truth", "prediction"};
    if (!side) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a picture");
    const fab_grid *g = fab_volume_grid(c->truth.labels);
    set_member(&side[0], c->truth.labels, pair->truth, pair->truth_count);
    set_member(&side[1], c->predicted.labels, pair->predicted, pair->predicted_count);
    FAB_TRY(find_place(side, &p, err));
    choose_box(g, &p, low, size);
    fab_mat34_apply(&g->world_from_voxel, p.at, s->world);
    FAB_TRY(fab_volume_crop(c->study->volume, low, size, &s->image, err));
    for (int i = 0; i < 2; i++) {
        FAB_TRY(crop_mask(&side[i], low, size, &s->mask[i], err));
        FAB_TRY(fab_label_set_add(&s->set[i], 1, names[i], err));
        memcpy(s->set[i].items[0].rgb, rgb[i], 3);
    }
    choose_window(s, pair->name, strcmp(c->study->modality, "CT") == 0);
    return FAB_OK;
}

static fab_status draw(const fab_val_open *c, const fab_pair *pair, fab_case_picture *out,
                       fab_error *err)
{
    scene s = {0};
    fab_image image = {0};
    fab_status status = make_scene(c, pair, &s, err);
    if (status == FAB_OK) status = fab_image_create(3 * PANEL + 2 * GAP, PANEL, &image, err);
    for (int plane = FAB_AXIAL; plane <= FAB_SAGITTAL && status == FAB_OK; plane++)
        status = draw_plane(&s, (fab_plane)plane, &image, err);
    memcpy(out->at_mm, s.world, sizeof out->at_mm);
    scene_free(&s);
    if (status < 0) fab_image_free(&image);
    else out->image = image;
    return status;
}

/* ---- which ones --------------------------------------------------------------------------- */

bool fab_val_worse(const fab_validation *v, size_t row, size_t than)
{
    const fab_agreement *a = &v->rows[row].a, *b = &v->rows[than].a;
    if (a->dice != b->dice) return a->dice < b->dice;
    double x = isnan(a->hd95_mm) ? INFINITY : a->hd95_mm;
    double y = isnan(b->hd95_mm) ? INFINITY : b->hd95_mm;
    if (x < y || x > y) return x > y;
    return row < than;
}

/* wanted[row] for the worst of each structure and the worst of all. */
static void choose(const fab_validation *v, bool *wanted)
{
    for (size_t s = 0; s < v->structures.count; s++) {
        size_t worst = v->row_count;
        for (size_t i = 0; i < v->row_count; i++) {
            if (v->rows[i].structure != s || v->rows[i].state != FAB_ROW_EVALUATED) continue;
            if (worst == v->row_count || fab_val_worse(v, i, worst)) worst = i;
        }
        if (worst < v->row_count) wanted[worst] = true;
    }
    for (size_t i = 0; i < v->row_count; i++) {
        int worse = 0;
        if (v->rows[i].state != FAB_ROW_EVALUATED) continue;
        for (size_t j = 0; j < v->row_count && worse < WORST_OF_ALL; j++)
            worse += j != i && v->rows[j].state == FAB_ROW_EVALUATED && fab_val_worse(v, j, i);
        if (worse < WORST_OF_ALL) wanted[i] = true;
    }
}

static fab_status draw_rows(fab_validation *v, size_t index, const bool *wanted,
                            const fab_val_open *c, fab_error *err)
{
    fab_pair_list pairs = {0};
    FAB_TRY(fab_pairs_make(&v->data, &v->data.cases[index], fab_val_card(v), &c->truth.set,
                           &c->predicted.set, &pairs, err));
    fab_status status = FAB_OK;
    for (size_t i = 0; i < v->row_count && status == FAB_OK; i++) {
        if (!wanted[i] || v->rows[i].case_index != index) continue;
        const char *name = v->structures.items[v->rows[i].structure];
        for (size_t p = 0; p < pairs.count && status == FAB_OK; p++) {
            if (strcmp(pairs.items[p].name, name) != 0) continue;
            status = draw(c, &pairs.items[p], &v->pictures[v->picture_count], err);
            if (status == FAB_OK) v->pictures[v->picture_count++].row = i;
        }
        if (status == FAB_OK) status = fab_progress_step(&v->job.progress, "draw", 0.5, err);
    }
    fab_pairs_free(&pairs);
    return status;
}

fab_status fab_val_pictures(fab_validation *v, fab_error *err)
{
    FAB_AUTO_FREE bool *wanted = fab_calloc(v->row_count + 1, sizeof *wanted);
    if (!wanted) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for pictures");
    choose(v, wanted);
    size_t count = 0;
    for (size_t i = 0; i < v->row_count; i++) count += wanted[i];
    v->pictures = fab_calloc(count + 1, sizeof *v->pictures);
    if (!v->pictures) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for pictures");
    for (size_t k = 0; k < v->data.count; k++) {
        fab_val_open c = {0};
        bool any = false;
        for (size_t i = 0; i < v->row_count && !any; i++)
            any = wanted[i] && v->rows[i].case_index == k;
        FAB_TRY(fab_job_part(&v->job, k, v->data.count, err));
        if (!any) continue;
        FAB_TRY(fab_val_open_case(v, k, &c, err));
        fab_status status = draw_rows(v, k, wanted, &c, err);
        fab_val_close_case(&c);
        FAB_TRY(status);
    }
    return FAB_OK;
}
