/* The baseline of native peers: a SERVER that hands every message of a peer to
 * its partner as it came, and knows nothing of the flow protocol: no credit, no
 * label, no end.
 *
 *     relay ADDRESS
 *
 * Prints the bound address when it is ready, and relays until it is killed. A
 * message of 8 bytes, shorter than any of ZIO's, is a peer's request to be
 * paired with the next one that sends the same 8 bytes; both get them back. */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { PAIRS = 1 << 16, SLOTS = 1 << 18 };

static uint32_t waiting[PAIRS]; /* by pair: the routing id that came first */
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

static void die(const char *what) {
  fprintf(stderr, "relay: %s: %s\n", what, zmq_strerror(errno));
  exit(1);
}

static void pass(void *server, zmq_msg_t *msg, uint32_t to) {
  if (zmq_msg_set_routing_id(msg, to))
    die("routing id");
  if (zmq_msg_send(msg, server, ZMQ_DONTWAIT) < 0)
    zmq_msg_close(msg); /* the peer has left */
}

static void join(void *server, zmq_msg_t *hello, uint32_t id) {
  uint64_t pair;
  memcpy(&pair, zmq_msg_data(hello), sizeof pair);
  uint32_t *first = &waiting[pair % PAIRS];
  if (!*first) {
    *first = id;
    zmq_msg_close(hello);
    return;
  }
  *partner_of(id) = *first;
  *partner_of(*first) = id;
  zmq_msg_t copy;
  zmq_msg_init(&copy);
  zmq_msg_copy(&copy, hello);
  pass(server, &copy, *first);
  pass(server, hello, id);
  *first = 0;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: relay ADDRESS\n");
    return 2;
  }
  void *context = zmq_ctx_new();
  void *server = zmq_socket(context, ZMQ_SERVER);
  int none = 0, backlog = 4096;
  if (!server || zmq_setsockopt(server, ZMQ_SNDHWM, &none, sizeof none) ||
      zmq_setsockopt(server, ZMQ_RCVHWM, &none, sizeof none) ||
      zmq_setsockopt(server, ZMQ_BACKLOG, &backlog, sizeof backlog) || zmq_bind(server, argv[1]))
    die(argv[1]);
  char bound[256];
  size_t size = sizeof bound;
  if (zmq_getsockopt(server, ZMQ_LAST_ENDPOINT, bound, &size))
    die("endpoint");
  printf("%s\n", bound);
  fflush(stdout);

  for (;;) {
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, server, 0) < 0) {
      if (errno == EINTR)
        continue;
      die("receive");
    }
    uint32_t id = zmq_msg_routing_id(&msg);
    if (zmq_msg_size(&msg) == 8)
      join(server, &msg, id);
    else
      pass(server, &msg, *partner_of(id));
  }
}
