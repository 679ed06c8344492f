/* fabrica/synth.h - layer 2: images of patients nobody has, for training networks.
 *
 * A source is a label map prepared once: names, distance fields, the spine's joints. A patch is a
 * new patient made from it on the fly: the body deformed, the spine bent, fat and muscle laid out,
 * a CT number for every tissue, and a scanner's way of seeing it. Same seed, same bytes, on any
 * number of threads. See docs/adr/0091-synthetic-patients.md.
 */
#ifndef FABRICA_SYNTH_H
#define FABRICA_SYNTH_H

#include "fabrica/anatomy.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The fine vocabulary: what a voxel of a synthetic patient can be, 0..254. 0 is "outside" (air,
 * couch, clothes, beyond the field of view); 1..117 TotalSegmentator's names with their numbers;
 * then the phantom's names, "vertebral_arch_C1" ... "vertebral_arch_L6" (everything of a vertebra
 * behind the canal's anterior wall, pedicles too; the body alone keeps "vertebrae_L1"), the
 * cervical discs, and what belongs to no organ: "soft_tissue", "mass", "free_fluid"; and the
 * parts of any level's arch, "arch_pedicle", "arch_lamina", "arch_spinous_process",
 * "arch_transverse_process", "arch_superior_articular_process" and
 * "arch_inferior_articular_process", in maps that were asked for them. NULL where there is none;
 * FAB_SYNTH_UNKNOWN (no label is known there) has no name. Static storage. */
#define FAB_SYNTH_UNKNOWN 255
const char *fab_synth_name(int value);
/* The value of a name of the vocabulary, or -1. */
int fab_synth_value(const char *name);

/* A prepared label map. Immutable; shared by threads. */
typedef struct fab_synth_source fab_synth_source;

/* labels: U8 or U16, any grid and orientation; set names its values (vertebrae_S1 is taken as
 * sacrum; names that the vocabulary lacks become FAB_SYNTH_UNKNOWN). bone_hu: NULL, or CT numbers
 * inside bones (the lowest number elsewhere) on any grid, used as the texture of bone. None is
 * kept. parts: arches are named by part and not by level. Seconds, about 12 bytes a voxel of a
 * 1.5 mm grid while it runs. *out is freed by fab_synth_source_free. FAB_ERR_ARG if there is
 * nothing with a name. */
fab_status fab_synth_source_make(const fab_volume *labels, const fab_label_set *set,
                                 const fab_volume *bone_hu, bool parts, fab_synth_source **out,
                                 fab_error *err);
fab_synth_source *fab_synth_source_free(fab_synth_source *s); /* NULL */
FAB_DEFINE_AUTO(fab_synth_source, fab_synth_source_free)

/* The label map of a scan in the fine vocabulary, on its own grid (1.2 to 2 mm): arches split from
 * bodies (and into parts), discs and canal named where they are not. U8; arguments and errors as
 * above. */
fab_status fab_synth_refine(const fab_volume *labels, const fab_label_set *set, bool parts,
                            fab_volume **out, fab_error *err);

/* What a patch shows. NaN, NULL and -1: drawn from the seed. */
typedef struct fab_synth_options {
    int size[3];         /* z, y, x; voxels, each 8..512 */
    double spacing_mm;   /* 1..6; the same on every axis */
    uint64_t seed;
    const char *focus;   /* fine name, or one ending in '*': the patch lies around such a voxel */
    double cobb_deg;     /* 0..90: the angle of the main coronal curve */
    double deform;       /* 0..1: how much of the smooth deformation, rotation and scaling */
    double noise_hu;     /* sd in the patch; 0: none */
    int contrast;        /* 0 native, 1 arterial, 2 portal venous, 3 late; 4 free (not a CT's) */
    int artefacts;       /* 0: no couch, clothes, metal, masses, fluid or streaks; 1: metal too */
    int cut;             /* 0: no cut of the field of view but the map's own ends */
} fab_synth_options;
/* Everything drawn; 48 x 64 x 96 voxels of 3 mm. */
void fab_synth_options_default(fab_synth_options *o);

/* hu: size[0] * size[1] * size[2] CT numbers; fine: values of the vocabulary, the same order (x
 * fastest, x to the patient's left, y to the back, z to the head). One thread, no global state.
 * FAB_ERR_ARG names an option out of range; FAB_ERR_NOTFOUND: focus names nothing in this map. On
 * failure hu and fine are undefined. */
fab_status fab_synth_patch(const fab_synth_source *s, const fab_synth_options *o, float *hu,
                           uint8_t *fine, fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
