/* plates.c - endplates by the image: every pair of neighbours is fitted with the disc between them
 * (gap.c), twice, since better endplates give better walls and those a better footprint; then the
 * bodies' frames and heights follow. What the image does not show stays as the labels have it. */
#include <string.h>

#include "measure_internal.h"

enum { GAPS = FAB_MEASURE_VERTEBRAE + 1 };

/* Which bodies a gap lies between: rows, -1: none, SACRUM. */
enum { NOBODY = -1, SACRUM = -2 };
typedef struct place { int above, below; me_gap gap; } place;

static me_surface flat(const me_gap *g, const fab_endplate *e)
{
    me_vec c = me_local(&g->f, me_from(e->centre)), n = me_from(e->normal);
    double up = fmax(0.3, me_dot(n, g->f.z));
    double b = -me_dot(n, g->f.x) / up, d = -me_dot(n, g->f.y) / up;
    return (me_surface){.p = {c.z - b * c.x - d * c.y, b * g->half_width, d * g->half_depth}};
}

static double reach_into(const fab_vertebra *v)
{
    if (!v) return 0;
    return fmin(8, 0.42 * me_len(me_sub(me_from(v->upper.centre), me_from(v->lower.centre))));
}

/* Where S1 is to be expected below the lowest vertebra, if its label did not say. */
static fab_endplate expected_sacrum(const fab_vertebra *v)
{
    fab_endplate e = v->lower;
    me_vec n = me_from(e.normal), down = me_mul(n, -9);
    me_to(me_add(me_from(e.centre), down), e.centre);
    me_to(me_unit(me_sub(n, me_mul(me_from(v->back), 0.15))), e.normal);
    return e;
}

/* Frame, sizes and first plates of a gap. */
static void open_gap(const fab_spine_measures *s, const fab_endplate *sacrum, place *p)
{
    const fab_vertebra *a = p->above >= 0 ? &s->vertebra[p->above] : NULL;
    const fab_vertebra *b = p->below >= 0 ? &s->vertebra[p->below] : NULL;
    const fab_vertebra *one = a ? a : b, *two = b ? b : a;
    const fab_endplate *high = a ? &a->lower : NULL;
    const fab_endplate *low = b ? &b->upper : p->below == SACRUM ? sacrum : NULL;
    const fab_endplate *first[2] = {high ? high : low, low ? low : high};
    me_gap *g = &p->gap;
    me_vec o = me_mul(me_add(me_from(first[0]->centre), me_from(first[1]->centre)), 0.5);
    me_vec up = me_add(me_from(first[0]->normal), me_from(first[1]->normal));
    g->f = fab_me_frame(o, up, me_add(me_from(one->back), me_from(two->back)));
    g->half_width = 0.25 * (one->width_mm + two->width_mm);
    g->half_depth = 0.25 * (one->depth_mm + two->depth_mm);
    g->beyond_mm = 6;
    g->there[0] = high, g->there[1] = low;
    g->reach_mm[0] = reach_into(a);
    g->reach_mm[1] = b ? reach_into(b) : 8;
    for (int k = 0; k < 2; k++) g->plate[k] = flat(g, first[k]);
}

/* A body's own endplate lies on a neighbour's frame: how high above the zone about (0, y) of f. */
static double height_above(const me_frame *f, const me_gap *g, int k, double y, me_zone zone,
                           double guess)
{
    double z = guess, slant = fmax(0.3, me_dot(f->z, g->f.z));
    for (int i = 0; i < 6; i++) {
        me_vec p = me_local(&g->f, me_world(f, 0, y, z));
        z += (fab_me_gap_height(g, k, p.x, p.y, zone) - p.z) / slant;
    }
    return z;
}

static me_vec normal_of(const me_gap *g, int k)
{
    const double *p = g->plate[k].p;
    return me_unit(me_add(g->f.z, me_add(me_mul(g->f.x, -p[1] / g->half_width),
                                         me_mul(g->f.y, -p[2] / g->half_depth))));
}

/* The plate as seen from a body's frame. */
static void take(const me_frame *f, double half_width, double half_depth, const me_gap *g, int k,
                 fab_endplate *e)
{
    const me_zone zone = me_zone_of(half_width, half_depth);
    double z[3], guess = me_local(f, me_from(e->centre)).z;
    for (int i = 0; i < 3; i++)
        z[i] = height_above(f, g, k, 0.75 * half_depth * (i - 1), zone, guess);
    me_to(me_world(f, 0, 0, 0.5 * (z[0] + z[2])), e->centre);
    me_to(me_world(f, 0, -0.75 * half_depth, z[0]), e->front);
    me_to(me_world(f, 0, 0, z[1]), e->middle);
    me_to(me_world(f, 0, 0.75 * half_depth, z[2]), e->back);
    e->sigma_deg = g->tilt_sigma_deg[k];
    e->offset_sigma_mm = g->offset_sigma_mm[k];
    e->by_image = true;
}

/* An endplate that the image does not show where the labels have it may be anywhere near. */
static void doubt(fab_endplate *e)
{
    e->by_image = false;
    e->sigma_deg = fmax(e->sigma_deg, 6);
    e->offset_sigma_mm = 1.5;
}

/* Points of an endplate that stays as it was, on the axis of the new frame. */
static void keep(const me_frame *f, double half_depth, fab_endplate *e)
{
    me_vec c = me_local(f, me_from(e->centre)), n = me_from(e->normal);
    double up = fmax(0.3, me_dot(n, f->z)), b = -me_dot(n, f->x) / up, d = -me_dot(n, f->y) / up;
    double middle = c.z - b * c.x - d * c.y, hollow;
    me_vec chord = me_mul(me_add(me_from(e->front), me_from(e->back)), 0.5);
    hollow = me_dot(me_sub(me_from(e->middle), chord), f->z);
    me_to(me_world(f, 0, 0, middle), e->centre);
    me_to(me_world(f, 0, 0, middle + hollow), e->middle);
    me_to(me_world(f, 0, -0.75 * half_depth, middle - d * 0.75 * half_depth), e->front);
    me_to(me_world(f, 0, 0.75 * half_depth, middle + d * 0.75 * half_depth), e->back);
}

void fab_me_frame_of(const me_frame *f, fab_vertebra *v)
{
    me_to(f->o, v->centre), me_to(f->x, v->left), me_to(f->y, v->back), me_to(f->z, v->up);
    v->rotation_deg = fab_me_rotation(f->z, f->y);
    v->coronal_tilt_deg = ME_DEG * atan2(f->z.x, f->z.z);
    v->sagittal_tilt_deg = ME_DEG * atan2(f->z.y, f->z.z);
    me_vec up = f->z;
    v->height_front_mm = me_dot(me_sub(me_from(v->upper.front), me_from(v->lower.front)), up);
    v->height_middle_mm = me_dot(me_sub(me_from(v->upper.middle), me_from(v->lower.middle)), up);
    v->height_back_mm = me_dot(me_sub(me_from(v->upper.back), me_from(v->lower.back)), up);
}

/* New endplates for a body: its frame turns with them. */
static void update(fab_vertebra *v, const me_gap *over, const me_gap *under)
{
    bool high = over && over->found[1], low = under && under->found[0];
    const double half_width = 0.5 * v->width_mm, half_depth = 0.5 * v->depth_mm;
    if (!high) doubt(&v->upper);
    if (!low) doubt(&v->lower);
    if (high) me_to(normal_of(over, 1), v->upper.normal);
    if (low) me_to(normal_of(under, 0), v->lower.normal);
    me_vec up = me_add(me_from(v->upper.normal), me_from(v->lower.normal));
    me_frame f = fab_me_frame(me_from(v->centre), up, me_from(v->back));
    if (high) take(&f, half_width, half_depth, over, 1, &v->upper);
    else keep(&f, half_depth, &v->upper);
    if (low) take(&f, half_width, half_depth, under, 0, &v->lower);
    else keep(&f, half_depth, &v->lower);
    double top = me_local(&f, me_from(v->upper.centre)).z;
    double bottom = me_local(&f, me_from(v->lower.centre)).z;
    f.o = me_world(&f, 0, 0, 0.5 * (top + bottom));
    fab_me_frame_of(&f, v);
    v->height_sigma_mm = hypot(v->upper.offset_sigma_mm, v->lower.offset_sigma_mm);
}

static int find_places(const fab_spine_measures *s, bool sacrum, place *list)
{
    int n = 0, last = -1;
    for (int i = 0; i < s->count; i++) {
        if (s->vertebra[i].quality == FAB_MEASURE_NONE) continue;
        bool near = last >= 0 && me_len(me_sub(me_from(s->vertebra[last].lower.centre),
                                               me_from(s->vertebra[i].upper.centre))) < 22;
        if (last >= 0 && !near) list[n++] = (place){.above = last, .below = NOBODY};
        list[n++] = (place){.above = near ? last : NOBODY, .below = i};
        last = i;
    }
    if (last >= 0)
        list[n++] = (place){.above = last,
                            .below = sacrum && last + 1 == s->count ? SACRUM : NOBODY};
    return n;
}

static const me_gap *gap_of(const place *list, int n, int row, bool above)
{
    for (int i = 0; i < n; i++)
        if ((above ? list[i].above : list[i].below) == row) return &list[i].gap;
    return NULL;
}

static void update_sacrum(fab_spine_measures *s, const fab_endplate *first, bool again,
                          const place *p)
{
    const fab_vertebra *l5 = &s->vertebra[p->above];
    if (!p->gap.found[1]) {
        if (again) s->has_sacrum = false; /* the image does not show it where the label has it */
        return;
    }
    s->sacrum = *first;
    me_to(normal_of(&p->gap, 1), s->sacrum.normal);
    if (!s->has_sacrum) s->sacrum_depth_mm = l5->depth_mm;
    me_frame f = fab_me_frame(me_from(first->centre), me_from(s->sacrum.normal),
                              me_from(l5->back));
    take(&f, 0.5 * l5->width_mm, 0.5 * s->sacrum_depth_mm, &p->gap, 1, &s->sacrum);
    s->has_sacrum = true;
}

/* Labels that run on into a rib's head or a vessel make a body too wide, a missing piece makes it
 * too narrow. From one body to the next widths change little; the walls of one that is out of line
 * are looked for from what the one below it is like. */
static void narrow(fab_spine_measures *s, bool unsure[FAB_MEASURE_VERTEBRAE])
{
    double below = NAN;
    for (int i = s->count - 1; i >= 0; i--) {
        fab_vertebra *v = &s->vertebra[i];
        if (v->quality == FAB_MEASURE_NONE) continue;
        unsure[i] = v->width_mm > 1.18 * below || v->width_mm < 0.82 * below;
        if (unsure[i]) v->width_mm = 0.97 * below;
        below = v->width_mm;
    }
}

typedef struct search {
    const fab_volume *image;
    fab_mat34 voxel_from_world;
    me_gap_room *room;
    me_usual usual;
} search;

static void find_gap(const search *q, fab_spine_measures *s, bool again, place *p)
{
    bool lowest = p->below == SACRUM, guess = lowest && !s->has_sacrum;
    fab_endplate first = guess ? expected_sacrum(&s->vertebra[p->above]) : s->sacrum;
    open_gap(s, &first, p);
    p->gap.usual = q->usual;
    p->gap.sacral = lowest;
    p->gap.relieve = again;
    p->gap.search_mm = again ? 3 : guess ? 7 : 4.5;
    p->gap.search_deg = again ? 6 : lowest ? 20 : 16;
    fab_me_gap_fit(q->image, &q->voxel_from_world, q->room, &p->gap);
    if (lowest) update_sacrum(s, &first, again, p);
}

/* Medians of the gaps seen whole, if there are three. */
static me_usual usual_of(const place *list, int n)
{
    double blur[2 * GAPS], disc[2 * GAPS], ridge[2 * GAPS];
    int found = 0;
    for (int i = 0; i < n; i++) {
        const me_gap *g = &list[i].gap;
        if (!g->found[0] || !g->found[1] || list[i].below == SACRUM) continue;
        blur[found] = g->seen.blur, disc[found] = g->seen.disc_hu;
        ridge[found++] = g->seen.ridge_hu;
    }
    return (me_usual){found >= 3, fab_me_median(blur, found), fab_me_median(disc, found),
                      fab_me_median(ridge, found)};
}

static int find_all(const search *q, fab_spine_measures *s, bool sacrum, bool again, place *list)
{
    bool unsure[FAB_MEASURE_VERTEBRAE] = {false};
    int n = find_places(s, sacrum, list);
    narrow(s, unsure);
    for (int i = 0; i < s->count; i++)
        if (s->vertebra[i].quality != FAB_MEASURE_NONE)
            fab_me_walls(q->image, &q->voxel_from_world, unsure[i], &s->vertebra[i]);
    for (int i = 0; i < n; i++) find_gap(q, s, again, &list[i]);
    for (int i = 0; i < s->count; i++)
        if (s->vertebra[i].quality != FAB_MEASURE_NONE)
            update(&s->vertebra[i], gap_of(list, n, i, false), gap_of(list, n, i, true));
    return n;
}

fab_status fab_me_plates(const fab_volume *image, bool sacrum, fab_spine_measures *s,
                         fab_error *err)
{
    FAB_AUTO_FREE place *list = fab_alloc_array(2 * GAPS, sizeof *list);
    FAB_AUTO_FREE me_gap_room *room = NULL;
    search q = {.image = image};
    if (!list) FAB_FAIL(err, FAB_ERR_NOMEM, "measure: no memory for discs");
    FAB_TRY(fab_me_gap_room(&room, err));
    const fab_grid *grid = fab_volume_grid(image);
    FAB_TRY(fab_mat34_invert(&grid->world_from_voxel, &q.voxel_from_world, err));
    q.room = room;
    for (int pass = 0; pass < 2; pass++) {
        int n = find_all(&q, s, sacrum, pass > 0, list);
        q.usual = usual_of(list, n);
    }
    return FAB_OK;
}
