#include "state_swap.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include <cstring>
#include <vector>

namespace gort::python {

void StateSwap::use_public(const char* reason) {
  raw_ = false;
  why_not_ = reason;
}

#ifndef GORT_RAW_SWAP

void StateSwap::learn(PyThreadState*) {
#if PY_VERSION_HEX < 0x030c0000
  use_public("this version's PyThreadState_Swap does no more than it must");
#elif !defined(GORT_WITHOUT_GIL)   // there goroutines have no states to be exchanged (carry.h)
  use_public("free-threaded builds bind memory and reference counts to thread states");
#endif
}

void StateSwap::check() {}

#else

namespace {

// A place that holds the address of the current state, or seems to.
template <class Place>
struct Watch {
  std::vector<Place> places;
  template <class Read>
  void keep_if(PyThreadState* value, Read read) {
    std::erase_if(places, [&](const Place& place) { return read(place) != value; });
  }
};

PyThreadState* read_word(char* address) { return *reinterpret_cast<PyThreadState* volatile*>(address); }
PyThreadState* read_key(unsigned key) { return static_cast<PyThreadState*>(pthread_getspecific(key)); }

void add_words(Watch<char*>& watch, char* begin, size_t size, PyThreadState* value) {
  begin += -reinterpret_cast<uintptr_t>(begin) & 7;
  for (size_t i = 0; i + 8 <= size; i += 8) {
    if (read_word(begin + i) == value) watch.places.push_back(begin + i);
  }
}

struct Block {
  const void* base;          // of the module
  char* begin = nullptr;
  size_t size = 0;
};

// The calling thread's thread-local block of the module at `base`.
Block thread_local_block(const void* base) {
  Block block{base};
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* argument) {
        auto* wanted = static_cast<Block*>(argument);
        bool here = false;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          const auto& header = info->dlpi_phdr[i];
          uintptr_t begin = info->dlpi_addr + header.p_vaddr, address = reinterpret_cast<uintptr_t>(wanted->base);
          here = here || (header.p_type == PT_LOAD && address >= begin && address < begin + header.p_memsz);
        }
        if (!here || !info->dlpi_tls_data) return 0;
        for (int i = 0; i < info->dlpi_phnum; i++) {
          if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
          wanted->begin = static_cast<char*>(info->dlpi_tls_data);
          wanted->size = info->dlpi_phdr[i].p_memsz;
        }
        return 1;
      },
      &block);
  return block;
}

struct Image {
  unsigned char bytes[sizeof(PyThreadState)];
  explicit Image(const PyThreadState* state) { std::memcpy(bytes, state, sizeof(bytes)); }
  uint32_t status() const {
    uint32_t word;
    std::memcpy(&word, bytes + offsetof(PyThreadState, _status), sizeof(word));
    return word;
  }
};

// Whether a swap may change the byte at this offset of a state.
bool known(size_t offset) {
  auto in = [&](size_t begin, size_t size) { return offset >= begin && offset < begin + size; };
  return in(offsetof(PyThreadState, _status), sizeof(PyThreadState::_status))
#if PY_VERSION_HEX >= 0x030d0000
         || in(offsetof(PyThreadState, state), sizeof(PyThreadState::state)) ||
         in(offsetof(PyThreadState, eval_breaker), sizeof(PyThreadState::eval_breaker))
#endif
#if PY_VERSION_HEX >= 0x030e0000
         || in(offsetof(PyThreadState, holds_gil), sizeof(PyThreadState::holds_gil))
#endif
      ;
}

}  // namespace

const char* StateSwap::observe(PyThreadState* scratch) {
  static_assert(sizeof(PyThreadState::_status) == 4);
  PyThreadState* me = PyThreadState_Get();
  // A state's first time sets more than later ones.
  PyThreadState_Swap(scratch);
  PyThreadState_Swap(me);

  Block local = thread_local_block(reinterpret_cast<const void*>(&PyThreadState_Swap));
  if (!local.begin) return "the interpreter's thread-local block was not found";
  auto* runtime = static_cast<char*>(dlsym(RTLD_DEFAULT, "_PyRuntime"));
  Dl_info where;
  const ElfW(Sym)* symbol = nullptr;
  if (!runtime || !dladdr1(runtime, &where, reinterpret_cast<void**>(const_cast<ElfW(Sym)**>(&symbol)), RTLD_DL_SYMENT) || !symbol ||
      where.dli_saddr != runtime) {
    return "_PyRuntime was not found";
  }
  Watch<char*> words, holders;
  add_words(words, local.begin, local.size, me);
  add_words(holders, runtime, symbol->st_size, me);
  Watch<unsigned> keys;
  for (unsigned key = 0; key < PTHREAD_KEYS_MAX; key++) {
    if (read_key(key) == me) keys.places.push_back(key);
  }

  Image me_on(me), scratch_off(scratch);
  PyThreadState_Swap(scratch);
  Image me_off(me), scratch_on(scratch);
  words.keep_if(scratch, read_word), holders.keep_if(scratch, read_word), keys.keep_if(scratch, read_key);
  PyThreadState_Swap(me);
  words.keep_if(me, read_word), holders.keep_if(me, read_word), keys.keep_if(me, read_key);

  if (words.places.size() != 1) return "the place of the current state is not clear";
  if (holders.places.size() != 1) return "the place of the GIL's last holder is not clear";
  if (keys.places.size() != 1) return "the key of PyGILState is not clear";
  for (size_t i = 0; i < sizeof(PyThreadState); i++) {
    if ((me_on.bytes[i] != me_off.bytes[i] || scratch_on.bytes[i] != scratch_off.bytes[i]) && !known(i)) {
      return "PyThreadState_Swap changes a field of the state that gort does not know";
    }
  }
  uint32_t bits = me_on.status() ^ me_off.status();
  if (bits == 0 || (me_on.status() & bits) != bits || (scratch_on.status() ^ scratch_off.status()) != bits ||
      (scratch_on.status() & bits) != bits) {
    return "the bits of an attached state are not clear";
  }
  current_ = words.places[0] - thread_pointer();
  last_holder_ = reinterpret_cast<std::atomic<PyThreadState*>*>(holders.places[0]);
  gilstate_key_ = keys.places[0];
  attached_bits_ = bits;
  return nullptr;
}

void StateSwap::learn(PyThreadState* scratch) {
  if (const char* problem = observe(scratch)) {
    use_public(problem);
    return;
  }
  // The proof: the raw exchange leaves what the public one leaves, both ways.
  PyThreadState* me = PyThreadState_Get();
  exchange(scratch);
  bool right = PyThreadState_Get() == scratch && PyGILState_GetThisThreadState() == scratch && PyGILState_Check();
  PyThreadState_Swap(me);
  PyThreadState_Swap(scratch);
  exchange(me);
  right = right && PyThreadState_Get() == me && PyGILState_GetThisThreadState() == me && PyGILState_Check();
  raw_ = right;
  why_not_ = right ? "" : "the raw exchange did not do what the public one does";
}

void StateSwap::check() {
  if (!raw_) return;
  PyThreadState* me = PyThreadState_Get();
  if (*reinterpret_cast<PyThreadState**>(thread_pointer() + current_) != me) {
    use_public("the place of the current state differs from thread to thread");
  } else if (read_key(gilstate_key_) != me) {
    use_public("the key of PyGILState has changed");   // CPython makes a new one in the child of a fork
  }
}

#endif

}  // namespace gort::python
