/* review.c - the list of findings, and in which order a person should look: by how bad, and by how
 * little a structure can be trusted. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qa_internal.h"

static const double weight[] = {[FAB_INFO] = 0.1, [FAB_WARNING] = 3, [FAB_ERROR] = 10};
static const double doubt_weight = 4;

void fab_qa_free(fab_qa *qa)
{
    fab_free(qa->structures);
    fab_free(qa->order);
    fab_free(qa->findings);
    *qa = (fab_qa){0};
}

static fab_status next_finding(fab_qa *qa, fab_qa_finding **out, fab_error *err)
{
    if (qa->finding_count == qa->finding_capacity) {
        const size_t wanted = qa->finding_capacity ? 2 * qa->finding_capacity : 64;
        fab_qa_finding *more = fab_realloc(qa->findings, wanted * sizeof *more);
        if (!more) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for findings");
        qa->findings = more;
        qa->finding_capacity = wanted;
    }
    *out = &qa->findings[qa->finding_count++];
    memset(*out, 0, sizeof **out);
    return FAB_OK;
}

fab_status fab_qa_add(fab_qa *qa, const char *code, fab_severity severity, int value,
                      fab_error *err, const char *format, ...)
{
    fab_qa_finding *f = NULL;
    va_list args;
    FAB_TRY(next_finding(qa, &f, err));
    f->code = code;
    f->severity = severity;
    f->value = value;
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    return FAB_OK;
}

fab_status fab_check_add(fab_check *c, const char *code, fab_severity severity,
                         const fab_qa_structure *s, const fab_qa_structure *other,
                         const double low_mm[3], const double high_mm[3], fab_error *err,
                         const char *format, ...)
{
    fab_qa_finding *f = NULL;
    va_list args;
    FAB_TRY(next_finding(c->qa, &f, err));
    f->code = code;
    f->severity = severity;
    f->value = s ? s->label->value : 0;
    f->other = other ? other->label->value : 0;
    f->located = low_mm != NULL;
    if (low_mm) {
        memcpy(f->low_mm, low_mm, sizeof f->low_mm);
        memcpy(f->high_mm, high_mm ? high_mm : low_mm, sizeof f->high_mm);
    }
    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    return FAB_OK;
}

bool fab_qa_has(const fab_qa *qa, const char *code, int value)
{
    for (size_t i = 0; i < qa->finding_count; i++)
        if (qa->findings[i].value == value && strcmp(qa->findings[i].code, code) == 0) return true;
    return false;
}

fab_qa_structure *fab_check_find(const fab_check *c, const char *name)
{
    for (size_t i = 0; i < c->qa->structure_count; i++)
        if (strcmp(c->qa->structures[i].label->name, name) == 0) return &c->qa->structures[i];
    return NULL;
}

void fab_check_box(const fab_lattice *l, const int low[3], const int high[3], double low_mm[3],
                   double high_mm[3])
{
    for (int corner = 0; corner < 8; corner++) {
        double p[3];
        for (int a = 0; a < 3; a++) p[a] = corner >> a & 1 ? high[a] : low[a];
        fab_mat34_apply(&l->grid.world_from_voxel, p, p);
        for (int a = 0; a < 3; a++) {
            low_mm[a] = corner ? fmin(low_mm[a], p[a]) : p[a];
            high_mm[a] = corner ? fmax(high_mm[a], p[a]) : p[a];
        }
    }
}

/* ---- order ------------------------------------------------------------------------------- */

static fab_status mark_untrusted(fab_qa *qa, fab_error *err)
{
    if (qa->verdict < FAB_SCAN_UNSURE) return FAB_OK;
    for (size_t i = 0; i < qa->structure_count; i++)
        FAB_TRY(fab_qa_add(qa, "not-trusted", FAB_ERROR, qa->structures[i].label->value, err,
                           "not to be trusted: the scan does not look like a CT of a torso"));
    return FAB_OK;
}

static double score_of(const fab_qa *qa, const fab_qa_structure *s)
{
    const double trust = isnan(s->expected) ? s->confidence : s->expected;
    double score = isnan(trust) ? 0 : doubt_weight * fmax(0, 0.9 - trust);
    for (size_t i = 0; i < qa->finding_count; i++)
        if (qa->findings[i].value == s->label->value) score += weight[qa->findings[i].severity];
    return score;
}

static double finding_score(const fab_qa *qa, const fab_qa_finding *f)
{
    for (size_t i = 0; i < qa->structure_count; i++)
        if (qa->structures[i].label->value == f->value) return qa->structures[i].score;
    return 1e6; /* of the whole scan */
}

/* Insertion: stable, and the lists are short. */
static void sort_findings(fab_qa *qa)
{
    for (size_t i = 1; i < qa->finding_count; i++) {
        const fab_qa_finding f = qa->findings[i];
        const double score = finding_score(qa, &f);
        size_t at = i;
        for (; at > 0; at--) {
            const fab_qa_finding *before = &qa->findings[at - 1];
            if (before->severity > f.severity || (before->severity == f.severity &&
                                                  finding_score(qa, before) >= score))
                break;
            qa->findings[at] = *before;
        }
        qa->findings[at] = f;
    }
}

fab_status fab_qa_rank(fab_qa *qa, fab_error *err)
{
    FAB_TRY(mark_untrusted(qa, err));
    for (size_t i = 0; i < qa->structure_count; i++)
        qa->structures[i].score = score_of(qa, &qa->structures[i]);
    fab_free(qa->order);
    qa->order = fab_alloc_array(qa->structure_count + 1, sizeof *qa->order);
    if (!qa->order) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for an order");
    for (size_t i = 0; i < qa->structure_count; i++) {
        size_t at = i;
        for (; at > 0 && qa->structures[qa->order[at - 1]].score < qa->structures[i].score; at--)
            qa->order[at] = qa->order[at - 1];
        qa->order[at] = i;
    }
    sort_findings(qa);
    return FAB_OK;
}
