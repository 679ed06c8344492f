/* qa_internal.h - what the checks share. */
#ifndef FAB_QA_INTERNAL_H
#define FAB_QA_INTERNAL_H

#include "fabrica/qa.h"

/* ---- lattice.c --------------------------------------------------------------------------- */

typedef struct fab_lattice {
    fab_grid from, grid; /* the volume's own; the lattice's, its axes nearest to L, P, S */
    int axis[3], stride[3], first[3], n[3];
    bool flip[3];
    double step_mm[3];
} fab_lattice;
void fab_lattice_plan(const fab_grid *g, const double wanted_mm[3], fab_lattice *out);
int64_t fab_lattice_source(const fab_lattice *l, int i, int j, int k); /* storage index */
int64_t fab_lattice_count(const fab_lattice *l);
/* Values rounded and clamped; out holds fab_lattice_count of them, i fastest. */
void fab_lattice_values(const fab_lattice *l, const fab_volume *v, int16_t *out);
/* row_of[label value]: 1 + the index of the structure, 0 for none. */
void fab_lattice_rows(const fab_lattice *l, const fab_volume *labels, const uint16_t *row_of,
                      size_t values, uint16_t *out);
/* Where the structures 1 to count are among such rows; high < low: nowhere. */
typedef struct fab_lattice_box {
    int low[3], high[3];
} fab_lattice_box;
void fab_lattice_boxes(const fab_lattice *l, const uint16_t *row, size_t count,
                       fab_lattice_box *out);

/* ---- section.c: one axial slice ---------------------------------------------------------- */

typedef struct fab_section {
    double area_cm2, width_mm; /* of the largest piece, its holes filled */
    double second_cm2;         /* of the next one */
    int32_t largest;           /* its label in the work's picture; 0: no body */
    bool inside;               /* the body fills the picture */
    bool skull;                /* a ring of bone close below the skin */
} fab_section;
typedef struct fab_section_work {
    uint8_t *mask;
    int32_t *label, *queue; /* label: the piece a pixel belongs to, 0 outside */
} fab_section_work;
void fab_section_measure(const int16_t *hu, int nx, int ny, const double step_mm[2],
                         bool has_padding, int padding, fab_section_work *work,
                         fab_section *out);

/* ---- norms.c ----------------------------------------------------------------------------- */

typedef struct fab_norm {
    const char *name;
    double low, high;   /* ml, or HU */
    const char *source;
} fab_norm;
/* NULL: nothing published is known. */
const fab_norm *fab_norm_volume(const char *name);
const fab_norm *fab_norm_hounsfield(const fab_label *label);

/* ---- the check under way ----------------------------------------------------------------- */

typedef struct fab_check {
    const fab_qa_input *in;
    fab_qa *qa;
    bool hounsfield;
    fab_lattice lattice;
    int16_t *hu;        /* NULL without an image */
    uint16_t *row;      /* 1 + index of the structure, 0 none */
    fab_lattice_box *box; /* of each structure */
    double *spine;      /* a lattice plane k: x, y of the spine's middle in lattice voxels; NaN */
} fab_check;

fab_qa_structure *fab_check_find(const fab_check *c, const char *name);
/* As fab_qa_add, with a place; high NULL: a point. */
fab_status fab_check_add(fab_check *c, const char *code, fab_severity severity,
                         const fab_qa_structure *s, const fab_qa_structure *other,
                         const double low_mm[3], const double high_mm[3], fab_error *err,
                         const char *format, ...) FAB_PRINTF(9, 10);
void fab_check_box(const fab_lattice *l, const int low[3], const int high[3], double low_mm[3],
                   double high_mm[3]);

fab_status fab_check_structures(fab_check *c, fab_error *err); /* structures.c */
fab_status fab_check_pieces(fab_check *c, fab_error *err);     /* pieces.c */
fab_status fab_check_outside(fab_check *c, fab_error *err);    /* outside.c */
fab_status fab_check_sides(fab_check *c, fab_error *err);      /* sides.c */
fab_status fab_check_levels(fab_check *c, fab_error *err);     /* levels.c */
fab_status fab_check_metal(fab_check *c, fab_error *err);      /* metal.c */
fab_status fab_check_verdict(fab_check *c, fab_error *err);    /* verdict.c */

#endif
