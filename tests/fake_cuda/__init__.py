"""GPUs that compute nothing: torch's own CUDA code on a runtime made here, for what no number decides.

Preloaded under torch's CUDA wheel, the library of `runtime/` takes the place of CUDA's runtime and driver, cuBLAS and
NCCL. Everything above them is the real thing: torch's dispatcher, its autograd threads, caching allocator, random
generators, graphs and fused optimizers, and all of ganlab. So what is asked of a GPU can be counted, memory can be as
scarce as a test wants it, and captures fail as CUDA's do, on a machine without any GPU. What kernels would compute is
not there: memory holds zeros or what was there before, and no test may look at it. cuDNN is off; `convolutions.py`
makes each convolution one launch, as cuDNN does.

`programs/` holds what runs on such GPUs, in processes of its own; the tests beside it ask and judge.
"""
