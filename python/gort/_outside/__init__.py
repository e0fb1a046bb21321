"""Looking into another process that uses gort: ``gort ps``, ``gort top``, and the commands for gdb.

``memory`` reads another process, ``snapshot`` makes rows of what is there, ``objects`` knows Python's part of it; what they know about gort's memory
is in the two records that ``src/gort/sched/layout.h`` describes. The process is not stopped, runs no code for us, and
need not be able to: its threads may hold the GIL for ever, or be stopped.

Invariants:

- What is read may be torn or gone. Every loop is bounded, every address is checked by what lies there (a goroutine's home, a machine's lane, an
  object's type), a goroutine is read again when its id or its wait has changed meanwhile. So a picture may miss what began or ended while it was
  taken; it never mixes two goroutines, and taking it never fails for that reason, nor hangs.
- These modules need no other part of gort and only Python's standard library, without newer syntax: gdb runs them in an interpreter of its own.

Rejected: ``process_vm_readv`` by ctypes instead of ``/proc/PID/mem``: it asks for the same permission, for each call anew; a file that is
open also tells an ended process from another one with the same number. Symbols from files: the library may have been replaced or lie in
another mount namespace, but its dynamic symbol table is always in memory.
"""
