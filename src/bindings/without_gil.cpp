#include "without_gil.h"

namespace gort::python {

#ifdef GORT_WITHOUT_GIL

namespace {

PyMutex exclusive;

struct Look {
  void (*function)(void*);
  void* argument;
  bool done;
};

// One object is enough; there always is one that the collector knows.
int look_once(PyObject*, void* argument) {
  auto* look = static_cast<Look*>(argument);
  if (!look->done) look->function(look->argument);
  look->done = true;
  return 0;
}

}  // namespace

Exclusive::Exclusive() { PyMutex_Lock(&exclusive); }
Exclusive::~Exclusive() { PyMutex_Unlock(&exclusive); }

void while_all_stand(void (*function)(void*), void* argument) {
  Look look{function, argument, false};
  PyUnstable_GC_VisitObjects(look_once, &look);
}

#else

Exclusive::Exclusive() {}
Exclusive::~Exclusive() {}

void while_all_stand(void (*function)(void*), void* argument) { function(argument); }

#endif

}  // namespace gort::python
