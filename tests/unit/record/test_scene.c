/* Scene operations: the table against contract/operations.json, rows, states, hashes. */
#include <dirent.h>

#include "harness.h"
#include "scene_internal.h"

static fab_error err;

static fab_json *parse(const char *text)
{
    fab_json *value = NULL;
    CHECK_OK(fab_json_parse(text, strlen(text), "test", &value, &err));
    return value;
}

static const char *source_path(const char *relative, char *into)
{
    const char *root = getenv("FAB_SOURCE_ROOT");
    CHECK_OK(fab_path_join(into, FAB_MAX_PATH_BYTES, root ? root : ".", relative, &err));
    return into;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const fab_json *resolve(const fab_json *contract, const fab_json *type)
{
    if (!fab_json_is_string(type)) return type;
    return fab_json_find(fab_json_find(contract, "types"), fab_json_text(type));
}

static void compare_type(const fab_json *contract, const fab_json *said, const scene_type *type)
{
    if (fab_json_is_string(said)) CHECK(type->name && !strcmp(type->name, fab_json_text(said)));
    const fab_json *spec = resolve(contract, said);
    const char *kind = fab_text_of(spec, "kind");
    if (!strcmp(kind, "integer")) {
        CHECK(type->kind == SCENE_INTEGER);
        CHECK(fab_real_of(spec, "low") == (double)type->low);
        CHECK(fab_real_of(spec, "high") == (double)type->high);
    } else if (!strcmp(kind, "boolean")) {
        CHECK(type->kind == SCENE_BOOLEAN);
    } else if (!strcmp(kind, "choice")) {
        const fab_json *of = fab_json_find(spec, "of");
        CHECK(type->kind == SCENE_CHOICE);
        for (size_t i = 0; i < fab_json_count(of); i++)
            CHECK(!strcmp(type->choices[i], fab_json_text(fab_json_at(of, i))));
        CHECK(!type->choices[fab_json_count(of)]);
    } else if (!strcmp(kind, "list")) {
        CHECK(type->kind == SCENE_LIST);
        const fab_json *length = fab_json_find(spec, "length");
        double most = fab_real_of(spec, length ? "length" : "max");
        CHECK((double)type->most == most && type->least == (length ? type->most : 0));
        compare_type(contract, fab_json_find(spec, "of"), type->of);
    } else if (fab_json_find(spec, "pattern")) {
        CHECK(type->kind == SCENE_NAME);
        CHECK(!strcmp(fab_text_of(spec, "pattern"), "^[A-Za-z0-9_.:-]{1,64}$"));
    } else {
        CHECK(!strcmp(kind, "text") && type->kind == SCENE_TEXT);
        CHECK((double)type->most == fab_real_of(spec, "max"));
    }
}

static bool is_optional(const fab_json *spec, const char *name)
{
    const fab_json *list = fab_json_find(spec, "optional");
    for (size_t i = 0; i < fab_json_count(list); i++)
        if (!strcmp(fab_json_text(fab_json_at(list, i)), name)) return true;
    return false;
}

static void the_table_is_the_contract(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *contract = NULL;
    const char *name = NULL, *argument = NULL;
    const fab_json *spec = NULL, *type = NULL;
    size_t count = 0;
    CHECK_OK(fab_json_load_file(source_path("contract/operations.json", path), &contract, &err));
    const fab_json *all = fab_json_find(contract, "operations");
    for (void *at = NULL; fab_json_next(all, &at, &name, &spec);) {
        const scene_operation *op = fab_scene_find_operation(name);
        const fab_json *args = fab_json_find(spec, "args");
        size_t n = 0;
        CHECK(op && op->undo == fab_json_is_true(fab_json_find(spec, "undo")));
        for (void *in = NULL; fab_json_next(args, &in, &argument, &type); n++) {
            CHECK(op->arguments[n].name && !strcmp(op->arguments[n].name, argument));
            CHECK(op->arguments[n].optional == is_optional(spec, argument));
            compare_type(contract, type, op->arguments[n].type);
        }
        CHECK(!op->arguments[n].name);
        count++;
    }
    CHECK(count == fab_scene_operation_count);
    const fab_json *limits = fab_json_find(contract, "limits");
    CHECK(fab_real_of(limits, "annotations") == FAB_SCENE_MAX_ANNOTATIONS);
    CHECK(fab_real_of(limits, "measures") == FAB_SCENE_MAX_MEASURES);
    CHECK(fab_real_of(limits, "row_bytes") == FAB_SCENE_MAX_ROW_BYTES);
    fab_json_free(contract);
}

/* The state at the start, field by field. */
static void the_start_is_the_contract(void)
{
    char path[FAB_MAX_PATH_BYTES];
    fab_json *contract = NULL, *ours = NULL;
    fab_scene *s = NULL;
    FAB_AUTO_BUF fab_buf text = {0}, expected = {0};
    CHECK_OK(fab_json_load_file(source_path("contract/operations.json", path), &contract, &err));
    CHECK_OK(fab_scene_create(NULL, 0, &s, &err));
    CHECK_OK(fab_scene_dump(s, &text, &err));
    CHECK_OK(fab_json_parse(text.data, text.size, "state", &ours, &err));
    static const char *const held[] = {"explode", "model", "slices", "window", "volume", "chapter"};
    for (size_t i = 0; i < 6; i++) {
        FAB_AUTO_BUF fab_buf a = {0}, b = {0};
        CHECK_OK(fab_json_dump_canonical(fab_json_find(ours, held[i]), &a, &err));
        CHECK_OK(fab_json_dump_canonical(fab_json_find(fab_json_find(contract, "state"), held[i]),
                                         &b, &err));
        CHECK(a.size == b.size && !memcmp(a.data, b.data, a.size));
    }
    CHECK(fab_json_count(ours) == 10);
    fab_json_free(ours);
    fab_json_free(contract);
    fab_scene_free(s);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static const uint16_t ids[] = {10, 2, 1};

static void expect(const char *const *rows, const char *state)
{
    fab_scene *s = NULL;
    FAB_AUTO_BUF fab_buf text = {0};
    CHECK_OK(fab_scene_create(ids, 3, &s, &err));
    for (int n = 1; *rows; rows++, n++) {
        char row[4096];
        snprintf(row, sizeof row, "{%s,\"seq\":%d,\"by\":\"t\",\"t\":%d}", *rows, n, n);
        fab_json *json = parse(row);
        CHECK_OK(fab_scene_apply(s, json, &err));
        fab_json_free(json);
    }
    CHECK_OK(fab_scene_dump(s, &text, &err));
    CHECK_OK(fab_buf_append(&text, "", 1, &err));
    if (!strstr((char *)text.data, state)) fprintf(stderr, "%s\n", (char *)text.data);
    CHECK(strstr((char *)text.data, state));
    fab_scene_free(s);
}

#define ROWS(...) (const char *const[]){__VA_ARGS__, NULL}

static void states(void)
{
    expect((const char *const[]){NULL}, "\"structures\":{},\"volume\":{\"on\":false,\"preset\":"
           "\"bone\"},\"window\":{\"centre\":40,\"width\":400}}");
    expect(ROWS("\"op\":\"structure.only\",\"args\":{\"ids\":[2]}"),
           "\"structures\":{\"1\":{\"highlight\":false,\"offset\":[0,0,0],\"opacity\":1000,\"rgb\":"
           "null,\"turn\":[0,0,0,32767],\"visible\":false},\"10\":{");
    expect(ROWS("\"op\":\"structure.only\",\"args\":{\"ids\":[2]}",
                "\"op\":\"structure.only\",\"args\":{\"ids\":[]}"), "\"structures\":{},");
    expect(ROWS("\"op\":\"structure.paint\",\"args\":{\"ids\":[2],\"rgb\":[1,2,3]}"),
           "\"rgb\":[1,2,3]");
    expect(ROWS("\"op\":\"structure.paint\",\"args\":{\"ids\":[2],\"rgb\":[1,2,3]}",
                "\"op\":\"structure.paint\",\"args\":{\"ids\":[2]}"), "\"structures\":{},");
    expect(ROWS("\"op\":\"structure.move\",\"args\":{\"id\":2,\"offset\":[1,-2,3],"
                "\"turn\":[0,0,0,32767]}"), "\"offset\":[1,-2,3]");
    expect(ROWS("\"op\":\"clip.set\",\"args\":{\"plane\":1,\"on\":false,\"point\":[1,0,0],"
                "\"normal\":[0,0,32767]}"),
           "\"clips\":{\"1\":{\"normal\":[0,0,32767],\"on\":false,\"point\":[1,0,0]}}");
    expect(ROWS("\"op\":\"annotation.add\",\"args\":{\"name\":\"b\",\"kind\":\"label\",\"points\":"
                "[[1,2,3]],\"rgb\":[1,2,3],\"width\":4,\"text\":\"a\\\"\\u0001\\u00e9\"}",
                "\"op\":\"annotation.add\",\"args\":{\"name\":\"B\",\"kind\":\"arrow\","
                "\"points\":[],\"rgb\":[1,2,3],\"width\":4}"),
           "{\"annotations\":{\"B\":{\"kind\":\"arrow\",\"points\":[],\"rgb\":[1,2,3],\"width\":4},"
           "\"b\":{\"kind\":\"label\",\"points\":[[1,2,3]],\"rgb\":[1,2,3],\"text\":"
           "\"a\\\"\\u0001\303\251\",\"width\":4}},");
    expect(ROWS("\"op\":\"chapter\",\"args\":{\"title\":\"x\"}",
                "\"op\":\"measure.add\",\"args\":{\"name\":\"m\",\"kind\":\"volume\",\"points\":[],"
                "\"ids\":[1]}", "\"op\":\"explode\",\"args\":{\"amount\":5}",
                "\"op\":\"scene.reset\",\"args\":{}"),
           "\"chapter\":null,\"clips\":{},\"explode\":0,\"measures\":{\"m\":{\"ids\":[1],"
           "\"kind\":\"volume\",\"points\":[]}},");
}

static void refusals(void)
{
    static const char *const bad[][2] = {
        {"{\"op\":\"fly\",\"args\":{},\"seq\":7,\"by\":\"t\",\"t\":1}", "row 7: op: there is no"},
        {"{\"op\":\"explode\",\"args\":{\"amount\":1001},\"seq\":7,\"by\":\"t\",\"t\":1}",
         "row 7: explode: amount: 1001 is outside 0 to 1000"},
        {"{\"op\":\"explode\",\"args\":{\"amount\":1.5},\"seq\":7,\"by\":\"t\",\"t\":1}",
         "amount: not a whole number"},
        {"{\"op\":\"explode\",\"args\":{\"amount\":1,\"x\":1},\"seq\":7,\"by\":\"t\",\"t\":1}",
         "an argument is not known"},
        {"{\"op\":\"explode\",\"args\":{},\"seq\":7,\"by\":\"t\",\"t\":1}", "amount: is missing"},
        {"{\"op\":\"explode\",\"args\":{\"amount\":1},\"seq\":7,\"t\":1}", "by: is missing"},
        {"{\"op\":\"explode\",\"args\":{\"amount\":1},\"seq\":7,\"by\":\"t\",\"t\":1,\"z\":0}",
         "a field is not known"},
        {"{\"op\":\"measure.remove\",\"args\":{\"name\":\"a b\"},\"seq\":7,\"by\":\"t\",\"t\":1}",
         "name: a name has"},
        {"{\"op\":\"slice.set\",\"args\":{\"axis\":\"up\",\"on\":true,\"at\":1},\"seq\":7,\"by\":"
         "\"t\",\"t\":1}", "axis: no such choice"},
        {"{\"op\":\"structure.move\",\"args\":{\"id\":1,\"offset\":[1,2],\"turn\":[0,0,0,1]},"
         "\"seq\":7,\"by\":\"t\",\"t\":1}", "offset: a list of 2, not 3 to 3"},
    };
    fab_scene *s = NULL;
    char before[65], after[65];
    CHECK_OK(fab_scene_create(ids, 3, &s, &err));
    CHECK_OK(fab_scene_hash(s, before, &err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fab_json *row = parse(bad[i][0]);
        CHECK_FAILS(FAB_ERR_FORMAT, bad[i][1], fab_scene_apply(s, row, &err));
        fab_json_free(row);
    }
    CHECK_OK(fab_scene_hash(s, after, &err));
    CHECK(!strcmp(before, after));
    fab_scene_free(s);
}

/* A state dumped, loaded and dumped is the same; one with a field spoilt is refused. */
static void round_trip(void)
{
    static const char *const rows[] = {
        "\"op\":\"structure.only\",\"args\":{\"ids\":[2]}",
        "\"op\":\"structure.paint\",\"args\":{\"ids\":[1],\"rgb\":[9,8,7]}",
        "\"op\":\"clip.set\",\"args\":{\"plane\":2,\"on\":true,\"point\":[1,0,0],"
        "\"normal\":[0,32767,0]}",
        "\"op\":\"annotation.add\",\"args\":{\"name\":\"b\",\"kind\":\"label\",\"points\":"
        "[[1,2,3]],\"rgb\":[1,2,3],\"width\":4,\"text\":\"a\",\"id\":3}",
        "\"op\":\"measure.add\",\"args\":{\"name\":\"m\",\"kind\":\"volume\",\"points\":[],"
        "\"ids\":[1]}", "\"op\":\"chapter\",\"args\":{\"title\":\"\\u4e2d\"}"};
    fab_scene *s = NULL, *t = NULL;
    char a[65], b[65];
    FAB_AUTO_BUF fab_buf text = {0};
    CHECK_OK(fab_scene_create(ids, 3, &s, &err));
    CHECK_OK(fab_scene_create(ids, 3, &t, &err));
    for (int n = 0; n < 6; n++) {
        char row[4096];
        snprintf(row, sizeof row, "{%s,\"seq\":%d,\"by\":\"t\",\"t\":%d}", rows[n], n, n);
        fab_json *json = parse(row);
        CHECK_OK(fab_scene_apply(s, json, &err));
        fab_json_free(json);
    }
    CHECK_OK(fab_scene_dump(s, &text, &err));
    fab_json *state = NULL;
    CHECK_OK(fab_json_parse(text.data, text.size, "state", &state, &err));
    CHECK_OK(fab_scene_load(t, state, &err));
    CHECK_OK(fab_scene_hash(s, a, &err));
    CHECK_OK(fab_scene_hash(t, b, &err));
    CHECK(!strcmp(a, b));
    CHECK_OK(fab_json_set(state, "explode", fab_json_int(2000), &err));
    CHECK_FAILS(FAB_ERR_FORMAT, "explode: 2000", fab_scene_load(t, state, &err));
    CHECK_OK(fab_scene_hash(t, b, &err));
    CHECK(!strcmp(a, b));
    fab_json_free(state);
    fab_scene_free(s);
    fab_scene_free(t);
}

/* The empty state's hash, by another SHA-256 (Python's hashlib) of the text of ADR 0111. */
static void a_known_hash(void)
{
    fab_scene *s = NULL;
    char hex[65];
    CHECK_OK(fab_scene_create(NULL, 0, &s, &err));
    CHECK_OK(fab_scene_hash(s, hex, &err));
    CHECK(!strcmp(hex, "e5c93e4a250d18dad4f81ac10c87fede3536322788303856ef937adaf174dff7"));
    fab_scene_free(s);
}

/* ---- the fixtures of the contract, the same for TypeScript ----------------------------------- */

static void apply_fixture(const char *name, const fab_json *f)
{
    const fab_json *list = fab_json_find(f, "structures"), *rows = fab_json_find(f, "rows");
    const fab_json *refused = fab_json_find(f, "refused");
    uint16_t twin[256];
    char hex[65], field[64];
    fab_scene *s = NULL;
    fab_status status = FAB_OK;
    size_t count = fab_json_count(list), i = 0;
    CHECK(count <= 256);
    for (size_t k = 0; k < count; k++)
        twin[k] = (uint16_t)fab_json_integer(fab_json_at(list, k));
    CHECK_OK(fab_scene_create(twin, count, &s, &err));
    for (; status == FAB_OK && i < fab_json_count(rows); i++)
        status = fab_scene_apply(s, fab_json_at(rows, i), &err);
    if (refused) { /* "args.ids[3]": our messages name ids */
        const char *said = fab_text_of(refused, "field"), *dot = strrchr(said, '.');
        snprintf(field, sizeof field, "%s", dot ? dot + 1 : said);
        field[strcspn(field, "[")] = 0;
        if (status != FAB_ERR_FORMAT) fprintf(stderr, "%s: not refused\n", name);
        CHECK(status == FAB_ERR_FORMAT && i == (size_t)fab_real_of(refused, "row"));
        if (!strstr(err.message, field) && !strstr(err.message, "an argument is not known"))
            fprintf(stderr, "%s: %s\n", name, err.message);
        CHECK(strstr(err.message, field) || strstr(err.message, "an argument is not known"));
    } else {
        CHECK(status == FAB_OK);
        CHECK_OK(fab_scene_hash(s, hex, &err));
        if (strcmp(hex, fab_text_of(f, "hash")) != 0) fprintf(stderr, "%s: %s\n", name, hex);
        CHECK(!strcmp(hex, fab_text_of(f, "hash")));
    }
    fab_scene_free(s);
}

static void fixtures(void)
{
    char path[FAB_MAX_PATH_BYTES], file[FAB_MAX_PATH_BYTES];
    DIR *folder = opendir(source_path("contract/fixtures/operations", path));
    int count = 0;
    if (!folder) SKIP("no contract/fixtures/operations");
    for (const struct dirent *e; (e = readdir(folder));) {
        fab_json *f = NULL;
        if (!strstr(e->d_name, ".json")) continue;
        CHECK_OK(fab_path_join(file, sizeof file, path, e->d_name, &err));
        fab_status status = fab_json_load_file(file, &f, &err);
        /* a NUL in a text is refused by the JSON reader */
        CHECK(status == FAB_OK || !strncmp(e->d_name, "refused-nul", 11));
        if (f) apply_fixture(e->d_name, f);
        fab_json_free(f);
        count++;
    }
    closedir(folder);
    printf("%d fixtures\n", count);
    CHECK(count > 0);
}

int main(void)
{
    return FAB_RUN(TEST(the_table_is_the_contract), TEST(the_start_is_the_contract), TEST(states),
                   TEST(refusals), TEST(round_trip), TEST(a_known_hash), TEST(fixtures));
}
