/* fabrica/twin.h - layer 3: the case on disk: passive, versioned, written atomically. */
#ifndef FABRICA_TWIN_H
#define FABRICA_TWIN_H

#include "fabrica/anatomy.h"
#include "fabrica/json.h"
#include "fabrica/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A case being written into "<path>.tmp-XXXXXX"; commit renames it to path. An existing case at
 * path is an error unless `replace` (then swapped and removed after). Abort removes all. */
typedef struct fab_case_writer fab_case_writer;
fab_status fab_case_begin(const char *path, bool replace, fab_case_writer **out, fab_error *err);
const char *fab_case_folder(const fab_case_writer *w); /* the temporary folder to write into */
fab_status fab_case_commit(fab_case_writer **w, fab_error *err);
fab_case_writer *fab_case_abort(fab_case_writer *w);
FAB_DEFINE_AUTO(fab_case_writer, fab_case_abort)

/* A case read back: manifest checked against its format version. */
typedef struct fab_case {
    char path[FAB_MAX_PATH_BYTES];
    fab_json *manifest;
    fab_label_set set;
} fab_case;
fab_status fab_case_open(const char *path, fab_case *out, fab_error *err);
void fab_case_close(fab_case *c);

#ifdef __cplusplus
}
#endif
#endif
