/* nrrd_fields.c - the fields of a NRRD header, one table row each.
 *
 * Source: "Definition of NRRD File Format", teem.sourceforge.net/nrrd/format.html. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nrrd_internal.h"

typedef fab_status (*field_parser)(fab_nrrd_header *h, const char *value, fab_error *err);

/* ---- numbers in text -------------------------------------------------------------------- */

static const char *skip_blanks(const char *p)
{
    while (isspace((unsigned char)*p)) p++;
    return p;
}

/* A number, then p behind it; false if there is none. */
static bool take_real(const char **p, double *out)
{
    char *end = NULL;
    *out = strtod(*p, &end);
    if (end == *p) return false;
    *p = end;
    return true;
}

static bool take_whole(const char **p, int64_t *out)
{
    char *end = NULL;
    long long v = strtoll(*p, &end, 10);
    if (end == *p || (*end && !isspace((unsigned char)*end))) return false;
    *out = v;
    *p = end;
    return true;
}

static bool take_char(const char **p, char c)
{
    *p = skip_blanks(*p);
    if (**p != c) return false;
    (*p)++;
    return true;
}

/* "(x,y,z)" */
static bool take_vector(const char **p, double v[3])
{
    if (!take_char(p, '(')) return false;
    for (int i = 0; i < 3; i++)
        if (!take_real(p, &v[i]) || !take_char(p, i < 2 ? ',' : ')')) return false;
    return true;
}

static fab_status bad_field(const fab_nrrd_header *h, const char *field, const char *value,
                            fab_error *err)
{
    FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD field \"%s: %.60s\" cannot be read", h->name, field,
             value);
}

/* ---- fields ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    fab_nifti_raw raw;
    int bytes;
} types[] = {
    {"signed char", FAB_RAW_I8, 1},           {"int8", FAB_RAW_I8, 1},
    {"int8_t", FAB_RAW_I8, 1},                {"uchar", FAB_RAW_U8, 1},
    {"unsigned char", FAB_RAW_U8, 1},         {"uint8", FAB_RAW_U8, 1},
    {"uint8_t", FAB_RAW_U8, 1},               {"short", FAB_RAW_I16, 2},
    {"short int", FAB_RAW_I16, 2},            {"signed short", FAB_RAW_I16, 2},
    {"signed short int", FAB_RAW_I16, 2},     {"int16", FAB_RAW_I16, 2},
    {"int16_t", FAB_RAW_I16, 2},              {"ushort", FAB_RAW_U16, 2},
    {"unsigned short", FAB_RAW_U16, 2},       {"unsigned short int", FAB_RAW_U16, 2},
    {"uint16", FAB_RAW_U16, 2},               {"uint16_t", FAB_RAW_U16, 2},
    {"int", FAB_RAW_I32, 4},                  {"signed int", FAB_RAW_I32, 4},
    {"int32", FAB_RAW_I32, 4},                {"int32_t", FAB_RAW_I32, 4},
    {"uint", FAB_RAW_U32, 4},                 {"unsigned int", FAB_RAW_U32, 4},
    {"uint32", FAB_RAW_U32, 4},               {"uint32_t", FAB_RAW_U32, 4},
    {"longlong", FAB_RAW_I64, 8},             {"long long", FAB_RAW_I64, 8},
    {"long long int", FAB_RAW_I64, 8},        {"signed long long", FAB_RAW_I64, 8},
    {"signed long long int", FAB_RAW_I64, 8}, {"int64", FAB_RAW_I64, 8},
    {"int64_t", FAB_RAW_I64, 8},              {"ulonglong", FAB_RAW_U64, 8},
    {"unsigned long long", FAB_RAW_U64, 8},   {"unsigned long long int", FAB_RAW_U64, 8},
    {"uint64", FAB_RAW_U64, 8},               {"uint64_t", FAB_RAW_U64, 8},
    {"float", FAB_RAW_F32, 4},                {"double", FAB_RAW_F64, 8},
};

static fab_status field_type(fab_nrrd_header *h, const char *value, fab_error *err)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcasecmp(value, types[i].name)) continue;
        h->raw = types[i].raw;
        h->raw_bytes = types[i].bytes;
        h->has_type = true;
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD type \"%.40s\" is not read", h->name, value);
}

static fab_status field_dimension(fab_nrrd_header *h, const char *value, fab_error *err)
{
    int64_t n = 0;
    if (!take_whole(&value, &n) || *value) return bad_field(h, "dimension", value, err);
    if (n < 1 || n > FAB_NRRD_MAX_AXES)
        FAB_FAIL(err, FAB_ERR_LIMIT, "%s: NRRD of %lld dimensions, must be 1..%d", h->name,
                 (long long)n, FAB_NRRD_MAX_AXES);
    h->dimension = (int)n;
    return FAB_OK;
}

static fab_status field_sizes(fab_nrrd_header *h, const char *value, fab_error *err)
{
    const char *p = value;
    if (!h->dimension)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD \"sizes\" before \"dimension\"", h->name);
    for (int i = 0; i < h->dimension; i++) {
        if (!take_whole(&p, &h->sizes[i])) return bad_field(h, "sizes", value, err);
        if (h->sizes[i] < 1 || h->sizes[i] > FAB_MAX_DIM)
            FAB_FAIL(err, FAB_ERR_LIMIT, "%s: NRRD size %lld, must be 1..%d", h->name,
                     (long long)h->sizes[i], FAB_MAX_DIM);
    }
    if (*skip_blanks(p)) return bad_field(h, "sizes", value, err);
    h->has_sizes = true;
    return FAB_OK;
}

static fab_status field_encoding(fab_nrrd_header *h, const char *value, fab_error *err)
{
    static const struct {
        const char *name;
        fab_nrrd_encoding encoding;
    } known[] = {{"raw", FAB_NRRD_RAW},    {"gzip", FAB_NRRD_GZIP},  {"gz", FAB_NRRD_GZIP},
                 {"ascii", FAB_NRRD_ASCII}, {"text", FAB_NRRD_ASCII}, {"txt", FAB_NRRD_ASCII}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(value, known[i].name)) continue;
        h->encoding = known[i].encoding;
        h->has_encoding = true;
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD encoding \"%.40s\" is not read (raw, gzip and "
             "ascii are)", h->name, value);
}

static fab_status field_endian(fab_nrrd_header *h, const char *value, fab_error *err)
{
    if (!strcasecmp(value, "little")) h->endian = FAB_NRRD_LITTLE;
    else if (!strcasecmp(value, "big")) h->endian = FAB_NRRD_BIG;
    else return bad_field(h, "endian", value, err);
    return FAB_OK;
}

static fab_status field_space(fab_nrrd_header *h, const char *value, fab_error *err)
{
    static const struct {
        const char *name, *code;
        double x, y;
    } known[] = {{"left-posterior-superior", "LPS", 1, 1},
                 {"right-anterior-superior", "RAS", -1, -1},
                 {"left-anterior-superior", "LAS", 1, -1}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcasecmp(value, known[i].name) && strcasecmp(value, known[i].code)) continue;
        h->sign[0] = known[i].x;
        h->sign[1] = known[i].y;
        return FAB_OK;
    }
    FAB_FAIL(err, FAB_ERR_GEOMETRY, "%s: NRRD space \"%.40s\" is not one that says where the "
             "patient's left is (LPS, RAS or LAS)", h->name, value);
}

static fab_status field_space_dimension(fab_nrrd_header *h, const char *value, fab_error *err)
{
    FAB_FAIL(err, FAB_ERR_GEOMETRY, "%s: NRRD with \"space dimension: %.20s\" and no \"space\": it "
             "does not say where the patient's left is", h->name, value);
}

static fab_status field_directions(fab_nrrd_header *h, const char *value, fab_error *err)
{
    const char *p = skip_blanks(value);
    if (!h->dimension)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: NRRD \"space directions\" before \"dimension\"",
                 h->name);
    for (int i = 0; i < h->dimension; i++) {
        p = skip_blanks(p);
        h->direction_none[i] = !strncasecmp(p, "none", 4);
        if (h->direction_none[i]) p += 4;
        else if (!take_vector(&p, h->direction[i]))
            return bad_field(h, "space directions", value, err);
    }
    if (*skip_blanks(p)) return bad_field(h, "space directions", value, err);
    h->has_directions = true;
    return FAB_OK;
}

static fab_status field_origin(fab_nrrd_header *h, const char *value, fab_error *err)
{
    const char *p = value;
    if (!take_vector(&p, h->origin) || *skip_blanks(p))
        return bad_field(h, "space origin", value, err);
    h->has_origin = true;
    return FAB_OK;
}

/* "mm" "mm" "mm"; anything else would be another scale. */
static fab_status field_units(fab_nrrd_header *h, const char *value, fab_error *err)
{
    const char *p = skip_blanks(value);
    while (*p) {
        if (strncmp(p, "\"mm\"", 4) && strncmp(p, "\"\"", 2))
            FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD space units %.40s; only mm are read",
                     h->name, value);
        p = skip_blanks(p + (p[1] == 'm' ? 4 : 2));
    }
    return FAB_OK;
}

static fab_status field_line_skip(fab_nrrd_header *h, const char *value, fab_error *err)
{
    const char *p = value;
    if (!take_whole(&p, &h->line_skip) || *p || h->line_skip < 0)
        return bad_field(h, "line skip", value, err);
    return FAB_OK;
}

static fab_status field_byte_skip(fab_nrrd_header *h, const char *value, fab_error *err)
{
    const char *p = value;
    if (!take_whole(&p, &h->byte_skip) || *p || h->byte_skip < -1)
        return bad_field(h, "byte skip", value, err);
    return FAB_OK;
}

static fab_status field_data_file(fab_nrrd_header *h, const char *value, fab_error *err)
{
    if (!strncmp(value, "LIST", 4) || strchr(value, '%'))
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD with data in several files is not read",
                 h->name);
    if (strchr(value, '/') || strchr(value, '\\') || value[0] == '.')
        FAB_FAIL(err, FAB_ERR_UNSUPPORTED, "%s: NRRD data file \"%.80s\" must lie in the header's "
                 "own folder", h->name, value);
    size_t length = strlen(value);
    if (!length || length >= sizeof h->data_file) return bad_field(h, "data file", value, err);
    memcpy(h->data_file, value, length + 1);
    return FAB_OK;
}

fab_status fab_nrrd_field(fab_nrrd_header *h, const char *key, const char *value, fab_error *err)
{
    static const struct {
        const char *key;
        field_parser parse;
    } fields[] = {
        {"type", field_type},           {"dimension", field_dimension},
        {"sizes", field_sizes},         {"encoding", field_encoding},
        {"endian", field_endian},       {"space", field_space},
        {"space directions", field_directions},
        {"space dimension", field_space_dimension},
        {"space origin", field_origin}, {"space units", field_units},
        {"line skip", field_line_skip}, {"lineskip", field_line_skip},
        {"byte skip", field_byte_skip}, {"byteskip", field_byte_skip},
        {"data file", field_data_file}, {"datafile", field_data_file},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!strcasecmp(key, fields[i].key)) return fields[i].parse(h, value, err);
    return FAB_OK;
}
