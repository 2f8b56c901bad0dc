// What the files of the fake runtime share.
//
// Memory is the host's, a stream does what it is given at once, and kernels compute nothing. What is kept as CUDA keeps
// it is the bookkeeping around them: who asks for what on which device, and what a capture allows. A function that is
// not here is the real library's, which fails for want of a driver: loudly, so that nothing passes by being absent.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define EXPORTED extern "C"

namespace fake {

// One lock for all: autograd's and NCCL's threads call too, and nothing here takes long.
extern std::recursive_mutex mutex;
using Lock = std::lock_guard<std::recursive_mutex>;

// --- devices.cpp

// The device of this thread; its context is made by the first call that works on it, as CUDA does.
int current_device();
int device_count();
// Return an error, and leave it for cudaGetLastError.
cudaError_t failed(cudaError_t error);

// --- ledger.cpp

// What was done: its kind, such as "kernel", and its name.
using Action = std::pair<std::string, std::string>;

void count(const std::string& kind, const std::string& name);
// Count what a capture does not allow.
void count_refusal(const std::string& name);
// Count the nodes of a graph that can be launched from now on.
void count_graph(const std::vector<Action>& nodes);

// --- streams.cpp and capture.cpp

using Work = std::function<void()>;

struct Node {
    Action action;
    Work work;
};

struct Stream;

// How many nodes of each stream are certain to be done.
using Clock = std::map<Stream*, size_t>;

struct Capture {
    unsigned long long id;
    cudaStreamCaptureMode mode;
    std::thread::id owner;
    Stream* origin;
    // Of each stream that takes part, what it has added itself and what it has waited for.
    std::map<Stream*, Clock> seen;
    std::vector<Node> nodes;
    bool invalid = false;
    bool ended = false;
};

struct Stream {
    int device = 0;
    int priority = 0;
    Capture* capture = nullptr;
};

Stream* stream_of(cudaStream_t stream);
// Do work on a stream, or make it a node where the stream is being captured.
void submit(cudaStream_t stream, const Action& action, const Work& work = [] {});
// Whether a capture forbids a call that may wait for a device, of this thread; if so, the capture is broken by it.
bool forbidden(const char* call);
// The same for a call that waits for a stream.
bool forbidden_on(Stream* stream, const char* call);

}  // namespace fake
