/* map.c - where a patch lies in the source: affine, smooth displacement, growth, the pose. */
#include <math.h>
#include <string.h>

#include "synth_internal.h"

static const struct {
    const char *pattern;
    float weight;
} focus_rows[] = {
    /* how often a patch lies around what; the rest follows */
    {"vertebrae_*", 3},
    {"vertebral_arch_*", 1},
    {"disc_*", 0.5f},
    {"spinal_cord", 0.5f},
    {"sacrum", 1.5f},
    {"hip_*", 1.2f},
    {"femur_*", 1},
    {"rib_*", 0.8f},
    {"sternum", 0.4f},
    {"scapula_*", 0.5f},
    {"clavicula_*", 0.5f},
    {"humerus_*", 0.3f},
    {"lung_*", 0.8f},
    {"heart", 0.8f},
    {"aorta", 0.6f},
    {"inferior_vena_cava", 0.6f},
    {"liver", 0.7f},
    {"spleen", 1.3f},
    {"kidney_*", 1.4f},
    {"stomach", 1.2f},
    {"pancreas", 0.9f},
    {"colon", 0.6f},
    {"small_bowel", 0.6f},
    {"duodenum", 0.3f},
    {"urinary_bladder", 0.8f},
    {"autochthon_*", 0.6f},
    {"iliopsoas_*", 0.6f},
    {"gluteus_*", 0.6f},
    {"gallbladder", 0.2f},
    {"adrenal_gland_*", 0.2f},
    {"esophagus", 0.3f},
    {"trachea", 0.3f},
    {"prostate", 0.3f},
};
enum { FOCUS_ROWS = sizeof focus_rows / sizeof *focus_rows, GROWTHS = 4 };

static uint32_t points_of(const fab_synth_source *s, const char *pattern, uint32_t nth,
                          uint32_t *point)
{
    uint32_t count = 0;
    for (int v = 1; v < SY_CLOTH; v++) {
        const uint32_t here = s->first[v + 1] - s->first[v];
        const char *name = here ? fab_synth_name(v) : NULL;
        if (!name || !fab_sy_matches(name, pattern)) continue;
        if (nth >= count && nth - count < here) *point = s->point[s->first[v] + nth - count];
        count += here;
    }
    return count;
}

/* A source point (mm) to lie around. */
static fab_status draw_focus(fab_sy_patch *p, float out[3], fab_error *err)
{
    const fab_synth_source *s = p->source;
    const char *pattern = p->options->focus;
    float weight[FOCUS_ROWS], sum = 0;
    uint32_t point = 0, count;
    if (!pattern) {
        for (int i = 0; i < FOCUS_ROWS; i++) {
            weight[i] =
                points_of(s, focus_rows[i].pattern, 0, &point) > 4 ? focus_rows[i].weight : 0;
            sum += weight[i];
        }
        float at = sum * (float)fab_rng_uniform(&p->rng);
        for (int i = 0; i < FOCUS_ROWS && sum > 0; i++) {
            if (weight[i] > 0) pattern = focus_rows[i].pattern;
            if ((at -= weight[i]) < 0) break;
        }
        if (!pattern) pattern = "*";
    }
    count = points_of(s, pattern, 0, &point);
    if (!count) FAB_FAIL(err, FAB_ERR_NOTFOUND, "the map holds nothing called %s", pattern);
    points_of(s, pattern, fab_rng_u32(&p->rng) % count, &point);
    const uint32_t nx = (uint32_t)s->size[0], ny = (uint32_t)s->size[1];
    out[0] = (float)(point % nx) * s->step;
    out[1] = (float)(point / nx % ny) * s->step;
    out[2] = (float)(point / nx / ny) * s->step;
    return FAB_OK;
}

/* Around the focus with some room to wander, mostly within the map. */
static void place(fab_sy_patch *p, float at[3])
{
    fab_sy_map *m = &p->map;
    const float lap = fab_rng_uniform(&p->rng) < 0.7 ? 0.1f : 0.35f;
    for (int a = 0; a < 3; a++) {
        const float wander = p->options->focus ? 0.1f : 0.33f, box = m->patch_mm[a];
        at[a] += fab_sy_range(&p->rng, -wander, wander) * box;
        if (p->options->focus) continue;
        const float beyond = a == 2 ? lap * box : 25, half = box / 2 - beyond;
        const float low = p->source->low[a] + half, high = p->source->high[a] - half;
        at[a] = low < high ? fab_sy_clamp(at[a], low, high) : (low + high) / 2;
    }
}

static void draw_matrix(fab_sy_patch *p)
{
    static const float sd[3] = {6, 5, 7}; /* degrees about x, y, z */
    const float deform = (float)p->options->deform;
    float c[3], s[3], scale[3];
    const float all = 1 + deform * fab_sy_range(&p->rng, -0.17, 0.2);
    for (int a = 0; a < 3; a++) {
        const float angle = deform * (float)fab_rng_normal(&p->rng) * sd[a] * 0.01745329f;
        c[a] = cosf(angle), s[a] = sinf(angle);
        scale[a] = 1 / (all * (1 + deform * fab_sy_range(&p->rng, -0.08, 0.08)));
    }
    const float turn[3][3] = {
        /* about z, then y, then x */
        {c[2] * c[1], c[2] * s[1] * s[0] - s[2] * c[0], c[2] * s[1] * c[0] + s[2] * s[0]},
        {s[2] * c[1], s[2] * s[1] * s[0] + c[2] * c[0], s[2] * s[1] * c[0] - c[2] * s[0]},
        {-s[1], c[1] * s[0], c[1] * c[0]},
    };
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) p->map.matrix[i][j] = turn[i][j] * scale[j];
}

/* ---- the lattice ---- */

typedef struct growth {
    float centre[3], radius, amount;
} growth;

/* Adds smooth displacements of three sizes to channels 0..2 (mm so far). */
static fab_status displace(fab_sy_patch *p, fab_error *err)
{
    static const float cell_mm[3] = {150, 70, 35}, most[3] = {14, 9, 3};
    fab_sy_map *m = &p->map;
    const float step = p->step * SY_LATTICE;
    FAB_AUTO_FREE float *row = fab_alloc_array((size_t)m->n[0], sizeof *row);
    if (!row) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a displacement");
    for (int k = 0; k < 3; k++) {
        const float amount =
            (float)p->options->deform * fab_sy_range(&p->rng, 0, (double)most[k]) * 0.7f;
        for (int a = 0; a < 3; a++) {
            fab_sy_noise noise;
            FAB_TRY(fab_sy_noise_make(&noise, m->n, cell_mm[k] / step, &p->rng, err));
            float *to = m->channel[a];
            for (int z = 0; z < m->n[2]; z++)
                for (int y = 0; y < m->n[1]; y++, to += m->n[0]) {
                    fab_sy_noise_row(&noise, y, z, row);
                    for (int x = 0; x < m->n[0]; x++) to[x] += amount * row[x];
                }
            fab_sy_noise_free(&noise);
        }
    }
    return FAB_OK;
}

static void grow(const growth *g, int count, const float at[3], float out[3])
{
    for (int k = 0; k < count; k++) {
        const float d[3] = {at[0] - g[k].centre[0], at[1] - g[k].centre[1], at[2] - g[k].centre[2]};
        const float r = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) / (2 * g[k].radius * g[k].radius);
        if (r > 6) continue;
        const float f = g[k].amount * expf(-r);
        for (int a = 0; a < 3; a++) out[a] += f * d[a];
    }
}

static int draw_growths(fab_sy_patch *p, growth *g)
{
    const int count = p->options->deform > 0 ? (int)(fab_rng_u32(&p->rng) % (GROWTHS + 1)) : 0;
    for (int k = 0; k < count; k++) {
        for (int a = 0; a < 3; a++)
            g[k].centre[a] = fab_sy_range(&p->rng, -0.4, 0.4) * p->map.patch_mm[a];
        g[k].radius = fab_sy_range(&p->rng, 30, 70);
        g[k].amount = (float)p->options->deform * fab_sy_range(&p->rng, -0.35, 0.35);
    }
    return count;
}

static void read_fields(const fab_synth_source *s, const float voxel[3], float *const *channel,
                        int64_t i)
{
    int low[3];
    float t[3];
    for (int a = 0; a < 3; a++) {
        const float at =
            fab_sy_clamp(voxel[a] / SY_FIELD_STEP, 0, (float)s->field_size[a] - 1.001f);
        low[a] = (int)at;
        t[a] = at - (float)low[a];
    }
    const int64_t row = s->field_size[0], slice = row * s->field_size[1];
    const int8_t *f =
        s->field + ((int64_t)low[2] * slice + (int64_t)low[1] * row + low[0]) * SY_FIELD_BYTES;
    for (int k = 0; k < SY_FIELDS; k++) {
        float sum = 0;
        for (int c = 0; c < 8; c++) {
            const int64_t at = ((c & 1) + (c & 2) / 2 * row + (c & 4) / 4 * slice) * SY_FIELD_BYTES;
            const float w = ((c & 1) ? t[0] : 1 - t[0]) * ((c & 2) ? t[1] : 1 - t[1]) *
                            ((c & 4) ? t[2] : 1 - t[2]);
            sum += w * (float)f[at + k];
        }
        channel[3 + k][i] = sum;
    }
}

static void follow(fab_sy_patch *p, const growth *g, int growths)
{
    fab_sy_map *m = &p->map;
    const float step = p->step * SY_LATTICE, half = p->step / 2;
    int64_t i = 0;
    for (int z = 0; z < m->n[2]; z++)
        for (int y = 0; y < m->n[1]; y++)
            for (int x = 0; x < m->n[0]; x++, i++) {
                const float at[3] = {(float)x * step + half - m->patch_mm[0] / 2,
                                     (float)y * step + half - m->patch_mm[1] / 2,
                                     (float)z * step + half - m->patch_mm[2] / 2};
                float posed[3], source[3];
                for (int a = 0; a < 3; a++)
                    posed[a] = m->matrix[a][0] * at[0] + m->matrix[a][1] * at[1] +
                               m->matrix[a][2] * at[2] + m->centre[a] + m->channel[a][i];
                grow(g, growths, at, posed);
                fab_sy_pose_to_source(&p->pose, posed, source);
                for (int a = 0; a < 3; a++) m->channel[a][i] = source[a] /= p->source->step;
                if (!p->source->complete) read_fields(p->source, source, m->channel, i);
            }
}

fab_status fab_sy_map_make(fab_sy_patch *p, fab_error *err)
{
    fab_sy_map *m = &p->map;
    float at[3];
    growth g[GROWTHS];
    for (int a = 0; a < 3; a++) {
        m->n[a] = (p->size[a] + SY_LATTICE - 1) / SY_LATTICE + 1;
        m->patch_mm[a] = (float)p->size[a] * p->step;
    }
    const int64_t nodes = fab_sy_count(m->n);
    m->store = fab_calloc((size_t)nodes * SY_CHANNELS, sizeof *m->store);
    if (!m->store) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a map");
    for (int c = 0; c < SY_CHANNELS; c++) m->channel[c] = m->store + c * nodes;
    FAB_TRY(draw_focus(p, at, err));
    place(p, at);
    draw_matrix(p);
    fab_sy_pose_from_source(&p->pose, at, m->centre);
    if (p->options->deform > 0) FAB_TRY(displace(p, err));
    const int growths = draw_growths(p, g);
    follow(p, g, growths);
    return FAB_OK;
}

void fab_sy_map_row(const fab_sy_map *m, int channel, int y, int z, float *scratch, float *out)
{
    const int64_t row = m->n[0], slice = row * m->n[1];
    const float fy = (float)(y % SY_LATTICE) / SY_LATTICE,
                fz = (float)(z % SY_LATTICE) / SY_LATTICE;
    const float *a = m->channel[channel] + (z / SY_LATTICE) * slice + (y / SY_LATTICE) * row;
    const float *b = a + row, *c = a + slice, *d = c + row;
    const float wa = (1 - fy) * (1 - fz), wb = fy * (1 - fz), wc = (1 - fy) * fz, wd = fy * fz;
    for (int64_t i = 0; i < row; i++) scratch[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
    for (int64_t i = 0; i + 1 < row; i++) {
        const float v = scratch[i], e = (scratch[i + 1] - v) / SY_LATTICE;
        for (int k = 0; k < SY_LATTICE; k++) out[SY_LATTICE * i + k] = v + (float)k * e;
    }
}

void fab_sy_map_free(fab_sy_map *m)
{
    m->store = fab_free(m->store);
}

static void source_at(const fab_sy_map *m, const float voxel[3], float out[3])
{
    int low[3];
    float t[3];
    for (int a = 0; a < 3; a++) {
        const float at = fab_sy_clamp(voxel[a] / SY_LATTICE, 0, (float)m->n[a] - 1.001f);
        low[a] = (int)at;
        t[a] = at - (float)low[a];
    }
    const int64_t row = m->n[0], slice = row * m->n[1];
    const int64_t first = low[2] * slice + low[1] * row + low[0];
    for (int a = 0; a < 3; a++) {
        out[a] = 0;
        for (int c = 0; c < 8; c++) {
            const float w = ((c & 1) ? t[0] : 1 - t[0]) * ((c & 2) ? t[1] : 1 - t[1]) *
                            ((c & 4) ? t[2] : 1 - t[2]);
            out[a] += w * m->channel[a][first + (c & 1) + (c & 2) / 2 * row + (c & 4) / 4 * slice];
        }
    }
}

bool fab_sy_find(const fab_sy_patch *p, const float source[3], float voxel[3])
{
    const fab_sy_map *m = &p->map;
    const float step = p->source->step, ratio = step / p->step;
    const float want[3] = {source[0] / step, source[1] / step, source[2] / step};
    const int64_t nodes = fab_sy_count(m->n);
    int64_t best = 0;
    float least = 1e30f;
    for (int64_t i = 0; i < nodes; i++) { /* the nearest node, then a few steps from there */
        const float d[3] = {m->channel[0][i] - want[0], m->channel[1][i] - want[1],
                            m->channel[2][i] - want[2]};
        const float r = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
        if (r < least) least = r, best = i;
    }
    voxel[0] = (float)(best % m->n[0] * SY_LATTICE);
    voxel[1] = (float)(best / m->n[0] % m->n[1] * SY_LATTICE);
    voxel[2] = (float)(best / m->n[0] / m->n[1] * SY_LATTICE);
    for (int k = 0; k < 8; k++) {
        float here[3];
        source_at(m, voxel, here);
        for (int a = 0; a < 3; a++) {
            voxel[a] += 0.8f * ratio * (want[a] - here[a]);
            voxel[a] = fab_sy_clamp(voxel[a], 0, (float)((m->n[a] - 1) * SY_LATTICE));
        }
    }
    return least < 9 * SY_LATTICE * SY_LATTICE / (ratio * ratio);
}
