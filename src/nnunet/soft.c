/* soft.c - how sure the network is, on its own lattice, made plane by plane while logits are alive:
 * of every voxel the label and its probability; and, for surfaces, labels and their leads on a
 * lattice that is halved along axes of 2 mm and more, as our own networks' results have them.
 *
 * A new voxel between lattice voxels that all have one label has that label. Else the labels around
 * it compete with their interpolated logits: their crossings are the surface. There a lead is taken
 * over the labels that are near, not over the second best of all, which may win nowhere around.
 * Deciding instead from the leads at the lattice voxels alone moved surfaces wherever three labels
 * meet: the bones of a 4 mm network grew by 7 %.
 *
 * What counts is the quotient of two leads (src/mesh/relax.c), so each is kept to the same relative
 * precision: sixteenths of an octave, 2^-10 to 2^5.9 logits. An edge is then off by at most 0.8 %
 * of a voxel, whatever the scale of a network's logits.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "nnunet_internal.h"

enum { RUN = 64, OCTAVE = 16, LEAST_OCTAVE = -10 };

/* Labels and leads that are being made. */
typedef struct layer {
    fab_volume *labels, *margin;
    void *label;
    uint8_t *lead;
} layer;

struct fab_nnunet_softener {
    const fab_nnunet_plan *plan;
    const fab_nnunet_case *c;
    const fab_nnunet_kernels *kernels;
    const uint16_t *logits;    /* [depth][size1][head][size2] */
    uint16_t *head_of;         /* a label's value: its head */
    float lead_of[256];        /* a margin's code */
    int depth, done, from;     /* planes made; first of those being made */
    int made;                  /* planes of the fine layer */
    bool wide, surfaces, halved;
    int parts[3], fine_size[3]; /* fine voxels in one of the lattice; of the fine layer */
    layer coarse, fine;         /* fine: only if halved */
    fab_volume *share;
    uint8_t *sure;
};

float fab_nnunet_margin(uint8_t code)
{
    return code ? exp2f((float)(code - 1) / OCTAVE + LEAST_OCTAVE) : 0;
}

uint8_t fab_nnunet_margin_code(float margin)
{
    if (!(margin > 0)) return 0;
    const float at = OCTAVE * (log2f(margin) - LEAST_OCTAVE) + 1.5f;
    return at < 1 ? 1 : at > 255 ? 255 : (uint8_t)at;
}

/* ---- one run of a row -------------------------------------------------------------------- */

typedef struct voxels {
    float value[RUN], best[RUN], second[RUN], sum[RUN];
    int32_t head[RUN];
    int count;
} voxels;

static const uint16_t *row_of(const fab_nnunet_softener *s, int head, int z, int y)
{
    return s->logits + fab_nnunet_row(s->plan, s->c, s->depth, head, z, y);
}

static void load(const fab_nnunet_softener *s, int head, int z, int y, int x, voxels *v)
{
    s->kernels->half_to_float(row_of(s, head, z, y) + x, v->value, v->count);
}

static void rank_heads(const fab_nnunet_softener *s, int z, int y, int x, voxels *v)
{
    const uint16_t *logits = row_of(s, 0, z, y) + x;
    const int step = s->c->size[2], heads = s->plan->head_count;
    s->kernels->rank(logits, step, heads, v->best, v->second, v->head, v->count);
    s->kernels->sum_exponentials(logits, step, heads, v->best, v->sum, v->count);
}

/* Regions: the last head above 0 gives the label; it stays while that one is above and the later
 * ones are below. head -1: none. */
static void rank_regions(const fab_nnunet_softener *s, int z, int y, int x, voxels *v)
{
    for (int i = 0; i < v->count; i++) {
        v->best[i] = INFINITY;
        v->head[i] = -1;
    }
    for (int h = 0; h < s->plan->head_count; h++) {
        load(s, h, z, y, x, v);
        for (int i = 0; i < v->count; i++) {
            const float l = v->value[i];
            const bool on = l > 0;
            v->head[i] = on ? h : v->head[i];
            v->best[i] = on ? l : -l < v->best[i] ? -l : v->best[i];
        }
    }
    for (int i = 0; i < v->count; i++) {
        v->second[i] = 0;
        v->sum[i] = 1 + expf(-v->best[i]);
    }
}

static void put_label(const fab_nnunet_softener *s, void *labels, ptrdiff_t at, int value)
{
    if (s->wide) ((uint16_t *)labels)[at] = (uint16_t)value;
    else ((uint8_t *)labels)[at] = (uint8_t)value;
}

static void store(const fab_nnunet_softener *s, ptrdiff_t at, const voxels *v)
{
    for (int i = 0; i < v->count; i++) {
        const int value = v->head[i] < 0 ? 0 : s->plan->head[v->head[i]].value;
        put_label(s, s->coarse.label, at + i, value);
        s->sure[at + i] = (uint8_t)(255 / v->sum[i] + 0.5f);
        if (s->surfaces)
            s->coarse.lead[at + i] = fab_nnunet_margin_code(v->best[i] - v->second[i]);
    }
}

static void soft_row(void *ctx, int64_t index, int worker)
{
    const fab_nnunet_softener *s = ctx;
    const int *size = s->c->size;
    const int z = s->from + (int)(index / size[1]), y = (int)(index % size[1]);
    voxels v;
    (void)worker;
    for (int x = 0; x < size[2]; x += RUN) {
        v.count = size[2] - x < RUN ? size[2] - x : RUN;
        if (s->plan->regions) rank_regions(s, z, y, x, &v);
        else rank_heads(s, z, y, x, &v);
        store(s, ((ptrdiff_t)z * size[1] + y) * size[2] + x, &v);
    }
}

/* ---- the fine layer ---------------------------------------------------------------------- */

static int label_at(const fab_nnunet_softener *s, ptrdiff_t at)
{
    return s->wide ? ((const uint16_t *)s->coarse.label)[at]
                   : ((const uint8_t *)s->coarse.label)[at];
}

/* The lattice voxels at or before and after fine voxel `index`; share of the second returned. */
static float neighbours(const fab_nnunet_softener *s, int axis, int index, int at[2])
{
    if (s->parts[axis] == 1) {
        at[0] = at[1] = index;
        return 0;
    }
    const int last = s->c->size[axis] - 1, low = (index + 1) / 2 - 1; /* positions 0.25 and 0.75 */
    at[0] = low < 0 ? 0 : low;
    at[1] = low + 1 > last ? last : low + 1;
    return index % 2 ? 0.25f : 0.75f;
}

typedef struct cell {
    int at[3][2];
    float share[3]; /* of at[][1] */
} cell;

static ptrdiff_t corner_at(const fab_nnunet_softener *s, const cell *c, int corner)
{
    const int *n = s->c->size;
    return ((ptrdiff_t)c->at[0][corner >> 2] * n[1] + c->at[1][corner >> 1 & 1]) * n[2] +
           c->at[2][corner & 1];
}

static float weight_of(const cell *c, int corner)
{
    float w = 1;
    for (int a = 0; a < 3; a++) w *= corner >> (2 - a) & 1 ? c->share[a] : 1 - c->share[a];
    return w;
}

static float logit_in(const fab_nnunet_softener *s, const cell *c, int head)
{
    float sum = 0;
    for (int k = 0; k < 8; k++) {
        const float w = weight_of(c, k);
        float v;
        if (w == 0) continue;
        s->kernels->half_to_float(row_of(s, head, c->at[0][k >> 2], c->at[1][k >> 1 & 1]) +
                                      c->at[2][k & 1], &v, 1);
        sum += w * v;
    }
    return sum;
}

/* Regions: as rank_regions, of interpolated logits. */
static int decide_regions(const fab_nnunet_softener *s, const cell *c, float *lead)
{
    int value = 0;
    *lead = INFINITY;
    for (int h = 0; h < s->plan->head_count; h++) {
        const float l = logit_in(s, c, h);
        if (l > 0) value = s->plan->head[h].value;
        *lead = l > 0 ? l : fminf(*lead, -l);
    }
    return value;
}

static int decide(const fab_nnunet_softener *s, const cell *c, const int label[8], float *lead)
{
    int seen[8], count = 0, value = label[0];
    float best = -INFINITY, second = -INFINITY;
    for (int k = 0; k < 8; k++) {
        bool new = true;
        for (int i = 0; i < count && new; i++) new = seen[i] != label[k];
        if (!new) continue;
        seen[count++] = label[k];
        const float l = logit_in(s, c, s->head_of[label[k]]);
        const bool above = l > best || (l == best && s->head_of[label[k]] < s->head_of[value]);
        second = above ? best : fmaxf(second, l);
        if (above) value = label[k];
        best = fmaxf(best, l);
    }
    *lead = best - second;
    return value;
}

static void fine_voxel(const fab_nnunet_softener *s, const cell *c, ptrdiff_t to)
{
    int label[8], value;
    bool one = true;
    float lead = 0;
    for (int k = 0; k < 8; k++) {
        label[k] = label_at(s, corner_at(s, c, k));
        one = one && label[k] == label[0];
    }
    if (one) {
        value = label[0];
        for (int k = 0; k < 8; k++)
            lead += weight_of(c, k) * s->lead_of[s->coarse.lead[corner_at(s, c, k)]];
    } else value = s->plan->regions ? decide_regions(s, c, &lead) : decide(s, c, label, &lead);
    put_label(s, s->fine.label, to, value);
    s->fine.lead[to] = fab_nnunet_margin_code(lead);
}

static void fine_row(void *ctx, int64_t index, int worker)
{
    const fab_nnunet_softener *s = ctx;
    const int *n = s->fine_size;
    const int z = s->made + (int)(index / n[1]), y = (int)(index % n[1]);
    cell c;
    (void)worker;
    c.share[0] = neighbours(s, 0, z, c.at[0]);
    c.share[1] = neighbours(s, 1, y, c.at[1]);
    for (int x = 0; x < n[2]; x++) {
        c.share[2] = neighbours(s, 2, x, c.at[2]);
        fine_voxel(s, &c, ((ptrdiff_t)z * n[1] + y) * n[2] + x);
    }
}

/* Fine planes between lattice planes that are labelled. */
static void make_fine(fab_nnunet_softener *s)
{
    int end = s->made, at[2];
    while (end < s->fine_size[0] && (neighbours(s, 0, end, at), at[1] < s->done)) end++;
    fab_parallel_for((int64_t)(end - s->made) * s->fine_size[1], fine_row, s);
    s->made = end;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* The network's lattice in the world. Volumes run along their first axis first, the network along
 * its last. */
static void lattice(const fab_nnunet_plan *plan, const fab_nnunet_case *c, fab_grid *out)
{
    const fab_mat34 *image = &c->grid.world_from_voxel;
    double first[3]; /* the lattice's first voxel in the image */
    for (int a = 0; a < 3; a++) {
        const int before = plan->transpose_forward[a], axis = c->axis_of[before];
        const double scale = (double)(c->box[a][1] - c->box[a][0]) / c->size[a];
        const double low = c->box[a][0] + 0.5 * scale - 0.5;
        const bool flipped = c->flipped[before];
        first[axis] = flipped ? c->grid.size[axis] - 1 - low : low;
        out->size[2 - a] = c->size[a];
        for (int r = 0; r < 3; r++)
            out->world_from_voxel.m[r][2 - a] = image->m[r][axis] * (flipped ? -scale : scale);
    }
    fab_mat34_apply(image, first, first);
    for (int r = 0; r < 3; r++) out->world_from_voxel.m[r][3] = first[r];
}

static int parts_of(const fab_nnunet_plan *plan, const fab_nnunet_case *c, int axis)
{
    const double mm = plan->flat && axis == 0 ? c->spacing_mm[0] : plan->spacing_mm[axis];
    return mm >= FAB_NNUNET_HALVE_FROM_MM && c->size[axis] > 1 ? 2 : 1;
}

fab_grid fab_nnunet_fine_grid(const fab_grid *lattice, const int parts[3])
{
    fab_grid fine = *lattice;
    double first[3];
    for (int a = 0; a < 3; a++) {
        fine.size[a] *= parts[a];
        first[a] = parts[a] == 2 ? -0.25 : 0;
        for (int r = 0; r < 3; r++) fine.world_from_voxel.m[r][a] /= parts[a];
    }
    fab_mat34_apply(&lattice->world_from_voxel, first, first);
    for (int r = 0; r < 3; r++) fine.world_from_voxel.m[r][3] = first[r];
    return fine;
}

size_t fab_nnunet_softener_bytes(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                 bool surfaces)
{
    const size_t count = (size_t)c->size[0] * (size_t)c->size[1] * (size_t)c->size[2];
    size_t label = 1, parts = 1;
    for (int h = 0; h < plan->head_count; h++)
        if (plan->head[h].value > 255) label = 2;
    for (int a = 0; a < 3; a++) parts *= (size_t)parts_of(plan, c, a);
    return count * (label + 1 + (surfaces ? 1 : 0) +
                    (surfaces && parts > 1 ? parts * (label + 1) : 0));
}

static fab_status make_layer(const fab_grid *g, bool wide, bool lead, layer *l, fab_error *err)
{
    FAB_TRY(fab_volume_create(g, wide ? FAB_U16 : FAB_U8, &l->labels, err));
    l->label = fab_volume_data_mut(l->labels);
    if (!lead) return FAB_OK;
    FAB_TRY(fab_volume_create(g, FAB_U8, &l->margin, err));
    l->lead = fab_volume_data_mut(l->margin);
    return FAB_OK;
}

static fab_status make_layers(fab_nnunet_softener *s, fab_error *err)
{
    fab_grid grid = {0};
    lattice(s->plan, s->c, &grid);
    FAB_TRY(make_layer(&grid, s->wide, s->surfaces, &s->coarse, err));
    FAB_TRY(fab_volume_create(&grid, FAB_U8, &s->share, err));
    s->sure = fab_volume_data_mut(s->share);
    if (!s->halved) return FAB_OK;
    grid = fab_nnunet_fine_grid(&grid, (const int[3]){s->parts[2], s->parts[1], s->parts[0]});
    return make_layer(&grid, s->wide, true, &s->fine, err);
}

fab_status fab_nnunet_softener_create(const fab_nnunet_plan *plan, const fab_nnunet_case *c,
                                      const uint16_t *logits, int depth, bool surfaces,
                                      fab_nnunet_softener **out, fab_error *err)
{
    FAB_AUTO(fab_nnunet_softener_free) fab_nnunet_softener *s = fab_calloc(1, sizeof *s);
    if (!s) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for margins");
    s->plan = plan;
    s->c = c;
    s->kernels = fab_nnunet_kernels_best();
    s->logits = logits;
    s->depth = depth;
    s->surfaces = surfaces;
    for (int a = 0; a < 3; a++) {
        s->parts[a] = parts_of(plan, c, a);
        s->fine_size[a] = c->size[a] * s->parts[a];
        s->halved = s->halved || (surfaces && s->parts[a] > 1);
    }
    for (int code = 0; code < 256; code++) s->lead_of[code] = fab_nnunet_margin((uint8_t)code);
    s->head_of = fab_calloc((size_t)FAB_MAX_LABELS + 1, sizeof *s->head_of);
    if (!s->head_of) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for margins");
    for (int h = 0; h < plan->head_count; h++) {
        s->wide = s->wide || plan->head[h].value > 255;
        s->head_of[plan->head[h].value] = (uint16_t)h;
    }
    FAB_TRY(make_layers(s, err));
    *out = s;
    s = NULL;
    return FAB_OK;
}

void fab_nnunet_softener_planes(fab_nnunet_softener *s, int planes)
{
    s->from = s->done;
    fab_parallel_for((int64_t)(planes - s->from) * s->c->size[1], soft_row, s);
    s->done = planes;
    if (s->halved) make_fine(s);
}

fab_nnunet_soft fab_nnunet_softener_take(fab_nnunet_softener *s)
{
    const layer *fine = s->halved ? &s->fine : &s->coarse;
    fab_nnunet_soft soft = {.labels = fab_volume_ref(s->coarse.labels),
                            .share = fab_volume_ref(s->share)};
    if (s->surfaces) {
        soft.fine_labels = fab_volume_ref(fine->labels);
        soft.fine_margin = fab_volume_ref(fine->margin);
    }
    return soft;
}

fab_nnunet_softener *fab_nnunet_softener_free(fab_nnunet_softener *s)
{
    if (!s) return NULL;
    fab_volume_unref(s->coarse.labels);
    fab_volume_unref(s->coarse.margin);
    fab_volume_unref(s->fine.labels);
    fab_volume_unref(s->fine.margin);
    fab_volume_unref(s->share);
    fab_free(s->head_of);
    return fab_free(s);
}

void fab_nnunet_soft_free(fab_nnunet_soft *s)
{
    s->labels = fab_volume_unref(s->labels);
    s->share = fab_volume_unref(s->share);
    s->fine_labels = fab_volume_unref(s->fine_labels);
    s->fine_margin = fab_volume_unref(s->fine_margin);
}
