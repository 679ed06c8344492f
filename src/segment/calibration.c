/* calibration.c - from the network's mean probability over a structure to the Dice to expect: one
 * rising table a structure, measured on cases the network was not trained on. */
#include <math.h>
#include <string.h>

#include "fabrica/segment.h"

typedef struct table {
    char name[FAB_MAX_NAME_BYTES];
    int count;
    double confidence[FAB_MAX_CALIBRATION_KNOTS], dice[FAB_MAX_CALIBRATION_KNOTS];
} table;

struct fab_calibration {
    size_t count;
    table *tables;
};

fab_calibration *fab_calibration_free(fab_calibration *c)
{
    if (c) fab_free(c->tables);
    return fab_free(c);
}

static fab_status read_knots(const fab_json *o, const char *key, double *out, int *count,
                             fab_error *err)
{
    const fab_json *list = NULL;
    FAB_TRY(fab_json_get_array(o, key, &list, err));
    const size_t n = fab_json_count(list);
    if (n < 1 || n > FAB_MAX_CALIBRATION_KNOTS)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"%s\" has %zu knots, 1 to %d are supported", key, n,
                 FAB_MAX_CALIBRATION_KNOTS);
    for (size_t i = 0; i < n; i++) {
        const fab_json *item = fab_json_at(list, i);
        out[i] = fab_json_number(item);
        if (!fab_json_is_number(item) || !(out[i] >= 0 && out[i] <= 1) ||
            (i > 0 && out[i] < out[i - 1]))
            FAB_FAIL(err, FAB_ERR_FORMAT, "\"%s\"[%zu] is not a number from 0 to 1 that is at "
                     "least the one before", key, i);
    }
    *count = (int)n;
    return FAB_OK;
}

static fab_status read_table(const fab_json *o, table *t, fab_error *err)
{
    const char *name = NULL;
    int dice = 0;
    FAB_TRY(fab_json_get_string(o, "structure", &name, err));
    if (!name[0] || strlen(name) >= sizeof t->name)
        FAB_FAIL(err, FAB_ERR_FORMAT, "\"structure\" is empty or too long");
    memcpy(t->name, name, strlen(name) + 1);
    FAB_TRY(read_knots(o, "confidence", t->confidence, &t->count, err));
    FAB_TRY(read_knots(o, "expected_dice", t->dice, &dice, err));
    if (dice != t->count)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%d %s of confidence and %d of expected_dice", t->count,
                 fab_plural(t->count, "knot", "knots"), dice);
    return FAB_OK;
}

fab_status fab_calibration_read(const fab_json *card, fab_calibration **out, fab_error *err)
{
    const fab_json *o = fab_json_find(card, "calibration"), *list = NULL;
    FAB_AUTO(fab_calibration_free) fab_calibration *c = NULL;
    *out = NULL;
    if (!o) return FAB_OK;
    if (fab_json_get_array(o, "tables", &list, err) < 0)
        return fab_error_prefix(err, "calibration");
    const size_t n = fab_json_count(list);
    if (n > FAB_MAX_STRUCTURES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "calibration.tables has %zu rows, at most %d are read", n,
                 FAB_MAX_STRUCTURES);
    c = fab_calloc(1, sizeof *c);
    if (c) c->tables = fab_calloc(n + 1, sizeof *c->tables);
    if (!c || !c->tables) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a calibration");
    for (; c->count < n; c->count++)
        if (read_table(fab_json_at(list, c->count), &c->tables[c->count], err) < 0)
            return fab_error_prefix(err, "calibration.tables[%zu]", c->count);
    *out = c;
    c = NULL;
    return FAB_OK;
}

static const table *find(const fab_calibration *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->tables[i].name, name) == 0) return &c->tables[i];
    return NULL;
}

double fab_calibration_expected(const fab_calibration *c, const char *structure,
                                double confidence)
{
    const table *t = find(c, structure);
    if (!t) t = find(c, "*");
    if (!t || isnan(confidence)) return NAN;
    int i = 0;
    while (i < t->count && t->confidence[i] < confidence) i++;
    if (i == 0) return t->dice[0];
    if (i == t->count) return t->dice[t->count - 1];
    const double span = t->confidence[i] - t->confidence[i - 1];
    const double share = span > 0 ? (confidence - t->confidence[i - 1]) / span : 1;
    return t->dice[i - 1] + share * (t->dice[i] - t->dice[i - 1]);
}
