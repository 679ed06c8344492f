/* train_job.c - training a network, or looking at a patch it would be trained on. */
#include <stdio.h>

#include "fabrica/nifti.h"
#include "fabrica/train.h"
#include "pipeline_internal.h"

enum { TRAIN, STEP_COUNT };

static const fab_step_def steps[] = {[TRAIN] = {"train", "Training", 100}};

static void tell(void *ctx, const char *line)
{
    fab_job_note(ctx, "%s", line);
}

static fab_status write_patch(const fab_train_job *o, const fab_train_options *t, fab_json *summary,
                              fab_error *err)
{
    char path[FAB_MAX_PATH_BYTES], name[64];
    FAB_AUTO(fab_volume_unref) fab_volume *image = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    FAB_TRY(fab_train_patch(t, o->patch, &image, &labels, err));
    FAB_TRY(fab_path_make_folder(o->run, err));
    const fab_volume *const volumes[2] = {image, labels};
    static const char *const kinds[2] = {"image", "labels"};
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "patch-%lld_%s.nii.gz", (long long)o->patch, kinds[i]);
        FAB_TRY(fab_path_join(path, sizeof path, o->run, name, err));
        FAB_TRY(fab_nifti_write(volumes[i], path, FAB_GENERATOR " training patch", err));
        FAB_TRY(fab_put_text(summary, kinds[i], path, err));
    }
    return FAB_OK;
}

fab_status fab_job_train(const fab_train_job *o, fab_json **summary, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *s = NULL;
    fab_job job;
    fab_job_start(&job, o->watch, steps, STEP_COUNT);
    const fab_train_options t = {o->recipe, o->data, o->run, o->start_from, o->iterations,
                                 o->minutes, &job.progress, tell, (void *)(uintptr_t)o->watch};
    FAB_TRY(fab_job_enter(&job, TRAIN, err));
    if (o->patch >= 0) {
        s = fab_json_object();
        FAB_TRY(write_patch(o, &t, s, err));
    } else {
        FAB_TRY(fab_train_run(&t, &s, err));
    }
    fab_job_finish(&job);
    *summary = s;
    s = NULL;
    return FAB_OK;
}
