// allocate: Go's mallocgc. Where every object of the managed heap comes from.
//
//   size (with its header)          where                                                     Go's word
//   0                               one address for all, outside the heap                      zerobase
//   1 .. 15, no pointers            packed into 16-byte blocks, each block one object           tiny allocator
//   .. 32760                        a slot of a span of its size class, from the caller's P     small
//   above                           a span of its own, from the page heap                       large
//
// Memory is zeroed up to the end of the slot. Objects are aligned to 8 bytes (tiny ones by their size: 8, 4, 2 or 1).
//
// While a cycle marks, objects are born black. This costs the fast path nothing: a span that comes into a cache gets all its free
// slots marked at once, and what was not used is unmarked when marking ends (heap/cache.h). Rejected: Go's test of the phase and
// atomic mark at every allocation.
//
// Where C++ may hold pointers to objects: native goroutine stacks and registers (scanned conservatively), heap objects
// (through Pointer<T>, heap/object.h) and handles (heap/handle.h). Nowhere else: not in malloc memory, thread_local, globals.
// On a stack an interior pointer keeps its object, and so does one past the end of an array (arrays get one byte more than they
// ask for). One past the end of a single object does not: a slot has no spare byte. Rejected: a spare byte for single objects
// (a 16-byte tree node would take 24), and keeping both neighbours of a pointer that lies on a slot's edge (a root on the stack
// would keep whatever dead tree was allocated before it).
#pragma once

#include <cstddef>

#include "gort/heap/type.h"

namespace gort::heap {

// allocate returns a zeroed object of the type.
// A safe point; on a native goroutine it may yield while a collection is behind (an allocator may not outrun the collector).
// Throws std::bad_alloc when the address range or the machine is out of memory.
// REQUIRES: the caller is a mutator: a native goroutine, or inside a world::MutatorScope.
void* allocate(const HeapType& type);

// allocate_array returns n zeroed elements in one object. As allocate; n == 0 gives a valid pointer to no element.
// Throws std::length_error if the bytes do not fit the address range.
void* allocate_array(const HeapType& element, size_t n);

// object_base returns the start of the object that p points to or into, or null if p does not point to an allocated object
// of the heap. REQUIRES: mutator.
void* object_base(const void* p);

// usable_size is the number of bytes of the object's slot that belong to the caller: at least what was asked for.
// REQUIRES: object came from allocate; mutator.
size_t usable_size(const void* object);

}  // namespace gort::heap
