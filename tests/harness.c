/* tests/harness.c - where a failed CHECK goes back to, in whichever file of the program it stands. */
#include "harness.h"

jmp_buf fab_test_jump_;
