/* tests/harness.c - where a failed CHECK goes back to, whichever file of the program it is in. */
#include "harness.h"

jmp_buf fab_test_jump_;
