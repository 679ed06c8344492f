/* fabrica/detail.h - layer 2: a second, finer look at the spine.
 *
 * A network of 1.5 mm that knows the parts of a vertebra but not its name looks at the region in
 * which another network found the spine. Names come from the first, borders from the second, and
 * the parts of each vertebra are a label map of their own. See docs/adr/0101.
 */
#ifndef FABRICA_DETAIL_H
#define FABRICA_DETAIL_H

#include "fabrica/segment.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a package's card says that it is such a network ("detail", docs/formats/model.md), and
 * for which package's results. */
bool fab_detail_is_for(const fab_json *card, const char *package);

/* FAB_ERR_FORMAT: the card's "detail" does not hold. */
fab_status fab_detail_check(const fab_model *m, fab_error *err);

typedef struct fab_detail {
    fab_volume *parts;   /* U16 on the detail network's own grid around the spine; NULL: no spine
                            was found to look at, or the two networks disagree */
    fab_label_set set;   /* "vertebral_body_L3", "pedicle_left_L3", ... of the levels there are. CT
                            does not show "modelled_thecal_sac", "modelled_ligamentum_flavum_L3_L4"
                            and "modelled_nerve_root_left_L3": they follow by rule from the canal
                            and the bones around it */
    int patches;         /* network evaluations */
    double agreement;    /* Dice of both networks' vertebrae, 0..1 */
    int levels_kept;     /* levels for which the first network's outline was kept */
    char note[200];      /* for a person; empty: nothing to say */
} fab_detail;
void fab_detail_free(fab_detail *d);

/* image: as given to fab_segment, whose result is *r. Vertebrae, discs, canal and sacrum of
 * r->labels, r->fine_labels and r->fine_margin get the finer borders; other structures change only
 * where these now lie. Vertebrae named in *r and the image must be the patient's. A region without
 * a spine is no error. FAB_ERR_FORMAT: the card's "detail" does not hold. On failure *r is as it
 * was or has finer borders in a part of its volumes only. */
fab_status fab_detail_refine(const fab_model *m, const fab_volume *image,
                             const fab_progress *progress, fab_segment_result *r,
                             fab_detail *out, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
