/* Work for the case native_pair: a chain of multiplications that no compiler can shorten. */
#include <stdint.h>

struct spin {
  int64_t rounds;
  uint64_t value;
};

void spin(void* argument) {
  struct spin* s = (struct spin*)argument;
  uint64_t value = s->value;
  for (int64_t i = 0; i < s->rounds; i++) value = value * 6364136223846793005u + 1442695040888963407u;
  s->value = value;
}
