/* tests.h - drawn images and label maps for the checks. */
#ifndef FAB_TEST_QA_H
#define FAB_TEST_QA_H

#include "../../harness.h"
#include "fabrica/qa.h"

/* An image of `size` voxels of `spacing` mm, LPS, its middle at 0, filled with `hu`. */
fab_volume *image_of(const int size[3], double spacing, int hu);
/* Ellipsoid or (tall: an elliptic cylinder through all slices) around `at` mm. */
void draw(fab_volume *v, const double at[3], const double radius[3], bool tall, int hu);
/* Adds -n..n, not the same everywhere. */
void add_noise(fab_volume *v, int n);
/* An adult's cross-section: fat, muscle, spine, lungs or organs. */
fab_volume *torso(void);
void add_label(fab_label_set *set, int value, const char *name);

typedef struct blob {
    const char *name;
    double at[3], radius[3];
} blob;
/* A label map of ellipsoids on the image's grid, values 1.. in that order. */
fab_volume *labels_of(const fab_volume *image, const blob *blobs, int count, fab_label_set *set);
const fab_qa_finding *finding(const fab_qa *qa, const fab_label_set *set, const char *code,
                              const char *name);

void looks_like_a_torso(void);
void refuses_what_is_no_torso(void);
void refuses_what_is_no_ct(void);
void header_helps(void);
void padding_is_found(void);
void finds_mirrored_and_misplaced(void);
void finds_pieces_holes_and_tissue(void);
void finds_what_lies_outside(void);
void finds_metal(void);
void orders_the_review(void);
void distrusts(void);
void good_patient_has_none(void);
void levels_in_order(void);
void levels_wrong(void);

#endif
