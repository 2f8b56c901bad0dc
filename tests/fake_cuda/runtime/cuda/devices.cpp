// Devices: as many as FAKE_CUDA_CAPABILITIES lists, such as "90,75" for an H100 and a T4; errors, and waiting for all.
#include "fake.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>

namespace fake {

namespace {

thread_local int chosen_device = 0;
thread_local cudaError_t last_error = cudaSuccess;
std::set<int> contexts;

const std::vector<int>& capabilities() {
    static const std::vector<int> found = [] {
        const char* text = std::getenv("FAKE_CUDA_CAPABILITIES");
        std::vector<int> listed;
        std::istringstream words(text ? text : "90");
        for (std::string word; std::getline(words, word, ',');) {
            listed.push_back(std::stoi(word));
        }
        return listed;
    }();
    return found;
}

}  // namespace

int device_count() {
    return capabilities().size();
}

int current_device() {
    Lock lock(mutex);
    contexts.insert(chosen_device);
    return chosen_device;
}

bool has_context(int device) {
    Lock lock(mutex);
    return contexts.count(device) > 0;
}

cudaError_t failed(cudaError_t error) {
    last_error = error;
    return error;
}

}  // namespace fake

using fake::failed;

EXPORTED bool fake_has_context(int device) {
    return fake::has_context(device);
}

EXPORTED cudaError_t cudaGetDeviceCount(int* count) {
    *count = fake::device_count();
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGetDevice(int* device) {
    *device = fake::chosen_device;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= fake::device_count()) {
        return failed(cudaErrorInvalidDevice);
    }
    fake::chosen_device = device;
    fake::current_device();  // since CUDA 12 this makes the context
    return cudaSuccess;
}

#undef cudaGetDeviceProperties
EXPORTED cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    const int capability = fake::capabilities()[device];
    std::memset(properties, 0, sizeof *properties);
    std::snprintf(properties->name, sizeof properties->name, "Fake GPU sm_%d", capability);
    properties->major = capability / 10;
    properties->minor = capability % 10;
    properties->totalGlobalMem = size_t{80} << 30;
    properties->warpSize = 32;
    properties->multiProcessorCount = 132;
    properties->maxThreadsPerBlock = 1024;
    properties->maxThreadsPerMultiProcessor = 2048;
    properties->maxBlocksPerMultiProcessor = 32;
    properties->sharedMemPerBlock = 48 << 10;
    properties->sharedMemPerBlockOptin = 227 << 10;
    properties->sharedMemPerMultiprocessor = 228 << 10;
    properties->regsPerBlock = properties->regsPerMultiprocessor = 1 << 16;
    properties->l2CacheSize = 50 << 20;
    properties->textureAlignment = 512;
    for (int axis = 0; axis < 3; axis++) {
        properties->maxThreadsDim[axis] = axis < 2 ? 1024 : 64;
        properties->maxGridSize[axis] = axis < 1 ? 0x7fffffff : 0xffff;
    }
    return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, device);
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor:
            *value = properties.major;
            break;
        case cudaDevAttrComputeCapabilityMinor:
            *value = properties.minor;
            break;
        case cudaDevAttrMultiProcessorCount:
            *value = properties.multiProcessorCount;
            break;
        case cudaDevAttrWarpSize:
            *value = properties.warpSize;
            break;
        case cudaDevAttrMaxThreadsPerBlock:
            *value = properties.maxThreadsPerBlock;
            break;
        case cudaDevAttrMaxGridDimX:
            *value = properties.maxGridSize[0];
            break;
        case cudaDevAttrMaxGridDimY:
            *value = properties.maxGridSize[1];
            break;
        case cudaDevAttrMaxGridDimZ:
            *value = properties.maxGridSize[2];
            break;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            *value = properties.sharedMemPerBlock;
            break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = properties.sharedMemPerBlockOptin;
            break;
        default:
            return failed(cudaErrorNotSupported);
    }
    return cudaSuccess;
}

EXPORTED cudaError_t cudaDriverGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
    *can = 0;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
    std::snprintf(text, length, "0000:%02x:00.0", device + 1);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceSynchronize() {
    fake::current_device();
    if (fake::forbidden("cudaDeviceSynchronize")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    fake::count("wait", "cudaDeviceSynchronize");
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGetLastError() {
    return std::exchange(fake::last_error, cudaSuccess);
}

EXPORTED cudaError_t cudaPeekAtLastError() {
    return fake::last_error;
}

namespace {

// The real library knows the words for errors, and needs no driver to say them.
template <typename Function>
Function in_real_library(const char* name) {
    const std::string library = "libcudart.so." + std::to_string(CUDART_VERSION / 1000);
    return reinterpret_cast<Function>(dlsym(dlopen(library.c_str(), RTLD_LAZY | RTLD_NOLOAD), name));
}

}  // namespace

EXPORTED const char* cudaGetErrorString(cudaError_t error) {
    return in_real_library<decltype(&cudaGetErrorString)>("cudaGetErrorString")(error);
}

EXPORTED const char* cudaGetErrorName(cudaError_t error) {
    return in_real_library<decltype(&cudaGetErrorName)>("cudaGetErrorName")(error);
}

EXPORTED cudaError_t cudaProfilerStart() {
    return cudaSuccess;
}

EXPORTED cudaError_t cudaProfilerStop() {
    return cudaSuccess;
}
