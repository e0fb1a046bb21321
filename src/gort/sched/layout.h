// LayoutRecord: what a program outside needs to read the scheduler out of our memory: `gort ps`, `gort top`, the script for gdb.
//
// libgort exports one record, gort_layout; the Python bindings export a second one, gort_python_layout, for the objects behind Python
// goroutines. A reader finds the libraries in /proc/PID/maps and the records in their dynamic symbol tables. It reads by process memory alone
// (/proc/PID/mem, a core file): nothing runs in this process for it, nobody is stopped, and no lock is taken. So it works
// while a thread holds the GIL for ever, and a process that hangs can still be looked into.
//
// A record is a list of named numbers: offsets of fields ("g.id"), sizes ("g.size"), addresses ("runtime") and counts. Wire format,
// little-endian: magic[8] "gortmap\n", version u32, count u32, the library's version char[16], then count times { name char[24], value u64 }.
//
// Invariants
//  1. The magic is written last: a record that has it is complete. It never changes afterwards, in a fork's child neither.
//  2. A number's name says what it means for as long as kLayoutVersion stays. A field may be added without a new version; one that
//     goes or changes its meaning, or a new way of linking things together, needs one. Readers refuse other versions.
//  3. What is read may be torn: the writer knows nothing of its readers. What makes that bearable holds already: the memory of a G
//     is type-stable, of an ended thread's G and M it is kept for the next 256; ids and tickets (G::id, G::wait_word) tell whether two reads saw the same
//     goroutine in the same wait. A reader checks G::home and M::lane, bounds every loop, and takes no pointer on trust.
//
// Costs nothing where goroutines switch: everything shown existed before, and the record is written once, when the runtime is made.
//
// Rejected: a shared page that the scheduler keeps up to date (stores on the hot path, and a second truth beside the Gs); a thread in the
// process that answers (it would need to run, and for Python's part the GIL); debug information (not in a wheel, and different in each build); one
// struct of offsets instead of names (a new field moves the others, and a reader sees what it does not know as nonsense).
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort {

class Runtime;

inline constexpr uint32_t kLayoutVersion = 1;

class LayoutRecord {
 public:
  // add REQUIRES: publish has not been called; at most kMost numbers; a name of at most 23 characters.
  void add(const char* name, uint64_t value);
  void publish();

 private:
  static constexpr size_t kMost = 128;
  struct Field {
    char name[24];
    uint64_t value;
  };
  char magic_[8] = {};
  uint32_t version_ = 0;
  uint32_t count_ = 0;
  char library_[16] = {};
  Field fields_[kMost] = {};
};

// publish_layout fills gort_layout. Once, when the runtime has been made.
void publish_layout(Runtime& runtime);

}  // namespace gort

extern "C" {
extern gort::LayoutRecord gort_layout;
}
