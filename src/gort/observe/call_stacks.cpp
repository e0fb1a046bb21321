#include "gort/observe/call_stacks.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <new>
#include <utility>

#include "gort/sched/lane.h"

namespace gort::observe {

const StackKind native_stack{};

namespace {

std::atomic<uint64_t> next_base{1};

SpinLock session_lock{LockRank::Leaf};
std::shared_ptr<CallStacks>& session() {   // guarded by session_lock; never destroyed, as threads may measure while the process ends
  static auto& table = *new std::shared_ptr<CallStacks>;
  return table;
}

uint64_t hash_of(const StackKind& kind, std::span<const Place> places) {
  uint64_t hash = reinterpret_cast<uintptr_t>(&kind);
  for (const Place& place : places) {
    hash = (hash ^ place.where) * 0x9e3779b97f4a7c15;
    hash = (hash ^ hash >> 29 ^ place.offset) * 0xbf58476d1ce4e5b9;
  }
  return hash ^ hash >> 32;
}

struct Module {
  uintptr_t inside;
  uintptr_t low = 0, high = 0;
};

int find_module(dl_phdr_info* info, size_t, void* argument) {
  Module& module = *static_cast<Module*>(argument);
  uintptr_t low = ~uintptr_t(0), high = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    low = std::min<uintptr_t>(low, info->dlpi_addr + segment.p_vaddr);
    high = std::max<uintptr_t>(high, info->dlpi_addr + segment.p_vaddr + segment.p_memsz);
  }
  if (module.inside < low || module.inside >= high) return 0;
  module.low = low;
  module.high = high;
  return 1;
}

bool in_libgort(uintptr_t address) {
  static const Module libgort = [] {
    Module module{reinterpret_cast<uintptr_t>(&native_stack_here)};
    dl_iterate_phdr(find_module, &module);
    return module;
  }();
  return libgort.low <= address && address < libgort.high;
}

}  // namespace

// ---------------------------------------------------------------- the table

CallStacks::CallStacks()
    : base_(next_base.fetch_add(kStacks, std::memory_order_relaxed)),
      slots_(new uint16_t[kSlots]()),
      stacks_(new CallStack[kStacks]),
      places_(new Place[kPlaces]) {}

CallStacks::~CallStacks() {
  for (size_t i = 0; i < stack_count_; i++) {
    if (auto release = stacks_[i].kind_->release) {
      for (const Place& place : stacks_[i].places()) release(place);
    }
  }
}

StackId CallStacks::keep(const StackKind& kind, std::span<const Place> places, bool& taken) {
  taken = false;
  places = places.first(std::min(places.size(), kMostPlaces));
  if (places.empty()) return 0;
  uint64_t hash = hash_of(kind, places);
  std::lock_guard hold(lock_);
  for (size_t slot = hash % kSlots;; slot = (slot + 1) % kSlots) {
    if (slots_[slot] != 0) {
      size_t i = size_t(slots_[slot]) - 1;
      const CallStack& known = stacks_[i];
      if (known.hash_ == hash && known.kind_ == &kind && std::ranges::equal(known.places(), places)) return base_ + i;
      continue;
    }
    if (stack_count_ == kStacks || kPlaces - place_count_ < places.size()) return 0;
    size_t i = stack_count_++;
    slots_[slot] = uint16_t(i + 1);
    CallStack& stack = stacks_[i];
    stack.kind_ = &kind;
    stack.first_ = &places_[place_count_];
    stack.count_ = places.size();
    stack.hash_ = hash;
    std::ranges::copy(places, &places_[place_count_]);
    place_count_ += places.size();
    taken = true;
    return base_ + i;
  }
}

const CallStack* CallStacks::find(StackId id) const {
  std::lock_guard hold(lock_);
  return id >= base_ && id - base_ < stack_count_ ? &stacks_[id - base_] : nullptr;
}

std::shared_ptr<CallStacks> call_stacks() {
  std::lock_guard hold(session_lock);
  return session();
}

std::shared_ptr<CallStacks> set_call_stacks(std::shared_ptr<CallStacks> next) {
  std::lock_guard hold(session_lock);
  return std::exchange(session(), std::move(next));
}

void CallStacks::after_fork_in_child() { new (&lock_) SpinLock(LockRank::Leaf); }

void free_call_stacks_locks() {
  new (&session_lock) SpinLock(LockRank::Leaf);
  if (session()) session()->after_fork_in_child();
}

// ---------------------------------------------------------------- native stacks

namespace {

struct Walk {
  Place places[CallStacks::kMostPlaces];
  size_t count = 0;
  bool outside = false;   // libgort's own frames at the inner end are behind us
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
  Walk& walk = *static_cast<Walk*>(argument);
  uintptr_t address = _Unwind_GetIP(context);
  if (address == 0) return _URC_END_OF_STACK;
  address--;   // the call, not what follows it
  if (!walk.outside && in_libgort(address)) return _URC_NO_REASON;
  walk.outside = true;
  walk.places[walk.count++] = {address, 0};
  return walk.count == CallStacks::kMostPlaces ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

// Go hides the runtime's frames at both ends of a stack; so do we.
StackId native_stack_here() {
  std::shared_ptr<CallStacks> stacks = call_stacks();
  if (!stacks) return 0;
  Walk walk;
  _Unwind_Backtrace(visit, &walk);
  while (walk.count > 0 && in_libgort(walk.places[walk.count - 1].where)) walk.count--;
  bool taken;
  return stacks->keep(native_stack, {walk.places, walk.count}, taken);
}

StackId stack_here() {
  M* m = this_machine();
  LaneHooks* hooks = m ? m->lane->hooks() : nullptr;
  return hooks ? hooks->stack_here() : native_stack_here();
}

NativeFrame describe_native(const Place& place) {
  NativeFrame frame;
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(place.where), &info)) return frame;
  frame.file = info.dli_fname ? info.dli_fname : "";
  frame.offset = place.where - reinterpret_cast<uintptr_t>(info.dli_fbase);
  if (!info.dli_sname) return frame;
  int status = 0;
  char* name = abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &status);
  frame.function = name ? name : info.dli_sname;
  std::free(name);
  return frame;
}

}  // namespace gort::observe
