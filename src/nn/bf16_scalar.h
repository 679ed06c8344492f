/* bf16_scalar.h - one lane for bf16_rows.h. */
#include "bf16.h"

#define ROW_LANES 1
typedef float row_vec;
#define row_load(p) (*(p))
#define row_store(p, a) (*(p) = (a))
#define row_splat(s) (s)
#define row_fma(a, b, c) fmaf((a), (b), (c))
#define row_add(a, b) ((a) + (b))
#define row_sub(a, b) ((a) - (b))
#define row_mul(a, b) ((a) * (b))
#define row_max(a, b) ((a) > (b) ? (a) : (b))
#define row_widen(p) fab_bf16_widen(*(p))
#define row_round(p, a) (*(p) = fab_bf16_round(a))
