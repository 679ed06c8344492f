/* parts.c - the parts of each vertebra as a label map: bodies, pedicles, laminae, processes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detail_internal.h"

enum { MIN_VOXELS = 8, SIDES = 2, KINDS = DT_INFERIOR + 1 };

static const char *const part_name[KINDS] = {
    NULL, "vertebral_body", "pedicle", "lamina", "spinous_process", "transverse_process",
    "superior_articular_process", "inferior_articular_process"};

static bool has_sides(int kind)
{
    return kind != DT_BODY && kind != DT_SPINOUS;
}

static void cross(const double a[3], const double b[3], double out[3])
{
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

static void unit(double v[3])
{
    const double n = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    for (int a = 0; a < 3; a++) v[a] /= fmax(n, 1e-9);
}

/* Left is across the way from the body to its arch and the way up the spine. */
static void find_frame(const dt_work *w, int level, const double arch[3], bool has_arch,
                       dt_frame *f)
{
    int above = level, below = level;
    double up[3] = {0, 0, 1}, back[3] = {0, 1, 0};
    f->found = w->bodies[level] > 0;
    if (!f->found) return;
    if (level > 0 && w->bodies[level - 1]) above = level - 1;
    if (level + 1 < FAB_SPINE_LEVELS && w->bodies[level + 1]) below = level + 1;
    for (int a = 0; a < 3; a++) {
        f->middle[a] = w->centre[level][a];
        if (above != below) up[a] = w->centre[above][a] - w->centre[below][a];
        if (has_arch) back[a] = arch[a] - w->centre[level][a];
    }
    cross(back, up, f->left);
    unit(f->left);
    unit(up);
    memcpy(f->up, up, sizeof up);
    cross(up, f->left, f->back);
}

void fab_dt_frames(const dt_work *w, dt_frame frames[FAB_SPINE_LEVELS])
{
    double sum[FAB_SPINE_LEVELS][4] = {{0}};
    for (int64_t i = 0; i < w->count; i++) {
        double p[3];
        const int l = w->level[i], kind = dt_kind_at(w, i);
        if (l == DT_NO_LEVEL || kind == DT_BODY) continue;
        dt_voxel(w, i, p);
        for (int a = 0; a < 3; a++) sum[l][a] += p[a];
        sum[l][3]++;
    }
    for (int l = 0; l < FAB_SPINE_LEVELS; l++) {
        const bool some = sum[l][3] > 0;
        for (int a = 0; a < 3 && some; a++) sum[l][a] /= sum[l][3];
        find_frame(w, l, sum[l], some, &frames[l]);
    }
}

/* 0: the left one, and what has no sides. */
static int side_of(const dt_frame *f, const double p[3], int kind)
{
    double along = 0;
    if (!has_sides(kind)) return 0;
    for (int a = 0; a < 3; a++) along += (p[a] - f->middle[a]) * f->left[a];
    return along < 0;
}

typedef int32_t part_table[FAB_SPINE_LEVELS][KINDS][SIDES];

static int32_t *entry(const dt_work *w, int64_t i, const dt_frame *frames, part_table table)
{
    double p[3];
    const int l = w->level[i], kind = dt_kind_at(w, i);
    if (l == DT_NO_LEVEL || !frames[l].found || !dt_is_part(kind)) return NULL;
    dt_voxel(w, i, p);
    return &table[l][kind][side_of(&frames[l], p, kind)];
}

/* Counts of voxels become values of the set. */
static fab_status make_set(part_table table, fab_label_set *set, int *last, fab_error *err)
{
    static const char *const side[SIDES] = {"left", "right"};
    int value = 0;
    for (int l = 0; l < FAB_SPINE_LEVELS; l++)
        for (int k = DT_BODY; k < KINDS; k++)
            for (int s = 0; s < (has_sides(k) ? SIDES : 1); s++) {
                char name[FAB_MAX_NAME_BYTES];
                const bool there = table[l][k][s] >= MIN_VOXELS;
                table[l][k][s] = there ? ++value : 0;
                if (!there) continue;
                snprintf(name, sizeof name, "%s%s%s_%s", part_name[k], has_sides(k) ? "_" : "",
                         has_sides(k) ? side[s] : "", fab_spine_level_name(l));
                FAB_TRY(fab_label_set_add(set, value, name, err));
            }
    *last = value;
    return FAB_OK;
}

fab_status fab_dt_parts(const dt_work *w, fab_detail *out, fab_error *err)
{
    dt_frame frames[FAB_SPINE_LEVELS];
    part_table table = {{{0}}};
    int last = 0;
    memset(frames, 0, sizeof frames);
    fab_dt_frames(w, frames);
    for (int64_t i = 0; i < w->count; i++) {
        int32_t *e = entry(w, i, frames, table);
        if (e) ++*e;
    }
    FAB_TRY(make_set(table, &out->set, &last, err));
    FAB_TRY(fab_volume_create(&w->grid, FAB_U16, &out->parts, err));
    uint16_t *to = fab_volume_data_mut(out->parts);
    for (int64_t i = 0; i < w->count; i++) {
        const int32_t *e = entry(w, i, frames, table);
        to[i] = e ? (uint16_t)*e : 0;
    }
    return fab_dt_model(w, frames, last, to, &out->set, err);
}
