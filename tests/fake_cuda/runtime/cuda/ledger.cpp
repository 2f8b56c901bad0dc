// The ledger: how often what was done, what each graph holds, and what was refused. Read by ledger.py through ctypes.
#include "fake.h"

#include <cxxabi.h>

#include <cstdlib>
#include <sstream>

namespace fake {

std::recursive_mutex mutex;

namespace {

using Counts = std::map<Action, long>;

Counts done;
Counts refused;
std::vector<Counts> graphs;

// Only what is reported is demangled: torch registers tens of thousands of kernels.
std::string readable(const std::string& name) {
    int status = 0;
    char* demangled = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
    const std::string result = status == 0 ? demangled : name;
    std::free(demangled);
    return result;
}

void write(std::ostream& lines, const std::string& place, const Counts& counts) {
    for (const auto& [action, number] : counts) {
        lines << place << '\t' << action.first << '\t' << readable(action.second) << '\t' << number << '\n';
    }
}

}  // namespace

void count(const std::string& kind, const std::string& name) {
    Lock lock(mutex);
    done[{kind, name}]++;
}

void count_refusal(const std::string& name) {
    Lock lock(mutex);
    refused[{"refused", name}]++;
}

void count_graph(const std::vector<Action>& nodes) {
    Lock lock(mutex);
    Counts counts;
    for (const Action& node : nodes) {
        counts[node]++;
    }
    graphs.push_back(counts);
}

}  // namespace fake

EXPORTED void fake_forget() {
    fake::Lock lock(fake::mutex);
    fake::done.clear();
    fake::refused.clear();
    fake::graphs.clear();
}

// Return lines of place, kind, name and number, separated by tabs; good until the next call.
EXPORTED const char* fake_ledger() {
    static std::string text;
    fake::Lock lock(fake::mutex);
    std::ostringstream lines;
    fake::write(lines, "done", fake::done);
    fake::write(lines, "refused", fake::refused);
    for (size_t index = 0; index < fake::graphs.size(); index++) {
        fake::write(lines, "graph " + std::to_string(index), fake::graphs[index]);
    }
    text = lines.str();
    return text.c_str();
}
