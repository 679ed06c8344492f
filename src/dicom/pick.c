/* pick.c - which series of a scan becomes the twin, or why none does. */
#include <stdio.h>
#include <string.h>

#include "dicom_internal.h"

static bool same_patient(const fab_series_info *a, const fab_series_info *b)
{
    return strcmp(a->patient_id, b->patient_id) == 0 &&
           strcmp(a->patient_name, b->patient_name) == 0;
}

/* Says why nothing is usable: the largest refused series, or the first rejected file. */
static fab_status nothing_usable(const fab_dicom_scan *scan, fab_error *err)
{
    const fab_series_info *largest = NULL;
    for (size_t i = 0; i < scan->stack_count; i++)
        if (!largest || scan->stacks[i].info.frames > largest->frames)
            largest = &scan->stacks[i].info;
    if (largest && scan->rejected_count > 0)
        FAB_FAIL(err, FAB_ERR_GEOMETRY,
                 "no usable series among %zu: the largest is refused, %s: %s (%zu other %s "
                 "not usable, the first: %s)",
                 scan->stack_count, fab_geometry_verdict_name(largest->verdict),
                 largest->verdict_text, scan->rejected_count,
                 fab_plural((int64_t)scan->rejected_count, "file was", "files were"),
                 scan->files[scan->rejected[0]].reason);
    if (largest)
        FAB_FAIL(err, FAB_ERR_GEOMETRY,
                 "no usable series among %zu: the largest is refused, %s: %s", scan->stack_count,
                 fab_geometry_verdict_name(largest->verdict), largest->verdict_text);
    if (scan->rejected_count > 0)
        FAB_FAIL(err, FAB_ERR_NOTFOUND, "no CT or MR series among %zu %s; %s",
                 scan->file_count, fab_plural((int64_t)scan->file_count, "file", "files"),
                 scan->files[scan->rejected[0]].reason);
    FAB_FAIL(err, FAB_ERR_NOTFOUND, "no files");
}

fab_status fab_dicom_scan_pick(const fab_dicom_scan *scan, size_t *index, fab_error *err)
{
    const fab_series_info *best = NULL;
    size_t found = 0;
    for (size_t i = 0; i < scan->stack_count; i++) {
        const fab_series_info *s = &scan->stacks[i].info;
        if (!fab_geometry_verdict_usable(s->verdict)) continue;
        if (best && !same_patient(best, s))
            FAB_FAIL(err, FAB_ERR_ARG,
                     "files of more than one patient (\"%s\" and \"%s\"): name one series",
                     best->patient_id, s->patient_id);
        if (best && s->frames <= best->frames) continue;
        best = s;
        found = i;
    }
    if (!best) return nothing_usable(scan, err);
    *index = found;
    return FAB_OK;
}
