/* enclosed.c - where "outside the patient" is said of a place inside.
 *
 * A network whose class 0 is the air around the patient takes thin lung bases and bowel gas for it.
 * Air around the patient reaches the border of an axial plane; what does not is enclosed by the
 * patient. (The card says whether class 0 means that: "outside_reaches_edge".)
 */
#include "segment_internal.h"

enum { REACHED = UINT16_MAX };

static bool reach(uint16_t *at, bool on_border, uint16_t before, uint16_t above)
{
    if (*at != 0 || !(on_border || before == REACHED || above == REACHED)) return false;
    *at = REACHED;
    return true;
}

/* One sweep towards higher (step 1) or lower (step -1) rows and columns; did anything change? */
static bool sweep(uint16_t *plane, int rows, int columns, int step)
{
    bool changed = false;
    for (int j = 0; j < rows; j++)
        for (int i = 0; i < columns; i++) {
            const int y = step > 0 ? j : rows - 1 - j, x = step > 0 ? i : columns - 1 - i;
            uint16_t *at = plane + (ptrdiff_t)y * columns + x;
            const bool border = y == 0 || x == 0 || y == rows - 1 || x == columns - 1;
            changed |= reach(at, border, i > 0 ? at[-step] : 0,
                             j > 0 ? at[-(ptrdiff_t)step * columns] : 0);
        }
    return changed;
}

void fab_plane_mark_enclosed(uint16_t *plane, int rows, int columns)
{
    bool changed = true;
    while (changed) {
        changed = sweep(plane, rows, columns, 1);
        changed |= sweep(plane, rows, columns, -1);
    }
    const ptrdiff_t count = (ptrdiff_t)rows * columns;
    for (ptrdiff_t i = 0; i < count; i++)
        plane[i] = plane[i] == 0 ? FAB_ENCLOSED : plane[i] == REACHED ? 0 : plane[i];
}
