/* names.c - from the names FreeSurfer gave its structures, which brainchop's networks carry, to
 * those of our table. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "brainchop_internal.h"

/* Of a name without side, in small letters, joined by '_'. */
static const struct alias {
    const char *from, *to;
} aliases[] = {
    {"thalamus_proper", "thalamus"},
    {"inf_lat_vent", "inferior_lateral_ventricle"},
    {"3rd_ventricle", "third_ventricle"},
    {"4th_ventricle", "fourth_ventricle"},
    {"ventricle", "brain_ventricles"},
    {"accumbens_area", "accumbens"},
    {"ventraldc", "ventral_diencephalon"},
    {"csf", "cerebrospinal_fluid"},
    {"grey_matter", "gray_matter"},
    {"cc_posterior", "corpus_callosum_posterior"},
    {"cc_mid_posterior", "corpus_callosum_mid_posterior"},
    {"cc_central", "corpus_callosum_central"},
    {"cc_mid_anterior", "corpus_callosum_mid_anterior"},
    {"cc_anterior", "corpus_callosum_anterior"},
};

/* "Left-Thalamus-Proper*" -> "left_thalamus_proper" */
static void to_plain(const char *from, char *to, size_t room)
{
    size_t n = 0;
    for (; *from && n + 1 < room; from++) {
        const unsigned char c = (unsigned char)*from;
        if (isalnum(c)) to[n++] = (char)tolower(c);
        else if (n && to[n - 1] != '_') to[n++] = '_';
    }
    while (n && to[n - 1] == '_') n--;
    to[n] = '\0';
}

/* What follows `prefix`, or NULL. */
static const char *after(const char *text, const char *prefix)
{
    const size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static void make_key(const char *plain, char *key, size_t room)
{
    static const struct beginning {
        const char *text, *before, *behind;
    } beginnings[] = {
        {"ctx_lh_", "cortex_", "_left"}, {"ctx_rh_", "cortex_", "_right"}, {"ctx_", "cortex_", ""},
        {"left_", "", "_left"},          {"right_", "", "_right"},         {"", "", ""}};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        const char *base = after(plain, beginnings[i].text);
        if (!base) continue;
        for (size_t a = 0; a < sizeof aliases / sizeof *aliases; a++)
            if (strcmp(base, aliases[a].from) == 0) base = aliases[a].to;
        snprintf(key, room, "%s%s%s", beginnings[i].before, base, beginnings[i].behind);
        return;
    }
}

void fab_brainchop_name(const char *published, char name[FAB_MAX_NAME_BYTES])
{
    char plain[FAB_MAX_NAME_BYTES], key[FAB_MAX_NAME_BYTES + 16];
    to_plain(published, plain, sizeof plain);
    make_key(plain, key, sizeof key);
    const fab_anatomy *known = fab_anatomy_find(key);
    snprintf(name, FAB_MAX_NAME_BYTES, "%s", known ? known->name : published);
}

/* ---- files of names ---------------------------------------------------------------------- */

/* The name of class `index`, NULL if there is none. */
static const char *name_at(const fab_json *json, size_t index)
{
    char key[24];
    const fab_json *list = fab_json_find(json, "labels");
    if (fab_json_is_array(list)) return fab_json_text(fab_json_at(list, index));
    snprintf(key, sizeof key, "%zu", index);
    return fab_json_text(fab_json_find(json, key));
}

size_t fab_brainchop_names_count(const fab_json *json)
{
    size_t count = 0;
    while (name_at(json, count)) count++;
    return count;
}

/* Colours from the lists R, G and B where all three have one for it. */
static void take_color(const fab_json *json, size_t index, fab_label *label)
{
    static const char *const keys[3] = {"R", "G", "B"};
    uint8_t rgb[3];
    for (int c = 0; c < 3; c++) {
        const fab_json *v = fab_json_at(fab_json_find(json, keys[c]), index);
        const double value = fab_json_number(v);
        if (!fab_json_is_number(v) || !(value >= 0 && value <= 255)) return;
        rgb[c] = (uint8_t)value;
    }
    memcpy(label->rgb, rgb, sizeof rgb);
}

/* Two published names may mean one structure of ours: the second keeps its own name. */
fab_status fab_brainchop_names_read(const fab_json *json, fab_label_set *set, fab_error *err)
{
    const size_t count = fab_brainchop_names_count(json);
    for (size_t i = 1; i < count; i++) {
        char name[FAB_MAX_NAME_BYTES];
        const char *published = name_at(json, i);
        if (strlen(published) >= sizeof name)
            FAB_FAIL(err, FAB_ERR_LIMIT, "the name of class %zu is longer than %zu bytes", i,
                     sizeof name - 1);
        fab_brainchop_name(published, name);
        FAB_TRY(fab_label_set_add(set, (int)i,
                                  fab_label_set_by_name(set, name) ? published : name, err));
        for (size_t row = 0; row < set->count; row++)
            if (set->items[row].value == (int)i) take_color(json, i, &set->items[row]);
    }
    return FAB_OK;
}
