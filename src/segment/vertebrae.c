/* vertebrae.c - a network's body, arch and disc classes become vertebrae and discs by name.
 *
 * A card with a block "spine" says which classes they are. Module spine counts them once, on the
 * network's lattice, and every other lattice looks its vertebra up as it looks up a side. In the
 * label set the body's row takes a value for each level there is, the disc's row one for each
 * disc, and the arch's row none.
 */
#include <stdio.h>
#include <string.h>

#include "segment_internal.h"

#define FIRST_SACRAL 22 /* L4: the highest level that a disc can join to the sacrum */
#define PAIRS 23        /* discs C2/C3 to L5/L6 */
#define DISCS (PAIRS + FAB_SPINE_LEVELS - FIRST_SACRAL)

/* ---- the card ------------------------------------------------------------------------------- */

typedef struct key { const char *name; int *value; } key;

static fab_status read_class(const fab_json *o, const char *name, int classes, int *into,
                             fab_error *err)
{
    int64_t value = 0;
    if (!fab_json_find(o, name)) return FAB_OK;
    FAB_TRY(fab_json_get_int(o, name, 1, classes - 1, &value, err));
    *into = (int)value;
    return FAB_OK;
}

/* Body, arch and discs must be labels of the card, whole ones; no class may have two meanings. */
static fab_status check_spine(const fab_model *m, const key *keys, size_t count, fab_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (*keys[i].value == 0) continue;
        for (size_t k = 0; k < i; k++)
            if (*keys[k].value == *keys[i].value)
                FAB_FAIL(err, FAB_ERR_FORMAT, "spine: class %d is both \"%s\" and \"%s\"",
                         *keys[i].value, keys[k].name, keys[i].name);
        bool fits = i > 2;
        for (int r = 0; r < m->label_count; r++)
            fits |= m->labels[r].value == *keys[i].value && !m->labels[r].split;
        if (!fits)
            FAB_FAIL(err, FAB_ERR_FORMAT, "spine.%s: class %d is no label, or one that is split",
                     keys[i].name, *keys[i].value);
    }
    for (int a = 0; a < 3; a++)
        if (!(m->spacing_mm[a] >= 0.5 && m->spacing_mm[a] <= 6))
            FAB_FAIL(err, FAB_ERR_FORMAT, "spine: vertebrae are counted at a spacing of 0.5 to 6 "
                     "mm, the network's is %g", m->spacing_mm[a]);
    return FAB_OK;
}

fab_status fab_model_read_spine(const fab_json *card, fab_model *m, fab_error *err)
{
    fab_spine_classes *c = &m->spine;
    const key keys[] = {{"body", &c->body}, {"arch", &c->arch}, {"discs", &c->disc},
                        {"canal", &c->canal}, {"cord", &c->cord}, {"sacrum", &c->sacrum},
                        {"ribs", &c->ribs}, {"lungs", &c->lungs[0]},
                        {"kidneys", &c->kidneys[0]}, {"hips", &c->hips[0]},
                        {"psoas", &c->psoas[0]}};
    const size_t count = sizeof keys / sizeof *keys;
    const fab_json *o = NULL;
    if (!fab_json_find(card, "spine")) return FAB_OK;
    FAB_TRY(fab_json_get_object(card, "spine", &o, err));
    for (size_t i = 0; i < count; i++)
        if (read_class(o, keys[i].name, m->config.classes, keys[i].value, err) < 0)
            return fab_error_prefix(err, "spine");
    if (c->body == 0) FAB_FAIL(err, FAB_ERR_FORMAT, "spine: \"body\" is missing");
    FAB_TRY(check_spine(m, keys, count, err));
    m->counts_vertebrae = true;
    return FAB_OK;
}

/* ---- rows, values and names ----------------------------------------------------------------- */

fab_row_kind fab_row_kind_of(const fab_model *m, int row)
{
    const int c = m->labels[row].value;
    if (!m->counts_vertebrae) return FAB_ROW_PLAIN;
    return c == m->spine.body ? FAB_ROW_BODY : c == m->spine.arch ? FAB_ROW_ARCH
           : c == m->spine.disc ? FAB_ROW_DISC : FAB_ROW_PLAIN;
}

int fab_row_values(const fab_model *m, int row)
{
    static const int values[] = {[FAB_ROW_BODY] = FAB_SPINE_LEVELS, [FAB_ROW_ARCH] = 0,
                                 [FAB_ROW_DISC] = DISCS};
    const fab_row_kind kind = fab_row_kind_of(m, row);
    return kind != FAB_ROW_PLAIN ? values[kind] : m->labels[row].split ? 2 : 1;
}

const char *fab_row_name(const fab_model *m, int row, int k, char into[FAB_MAX_NAME_BYTES])
{
    const fab_model_label *l = &m->labels[row];
    const fab_row_kind kind = fab_row_kind_of(m, row);
    if (kind == FAB_ROW_PLAIN) return !l->split ? l->name : k == 0 ? l->left : l->right;
    if (kind == FAB_ROW_DISC) {
        (void)fab_spine_disc_name(k < PAIRS ? k + 1 : FIRST_SACRAL + k - PAIRS,
                                  k < PAIRS ? k + 2 : -1, into);
        return into;
    }
    snprintf(into, FAB_MAX_NAME_BYTES, "vertebrae_%s", fab_spine_level_name(k));
    return into;
}

int fab_same_label_class(const fab_model *m, int class_value)
{
    if (!m->counts_vertebrae || m->spine.arch == 0) return -1;
    return class_value == m->spine.body ? m->spine.arch
           : class_value == m->spine.arch ? m->spine.body : -1;
}

/* First value of the row of a kind; 0: the card has none. */
static int first_value(const fab_decision *d, fab_row_kind kind)
{
    for (int i = 0; i < d->model->label_count; i++)
        if (fab_row_kind_of(d->model, i) == kind) return d->value_of[i];
    return 0;
}

/* The value of the disc above vertebra k; 0: no such disc. */
static int disc_value(const fab_decision *d, int first, int k)
{
    const fab_spine *s = &d->spine;
    const int upper = k > 0 ? s->items[k - 1].level : s->items[0].level - 1;
    const bool last = k == s->count;
    if (upper < 1) return 0;
    const bool sacral = last && s->sacrum_below && upper >= FIRST_SACRAL;
    if (sacral || upper > PAIRS) return first + PAIRS + upper - FIRST_SACRAL;
    return first + upper - 1;
}

/* ---- counting ------------------------------------------------------------------------------- */

/* The classes that are left after small components were dropped. */
static fab_status class_map(const fab_decision *d, fab_volume **out, fab_error *err)
{
    fab_grid g = {.size = {d->size[2], d->size[1], d->size[0]}};
    for (int a = 0; a < 3; a++) g.world_from_voxel.m[a][a] = d->model->spacing_mm[2 - a];
    FAB_TRY(fab_volume_create(&g, FAB_U16, out, err));
    uint16_t *to = fab_volume_data_mut(*out);
    for (int64_t i = 0; i < fab_grid_voxels(&g); i++) {
        const int32_t region = d->component[i];
        const bool dropped = region >= 0 && d->row_of[d->winner[i]] >= 0 &&
                             d->regions[region].final == 0;
        to[i] = dropped ? 0 : d->winner[i];
    }
    return FAB_OK;
}

fab_status fab_decide_spine(fab_decision *d, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *map = NULL;
    const int body = first_value(d, FAB_ROW_BODY), disc = first_value(d, FAB_ROW_DISC);
    FAB_TRY(class_map(d, &map, err));
    FAB_TRY(fab_spine_decode(map, &d->model->spine, NULL, &d->spine, err));
    const int64_t n = fab_grid_voxels(fab_volume_grid(map));
    d->spine_value = fab_calloc((size_t)n, sizeof *d->spine_value);
    if (!d->spine_value) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for vertebrae");
    const uint8_t *instance = fab_volume_data(d->spine.instances);
    for (int64_t i = 0; i < n; i++) {
        const int k = instance[i];
        if (k >= FAB_SPINE_DISC)
            d->spine_value[i] = (uint16_t)disc_value(d, disc, k - FAB_SPINE_DISC);
        else if (k > 0)
            d->spine_value[i] = (uint16_t)(body + d->spine.items[k - 1].level);
    }
    d->spine.instances = fab_volume_unref(d->spine.instances);
    return FAB_OK;
}

double fab_decision_name_confidence(const fab_decision *d, int value)
{
    const int body = first_value(d, FAB_ROW_BODY), disc = first_value(d, FAB_ROW_DISC);
    const bool named = d->model->counts_vertebrae &&
                       ((value >= body && value < body + FAB_SPINE_LEVELS) ||
                        (disc > 0 && value >= disc && value < disc + DISCS));
    return named && d->spine.count > 0 ? d->spine.items[0].confidence : 1;
}
