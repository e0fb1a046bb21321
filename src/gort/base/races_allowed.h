// RacesAllowed: while one lives ThreadSanitizer does not look at the plain reads and writes of the calling thread. Atomic ones order others as ever.
//
// For lock-free code of others that reads what may be changing, and throws the result away if it was. REQUIRES: no switch of goroutines inside.
#pragma once

#ifdef GORT_TSAN
extern "C" {   // libtsan's
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace gort {

class RacesAllowed {
 public:
#ifdef GORT_TSAN
  RacesAllowed() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~RacesAllowed() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  RacesAllowed() {}
#endif
  RacesAllowed(const RacesAllowed&) = delete;
  RacesAllowed& operator=(const RacesAllowed&) = delete;
};

}  // namespace gort
