/* fabrica/checkpoint.h - layer 2: PyTorch checkpoints, read without Python.
 *
 * A checkpoint is what torch.save writes since PyTorch 1.6: a zip with a pickle (NAME/data.pkl) and
 * one file a storage (NAME/data/KEY). A pickle is a program; here it is only ever read as data:
 * of its opcodes those that build values are known, of its globals a short list, and none is
 * called. Whatever else stands in it is refused by name. What is read and what not:
 * docs/adr/0081-checkpoints-without-python.md.
 */
#ifndef FABRICA_CHECKPOINT_H
#define FABRICA_CHECKPOINT_H

#include "fabrica/base.h"
#include "fabrica/json.h"
#include "fabrica/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The values of a pickle; storages stay in the file. Immutable, one thread at a time. */
typedef struct fab_checkpoint fab_checkpoint;
/* Reads all but the storages. `r` must outlive the checkpoint.
 *
 * FAB_ERR_FORMAT: no zip, damaged, or a pickle that makes no sense. FAB_ERR_UNSUPPORTED: the format
 * before PyTorch 1.6, TorchScript, big-endian storages, an opcode or a global that is not on
 * the list. FAB_ERR_LIMIT: the limits of fabrica/limits.h. Messages name the file. */
fab_status fab_checkpoint_read(const fab_reader *r, fab_checkpoint **out, fab_error *err);
fab_checkpoint *fab_checkpoint_free(fab_checkpoint *c);
#if defined(__GNUC__)
FAB_DEFINE_AUTO(fab_checkpoint, fab_checkpoint_free)
#endif

/* The plain values at a top-level key: None, bool, int, float, str, list, tuple, dict, OrderedDict,
 * numpy scalars, and torch.device as its name ("cuda:0"). Tuples become arrays, whole-number keys
 * of dicts become strings, floats that are not finite become null. The caller owns *out.
 *
 * FAB_ERR_NOTFOUND: no such key. FAB_ERR_UNSUPPORTED: a value below it is none of these; the
 * message names it and where it is. FAB_ERR_LIMIT: FAB_MAX_PICKLE_DEPTH (also a value that holds
 * itself), FAB_MAX_CHECKPOINT_VALUES, FAB_MAX_JSON_BYTES of text. */
fab_status fab_checkpoint_json(const fab_checkpoint *c, const char *key, fab_json **out,
                               fab_error *err);

/* The state dict at a top-level key as named fp32 tensors. float32, float16, bfloat16 and float64
 * are read; tensors of whole numbers and truth values are left out. Names on one storage share
 * memory, so this takes one copy of the weights (a second one of tensors whose strides are not
 * those of C order). The caller owns *out, which does not need `c` any more.
 *
 * FAB_ERR_NOTFOUND: no such key. FAB_ERR_FORMAT: no state dict, a tensor outside its storage, a
 * storage that is missing or has another size, a value that is not finite. FAB_ERR_UNSUPPORTED:
 * tensors without values or with elements that overlap. FAB_ERR_LIMIT: FAB_MAX_TENSORS,
 * FAB_MAX_WEIGHTS, FAB_TENSOR_MAX_RANK. Messages name the file and the tensor. */
fab_status fab_checkpoint_tensors(const fab_checkpoint *c, const char *key, fab_tensors **out,
                                  fab_error *err);

#ifdef __cplusplus
}
#endif
#endif
