/* The native goroutines of test_exactly_once.py, by the table of gort._C_API: started with go_native, they need no Python. */
#include <stdint.h>
#include <string.h>

#include "gort/python/c_api.h"

struct traffic {
  const gort_api* gort;
  gort_chan* channels[4];
  int64_t open;     /* how many of them are */
  int64_t first;    /* produce: the first value */
  int64_t count;    /* produce: how many to send; consume: how many came */
  int64_t* values;  /* consume: what came */
  int64_t result;   /* of the call that went wrong, else 0 */
};

/* Needs the GIL. 0 if that is no Chan of i64. */
gort_chan* channel_of(const gort_api* gort, struct _object* chan) { return gort->chan_of("channel_of", "chan", chan, "i64", GORT_SEND | GORT_RECEIVE); }

/* Sends the values to the open channels in turn, then lets go of all. */
void produce(void* argument) {
  struct traffic* t = argument;
  gort_chan* channels[4];
  int64_t n, open = t->open;
  memcpy(channels, t->channels, sizeof(channels));
  for (n = 0; n < t->count && t->result == 0; n++) {
    int64_t value = t->first + n, which = n % open;
    int result;
    while ((result = t->gort->chan_send(channels[which], &value, GORT_FOREVER)) == GORT_CLOSED && open > 1) {
      channels[which] = channels[--open];
      which = n % open;
    }
    t->result = result;
  }
  for (n = 0; n < t->open; n++) t->gort->chan_release(t->channels[n]);
}

/* Receives from the first channel until it is closed. */
void consume(void* argument) {
  struct traffic* t = argument;
  int result;
  while ((result = t->gort->chan_recv(t->channels[0], &t->values[t->count], GORT_FOREVER)) == GORT_OK) t->count++;
  t->result = result == GORT_CLOSED ? 0 : result;
  t->gort->chan_release(t->channels[0]);
}
