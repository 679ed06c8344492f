/* mesh_internal.h - the surface net shared by the files of this folder.
 *
 * Cells. The label volume is padded with one layer outside. A *cell* (ci, cj, ck) has the eight
 * voxel centres (ci-1..ci, cj-1..cj, ck-1..ck) as corners; ci runs 0..size[0]. A cell whose
 * corners carry more than one label, one of them a structure, is *active* and holds one point.
 *
 *        6-------7        corner c: bit 0 = +i, bit 1 = +j, bit 2 = +k
 *       /|      /|        edge e:   axis * 4 + first other axis' bit + 2 * second other axis' bit
 *      4-------5 |        face f:   axis * 2 + side
 *      | 2-----|-3        A face between two voxels of different labels is a *quad*; its four
 *      |/      |/         corners are the points of the four cells around that voxel pair.
 *      0-------1
 *
 * All structures share these points: that is why their borders coincide. See cases.c for where
 * one label needs more than one vertex in a cell.
 */
#ifndef FAB_MESH_INTERNAL_H
#define FAB_MESH_INTERNAL_H

#include "fabrica/mesh.h"

#define FAB_MESH_NONE UINT32_MAX
#define FAB_MESH_PAD 0xFFFFu  /* label of a corner outside the volume */
#define FAB_MESH_INSET 0.05f  /* points keep this far (voxels) from their cell's walls */
#define FAB_MESH_SPREAD 0.2f  /* how far sheets that meet in one cell are drawn apart */
#define FAB_MESH_MAX_SHEETS 4 /* vertices of one label in one cell */

/* How one label's corners in a cell (bit mask) become closed loops on the cell's surface. */
typedef struct fab_mesh_case {
    uint8_t loops;         /* vertices needed */
    uint8_t edge_loop[12]; /* loop that crosses each edge; 255 where no crossing */
} fab_mesh_case;

typedef struct fab_mesh_cases {
    fab_mesh_case item[256][2]; /* second: with the candidate face joined inside */
    int8_t candidate[256];      /* face that may have to be joined; -1: none */
} fab_mesh_cases;

typedef struct fab_mesh_sheet { /* one label in one cell */
    uint16_t label;
    uint8_t mask, joined;
    uint32_t vertex; /* index of its first vertex in that label's mesh */
} fab_mesh_sheet;

typedef struct fab_mesh_net {
    int32_t size[3];       /* of the label volume */
    fab_mat34 world_from_voxel;
    double spacing[3];
    bool mirrored;         /* left-handed grid: windings turn round */
    uint32_t count;        /* active cells, ordered by (k, j, i) */
    uint32_t *row_start;   /* first cell of row cj + (size[1] + 1) * ck; one more at the end */
    uint16_t (*at)[3];     /* ci, cj, ck */
    uint16_t (*label)[8];  /* corner labels; FAB_MESH_PAD outside */
    uint32_t (*link)[6];   /* neighbour through face f where a surface crosses it, else NONE */
    uint8_t *pull;         /* bit f: link f takes part in smoothing */
    float (*point)[3];     /* in the cell, 0..1 from corner 0 */
    uint8_t *singular;     /* some structure has more than one sheet vertex here */
    uint32_t *sheet_start; /* per cell; count + 1 */
    fab_mesh_sheet *sheet;
    fab_mesh_cases *cases;
    size_t structures;     /* labels that occur, ascending */
    uint16_t *structure;
    uint16_t *dense;       /* [65536] label -> position in structure, 0xFFFF if none */
    int64_t *voxels;       /* per structure */
    double (*centroid)[3]; /* per structure; of its voxels' centres, voxel coordinates */
} fab_mesh_net;

extern const uint8_t fab_mesh_edge_low[12]; /* low corner of each edge */

/* cases.c */
void fab_mesh_cases_fill(fab_mesh_cases *cases);

/* cells.c: active cells, corner labels, structures. */
fab_status fab_mesh_net_find_cells(fab_mesh_net *net, const fab_volume *labels,
                                   const fab_progress *progress, fab_error *err);
void fab_mesh_net_free(fab_mesh_net *net);

/* links.c */
fab_status fab_mesh_net_link(fab_mesh_net *net, fab_error *err);

/* relax.c */
fab_status fab_mesh_net_place(fab_mesh_net *net, const fab_volume *margin, fab_error *err);
fab_status fab_mesh_net_relax(fab_mesh_net *net, int iterations, const fab_progress *progress,
                              fab_error *err);

/* sheets.c */
fab_status fab_mesh_net_split(fab_mesh_net *net, fab_error *err);
const fab_mesh_sheet *fab_mesh_net_sheet(const fab_mesh_net *net, uint32_t cell, uint16_t label);
/* Voxel coordinates of vertex `loop` of a sheet. */
void fab_mesh_net_vertex(const fab_mesh_net *net, uint32_t cell, const fab_mesh_sheet *sheet,
                         unsigned loop, double out[3]);

/* A quad: the voxel pair `low`, `high` along `axis` and the cells around it, counter-clockwise
 * seen from the high voxel. local[] is the pair's edge in each cell. */
typedef struct fab_mesh_quad {
    uint16_t low, high;
    int axis;
    uint32_t cell[4];
    uint8_t local[4];
} fab_mesh_quad;
/* The quad of the cell's edge from corner 0 along axis; false if no surface crosses it. */
bool fab_mesh_net_quad(const fab_mesh_net *net, uint32_t cell, int axis, fab_mesh_quad *out);
/* Voxel coordinates of the quad's corners as label (low or high) sees them. */
void fab_mesh_net_quad_points(const fab_mesh_net *net, const fab_mesh_quad *quad, uint16_t label,
                              double out[4][3]);
/* True: split along corners 1-3. The same answer for both labels. */
bool fab_mesh_net_quad_diagonal(const fab_mesh_net *net, const fab_mesh_quad *quad);

/* Cells are worked on in fixed ranges, so that results do not depend on the threads. */
#define FAB_MESH_CHUNK 16384u
static inline int64_t fab_mesh_chunks(uint32_t count)
{
    return ((int64_t)count + FAB_MESH_CHUNK - 1) / FAB_MESH_CHUNK;
}

/* drift.c */
fab_status fab_mesh_net_correct(fab_mesh_net *net, const fab_mesh_options *options,
                                fab_error *err);

/* emit.c */
fab_status fab_mesh_net_emit(fab_mesh_net *net, fab_mesh_set *out, fab_error *err);

#endif
