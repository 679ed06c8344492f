/* topology.h - closedness, fans, components of an indexed triangle mesh (this folder). */
#ifndef FAB_MESH_TOPOLOGY_H
#define FAB_MESH_TOPOLOGY_H

#include "fabrica/mesh.h"

typedef struct fab_topology {
    bool closed;      /* every directed edge once, and its opposite once */
    bool manifold;    /* closed, and each vertex has one fan */
    int components;   /* by shared edges' vertices */
    int genus;        /* sum over components; -1 if not manifold */
} fab_topology;

fab_status fab_mesh_topology(const fab_mesh *mesh, fab_topology *out, fab_error *err);

#endif
