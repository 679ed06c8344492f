/* test_synth.c - patients nobody has: the vocabulary, the prepared map, the patches. */
#include "harness.h"

#include "synth_internal.h"

static void vocabulary_is_one_to_one(void)
{
    int named = 0;
    for (int v = 0; v < 256; v++) {
        const char *name = fab_synth_name(v);
        if (!name) continue;
        named++;
        CHECK(fab_synth_value(name) == v);
        if (v >= 1 && v <= FAB_TOTAL_STRUCTURES) CHECK(fab_total_value(name) == v);
    }
    CHECK(named > 190);
    CHECK(!fab_synth_name(FAB_SYNTH_UNKNOWN) && !fab_synth_name(-1) && !fab_synth_name(256));
    CHECK(fab_synth_value("no such thing") == -1);
}

int main(void)
{
    static const fab_test tests[] = {TEST(vocabulary_is_one_to_one)};
    return fab_test_run(tests, sizeof tests / sizeof tests[0]);
}
