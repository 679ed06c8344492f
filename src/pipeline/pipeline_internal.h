/* pipeline_internal.h - what the jobs share: steps with their times, JSON shorthands, the state of
 * a twin under construction. */
#ifndef FAB_PIPELINE_INTERNAL_H
#define FAB_PIPELINE_INTERNAL_H

#include "fabrica/detail.h"
#include "fabrica/export.h"
#include "fabrica/mesh.h"
#include "fabrica/pipeline.h"
#include "fabrica/qa.h"
#include "fabrica/render.h"

/* ---- a running job (job.c) -------------------------------------------------------------- */

typedef struct fab_step_def {
    const char *name, *text;
    double weight; /* typical share of the job's time */
} fab_step_def;

enum { FAB_JOB_MAX_STEPS = 16, FAB_JOB_MAX_PARTS = 8 };

/* What a module reports under a name of its own, from the first report to the last, summed. */
typedef struct fab_job_part_times {
    const char *name; /* static; NULL: free */
    double wall_s, cpu_s;
} fab_job_part_times;

typedef struct fab_job {
    const fab_job_watch *watch;
    const fab_step_def *steps;
    int count, current; /* current -1 before the first */
    double fraction;    /* highest told of the current step */
    double part_from, part_span;
    double started_wall_s, started_cpu_s, step_wall_s, step_cpu_s;
    double wall_s[FAB_JOB_MAX_STEPS], cpu_s[FAB_JOB_MAX_STEPS];
    fab_job_part_times parts[FAB_JOB_MAX_STEPS][FAB_JOB_MAX_PARTS];
    fab_job_part_times *open; /* the part that runs; NULL: none */
    double part_wall_s, part_cpu_s;
    fab_progress progress; /* hand this to modules */
} fab_job;

/* The job must not move after this: its progress points at it. */
void fab_job_start(fab_job *job, const fab_job_watch *watch, const fab_step_def *steps, int count);
/* Ends the current step and begins step `index`; FAB_ERR_CANCELLED if asked to stop. */
fab_status fab_job_enter(fab_job *job, int index, fab_error *err);
/* What modules report from now on is part `index` of `count` of the step. */
fab_status fab_job_part(fab_job *job, size_t index, size_t count, fab_error *err);
void fab_job_finish(fab_job *job);
void fab_job_note(const fab_job_watch *watch, const char *format, ...) FAB_PRINTF(2, 3);
void fab_job_scratch(const fab_job_watch *watch, const char *folder, bool live);
/* fab_case_begin_folder, _commit and _abort with the watcher told. It is told that the folder is
 * gone only when it is: removing hundreds of files takes a while, and whoever must leave at once
 * has to know of them until then. */
fab_status fab_job_begin_folder(const fab_job_watch *watch, const char *path, const char *marker,
                                bool replace, fab_case_writer **out, fab_error *err);
fab_status fab_job_commit_folder(const fab_job_watch *watch, fab_case_writer **w, fab_error *err);
fab_case_writer *fab_job_abort_folder(const fab_job_watch *watch, fab_case_writer *w);
/* {"wall_s","cpu_s","peak_rss_bytes","threads","steps":[{...,"parts":[...]}]} */
fab_status fab_job_run_json(const fab_job *job, fab_json **out, fab_error *err);

/* ---- JSON shorthands (put.c) ------------------------------------------------------------ */

fab_status fab_put_text(fab_json *o, const char *key, const char *text, fab_error *err);
fab_status fab_put_int(fab_json *o, const char *key, int64_t value, fab_error *err);
fab_status fab_put_bool(fab_json *o, const char *key, bool value, fab_error *err);
/* Never minus zero; NaN stays NaN. */
double fab_rounded(double value, int decimals);
/* Rounded to that many decimals; null for NaN. */
fab_status fab_put_real(fab_json *o, const char *key, double value, int decimals, fab_error *err);
/* "" becomes null */
fab_status fab_put_text_or_null(fab_json *o, const char *key, const char *text, fab_error *err);
/* A new child object or array of o; borrowed. */
fab_status fab_put_object(fab_json *o, const char *key, fab_json **child, fab_error *err);
fab_status fab_put_array(fab_json *o, const char *key, fab_json **child, fab_error *err);
fab_status fab_add_object(fab_json *array, fab_json **child, fab_error *err);
fab_status fab_add_text(fab_json *array, const char *text, fab_error *err);
fab_status fab_put_vector(fab_json *o, const char *key, const double *values, size_t count,
                          int decimals, fab_error *err);
/* Size, spacing, orientation and matrix of a grid. */
fab_status fab_put_grid(fab_json *o, const char *key, const fab_grid *g, fab_error *err);

/* ---- findings (qa.c) -------------------------------------------------------------------- */

/* One structure of a twin, in the order of the label set. */
typedef struct fab_structure {
    const fab_label *label;
    char file_name[FAB_MAX_NAME_BYTES]; /* safe for a file system, unique */
    int64_t voxels;
    double volume_ml, confidence;       /* confidence NaN if there is none */
    double centroid_mm[3];
    fab_label_stats stats;
    const fab_mesh *mesh;               /* NULL if none */
    const fab_mesh_report *report;
} fab_structure;

typedef struct fab_network fab_network; /* network.h */

/* What the image looks like; with force or where the network is not one for CTs of the torso,
 * nothing is refused. Else FAB_ERR_UNSUPPORTED says what it looks like. network NULL: labels were
 * given, and only the look is taken. */
fab_status fab_scan_check(const fab_study *study, const fab_network *network, bool force,
                          const fab_job_watch *watch, fab_scan *out, fab_error *err);

typedef struct fab_review_input {
    const fab_segment_result *found;
    const fab_study *study;
    const fab_scan *scan;
    const fab_network *network; /* NULL: labels were given */
} fab_review_input;

/* All that a person should look at. rows: one per label that occurs, from fab_calloc; what the
 * network itself found out (found->findings, found->confidence) is taken over if there was one. */
fab_status fab_review_make(const fab_review_input *in, fab_job *job, fab_qa *qa,
                           fab_structure **rows, size_t *count, fab_error *err);

/* ---- findings for machines and people (qa_put.c, qa_page.c) -------------------------------- */

/* [{"value","confidence","expected_dice","review_score","findings":[{"code","severity","text",
 * "box_mm"}...]}...] in the order of the rows: what the manifest and the SEG take over. */
fab_status fab_review_rows_json(const fab_qa *qa, fab_json **out, fab_error *err);
/* The manifest's "quality": {"trusted","scan":{...},"calibrated","findings":[...],"review":[...]},
 * the worst first. */
fab_status fab_review_put(fab_json *manifest, const fab_qa *qa, const fab_scan *scan,
                          const fab_label_set *set, fab_error *err);
/* Text for a SEG's Segment Description (ST, at most 1024 bytes) from one of those rows. */
void fab_review_describe(const fab_json *row, char *into, size_t capacity);

/* ---- the twin under construction -------------------------------------------------------- */

enum { FAB_TWIN_LODS = 3 };

typedef struct fab_channels fab_channels;

#define FAB_TWIN_PARTS "spine_parts" /* .nii.gz and .json in a case */

typedef struct fab_twin {
    fab_job job;
    const fab_twin_options *o;
    fab_study *study;
    fab_network *network;         /* NULL with o->labels */
    fab_channels *channels;       /* its images */
    char labels_sha256[65];       /* of o->labels, "" without */
    fab_segment_result found;
    fab_detail detail;            /* of the spine; parts NULL: none */
    fab_scan scan;
    fab_qa qa;
    fab_json *reviewed;           /* fab_review_rows_json */
    fab_structure *structures;
    size_t structure_count;
    fab_mesh_set meshes, lods[FAB_TWIN_LODS];
    fab_mesh_report *reports;     /* one per mesh */
    fab_case_writer *writer;
    fab_json *measurements;       /* {"spine": ...} or {} */
    fab_json *exports;            /* [{"format","path"}...] */
    fab_json *manifest;
} fab_twin;

/* study.c */
fab_status fab_input_open_scan(const char *path, const fab_job_watch *watch,
                               const fab_progress *progress, fab_dicom_scan **out,
                               char *scratch, size_t capacity, fab_error *err);
fab_status fab_study_read(const char *path, const char *series, fab_job *job, fab_study **out,
                          fab_error *err);
/* What a person says the study is ("CT", "MR"; NULL: nothing), where its file does not.
 * FAB_ERR_ARG if DICOM says otherwise. */
fab_status fab_study_declare(fab_study *s, const char *modality, fab_error *err);
/* A label map with its table: `table`, else NAME.json or labels.json beside it, else (and
 * for values the table does not name) one free name a value ("label_5"). Grids and types other
 * than U8/U16 are converted, losing nothing. */
fab_status fab_labels_load(const char *path, const char *table, fab_volume **labels,
                           fab_label_set *set, bool *has_table, fab_error *err);

/* segmentation.c */
fab_status fab_twin_segment(fab_twin *t, fab_error *err);

/* measuring.c: makes t->measurements of t->found; HU only of a CT. */
fab_status fab_twin_measure(fab_twin *t, fab_error *err);

/* meshes.c */
/* Surfaces with all their triangles and without normals. */
fab_status fab_meshes_build(const fab_volume *labels, const fab_volume *margin,
                            const fab_mesh_choice *choice, fab_job *job, fab_mesh_set *out,
                            fab_error *err);
fab_status fab_meshes_measure(const fab_mesh_set *set, const fab_volume *labels, fab_job *job,
                              fab_mesh_report **out, fab_error *err);
/* Simplifies the set, found on this grid, to full detail (choice, or its default) and makes the
 * coarser levels from it (lods NULL: none), all with normals. On failure the caller owns what
 * there is. */
fab_status fab_meshes_detail(fab_mesh_set *set, const fab_grid *grid,
                             const fab_mesh_choice *choice, fab_job *job,
                             fab_mesh_set lods[FAB_TWIN_LODS], fab_error *err);
fab_status fab_mesh_report_json(const fab_mesh *mesh, const fab_mesh_report *r, fab_json *o,
                                fab_error *err);
fab_status fab_mesh_report_from_json(const fab_json *o, fab_mesh_report *r, fab_error *err);

/* outputs.c */
/* "glb,stl" -> bits by row of the format table below; FAB_ERR_ARG names an unknown one. */
fab_status fab_formats_parse(const char *list, uint32_t *mask, fab_error *err);
typedef struct fab_output_set {
    const fab_export_scene *scene;
    const fab_volume *labels;
    const fab_label_set *set;
    const fab_series *series;        /* NULL: no "seg" */
    const char *algorithm_name, *algorithm_version;
    const char *origin_sha256;       /* of the weights, or of the label map given; or "" */
    const fab_json *structures;      /* rows with "value", "confidence", "findings"; or NULL */
    const char *labels_file;         /* where `labels` were written before; NULL: nowhere */
} fab_output_set;
/* Writes the chosen formats into folder; rows {"format","path"} appended to `list`, the path
 * prefixed by `prefix`. */
fab_status fab_outputs_write(const fab_output_set *s, uint32_t mask, const char *folder,
                             const char *prefix, fab_job *job, fab_json *list, fab_error *err);
fab_status fab_twin_write(fab_twin *t, fab_error *err);

/* pictures.c */
typedef struct fab_pictures {
    fab_image front, back, left, oblique, muscles, slice[3];
    fab_image preview;
} fab_pictures;
void fab_pictures_free(fab_pictures *p);
fab_status fab_pictures_make(const fab_twin *t, fab_pictures *out, fab_error *err);

/* manifest.c, report.c */
fab_status fab_twin_manifest(fab_twin *t, fab_error *err);
fab_status fab_twin_add_run(fab_twin *t, fab_error *err);
fab_status fab_report_write(const fab_twin *t, const fab_pictures *p, const char *path,
                            fab_error *err);

/* names.c */
/* Letters, digits, '.', '_' and '-' kept, the rest '_'; never empty, never a leading dot. */
void fab_safe_name(const char *name, char *into, size_t capacity);
#define FAB_GENERATOR "fabrica " FAB_VERSION

#endif
