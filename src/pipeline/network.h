/* network.h - a model of any kind: our own package, nnU-Net result folders, or brainchop's.
 *
 * All lie in a folder with a model.json. "fabrica-model" is read by `segment`. Those written by
 * fab_models_add point at folders below: "fabrica-nnunet" at result folders, run by `nnunet` or,
 * with TotalSegmentator's resampling around it, by `totalseg`; "fabrica-brainchop" at one of
 * brainchop's.
 */
#ifndef FAB_PIPELINE_NETWORK_H
#define FAB_PIPELINE_NETWORK_H

#include "fabrica/detail.h"
#include "fabrica/nnunet.h"
#include "pipeline_internal.h"

#define FAB_NETWORK_NNUNET "fabrica-nnunet"
#define FAB_NETWORK_BRAINCHOP "fabrica-brainchop"

typedef struct fab_network_choice {
    const char *const *folders;
    const char *name;        /* NULL: the newest for the study's modality */
    fab_precision precision;
    bool detail;             /* with the network that looks at the spine again, if there is one */
    bool crop;               /* with the one that looks for a task's surroundings first */
} fab_network_choice;
/* Fit for this study if it sees one image; fab_channels_read checks those of several. */
fab_status fab_network_choose(const fab_network_choice *choice, const fab_study *study,
                              fab_network **out, fab_error *err);
/* Whether the study is what the network's first image must be. declared: its file is the input, of
 * which a person could say what it is; of others only what DICOM says counts. */
fab_status fab_network_check(const fab_network *n, const fab_study *study, bool declared,
                             fab_error *err);
fab_network *fab_network_free(fab_network *n);
FAB_DEFINE_AUTO(fab_network, fab_network_free)
const char *fab_network_name(const fab_network *n);
const char *fab_network_version(const fab_network *n);
const char *fab_network_weights_sha256(const fab_network *n);
const fab_json *fab_network_card(const fab_network *n);
/* The card of the network that looks at the spine again; NULL: none, or it was not wanted. */
const fab_json *fab_network_detail_card(const fab_network *n);
/* Puts "finder", if another network looks first: name, version, weights_sha256, what it looks for
 * and how much wider the box is. */
fab_status fab_network_put_finder(const fab_network *n, fab_json *o, fab_error *err);
/* The card of the finder, or (before > 0) of what runs before it; NULL: there is none. */
const fab_json *fab_network_finder_card(const fab_network *n, int before);
/* How many images of one patient it sees at once, and what they are called. */
int fab_network_channels(const fab_network *n);
const char *fab_network_channel_name(const fab_network *n, int channel);

/* channels.c: the images of a network of several channels. */
struct fab_channels {
    int count;
    const fab_volume *image[FAB_NNUNET_MAX_CHANNELS]; /* borrowed, in the network's order */
    fab_study *study[FAB_NNUNET_MAX_CHANNELS];        /* owned; NULL for the input itself */
    const fab_network *network;
};
/* given: NULL or a NULL-terminated list of "NAME=PATH" or "NAME=PATH#SERIES"; the input is the one
 * channel that is not named. Without a list, an input called CASE_0000.nii.gz has its others
 * beside it as CASE_0001.nii.gz and so on, as nnU-Net keeps them. All must lie on the input's grid
 * within a tenth of a voxel: FAB_ERR_GEOMETRY names the one that does not. */
fab_status fab_channels_read(const fab_network *n, const char *input, const fab_study *study,
                             const char *const *given, fab_job *job, fab_channels *out,
                             fab_error *err);
void fab_channels_free(fab_channels *c);
/* [{"name","sha256"}...]; sha256 of the input itself is `input_sha256`. */
fab_status fab_channels_json(const fab_channels *c, const char *input_sha256, fab_json **out,
                             fab_error *err);

typedef struct fab_network_run {
    double step;
    size_t max_memory_bytes;
    fab_totalseg_quality quality;
    const char *structures; /* comma list; NULL: all */
    bool no_postprocessing; /* of nnU-Net's result folder */
    bool surfaces;          /* the result's fine volumes are wanted */
    fab_precision precision; /* as fab_network_choose was told */
    fab_detail *detail;      /* NULL: no second look at the spine */
    const fab_progress *progress;
    const fab_job_watch *watch; /* is told what a person should know; NULL: nobody */
} fab_network_run;
/* Where part number `part` of an added package lies; FAB_ERR_FORMAT if its card names
 * none, or one outside of the package. */
fab_status fab_network_part_folder(const char *folder, const fab_json *card, size_t part,
                                   char *out, size_t room, fab_error *err);
/* Whether a card is of an added package that runs as TotalSegmentator does. */
bool fab_network_is_totalseg(const fab_json *card);
/* The parts that the card names; what else lies in the folder is none of the model. */
fab_status fab_network_load_totalseg(const char *folder, const fab_json *card,
                                     fab_totalseg_quality quality, fab_totalseg **out,
                                     fab_error *err);

/* finder.c: the model that looks for a task's surroundings first. */
typedef struct fab_finder fab_finder;
/* The first installed model that has the network and the names which the rule of the package's task
 * asks for: beside the package, else in the folders. *out NULL: its networks see the whole image;
 * missing says why, "" if that is the rule. A model that has to be read and cannot is an error. */
fab_status fab_finder_choose(const char *const *folders, const char *package,
                             const fab_json *card, fab_finder **out, char *missing, size_t room,
                             fab_error *err);
fab_finder *fab_finder_free(fab_finder *f);
FAB_DEFINE_AUTO(fab_finder, fab_finder_free)
const fab_totalseg_look *fab_finder_look(const fab_finder *f);
const fab_json *fab_finder_card(const fab_finder *f);
const fab_finder *fab_finder_before(const fab_finder *f); /* what it needs itself; NULL */
/* For a person: which part of the image was seen, and why. */
void fab_finder_tell(const fab_finder *f, const fab_totalseg_seen *seen, const fab_grid *image,
                     char *into, size_t room);
fab_status fab_finder_put(const fab_finder *f, fab_json *o, fab_error *err); /* NULL: nothing */

/* What is no structure (a card's classes without members) is taken out again. images: as many as
 * the network has channels. */
fab_status fab_network_segment(const fab_network *n, const fab_volume *const *images,
                               const fab_network_run *how, fab_segment_result *out,
                               fab_error *err);
/* soft.c: takes over and frees *soft, which belongs to r->labels and r->set; makes r->confidence
 * and, if soft has them, r->fine_labels and r->fine_margin. */
fab_status fab_soft_apply(fab_nnunet_soft *soft, fab_segment_result *r, fab_error *err);

#endif
