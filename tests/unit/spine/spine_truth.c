/* spine_truth.c - see spine_truth.h. */
#include "spine_truth.h"

#include <math.h>
#include <string.h>

const fab_spine_classes truth_classes = {
    .body = CLASS_BODY, .arch = CLASS_ARCH, .disc = CLASS_DISC, .canal = CLASS_CANAL,
    .cord = CLASS_CORD, .sacrum = CLASS_SACRUM, .ribs = CLASS_RIBS, .lungs = {CLASS_LUNGS, 0},
    .kidneys = {CLASS_KIDNEYS, 0}, .hips = {CLASS_HIPS, 0}};

typedef struct vertebra {
    int64_t n;
    double centre[3], canal[3], up[3], back[3], left[3], wall;
    int64_t canal_n;
} vertebra;

typedef struct maker {
    const fab_volume *labels;
    fab_grid grid;
    uint8_t code[65536];  /* of a label value: truth value, vertebrae as TRUTH_BODY + level */
    uint8_t *to;
    vertebra v[FAB_SPINE_LEVELS];
    fab_mat34 voxel_from_world;
} maker;

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int code_of(const char *name)
{
    static const struct { const char *begin; int code; } table[] = {
        {"vertebrae_S1", TRUTH_SACRUM}, {"sacrum", TRUTH_SACRUM}, {"spinal_cord", TRUTH_CORD},
        {"spinal_canal", TRUTH_CANAL}, {"cerebrospinal_fluid", TRUTH_CANAL},
        {"rib_", TRUTH_RIBS}, {"lung_", TRUTH_LUNGS}, {"kidney_left", TRUTH_KIDNEYS},
        {"kidney_right", TRUTH_KIDNEYS}, {"hip_", TRUTH_HIPS}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (begins(name, table[i].begin)) return table[i].code;
    if (begins(name, "vertebrae_") && fab_spine_level_of(name) >= 0)
        return TRUTH_BODY + fab_spine_level_of(name);
    if (begins(name, "disc_")) {
        char upper[8] = "";
        for (int i = 0; i < 7 && name[5 + i] && name[5 + i] != '_'; i++) upper[i] = name[5 + i];
        if (fab_spine_level_of(upper) >= 0) return TRUTH_DISC + fab_spine_level_of(upper);
    }
    return 0;
}

static int code_at(const maker *m, int64_t i)
{
    return m->code[(int)fab_volume_at(m->labels, i)];
}

static void world_at(const maker *m, int64_t i, double p[3])
{
    const int32_t *n = m->grid.size;
    p[0] = (double)(i % n[0]), p[1] = (double)(i / n[0] % n[1]);
    p[2] = (double)(i / n[0] / n[1]);
    fab_mat34_apply(&m->grid.world_from_voxel, p, p);
}

static int64_t voxel_near(const maker *m, const double world[3])
{
    double p[3];
    int64_t at[3];
    fab_mat34_apply(&m->voxel_from_world, world, p);
    for (int a = 0; a < 3; a++) {
        at[a] = (int64_t)floor(p[a] + 0.5);
        if (at[a] < 0 || at[a] >= m->grid.size[a]) return -1;
    }
    return at[0] + m->grid.size[0] * (at[1] + m->grid.size[1] * at[2]);
}

static bool is_level(int code)
{
    return code >= TRUTH_BODY && code < TRUTH_BODY + FAB_SPINE_LEVELS;
}

static void find_centres(maker *m)
{
    double p[3];
    for (int64_t i = 0; i < fab_grid_voxels(&m->grid); i++) {
        const int code = code_at(m, i);
        if (!is_level(code)) continue;
        vertebra *v = &m->v[code - TRUTH_BODY];
        world_at(m, i, p);
        v->n++;
        for (int a = 0; a < 3; a++) v->centre[a] += (p[a] - v->centre[a]) / (double)v->n;
    }
    for (int64_t i = 0; i < fab_grid_voxels(&m->grid); i++) {
        const int code = code_at(m, i);
        if (code != TRUTH_CORD && code != TRUTH_CANAL) continue;
        world_at(m, i, p);
        for (int k = 0; k < FAB_SPINE_LEVELS; k++) {
            vertebra *v = &m->v[k];
            double d = 0;
            for (int a = 0; a < 3; a++) d += (p[a] - v->centre[a]) * (p[a] - v->centre[a]);
            if (v->n == 0 || d > 20 * 20) continue;
            v->canal_n++;
            for (int a = 0; a < 3; a++) v->canal[a] += (p[a] - v->canal[a]) / (double)v->canal_n;
        }
    }
}

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void normalise(double v[3])
{
    const double n = sqrt(dot(v, v));
    for (int a = 0; a < 3; a++) v[a] /= fmax(n, 1e-12);
}

/* Up: to the neighbours; back: to the canal from what lies in front of it. */
static void find_frame(maker *m, int k)
{
    vertebra *v = &m->v[k];
    const vertebra *above = k > 0 && m->v[k - 1].n ? &m->v[k - 1] : v;
    const vertebra *below = k + 1 < FAB_SPINE_LEVELS && m->v[k + 1].n ? &m->v[k + 1] : v;
    for (int a = 0; a < 3; a++) v->up[a] = above->centre[a] - below->centre[a];
    if (above == below) v->up[0] = 0, v->up[1] = 0, v->up[2] = 1;
    normalise(v->up);
    double front[3] = {0}, p[3];
    int64_t n = 0;
    for (int64_t i = 0; v->canal_n > 20 && i < fab_grid_voxels(&m->grid); i++) {
        if (code_at(m, i) != TRUTH_BODY + k) continue;
        world_at(m, i, p);
        if (p[1] > v->canal[1] - 4) continue;
        n++;
        for (int a = 0; a < 3; a++) front[a] += (p[a] - front[a]) / (double)n;
    }
    for (int a = 0; a < 3; a++) v->back[a] = n > 20 ? v->canal[a] - front[a] : a == 1;
    const double along = dot(v->back, v->up);
    for (int a = 0; a < 3; a++) v->back[a] -= along * v->up[a];
    normalise(v->back);
    for (int a = 0; a < 3; a++) {
        const int b = (a + 1) % 3, c = (a + 2) % 3;
        v->left[a] = v->back[b] * v->up[c] - v->back[c] * v->up[b];
    }
}

static void local_of(const vertebra *v, const double p[3], double q[3])
{
    const double d[3] = {p[0] - v->centre[0], p[1] - v->centre[1], p[2] - v->centre[2]};
    q[0] = dot(d, v->left), q[1] = dot(d, v->back), q[2] = dot(d, v->up);
}

/* From the front, the middle of the body is solid until its back wall. */
static void find_wall(maker *m, int k)
{
    vertebra *v = &m->v[k];
    int64_t bins[120] = {0}, sums[120] = {0}, most = 0;
    double p[3], q[3];
    for (int64_t i = 0; i < fab_grid_voxels(&m->grid); i++) {
        if (code_at(m, i) != TRUTH_BODY + k) continue;
        world_at(m, i, p);
        local_of(v, p, q);
        if (fabs(q[0]) > 5 || fabs(q[2]) > 6 || fabs(q[1]) > 59) continue;
        bins[(int)(q[1] + 60)]++;
    }
    int at = 1;
    for (int i = 1; i < 119; i++) sums[i] = bins[i - 1] + bins[i] + bins[i + 1]; /* 3 mm voxels */
    for (int i = 0; i < 75; i++) most = sums[i] > most ? sums[i] : most;
    while (at < 75 && sums[at] * 2 < most) at++;
    for (at += 6; at < 118; at++)
        if (sums[at] * 2 < most) break;
    v->wall = at - 60;
    if (v->canal_n <= 20) return;
    local_of(v, v->canal, q); /* a vertebra whose body is out of the scan is all arch */
    v->wall = fmin(v->wall, q[1] - 5);
}

static void divide(maker *m)
{
    double p[3], q[3];
    for (int k = 0; k < FAB_SPINE_LEVELS; k++)
        if (m->v[k].n) {
            find_frame(m, k);
            find_wall(m, k);
        }
    for (int64_t i = 0; i < fab_grid_voxels(&m->grid); i++) {
        const int code = code_at(m, i);
        m->to[i] = (uint8_t)code;
        if (!is_level(code)) continue;
        world_at(m, i, p);
        local_of(&m->v[code - TRUTH_BODY], p, q);
        if (q[1] > m->v[code - TRUTH_BODY].wall)
            m->to[i] = (uint8_t)(code - TRUTH_BODY + TRUTH_ARCH);
    }
}

static bool meets(const maker *m, const double from[3], const double dir[3], int wanted)
{
    for (double d = 0.5; d <= 9; d += 0.5) {
        const double p[3] = {from[0] + d * dir[0], from[1] + d * dir[1], from[2] + d * dir[2]};
        const int64_t i = voxel_near(m, p);
        if (i >= 0 && m->to[i] == wanted) return true;
    }
    return false;
}

static void add_discs(maker *m)
{
    for (int64_t i = 0; i < fab_grid_voxels(&m->grid); i++) {
        double p[3], q[3];
        if (m->to[i]) continue;
        world_at(m, i, p);
        for (int k = 1; k < FAB_SPINE_LEVELS; k++) {
            const vertebra *v = &m->v[k];
            if (!v->n) continue;
            local_of(v, p, q);
            if (fabs(q[0]) > 35 || fabs(q[1]) > 45 || fabs(q[2]) > 45) continue;
            const bool last = k + 1 >= FAB_SPINE_LEVELS || !m->v[k + 1].n;
            const double down[3] = {-v->up[0], -v->up[1], -v->up[2]};
            if (meets(m, p, v->up, TRUTH_BODY + k) &&
                meets(m, p, down, last ? TRUTH_SACRUM : TRUTH_BODY + k + 1))
                m->to[i] = (uint8_t)(TRUTH_DISC + k);
        }
    }
}

fab_status spine_truth_make(const fab_volume *labels, const char *(*name_of)(void *ctx, int value),
                            void *ctx, double mm, fab_volume **out, fab_error *err)
{
    FAB_AUTO_FREE maker *m = fab_calloc(1, sizeof *m);
    FAB_AUTO(fab_volume_unref) fab_volume *own = NULL;
    bool discs = false;
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory");
    m->labels = labels;
    m->grid = *fab_volume_grid(labels);
    for (int v = 1; v < 65536; v++) {
        const char *name = name_of(ctx, v);
        m->code[v] = (uint8_t)(name ? code_of(name) : 0);
        discs |= m->code[v] >= TRUTH_DISC && m->code[v] < TRUTH_CANAL;
    }
    FAB_TRY(fab_mat34_invert(&m->grid.world_from_voxel, &m->voxel_from_world, err));
    FAB_TRY(fab_volume_create(&m->grid, FAB_U8, &own, err));
    m->to = fab_volume_data_mut(own);
    find_centres(m);
    divide(m);
    if (!discs) add_discs(m);
    if (mm <= 0) {
        *out = fab_volume_ref(own);
        return FAB_OK;
    }
    fab_grid coarse;
    FAB_TRY(fab_grid_axis_aligned(&m->grid, (double[]){mm, mm, mm}, &coarse, err));
    return fab_volume_resample(own, &coarse, FAB_NEAREST, 0, out, err);
}

static int class_of(int truth)
{
    if (truth >= TRUTH_CANAL) return truth - TRUTH_CANAL + CLASS_CANAL;
    if (truth >= TRUTH_DISC) return CLASS_DISC;
    if (truth >= TRUTH_ARCH) return CLASS_ARCH;
    return truth >= TRUTH_BODY ? CLASS_BODY : 0;
}

fab_status spine_truth_classes(const fab_volume *truth, fab_volume **out, fab_error *err)
{
    fab_volume *v = NULL;
    FAB_TRY(fab_volume_create(fab_volume_grid(truth), FAB_U8, &v, err));
    uint8_t *to = fab_volume_data_mut(v);
    const uint8_t *from = fab_volume_data(truth);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(truth)); i++)
        to[i] = (uint8_t)class_of(from[i]);
    *out = v;
    return FAB_OK;
}

/* ---- scores --------------------------------------------------------------------------------- */

typedef struct overlap { int64_t truth, got, both; } overlap;

static double dice_of(const overlap *o)
{
    return o->truth + o->got ? 2.0 * (double)o->both / (double)(o->truth + o->got) : 1;
}

static void count(overlap *o, int truth, int got)
{
    if (truth >= 0) o[truth].truth++;
    if (got >= 0) o[got].got++;
    if (truth >= 0 && truth == got) o[truth].both++;
}

static void count_disc(const fab_spine *s, int truth, int instance, spine_score *out)
{
    char name[FAB_MAX_NAME_BYTES] = "";
    const int k = instance - FAB_SPINE_DISC; /* above items[k] */
    int upper = -1;
    if (instance >= FAB_SPINE_DISC) upper = k > 0 ? s->items[k - 1].level : s->items[0].level - 1;
    (void)name;
    out->disc_voxels++;
    out->discs_wrong += upper != truth - TRUTH_DISC;
}

void spine_truth_score(const fab_volume *truth, const fab_spine *s, spine_score *out)
{
    overlap whole[FAB_SPINE_LEVELS] = {{0, 0, 0}}, arch[FAB_SPINE_LEVELS] = {{0, 0, 0}};
    int64_t body[FAB_SPINE_LEVELS] = {0}, right[FAB_SPINE_LEVELS] = {0};
    const uint8_t *t = fab_volume_data(truth), *g = fab_volume_data(s->instances);
    const double ml = fab_grid_voxel_volume_mm3(fab_volume_grid(truth)) / 1000;
    memset(out, 0, sizeof *out);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(truth)); i++) {
        const bool is_arch = t[i] >= TRUTH_ARCH && t[i] < TRUTH_DISC;
        const int level = is_level(t[i]) ? t[i] - TRUTH_BODY : is_arch ? t[i] - TRUTH_ARCH : -1;
        const int got = g[i] > 0 && g[i] < FAB_SPINE_DISC ? s->items[g[i] - 1].level : -1;
        count(whole, level, got);
        if (is_arch || (level < 0 && got >= 0)) count(arch, level, got);
        if (is_level(t[i])) {
            body[level]++, right[level] += got == level;
            out->body_voxels++, out->body_other += got >= 0 && got != level;
            out->body_none += got < 0;
        }
        if (t[i] >= TRUTH_DISC && t[i] < TRUTH_CANAL) count_disc(s, t[i], g[i], out);
    }
    out->worst = 1;
    for (int k = 0; k < FAB_SPINE_LEVELS; k++) {
        out->dice[k] = whole[k].truth ? dice_of(&whole[k]) : -1;
        out->arch[k] = whole[k].truth ? dice_of(&arch[k]) : -1;
        if ((double)body[k] * ml < 3) continue;
        out->vertebrae++;
        out->found += right[k] * 2 > body[k];
        out->mean += out->dice[k];
        if (out->dice[k] < out->worst) out->worst = out->dice[k], out->worst_level = k;
    }
    out->mean /= fmax(out->vertebrae, 1);
}
