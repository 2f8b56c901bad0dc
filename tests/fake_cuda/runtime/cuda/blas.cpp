// cuBLAS: handles and descriptions are blank, and each product is one launch. By the calling conventions of C a function
// may leave arguments unread, so those that only succeed are written without any.
#include "fake.h"

#include <cstdlib>

namespace {

constexpr int SUCCESS = 0;

struct Handle {
    cudaStream_t stream = nullptr;
};

int make_blank(void** made) {
    *made = std::calloc(1, 1024);  // more than any description of cuBLAS takes
    return SUCCESS;
}

}  // namespace

EXPORTED int cublasCreate_v2(Handle** handle) {
    *handle = new Handle;
    return SUCCESS;
}

EXPORTED int cublasDestroy_v2(Handle* handle) {
    delete handle;
    return SUCCESS;
}

EXPORTED int cublasSetStream_v2(Handle* handle, cudaStream_t stream) {
    handle->stream = stream;
    return SUCCESS;
}

EXPORTED int cublasGetMathMode(Handle*, int* mode) {
    *mode = 0;
    return SUCCESS;
}

EXPORTED int cublasGetPointerMode_v2(Handle*, int* mode) {
    *mode = 0;
    return SUCCESS;
}

#define SUCCEEDS(name)      \
    EXPORTED int name() {   \
        return SUCCESS;     \
    }

SUCCEEDS(cublasSetWorkspace_v2)
SUCCEEDS(cublasSetMathMode)
SUCCEEDS(cublasSetPointerMode_v2)
SUCCEEDS(cublasSetSmCountTarget)

#define PRODUCT(name)                                     \
    EXPORTED int name(Handle* handle) {                   \
        fake::submit(handle->stream, {"product", #name}); \
        return SUCCESS;                                   \
    }

PRODUCT(cublasSgemm_v2)
PRODUCT(cublasDgemm_v2)
PRODUCT(cublasGemmEx)
PRODUCT(cublasSgemmEx)
PRODUCT(cublasSgemv_v2)
PRODUCT(cublasDgemv_v2)
PRODUCT(cublasSdot_v2)
PRODUCT(cublasDotEx)
PRODUCT(cublasSgemmStridedBatched)
PRODUCT(cublasGemmStridedBatchedEx)

EXPORTED size_t cublasLtGetVersion() {
    return CUDART_VERSION * 10;
}

EXPORTED int cublasLtCreate(void** handle) {
    return make_blank(handle);
}

EXPORTED int cublasLtMatmulDescCreate(void** description) {
    return make_blank(description);
}

EXPORTED int cublasLtMatmulPreferenceCreate(void** preference) {
    return make_blank(preference);
}

EXPORTED int cublasLtMatrixLayoutCreate(void** layout) {
    return make_blank(layout);
}

EXPORTED int cublasLtMatmulDescDestroy(void* description) {
    std::free(description);
    return SUCCESS;
}

EXPORTED int cublasLtMatmulPreferenceDestroy(void* preference) {
    std::free(preference);
    return SUCCESS;
}

EXPORTED int cublasLtMatrixLayoutDestroy(void* layout) {
    std::free(layout);
    return SUCCESS;
}

SUCCEEDS(cublasLtMatmulDescSetAttribute)
SUCCEEDS(cublasLtMatmulPreferenceSetAttribute)
SUCCEEDS(cublasLtMatrixLayoutSetAttribute)

EXPORTED int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void*, int* found) {
    *found = 1;
    return SUCCESS;
}

EXPORTED int cublasLtMatmul(void*, void*, void*, void*, void*, void*, void*, void*, void*, void*, void*, void*, void*,
                            void*, size_t, cudaStream_t stream) {
    fake::submit(stream, {"product", "cublasLtMatmul"});
    return SUCCESS;
}
