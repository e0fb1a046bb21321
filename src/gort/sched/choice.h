// The one door through which every random or arbitrary choice of the runtime goes: select order, steal victims, tickets; and, in an explored run, who
// runs next and where a goroutine is interrupted.
//
//   choice::seed(7);          // with one P: the same program takes the same way every time
//   choice::explore(true);    // ... and with another seed another way
//
// Without explore the order of a schedule is Go's (first in, first out), and a seed changes little more than select's choice. An explored one is
// a random walk through what the scheduler's rules allow: the next goroutine is any of the P's queue, and each safe point (every call that may park
// passes one, world.h) may let others run first. Time slices are off, as their ends are a matter of time: a goroutine that makes no call keeps its P.
//
// What a seed does not cover: more than one P; timers and deadlines; goroutines that come back from blocking calls; whatever plain threads do.
//
// Cost when off: none. explore makes every safe point look twice by adding to world::wanted, which they read anyway.
#pragma once

#include <atomic>
#include <cstdint>

#include "gort/base/clock.h"

namespace gort {

struct G;
struct M;
struct P;

namespace choice {

// seed makes all generators start from the given value; 0 takes a fresh random one. Call while nothing else runs.
void seed(uint64_t value);

// below returns a number in [0, n). REQUIRES: n > 0. Uses the calling thread's P's generator.
uint32_t below(uint32_t n);
uint64_t next();

extern std::atomic<bool> explored;

// explore switches the random walk on or off.
void explore(bool on);
inline bool exploring() { return explored.load(std::memory_order_relaxed); }

// steps counts the choices of explored schedules, of a place to interrupt or of a goroutine, since the process began.
uint64_t steps();

// The scheduler's part. at_safe_point lets others run before g, or not; take takes the machine's next goroutine; slice is how long one
// may run before others must have their turn.
void at_safe_point(M* m, G* g);
G* take(M* m);
inline Nanos slice(Nanos usual) { return exploring() ? kForever : usual; }

}  // namespace choice
}  // namespace gort
