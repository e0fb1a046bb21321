/* gort for extension authors who do not want to link libgort: a table of C functions in the capsule gort._C_API.
 *
 *   #include <Python.h>
 *   #include "gort/python/c_api.h"
 *
 *   static const gort_api* gort;
 *   ... in the module's init:  if (!(gort = gort_import())) return NULL;
 *
 *   static void work(void* chan) {                       // a native goroutine
 *     int64_t n = compute();
 *     gort->chan_send(chan, &n, GORT_FOREVER);
 *     gort->chan_release(chan);
 *   }
 *   static PyObject* start(PyObject* self, PyObject* object) {
 *     gort_chan* chan = gort->chan_of("start", "out", object, "i64", GORT_SEND);
 *     if (!chan) return NULL;                            // TypeError is set
 *     if (gort->go(work, chan) != GORT_OK) ...
 *     Py_RETURN_NONE;
 *   }
 *   static PyObject* take(PyObject* self, PyObject* object) {   // called from Python, and parks
 *     ...
 *     if (gort->attach() < 0) return NULL;
 *     int result = gort->chan_recv(chan, &n, GORT_FOREVER);
 *     if (result != GORT_OK && result != GORT_CLOSED) return gort->raise(result);
 *
 * Plain C (C99 or later). Python.h is needed for gort_import alone.
 *
 * Rules
 *  1. Functions marked "GIL" need it. The others work from native goroutines, without it, and from functions called from Python, with it:
 *     what waits there is the calling Python goroutine or thread, after attach() has been called in the same function.
 *  2. A function called from Python that may park is a plain CPython function (METH_FASTCALL, ...), never one dispatched by pybind11,
 *     nanobind or Cython. No lock of yours is held over a call that may park, and nothing thread-local is kept over it.
 *  3. A goroutine of go() runs as foreign code (Go's cgo call): it has no place among the GOMAXPROCS while it computes, holds up neither
 *     collector nor scheduler, and touches no managed heap. It must not take the GIL, longjmp over a call of the table, or end its thread.
 *  4. When a result is GORT_EXIT the goroutine shall return soon: its run has ended.
 *
 * The table only ever grows at its end: entries keep their meaning and place for as long as `version` is 1. What was added later is there
 * if it lies below `size`: GORT_HAS(api, entry).
 */
#ifndef GORT_PYTHON_C_API_H
#define GORT_PYTHON_C_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GORT_API_VERSION 1
#define GORT_API_CAPSULE "gort._C_API"
#define GORT_FOREVER INT64_MAX
#define GORT_HAS(api, entry) ((api)->size >= offsetof(gort_api, entry) + sizeof((api)->entry))

struct _object; /* PyObject */

enum {
  GORT_OK = 0,
  GORT_TIMEOUT = 1,     /* the timeout passed: nothing was sent or taken */
  GORT_CLOSED = 2,      /* recv: closed and drained, the element is zero; send and close: it was closed already */
  GORT_INTERRUPTED = 3, /* Ctrl-C ended the wait of goroutine 1 */
  GORT_EXIT = 4,        /* the run of this goroutine ends */
  GORT_DEADLOCK = 5,    /* nobody is left who could end the wait */
  GORT_NO_MEMORY = 6
};

enum { GORT_SEND = 1, GORT_RECEIVE = 2 }; /* what a channel is wanted for; may be added */

typedef struct gort_chan gort_chan; /* a typed channel; references are counted */

typedef struct gort_api {
  uint32_t version; /* GORT_API_VERSION of the gort that runs */
  uint32_t size;    /* sizeof(gort_api) there */

  /* go starts function(argument) as a native goroutine. GORT_OK or GORT_NO_MEMORY. */
  int (*go)(void (*function)(void* argument), void* argument);
  void (*yield)(void);               /* lets others run */
  int (*sleep)(int64_t nanoseconds); /* parks; GORT_OK when they have passed */
  uint64_t (*goroutine_id)(void);    /* the caller's, never reused */

  /* GIL. chan_of gives the channel of a gort.Chan (a new reference), or NULL with TypeError set, which names function and argument, if it
   * is none of that dtype ("i8" .. "u64", "f32", "f64", "bool", "bytes1" .. "bytes65535"), or does not allow what it is wanted for. */
  gort_chan* (*chan_of)(const char* function, const char* argument, struct _object* object, const char* dtype, int wanted);
  /* GIL. chan_object makes a gort.Chan of a channel; NULL with MemoryError set. */
  struct _object* (*chan_object)(gort_chan* chan);
  /* chan_new makes one, with one reference. NULL: no such dtype, a capacity below 0, or no memory. */
  gort_chan* (*chan_new)(const char* dtype, int64_t capacity);
  void (*chan_retain)(gort_chan* chan);
  void (*chan_release)(gort_chan* chan);

  /* These park for at most timeout nanoseconds; 0 and less tries once. The element has the C type of the dtype; of bytesN it is N bytes. */
  int (*chan_send)(gort_chan* chan, const void* element, int64_t timeout);
  int (*chan_recv)(gort_chan* chan, void* element, int64_t timeout);
  int (*chan_close)(gort_chan* chan);
  int64_t (*chan_len)(gort_chan* chan); /* values in the buffer */
  int64_t (*chan_cap)(gort_chan* chan);

  /* GIL. attach makes the calling thread known to gort, once per call from Python that may park. -1 with an exception set. */
  int (*attach)(void);
  /* GIL. raise sets the Python exception for a result other than GORT_OK and returns NULL: TimeoutError, PanicError for a closed
   * channel, KeyboardInterrupt, GoExit, Deadlock, MemoryError. */
  struct _object* (*raise)(int result);
} gort_api;

#ifdef Py_PYTHON_H
/* gort_import imports gort and returns its table; NULL with ImportError set if it is of another version. GIL. */
static inline const gort_api* gort_import(void) {
  const gort_api* api = (const gort_api*)PyCapsule_Import(GORT_API_CAPSULE, 0);
  if (api != NULL && api->version != GORT_API_VERSION) {
    PyErr_Format(PyExc_ImportError, "gort's C table has version %u, this module was built for version %u", (unsigned)api->version,
                 (unsigned)GORT_API_VERSION);
    return NULL;
  }
  return api;
}
#endif

#ifdef __cplusplus
}
#endif

#endif
