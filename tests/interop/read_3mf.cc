// read_3mf.cc FILE.3mf STRUCTURES: lib3mf's own reader must open the file in strict mode without
// a warning, find that many mesh objects, each manifold and oriented, in millimetres.
#include <cstdio>
#include <cstdlib>

#include <lib3mf/Model/COM/NMR_DLLInterfaces.h>

using namespace NMR;

/* Under the address sanitizer: lib3mf 1.8 leaks a libzip entry for each part it reads. */
extern "C" int __lsan_is_turned_off(void);
extern "C" __attribute__((visibility("default"))) int __lsan_is_turned_off(void) { return 1; }

static int fail(const char *file, const char *what, PLib3MFBase *object)
{
    DWORD code = 0;
    LPCSTR message = nullptr;
    if (object) lib3mf_getlasterror(object, &code, &message);
    std::fprintf(stderr, "%s: %s (%u %s)\n", file, what, (unsigned)code, message ? message : "");
    return 1;
}

static int warnings(const char *file, PLib3MFModelReader *reader)
{
    DWORD count = 0, code = 0;
    lib3mf_reader_getwarningcount(reader, &count);
    for (DWORD i = 0; i < count; i++) {
        char text[512] = "";
        ULONG needed = 0;
        lib3mf_reader_getwarningutf8(reader, i, &code, text, sizeof text, &needed);
        std::fprintf(stderr, "%s: warning %u: %s\n", file, (unsigned)code, text);
    }
    return (int)count;
}

static int check_objects(const char *file, PLib3MFModel *model, int expected)
{
    PLib3MFModelResourceIterator *iterator = nullptr;
    if (lib3mf_model_getmeshobjects(model, &iterator) < 0) return fail(file, "objects", model);
    int found = 0, bad = 0;
    unsigned long triangles = 0;
    BOOL more = 0;
    while (lib3mf_resourceiterator_movenext(iterator, &more) >= 0 && more) {
        PLib3MFModelResource *object = nullptr;
        if (lib3mf_resourceiterator_getcurrent(iterator, &object) < 0) break;
        BOOL closed = 0;
        DWORD count = 0;
        char name[256] = "";
        ULONG needed = 0;
        lib3mf_object_getnameutf8(object, name, sizeof name, &needed);
        lib3mf_meshobject_gettrianglecount(object, &count);
        lib3mf_meshobject_ismanifoldandoriented(object, &closed);
        if (!closed || !name[0]) {
            std::fprintf(stderr, "%s: object %s is not manifold and oriented\n", file, name);
            bad = 1;
        }
        triangles += count;
        found++;
        lib3mf_release(object);
    }
    lib3mf_release(iterator);
    std::printf("%s: %d objects, %lu triangles\n", file, found, triangles);
    if (found != expected) std::fprintf(stderr, "%s: expected %d objects\n", file, expected);
    return bad || found != expected;
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    PLib3MFModel *model = nullptr;
    PLib3MFModelReader *reader = nullptr;
    DWORD unit = 0;
    if (lib3mf_createmodel(&model) < 0) return fail(argv[1], "no model", nullptr);
    if (lib3mf_model_queryreader(model, "3mf", &reader) < 0)
        return fail(argv[1], "no reader", model);
    lib3mf_reader_setstrictmodeactive(reader, true);
    int bad = 0;
    if (lib3mf_reader_readfromfileutf8(reader, argv[1]) < 0) {
        warnings(argv[1], reader);
        return fail(argv[1], "cannot be read", reader);
    }
    bad |= warnings(argv[1], reader) != 0;
    bad |= check_objects(argv[1], model, std::atoi(argv[2]));
    lib3mf_model_getunit(model, &unit);
    if (unit != MODELUNIT_MILLIMETER) bad |= fail(argv[1], "unit is not the millimetre", model);
    lib3mf_release(reader);
    lib3mf_release(model);
    return bad;
}
