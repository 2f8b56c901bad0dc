// Capture and graphs: what a capture forbids, by the rules of cudaThreadExchangeStreamCaptureMode, and replays.
#include "fake.h"

#include <set>

namespace fake {

namespace {

std::set<Capture*> captures;
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

struct Graph {
    std::vector<Node> nodes;
};

bool concerns_this_thread(const Capture& capture) {
    if (capture.mode == cudaStreamCaptureModeRelaxed || thread_mode == cudaStreamCaptureModeRelaxed) {
        return false;
    }
    const bool global = capture.mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
    return global || capture.owner == std::this_thread::get_id();
}

}  // namespace

bool forbidden(const char* call) {
    Lock lock(mutex);
    bool broken = false;
    for (Capture* capture : captures) {
        if (concerns_this_thread(*capture)) {
            capture->invalid = broken = true;
        }
    }
    if (broken) {
        count_refusal(call);
    }
    return broken;
}

bool forbidden_on(Stream* stream, const char* call) {
    Lock lock(mutex);
    if (stream->capture == nullptr) {
        return false;
    }
    stream->capture->invalid = true;
    count_refusal(call);
    return true;
}

}  // namespace fake

using fake::Capture;
using fake::failed;
using fake::Graph;
using fake::Lock;
using fake::Stream;

EXPORTED cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    std::swap(*mode, fake::thread_mode);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    static unsigned long long captures_begun = 0;
    Lock lock(fake::mutex);
    Stream* origin = fake::stream_of(stream);
    if (reinterpret_cast<cudaStream_t>(origin) != stream || origin->capture != nullptr) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    origin->capture = new Capture{++captures_begun, mode, std::this_thread::get_id(), origin, {{origin, {}}}, {}};
    fake::captures.insert(origin->capture);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    Lock lock(fake::mutex);
    const Capture* capture = fake::stream_of(stream)->capture;
    if (capture == nullptr) {
        *status = cudaStreamCaptureStatusNone;
    } else {
        *status = capture->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
    }
    return cudaSuccess;
}

#undef cudaStreamGetCaptureInfo
EXPORTED cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                              unsigned long long* id, cudaGraph_t* graph,
                                              const cudaGraphNode_t** dependencies, const cudaGraphEdgeData** edges,
                                              size_t* number) {
    Lock lock(fake::mutex);
    const Capture* capture = fake::stream_of(stream)->capture;
    if (id != nullptr) {
        *id = capture == nullptr ? 0 : capture->id;
    }
    // A graph that is being captured is asked for only to hang things on it, which nothing here looks at.
    if (graph != nullptr) {
        *graph = nullptr;
    }
    if (dependencies != nullptr) {
        *dependencies = nullptr;
    }
    if (edges != nullptr) {
        *edges = nullptr;
    }
    if (number != nullptr) {
        *number = 0;
    }
    return cudaStreamIsCapturing(stream, status);
}

EXPORTED cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    Lock lock(fake::mutex);
    *graph = nullptr;
    Capture* capture = fake::stream_of(stream)->capture;
    if (capture == nullptr) {
        return failed(cudaErrorIllegalState);
    }
    bool joined = true;
    for (auto& [captured, seen] : capture->seen) {
        captured->capture = nullptr;
        joined = joined && seen[captured] <= capture->seen[capture->origin][captured];
    }
    fake::captures.erase(capture);
    capture->ended = true;
    if (capture->invalid) {
        return failed(cudaErrorStreamCaptureInvalidated);
    }
    if (!joined) {
        fake::count_refusal("cudaStreamEndCapture");
        return failed(cudaErrorStreamCaptureUnjoined);
    }
    *graph = reinterpret_cast<cudaGraph_t>(new Graph{capture->nodes});
    // The capture itself stays: events that were recorded in it point to it.
    capture->nodes.clear();
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* number) {
    *number = reinterpret_cast<Graph*>(graph)->nodes.size();
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
    const auto* captured = reinterpret_cast<Graph*>(graph);
    *executable = reinterpret_cast<cudaGraphExec_t>(new Graph(*captured));
    std::vector<fake::Action> actions;
    for (const fake::Node& node : captured->nodes) {
        actions.push_back(node.action);
    }
    fake::count_graph(actions);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
    const auto* graph = reinterpret_cast<Graph*>(executable);
    fake::submit(stream, {"graph", "cudaGraphLaunch"}, [graph] {
        for (const fake::Node& node : graph->nodes) {
            node.work();
        }
    });
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete reinterpret_cast<Graph*>(graph);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
    delete reinterpret_cast<Graph*>(executable);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaUserObjectCreate(cudaUserObject_t* object, void*, cudaHostFn_t, unsigned, unsigned) {
    *object = nullptr;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaUserObjectRelease(cudaUserObject_t, unsigned) {
    return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphRetainUserObject(cudaGraph_t, cudaUserObject_t, unsigned, unsigned) {
    return cudaSuccess;
}
