/* outside.c - organs on the table: what is labelled outside of the body's own outline. Arms lie
 * apart from the trunk and are no error; lungs and livers do not. */
#include <math.h>
#include <string.h>

#include "qa_internal.h"

static const double least_ml = 3.0, least_share = 0.02;

/* Of the trunk, by nature. */
static bool is_of_trunk(const fab_label *label)
{
    static const char *const bones[] = {"vertebra", "sacrum", "rib", "hip", "sternum"};
    const fab_anatomy *a = label->anatomy;
    for (size_t i = 0; i < sizeof bones / sizeof *bones; i++)
        if (strncmp(label->name, bones[i], strlen(bones[i])) == 0) return true;
    return a && (a->tissue == FAB_TISSUE_ORGAN || a->tissue == FAB_TISSUE_LUNG ||
                 a->tissue == FAB_TISSUE_BOWEL || a->tissue == FAB_TISSUE_NERVE);
}

typedef struct stray {
    int64_t voxels;
    int low[3], high[3];
} stray;

static void count_stray(stray *t, const int at[3])
{
    for (int a = 0; a < 3; a++) {
        t->low[a] = !t->voxels || at[a] < t->low[a] ? at[a] : t->low[a];
        t->high[a] = !t->voxels || at[a] > t->high[a] ? at[a] : t->high[a];
    }
    t->voxels++;
}

/* Voxels of one plane that are not in the largest piece of the body. */
static void look_at_plane(const fab_check *c, int k, fab_section_work *work, const bool *trunk,
                          stray *strays)
{
    const fab_lattice *l = &c->lattice;
    const fab_scan *scan = c->in->scan;
    const int64_t slice = (int64_t)l->n[0] * l->n[1];
    fab_section s;
    fab_section_measure(c->hu + slice * k, l->n[0], l->n[1], l->step_mm, scan->has_padding,
                        (int)scan->padding_hu, work, &s);
    if (!s.largest || s.inside) return;
    for (int64_t i = 0; i < slice; i++) {
        const uint16_t row = c->row[slice * k + i];
        if (!row || !trunk[row - 1] || work->label[i] == s.largest) continue;
        count_stray(&strays[row - 1], (const int[3]){(int)(i % l->n[0]), (int)(i / l->n[0]), k});
    }
}

static fab_status report(fab_check *c, const stray *strays, fab_error *err)
{
    const double *step = c->lattice.step_mm;
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        fab_qa_structure *s = &c->qa->structures[i];
        const double ml = (double)strays[i].voxels * step[0] * step[1] * step[2] / 1000;
        double low[3], high[3];
        if (ml < least_ml || ml < least_share * s->volume_ml) continue;
        fab_check_box(&c->lattice, strays[i].low, strays[i].high, low, high);
        FAB_TRY(fab_check_add(c, "outside-body", FAB_WARNING, s, NULL, low, high, err,
                              "%.0f ml of it (%.0f %%) lie outside the body: on the table, in "
                              "clothes or in an arm", ml, 100 * ml / s->volume_ml));
    }
    return FAB_OK;
}

fab_status fab_check_outside(fab_check *c, fab_error *err)
{
    const size_t slice = (size_t)c->lattice.n[0] * (size_t)c->lattice.n[1];
    if (!c->hu || !c->hounsfield) return FAB_OK;
    FAB_AUTO_FREE uint8_t *mask = fab_alloc_array(slice, sizeof *mask);
    FAB_AUTO_FREE int32_t *label = fab_alloc_array(slice, sizeof *label);
    FAB_AUTO_FREE int32_t *queue = fab_alloc_array(slice, sizeof *queue);
    FAB_AUTO_FREE bool *trunk = fab_calloc(c->qa->structure_count + 1, sizeof *trunk);
    FAB_AUTO_FREE stray *strays = fab_calloc(c->qa->structure_count + 1, sizeof *strays);
    fab_section_work work = {mask, label, queue};
    if (!mask || !label || !queue || !trunk || !strays)
        FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a slice");
    for (size_t i = 0; i < c->qa->structure_count; i++)
        trunk[i] = is_of_trunk(c->qa->structures[i].label);
    for (int k = 0; k < c->lattice.n[2]; k++) look_at_plane(c, k, &work, trunk, strays);
    return report(c, strays, err);
}
