// NVRTC, for the kernels that torch writes while it runs: a program is the names it defines, and is compiled to nothing.
#include <set>
#include <string>

namespace {

constexpr int SUCCESS = 0;

// Names by their expression, which stay where they are as long as the program is used.
using Program = std::set<std::string>;

}  // namespace

extern "C" int nvrtcCreateProgram(Program** program, const char*, const char*, int, const char* const*,
                                const char* const*) {
    *program = new Program;
    return SUCCESS;
}

extern "C" int nvrtcAddNameExpression(Program* program, const char* expression) {
    program->insert(expression);
    return SUCCESS;
}

extern "C" int nvrtcCompileProgram(Program*, int, const char* const*) {
    return SUCCESS;
}

extern "C" int nvrtcGetLoweredName(Program* program, const char* expression, const char** name) {
    *name = program->insert(expression).first->c_str();
    return SUCCESS;
}

extern "C" int nvrtcGetProgramLogSize(Program*, size_t* bytes) {
    *bytes = 1;
    return SUCCESS;
}

extern "C" int nvrtcGetProgramLog(Program*, char* text) {
    *text = 0;
    return SUCCESS;
}

extern "C" int nvrtcGetCUBINSize(Program*, size_t* bytes) {
    *bytes = 1;
    return SUCCESS;
}

extern "C" int nvrtcGetCUBIN(Program*, char* code) {
    *code = 0;
    return SUCCESS;
}

extern "C" int nvrtcGetPTXSize(Program*, size_t* bytes) {
    *bytes = 1;
    return SUCCESS;
}

extern "C" int nvrtcGetPTX(Program*, char* code) {
    *code = 0;
    return SUCCESS;
}

extern "C" int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return SUCCESS;
}

extern "C" const char* nvrtcGetErrorString(int) {
    return "error of the fake NVRTC";
}

extern "C" int nvrtcVersion(int* major, int* minor) {
    *major = 13;
    *minor = 0;
    return SUCCESS;
}
