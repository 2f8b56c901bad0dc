// Kernels: each launch is counted under its name. Only what the host may read and decide by is computed: constants
// written to tensors, and BatchNorm's count of batches.
#include "fake.h"

#include <algorithm>
#include <unordered_map>

namespace fake {

namespace {

std::unordered_map<const void*, std::string> names;

struct Configuration {
    dim3 grid;
    dim3 block;
    size_t shared;
    cudaStream_t stream;
};

thread_local std::vector<Configuration> configurations;

bool contains(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

// The arguments of torch's vectorized_elementwise_kernel: the number of elements, the function's own values, and the
// addresses of the result and of what it is made of.
template <typename T>
Work fill(void** arguments) {
    const int number = *static_cast<int*>(arguments[0]);
    const T value = *static_cast<T*>(arguments[1]);
    T* result = *static_cast<T**>(arguments[2]);
    return [=] { std::fill(result, result + number, value); };
}

Work add_to_counts(void** arguments) {
    const int number = *static_cast<int*>(arguments[0]);
    const auto* factors = static_cast<const long*>(arguments[1]);
    const long summand = factors[0] * factors[1];
    auto* const* addresses = static_cast<long**>(arguments[2]);
    long* result = addresses[0];
    const long* before = addresses[1];
    return [=] {
        for (int index = 0; index < number; index++) {
            result[index] = before[index] + summand;
        }
    };
}

// Names are compared as the compiler mangles them: "FillFunctorIfE" is FillFunctor<float>.
Work computation(const std::string& name, void** arguments) {
    if (arguments == nullptr || !contains(name, "vectorized_elementwise_kernel")) {
        return [] {};
    }
    if (contains(name, "FillFunctorIfE")) {
        return fill<float>(arguments);
    }
    if (contains(name, "FillFunctorIdE")) {
        return fill<double>(arguments);
    }
    if (contains(name, "FillFunctorIlE")) {
        return fill<long>(arguments);
    }
    if (contains(name, "FillFunctorIiE")) {
        return fill<int>(arguments);
    }
    if (contains(name, "FillFunctorIhE") || contains(name, "FillFunctorIbE")) {
        return fill<char>(arguments);
    }
    if (contains(name, "CUDAFunctorOnSelf_addIlE")) {
        return add_to_counts(arguments);
    }
    return [] {};
}

cudaError_t launch(const void* kernel, dim3 grid, void** arguments, cudaStream_t stream) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0) {
        return failed(cudaErrorInvalidConfiguration);
    }
    Lock lock(mutex);
    const std::string& name = names[kernel];
    submit(stream, {"kernel", name}, computation(name, arguments));
    return cudaSuccess;
}

}  // namespace

}  // namespace fake

EXPORTED void** __cudaRegisterFatBinary(void*) {
    static void* binary;
    return &binary;
}

EXPORTED void __cudaRegisterFatBinaryEnd(void**) {}

EXPORTED void __cudaUnregisterFatBinary(void**) {}

EXPORTED void __cudaRegisterFunction(void**, const char* address, char*, const char* name, int, uint3*, uint3*, dim3*,
                                     dim3*, int*) {
    fake::Lock lock(fake::mutex);
    fake::names[address] = name;
}

EXPORTED void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

EXPORTED unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, CUstream_st* stream) {
    fake::configurations.push_back({grid, block, shared, stream});
    return 0;
}

EXPORTED cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
    const fake::Configuration last = fake::configurations.back();
    fake::configurations.pop_back();
    *grid = last.grid;
    *block = last.block;
    *shared = last.shared;
    *static_cast<cudaStream_t*>(stream) = last.stream;
    return cudaSuccess;
}

EXPORTED cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* address) {
    *kernel = static_cast<cudaKernel_t>(const_cast<void*>(address));
    return cudaSuccess;
}

EXPORTED cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3, void** arguments, size_t,
                                        cudaStream_t stream) {
    return fake::launch(kernel, grid, arguments, stream);
}

EXPORTED cudaError_t cudaLaunchKernel(const void* kernel, dim3 grid, dim3, void** arguments, size_t,
                                      cudaStream_t stream) {
    return fake::launch(kernel, grid, arguments, stream);
}

EXPORTED cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* configuration, const void* kernel,
                                         void** arguments) {
    return fake::launch(kernel, configuration->gridDim, arguments, configuration->stream);
}

// Launch what no library here has, such as a convolution of cuDNN.
EXPORTED void fake_launch(cudaStream_t stream, const char* kind, const char* name) {
    fake::submit(stream, {kind, name});
}

EXPORTED cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
    fake::submit(stream, {"host function", "cudaLaunchHostFunc"}, [=] { function(data); });
    return cudaSuccess;
}

EXPORTED cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
    *attributes = {};
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, fake::current_device());
    attributes->ptxVersion = attributes->binaryVersion = 10 * properties.major + properties.minor;
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 32;
    attributes->maxDynamicSharedSizeBytes = 48 << 10;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
    return cudaSuccess;
}

EXPORTED cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t,
                                                                            unsigned) {
    *blocks = 4;
    return cudaSuccess;
}
