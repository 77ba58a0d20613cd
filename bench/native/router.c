/* The baseline of native peers with DEALERs: what relay.c is of CLIENTs, with a
 * ROUTER. A message is a delimiter and further parts, which are handed on one by
 * one as they came; only the name in front of them is the partner's.
 *
 *     router ADDRESS
 *
 * A delimiter and one part of 8 bytes is a request to be paired. */

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "pairs.h"

enum { NAME = 5 }; /* bytes of the names that a ROUTER gives: a zero, a number */

static void die(const char *what) {
  fprintf(stderr, "router: %s: %s\n", what, zmq_strerror(errno));
  exit(1);
}

static void receive(void *router, zmq_msg_t *part) {
  zmq_msg_init(part);
  while (zmq_msg_recv(part, router, 0) < 0)
    if (errno != EINTR)
      die("receive");
}

/* drop receives the rest of a message. */
static void drop(void *router, zmq_msg_t *part) {
  while (zmq_msg_more(part)) {
    zmq_msg_close(part);
    receive(router, part);
  }
  zmq_msg_close(part);
}

static void address(void *router, uint32_t to) {
  unsigned char name[NAME] = {0};
  to = htonl(to);
  memcpy(name + 1, &to, sizeof to);
  if (zmq_send(router, name, NAME, ZMQ_SNDMORE) < 0)
    die("name");
}

/* pass hands a part on; a ROUTER drops what is for a peer that has left. */
static void pass(void *router, zmq_msg_t *part, int flags) {
  if (zmq_msg_send(part, router, flags) < 0)
    die("send");
}

static void hello(void *router, zmq_msg_t *request, uint32_t id) {
  uint64_t pair;
  memcpy(&pair, zmq_msg_data(request), sizeof pair);
  zmq_msg_close(request);
  uint32_t both[] = {join(pair, id), id};
  for (int i = 0; both[0] && i < 2; i++) {
    address(router, both[i]);
    if (zmq_send(router, "", 0, ZMQ_SNDMORE) < 0 || zmq_send(router, &pair, sizeof pair, 0) < 0)
      die("hello");
  }
}

static void relay(void *router) {
  zmq_msg_t part;
  receive(router, &part);
  uint32_t id;
  if (zmq_msg_size(&part) != NAME)
    die("a name that was not given here");
  memcpy(&id, (unsigned char *)zmq_msg_data(&part) + 1, sizeof id);
  id = ntohl(id); /* so that neighbours lie in neighbouring slots */
  zmq_msg_close(&part);
  receive(router, &part);
  if (zmq_msg_size(&part) || !zmq_msg_more(&part)) {
    drop(router, &part); /* not a delimiter, or nothing behind it */
    return;
  }
  zmq_msg_t second;
  receive(router, &second);
  if (!zmq_msg_more(&second) && zmq_msg_size(&second) == sizeof(uint64_t)) {
    zmq_msg_close(&part);
    hello(router, &second, id);
    return;
  }
  address(router, *partner_of(id));
  pass(router, &part, ZMQ_SNDMORE);
  while (zmq_msg_more(&second)) {
    pass(router, &second, ZMQ_SNDMORE);
    receive(router, &second);
  }
  pass(router, &second, 0);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: router ADDRESS\n");
    return 2;
  }
  void *context = zmq_ctx_new();
  void *router = zmq_socket(context, ZMQ_ROUTER);
  int none = 0, backlog = 4096;
  if (!router || zmq_setsockopt(router, ZMQ_SNDHWM, &none, sizeof none) ||
      zmq_setsockopt(router, ZMQ_RCVHWM, &none, sizeof none) ||
      zmq_setsockopt(router, ZMQ_BACKLOG, &backlog, sizeof backlog) || zmq_bind(router, argv[1]))
    die(argv[1]);
  char bound[256];
  size_t size = sizeof bound;
  if (zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, bound, &size))
    die("endpoint");
  printf("%s\n", bound);
  fflush(stdout);
  for (;;)
    relay(router);
}
