/* anatomy.c - finding a structure in the table by name, and the code of a side.
 *
 * The table is five arrays, one a file, each sorted by name; a name is searched by halves in each.
 * That needs no start-up work, no lock and no memory. Laterality: a paired structure has the
 * side-less SNOMED CT concept as its type and the side as a modifier (PS3.3 C.8.20.2, CID 244);
 * a concept that is itself one-sided, such as "left atrium", carries no modifier.
 */
#include <string.h>

#include "table_internal.h"

typedef struct table_part {
    const fab_anatomy *rows;
    const size_t *count;
} table_part;

static const table_part parts[] = {
    {fab_anatomy_bones, &fab_anatomy_bones_count},
    {fab_anatomy_brain, &fab_anatomy_brain_count},
    {fab_anatomy_organs, &fab_anatomy_organs_count},
    {fab_anatomy_vessels, &fab_anatomy_vessels_count},
    {fab_anatomy_soft, &fab_anatomy_soft_count},
};
#define PART_COUNT (sizeof parts / sizeof parts[0])

size_t fab_anatomy_count(void)
{
    size_t n = 0;
    for (size_t p = 0; p < PART_COUNT; p++) n += *parts[p].count;
    return n;
}

const fab_anatomy *fab_anatomy_at(size_t index)
{
    for (size_t p = 0; p < PART_COUNT; p++) {
        if (index < *parts[p].count) return &parts[p].rows[index];
        index -= *parts[p].count;
    }
    return NULL;
}

static const fab_anatomy *find_in(const table_part *part, const char *name)
{
    size_t low = 0, high = *part->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, part->rows[middle].name);
        if (order == 0) return &part->rows[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return NULL;
}

const fab_anatomy *fab_anatomy_find(const char *name)
{
    if (!name) return NULL;
    for (size_t p = 0; p < PART_COUNT; p++) {
        const fab_anatomy *row = find_in(&parts[p], name);
        if (row) return row;
    }
    return NULL;
}

fab_code fab_anatomy_side_code(fab_laterality side)
{
    static const fab_code left = SCT("7771000", "Left"), right = SCT("24028007", "Right"),
                          none = NO_REGION;
    return side == FAB_SIDE_LEFT ? left : side == FAB_SIDE_RIGHT ? right : none;
}
