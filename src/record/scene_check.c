/* scene_check.c - rows against the table: types, limits, no argument too many. */
#include <string.h>

#include "scene_internal.h"

int64_t fab_json_integer(const fab_json *value)
{
    return (int64_t)fab_json_number(value); /* checked values are below 2^53 */
}

void fab_scene_integers(const fab_json *list, int32_t *into, size_t count)
{
    for (size_t i = 0; i < count; i++) into[i] = (int32_t)fab_json_integer(fab_json_at(list, i));
}

int fab_scene_choice(const scene_type *type, const char *text)
{
    for (int i = 0; type->choices[i]; i++)
        if (strcmp(type->choices[i], text) == 0) return i;
    return -1;
}

static fab_status wrong(const char *field, const char *why, fab_error *err)
{
    FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %s", field, why);
}

static fab_status check_integer(const fab_json *value, const scene_type *type, const char *field,
                                fab_error *err)
{
    double number = fab_json_number(value);
    if (!fab_json_is_number(value)) return wrong(field, "not a number", err);
    if (!(number >= (double)type->low && number <= (double)type->high))
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: %.17g is outside %lld to %lld", field, number,
                 (long long)type->low, (long long)type->high);
    if (number != (double)(int64_t)number) return wrong(field, "not a whole number", err);
    return FAB_OK;
}

static size_t code_points(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static fab_status check_text(const fab_json *value, const scene_type *type, const char *field,
                             fab_error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-";
    const char *text = fab_json_text(value);
    if (!text) return wrong(field, "not a text", err);
    if (type->kind == SCENE_CHOICE)
        return fab_scene_choice(type, text) >= 0 ? FAB_OK : wrong(field, "no such choice", err);
    size_t count = code_points(text);
    if (count < type->least || count > type->most)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: a text of %zu, at most %zu characters", field, count,
                 type->most);
    if (type->kind == SCENE_NAME && text[strspn(text, allowed)])
        return wrong(field, "a name has letters, digits and _.:- only", err);
    return FAB_OK;
}

static fab_status check_list(const fab_json *value, const scene_type *type, const char *field,
                             fab_error *err)
{
    size_t count = fab_json_count(value);
    if (!fab_json_is_array(value)) return wrong(field, "not a list", err);
    if (count < type->least || count > type->most)
        FAB_FAIL(err, FAB_ERR_FORMAT, "%s: a list of %zu, not %zu to %zu", field, count,
                 type->least, type->most);
    for (size_t i = 0; i < count; i++)
        FAB_TRY(fab_scene_check_value(fab_json_at(value, i), type->of, field, err));
    return FAB_OK;
}

fab_status fab_scene_check_value(const fab_json *value, const scene_type *type, const char *field,
                                 fab_error *err)
{
    switch (type->kind) {
    case SCENE_INTEGER: return check_integer(value, type, field, err);
    case SCENE_BOOLEAN:
        return fab_json_is_bool(value) ? FAB_OK : wrong(field, "neither true nor false", err);
    case SCENE_LIST: return check_list(value, type, field, err);
    default: return check_text(value, type, field, err);
    }
}

fab_status fab_scene_check_arguments(const scene_argument *list, const fab_json *args,
                                     fab_error *err)
{
    size_t known = 0;
    for (; list->name; list++) {
        const fab_json *value = fab_json_find(args, list->name);
        known += value != NULL;
        if (!value && list->optional) continue;
        if (!value) return wrong(list->name, "is missing", err);
        FAB_TRY(fab_scene_check_value(value, list->type, list->name, err));
    }
    if (known != fab_json_count(args)) return wrong("args", "an argument is not known", err);
    return FAB_OK;
}

static fab_status check_row(const fab_json *row, fab_error *err)
{
    static const scene_type number = {NULL, SCENE_INTEGER, 0, UINT32_MAX, 0, 0, NULL, NULL},
                            time = {NULL, SCENE_INTEGER, 0, FAB_LESSON_MAX_TIME_US, 0, 0, NULL,
                                    NULL};
    static const scene_argument fields[] = {
        {"seq", &number, false}, {"by", &fab_type_name, false}, {"t", &time, false},
        {"undoes", &number, true}, {NULL, NULL, false}};
    const char *name = fab_json_text(fab_json_find(row, "op"));
    const fab_json *args = fab_json_find(row, "args");
    size_t known = 2;
    if (!name) return wrong("op", "is missing", err);
    const scene_operation *op = fab_scene_find_operation(name);
    if (!op) FAB_FAIL(err, FAB_ERR_FORMAT, "op: there is no operation \"%.80s\"", name);
    if (!fab_json_is_object(args)) return wrong("args", "is missing", err);
    for (const scene_argument *f = fields; f->name; f++) {
        const fab_json *value = fab_json_find(row, f->name);
        known += value != NULL;
        if (value) FAB_TRY(fab_scene_check_value(value, f->type, f->name, err));
        else if (!f->optional) return wrong(f->name, "is missing", err);
    }
    if (known != fab_json_count(row)) return wrong("row", "a field is not known", err);
    fab_status status = fab_scene_check_arguments(op->arguments, args, err);
    return status < 0 ? fab_error_prefix(err, "%s", name) : FAB_OK;
}

fab_status fab_scene_check_row(const fab_json *row, fab_error *err)
{
    fab_error inner = {0};
    fab_status status = check_row(row, &inner);
    if (status == FAB_OK) return FAB_OK;
    FAB_FAIL(err, status, "row %.17g: %s", fab_real_of(row, "seq"), inner.message);
}

fab_status fab_scene_apply(fab_scene *s, const fab_json *row, fab_error *err)
{
    FAB_TRY(fab_scene_check_row(row, err));
    const scene_operation *op = fab_scene_find_operation(fab_text_of(row, "op"));
    fab_status status = op->apply(s, fab_json_find(row, "args"), err);
    if (status < 0) fab_error_prefix(err, "row %.17g", fab_real_of(row, "seq"));
    return status;
}
