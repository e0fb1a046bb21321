#include "waits.h"

#include <cstdio>

#include "goroutine_object.h"
#include "gort/chan/channel.h"
#include "gort/sync/mutex.h"
#include "gort/sync/rwmutex.h"
#include "gort/sync/wait_group.h"
#include "python_lane.h"

namespace gort::python {
namespace {

std::string address(const void* p) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(reinterpret_cast<uintptr_t>(p)));
  return text;
}

std::string channel_text(const Channel* channel) {
  std::string text = "chan " + address(channel);
  if (const char* name = channel->name()) text += std::string(" \"") + name + "\"";
  if (channel->closed()) return text + " (closed)";
  return text + " (len " + std::to_string(channel->length()) + ", cap " + std::to_string(channel->capacity()) + ")";
}

// The kind of thing that a wait of this reason is for; "" if the reason says it all.
const char* kind_of(WaitReason reason) {
  switch (reason) {
    case WaitReason::ChanReceive:
    case WaitReason::ChanSend:
      return "chan";
    case WaitReason::MutexLock:
      return "Mutex";
    case WaitReason::RWMutexRLock:
    case WaitReason::RWMutexLock:
      return "RWMutex";
    case WaitReason::WaitGroupWait:
      return "WaitGroup";
    case WaitReason::CondWait:
      return "Cond";
    case WaitReason::Semacquire:
      return "semaphore";
    default:
      return "";
  }
}

void look_into(Wait& wait, WaitReason reason, const void* on) {
  switch (reason) {
    case WaitReason::ChanReceive:
    case WaitReason::ChanSend:
      wait.on.push_back(channel_text(static_cast<const Channel*>(on)));
      return;
    case WaitReason::MutexLock:
      wait.holder = static_cast<const Mutex*>(on)->holder();
      break;
    case WaitReason::RWMutexRLock:
    case WaitReason::RWMutexLock:
      wait.holder = static_cast<const RWMutex*>(on)->holder();
      break;
    case WaitReason::WaitGroupWait:
      wait.on.push_back("WaitGroup " + address(on) + " (counter " + std::to_string(static_cast<const WaitGroup*>(on)->count()) + ")");
      return;
    case WaitReason::Join:
      wait.on.push_back("goroutine " + std::to_string(static_cast<const GoroutineObject*>(on)->id.load(std::memory_order_relaxed)));
      return;
    default:
      break;
  }
  if (const char* kind = kind_of(reason); *kind) wait.on.push_back(std::string(kind) + " " + address(on));
}

}  // namespace

Wait wait_of(G* g, bool asleep) {
  Wait wait;
  if (g->status.load(std::memory_order_acquire) != Status::Waiting) return wait;
  WaitReason reason = g->wait_reason.load(std::memory_order_relaxed);
  const void* on = g->waiting_on.load(std::memory_order_relaxed);
  bool safe = asleep || g->lane.load(std::memory_order_relaxed) == &lane();
  if (reason == WaitReason::Select && safe) {
    for (uint32_t i = 0; i < g->arm_count; i++) {
      const Waiter& arm = g->arms[i];
      wait.on.push_back((arm.is_send ? "send " : "recv ") + channel_text(arm.channel));
    }
  }
  if (!on) return wait;
  if (safe) look_into(wait, reason, on);
  else if (const char* kind = kind_of(reason); *kind) wait.on.push_back(std::string(kind) + " " + address(on));
  return wait;
}

std::string wait_text(G* g, bool asleep) {
  Wait wait = wait_of(g, asleep);
  std::string text;
  for (const std::string& on : wait.on) text += (text.empty() ? "waiting for " : ", ") + on;
  if (wait.holder != 0) text += ", held by goroutine " + std::to_string(wait.holder);
  return text;
}

}  // namespace gort::python
