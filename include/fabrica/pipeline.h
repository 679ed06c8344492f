/* fabrica/pipeline.h - layer 4: the named jobs, so that command line and server hold no logic.
 *
 * A job takes an options struct, tells its watcher what it is doing, and leaves either a complete
 * result or nothing. Results for people and machines are JSON values; how they are shown is the
 * caller's business. Nothing here prints, exits, or reads argv or the environment.
 */
#ifndef FABRICA_PIPELINE_H
#define FABRICA_PIPELINE_H

#include "fabrica/dicom.h"
#include "fabrica/json.h"
#include "fabrica/phantom.h"
#include "fabrica/segment.h"
#include "fabrica/totalseg.h"
#include "fabrica/twin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- watching a job --------------------------------------------------------------------- */

typedef struct fab_job_step {
    const char *name;  /* machine name: "segment" */
    const char *text;  /* for a person: "Finding structures" */
    int index, count;  /* 0-based step of count */
    double fraction;   /* of this step, 0..1, never falling */
    double overall;    /* of the job, 0..1, by typical duration of the steps */
} fab_job_step;

/* All members may be NULL; the watcher itself may be NULL. Called from the thread that runs the
 * job, except `cancelled`, which any thread may call. */
typedef struct fab_job_watch {
    void *ctx;
    void (*step)(void *ctx, const fab_job_step *step);
    bool (*cancelled)(void *ctx);
    /* Something a person should know that is not an error: a repair, a correction, a fallback. */
    void (*note)(void *ctx, const char *text);
    /* A temporary folder came into being (live) or is gone again; lets a caller that must leave at
     * once remove it. */
    void (*scratch)(void *ctx, const char *folder, bool live);
} fab_job_watch;

/* ---- input ------------------------------------------------------------------------------ */

typedef enum fab_input_kind {
    FAB_INPUT_DICOM_FOLDER, FAB_INPUT_DICOM_FILE, FAB_INPUT_ZIP, FAB_INPUT_NIFTI, FAB_INPUT_NRRD
} fab_input_kind;
const char *fab_input_kind_name(fab_input_kind kind); /* "dicom", "zip", "nifti", "nrrd" */
/* By content, not by name. FAB_ERR_NOTFOUND, FAB_ERR_FORMAT ("is empty", "is none of ..."). */
fab_status fab_input_detect(const char *path, fab_input_kind *out, fab_error *err);

/* One volume with all that is known about where it came from. */
typedef struct fab_study {
    fab_input_kind kind;
    fab_series *series;      /* NULL unless DICOM */
    fab_volume *volume;      /* owned reference; series->volume for DICOM */
    char modality[17];       /* "CT", "MR"; "" if the file does not say */
    char input_sha256[65];
    char notes[1024];        /* repairs and remarks, "" if none */
    char name[256];          /* last component of the input path */
} fab_study;
/* series: NULL picks the best; "3" is the number `info` shows; otherwise a Series Instance UID or
 * an unambiguous beginning of one. More than one patient without a choice is FAB_ERR_UNSUPPORTED
 * with the patients listed. */
fab_status fab_study_load(const char *path, const char *series, const fab_job_watch *watch,
                          fab_study **out, fab_error *err);
fab_study *fab_study_free(fab_study *s);
FAB_DEFINE_AUTO(fab_study, fab_study_free)

/* What is in there, as JSON: {"kind","patients":[{"studies":[{"series":[...]}]}],"rejected":[...],
 * "picked":n|null,"pick_reason"} for DICOM, {"kind","volume":{...}} for NIfTI and NRRD. */
fab_status fab_job_info(const char *path, const fab_job_watch *watch, fab_json **out,
                        fab_error *err);

/* ---- models ----------------------------------------------------------------------------- */

/* Model packages below each folder (NULL-terminated list; missing folders are skipped), by name:
 * [{"name","version","modality","license","folder","weights_sha256","structures":[...],
 *   "card":{...}}...]. */
fab_status fab_models_list(const char *const *folders, fab_json **out, fab_error *err);
/* Folder of the model called name; NULL: the newest of our own for the modality ("" = any).
 * FAB_ERR_NOTFOUND lists what there is. */
fab_status fab_models_find(const char *const *folders, const char *name, const char *modality,
                           char *folder, size_t capacity, fab_error *err);
/* The newest package that looks again at the spine in results of the package called so
 * (fabrica/detail.h); false: there is none. */
bool fab_models_find_detail(const char *const *folders, const char *package, char *folder,
                            size_t capacity);

typedef struct fab_model_add {
    const char *path;   /* an nnU-Net result, a data set's folder, a folder or zip of such; or a
                           folder (or zip) of brainchop's */
    const char *models; /* where the package goes; made if missing */
    const char *name;   /* NULL: the path's own */
    const char *configuration; /* several with commas between them: their ensemble; NULL: what
                                  inference_information.json names, else 3d_fullres, else a
                                  cascade, else the only one */
    const char *task;      /* of TotalSegmentator's several in the folder; NULL: the only one */
    bool totalsegmentator; /* run as TotalSegmentator would, though its name is not known */
    bool replace;
    const fab_job_watch *watch;
} fab_model_add;
/* Makes a model package of networks that nnU-Net, TotalSegmentator or brainchop wrote, after
 * reading all their weights. The path stays as it is. *card: the new package's; NULL on failure. */
fab_status fab_models_add(const fab_model_add *o, fab_json **card, fab_error *err);
/* Reads the weights of a package of either kind and compares their SHA-256 with the card's. */
fab_status fab_models_verify(const char *folder, fab_error *err);

/* ---- jobs ------------------------------------------------------------------------------- */

typedef struct fab_mesh_choice {
    int smoothing_iterations;   /* < 0: the default */
    double target_error_mm;     /* < 0: the default */
} fab_mesh_choice;

typedef struct fab_twin_options {
    const char *input, *series, *output;
    bool replace;
    const char *const *model_folders; /* NULL-terminated */
    const char *model;                /* NULL: picked */
    const char *labels;               /* label map to use instead of a network, or NULL */
    const char *formats;              /* comma list for export/, NULL: all */
    size_t max_memory_bytes;          /* 0: no cap */
    double step;                      /* sliding window, 0: the model's */
    fab_totalseg_quality quality;     /* of TotalSegmentator's networks */
    const char *structures;           /* comma list for TotalSegmentator's networks; NULL: all */
    const char *const *channels;      /* "NAME=PATH", NULL-terminated: a network's other images */
    const char *modality;             /* of a file that does not say; NULL: unknown */
    bool force;                       /* go on with a scan that surely is no CT of the torso */
    bool no_postprocessing;           /* leaves off what a nnU-Net folder asks for */
    bool no_detail;                   /* no second, finer look at the spine */
    bool no_crop;                     /* TotalSegmentator's single tasks see the whole image */
    fab_precision precision;          /* of the network's arithmetic */
    fab_mesh_choice mesh;
    const fab_job_watch *watch;
} fab_twin_options;
/* *manifest (may be NULL) gets the manifest as written. */
fab_status fab_job_twin(const fab_twin_options *o, fab_json **manifest, fab_error *err);

typedef struct fab_segment_job {
    const char *input, *series, *output; /* output: NAME.nii.gz; NAME.json is its label table */
    bool replace;
    const char *const *model_folders;
    const char *model;
    size_t max_memory_bytes;
    double step;
    fab_totalseg_quality quality;
    const char *structures;
    const char *const *channels;
    const char *modality;
    bool force;
    bool no_postprocessing, no_detail, no_crop;
    const char *parts; /* file for the parts of vertebrae (NAME.nii.gz, NAME.json); NULL: none */
    fab_precision precision;
    const fab_job_watch *watch;
} fab_segment_job;
fab_status fab_job_segment(const fab_segment_job *o, fab_json **summary, fab_error *err);

typedef struct fab_mesh_job {
    const char *labels, *table, *output; /* table: label table, NULL: beside labels */
    bool replace;
    fab_mesh_choice mesh;
    const fab_job_watch *watch;
} fab_mesh_job;
/* output/NAME.ply and output/meshes.json. */
fab_status fab_job_mesh(const fab_mesh_job *o, fab_json **summary, fab_error *err);

typedef struct fab_export_job {
    const char *input;   /* a case, or the NIfTI label map of one */
    const char *source;  /* DICOM series the labels belong to: needed for "seg", else NULL */
    const char *series;
    const char *formats; /* comma list: glb, glb-headset, stl, obj, ply, 3mf, nifti, seg */
    const char *output;
    bool replace;
    const fab_job_watch *watch;
} fab_export_job;
fab_status fab_job_export(const fab_export_job *o, fab_json **summary, fab_error *err);
/* Every format name with a line about it: [{"name","description","file"}...]. */
fab_status fab_job_export_formats(fab_json **out, fab_error *err);

typedef struct fab_evaluate_job {
    const char *reference, *predicted;              /* NIfTI or NRRD label maps */
    const char *reference_table, *predicted_table;  /* NULL: beside the map */
    const char *mapping;                            /* JSON file, NULL: by name, else by value */
    double tolerance_mm;
    const fab_job_watch *watch;
} fab_evaluate_job;
/* {"tolerance_mm","resampled","structures":[{"name","dice",...}],"mean":{...},"unmatched":{...}} */
fab_status fab_job_evaluate(const fab_evaluate_job *o, fab_json **out, fab_error *err);

typedef struct fab_measure_job {
    const char *input;  /* a case, or a label map */
    const char *table;  /* of a label map; NULL: beside it */
    const char *image;  /* CT of a label map, for HU; NULL: none. A case has its own. */
    const char *output; /* JSON file, or NULL */
    const fab_job_watch *watch;
} fab_measure_job;
/* {"spine": as docs/formats/measurements.md says}; FAB_ERR_ARG if no label is a named vertebra. */
fab_status fab_job_measure(const fab_measure_job *o, fab_json **out, fab_error *err);
/* The row of measurements of the disc below a level ("L4": that of "L4_L5"), borrowed; NULL: none.
 * spine: the value of "spine". */
const fab_json *fab_spine_disc_below(const fab_json *spine, const char *level);

typedef struct fab_validate_job {
    const char *dataset, *output;     /* a folder of labelled cases; the folder to make */
    const char *cache;                /* folder of predictions, kept; NULL: output.cache */
    const char *predictions;          /* folder of CASE.nii.gz made elsewhere; NULL: by a model */
    bool replace;
    const char *const *model_folders; /* NULL-terminated */
    const char *model;                /* NULL: picked */
    double tolerance_mm;              /* of the surface Dice */
    double step;                      /* these as in fab_segment_job */
    size_t max_memory_bytes;
    fab_totalseg_quality quality;
    const char *structures, *modality;
    bool no_postprocessing, no_detail, no_crop;
    fab_precision precision;
    const char *program;              /* the executable, to hash; NULL: not known */
    const char *commit;               /* it was built from; NULL or "": not known */
    const fab_job_watch *watch;
} fab_validate_job;
/* A model against a labelled data set: output/dossier.html, dossier.json, confidence.jsonl
 * (docs/formats/dossier.md). Cases that fail are listed in the dossier and do not stop the others;
 * FAB_OK then too: *dossier's "totals" has "failed". Fails if no case could be evaluated. */
fab_status fab_job_validate(const fab_validate_job *o, fab_json **dossier, fab_error *err);

typedef struct fab_phantom_job {
    fab_phantom_options phantom;
    const char *output;
    bool replace;
    const fab_job_watch *watch;
} fab_phantom_job;
/* output/dicom/, output/truth/{labels.nii.gz,labels.json,truth.json} */
fab_status fab_job_phantom(const fab_phantom_job *o, fab_json **summary, fab_error *err);

typedef struct fab_train_job {
    const char *recipe, *data, *run, *start_from; /* as fab_train_options */
    int64_t iterations;
    double minutes;
    int64_t patch;       /* >= 0: no training; this patch to run/patch-N_{image,labels}.nii.gz */
    const fab_job_watch *watch;
} fab_train_job;
/* {"iterations","rate","cross_entropy","dice","cpu_s"}, or {"image","labels"}: paths of a patch. A
 * run that is stopped saves itself first. */
fab_status fab_job_train(const fab_train_job *o, fab_json **summary, fab_error *err);

typedef struct fab_bench_job {
    const char *const *model_folders; /* NULL-terminated; needed with `model` */
    const char *model; /* whose network's shape and patch; NULL: TotalSegmentator's widths */
    const char *isa;   /* name of the only kernels to measure; NULL: all of the precision, and the
                          network on the best */
    fab_precision precision;
    int patch;         /* voxels along an edge; 0: 64, or the model's patch */
    int classes;       /* without a model; 0: 25 */
    const fab_job_watch *watch;
} fab_bench_job;
/* Speed of the network engine on this machine, random weights (docs/guide/using.md):
 * {"threads","isas":[{"name","peak_gflops_one_thread","peak_gflops_all_threads","runs_network"}],
 *  "network":{"model","isa","precision","patch","classes","gflop","wall_s","cpu_s",
 *   "gflops_per_cpu_s","peak_gflops_per_cpu_s","percent_of_peak","weights_bytes","session_bytes",
 *   "groups":[{"operations","kind","level",...}],"layers":[{"name","kind","level",...}]}}, each
 * row with "gflop","wall_s","cpu_s","load_cpu_s","percent_of_time","percent_of_peak".
 * FAB_ERR_ARG: an instruction set that does not run here, a patch the network cannot take. */
fab_status fab_job_bench(const fab_bench_job *o, fab_json **out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
