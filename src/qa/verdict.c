/* verdict.c - image and structures together: does the result look like a torso, and is it worth
 * anything? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qa_internal.h"

static const double sure = 0.6;         /* mean confidence, by volume */
static const double anchor_ml = 5;      /* less is a stray piece */

/* What every torso has some of. Prefixes: "lung" finds lobes, sides and both together. */
static const char *const anchors[] = {"vertebra", "rib", "lung", "heart", "liver", "spleen",
                                      "kidney", "aorta", "hip", "sacrum", "bowel", "colon"};
enum { ANCHORS = sizeof anchors / sizeof *anchors };

static bool is_anchor(const char *name, int anchor)
{
    return strncmp(name, anchors[anchor], strlen(anchors[anchor])) == 0;
}

int fab_qa_torso_anchors(const fab_label_set *set)
{
    int n = 0;
    for (int a = 0; a < ANCHORS; a++)
        for (size_t i = 0; i < set->count; i++)
            if (is_anchor(set->items[i].name, a)) {
                n++;
                break;
            }
    return n;
}

static int anchors_found(const fab_check *c)
{
    int n = 0;
    for (int a = 0; a < ANCHORS; a++) {
        bool found = false;
        for (size_t i = 0; i < c->qa->structure_count && !found; i++) {
            const fab_qa_structure *s = &c->qa->structures[i];
            found = is_anchor(s->label->name, a) && s->volume_ml >= anchor_ml;
        }
        n += found;
    }
    return n;
}

static double mean_confidence(const fab_check *c)
{
    double sum = 0, ml = 0;
    for (size_t i = 0; i < c->qa->structure_count; i++) {
        const fab_qa_structure *s = &c->qa->structures[i];
        if (isnan(s->confidence)) continue;
        sum += s->confidence * s->volume_ml;
        ml += s->volume_ml;
    }
    return ml > 0 ? sum / ml : NAN;
}

static fab_status about_scan(fab_check *c, fab_error *err)
{
    const fab_scan *scan = c->in->scan;
    if (!scan || !c->in->judge) return FAB_OK;
    c->qa->verdict = scan->verdict;
    if (scan->verdict >= FAB_SCAN_UNSURE)
        FAB_TRY(fab_check_add(c, "not-a-torso", FAB_ERROR, NULL, NULL, NULL, NULL, err,
                              "looks like %s, not like a CT of a torso: nothing found in it is to "
                              "be trusted", scan->looks_like));
    else if (scan->inside > scan->torso)
        FAB_TRY(fab_check_add(c, "small-field-of-view", FAB_INFO, NULL, NULL, NULL, NULL, err,
                              "the body fills the picture: structures are cut, and what part of "
                              "the body it is cannot be told from the outline"));
    if (scan->body_part_note[0])
        FAB_TRY(fab_check_add(c, "body-part", FAB_INFO, NULL, NULL, NULL, NULL, err, "%s",
                              scan->body_part_note));
    return FAB_OK;
}

static fab_status about_result(fab_check *c, fab_error *err)
{
    const double confidence = mean_confidence(c);
    if (!c->in->judge || !c->in->confidence) return FAB_OK;
    if (!anchors_found(c)) {
        c->qa->verdict = c->qa->verdict > FAB_SCAN_UNSURE ? c->qa->verdict : FAB_SCAN_UNSURE;
        return fab_check_add(c, "nothing-found", FAB_ERROR, NULL, NULL, NULL, NULL, err,
                             "none of the structures that every torso has was found");
    }
    if (!(confidence < sure)) return FAB_OK;
    c->qa->verdict = c->qa->verdict > FAB_SCAN_UNSURE ? c->qa->verdict : FAB_SCAN_UNSURE;
    return fab_check_add(c, "unsure-throughout", FAB_ERROR, NULL, NULL, NULL, NULL, err,
                         "the network is unsure throughout (confidence %.2f over all structures): "
                         "the scan is unlike what it was trained on", confidence);
}

fab_status fab_check_verdict(fab_check *c, fab_error *err)
{
    FAB_TRY(about_scan(c, err));
    return about_result(c, err);
}

static fab_status check_all(fab_check *c, fab_error *err)
{
    FAB_TRY(fab_check_structures(c, err));
    FAB_TRY(fab_check_verdict(c, err));
    FAB_TRY(fab_check_pieces(c, err));
    FAB_TRY(fab_check_outside(c, err));
    FAB_TRY(fab_check_sides(c, err));
    FAB_TRY(fab_check_levels(c, err));
    return fab_check_metal(c, err);
}

fab_status fab_qa_check(const fab_qa_input *in, fab_qa *out, fab_error *err)
{
    fab_qa qa = {.verdict = FAB_SCAN_TORSO};
    fab_check c = {.in = in, .qa = &qa, .hounsfield = in->scan && in->scan->hounsfield};
    if (in->image && !fab_grid_equal(fab_volume_grid(in->image), fab_volume_grid(in->labels), 0.01))
        FAB_FAIL(err, FAB_ERR_GEOMETRY, "the label map is not on the image's grid");
    fab_status status = check_all(&c, err);
    fab_free(c.hu);
    fab_free(c.row);
    fab_free(c.box);
    fab_free(c.spine);
    if (status < 0) {
        fab_qa_free(&qa);
        return status;
    }
    *out = qa;
    return FAB_OK;
}
