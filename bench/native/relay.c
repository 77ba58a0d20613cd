/* The baseline of native peers: a SERVER that hands every message of a peer to
 * its partner as it came, and knows nothing of the flow protocol: no credit, no
 * label, no end.
 *
 *     relay ADDRESS [SECRET]
 *
 * Prints the bound address when it is ready, and relays until it is killed. A
 * message of 8 bytes, shorter than any of ZIO's, is a peer's request to be
 * paired with the next one that sends the same 8 bytes; both get them back.
 *
 * With a secret key it asks for CURVE, and lets everybody in who knows the
 * public one. */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "pairs.h"

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

static void hello(void *server, zmq_msg_t *msg, uint32_t id) {
  uint64_t pair;
  memcpy(&pair, zmq_msg_data(msg), sizeof pair);
  uint32_t partner = join(pair, id);
  if (!partner) {
    zmq_msg_close(msg);
    return;
  }
  zmq_msg_t copy;
  zmq_msg_init(&copy);
  zmq_msg_copy(&copy, msg);
  pass(server, &copy, partner);
  pass(server, msg, id);
}

static bool secure(void *server, const char *secret) {
  int yes = 1;
  return !zmq_setsockopt(server, ZMQ_CURVE_SERVER, &yes, sizeof yes) &&
         !zmq_setsockopt(server, ZMQ_CURVE_SECRETKEY, secret, strlen(secret) + 1);
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 3) {
    fprintf(stderr, "usage: relay ADDRESS [SECRET]\n");
    return 2;
  }
  void *context = zmq_ctx_new();
  void *server = zmq_socket(context, ZMQ_SERVER);
  int none = 0, backlog = 4096;
  if (!server || zmq_setsockopt(server, ZMQ_SNDHWM, &none, sizeof none) ||
      zmq_setsockopt(server, ZMQ_RCVHWM, &none, sizeof none) ||
      zmq_setsockopt(server, ZMQ_BACKLOG, &backlog, sizeof backlog))
    die("socket");
  if (argc == 3 && !secure(server, argv[2]))
    die("CURVE");
  if (zmq_bind(server, argv[1]))
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
    if (zmq_msg_size(&msg) == sizeof(uint64_t))
      hello(server, &msg, id);
    else
      pass(server, &msg, *partner_of(id));
  }
}
