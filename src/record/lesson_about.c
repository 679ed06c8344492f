/* lesson_about.c - what a lesson says about itself, and what it may not say. */
#include <ctype.h>
#include <stdio.h>

#include "lesson_internal.h"

const lesson_kind_row fab_lesson_kinds[FAB_LESSON_KINDS] = {
    [FAB_LESSON_POSE] = {"pose", "fabrica-pose-1", NULL},
    [FAB_LESSON_HAND] = {"hand", "fabrica-hand-1", NULL},
    [FAB_LESSON_VOICE] = {"voice", "fabrica-opus-1", NULL},
    [FAB_LESSON_OP] = {"op", "json", "{\"type\":\"object\",\"required\":[\"op\",\"args\",\"seq\","
                                     "\"by\",\"t\"]}"},
    [FAB_LESSON_KEYFRAME] = {"keyframe", "json", "{\"type\":\"object\",\"required\":[\"seq\","
                                                 "\"sha256\",\"state\"]}"},
    [FAB_LESSON_META] = {"meta", "json", "{\"type\":\"object\",\"required\":[\"event\"]}"},
};

const char *fab_lesson_kind_name(fab_lesson_kind kind)
{
    return kind < FAB_LESSON_KINDS ? fab_lesson_kinds[kind].topic : "unknown";
}

fab_lesson_kind fab_lesson_kind_of(const fab_mcap_channel *channel)
{
    for (int i = 0; i < FAB_LESSON_KINDS; i++) {
        const lesson_kind_row *row = &fab_lesson_kinds[i];
        size_t length = strlen(row->topic);
        if (strncmp(channel->topic, row->topic, length) != 0) continue;
        if (channel->topic[length] && channel->topic[length] != '/') continue;
        if (strcmp(channel->encoding, row->encoding) == 0) return (fab_lesson_kind)i;
    }
    return FAB_LESSON_KINDS;
}

/* ---- nothing that names a patient ----------------------------------------------------------- */

/* Compared in lower case without anything but letters and digits. */
static const char *const forbidden[] = {
    "patient", "patientname", "patientid", "patientsname", "patientbirthdate", "patientsex",
    "patientage", "patientaddress", "birthdate", "dateofbirth", "dob", "mrn", "ssn",
    "medicalrecordnumber", "socialsecuritynumber", "accession", "accessionnumber", "insurance",
    "insurancenumber", "studyinstanceuid", "seriesinstanceuid", "sopinstanceuid", "studyid",
    "studydate", "studytime", "institution", "institutionname", "referringphysician",
    "referringphysicianname", "performingphysician", "hospital", "address", "phone",
    "phonenumber", "email", "firstname", "lastname", "surname", "familyname", "givenname"};

static bool is_forbidden(const char *key)
{
    char plain[32];
    size_t n = 0;
    for (; *key; key++) {
        if (!isalnum((unsigned char)*key)) continue;
        if (n + 1 == sizeof plain) return false; /* longer than any of the list */
        plain[n++] = (char)tolower((unsigned char)*key);
    }
    plain[n] = 0;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (strcmp(plain, forbidden[i]) == 0) return true;
    return false;
}

static fab_status check_private(const fab_json *value, int depth, fab_error *err)
{
    const char *key = NULL;
    const fab_json *child = NULL;
    if (depth > FAB_MAX_JSON_DEPTH)
        FAB_FAIL(err, FAB_ERR_LIMIT, "JSON nested deeper than %d", FAB_MAX_JSON_DEPTH);
    for (void *cursor = NULL; fab_json_is_object(value) &&
                              fab_json_next(value, &cursor, &key, &child);) {
        if (is_forbidden(key))
            FAB_FAIL(err, FAB_ERR_FORMAT, "key \"%.40s\": a lesson holds no patient data", key);
        FAB_TRY(check_private(child, depth + 1, err));
    }
    for (size_t i = 0; fab_json_is_array(value) && i < fab_json_count(value); i++)
        FAB_TRY(check_private(fab_json_at(value, i), depth + 1, err));
    return FAB_OK;
}

fab_status fab_lesson_check_private(const fab_json *value, fab_error *err)
{
    return check_private(value, 0, err);
}

/* ---- the metadata record -------------------------------------------------------------------- */

static bool matches(const char *text, const char *pattern)
{
    /* 0: a digit; anything else: itself */
    for (; *text && *pattern; text++, pattern++)
        if (*pattern == '0' ? !isdigit((unsigned char)*text) : *text != *pattern) return false;
    return !*text && !*pattern;
}

static bool is_sha256(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

fab_status fab_lesson_check_language(const char *tag, fab_error *err)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t length = strlen(tag);
    if (length < 2 || length > 35 || tag[strspn(tag, letters)])
        FAB_FAIL(err, FAB_ERR_ARG, "language: \"%.40s\" is no tag like en or zh-CN", tag);
    return FAB_OK;
}

fab_status fab_lesson_check_about(const fab_lesson_about *a, fab_error *err)
{
    const char *const texts[] = {a->title, a->language, a->created, a->manifest_sha256,
                                 a->labels_sha256, a->software};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!texts[i]) FAB_FAIL(err, FAB_ERR_ARG, "about: field %zu is missing", i);
    size_t title = strlen(a->title);
    if (title < 1 || title > 500)
        FAB_FAIL(err, FAB_ERR_ARG, "title: %zu bytes, not 1 to 500", title);
    FAB_TRY(fab_lesson_check_language(a->language, err));
    if (!matches(a->created, "0000-00-00"))
        FAB_FAIL(err, FAB_ERR_ARG, "created: \"%.40s\" is not a day YYYY-MM-DD", a->created);
    if ((*a->manifest_sha256 && !is_sha256(a->manifest_sha256)) ||
        (*a->labels_sha256 && !is_sha256(a->labels_sha256)))
        FAB_FAIL(err, FAB_ERR_ARG, "manifest_sha256, labels_sha256: 64 hexadecimal digits");
    if (a->structure_count > FAB_MAX_STRUCTURES * 8)
        FAB_FAIL(err, FAB_ERR_LIMIT, "structures: %zu, at most %d", a->structure_count,
                 FAB_MAX_STRUCTURES * 8);
    return FAB_OK;
}

fab_status fab_lesson_about_map(const fab_lesson_about *a, fab_json **out, fab_error *err)
{
    FAB_AUTO(fab_json_free) fab_json *map = fab_json_object();
    FAB_AUTO_BUF fab_buf ids = {0};
    const char *const rows[][2] = {
        {"title", a->title}, {"language", a->language}, {"created", a->created},
        {"manifest_sha256", a->manifest_sha256}, {"labels_sha256", a->labels_sha256},
        {"software", a->software}};
    if (!map) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a lesson's metadata");
    for (size_t i = 0; i < a->structure_count; i++)
        FAB_TRY(fab_buf_appendf(&ids, err, i ? ",%d" : "%d", a->structures[i]));
    FAB_TRY(fab_buf_append(&ids, "", 1, err));
    FAB_TRY(fab_json_set(map, "format_version", fab_json_string("1"), err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        FAB_TRY(fab_json_set(map, rows[i][0], fab_json_string(rows[i][1]), err));
    FAB_TRY(fab_json_set(map, "structures", fab_json_string((const char *)ids.data), err));
    *out = map;
    map = NULL;
    return FAB_OK;
}

fab_status fab_lesson_parse_structures(const char *text, uint16_t **out, size_t *count,
                                       fab_error *err)
{
    size_t most = 1, n = 0;
    for (const char *at = text; *at; at++) most += *at == ',';
    FAB_AUTO_FREE uint16_t *ids = fab_alloc_array(most, sizeof *ids);
    if (!ids) FAB_FAIL(err, FAB_ERR_NOMEM, "no memory for a lesson's structures");
    while (*text) {
        uint32_t value = 0;
        const char *start = text;
        for (; isdigit((unsigned char)*text) && value < 65536; text++)
            value = 10 * value + (uint32_t)(*text - '0');
        if (text == start || value > 65535 || (*text && *text != ','))
            FAB_FAIL(err, FAB_ERR_FORMAT, "metadata structures: \"%.20s\" is no label value",
                     start);
        text += *text == ',';
        ids[n++] = (uint16_t)value;
    }
    *count = n;
    *out = ids;
    ids = NULL;
    return FAB_OK;
}
