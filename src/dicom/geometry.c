/* geometry.c - the geometry gate: are these slices one box of voxels, and which one?
 *
 *        p2 *            Every slice has a position p (centre of its first voxel), a row direction
 *     p1 *  :            u, a column direction v; n = u x v. Along n the slices must follow at
 *   p0 *    :   ^ n      equal steps. Across n they must sit above each other (or lean by a
 *      :.:..:   |        constant amount a step: gantry tilt).
 *      ----> v
 *
 *   places along n    equal ............ ok
 *                     equal, one absent  missing-slice (refused)
 *                     twice the same ... duplicate-slice (refused)
 *                     otherwise ........ corrected-spacing: resampled along n
 *   places across n   constant ......... ok
 *                     line ............. corrected-tilt: each slice shifted in its own plane
 *                     otherwise ........ bad-values (refused)
 *
 * Tolerances, and where they come from: docs/adr/0011.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dicom_internal.h"

#define UNIT_TOLERANCE 1e-3       /* |u| = 1, u.v = 0: cosines are often written with 4 digits */
#define DIRECTION_TOLERANCE 1e-3  /* between slices, each cosine */
#define SPACING_TOLERANCE 1e-3    /* relative, Pixel Spacing between slices */
#define PLACE_TOLERANCE_MM 0.1    /* positions are met rounded to 0.1 mm: twice half of it */
#define PLACE_TOLERANCE_STEPS 0.2 /* but never more than this part of a step */
#define DUPLICATE_MM 0.01         /* slices nearer than this are at one place */
#define DUPLICATE_STEPS 0.05
#define HOLE_STEPS 1.5            /* a gap this many times its neighbours is a hole */
#define HOLE_THICKNESS 1.25       /* or this many slice thicknesses, where it widens */
#define TILT_PIXELS 0.5           /* lean over the whole stack, below it nothing is resampled */

typedef struct frame_axes {
    double u[3], v[3], n[3];
    double row_mm, column_mm; /* distance between columns (along u), between rows (along v) */
} frame_axes;

static double dot(const double a[3], const double b[3])
{
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void verdict(fab_dicom_stack *s, fab_geometry_verdict v, const char *format, ...)
    FAB_PRINTF(3, 4);

static void verdict(fab_dicom_stack *s, fab_geometry_verdict v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->info.verdict_text, sizeof s->info.verdict_text, format, args);
    va_end(args);
    s->info.verdict = v;
}

static const char *file_name(const fab_dicom_scan *scan, const fab_dicom_slice *s)
{
    const char *path = scan->files[s->file].path, *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- values one by one ---------------------------------------------------------------------- */

static bool all_finite(const double *v, int count)
{
    for (int i = 0; i < count; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

static bool good_orientation(const double o[6])
{
    double uu = dot(o, o), vv = dot(o + 3, o + 3), uv = dot(o, o + 3);
    return fabs(sqrt(uu) - 1) <= UNIT_TOLERANCE && fabs(sqrt(vv) - 1) <= UNIT_TOLERANCE &&
           fabs(uv) <= UNIT_TOLERANCE;
}

static bool good_spacing(double mm)
{
    return mm >= FAB_MIN_SPACING_MM && mm <= FAB_MAX_SPACING_MM;
}

/* False (with a verdict) if this frame has no place or one that means nothing. */
static bool check_frame(const fab_dicom_scan *scan, fab_dicom_stack *s, const fab_dicom_slice *at)
{
    const fab_wire_frame *f = fab_dicom_slice_frame(scan, at);
    const char *name = file_name(scan, at);
    const char *missing = !(f->has & FAB_FRAME_POSITION)      ? "Image Position (0020,0032)"
                          : !(f->has & FAB_FRAME_ORIENTATION) ? "Image Orientation (0020,0037)"
                          : !(f->has & FAB_FRAME_SPACING)     ? "Pixel Spacing (0028,0030)"
                                                              : NULL;
    if (missing) {
        verdict(s, FAB_GEOMETRY_NO_POSITION, "%s: %s is missing", name, missing);
        return false;
    }
    if (!all_finite(f->position, 3) || !all_finite(f->orientation, 6) ||
        !good_orientation(f->orientation)) {
        const double *o = f->orientation, *p = f->position;
        verdict(s, FAB_GEOMETRY_BAD_VALUES,
                "%s: Image Position %g\\%g\\%g or Image Orientation %g\\%g\\%g\\%g\\%g\\%g is no "
                "place (two unit vectors at a right angle are needed)",
                name, p[0], p[1], p[2], o[0], o[1], o[2], o[3], o[4], o[5]);
        return false;
    }
    if (!good_spacing(f->spacing[0]) || !good_spacing(f->spacing[1])) {
        verdict(s, FAB_GEOMETRY_BAD_VALUES, "%s: Pixel Spacing (0028,0030) is %g\\%g mm", name,
                f->spacing[0], f->spacing[1]);
        return false;
    }
    if (!isfinite(f->slope) || !isfinite(f->intercept) || f->slope == 0.0) {
        verdict(s, FAB_GEOMETRY_BAD_VALUES, "%s: Rescale Slope %g and Intercept %g make no values",
                name, f->slope, f->intercept);
        return false;
    }
    return true;
}

/* ---- slices against each other --------------------------------------------------------------- */

static bool check_same(const fab_dicom_scan *scan, fab_dicom_stack *s, const fab_dicom_slice *at)
{
    const fab_dicom_slice *one = &s->slices[0];
    const fab_wire_header *a = &scan->files[one->file].head, *b = &scan->files[at->file].head;
    const fab_wire_frame *fa = fab_dicom_slice_frame(scan, one);
    const fab_wire_frame *fb = fab_dicom_slice_frame(scan, at);
    const char *na = file_name(scan, one), *nb = file_name(scan, at);
    if (strcmp(a->patient_id, b->patient_id) != 0 ||
        strcmp(a->patient_name, b->patient_name) != 0) {
        verdict(s, FAB_GEOMETRY_MIXED_PATIENT,
                "one series, but %s and %s belong to different patients", na, nb);
        return false;
    }
    if (a->rows != b->rows || a->columns != b->columns) {
        verdict(s, FAB_GEOMETRY_MIXED_SIZE, "%s has %u x %u voxels, %s has %u x %u", na,
                a->columns, a->rows, nb, b->columns, b->rows);
        return false;
    }
    for (int i = 0; i < 2; i++)
        if (!(fabs(fa->spacing[i] - fb->spacing[i]) <= SPACING_TOLERANCE * fa->spacing[i])) {
            verdict(s, FAB_GEOMETRY_MIXED_SIZE, "%s has voxels of %g x %g mm, %s of %g x %g mm",
                    na, fa->spacing[1], fa->spacing[0], nb, fb->spacing[1], fb->spacing[0]);
            return false;
        }
    for (int i = 0; i < 6; i++)
        if (!(fabs(fa->orientation[i] - fb->orientation[i]) <= DIRECTION_TOLERANCE)) {
            verdict(s, FAB_GEOMETRY_MIXED_ORIENTATION, "%s and %s are not parallel", na, nb);
            return false;
        }
    return true;
}

static void make_axes(const fab_wire_frame *f, frame_axes *a)
{
    /* Gram-Schmidt takes out what rounding left */
    double length = sqrt(dot(f->orientation, f->orientation));
    for (int i = 0; i < 3; i++) a->u[i] = f->orientation[i] / length;
    double lean = dot(a->u, f->orientation + 3);
    for (int i = 0; i < 3; i++) a->v[i] = f->orientation[3 + i] - lean * a->u[i];
    length = sqrt(dot(a->v, a->v));
    for (int i = 0; i < 3; i++) a->v[i] /= length;
    for (int i = 0; i < 3; i++) {
        int j = (i + 1) % 3, k = (i + 2) % 3;
        a->n[i] = a->u[j] * a->v[k] - a->u[k] * a->v[j];
    }
    a->row_mm = f->spacing[1];
    a->column_mm = f->spacing[0];
}

static int by_place(const void *a, const void *b)
{
    const fab_dicom_slice *x = a, *y = b;
    if (x->along != y->along) return x->along < y->along ? -1 : 1;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return x->frame < y->frame ? -1 : x->frame > y->frame;
}

static void order_slices(const fab_dicom_scan *scan, fab_dicom_stack *s, const frame_axes *axes)
{
    for (size_t i = 0; i < s->count; i++) {
        const fab_wire_frame *f = fab_dicom_slice_frame(scan, &s->slices[i]);
        memcpy(s->slices[i].position, f->position, sizeof f->position);
        s->slices[i].along = dot(f->position, axes->n);
    }
    qsort(s->slices, s->count, sizeof *s->slices, by_place);
}

/* ---- along the normal ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static fab_status median_gap(const fab_dicom_stack *s, double *median, fab_error *err)
{
    size_t n = s->count - 1;
    FAB_AUTO_FREE double *gap = fab_alloc_array(n, sizeof *gap);
    if (!gap) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for %zu gaps", n);
    for (size_t i = 0; i < n; i++) gap[i] = s->slices[i + 1].along - s->slices[i].along;
    qsort(gap, n, sizeof *gap, by_value);
    *median = gap[n / 2];
    return FAB_OK;
}

static bool find_duplicate(const fab_dicom_scan *scan, fab_dicom_stack *s, double median)
{
    double near = fmax(DUPLICATE_MM, DUPLICATE_STEPS * median);
    for (size_t i = 1; i < s->count; i++) {
        if (s->slices[i].along - s->slices[i - 1].along >= near) continue;
        const double *p = s->slices[i].position;
        verdict(s, FAB_GEOMETRY_DUPLICATE_SLICE,
                "%s and %s are both at %g\\%g\\%g; which one counts cannot be told",
                file_name(scan, &s->slices[i - 1]), file_name(scan, &s->slices[i]), p[0], p[1],
                p[2]);
        return true;
    }
    return false;
}

static double gap_at(const fab_dicom_stack *s, size_t i)
{
    return s->slices[i + 1].along - s->slices[i].along;
}

/* A gap is a hole if it stands out against its neighbours, or is wider than the slices are thick
 * where spacing changes. */
static bool is_hole(const fab_dicom_scan *scan, const fab_dicom_stack *s, size_t i,
                    double median)
{
    size_t last = s->count - 2;
    double gap = gap_at(s, i), before = gap_at(s, i > 0 ? i - 1 : i + 1);
    double after = gap_at(s, i < last ? i + 1 : i - 1);
    if (gap >= HOLE_STEPS * fmax(before, after)) return true;
    double below = fab_dicom_slice_frame(scan, &s->slices[i])->thickness;
    double above = fab_dicom_slice_frame(scan, &s->slices[i + 1])->thickness;
    double thickness = (below + above) / 2;
    return gap >= HOLE_STEPS * median && thickness > 0 && gap > HOLE_THICKNESS * thickness;
}

static bool find_hole(const fab_dicom_scan *scan, fab_dicom_stack *s, double median)
{
    for (size_t i = 0; i + 1 < s->count; i++) {
        if (!is_hole(scan, s, i, median)) continue;
        double gap = gap_at(s, i);
        long absent = lround(gap / median) - 1;
        verdict(s, FAB_GEOMETRY_MISSING_SLICE,
                "%ld slice%s missing between %s and %s (a gap of %.3f mm where %.3f mm is usual)",
                absent < 1 ? 1 : absent, absent > 1 ? "s are" : " is",
                file_name(scan, &s->slices[i]), file_name(scan, &s->slices[i + 1]), gap, median);
        return true;
    }
    return false;
}

/* Largest distance along n from equal steps between the first and the last slice. */
static double worst_step(const fab_dicom_stack *s)
{
    double first = s->slices[0].along, extent = s->slices[s->count - 1].along - first, worst = 0;
    for (size_t i = 0; i < s->count; i++) {
        double even = first + extent * (double)i / (double)(s->count - 1);
        worst = fmax(worst, fabs(s->slices[i].along - even));
    }
    return worst;
}

/* ---- across the normal ----------------------------------------------------------------------- */

typedef struct lean {
    double u, v;  /* mm across per mm along n */
    double total; /* mm over the stack */
    double worst; /* mm, largest distance from the line */
} lean;

static lean measure_lean(const fab_dicom_stack *s, const frame_axes *a)
{
    const fab_dicom_slice *first = &s->slices[0], *last = &s->slices[s->count - 1];
    double extent = last->along - first->along, d[3];
    for (int i = 0; i < 3; i++) d[i] = last->position[i] - first->position[i];
    lean l = {.u = dot(d, a->u) / extent, .v = dot(d, a->v) / extent};
    l.total = hypot(l.u, l.v) * extent;
    for (size_t k = 0; k < s->count; k++) {
        for (int i = 0; i < 3; i++) d[i] = s->slices[k].position[i] - first->position[i];
        double along = s->slices[k].along - first->along;
        l.worst = fmax(l.worst, hypot(dot(d, a->u) - l.u * along, dot(d, a->v) - l.v * along));
    }
    return l;
}

/* ---- the two grids --------------------------------------------------------------------------- */

static void set_column(fab_mat34 *m, int column, const double direction[3], double scale)
{
    for (int i = 0; i < 3; i++) m->m[i][column] = direction[i] * scale;
}

static void make_source(const fab_dicom_scan *scan, fab_dicom_stack *s, const frame_axes *a)
{
    const fab_wire_header *h = &scan->files[s->slices[0].file].head;
    const double *p = s->slices[0].position, *q = s->slices[s->count - 1].position;
    double step[3];
    for (int i = 0; i < 3; i++) step[i] = (q[i] - p[i]) / (double)(s->count - 1);
    s->source.size[0] = (int32_t)h->columns;
    s->source.size[1] = (int32_t)h->rows;
    s->source.size[2] = (int32_t)s->count;
    set_column(&s->source.world_from_voxel, 0, a->u, a->row_mm);
    set_column(&s->source.world_from_voxel, 1, a->v, a->column_mm);
    set_column(&s->source.world_from_voxel, 2, step, 1);
    set_column(&s->source.world_from_voxel, 3, p, 1);
    s->target = s->source;
}

/* An orthogonal grid on the first slice's voxels, grown in whole voxels until it holds all. */
static void make_target(fab_dicom_stack *s, const frame_axes *a, const lean *l, size_t slices,
                        double step)
{
    double extent = s->slices[s->count - 1].along - s->slices[0].along;
    double shift[2] = {l->u * extent / a->row_mm, l->v * extent / a->column_mm};
    fab_mat34 *m = &s->target.world_from_voxel;
    double origin[3];
    memcpy(origin, s->slices[0].position, sizeof origin);
    for (int axis = 0; axis < 2; axis++) {
        const double *direction = axis == 0 ? a->u : a->v;
        double mm = axis == 0 ? a->row_mm : a->column_mm;
        double grow = ceil(fabs(shift[axis]) - 1e-6);
        s->target.size[axis] += (int32_t)grow;
        for (int i = 0; i < 3 && shift[axis] < 0; i++) origin[i] -= grow * mm * direction[i];
    }
    s->target.size[2] = (int32_t)slices;
    set_column(m, 2, a->n, step);
    set_column(m, 3, origin, 1);
    s->resampled = true;
}

/* The uncorrected lean in words, "" if there is none. */
static void describe_tilt(const fab_dicom_stack *s, const lean *l, double header_tilt, char *into,
                          size_t room)
{
    const double degrees = 180.0 / 3.14159265358979323846;
    char header[64] = "";
    if (isfinite(header_tilt))
        snprintf(header, sizeof header, " (Gantry Tilt (0018,1120) says %g)", header_tilt);
    snprintf(
        into, room,
        "gantry tilt of %.3f degrees%s: every slice shifted in its own plane, %.2f mm over the "
        "stack, linear interpolation; %d x %d became %d x %d",
        atan(hypot(l->u, l->v)) * degrees, header, l->total, s->source.size[0], s->source.size[1],
        s->target.size[0], s->target.size[1]);
}

static void correct(fab_dicom_stack *s, const frame_axes *a, const lean *l, bool uneven,
                    double median, double header_tilt)
{
    char tilt[300] = "";
    double extent = s->slices[s->count - 1].along - s->slices[0].along;
    double pixel = fmin(a->row_mm, a->column_mm),
           step = uneven ? median : extent / (double)(s->count - 1);
    double slices = floor(extent / step + 0.5) + 1;
    if (!(slices <= FAB_MAX_DIM) || !(l->total / pixel < FAB_MAX_DIM)) {
        verdict(s, FAB_GEOMETRY_BAD_VALUES,
                "the corrected grid would have over %d voxels along one "
                "axis (lean %.1f mm, extent %.1f mm)",
                FAB_MAX_DIM, l->total, extent);
        return;
    }
    bool tilted = l->total > TILT_PIXELS * pixel;
    const lean none = {0};
    make_target(s, a, tilted ? l : &none, (size_t)slices, step);
    if (tilted) describe_tilt(s, l, header_tilt, tilt, sizeof tilt);
    if (!uneven) {
        verdict(s, FAB_GEOMETRY_CORRECTED_TILT, "%s", tilt);
        return;
    }
    verdict(s, tilted ? FAB_GEOMETRY_CORRECTED_TILT : FAB_GEOMETRY_CORRECTED_SPACING,
            "%s%sspacing between slices varies (up to %.3f mm off equal steps): %zu slices "
            "resampled along the normal to %d at %.4f mm",
            tilt, tilted ? "; " : "", worst_step(s), s->count, s->target.size[2], step);
}

/* The slices are sorted and comparable: the part of the gate that looks at places. */
static fab_status judge_places(const fab_dicom_scan *scan, fab_dicom_stack *s,
                               const frame_axes *a, fab_error *err)
{
    double median = 0;
    FAB_TRY(median_gap(s, &median, err));
    if (find_duplicate(scan, s, median)) return FAB_OK;
    make_source(scan, s, a);
    double worst = worst_step(s);
    bool uneven = worst > fmin(PLACE_TOLERANCE_MM, PLACE_TOLERANCE_STEPS * median);
    if (uneven && find_hole(scan, s, median)) return FAB_OK;
    lean l = measure_lean(s, a);
    double pixel = fmin(a->row_mm, a->column_mm);
    if (l.worst > fmax(PLACE_TOLERANCE_MM, PLACE_TOLERANCE_STEPS * pixel)) {
        verdict(s, FAB_GEOMETRY_BAD_VALUES,
                "slices are shifted sideways by up to %.3f mm without a pattern", l.worst);
        return FAB_OK;
    }
    double header_tilt = scan->files[s->slices[0].file].head.gantry_tilt;
    if (uneven || l.total > TILT_PIXELS * pixel) correct(s, a, &l, uneven, median, header_tilt);
    else verdict(s, FAB_GEOMETRY_OK, "%zu slices, %.4f mm apart", s->count,
                 (s->slices[s->count - 1].along - s->slices[0].along) / (double)(s->count - 1));
    if (!fab_geometry_verdict_usable(s->info.verdict)) return FAB_OK;
    fab_error why = {0};
    if (fab_grid_check(&s->target, &why) != FAB_OK)
        verdict(s, FAB_GEOMETRY_BAD_VALUES, "%s", why.message);
    return FAB_OK;
}

fab_status fab_dicom_judge(const fab_dicom_scan *scan, fab_dicom_stack *s, fab_error *err)
{
    frame_axes axes;
    for (size_t i = 0; i < s->count; i++)
        if (!check_frame(scan, s, &s->slices[i])) return FAB_OK;
    for (size_t i = 1; i < s->count; i++)
        if (!check_same(scan, s, &s->slices[i])) return FAB_OK;
    const fab_wire_frame *first = fab_dicom_slice_frame(scan, &s->slices[0]);
    make_axes(first, &axes);
    s->info.spacing_mm[0] = axes.row_mm;
    s->info.spacing_mm[1] = axes.column_mm;
    s->info.spacing_mm[2] = s->info.slice_thickness_mm;
    order_slices(scan, s, &axes);
    if (s->count < FAB_DICOM_MIN_SLICES) {
        verdict(s, FAB_GEOMETRY_TOO_FEW_SLICES, "%zu %s; at least %d are needed", s->count,
                fab_plural((int64_t)s->count, "slice", "slices"), FAB_DICOM_MIN_SLICES);
        return FAB_OK;
    }
    FAB_TRY(judge_places(scan, s, &axes, err));
    if (!fab_geometry_verdict_usable(s->info.verdict)) return FAB_OK;
    fab_grid_spacing(&s->target, s->info.spacing_mm);
    fab_grid_orientation(&s->target, s->info.orientation);
    return FAB_OK;
}

const char *fab_geometry_verdict_name(fab_geometry_verdict v)
{
    static const char *const names[] = {
        "ok",              "corrected-tilt",    "corrected-spacing", "missing-slice",
        "duplicate-slice", "mixed-orientation", "mixed-size",        "too-few-slices",
        "no-position",     "bad-values",        "mixed-patient"};
    size_t i = (size_t)v;
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

bool fab_geometry_verdict_usable(fab_geometry_verdict v)
{
    return v == FAB_GEOMETRY_OK || v == FAB_GEOMETRY_CORRECTED_TILT ||
           v == FAB_GEOMETRY_CORRECTED_SPACING;
}
