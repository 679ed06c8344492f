/* synth_internal.h - what the files of src/synth share. */
#ifndef FAB_SYNTH_INTERNAL_H
#define FAB_SYNTH_INTERNAL_H

#include "fabrica/synth.h"

#endif
