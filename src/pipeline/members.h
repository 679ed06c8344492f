/* members.h - nnU-Net's networks of one data set: one, or the members of an ensemble. */
#ifndef FAB_PIPELINE_MEMBERS_H
#define FAB_PIPELINE_MEMBERS_H

#include "fabrica/nnunet.h"
#include "pipeline_internal.h"

#define FAB_MEMBERS_ENSEMBLES "ensembles" /* nnU-Net's folder of them, and ours in a package */

/* Plans only, no weights, of a result folder or a data set's. configuration: one, or several with
 * commas between them, each by its name or TRAINER__PLANS__CONFIGURATION; NULL: what
 * inference_information.json of the data set's folder names, else as fab_nnunet_load. `told` gets
 * a sentence where that file chose, else "". FAB_ERR_NOTFOUND where there is no result at all. */
fab_status fab_members_find(const char *path, const char *configuration, fab_nnunet **out,
                            char told[600], fab_error *err);
/* Those of an added package: options' precision and no_postprocessing count. */
fab_status fab_members_load(const char *package, const fab_json *card,
                            const fab_nnunet_load_options *options, fab_nnunet **out,
                            fab_error *err);

#endif
