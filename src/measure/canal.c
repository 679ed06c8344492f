/* canal.c - the spinal canal in planes perpendicular to its own axis, at the middle of every body
 * and of every disc: with a CT by its border in the image (tube.c), else by the label. There areas
 * are sums of the interpolated mask over a fine grid, averaged over a thin slab: a sum has no
 * threshold that would favour one side, so small canals are not made smaller. */
#include "measure_internal.h"

static const double PITCH = 0.5; /* mm */
enum { SLAB = 5 };

typedef struct station {
    me_frame f;            /* of the vertebra or disc; the canal lies behind */
    double from, to;       /* where along y to look */
    me_vec centre;         /* of the canal, once found */
    fab_canal_section *out;
} station;

/* Area and centre of the canal in the plane of f, y in [from, to], |x| <= side. */
static double section(const me_mask *m, const me_frame *f, double side, double from, double to,
                      me_vec *centre)
{
    double sum = 0, sx = 0, sy = 0;
    for (double y = from; y <= to; y += PITCH)
        for (double x = -side; x <= side; x += PITCH) {
            double v = fab_me_at(m, me_world(f, x, y, 0));
            sum += v, sx += v * x, sy += v * y;
        }
    if (sum > 0) *centre = me_world(f, sx / sum, sy / sum, 0);
    return sum * PITCH * PITCH;
}

/* Length of the canal along d through its middle: three lines 1.5 mm apart. */
static double chord(const me_mask *m, me_vec o, me_vec d, me_vec across)
{
    double sum = 0;
    for (int i = -1; i <= 1; i++)
        for (double t = -22; t <= 22; t += 0.25)
            sum += fab_me_at(m, me_add(o, me_add(me_mul(d, t), me_mul(across, 1.5 * i))));
    return sum * 0.25 / 3;
}

static void measure(const me_mask *m, station *s, me_vec axis)
{
    me_frame f = fab_me_frame(s->centre, axis, s->f.y);
    double half = fmax(1.5, 0.5 * fab_me_voxel_along(m, f.z)), area = 0, ap = 0, wide = 0;
    me_vec middle = s->centre, unused;
    (void)section(m, &f, 22, -22, 22, &middle);
    for (int i = 0; i < SLAB; i++) {
        me_frame at = f;
        at.o = me_add(middle, me_mul(f.z, half * (2.0 * i / (SLAB - 1) - 1)));
        area += section(m, &at, 22, -22, 22, &unused) / SLAB;
        ap += chord(m, at.o, f.y, f.x) / SLAB;
        wide += chord(m, at.o, f.x, f.y) / SLAB;
    }
    s->out->measured = area > 20;
    s->out->area_mm2 = area, s->out->ap_mm = ap, s->out->transverse_mm = wide;
    s->out->border_seen = NAN, s->out->quality = FAB_MEASURE_FAIR;
    me_to(middle, s->out->centre);
}

static int stations(fab_spine_measures *s, station *list)
{
    int n = 0;
    for (int i = 0; i < s->count; i++) {
        fab_vertebra *v = &s->vertebra[i];
        if (v->quality == FAB_MEASURE_NONE) continue;
        me_frame f = fab_me_frame(me_from(v->centre), me_from(v->up), me_from(v->back));
        list[n++] = (station){f, 0.4 * v->depth_mm, 0.5 * v->depth_mm + 32, {0}, &v->canal};
        for (int d = 0; d < s->disc_count; d++) {
            fab_disc_level *disc = &s->disc[d];
            const fab_endplate *below = disc->below < 0 ? &s->sacrum
                                                        : &s->vertebra[disc->below].upper;
            if (disc->above != i || !disc->measured) continue;
            me_vec o = me_mul(me_add(me_from(v->lower.centre), me_from(below->centre)), 0.5);
            me_vec up = me_add(me_from(v->lower.normal), me_from(below->normal));
            list[n++] = (station){fab_me_frame(o, up, f.y), 0.4 * v->depth_mm,
                                  0.5 * v->depth_mm + 32, {0}, &disc->canal};
        }
    }
    return n;
}

static double cut(const me_mask *canal, station *t)
{
    return section(canal, &t->f, 20, t->from, t->to, &t->centre);
}

static void by_labels(const me_mask *canal, station *kept, int found)
{
    for (int i = 0; i < found; i++) {
        station *above = &kept[i > 0 ? i - 1 : i], *below = &kept[i + 1 < found ? i + 1 : i];
        me_vec axis = me_sub(above->centre, below->centre);
        bool near = me_len(axis) > 5 && me_len(axis) < 90;
        measure(canal, &kept[i], near ? axis : kept[i].f.z);
    }
}

/* Axis of a run of stations: middles of the label, each moved half way to between its neighbours,
 * for the label errs. */
static void axis_nodes(const station *run, int count, me_node *node)
{
    for (int i = 0; i < count; i++) {
        me_vec c = run[i].centre;
        if (i > 0 && i + 1 < count)
            c = me_mul(me_add(me_mul(c, 2), me_add(run[i - 1].centre, run[i + 1].centre)), 0.25);
        node[i] = (me_node){c, run[i].f.y, 0};
        if (i > 0) node[i].s = node[i - 1].s + me_len(me_sub(c, node[i - 1].at));
    }
}

static fab_status by_image(const me_mask *canal, const fab_volume *image, station *run, int count,
                           fab_error *err)
{
    me_node node[2 * FAB_MEASURE_VERTEBRAE];
    me_tube *t = NULL;
    axis_nodes(run, count, node);
    FAB_TRY(fab_me_tube_make(image, canal, node, count, &t, err));
    for (int i = 0; i < count; i++) {
        double half = fmax(1.5, 0.5 * fab_me_voxel_along(canal, run[i].f.z));
        fab_me_tube_section(t, node[i].s, half, run[i].out);
    }
    fab_me_tube_free(t);
    return FAB_OK;
}

fab_status fab_me_canal(const me_mask *canal, const fab_volume *image, fab_spine_measures *s,
                        fab_error *err)
{
    station list[2 * FAB_MEASURE_VERTEBRAE], kept[2 * FAB_MEASURE_VERTEBRAE];
    if (!canal->voxels) return FAB_OK;
    int n = stations(s, list), found = 0;
    for (int i = 0; i < n; i++)
        if (cut(canal, &list[i]) > 20) kept[found++] = list[i];
    by_labels(canal, kept, found);
    for (int i = 0, end; image && i < found; i = end) {
        for (end = i + 1; end < found; end++)
            if (me_len(me_sub(kept[end].centre, kept[end - 1].centre)) > 60) break;
        if (end - i > 1) FAB_TRY(by_image(canal, image, kept + i, end - i, err));
    }
    for (int i = 0; i < s->count; i++) { /* Aaro and Dahlborn 1981: body to canal */
        fab_vertebra *v = &s->vertebra[i];
        if (v->quality == FAB_MEASURE_NONE || !v->canal.measured) continue;
        me_vec back = me_sub(me_from(v->canal.centre), me_from(v->centre));
        v->rotation_canal_deg = fab_me_rotation(me_from(v->up), me_unit(back));
    }
    return FAB_OK;
}
