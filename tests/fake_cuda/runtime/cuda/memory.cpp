// Memory: a device's is reserved from the host's, given out up to a limit a device, and counted; copies are done.
#include "fake.h"

#include <sys/mman.h>

#include <cstring>
#include <map>

namespace fake {

namespace {

enum class Place { pageable, pinned, device };

struct Block {
    size_t bytes;
    Place place;
    int device;
};

// By address; a block is found by any address within it.
std::map<uintptr_t, Block> blocks;
std::map<int, size_t> used;
std::map<int, size_t> limits;

size_t limit(int device) {
    const auto found = limits.find(device);
    return found == limits.end() ? size_t{80} << 30 : found->second;
}

// The kernel gives pages as they are written to, so a large block of which nothing is computed costs nothing.
void* reserve(size_t bytes, Place place, int device) {
    void* address =
        mmap(nullptr, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) {
        return nullptr;
    }
    blocks[reinterpret_cast<uintptr_t>(address)] = {bytes, place, device};
    return address;
}

bool release(void* address) {
    const auto found = blocks.find(reinterpret_cast<uintptr_t>(address));
    if (found == blocks.end()) {
        return false;
    }
    if (found->second.place == Place::device) {
        used[found->second.device] -= found->second.bytes;
    }
    munmap(address, found->second.bytes ? found->second.bytes : 1);
    blocks.erase(found);
    return true;
}

const Block* block_of(const void* address) {
    const auto wanted = reinterpret_cast<uintptr_t>(address);
    auto after = blocks.upper_bound(wanted);
    if (after == blocks.begin()) {
        return nullptr;
    }
    const auto& [start, block] = *--after;
    return wanted < start + block.bytes ? &block : nullptr;
}

const char* place_of(const void* address) {
    const Block* block = block_of(address);
    if (block == nullptr) {
        return "pageable";
    }
    return block->place == Place::device ? "device" : "pinned";
}

Action copy_of(const void* to, const void* from) {
    Lock lock(mutex);
    return {"copy", std::string(place_of(from)) + " to " + place_of(to)};
}

}  // namespace

}  // namespace fake

using fake::failed;
using fake::Lock;
using fake::Place;

// Set what a device gives out in all; it may be less than has been given out.
EXPORTED void fake_limit(int device, size_t bytes) {
    Lock lock(fake::mutex);
    fake::limits[device] = bytes;
}

EXPORTED size_t fake_used(int device) {
    Lock lock(fake::mutex);
    return fake::used[device];
}

EXPORTED cudaError_t cudaMalloc(void** address, size_t bytes) {
    const int device = fake::current_device();
    if (fake::forbidden("cudaMalloc")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    Lock lock(fake::mutex);
    if (fake::used[device] + bytes > fake::limit(device)) {
        return failed(cudaErrorMemoryAllocation);
    }
    *address = fake::reserve(bytes, Place::device, device);
    if (*address == nullptr) {
        return failed(cudaErrorMemoryAllocation);
    }
    fake::used[device] += bytes;
    fake::count("allocation", "cudaMalloc");
    return cudaSuccess;
}

EXPORTED cudaError_t cudaFree(void* address) {
    if (address == nullptr) {
        return cudaSuccess;
    }
    if (fake::forbidden("cudaFree")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    Lock lock(fake::mutex);
    fake::count("allocation", "cudaFree");
    return fake::release(address) ? cudaSuccess : failed(cudaErrorInvalidValue);
}

EXPORTED cudaError_t cudaHostAlloc(void** address, size_t bytes, unsigned) {
    const int device = fake::current_device();
    if (fake::forbidden("cudaHostAlloc")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    Lock lock(fake::mutex);
    *address = fake::reserve(bytes, Place::pinned, device);
    fake::count("allocation", "cudaHostAlloc");
    return *address == nullptr ? failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

EXPORTED cudaError_t cudaFreeHost(void* address) {
    Lock lock(fake::mutex);
    return fake::release(address) ? cudaSuccess : failed(cudaErrorInvalidValue);
}

EXPORTED cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
    const int device = fake::current_device();
    Lock lock(fake::mutex);
    *total = fake::limit(device);
    *free = *total > fake::used[device] ? *total - fake::used[device] : 0;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
    Lock lock(fake::mutex);
    std::memset(attributes, 0, sizeof *attributes);
    attributes->type = cudaMemoryTypeUnregistered;
    const fake::Block* block = fake::block_of(address);
    if (block != nullptr) {
        attributes->type = block->place == Place::device ? cudaMemoryTypeDevice : cudaMemoryTypeHost;
        attributes->device = block->device;
        attributes->devicePointer = const_cast<void*>(address);
        attributes->hostPointer = block->place == Place::pinned ? const_cast<void*>(address) : nullptr;
    }
    return cudaSuccess;
}

EXPORTED cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
    fake::submit(stream, fake::copy_of(to, from), [=] { std::memmove(to, from, bytes); });
    return cudaSuccess;
}

EXPORTED cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t stream) {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream);
}

EXPORTED cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) {
    if (fake::forbidden("cudaMemcpy")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    fake::count("wait", "cudaMemcpy");
    fake::submit(nullptr, fake::copy_of(to, from), [=] { std::memmove(to, from, bytes); });
    return cudaSuccess;
}

EXPORTED cudaError_t cudaMemsetAsync(void* address, int value, size_t bytes, cudaStream_t stream) {
    fake::submit(stream, {"memset", "cudaMemsetAsync"}, [=] { std::memset(address, value, bytes); });
    return cudaSuccess;
}

EXPORTED cudaError_t cudaMemset(void* address, int value, size_t bytes) {
    return cudaMemsetAsync(address, value, bytes, nullptr);
}
