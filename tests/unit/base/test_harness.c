/* The harness itself: a CHECK that fails in another file than the one that runs the tests is told
 * as FAILED, and the tests after it run. */
#include "harness.h"

void fails_in_another_file(void);
void skips_in_another_file(void);

static int runs;

static void comes_after(void) { runs++; }

int main(void)
{
    puts("expected: one FAILED, one skipped");
    int told = FAB_RUN(TEST(fails_in_another_file), TEST(comes_after), TEST(skips_in_another_file),
                       TEST(comes_after));
    int quiet = FAB_RUN(TEST(skips_in_another_file));
    printf("a failure is %d, tests after it %d, all skipped %d\n", told, runs, quiet);
    return told == 1 && runs == 2 && quiet == 77 ? 0 : 1;
}
