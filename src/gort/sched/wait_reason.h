// Why a goroutine waits: Go's words (waitReasonStrings), in Go's order, for dumps, profiles and schedtrace.
#pragma once

#include <cstdint>

namespace gort {

enum class WaitReason : uint8_t {
  None,
  GCAssistMarking,
  IOWait,
  GarbageCollection,
  GCSweepWait,
  FinalizerWait,
  Semacquire,
  Sleep,
  ChanReceiveNil,
  ChanSendNil,
  SelectNoCases,
  Select,
  ChanReceive,
  ChanSend,
  CondWait,
  MutexLock,
  RWMutexRLock,
  RWMutexLock,
  WaitGroupWait,
  WaitForGCCycle,
  GCWorkerIdle,
  Preempted,
  StoppingTheWorld,
  Join,
  Count,
};

// wait_reason_text is Go's text for the reason ("chan receive", "sync.Mutex.Lock", ...); "" for None.
const char* wait_reason_text(WaitReason reason);

}  // namespace gort
