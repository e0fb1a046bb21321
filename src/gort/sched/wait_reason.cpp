#include "gort/sched/wait_reason.h"

namespace gort {

const char* wait_reason_text(WaitReason reason) {
  static const char* const kTexts[] = {
      "", "GC assist marking", "IO wait", "garbage collection", "GC sweep wait", "finalizer wait", "semacquire", "sleep",
      "chan receive (nil chan)", "chan send (nil chan)", "select (no cases)", "select", "chan receive", "chan send",
      "sync.Cond.Wait", "sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.WaitGroup.Wait",
      "wait for GC cycle", "GC worker (idle)", "preempted", "stopping the world", "join"};
  static_assert(sizeof(kTexts) / sizeof(kTexts[0]) == int(WaitReason::Count));
  return reason < WaitReason::Count ? kTexts[int(reason)] : "unknown wait reason";
}

}  // namespace gort
