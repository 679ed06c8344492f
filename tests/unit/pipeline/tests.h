#ifndef TEST_PIPELINE_TESTS_H
#define TEST_PIPELINE_TESTS_H

#include "fabrica/pipeline.h"
#include "harness.h"

void input_kinds_by_content(void);
void label_tables_of_other_tools(void);
void models_newest_and_named(void);
void findings_of_a_wrong_twin(void);
void cancel_at_every_step(void);
void progress_never_falls(void);
void names_cannot_break_the_report(void);
void evaluate_by_name_and_mapping(void);
void evaluate_on_another_grid(void);
void phantom_uids_depend_on_every_option(void);
void phantom_again_is_the_same_bytes(void);
void validate_pairs_by_card(void);
void validate_pairs_of_merged_truth(void);
void validate_levels(void);

/* A label map of boxes on a 5 mm LPS grid of 48 voxels a side, whose centre is the origin. */
typedef struct box {
    int value;
    int low[3], high[3]; /* inclusive */
} box;
/* Writes folder/NAME.nii.gz, and folder/NAME.json if table is not NULL. */
void write_labels(const char *folder, const char *name, const box *boxes, size_t count,
                  const char *table);
/* A CT of nothing much on the same grid: folder/ct.nii.gz */
void write_ct(const char *folder);
/* A path in a ring of four. */
const char *in(const char *folder, const char *name);
extern char root[FAB_MAX_PATH_BYTES];
void fresh(void);
void clean(void);

#endif
