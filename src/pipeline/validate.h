/* validate.h - the parts of `fabrica validate`: a labelled data set, its truth, a model's
 * predictions, what was measured, and the dossier made of it.
 *
 *     dataset -> cases -> truth, prediction (cached) -> pairs -> rows, levels -> JSON -> HTML
 */
#ifndef FAB_PIPELINE_VALIDATE_H
#define FAB_PIPELINE_VALIDATE_H

#include "fabrica/evaluate.h"
#include "html.h"
#include "network.h"

/* ---- small things (validate_list.c) ------------------------------------------------------- */

/* Owned strings in the order they came. Zero-initialise. */
typedef struct fab_text_list {
    char **items;
    size_t count, capacity;
} fab_text_list;
fab_status fab_text_list_add(fab_text_list *l, const char *text, fab_error *err);
void fab_text_list_free(fab_text_list *l); /* also as __attribute__((cleanup)) */
/* Names in a folder, sorted by bytes, hidden ones left out. FAB_ERR_IO, FAB_ERR_LIMIT. */
fab_status fab_folder_list(const char *folder, fab_text_list *out, fab_error *err);
/* All files below it as paths relative to it, sorted. */
fab_status fab_folder_walk(const char *folder, fab_text_list *out, fab_error *err);
bool fab_is_folder(const char *path);
bool fab_text_ends(const char *text, const char *ending);
/* How far `name` is a volume: its length without .nii.gz, .nii, .nrrd or .nhdr; 0 if it is none. */
size_t fab_volume_stem(const char *name);

/* ---- the data set (validate_dataset.c) ---------------------------------------------------- */

typedef enum fab_layout {
    FAB_LAYOUT_MANIFEST, FAB_LAYOUT_NNUNET, FAB_LAYOUT_TOTALSEGMENTATOR, FAB_LAYOUT_VERSE
} fab_layout;

typedef struct fab_val_case {
    char *name, *image;
    char *labels;            /* label map, or folder of one mask a structure; NULL: no truth */
    char *table;             /* of the label map; NULL: the data set's, or one beside it */
    char *series;            /* of a DICOM image; NULL: the best */
    const fab_json *labelled;/* borrowed: only these structures are drawn in full; NULL: all */
} fab_val_case;

typedef struct fab_dataset {
    fab_layout layout;
    char folder[FAB_MAX_PATH_BYTES];
    char name[256], license[256], notes[1024];
    fab_label_set names;     /* of the truth's values, where the layout says them */
    fab_json *json;          /* dataset.json or cases.json, if any */
    const fab_json *mapping; /* borrowed: rows {"name","reference","predicted"}; NULL: by name */
    size_t count;
    fab_val_case *cases;     /* in the order of their names */
} fab_dataset;
const char *fab_layout_name(fab_layout layout);
/* Recognised by what is in the folder. FAB_ERR_NOTFOUND: no case in any of the layouts. */
fab_status fab_dataset_open(const char *folder, fab_dataset *out, fab_error *err);
void fab_dataset_close(fab_dataset *d);

/* ---- truth (validate_truth.c) ------------------------------------------------------------- */

typedef struct fab_truth {
    fab_volume *labels;
    fab_label_set set;       /* everything the truth could hold; a row without voxels is absent */
    int64_t overlaps;        /* voxels that are in two masks: the first, by name, has them */
    fab_json *files;         /* [{"path","sha256"}...] */
} fab_truth;
/* On exactly the image's grid. Another order of the same voxels is put in order; anything else is
 * FAB_ERR_GEOMETRY with both grids: a truth is never resampled. */
fab_status fab_truth_load(const fab_dataset *d, const fab_val_case *c, const fab_grid *image,
                          fab_truth *out, fab_error *err);
void fab_truth_free(fab_truth *t);
fab_status fab_labels_onto(fab_volume **labels, const fab_grid *grid, const char *what,
                           fab_error *err);

/* ---- which is which (validate_pairs.c) ---------------------------------------------------- */

typedef struct fab_pair {
    char name[FAB_MAX_NAME_BYTES];
    int truth[FAB_MAX_STRUCTURES], predicted[FAB_MAX_STRUCTURES];
    size_t truth_count, predicted_count;
    char reason[200];        /* why it cannot be evaluated, "" if it can */
    char remark[200];        /* what the reader should know though it can */
} fab_pair;
typedef struct fab_pair_list {
    fab_pair *items;
    size_t count, capacity;
} fab_pair_list;
/* card: the model's, NULL for predictions made elsewhere. FAB_ERR_ARG: the data set's mapping
 * names a structure that neither side has. */
fab_status fab_pairs_make(const fab_dataset *d, const fab_val_case *c, const fab_json *card,
                          const fab_label_set *truth, const fab_label_set *predicted,
                          fab_pair_list *out, fab_error *err);
void fab_pairs_free(fab_pair_list *l);

/* ---- names of vertebrae (validate_levels.c) ----------------------------------------------- */

enum { FAB_LEVELS = 26 }; /* C1..C7, T1..T12, L1..L6, T13 */

typedef struct fab_level {
    int64_t truth_voxels, predicted_voxels, overlap_voxels; /* of this name on both sides */
    int named;               /* which level most of it is called; -1: none */
    double distance_mm;      /* between the centroids of this name; NaN if a side has none */
    bool identified;
} fab_level;

/* shift: how many levels further down the spine the names are that fit best; 0 on a tie.
 * identified: as VerSe's identification rate (Sekuboyina et al. 2021, doi:10.1016/j.media.
 * 2021.102166): the truth's centroid nearest to the predicted one is that of the same name, and
 * nearer than 20 mm. Centroids are those of whole vertebrae, not of their bodies. */
typedef struct fab_levels {
    bool tested;             /* both sides name vertebrae, and the truth has one */
    fab_level level[FAB_LEVELS];
    int truth_count, right, right_shifted, identified, missed, shift;
    double localisation_mm;  /* mean distance of those that both sides have; NaN if none */
} fab_levels;
const char *fab_level_name(int level);     /* "vertebrae_C1" */
int fab_level_find(const char *structure); /* -1 */
/* truth and predicted: U8 or U16 on one grid. */
fab_status fab_levels_measure(const fab_volume *truth, const fab_label_set *truth_set,
                              const fab_volume *predicted, const fab_label_set *predicted_set,
                              fab_levels *out, fab_error *err);

/* ---- predictions (validate_predict.c) ----------------------------------------------------- */

typedef struct fab_prediction {
    fab_volume *labels;
    fab_label_set set;
    double *confidence;      /* per set row; NULL: none told */
    char notes[1024], kernels[32], precision[16];
    char file_sha256[65];    /* of a label map made elsewhere, else "" */
    double wall_s, cpu_s;
    int64_t peak_bytes;
    bool cached;
} fab_prediction;
void fab_prediction_free(fab_prediction *p);

/* ---- what was measured (validate.c) ------------------------------------------------------- */

typedef enum fab_row_state {
    FAB_ROW_EVALUATED,      /* in the truth; if the prediction has none, Dice is 0 */
    FAB_ROW_FALSE_POSITIVE, /* predicted, and the truth says there is none */
    FAB_ROW_ABSENT,         /* on neither side */
    FAB_ROW_NOT_EVALUATED   /* the truth does not say */
} fab_row_state;

typedef struct fab_val_row {
    size_t case_index, structure; /* structure: of fab_validation.structures */
    fab_row_state state;
    fab_agreement a;
    double nsd_voxel, confidence; /* confidence NaN: none told */
    bool cut;                     /* the truth touches the scan's edge */
    char text[200];               /* the reason or remark of its pair */
} fab_val_row;

typedef struct fab_case_result {
    fab_status status;            /* 1: has no truth, was not run */
    char error[FAB_MAX_ERROR_BYTES];
    fab_levels levels;
    fab_json *facts;              /* data card of this case */
    double wall_s, cpu_s;
    int64_t peak_bytes;
    bool cached;
    char notes[1024], kernels[32], precision[16];
    fab_text_list unused;         /* in the truth, not in the model */
} fab_case_result;

typedef struct fab_case_picture {
    size_t row;
    fab_image image;
    double at_mm[3];
} fab_case_picture;

typedef struct fab_validation {
    fab_job job;
    const fab_validate_job *o;
    fab_dataset data;
    fab_network *network;         /* NULL before the first case, and with given predictions */
    fab_json *card;               /* of the model that made given predictions, if named */
    char program_sha256[65], options_text[256];
    char cache[FAB_MAX_PATH_BYTES];
    fab_case_result *results;     /* one a case */
    fab_text_list structures;
    fab_val_row *rows;
    size_t row_count, row_capacity;
    fab_case_picture *pictures;
    size_t picture_count;
    fab_case_writer *writer;
    fab_json *dossier;
} fab_validation;

/* One case in memory. */
typedef struct fab_val_open {
    fab_study *study;
    fab_truth truth;
    fab_prediction predicted;
} fab_val_open;
fab_status fab_val_open_case(fab_validation *v, size_t index, fab_val_open *out, fab_error *err);
void fab_val_close_case(fab_val_open *c);

/* The model's card; NULL if there is none. */
const fab_json *fab_val_card(const fab_validation *v);

/* validate_predict.c: from the cache, from the folder of predictions given, or by the network. */
fab_status fab_val_predict(fab_validation *v, const fab_val_case *c, const fab_study *study,
                           fab_prediction *out, fab_error *err);
/* Whether the failure concerns one case only. */
bool fab_val_is_local(fab_status status);

/* validate_pictures.c: the worst case of each structure, and the worst six of all. */
fab_status fab_val_pictures(fab_validation *v, fab_error *err);
/* Worse: lower Dice, then larger HD95 (none is worst), then the earlier row. */
bool fab_val_worse(const fab_validation *v, size_t row, size_t than);

/* validate_json.c */
fab_status fab_val_dossier(fab_validation *v, fab_error *err);
fab_status fab_val_confidence_lines(const fab_validation *v, fab_buf *out, fab_error *err);

/* validate_html.c */
fab_status fab_val_page(const fab_validation *v, const char *path, fab_error *err);
/* validate_plot.c */
void fab_val_reliability(fab_html *h, const fab_json *dossier);
void fab_val_strips(fab_html *h, const fab_json *dossier);

#endif
