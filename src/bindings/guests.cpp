#include "guests.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <pybind11/pybind11.h>   // for the number of its version alone

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_set>
#include <utility>
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
using Modules = std::vector<Module>;
std::atomic<const Modules*> modules{new Modules};   // never changed, only replaced: others may be reading
std::atomic<bool> found_others{false};
std::atomic<unsigned> keys_used{0};   // all keys of pthread's that are in use lie below

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
  if (keys_used < unsigned(lowest)) keys_used = unsigned(lowest);
}

// Calls visit(module, place, word) for every head of a list that lies in [low, high); module 0: place is a key. True from visit ends it.
template <class Visit>
bool for_each_head(const char* low, const char* high, Visit visit) {
  count_keys();
  for (unsigned key = 0; key < keys_used; key++) {
    void* word = pthread_getspecific(key);
    if (is_bound_call(word, low, high) && visit(0, key, word)) return true;
  }
  for (const Module& module : *modules.load(std::memory_order_acquire)) {
    TlsIndex index{module.tls_module, 0};
    auto** words = static_cast<void**>(__tls_get_addr(&index));
    for (size_t i = 0; i < module.words; i++) {
      if (is_bound_call(words[i], low, high) && visit(module.tls_module, i, words[i])) return true;
    }
  }
  return false;
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
  if (!dict) return false;
  ObjectLock hold(dict);
  PyObject *key, *value;
  for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
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
  Exclusive hold;
  if (!search) search = new Search;
  Dl_info own;
  std::string own_folder = dladdr(kText, &own) ? folder_of(own.dli_fname) : "";
  dl_iterate_phdr(look_at, nullptr);
  const Modules* before = modules.load(std::memory_order_relaxed);
  Modules all = *before;
  for (auto& [name, module] : search->found) {
    if (folder_of(name) == own_folder) continue;   // gort's own parking functions are none of pybind11's
    // Its number stays its own only while it is loaded.
    if (dlopen(name.c_str(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE)) all.push_back(module);
  }
  search->found.clear();
  if (all.size() != before->size()) modules.store(new Modules(std::move(all)), std::memory_order_release);
  if (!modules.load(std::memory_order_relaxed)->empty() || has_other_internals(PyEval_GetBuiltins()) ||
      has_other_internals(PyInterpreterState_GetDict(PyInterpreterState_Get()))) {
    found_others = true;
  }
}

bool present() { return found_others.load(std::memory_order_relaxed); }

#ifdef GORT_WITHOUT_GIL

namespace {
void set(const Head& head, void* value) {
  if (head.module == 0) {
    pthread_setspecific(pthread_key_t(head.place), value);
    return;
  }
  TlsIndex index{head.module, 0};
  static_cast<void**>(__tls_get_addr(&index))[head.place] = value;
}
}  // namespace

void lift(const char* high, Calls& calls) {
  for_each_head(static_cast<char*>(__builtin_frame_address(0)), high, [&](size_t module, size_t place, void* word) {
    calls.push_back({module, place, word});
    return false;
  });
  for (const Head& head : calls) set(head, nullptr);
}

void put_back(Calls& calls) {
  for (const Head& head : calls) set(head, head.value);
  calls.clear();
}

#else

bool in_bound_call(const char* high) {
  if (!present()) return false;
  return for_each_head(static_cast<char*>(__builtin_frame_address(0)), high, [](size_t, size_t, void*) { return true; });
}

#endif

}  // namespace gort::python::guests
