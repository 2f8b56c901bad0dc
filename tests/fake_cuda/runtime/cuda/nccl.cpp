// NCCL for a group of one process: what all ranks have together is what this one has.
#include "fake.h"

#include <cstring>

namespace {

constexpr int SUCCESS = 0;

// The number of bytes of an ncclDataType_t.
size_t size_of(int type) {
    switch (type) {
        case 0:  // int8
        case 1:  // uint8
            return 1;
        case 6:  // float16
        case 9:  // bfloat16
            return 2;
        case 2:  // int32
        case 3:  // uint32
        case 7:  // float32
            return 4;
        default:  // int64, uint64, float64
            return 8;
    }
}

int exchange(const char* name, const void* mine, void* ours, size_t number, int type, cudaStream_t stream) {
    const size_t bytes = number * size_of(type);
    fake::submit(stream, {"exchange", name}, [=] { std::memmove(ours, mine, bytes); });
    return SUCCESS;
}

}  // namespace

struct Identity {
    char bytes[128];
};

EXPORTED int ncclGetVersion(int* version) {
    *version = 23007;
    return SUCCESS;
}

EXPORTED int ncclGetUniqueId(Identity* identity) {
    *identity = {};
    return SUCCESS;
}

EXPORTED int ncclCommInitRank(void** group, int, Identity, int rank) {
    *group = new int(rank);
    return SUCCESS;
}

EXPORTED int ncclCommInitRankConfig(void** group, int, Identity, int rank, void*) {
    *group = new int(rank);
    return SUCCESS;
}

EXPORTED int ncclCommGetAsyncError(void*, int* error) {
    *error = SUCCESS;
    return SUCCESS;
}

EXPORTED int ncclCommCount(void*, int* number) {
    *number = 1;
    return SUCCESS;
}

EXPORTED int ncclCommUserRank(void* group, int* rank) {
    *rank = *static_cast<int*>(group);
    return SUCCESS;
}

EXPORTED const char* ncclGetErrorString(int) {
    return "error of the fake NCCL";
}

EXPORTED const char* ncclGetLastError(void*) {
    return "";
}

#define SUCCEEDS(name)    \
    EXPORTED int name() { \
        return SUCCESS;   \
    }

SUCCEEDS(ncclGroupStart)
SUCCEEDS(ncclGroupEnd)
SUCCEEDS(ncclCommFinalize)
SUCCEEDS(ncclCommDestroy)
SUCCEEDS(ncclCommAbort)
SUCCEEDS(ncclCommRegister)
SUCCEEDS(ncclCommDeregister)

EXPORTED int ncclAllReduce(const void* mine, void* ours, size_t number, int type, int, void*, cudaStream_t stream) {
    return exchange("ncclAllReduce", mine, ours, number, type, stream);
}

EXPORTED int ncclBroadcast(const void* mine, void* ours, size_t number, int type, int, void*, cudaStream_t stream) {
    return exchange("ncclBroadcast", mine, ours, number, type, stream);
}

EXPORTED int ncclAllGather(const void* mine, void* ours, size_t number, int type, void*, cudaStream_t stream) {
    return exchange("ncclAllGather", mine, ours, number, type, stream);
}
