/* kernels_half_avx2.c - tensors of bf16 with AVX2's fp32 arithmetic. */
#include "bf16_avx2.h"

#include "bf16_rows.h"

FORWARD(avx2)

const fab_nn_kernels fab_nn_kernels_half_avx2 = BF16_TENSORS_KERNELS("bf16-tensors-avx2");
