/* pieces.c - structures in pieces, and with holes in them. */
#include <math.h>
#include <string.h>

#include "qa_internal.h"

static const double fragment_share = 0.90;
static const double hole_share = 0.03, hole_ml = 2.0;

/* Names that are many bones or loops by nature are never called fragmented. */
static bool many_parts(const char *name)
{
    static const char *const plural[] = {"vertebrae", "ribs", "bowel", "hips", "femurs", "lungs",
                                         "kidneys", "muscles", "autochthon", "shoulder_girdle",
                                         "vessel", "fat", "soft_tissue", "discs", "metal"};
    for (size_t i = 0; i < sizeof plural / sizeof *plural; i++)
        if (strncmp(name, plural[i], strlen(plural[i])) == 0 && !strchr(name, '_')) return true;
    return strncmp(name, "ribs", 4) == 0 || strstr(name, "muscles") != NULL ||
           strncmp(name, "shoulder_girdle", 15) == 0 || strstr(name, "bowel") != NULL;
}

static fab_status check_fragments(fab_check *c, const fab_qa_structure *s, fab_error *err)
{
    FAB_AUTO_FREE fab_label_piece *pieces = NULL;
    const fab_lattice whole = {.grid = *fab_volume_grid(c->in->labels)};
    const double all = (double)s->stats.voxels;
    double low[3], high[3];
    int32_t n = 0;
    if (many_parts(s->label->name)) return FAB_OK;
    FAB_TRY(fab_labels_pieces(c->in->labels, &s->stats, s->label->value, false, &n, &pieces,
                              err));
    if (n < 2 || (double)pieces[0].voxels >= fragment_share * all) return FAB_OK;
    fab_check_box(&whole, pieces[1].low, pieces[1].high, low, high); /* the second largest */
    /* what lies beyond the scan may join the pieces: the bases of a lung */
    return fab_check_add(c, "fragments", s->cut ? FAB_INFO : FAB_WARNING, s, NULL, low, high, err,
                         "in %d pieces; the largest is %.0f %% of it", n,
                         100.0 * (double)pieces[0].voxels / all);
}

/* ---- holes -------------------------------------------------------------------------------- */

/* A structure's lattice box with two voxels around: a rim from which the outside is flooded, and a
 * wall around that, which floods need not look beyond. */
typedef struct box {
    int low[3], n[3];
} box;

static box walled_box(const fab_check *c, size_t index)
{
    const fab_lattice_box *where = &c->box[index];
    box b;
    for (int a = 0; a < 3; a++) {
        b.low[a] = where->low[a] - 2;
        b.n[a] = where->high[a] - where->low[a] + 5;
    }
    return b;
}

/* Marks the wall and the structure; returns how many voxels are marked. */
static int64_t mark_solid(const fab_check *c, const box *b, size_t index, uint8_t *mark)
{
    const int *n = b->n, *all = c->lattice.n;
    int64_t marked = 0;
    memset(mark, 1, (size_t)n[0] * (size_t)n[1] * (size_t)n[2]);
    for (int z = 1; z < n[2] - 1; z++)
        for (int y = 1; y < n[1] - 1; y++) {
            uint8_t *to = mark + ((int64_t)z * n[1] + y) * n[0];
            const int64_t gy = y + b->low[1], gz = z + b->low[2];
            memset(to + 1, 0, (size_t)n[0] - 2);
            if (gy < 0 || gz < 0 || gy >= all[1] || gz >= all[2]) continue; /* the rim */
            const uint16_t *from = c->row + (gz * all[1] + gy) * all[0];
            for (int x = 2; x < n[0] - 2; x++) to[x] = from[x + b->low[0]] == index + 1;
        }
    for (int64_t i = 0; i < (int64_t)n[0] * n[1] * n[2]; i++) marked += mark[i];
    return marked;
}

/* Voxels of the box that are neither the structure nor reached from the box's rim. */
static fab_status count_enclosed(const fab_check *c, const box *b, size_t index, int64_t *out,
                                 fab_error *err)
{
    const int64_t row = b->n[0], plane = row * b->n[1], n = plane * b->n[2];
    const int64_t step[6] = {-1, 1, -row, row, -plane, plane};
    FAB_AUTO_FREE uint8_t *mark = fab_alloc_array((size_t)n, sizeof *mark);
    FAB_AUTO_FREE int32_t *queue = fab_alloc_array((size_t)n, sizeof *queue);
    int64_t tail = 0;
    if (!mark || !queue) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory to look for holes");
    const int64_t solid = mark_solid(c, b, index, mark);
    queue[tail++] = (int32_t)(plane + row + 1); /* a corner of the rim */
    mark[queue[0]] = 1;
    for (int64_t head = 0; head < tail; head++)
        for (int d = 0; d < 6; d++) {
            const int64_t next = queue[head] + step[d];
            if (mark[next]) continue;
            mark[next] = 1;
            queue[tail++] = (int32_t)next;
        }
    *out = n - tail - solid;
    return FAB_OK;
}

static fab_status check_holes(fab_check *c, size_t index, fab_error *err)
{
    const fab_qa_structure *s = &c->qa->structures[index];
    const fab_anatomy *a = s->label->anatomy;
    int64_t enclosed = 0;
    if (!a || a->tissue != FAB_TISSUE_ORGAN || strcmp(s->label->name, "heart") == 0) return FAB_OK;
    const box b = walled_box(c, index);
    if (b.n[0] < 6 || b.n[1] < 6 || b.n[2] < 6) return FAB_OK;
    FAB_TRY(count_enclosed(c, &b, index, &enclosed, err));
    const double *step = c->lattice.step_mm;
    const double ml = (double)enclosed * step[0] * step[1] * step[2] / 1000;
    if (ml < hole_ml || ml < hole_share * s->volume_ml) return FAB_OK;
    return fab_check_add(c, "holes", FAB_WARNING, s, NULL, s->centroid_mm, NULL, err,
                         "encloses %.0f ml that are not part of it", ml);
}

fab_status fab_check_pieces(fab_check *c, fab_error *err)
{
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        FAB_TRY(fab_progress_step(c->in->progress, "check",
                                  (double)i / (double)c->qa->structure_count, err));
        FAB_TRY(check_fragments(c, &c->qa->structures[i], err));
        FAB_TRY(check_holes(c, i, err));
    }
    return FAB_OK;
}
