/* What test_go_native.py starts: void (*)(void *) functions, compiled by the test. Built as C or as C++. */
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

struct meeting {
  int64_t parties; /* how many must be here at once */
  int64_t arrived;
  int64_t ticks; /* counted up by Python */
  int64_t wanted; /* ticks that must be seen */
  int64_t met;
};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Spins, with no call that could let another one run, until all parties are here and Python has moved. Gives up after a minute. */
void meet(void* argument) {
  struct meeting* m = (struct meeting*)argument;
  double end = seconds() + 60;
  __atomic_fetch_add(&m->arrived, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&m->arrived, __ATOMIC_SEQ_CST) < m->parties || __atomic_load_n(&m->ticks, __ATOMIC_SEQ_CST) < m->wanted) {
    if (seconds() > end) return;
  }
  __atomic_fetch_add(&m->met, 1, __ATOMIC_SEQ_CST);
}

/* Waits until the byte is no longer 0, then sets the next one. */
void wait_for_byte(void* argument) {
  volatile uint8_t* bytes = (volatile uint8_t*)argument;
  while (bytes[0] == 0) usleep(100);
  bytes[1] = 1;
}

void add_one(void* argument) { ++*(int64_t*)argument; }

static int64_t nulls;
void count_null(void* argument) { nulls += argument == 0; }
int64_t nulls_seen(void) { return nulls; }

/* Uses so many KiB of its stack. */
static int64_t dig(int64_t kib) {
  volatile char here[1024];
  here[0] = (char)kib;
  return kib <= 1 ? here[0] : dig(kib - 1) + here[0];
}
void use_stack(void* argument) {
  int64_t* kib = (int64_t*)argument;
  *kib = dig(*kib) ? 1 : 1;
}

#ifdef __cplusplus
}
#endif
