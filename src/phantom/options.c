/* options.c - one row for each option: its default's range, whether it may be left open (NaN), and
 * its place in the structure. Checking and the text that tells two phantoms apart read these rows,
 * so an option cannot be in one and not in the other (a test counts the bytes they cover). */
#include <stddef.h>
#include <stdio.h>

#include "phantom_internal.h"

void fab_phantom_options_default(fab_phantom_options *o)
{
    *o = (fab_phantom_options){
        .seed = 1, .axial_rotation_deg = NAN, .age_years = 45, .height_mm = 1750,
        .lumbar_count = 5, .lordosis_deg = 46, .kyphosis_deg = 38, .stenosis_level = 4,
        .contrast_phase = 2, .noise_hu = -1, .spacing_mm = {1, 1, 2.5},
        .slice_thickness_mm = 2.5, .range_mm = {NAN, NAN}, .apex = NAN, .fat = NAN,
        .fov_mm = {NAN, NAN}};
}

typedef enum field_kind { REAL, OPEN, WHOLE, FLAG, WIDE } field_kind; /* OPEN: real or NaN */

typedef struct field {
    const char *name;
    field_kind kind;
    size_t at;
    double low, high;
} field;

#define AT(member) offsetof(fab_phantom_options, member)
_Static_assert(sizeof(fab_phantom_modality) == sizeof(int) &&
               sizeof(fab_phantom_kernel) == sizeof(int), "read as int");

static const field fields[] = {
    {"seed", WIDE, AT(seed), 0, INFINITY},
    {"cobb_deg", REAL, AT(cobb_deg), 0, 90},
    {"axial_rotation_deg", OPEN, AT(axial_rotation_deg), -60, 60},
    {"age_years", REAL, AT(age_years), 5, 110},
    {"height_mm", REAL, AT(height_mm), 1000, 2200},
    {"female", FLAG, AT(female), 0, 1},
    {"lumbar_count", WHOLE, AT(lumbar_count), 4, 6},
    {"lordosis_deg", REAL, AT(lordosis_deg), 0, 90},
    {"kyphosis_deg", REAL, AT(kyphosis_deg), 0, 90},
    {"stenosis", REAL, AT(stenosis), 0, 1},
    {"stenosis_level", WHOLE, AT(stenosis_level), 1, 6},
    {"metal", FLAG, AT(metal), 0, 1},
    {"modality", WHOLE, AT(modality), 0, 2},
    {"contrast_phase", WHOLE, AT(contrast_phase), 0, 2},
    {"noise_hu", REAL, AT(noise_hu), -1e6, 500},
    {"spacing x", REAL, AT(spacing_mm[0]), 0.2, 20},
    {"spacing y", REAL, AT(spacing_mm[1]), 0.2, 20},
    {"spacing z", REAL, AT(spacing_mm[2]), 0.2, 20},
    {"slice_thickness_mm", REAL, AT(slice_thickness_mm), 0.1, 20},
    {"range from", OPEN, AT(range_mm[0]), -2000, 2000},
    {"range to", OPEN, AT(range_mm[1]), -2000, 2000},
    {"kernel", WHOLE, AT(kernel), 0, 1},
    {"apex", OPEN, AT(apex), -3, 8},
    {"convex_side", WHOLE, AT(convex_side), -1, 1},
    {"fat", OPEN, AT(fat), 0.3, 4},
    {"fov x", OPEN, AT(fov_mm[0]), 10, 1000},
    {"fov y", OPEN, AT(fov_mm[1]), 10, 1000},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static double value_of(const fab_phantom_options *o, const field *f)
{
    const void *at = (const char *)o + f->at;
    if (f->kind == WIDE) return (double)*(const uint64_t *)at;
    if (f->kind == WHOLE) return *(const int *)at;
    if (f->kind == FLAG) return *(const bool *)at;
    return *(const double *)at;
}

fab_status fab_ph_options_check(const fab_phantom_options *o, fab_error *err)
{
    for (size_t i = 0; i < FIELDS; i++) {
        const field *f = &fields[i];
        double v = value_of(o, f);
        if (f->kind == OPEN && isnan(v)) continue;
        if (!(v >= f->low && v <= f->high))
            FAB_FAIL(err, FAB_ERR_ARG, "phantom: %s is %g, it must be from %g to %g", f->name, v,
                     f->low, f->high);
    }
    if (o->stenosis > 0 && o->stenosis_level > o->lumbar_count)
        FAB_FAIL(err, FAB_ERR_ARG, "phantom: stenosis at L%d, but there are %d lumbar vertebrae",
                 o->stenosis_level, o->lumbar_count);
    return FAB_OK;
}

void fab_phantom_options_text(const fab_phantom_options *o, char text[FAB_PHANTOM_TEXT_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; i < FIELDS; i++) {
        const field *f = &fields[i];
        char *to = text + used;
        size_t room = FAB_PHANTOM_TEXT_BYTES - used;
        double v = value_of(o, f);
        int n;
        if (f->kind == WIDE)
            n = snprintf(to, room, "%s=%llu\n", f->name, (unsigned long long)o->seed);
        else if (isnan(v)) /* a NaN's sign is nobody's option */
            n = snprintf(to, room, "%s=open\n", f->name);
        else
            n = snprintf(to, room, "%s=%.17g\n", f->name, v);
        used += (size_t)n;
    }
}
