/* The C half of the example extension: no libgort, only the table in gort._C_API. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

#include "gort/python/c_api.h"

static const gort_api* gort;

struct work {
  gort_chan* in;
  gort_chan* out;
};

/* A native goroutine: squares what it receives. The last thing it sends is what stopped it, negative. */
static void square(void* argument) {
  struct work* work = argument;
  int64_t n, last;
  int result;
  gort->sleep(1000);
  while ((result = gort->chan_recv(work->in, &n, GORT_FOREVER)) == GORT_OK) {
    n *= n;
    if ((result = gort->chan_send(work->out, &n, GORT_FOREVER)) != GORT_OK) break;
    gort->yield();
  }
  last = -result;
  gort->chan_send(work->out, &last, GORT_FOREVER);
  gort->chan_close(work->out);
  gort->chan_release(work->in);
  gort->chan_release(work->out);
  free(work);
}

/* start(numbers) -> Chan: starts a goroutine that squares the numbers; the channel gives the squares. */
static PyObject* start(PyObject* self, PyObject* object) {
  struct work* work;
  gort_chan* in = gort->chan_of("start", "numbers", object, "i64", GORT_RECEIVE);
  gort_chan* out;
  PyObject* squares;
  (void)self;
  if (in == NULL) return NULL;
  out = gort->chan_new("i64", 2);
  squares = out ? gort->chan_object(out) : PyErr_NoMemory();
  work = squares ? malloc(sizeof(*work)) : NULL;
  if (work != NULL) {
    work->in = in;
    work->out = out;
    if (gort->go(square, work) == GORT_OK) return squares;
    free(work);
  }
  if (out != NULL) gort->chan_release(out);
  gort->chan_release(in);
  Py_XDECREF(squares);
  return work == NULL && PyErr_Occurred() ? NULL : PyErr_NoMemory();
}

/* total(numbers, timeout) -> int: parks the caller, a Python goroutine or thread, until numbers is closed. timeout: ns for each value. */
static PyObject* total(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  int64_t sum = 0, n, timeout;
  int result;
  gort_chan* in;
  (void)self;
  if (nargs != 2) return PyErr_Format(PyExc_TypeError, "total: takes 2 arguments, got %zd", nargs);
  timeout = PyLong_AsLongLong(args[1]);
  if (timeout == -1 && PyErr_Occurred()) return NULL;
  in = gort->chan_of("total", "numbers", args[0], "i64", GORT_RECEIVE);
  if (in == NULL || gort->attach() < 0) return NULL;
  while ((result = gort->chan_recv(in, &n, timeout)) == GORT_OK) sum += n;
  gort->chan_release(in);
  return result == GORT_CLOSED ? PyLong_FromLongLong(sum) : gort->raise(result);
}

/* put(numbers, n): sends one number. */
static PyObject* put(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  int64_t n;
  int result;
  gort_chan* out;
  (void)self;
  if (nargs != 2) return PyErr_Format(PyExc_TypeError, "put: takes 2 arguments, got %zd", nargs);
  n = PyLong_AsLongLong(args[1]);
  if (n == -1 && PyErr_Occurred()) return NULL;
  out = gort->chan_of("put", "numbers", args[0], "i64", GORT_SEND);
  if (out == NULL || gort->attach() < 0) return NULL;
  result = gort->chan_send(out, &n, GORT_FOREVER);
  gort->chan_release(out);
  if (result != GORT_OK) return gort->raise(result);
  Py_RETURN_NONE;
}

/* describe() -> (version, size, the size this module was built with, goroutine id) */
static PyObject* describe(PyObject* self, PyObject* unused) {
  (void)self;
  (void)unused;
  if (!GORT_HAS(gort, raise) || gort->attach() < 0) return NULL;
  return Py_BuildValue("IInK", (unsigned)gort->version, (unsigned)gort->size, (Py_ssize_t)sizeof(gort_api),
                       (unsigned long long)gort->goroutine_id());
}

static PyMethodDef functions[] = {{"start", start, METH_O, NULL},
                                  {"total", (PyCFunction)(void (*)(void))total, METH_FASTCALL, NULL},
                                  {"put", (PyCFunction)(void (*)(void))put, METH_FASTCALL, NULL},
                                  {"describe", describe, METH_NOARGS, NULL},
                                  {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_plain", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__plain(void) {
  gort = gort_import();
  return gort == NULL ? NULL : PyModule_Create(&module);
}
