// Streams and events: a stream has done what it was given when the call returns, so no wait is long. Each is counted:
// on a GPU it is the host that stands still.
#include "fake.h"

#include <algorithm>
#include <chrono>

namespace fake {

namespace {

using Time = std::chrono::steady_clock;

struct Event {
    Capture* capture = nullptr;
    Clock seen;
    bool recorded = false;
    Time::time_point when;
};

Event* event_of(cudaEvent_t event) {
    return reinterpret_cast<Event*>(event);
}

// Streams and events are never freed: torch keeps its streams for good, and a handle must stay what it was.
cudaStream_t new_stream(int priority) {
    auto* made = new Stream;
    made->device = current_device();
    made->priority = priority;
    return reinterpret_cast<cudaStream_t>(made);
}

}  // namespace

Stream* stream_of(cudaStream_t stream) {
    // 0, 1 and 2 are CUDA's names for the default streams of a device; none of them can be captured.
    if (reinterpret_cast<uintptr_t>(stream) > 2) {
        return reinterpret_cast<Stream*>(stream);
    }
    static std::map<int, Stream> defaults;
    Lock lock(mutex);
    const int device = current_device();
    defaults[device].device = device;
    return &defaults[device];
}

void submit(cudaStream_t stream, const Action& action, const Work& work) {
    Lock lock(mutex);
    Stream* on = stream_of(stream);
    if (on->capture == nullptr) {
        count(action.first, action.second);
        work();
    } else {
        on->capture->nodes.push_back({action, work});
        on->capture->seen[on][on]++;
    }
}

}  // namespace fake

using fake::event_of;
using fake::failed;
using fake::Lock;

EXPORTED cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int priority) {
    *stream = fake::new_stream(priority);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
    *stream = fake::new_stream(0);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    *stream = fake::new_stream(0);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamDestroy(cudaStream_t) {
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
    *priority = fake::stream_of(stream)->priority;
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamQuery(cudaStream_t stream) {
    if (fake::forbidden_on(fake::stream_of(stream), "cudaStreamQuery")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    fake::count("query", "cudaStreamQuery");
    return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (fake::forbidden_on(fake::stream_of(stream), "cudaStreamSynchronize")) {
        return failed(cudaErrorStreamCaptureUnsupported);
    }
    fake::count("wait", "cudaStreamSynchronize");
    return cudaSuccess;
}

// A stream that waits for a captured one joins its capture; a captured one cannot wait for what is outside.
EXPORTED cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    Lock lock(fake::mutex);
    fake::Stream* waiting = fake::stream_of(stream);
    const fake::Event* awaited = event_of(event);
    if (awaited->capture != nullptr && awaited->capture->ended) {
        return failed(cudaErrorCapturedEvent);
    }
    if (awaited->capture != nullptr && waiting->capture == nullptr) {
        waiting->capture = awaited->capture;
    }
    if (awaited->capture != waiting->capture && awaited->recorded) {
        waiting->capture->invalid = true;
        fake::count_refusal("cudaStreamWaitEvent");
        return failed(awaited->capture == nullptr ? cudaErrorStreamCaptureIsolation : cudaErrorStreamCaptureMerge);
    }
    if (waiting->capture != nullptr) {
        fake::Clock& seen = waiting->capture->seen[waiting];
        for (const auto& [stream_seen, nodes] : awaited->seen) {
            seen[stream_seen] = std::max(seen[stream_seen], nodes);
        }
    }
    return cudaSuccess;
}

EXPORTED cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    fake::current_device();
    *event = reinterpret_cast<cudaEvent_t>(new fake::Event);
    return cudaSuccess;
}

EXPORTED cudaError_t cudaEventCreate(cudaEvent_t* event) {
    return cudaEventCreateWithFlags(event, 0);
}

EXPORTED cudaError_t cudaEventDestroy(cudaEvent_t) {
    return cudaSuccess;
}

EXPORTED cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
    Lock lock(fake::mutex);
    fake::Event* recorded = event_of(event);
    recorded->capture = fake::stream_of(stream)->capture;
    recorded->seen.clear();
    recorded->recorded = true;
    recorded->when = fake::Time::now();
    if (recorded->capture == nullptr) {
        fake::count("event", "cudaEventRecord");
    } else {
        recorded->seen = recorded->capture->seen[fake::stream_of(stream)];
    }
    return cudaSuccess;
}

EXPORTED cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return cudaEventRecordWithFlags(event, stream, 0);
}

namespace {

// What happens when the host asks for an event: within a capture nothing has happened that it could have.
cudaError_t ask(cudaEvent_t event, const char* kind, const char* call) {
    Lock lock(fake::mutex);
    fake::Capture* capture = event_of(event)->capture;
    if (capture != nullptr) {
        capture->invalid = true;
        fake::count_refusal(call);
        return failed(cudaErrorCapturedEvent);
    }
    fake::count(kind, call);
    return cudaSuccess;
}

}  // namespace

EXPORTED cudaError_t cudaEventQuery(cudaEvent_t event) {
    return ask(event, "query", "cudaEventQuery");
}

EXPORTED cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return ask(event, "wait", "cudaEventSynchronize");
}

EXPORTED cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    const std::chrono::duration<float, std::milli> passed = event_of(end)->when - event_of(start)->when;
    *milliseconds = passed.count();
    return cudaSuccess;
}
