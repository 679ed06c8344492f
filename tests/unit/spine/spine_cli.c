/* spine_cli.c - the spine module as a developer's program, for evaluation scripts.
 *
 *   spine_cli MAP.nii.gz OUT.nii.gz body=1 arch=2 disc=3 canal=4 cord=5 sacrum=6 ribs=7 ...
 *       names the vertebrae of a class map; prints a line each; OUT holds level + 1 (T1: 8) for
 *       vertebrae and 64 + level of the upper one for discs ("-": no file)
 *   spine_cli --truth NAMED.nii.gz MM [LABELS.json]
 *       makes classes from named vertebrae at MM, decodes them, prints Dice by level; without a
 *       label set the values are TotalSegmentator's
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabrica/json.h"
#include "fabrica/nifti.h"
#include "fabrica/spine.h"
#include "spine_truth.h"

static int fail(const fab_error *err)
{
    fprintf(stderr, "%s\n", err->message);
    return 1;
}

static void print_spine(const fab_spine *s)
{
    for (int k = 0; k < s->count; k++) {
        const fab_spine_vertebra *v = &s->items[k];
        printf("%-4s %.3f (%s, margin %.1f)%s centre %.0f %.0f %.0f  %s\n",
               fab_spine_level_name(v->level), v->confidence, fab_spine_level_name(v->second),
               v->margin, v->cut ? " cut" : "", v->centre[0], v->centre[1], v->centre[2],
               v->evidence);
    }
    printf("%d vertebrae, %d lumbar (%.2f)%s%s. %s\n", s->count, s->lumbar, s->lumbar_confidence,
           s->transitional ? ", transitional" : "", s->uncertain ? ", uncertain" : "", s->note);
}

static fab_status write_named(const fab_spine *s, const char *path, fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *v = NULL;
    const uint8_t *from = fab_volume_data(s->instances);
    FAB_TRY(fab_volume_create(fab_volume_grid(s->instances), FAB_U8, &v, err));
    uint8_t *to = fab_volume_data_mut(v);
    for (int64_t i = 0; i < fab_grid_voxels(fab_volume_grid(v)); i++) {
        const int disc = from[i] - FAB_SPINE_DISC;
        to[i] = 0;
        if (from[i] > 0 && disc < 0) to[i] = (uint8_t)(s->items[from[i] - 1].level + 1);
        if (disc >= 0)
            to[i] = (uint8_t)(64 + (disc > 0 ? s->items[disc - 1].level : s->items[0].level - 1));
    }
    return fab_nifti_write(v, path, "fabrica spine levels", err);
}

static int *class_slot(fab_spine_classes *c, const char *name, size_t n)
{
    const struct { const char *name; int *at; } slot[] = {
        {"body", &c->body}, {"arch", &c->arch}, {"disc", &c->disc}, {"canal", &c->canal},
        {"cord", &c->cord}, {"sacrum", &c->sacrum}, {"ribs", &c->ribs}, {"lungs", &c->lungs[0]},
        {"lungs2", &c->lungs[1]}, {"kidneys", &c->kidneys[0]}, {"kidneys2", &c->kidneys[1]},
        {"hips", &c->hips[0]}, {"hips2", &c->hips[1]}};
    for (size_t i = 0; i < sizeof slot / sizeof *slot; i++)
        if (strlen(slot[i].name) == n && strncmp(slot[i].name, name, n) == 0) return slot[i].at;
    return NULL;
}

static int decode(int argc, char **argv)
{
    fab_error err = {0};
    fab_spine_classes c = {0};
    fab_spine s = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *map = NULL;
    for (int i = 3; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        int *slot = equals ? class_slot(&c, argv[i], (size_t)(equals - argv[i])) : NULL;
        if (!slot) {
            fprintf(stderr, "%s: not CLASS=VALUE\n", argv[i]);
            return 2;
        }
        *slot = (int)strtol(equals + 1, NULL, 10);
    }
    if (fab_nifti_read(argv[1], &map, NULL, 0, &err) < 0) return fail(&err);
    if (fab_spine_decode(map, &c, NULL, &s, &err) < 0) return fail(&err);
    print_spine(&s);
    const fab_status status = strcmp(argv[2], "-") ? write_named(&s, argv[2], &err) : FAB_OK;
    fab_spine_free(&s);
    return status < 0 ? fail(&err) : 0;
}

static const char *total_name(void *ctx, int value)
{
    (void)ctx;
    return fab_total_name(value);
}

static const char *set_name(void *ctx, int value)
{
    const fab_label *l = fab_label_set_find(ctx, value);
    return l ? l->name : NULL;
}

static int against_truth(int argc, char **argv)
{
    fab_error err = {0};
    fab_spine s = {0};
    fab_label_set set = {0};
    spine_score score;
    FAB_AUTO(fab_volume_unref) fab_volume *map = NULL, *truth = NULL, *classes = NULL;
    FAB_AUTO(fab_json_free) fab_json *json = NULL;
    if (argc > 4 && (fab_json_load_file(argv[4], &json, &err) < 0 ||
                     fab_label_set_from_json(json, &set, &err) < 0))
        return fail(&err);
    if (fab_nifti_read(argv[2], &map, NULL, 0, &err) < 0 ||
        spine_truth_make(map, argc > 4 ? set_name : total_name, &set, strtod(argv[3], NULL),
                         &truth, &err) < 0 ||
        spine_truth_classes(truth, &classes, &err) < 0 ||
        fab_spine_decode(classes, &truth_classes, NULL, &s, &err) < 0)
        return fail(&err);
    print_spine(&s);
    spine_truth_score(truth, &s, &score);
    for (int k = 0; k < FAB_SPINE_LEVELS; k++)
        if (score.dice[k] >= 0)
            printf("  %-4s Dice %.3f, arch %.3f\n", fab_spine_level_name(k), score.dice[k],
                   score.arch[k]);
    printf("%s: %d of %d named right, Dice mean %.3f, worst %.3f (%s); ", fab_path_name(argv[2]),
           score.found, score.vertebrae, score.mean, score.worst,
           fab_spine_level_name(score.worst_level));
    printf("wrong: %d of %d disc voxels, %d of %d body voxels (%d left out)\n", score.discs_wrong,
           score.disc_voxels, score.body_other, score.body_voxels, score.body_none);
    fab_spine_free(&s);
    fab_label_set_free(&set);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "--truth") == 0) return against_truth(argc, argv);
    if (argc >= 4) return decode(argc, argv);
    fprintf(stderr, "spine_cli MAP OUT body=1 arch=2 ... | --truth NAMED MM [LABELS.json]\n");
    return 2;
}
