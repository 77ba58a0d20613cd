/* What the relays know of their peers: who is whose partner. */

#ifndef PAIRS_H
#define PAIRS_H

#include <stdint.h>

enum { PAIRS = 1 << 16, SLOTS = 1 << 18 };

static uint32_t waiting[PAIRS]; /* by pair: the peer that came first */
static struct {
  uint32_t id, partner;
} slots[SLOTS]; /* open addressing: far fewer peers than slots */

static uint32_t *partner_of(uint32_t id) {
  uint32_t i = id % SLOTS;
  while (slots[i].id && slots[i].id != id)
    i = (i + 1) % SLOTS;
  slots[i].id = id;
  return &slots[i].partner;
}

/* join returns the partner of a peer that asks for one, or 0 if it is the first
 * of the pair. */
static uint32_t join(uint64_t pair, uint32_t id) {
  uint32_t *first = &waiting[pair % PAIRS], partner = *first;
  if (!partner) {
    *first = id;
    return 0;
  }
  *partner_of(id) = partner;
  *partner_of(partner) = id;
  *first = 0;
  return partner;
}

#endif
