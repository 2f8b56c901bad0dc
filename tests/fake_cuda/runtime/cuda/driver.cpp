// The driver's library, by whose name this one is known: torch asks it which devices have a context already.
#include "fake.h"

#include <string>

namespace fake {

bool has_context(int device);

}  // namespace fake

EXPORTED int cuInit(unsigned) {
    return 0;
}

EXPORTED int cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) {
    *flags = 0;
    *active = fake::has_context(device);
    return 0;
}

// The matrix products of torch make sure that their thread has a context; which one does not matter here.
EXPORTED int cuCtxGetCurrent(void** context) {
    static int one;
    *context = &one;
    return 0;
}

// Kernels that torch writes while it runs; compiler.cpp has made nothing of them but their names.
EXPORTED int cuModuleLoadData(void** module, const void*) {
    static int one;
    *module = &one;
    return 0;
}

EXPORTED int cuModuleGetFunction(std::string** function, void*, const char* name) {
    *function = new std::string(name);
    return 0;
}

EXPORTED int cuLaunchKernel(const std::string* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                            unsigned, cudaStream_t stream, void**, void**) {
    fake::submit(stream, {"kernel", *function});
    return 0;
}

// Newer entries of the driver are asked for by name, and torch does without those that are not there.
EXPORTED cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long,
                                                      cudaDriverEntryPointQueryResult* result) {
    *function = nullptr;
    if (result != nullptr) {
        *result = cudaDriverEntryPointSymbolNotFound;
    }
    return cudaSuccess;
}
