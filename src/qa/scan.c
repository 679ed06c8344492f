/* scan.c - what an image is, from its values and the shape of what it shows, before any network:
 * a CT at all, and of a torso? Names in the header of a file are often wrong or missing (a NIfTI
 * has none), so that they only add to what is seen. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qa_internal.h"

enum { MAX_SLICES = 64, PROBES = 20000 };

const char *fab_severity_name(fab_severity s)
{
    static const char *const names[] = {"info", "warning", "error"};
    return s >= FAB_INFO && s <= FAB_ERROR ? names[s] : "unknown";
}

const char *fab_scan_verdict_name(fab_scan_verdict v)
{
    static const char *const names[] = {"torso", "partly", "unsure", "other"};
    return v >= FAB_SCAN_TORSO && v <= FAB_SCAN_OTHER ? names[v] : "unknown";
}

/* ---- values ------------------------------------------------------------------------------ */

typedef struct values {
    int64_t count;             /* samples, padding left out */
    int64_t below_fat;         /* < -50 */
    int64_t zero;              /* about 0 */
    int64_t air, fat, soft, bone;
    int64_t body, shifted;     /* > -300; 900..1150 */
    double low, high;
    double step, pair;         /* mean difference of neighbours, of voxels anywhere */
    int64_t histogram[1 + 3071 + 300]; /* of -300..3071 */
} values;

static void count_value(values *s, int v)
{
    s->count++;
    s->below_fat += v < -50;
    s->zero += abs(v) <= 5;
    s->air += v < -850;
    s->fat += v >= -150 && v <= -50;
    s->soft += v >= -20 && v <= 200;
    s->bone += v > 250;
    s->shifted += v >= 900 && v <= 1150;
    if (v <= -300) return;
    s->body++;
    s->histogram[v > 3071 ? 3371 : v + 300]++;
}

/* Mean difference of two voxels side by side along the smoothest axis, and of two anywhere: noise
 * has no sides. */
static void roughness(const fab_volume *v, values *s)
{
    const fab_grid *g = fab_volume_grid(v);
    const int64_t n = fab_grid_voxels(g);
    const int64_t stride[3] = {1, g->size[0], (int64_t)g->size[0] * g->size[1]};
    fab_rng rng;
    double step[3] = {0, 0, 0}, pair = 0;
    fab_rng_seed(&rng, 95, 1);
    for (int i = 0; i < PROBES; i++) {
        const int64_t a = (int64_t)(fab_rng_uniform(&rng) * (double)n) % n;
        const int64_t b = (int64_t)(fab_rng_uniform(&rng) * (double)n) % n;
        const double value = fab_volume_at(v, a);
        for (int d = 0; d < 3; d++) {
            const bool last = a / stride[d] % g->size[d] == g->size[d] - 1;
            const int64_t beside = g->size[d] < 2 ? b : last ? a - stride[d] : a + stride[d];
            step[d] += fabs(value - fab_volume_at(v, beside));
        }
        pair += fabs(value - fab_volume_at(v, b));
    }
    s->step = fmin(step[0], fmin(step[1], step[2])) / PROBES;
    s->pair = pair / PROBES;
}

/* Median and the shares beyond 70 on both sides of it, of what is denser than air. */
static double body_median(const values *s, double *lower, double *upper)
{
    int64_t seen = 0, low = 0, high = 0;
    int median = -1;
    for (int b = 0; b <= 3371 && median < 0; b++)
        if ((seen += s->histogram[b]) * 2 >= s->body) median = b;
    for (int b = 0; b <= 3371; b++) {
        low += b < median - 70 ? s->histogram[b] : 0;
        high += b > median + 70 ? s->histogram[b] : 0;
    }
    *lower = s->body ? (double)low / (double)s->body : 0;
    *upper = s->body ? (double)high / (double)s->body : 0;
    return median - 300;
}

/* ---- verdicts ---------------------------------------------------------------------------- */

static FAB_PRINTF(4, 5) void decide(fab_scan *o, fab_scan_verdict verdict, const char *looks,
                                    const char *format, ...)
{
    va_list args;
    o->verdict = verdict;
    snprintf(o->looks_like, sizeof o->looks_like, "%s", looks);
    va_start(args, format);
    vsnprintf(o->reasons, sizeof o->reasons, format, args);
    va_end(args);
}

static double percent(int64_t part, int64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

/* Not in Hounsfield units, or nothing in it at all; false if it may be a CT. */
static bool is_no_ct(const values *s, const fab_scan_facts *facts, fab_scan *o)
{
    enum { NO_AIR = -500 };
    const char *modality = facts && facts->modality ? facts->modality : "";
    if (modality[0] && strcmp(modality, "CT") != 0) {
        decide(o, FAB_SCAN_OTHER, strcmp(modality, "MR") ? "not a CT" : "an MR",
               "The file says that it is %.16s.", modality);
        return true;
    }
    if (s->high - s->low < 1) {
        decide(o, FAB_SCAN_OTHER, "a constant image", "Every voxel is about %g.", s->low);
        return true;
    }
    if (s->pair > 1 && s->step > 0.9 * s->pair) {
        decide(o, FAB_SCAN_OTHER, "noise", "Voxels side by side differ as much as voxels far "
               "apart (%.0f and %.0f).", s->step, s->pair);
        return true;
    }
    if (percent(s->below_fat, s->count) < 0.1 && percent(s->shifted, s->count) > 15 &&
        percent(s->zero, s->count) + percent(s->shifted, s->count) > 30) {
        decide(o, FAB_SCAN_OTHER, "a CT stored with an offset of about 1000",
               "%.0f %% of the voxels lie between 900 and 1150, where soft tissue would be after "
               "an offset of 1000 or 1024; none are below -50.", percent(s->shifted, s->count));
        return true;
    }
    if (percent(s->below_fat, s->count) < 0.1 ||
        (s->low > NO_AIR && percent(s->zero, s->count) > 25)) {
        decide(o, FAB_SCAN_OTHER, "an MR, a label map or a normalised image",
               "Values from %g to %g; %.2g %% are below -50 HU, where a CT has fat and air; %.0f "
               "%% are about 0.", s->low, s->high, percent(s->below_fat, s->count),
               percent(s->zero, s->count));
        return true;
    }
    return false;
}

static bool is_empty_or_phantom(const values *s, fab_scan *o)
{
    double lower = 0, upper = 0;
    const double median = body_median(s, &lower, &upper);
    if (!o->body) {
        decide(o, FAB_SCAN_OTHER, "an empty CT", "There is no body in it: %.1f %% of the voxels "
               "are denser than -300 HU.", percent(s->body, s->count));
        return true;
    }
    if (percent(s->bone, s->body) < 0.2 && lower < 0.05 && fabs(lower - upper) < 0.03) {
        decide(o, FAB_SCAN_OTHER, "a test phantom of one material",
               "All of it is about %.0f HU, with neither bone (%.2f %% above 250) nor fat "
               "(%.1f %%).", median, percent(s->bone, s->body), percent(s->fat, s->body));
        return true;
    }
    return false;
}

/* Body parts that DICOM names (PS3.16 Annex L) and that are no part of a torso. */
static bool named_elsewhere(const char *part)
{
    static const char *const others[] = {
        "HEAD", "BRAIN", "SKULL", "ORBIT", "SINUS", "JAW", "FACE", "TEMPORAL", "EXTREMITY", "KNEE",
        "FOOT", "ANKLE", "LEG", "CALF", "TIBIA", "HAND", "WRIST", "ELBOW", "FOREARM", "FINGER"};
    for (size_t i = 0; part && i < sizeof others / sizeof *others; i++)
        if (strstr(part, others[i])) return true;
    return false;
}

/* Counts of slices: what the sizes say. */
static void judge_shape(fab_scan *o, const fab_scan_facts *facts)
{
    const char *part = facts ? facts->body_part : NULL;
    const bool elsewhere = named_elsewhere(part);
    const double n = o->body;
    if (o->torso >= 0.3 * n) {
        decide(o, FAB_SCAN_TORSO, "a CT of the torso", "The body is as large as a torso in %d of "
               "%d slices (%.0f cm2, %.0f mm wide).", o->torso, o->body, o->body_area_cm2,
               o->body_width_mm);
        if (elsewhere && part)
            snprintf(o->body_part_note, sizeof o->body_part_note,
                     "The file says %.20s; the image is as large as a torso.", part);
    } else if (o->inside >= 0.3 * n) {
        decide(o, FAB_SCAN_PARTLY, "a CT with a small field of view", "The body fills the picture "
               "in %d of %d slices: which part of it cannot be told from its outline.", o->inside,
               o->body);
    } else if (o->torso >= 0.1 * n) {
        decide(o, FAB_SCAN_PARTLY, "a CT of the torso and more", "The body is as large as a torso "
               "in %d of %d slices only; a skull is in %d.", o->torso, o->body, o->head);
    } else if (o->head >= 0.2 * n) {
        decide(o, FAB_SCAN_OTHER, "a CT of the head", "There is a ring of skull in %d of %d "
               "slices, and no slice is as large as a torso (%.0f cm2, %.0f mm wide).",
               o->head, o->body, o->body_area_cm2, o->body_width_mm);
    } else if (o->limbs >= 0.7 * n) {
        decide(o, FAB_SCAN_OTHER, "a CT of two limbs", "Two pieces of like size (%.0f cm2) in %d "
               "of %d slices, none as large as a torso.", o->body_area_cm2, o->limbs, o->body);
    } else {
        decide(o, elsewhere ? FAB_SCAN_OTHER : FAB_SCAN_UNSURE,
               elsewhere ? "not a CT of the torso" : "a CT of something small",
               "The cross-section is %.0f cm2 and %.0f mm wide, too small for an adult's torso: a "
               "limb, a neck or a child?%s%.20s", o->body_area_cm2, o->body_width_mm,
               elsewhere ? " The file says " : "", elsewhere && part ? part : "");
    }
}

/* ---- slices ------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *list, int n)
{
    if (!n) return 0;
    qsort(list, (size_t)n, sizeof *list, by_size);
    return list[n / 2];
}

/* Scanners write one value, often far below air, outside the reconstruction circle. All corners of
 * the pictures then have it. -1024 is air's own where a scanner stores no less; then it covers more
 * than the 21 % of a square that its circle leaves. */
static void find_padding(const fab_lattice *l, const int16_t *hu, double low, fab_scan *o)
{
    const int64_t slice = (int64_t)l->n[0] * l->n[1];
    int64_t count = 0;
    int corners = 0;
    for (int64_t i = 0; i < slice * l->n[2]; i++) count += hu[i] == (int)low;
    for (int k = 0; k < l->n[2]; k++) {
        const int16_t *s = hu + slice * k;
        corners += s[0] == (int)low && s[l->n[0] - 1] == (int)low &&
                   s[slice - l->n[0]] == (int)low && s[slice - 1] == (int)low;
    }
    o->padding_hu = low;
    o->has_padding = low <= -1024 && low > INT16_MIN && corners >= 0.8 * l->n[2] &&
                     (low < -1024 || percent(count, slice * l->n[2]) < 30);
}

static void count_section(const fab_section *s, double areas[], double widths[], fab_scan *o)
{
    enum { NO_BODY = 15, TORSO = 330, TORSO_WIDTH = 250, LIMB = 260 };
    if (s->area_cm2 < NO_BODY) return;
    areas[o->body] = s->area_cm2;
    widths[o->body++] = s->width_mm;
    const bool torso = s->area_cm2 >= TORSO && s->width_mm >= TORSO_WIDTH;
    o->torso += torso;
    o->inside += s->inside && !torso;
    o->head += s->skull;
    o->limbs += !s->inside && !torso && s->area_cm2 <= LIMB && s->second_cm2 >= 0.4 * s->area_cm2;
}

static fab_status measure_sections(const fab_lattice *l, const int16_t *hu, fab_scan *o,
                                   fab_error *err)
{
    const int64_t slice = (int64_t)l->n[0] * l->n[1];
    double areas[4 * MAX_SLICES], widths[4 * MAX_SLICES];
    FAB_AUTO_FREE uint8_t *mask = fab_alloc_array((size_t)slice, sizeof *mask);
    FAB_AUTO_FREE int32_t *label = fab_alloc_array((size_t)slice, sizeof *label);
    FAB_AUTO_FREE int32_t *queue = fab_alloc_array((size_t)slice, sizeof *queue);
    fab_section_work work = {mask, label, queue};
    if (!mask || !label || !queue) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a slice");
    for (int k = 0; k < l->n[2]; k++) {
        fab_section s;
        fab_section_measure(hu + slice * k, l->n[0], l->n[1], l->step_mm, o->has_padding,
                            (int)o->padding_hu, &work, &s);
        count_section(&s, areas, widths, o);
    }
    o->slices = l->n[2];
    o->body_area_cm2 = median_of(areas, o->body);
    o->body_width_mm = median_of(widths, o->body);
    return FAB_OK;
}

static void count_values(const fab_lattice *l, const int16_t *hu, const fab_scan *o, values *s)
{
    const int64_t n = fab_lattice_count(l);
    for (int64_t i = 0; i < n; i++)
        if (!o->has_padding || hu[i] != (int)o->padding_hu) count_value(s, hu[i]);
}

/* Slices at least 3 mm apart and no more than MAX_SLICES (their number is rounded: up to twice). */
static void plan_slices(const fab_grid *g, fab_lattice *l)
{
    double wanted[3] = {3, 3, 3}, spacing[3];
    int axis[3];
    bool flip[3];
    const fab_grid c = fab_grid_canonical(g, axis, flip);
    fab_grid_spacing(&c, spacing);
    for (int a = 0; a < 3; a++) {
        const double extent = spacing[a] * c.size[a];
        wanted[a] = fmax(wanted[a], extent / (a == 2 ? MAX_SLICES : 512));
    }
    fab_lattice_plan(g, wanted, l);
}

fab_status fab_scan_look(const fab_volume *image, const fab_scan_facts *facts, fab_scan *out,
                         fab_error *err)
{
    fab_lattice l;
    fab_scan o = {.verdict = FAB_SCAN_OTHER};
    FAB_AUTO_FREE values *s = fab_calloc(1, sizeof *s);
    plan_slices(fab_volume_grid(image), &l);
    FAB_AUTO_FREE int16_t *hu = fab_alloc_array((size_t)fab_lattice_count(&l), sizeof *hu);
    if (!s || !hu) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to look at the image");
    fab_volume_minmax(image, &s->low, &s->high);
    fab_lattice_values(&l, image, hu);
    find_padding(&l, hu, s->low, &o);
    count_values(&l, hu, &o, s);
    roughness(image, s);
    FAB_TRY(measure_sections(&l, hu, &o, err));
    o.air = percent(s->air, s->count) / 100;
    o.fat = percent(s->fat, s->count) / 100;
    o.soft = percent(s->soft, s->count) / 100;
    o.bone = percent(s->bone, s->count) / 100;
    o.hounsfield = !is_no_ct(s, facts, &o);
    if (o.hounsfield && !is_empty_or_phantom(s, &o)) judge_shape(&o, facts);
    *out = o;
    return FAB_OK;
}
