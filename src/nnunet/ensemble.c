/* ensemble.c - several networks of one data set as one: joined, run one after another, averaged.
 *
 *   member 1 -> logits, kept in fp16 at its network's resolution --+
 *   member 2 -> ...                                                +-> mean.c -> labels, soft
 *
 * The most memory is needed while the last member runs, or at the end. What that is hangs on the
 * image's crop and spacing alone, so it is known before any network starts.
 */
#include <stdio.h>
#include <string.h>

#include "model_internal.h"
#include "nnunet_internal.h"

/* ---- joining ------------------------------------------------------------------------------ */

static bool same_label(const fab_nnunet_label *a, const fab_nnunet_label *b)
{
    return strcmp(a->name, b->name) == 0 && a->value == b->value
           && a->region_count == b->region_count
           && memcmp(a->region, b->region, (size_t)a->region_count * sizeof *a->region) == 0;
}

static fab_status check_labels(const fab_nnunet *a, const fab_nnunet *b, fab_error *err)
{
    const fab_nnunet_plan *p = &a->plan, *q = &b->plan;
    if (p->regions != q->regions)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s/dataset.json: labels are %s, in %s they are %s",
                 b->folder, q->regions ? "regions" : "no regions", a->folder,
                 p->regions ? "regions" : "no regions");
    if (p->head_count != q->head_count)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s/dataset.json: labels: %d, in %s %d", b->folder,
                 q->head_count, a->folder, p->head_count);
    for (int h = 0; h < p->head_count; h++)
        if (!same_label(&p->head[h], &q->head[h]))
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s/dataset.json: labels.%s (%d) is %s (%d)%s in %s",
                     b->folder, q->head[h].name, q->head[h].value, p->head[h].name,
                     p->head[h].value, p->regions ? " or of other values" : "", a->folder);
    return FAB_OK;
}

static fab_status check_channels(const fab_nnunet *a, const fab_nnunet *b, fab_error *err)
{
    const fab_nnunet_plan *p = &a->plan, *q = &b->plan;
    if (p->channels != q->channels)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s/dataset.json: channel_names: %d, in %s %d", b->folder,
                 q->channels, a->folder, p->channels);
    for (int i = 0; i < p->channels; i++)
        if (strcmp(p->channel[i].name, q->channel[i].name) != 0)
            FAB_FAIL(err, FAB_ERR_FORMAT, "%s/dataset.json: channel_names.%d is %s, in %s %s",
                     b->folder, i, q->channel[i].name, a->folder, p->channel[i].name);
    return FAB_OK;
}

fab_status fab_nnunet_join(fab_nnunet *const *members, int count, const char *postprocessing,
                           fab_nnunet **out, fab_error *err)
{
    fab_sha256 hash;
    uint8_t digest[32];
    if (count < 2 || count > FAB_NNUNET_MAX_MEMBERS)
        FAB_FAIL(err, FAB_ERR_ARG, "an ensemble of %d; 2 to %d are supported", count,
                 FAB_NNUNET_MAX_MEMBERS);
    for (int i = 1; i < count; i++) {
        FAB_TRY(check_labels(members[0], members[i], err));
        FAB_TRY(check_channels(members[0], members[i], err));
    }
    FAB_AUTO(fab_nnunet_free) fab_nnunet *m = fab_calloc(1, sizeof *m);
    if (!m) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a model");
    if (postprocessing)
        FAB_TRY(fab_nnunet_load_postprocessing(postprocessing, &m->postprocessing, err));
    m->plan = members[0]->plan;
    snprintf(m->folder, sizeof m->folder, "%s", members[0]->folder);
    fab_sha256_init(&hash);
    for (int i = 0; i < count; i++) fab_sha256_update(&hash, members[i]->sha256, 64);
    fab_sha256_final(&hash, digest);
    fab_sha256_hex(digest, m->sha256);
    for (int i = 0; i < count; i++) m->member[m->member_count++] = members[i];
    *out = m;
    m = NULL;
    return FAB_OK;
}

int fab_nnunet_members(const fab_nnunet *m) { return m->member_count; }
const fab_nnunet *fab_nnunet_member(const fab_nnunet *m, int index) { return m->member[index]; }

void fab_nnunet_ensemble_name(const fab_nnunet *const *members, int count, char *out, size_t room)
{
    size_t used = (size_t)snprintf(out, room, "ensemble");
    for (int i = 1; i < count; i++)
        if (members[i]->fold_count != members[0]->fold_count
            || memcmp(members[i]->fold, members[0]->fold,
                      (size_t)members[0]->fold_count * sizeof *members[0]->fold) != 0)
            out[0] = '\0';
    if (!out[0]) return;
    for (int i = 0; i < count && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "___%s",
                                 fab_path_name(members[i]->folder));
    for (int f = 0; f < members[0]->fold_count && used < room; f++) {
        char fold[16];
        fab_nnunet_fold_name(members[0], f, fold);
        used += (size_t)snprintf(out + used, room - used, "%s%s", f ? "_" : "___",
                                 fold + strlen("fold_"));
    }
}

/* ---- running ------------------------------------------------------------------------------ */

typedef struct hearing {
    const fab_nnunet *m;
    const fab_volume *const *images;
    const fab_nnunet_options *o;
    fab_nnunet_voice voice[FAB_NNUNET_MAX_MEMBERS];
    int order[FAB_NNUNET_MAX_MEMBERS]; /* in which they run: first stages of others first */
    int stage[FAB_NNUNET_MAX_MEMBERS]; /* the member that is this one's first stage; -1: none is */
    int finest, patches;
} hearing;

static size_t voxels_of(const fab_nnunet_case *c)
{
    return (size_t)c->size[0] * (size_t)c->size[1] * (size_t)c->size[2];
}

static void find_order(hearing *e)
{
    bool needed[FAB_NNUNET_MAX_MEMBERS] = {false};
    const int count = e->m->member_count;
    int at = 0;
    for (int i = 0; i < count; i++) {
        const fab_nnunet *first = e->m->member[i]->previous;
        e->stage[i] = -1;
        for (int k = 0; first && k < count; k++)
            if (strcmp(e->m->member[k]->folder, first->folder) == 0 &&
                strcmp(e->m->member[k]->sha256, first->sha256) == 0) /* the same folds */
                e->stage[i] = k;
        if (e->stage[i] >= 0) needed[e->stage[i]] = true;
    }
    for (int i = 0; i < count; i++)
        if (needed[i]) e->order[at++] = i;
    for (int i = 0; i < count; i++)
        if (!needed[i]) e->order[at++] = i;
}

/* Crops and sizes of all, and who has the finest lattice. */
static fab_status find_outlines(hearing *e, fab_error *err)
{
    for (int i = 0; i < e->m->member_count; i++) {
        const fab_nnunet *m = e->m->member[i];
        if (!m->net[0]) FAB_FAIL(err, FAB_ERR_ARG, "%s was loaded without weights", m->folder);
        e->voice[i].plan = &m->plan;
        FAB_TRY(fab_nnunet_outline(&m->plan, e->images, &e->voice[i].c, err));
        if (voxels_of(&e->voice[i].c) > voxels_of(&e->voice[e->finest].c)) e->finest = i;
    }
    return FAB_OK;
}

/* While member `i` runs, beside what the others keep. */
static fab_status member_bytes(const hearing *e, int i, size_t *out, fab_error *err)
{
    const fab_nnunet *m = e->m->member[i];
    const size_t labels = m->previous ? fab_nnunet_label_bytes(m, e->images[0]) : 0;
    fab_nnunet_case c;
    *out = fab_nnunet_stage_bytes(m, &e->voice[i].c, e->o, true) + labels;
    if (!m->previous || e->stage[i] >= 0) return FAB_OK;
    FAB_TRY(fab_nnunet_outline(&m->previous->plan, e->images, &c, err));
    const size_t first = fab_nnunet_stage_bytes(m->previous, &c, e->o, false) + labels;
    *out = first > *out ? first : *out;
    return FAB_OK;
}

static fab_status check_memory(const hearing *e, fab_error *err)
{
    const fab_nnunet *m = e->m;
    size_t kept = 0, most = 0, now = 0, always = e->o->held_bytes;
    if (e->o->max_memory_bytes == 0) return FAB_OK;
    for (int i = 0; i < m->plan.channels; i++) always += fab_volume_bytes(e->images[i]);
    for (int i = 0; i < m->member_count; i++) {
        const int at = e->order[i];
        always += fab_nnunet_weight_bytes(m->member[at]);
        FAB_TRY(member_bytes(e, at, &now, err));
        most = kept + now > most ? kept + now : most;
        kept += voxels_of(&e->voice[at].c) * (size_t)m->plan.head_count * sizeof(uint16_t);
    }
    now = fab_nnunet_label_bytes(m, e->images[0])
          + fab_nnunet_mean_bytes(e->voice, m->member_count);
    if (e->o->soft)
        now += fab_nnunet_softener_bytes(e->voice[e->finest].plan, &e->voice[e->finest].c,
                                         e->o->surfaces);
    most = kept + now > most ? kept + now : most;
    return fab_nnunet_check_memory(always + most, e->o->max_memory_bytes, err);
}

/* The labels of a cascade's first stage: of the member that is it, or by running it. */
static fab_status first_stage(hearing *e, int i, const fab_nnunet_options *o, fab_volume **labels,
                              fab_error *err)
{
    const int stage = e->stage[i];
    if (stage < 0)
        return fab_nnunet_run_stage(e->m->member[i]->previous, e->images, NULL, o, labels,
                                    &e->patches, err);
    return fab_nnunet_finish(e->voice[stage].plan, &e->voice[stage].c, e->voice[stage].logits,
                             o->progress, labels, err);
}

static fab_status run_member(hearing *e, int i, const fab_progress *progress, fab_error *err)
{
    const fab_nnunet *m = e->m->member[i];
    FAB_AUTO(fab_volume_unref) fab_volume *first = NULL;
    fab_nnunet_options o = *e->o;
    fab_progress_span half[2];
    const double part = !m->previous ? 0 : e->stage[i] < 0 ? 0.5 : 0.02;
    fab_progress_span_start(&half[0], progress, 0, part);
    fab_progress_span_start(&half[1], progress, part, 1);
    o.soft = NULL;
    o.max_memory_bytes = 0; /* looked at before */
    o.progress = &half[0].progress;
    if (m->previous) FAB_TRY(first_stage(e, i, &o, &first, err));
    o.progress = &half[1].progress;
    return fab_nnunet_speak(m, e->images, first, &o, &e->voice[i], &e->patches, err);
}

/* The finest member's logits become the mean's; the others' go. */
static fab_status soften(hearing *e, const fab_progress *progress, fab_error *err)
{
    const fab_nnunet_voice *v = &e->voice[e->finest];
    FAB_AUTO(fab_nnunet_softener_free) fab_nnunet_softener *soft = NULL;
    FAB_TRY(fab_nnunet_mean_logits(e->voice, e->m->member_count, e->finest, progress, err));
    for (int i = 0; i < e->m->member_count; i++)
        if (i != e->finest) e->voice[i].logits = fab_free(e->voice[i].logits);
    FAB_TRY(fab_nnunet_softener_create(v->plan, &v->c, v->logits, v->c.size[0], e->o->surfaces,
                                       &soft, err));
    fab_nnunet_softener_planes(soft, v->c.size[0]);
    *e->o->soft = fab_nnunet_softener_take(soft);
    return FAB_OK;
}

static fab_status run_all(hearing *e, fab_volume **labels, fab_error *err)
{
    const int count = e->m->member_count;
    const double shares = count + 0.1;
    FAB_AUTO(fab_volume_unref) fab_volume *map = NULL;
    fab_progress_span span;
    find_order(e);
    FAB_TRY(find_outlines(e, err));
    FAB_TRY(check_memory(e, err));
    for (int i = 0; i < count; i++) {
        fab_progress_span_start(&span, e->o->progress, i / shares, (i + 1) / shares);
        FAB_TRY(run_member(e, e->order[i], &span.progress, err));
    }
    fab_progress_span_start(&span, e->o->progress, count / shares, (count + 0.05) / shares);
    FAB_TRY(fab_nnunet_mean_labels(e->voice, count, &span.progress, &map, err));
    fab_progress_span_start(&span, e->o->progress, (count + 0.05) / shares, 1);
    if (e->o->soft) FAB_TRY(soften(e, &span.progress, err));
    *labels = map;
    map = NULL;
    return FAB_OK;
}

fab_status fab_nnunet_run_members(const fab_nnunet *m, const fab_volume *const *images,
                                  const fab_nnunet_options *o, fab_volume **labels, int *patches,
                                  fab_error *err)
{
    FAB_AUTO_FREE hearing *e = fab_calloc(1, sizeof *e);
    if (!e) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an ensemble");
    e->m = m;
    e->images = images;
    e->o = o;
    const fab_status status = run_all(e, labels, err);
    for (int i = 0; i < m->member_count; i++) fab_free(e->voice[i].logits);
    *patches += e->patches;
    return status;
}
