/* Of test_harness: cases that end outside the file that runs them. */
#include "harness.h"

void fails_in_another_file(void);
void skips_in_another_file(void);

void fails_in_another_file(void) { CHECK(strlen("three") == 3); }
void skips_in_another_file(void) { SKIP("as the test asks"); }
