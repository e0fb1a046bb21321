#include "guests.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <pybind11/pybind11.h>   // for the number of its version alone

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_set>
#include <vector>

namespace {
struct TlsIndex {
  size_t module, offset;
};
}  // namespace
// Of the dynamic linker: the address of a thread_local of the calling thread.
extern "C" void* __tls_get_addr(TlsIndex*);

namespace gort::python::guests {
namespace {

constexpr char kText[] = "loader_life_support: internal error";
constexpr char kInternals[] = "__pybind11_internals_v";

// A module with thread-local memory and pybind11 inside.
struct Module {
  size_t tls_module;
  size_t words;
};
std::vector<Module> modules;
bool found_others = false;
unsigned keys_used = 0;   // all keys of pthread's that are in use lie below

// pybind11's record of a call.
struct BoundCall {
  BoundCall* parent;
  std::unordered_set<PyObject*> keep_alive;
};

bool is_bound_call(const void* place, const char* low, const char* high) {
  auto* address = static_cast<const char*>(place);
  if (address < low || address + sizeof(BoundCall) > high || reinterpret_cast<uintptr_t>(place) % alignof(BoundCall) != 0) return false;
  // A head of a list is never stale; the look at its content is against other modules' words that are.
  auto* call = static_cast<const BoundCall*>(place);
  return call->keep_alive.max_load_factor() == 1.0f && call->keep_alive.bucket_count() - 1 < 1u << 30;
}

// pthread gives out the lowest free key; what lies above it was in use before.
void count_keys() {
  pthread_key_t lowest;
  if (pthread_key_create(&lowest, nullptr) != 0) {
    keys_used = PTHREAD_KEYS_MAX;
    return;
  }
  pthread_key_delete(lowest);
  keys_used = std::max(keys_used, unsigned(lowest));
}

bool has_text(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; i++) {
    const auto& header = info.dlpi_phdr[i];
    if (header.p_type != PT_LOAD || (header.p_flags & PF_W) || !(header.p_flags & PF_R)) continue;
    if (memmem(reinterpret_cast<const void*>(info.dlpi_addr + header.p_vaddr), header.p_filesz, kText, sizeof(kText))) return true;
  }
  return false;
}

struct Search {
  std::vector<size_t> seen;                     // numbers of all modules with thread-local memory
  std::vector<std::pair<std::string, Module>> found;
};
Search* search = nullptr;

int look_at(dl_phdr_info* info, size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_TLS || std::count(search->seen.begin(), search->seen.end(), info->dlpi_tls_modid)) continue;
    search->seen.push_back(info->dlpi_tls_modid);
    if (has_text(*info)) search->found.push_back({info->dlpi_name, {info->dlpi_tls_modid, header.p_memsz / sizeof(void*)}});
  }
  return 0;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

// Whether a module of another version of pybind11 than gort's was imported: those of one version share a record in one of two dicts.
bool has_other_internals(PyObject* dict) {
  PyObject *key, *value;
  for (Py_ssize_t at = 0; dict && PyDict_Next(dict, &at, &key, &value);) {
    if (!PyUnicode_Check(key)) continue;
    const char* name = PyUnicode_AsUTF8(key);
    if (!name) PyErr_Clear();
    else if (std::strncmp(name, kInternals, sizeof(kInternals) - 1) == 0 && std::atoi(name + sizeof(kInternals) - 1) != PYBIND11_INTERNALS_VERSION) return true;
  }
  return false;
}

}  // namespace

void forget_state(PyThreadState* state) {
  for (unsigned key = 0; key < PTHREAD_KEYS_MAX; key++) {
    if (pthread_getspecific(key) == state) pthread_setspecific(key, nullptr);
  }
}

void look_for_modules() {
  if (!search) search = new Search;
  Dl_info own;
  std::string own_folder = dladdr(kText, &own) ? folder_of(own.dli_fname) : "";
  dl_iterate_phdr(look_at, nullptr);
  for (auto& [name, module] : search->found) {
    if (folder_of(name) == own_folder) continue;   // gort's own parking functions are none of pybind11's
    // Its number stays its own only while it is loaded.
    if (dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE)) {
      modules.push_back(module);
      found_others = true;
    }
  }
  search->found.clear();
  found_others = found_others || has_other_internals(PyEval_GetBuiltins()) || has_other_internals(PyInterpreterState_GetDict(PyInterpreterState_Get()));
}

bool present() { return found_others; }

bool in_bound_call(const char* high) {
  if (!found_others) return false;
  auto* low = static_cast<const char*>(__builtin_frame_address(0));
  count_keys();
  for (unsigned key = 0; key < keys_used; key++) {
    if (is_bound_call(pthread_getspecific(key), low, high)) return true;
  }
  for (const Module& module : modules) {
    TlsIndex index{module.tls_module, 0};
    auto** words = static_cast<void**>(__tls_get_addr(&index));
    for (size_t i = 0; i < module.words; i++) {
      if (is_bound_call(words[i], low, high)) return true;
    }
  }
  return false;
}

}  // namespace gort::python::guests
