/* run.c - image to the networks' spacing, part after part, labels back.
 *
 *   image (any axes) -> R, A, S axes -> zoom (order 3, whole numbers) -> nnU-Net, each part
 *     -> one label map -> nearest zoom -> the image's own axes
 *
 * One part's weights are in memory at a time. Where only some structures are asked for, or the
 * task is about the surroundings of some, another network looks for them first, and all of this is
 * done in the box around them.
 */
#include <string.h>

#include "look.h"
#include "spacing.h"
#include "totalseg_internal.h"

/* ---- parts -------------------------------------------------------------------------------- */

static bool is_wanted(const fab_totalseg *t, int value, const char *const *structures)
{
    if (!structures) return value > 0;
    const fab_label *l = fab_label_set_find(&t->set, value);
    for (size_t i = 0; l && structures[i]; i++)
        if (strcmp(structures[i], l->name) == 0) return true;
    return false;
}

static fab_status check_structures(const fab_totalseg *t, const char *const *structures,
                                   fab_error *err)
{
    for (size_t i = 0; structures && structures[i]; i++)
        if (!fab_label_set_by_name(&t->set, structures[i]))
            FAB_FAIL(err, FAB_ERR_NOTFOUND, "no structure \"%.80s\" in this task", structures[i]);
    return FAB_OK;
}

/* What the parts have said so far: labels at the spacing the image was brought to, and, if wanted,
 * how sure they are. One part's own lattice is taken as it is; several are joined on the labels'
 * grid, which is then the lattice of all of them. */
typedef struct joined {
    bool single;
    fab_volume *labels;
    uint16_t *label;
    fab_nnunet_soft soft;
    uint16_t *fine;       /* of several parts: in soft */
    uint8_t *sure, *lead;
} joined;

static void joined_free(joined *j)
{
    fab_volume_unref(j->labels);
    fab_nnunet_soft_free(&j->soft);
}

/* Axes of 2 mm and more are halved. */
static fab_grid fine_grid(const fab_grid *g)
{
    double mm[3];
    int parts[3];
    fab_grid_spacing(g, mm);
    for (int a = 0; a < 3; a++) parts[a] = mm[a] >= FAB_NNUNET_HALVE_FROM_MM - 1e-6 ? 2 : 1;
    return fab_nnunet_fine_grid(g, parts);
}

/* With what one part's soft result takes once it is spread. */
static size_t joined_bytes(const fab_grid *g, bool single, const fab_totalseg_options *o)
{
    const fab_grid fine = fine_grid(g);
    const size_t voxels = (size_t)fab_grid_voxels(g), own = voxels * sizeof(uint16_t);
    if (single || !o->soft) return own;
    return own + 2 * voxels + (o->surfaces ? 5 * (size_t)fab_grid_voxels(&fine) : 0);
}

/* A volume of `value` in every byte. */
static fab_status make_filled(const fab_grid *g, fab_dtype type, int value, fab_volume **v,
                              void *data, fab_error *err)
{
    FAB_TRY(fab_volume_create(g, type, v, err));
    void *bytes = fab_volume_data_mut(*v);
    memset(bytes, value, fab_volume_bytes(*v));
    memcpy(data, &bytes, sizeof bytes);
    return FAB_OK;
}

static fab_status joined_create(const fab_grid *grid, bool single, const fab_totalseg_options *o,
                                joined *j, fab_error *err)
{
    j->single = single;
    FAB_TRY(make_filled(grid, FAB_U16, 0, &j->labels, &j->label, err));
    if (single || !o->soft) return FAB_OK;
    FAB_TRY(make_filled(grid, FAB_U8, 255, &j->soft.share, &j->sure, err));
    if (!o->surfaces) return FAB_OK;
    const fab_grid fine = fine_grid(grid);
    FAB_TRY(make_filled(&fine, FAB_U16, 0, &j->soft.fine_labels, &j->fine, err));
    return make_filled(&fine, FAB_U8, 255, &j->soft.fine_margin, &j->lead, err);
}

/* A part's box onto the whole grid. */
static fab_status spread(fab_volume **v, const fab_volume *to, double outside, fab_error *err)
{
    fab_volume *whole = NULL;
    FAB_TRY(fab_volume_resample(*v, fab_volume_grid(to), FAB_NEAREST, outside, &whole, err));
    fab_volume_unref(*v);
    *v = whole;
    return FAB_OK;
}

static int label_at(const fab_volume *v, int64_t i)
{
    return fab_volume_dtype(v) == FAB_U16 ? ((const uint16_t *)fab_volume_data(v))[i]
                                          : ((const uint8_t *)fab_volume_data(v))[i];
}

/* The part's labels, as far as they are wanted, over what is there. */
static fab_status merge(const uint16_t *value_of, const fab_volume *labels, fab_nnunet_soft *soft,
                        joined *into, fab_error *err)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(labels));
    const uint8_t *sure = NULL;
    if (into->sure) {
        FAB_TRY(spread(&soft->share, into->soft.share, 255, err));
        sure = fab_volume_data(soft->share);
    }
    for (int64_t i = 0; i < n; i++) {
        const uint16_t value = value_of[label_at(labels, i)];
        if (!value) continue;
        into->label[i] = value;
        if (sure) into->sure[i] = sure[i];
    }
    return FAB_OK;
}

/* Where no part has found anything the least of their leads tells how near a structure is. */
static fab_status merge_fine(const uint16_t *value_of, fab_nnunet_soft *soft, joined *into,
                             fab_error *err)
{
    const int64_t n = fab_grid_voxels(fab_volume_grid(into->soft.fine_labels));
    FAB_TRY(spread(&soft->fine_labels, into->soft.fine_labels, 0, err));
    FAB_TRY(spread(&soft->fine_margin, into->soft.fine_margin, 255, err));
    const uint8_t *lead = fab_volume_data(soft->fine_margin);
    for (int64_t i = 0; i < n; i++) {
        const uint16_t value = value_of[label_at(soft->fine_labels, i)];
        if (value) into->fine[i] = value;
        if (value || (!into->fine[i] && lead[i] < into->lead[i])) into->lead[i] = lead[i];
    }
    return FAB_OK;
}

/* Values of a part's heads become the task's; *v is replaced. */
static fab_status rename_values(const uint16_t *value_of, fab_volume **v, fab_error *err)
{
    fab_volume *wide = NULL;
    FAB_TRY(fab_volume_convert(*v, FAB_U16, &wide, err));
    uint16_t *at = fab_volume_data_mut(wide);
    const int64_t n = fab_grid_voxels(fab_volume_grid(wide));
    for (int64_t i = 0; i < n; i++) at[i] = value_of[at[i]];
    fab_volume_unref(*v);
    *v = wide;
    return FAB_OK;
}

/* The only part's result as it is, with the task's values. */
static fab_status adopt(const uint16_t *value_of, fab_nnunet_soft *soft, joined *into,
                        fab_error *err)
{
    const bool same = soft->fine_labels == soft->labels;
    if (same) soft->fine_labels = fab_volume_unref(soft->fine_labels);
    FAB_TRY(rename_values(value_of, &soft->labels, err));
    if (same) soft->fine_labels = fab_volume_ref(soft->labels);
    else if (soft->fine_labels) FAB_TRY(rename_values(value_of, &soft->fine_labels, err));
    into->soft = *soft;
    memset(soft, 0, sizeof *soft);
    return FAB_OK;
}

static void wanted_values(const fab_totalseg *t, const fab_totalseg_part *part,
                          const char *const *structures, uint16_t value_of[FAB_UNET_MAX_CLASSES])
{
    memset(value_of, 0, FAB_UNET_MAX_CLASSES * sizeof *value_of);
    for (int h = 1; h < part->heads; h++)
        if (is_wanted(t, part->value_of[h], structures)) value_of[h] = part->value_of[h];
}

static bool part_is_wanted(const fab_totalseg *t, const fab_totalseg_part *part,
                           const char *const *structures)
{
    for (int h = 1; h < part->heads; h++)
        if (is_wanted(t, part->value_of[h], structures)) return true;
    return false;
}

/* What has been done, and bytes that are held meanwhile. */
typedef struct run_state {
    int parts, patches;
    size_t held;
} run_state;

static fab_status run_part(const fab_totalseg_part *part, const fab_volume *image,
                           const uint16_t *value_of, const fab_totalseg_options *t,
                           const fab_nnunet_options *o, joined *into, run_state *state,
                           fab_error *err)
{
    const fab_nnunet_load_options as_is = {.no_postprocessing = true, .precision = t->precision};
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *labels = NULL;
    fab_nnunet_report report = {0};
    fab_nnunet_soft soft = {0};
    fab_nnunet_options no = *o;
    if (t->soft) no.soft = &soft;
    FAB_TRY(fab_progress_step(o->progress, "load", 0, err));
    FAB_TRY(fab_nnunet_load(part->folder, &as_is, &m, err));
    FAB_TRY(fab_nnunet_predict(m, &image, NULL, &no, &labels, &report, err));
    fab_status status = merge(value_of, labels, &soft, into, err);
    if (status == FAB_OK && into->fine) status = merge_fine(value_of, &soft, into, err);
    if (status == FAB_OK && t->soft && into->single) status = adopt(value_of, &soft, into, err);
    fab_nnunet_soft_free(&soft);
    state->patches += report.patches;
    state->parts++;
    return status;
}

static fab_status run_parts(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *o, joined *into, run_state *state,
                            fab_error *err)
{
    const double step = t->total && t->spacing_mm < 3 ? 0.8 : 0.5; /* as TotalSegmentator's */
    fab_nnunet_options no = {.step = o->step > 0 ? o->step : step, .exact = o->exact,
                             .no_mirroring = true, .max_memory_bytes = o->max_memory_bytes,
                             .held_bytes = state->held, .surfaces = o->surfaces};
    for (int i = 0; i < t->part_count; i++) {
        uint16_t value_of[FAB_UNET_MAX_CLASSES];
        fab_progress_span span;
        fab_progress_span_start(&span, o->progress, (double)i / t->part_count,
                                (i + 1.0) / t->part_count);
        if (!part_is_wanted(t, &t->part[i], o->structures)) continue;
        wanted_values(t, &t->part[i], o->structures, value_of);
        no.progress = &span.progress;
        FAB_TRY(run_part(&t->part[i], image, value_of, o, &no, into, state, err));
    }
    return FAB_OK;
}

/* What TotalSegmentator removes by itself: of the body's trunk all but the largest piece, of its
 * extremities pieces up to 50 ml. Nothing of any structure of "total". */
static fab_status clean(const fab_totalseg *t, fab_volume *labels, fab_error *err)
{
    static const double least_mm3 = 50000;
    const double voxel_mm3 = fab_grid_voxel_volume_mm3(fab_volume_grid(labels));
    const struct {
        const char *name;
        fab_component_rule rule;
    } rows[] = {{"body_trunc", {.face_connected = true, .largest = true}},
                {"body_extremities",
                 {.face_connected = true, .above = (int64_t)(least_mm3 / voxel_mm3)}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool member[FAB_MAX_STRUCTURES + 1] = {false};
        const fab_label *l = fab_label_set_by_name(&t->set, rows[i].name);
        if (!l || l->value > FAB_MAX_STRUCTURES) continue;
        member[l->value] = true;
        FAB_TRY(fab_labels_keep_components(labels, member, FAB_MAX_STRUCTURES + 1, &rows[i].rule,
                                           0, NULL, err));
    }
    return FAB_OK;
}

/* ---- one image ---------------------------------------------------------------------------- */

static fab_status check_memory(const char *doing, size_t needed, size_t cap, fab_error *err)
{
    if (cap == 0 || needed <= cap) return FAB_OK;
    FAB_FAIL(err, FAB_ERR_LIMIT, "%s this image needs %zu MB of memory, the cap is %zu MB", doing,
             (needed + 999999) / 1000000, cap / 1000000);
}

static bool is_wide(const fab_totalseg *t)
{
    return t->set.count && t->set.items[t->set.count - 1].value > 255;
}

/* Labels on the image's own grid from `j`, and what is known beside them. */
static fab_status finish_image(const fab_totalseg *t, const fab_volume *image,
                               const fab_totalseg_view *v, const fab_totalseg_options *o,
                               joined *j, fab_volume **labels, fab_error *err)
{
    FAB_TRY(fab_progress_step(o->progress, "labels back", 0.99, err));
    FAB_TRY(clean(t, j->labels, err));
    FAB_TRY(fab_totalseg_labels_back(j->labels, v, fab_volume_grid(image), is_wide(t), labels,
                                     err));
    if (!o->soft) return FAB_OK;
    if (!j->single) {
        j->soft.labels = j->labels;
        j->labels = NULL;
    }
    *o->soft = j->soft;
    j->soft = (fab_nnunet_soft){0};
    return FAB_OK;
}

static bool is_single(const fab_totalseg *t, const char *const *structures)
{
    int count = 0;
    for (int i = 0; i < t->part_count; i++)
        count += part_is_wanted(t, &t->part[i], structures);
    return count == 1;
}

/* state->held: without the image and what is made here. */
static fab_status run_image(const fab_totalseg *t, const fab_volume *image, bool cut,
                            const fab_totalseg_options *o, fab_volume **labels, run_state *state,
                            fab_error *err)
{
    const fab_totalseg_view v = fab_totalseg_view_of(fab_volume_grid(image));
    const fab_grid at = fab_totalseg_grid_at(&v, t->resample_mm);
    const size_t before = state->held, image_bytes = fab_volume_bytes(image);
    const bool single = is_single(t, o->structures);
    const size_t label_bytes =
        (size_t)fab_grid_voxels(fab_volume_grid(image)) * (is_wide(t) ? 2 : 1);
    fab_totalseg_options inner = *o;
    fab_progress_span span;
    joined j = {0};
    fab_progress_span_start(&span, o->progress, 0.02, 0.99);
    inner.progress = &span.progress;
    FAB_AUTO(fab_volume_unref) fab_volume *small = NULL;
    FAB_TRY(fab_progress_step(o->progress, "resample", 0, err));
    const size_t all = joined_bytes(&at, single, o);
    const size_t there = fab_totalseg_to_grid_bytes(&v, &at), back = all + label_bytes;
    FAB_TRY(check_memory("resampling", before + image_bytes + (there > back ? there : back),
                         o->max_memory_bytes, err));
    FAB_TRY(fab_totalseg_to_grid(image, &v, &at, cut, &small, err));
    state->held = before + image_bytes + all;
    fab_status status = joined_create(&at, single, o, &j, err);
    if (status == FAB_OK) status = run_parts(t, small, &inner, &j, state, err);
    state->held = before;
    small = fab_volume_unref(small);
    if (status == FAB_OK) status = finish_image(t, image, &v, o, &j, labels, err);
    joined_free(&j);
    return status;
}

/* ---- only where some structures are ------------------------------------------------------- */

/* What the first look says of the second. */
typedef struct sight {
    fab_totalseg_seen seen;
    fab_volume *steps; /* to what the labels must be near; NULL: they may be anywhere */
    int most;
} sight;

static fab_status run_any(const fab_totalseg *t, const fab_volume *image,
                          const fab_totalseg_options *o, fab_volume **labels, run_state *n,
                          fab_error *err);

/* The box's own labels, put back into a map of the whole image. */
static fab_status run_box(const fab_totalseg *t, const fab_volume *image, sight *s,
                          const fab_totalseg_options *o, fab_volume **labels, run_state *n,
                          fab_error *err)
{
    FAB_AUTO(fab_volume_unref) fab_volume *part = NULL;
    FAB_AUTO(fab_volume_unref) fab_volume *inside = NULL;
    const fab_grid *grid = fab_volume_grid(image);
    const size_t before = n->held, steps = s->steps ? fab_volume_bytes(s->steps) : 0;
    const int32_t *size = s->seen.size;
    const size_t voxels = (size_t)size[0] * (size_t)size[1] * (size_t)size[2];
    const size_t at_end = (voxels + (size_t)fab_grid_voxels(grid)) * (is_wide(t) ? 2 : 1);
    n->held += fab_volume_bytes(image) + steps;
    FAB_TRY(check_memory("cropping", n->held + voxels * fab_dtype_bytes(fab_volume_dtype(image)) +
                         at_end, o->max_memory_bytes, err));
    FAB_TRY(fab_volume_crop(image, s->seen.low, size, &part, err));
    FAB_TRY(run_image(t, part, true, o, &inside, n, err));
    n->held = before;
    part = fab_volume_unref(part);
    FAB_TRY(fab_totalseg_paste(inside, s->seen.low, grid, labels, err));
    if (s->steps) s->seen.removed = fab_totalseg_keep_near(*labels, s->steps, s->most);
    return FAB_OK;
}

static bool knows_all(const fab_totalseg *t, const char *const *structures)
{
    for (size_t i = 0; structures[i]; i++)
        if (!fab_label_set_by_name(&t->set, structures[i])) return false;
    return true;
}

/* Where the rough network finds nothing the whole image is searched: a structure that is small or
 * odd must not be missed because it was looked for coarsely. */
static fab_status run_rough(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *o, fab_volume **labels, run_state *n,
                            fab_error *err)
{
    static const double margin_mm = 20;
    sight s = {0};
    fab_volume *found = NULL;
    fab_totalseg_options before = *o, after = *o;
    fab_progress_span first, rest;
    fab_progress_span_start(&first, o->progress, 0, 0.2);
    fab_progress_span_start(&rest, o->progress, 0.2, 1);
    before.progress = &first.progress;
    after.progress = &rest.progress;
    before.soft = NULL;
    FAB_TRY(run_image(t->rough, image, false, &before, &found, n, err));
    s.seen.found = fab_totalseg_box(found, NULL, margin_mm, s.seen.low, s.seen.size);
    fab_volume_unref(found);
    if (!s.seen.found) return run_image(t, image, false, &after, labels, n, err);
    return run_box(t, image, &s, &after, labels, n, err);
}

static fab_status members_of(const fab_totalseg *t, const char *const *names,
                             bool member[FAB_MAX_STRUCTURES + 1], fab_error *err)
{
    memset(member, 0, (FAB_MAX_STRUCTURES + 1) * sizeof *member);
    for (size_t i = 0; names[i]; i++) {
        const fab_label *l = fab_label_set_by_name(&t->set, names[i]);
        if (!l || l->value > FAB_MAX_STRUCTURES)
            FAB_FAIL(err, FAB_ERR_NOTFOUND, "the network that is to find %s does not know it",
                     names[i]);
        member[l->value] = true;
    }
    return FAB_OK;
}

static fab_status see(const fab_totalseg_look *look, const fab_volume *found, size_t held,
                      size_t cap, sight *s, fab_error *err)
{
    bool member[FAB_MAX_STRUCTURES + 1];
    const fab_totalseg_crop *rule = look->rule;
    const fab_grid *grid = fab_volume_grid(found);
    FAB_TRY(members_of(look->finder, rule->structures, member, err));
    s->seen.found =
        fab_totalseg_box(found, member, rule->addon_mm, s->seen.low, s->seen.size);
    s->most = rule->keep ? fab_totalseg_reach_voxels(grid, rule->keep_mm) : 0;
    if (!s->seen.found || s->most < 1) return FAB_OK; /* scipy's dilation by 0 fills the image */
    FAB_TRY(check_memory("cropping", held + fab_volume_bytes(found) +
                         (size_t)fab_grid_voxels(grid), cap, err));
    FAB_TRY(members_of(look->finder, rule->keep, member, err));
    return fab_totalseg_steps(found, member, s->most, &s->steps, err);
}

static fab_status no_labels(const fab_totalseg *t, const fab_grid *grid, fab_volume **labels,
                            fab_error *err)
{
    FAB_TRY(fab_volume_create(grid, is_wide(t) ? FAB_U16 : FAB_U8, labels, err));
    memset(fab_volume_data_mut(*labels), 0, fab_volume_bytes(*labels));
    return FAB_OK;
}

static fab_status run_looked(const fab_totalseg *t, const fab_volume *image,
                             const fab_totalseg_options *o, fab_volume **labels, run_state *n,
                             fab_error *err)
{
    const fab_totalseg_look *look = o->look;
    sight s = {0};
    fab_volume *found = NULL;
    fab_totalseg_options before = *o, after = *o;
    fab_progress_span first, rest;
    fab_progress_span_start(&first, o->progress, 0, 0.2);
    fab_progress_span_start(&rest, o->progress, 0.2, 1);
    before.progress = &first.progress;
    after.progress = &rest.progress;
    before.soft = NULL;
    before.structures = NULL;
    before.seen = NULL;
    before.look = look->before;
    FAB_TRY(run_any(look->finder, image, &before, &found, n, err));
    fab_status status = see(look, found, n->held + fab_volume_bytes(image), o->max_memory_bytes,
                            &s, err);
    fab_volume_unref(found);
    if (status == FAB_OK)
        status = s.seen.found ? run_box(t, image, &s, &after, labels, n, err)
                              : no_labels(t, fab_volume_grid(image), labels, err);
    fab_volume_unref(s.steps);
    if (status == FAB_OK && o->seen) *o->seen = s.seen;
    return status;
}

static fab_status run_any(const fab_totalseg *t, const fab_volume *image,
                          const fab_totalseg_options *o, fab_volume **labels, run_state *n,
                          fab_error *err)
{
    if (o->look) return run_looked(t, image, o, labels, n, err);
    if (o->structures && t->rough && knows_all(t->rough, o->structures))
        return run_rough(t, image, o, labels, n, err);
    return run_image(t, image, false, o, labels, n, err);
}

fab_status fab_totalseg_run(const fab_totalseg *t, const fab_volume *image,
                            const fab_totalseg_options *options, fab_volume **labels,
                            int *parts_run, int *patches, fab_error *err)
{
    fab_totalseg_options o = {0};
    run_state n = {0};
    FAB_AUTO(fab_volume_unref) fab_volume *found = NULL;
    if (options) o = *options;
    FAB_TRY(check_structures(t, o.structures, err));
    FAB_TRY(run_any(t, image, &o, &found, &n, err));
    FAB_TRY(fab_progress_step(o.progress, "labels back", 1, err));
    *labels = found;
    found = NULL;
    if (parts_run) *parts_run = n.parts;
    if (patches) *patches = n.patches;
    return FAB_OK;
}
