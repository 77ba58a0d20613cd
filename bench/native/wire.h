/* ZIO messages on libzmq's sockets: in one part between CLIENT and SERVER, in
 * several between DEALER and ROUTER. */

#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

enum { PARTS = 4 }; /* of a message at most: delimiter, prefix, coord, payload */

enum kind { HELLO, BOT, PAY, DAT, EOT };

/* What is the same for all messages of a process. Set before any other call. */
extern struct wire {
  bool parts;   /* a DEALER's form */
  long size;    /* of a DAT's payload, at least 8 */
} wire;

/* message is one that has been received. What it points at lies in its parts. */
struct message {
  enum kind kind;
  const char *label;
  size_t length;                /* of the label */
  const unsigned char *payload; /* of a DAT: wire.size bytes */
  zmq_msg_t part[PARTS];
  int parts;
};

/* coord places a message: seqno is counted by the caller. */
struct coord {
  uint64_t origin, seqno;
};

/* die ends the process with a reason. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* check ends the process unless good, with libzmq's reason. */
void check(bool good, const char *what);

/* lend_buffers makes the memory out of which large DATs are lent to libzmq.
 * Whoever sends DATs calls it once before. */
void lend_buffers(void);

void send_hello(void *socket, uint64_t pair);
void send_label(void *socket, struct coord coord, const char *label);

/* send_dat sends a DAT whose payload begins with a number. It waits for a buffer
 * when all are lent. Different threads may call it for different sockets. */
void send_dat(void *socket, struct coord coord, uint64_t number);

/* receive returns false when there is nothing and flags say not to wait; else
 * the caller closes the message. What is no ZIO message ends the process. */
bool receive(void *socket, int flags, struct message *m);

void close_message(struct message *m);

/* number_of is what a DAT's payload begins with. */
uint64_t number_of(const struct message *m);

/* credit_of is the credit that a label bears. */
long credit_of(const struct message *m);

#endif
