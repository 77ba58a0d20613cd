#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  COPIED = 8 << 10, /* payloads up to this size are copied, not lent */
  COORD = 24,
  HEAD = 8,         /* of a prefix: magic, level, form */
  ROOM = 512,       /* for all of a message but its payload */
};

struct wire wire;

static const char magic[] = "ZIO0FLOW";
static const char dat[] = "{\"flow\":\"DAT\"}";

void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "load: ");
  vfprintf(stderr, format, list);
  fprintf(stderr, "\n");
  exit(1);
}

void check(bool good, const char *what) {
  if (!good)
    die("%s: %s", what, zmq_strerror(errno));
}

static size_t put_prefix(unsigned char *out, const char *label) {
  size_t length = strlen(label);
  memcpy(out, magic, HEAD);
  memcpy(out + HEAD, label, length);
  return HEAD + length;
}

static void put_coord(unsigned char *out, struct coord coord) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  uint64_t fields[3] = {coord.origin, (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000, coord.seqno};
  memcpy(out, fields, COORD);
}

/* put_head writes a message of one part but for the bytes of its payload, and
 * returns its size. */
static size_t put_head(unsigned char *out, const char *label, struct coord coord, long payload) {
  size_t length = put_prefix(out + 1, label);
  unsigned char *p = out + 1 + length;
  out[0] = (unsigned char)length;
  *p++ = COORD;
  put_coord(p, coord);
  p += COORD;
  if (payload > 254) {
    *p++ = 0xff;
    for (int shift = 24; shift >= 0; shift -= 8)
      *p++ = (unsigned char)(payload >> shift);
  } else if (payload) {
    *p++ = (unsigned char)payload;
  }
  return (size_t)(p - out);
}

static void send_bytes(void *socket, const void *data, size_t size, int flags, const char *what) {
  check(zmq_send(socket, data, size, flags) >= 0, what);
}

/* send_parts sends the parts in front of a payload, of which more is to come. */
static void send_parts(void *socket, const char *label, struct coord coord, int more) {
  unsigned char prefix[ROOM], place[COORD];
  send_bytes(socket, "", 0, ZMQ_SNDMORE, "delimiter");
  send_bytes(socket, prefix, put_prefix(prefix, label), ZMQ_SNDMORE, label);
  put_coord(place, coord);
  send_bytes(socket, place, COORD, more, label);
}

void send_hello(void *socket, uint64_t pair) {
  if (wire.parts)
    send_bytes(socket, "", 0, ZMQ_SNDMORE, "hello");
  send_bytes(socket, &pair, sizeof pair, 0, "hello");
}

void send_label(void *socket, struct coord coord, const char *label) {
  unsigned char out[ROOM];
  if (strlen(label) > 254 - HEAD)
    die("label of %zu bytes", strlen(label));
  if (wire.parts)
    send_parts(socket, label, coord, 0);
  else
    send_bytes(socket, out, put_head(out, label, coord, 0), 0, label);
}

/* Large payloads are lent to libzmq out of a few buffers, which it gives back
 * when they have gone out. */
static struct buffer {
  unsigned char *data;
  struct buffer *next;
} *spare; /* guarded by spare_mutex */
static pthread_mutex_t spare_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t returned = PTHREAD_COND_INITIALIZER;

static void give_back(void *data, void *hint) {
  struct buffer *b = hint;
  (void)data;
  pthread_mutex_lock(&spare_mutex);
  b->next = spare;
  spare = b;
  pthread_cond_signal(&returned);
  pthread_mutex_unlock(&spare_mutex);
}

void lend_buffers(void) {
  if (wire.size <= COPIED)
    return;
  long n = (32 << 20) / wire.size;
  n = n < 4 ? 4 : n > 64 ? 64 : n;
  for (long i = 0; i < n; i++) {
    struct buffer *b = malloc(sizeof *b);
    b->data = malloc((size_t)wire.size + ROOM);
    memset(b->data, 'x', (size_t)wire.size + ROOM);
    give_back(NULL, b);
  }
}

static struct buffer *borrow(void) {
  pthread_mutex_lock(&spare_mutex);
  while (!spare)
    pthread_cond_wait(&returned, &spare_mutex);
  struct buffer *b = spare;
  spare = b->next;
  pthread_mutex_unlock(&spare_mutex);
  return b;
}

void send_dat(void *socket, struct coord coord, uint64_t number) {
  zmq_msg_t msg;
  unsigned char head[ROOM], *data;
  size_t n = 0, size = (size_t)wire.size;
  if (wire.parts)
    send_parts(socket, dat, coord, ZMQ_SNDMORE);
  else
    n = put_head(head, dat, coord, wire.size);
  if (wire.size <= COPIED) {
    check(!zmq_msg_init_size(&msg, n + size), "memory");
    data = zmq_msg_data(&msg);
    memset(data + n, 'x', size);
  } else {
    struct buffer *b = borrow();
    data = b->data;
    check(!zmq_msg_init_data(&msg, data, n + size, give_back, b), "memory");
  }
  memcpy(data, head, n);
  memcpy(data + n, &number, sizeof number);
  check(zmq_msg_send(&msg, socket, 0) >= 0, "DAT");
}

/* read_label tells what kind of message a prefix begins. */
static void read_label(struct message *m, const unsigned char *prefix, size_t size) {
  if (size < HEAD || memcmp(prefix, magic, HEAD))
    die("not a ZIO message");
  m->label = (const char *)prefix + HEAD;
  m->length = size - HEAD;
  if (m->length == sizeof dat - 1 && !memcmp(m->label, dat, m->length)) {
    m->kind = DAT;
    return;
  }
  static const char *names[] = {NULL, "\"flow\":\"BOT\"", "\"flow\":\"PAY\"", "\"flow\":\"DAT\"", "\"flow\":\"EOT\""};
  for (int k = BOT; k <= EOT; k++)
    if (memmem(m->label, m->length, names[k], strlen(names[k]))) {
      m->kind = (enum kind)k;
      return;
    }
  die("unknown label %.*s", (int)m->length, m->label);
}

/* read_payload finds a DAT's payload: the end of the message's last part. */
static void read_payload(struct message *m, size_t before) {
  zmq_msg_t *last = &m->part[m->parts - 1];
  size_t size = zmq_msg_size(last), want = (size_t)wire.size;
  bool good = wire.parts ? m->parts == PARTS && size == want : size >= want + before;
  if (!good)
    die("DAT is of %d parts, the last of %zu bytes", m->parts, size);
  m->payload = (const unsigned char *)zmq_msg_data(last) + size - want;
}

static void read_one(struct message *m) {
  const unsigned char *data = zmq_msg_data(&m->part[0]);
  size_t size = zmq_msg_size(&m->part[0]), n, at = 1;
  if (size == sizeof(uint64_t)) {
    m->kind = HELLO;
    return;
  }
  if (size < 2)
    die("a message of %zu bytes", size);
  if ((n = data[0]) == 0xff && size > 5) {
    n = (size_t)data[1] << 24 | (size_t)data[2] << 16 | (size_t)data[3] << 8 | data[4];
    at = 5;
  }
  if (at + n > size)
    die("a prefix of %zu bytes in a message of %zu", n, size);
  read_label(m, data + at, n);
  if (m->kind == DAT)
    read_payload(m, COORD);
}

static void read_parts(struct message *m) {
  if (m->parts < 2 || zmq_msg_size(&m->part[0]))
    die("a message of %d parts, without a delimiter", m->parts);
  if (m->parts == 2 && zmq_msg_size(&m->part[1]) == sizeof(uint64_t)) {
    m->kind = HELLO;
    return;
  }
  read_label(m, zmq_msg_data(&m->part[1]), zmq_msg_size(&m->part[1]));
  if (m->kind == DAT)
    read_payload(m, 0);
}

bool receive(void *socket, int flags, struct message *m) {
  m->label = "";
  m->length = 0;
  m->parts = 0;
  do {
    if (m->parts == PARTS)
      die("a message of more than %d parts", PARTS);
    zmq_msg_t *part = &m->part[m->parts++];
    zmq_msg_init(part);
    while (zmq_msg_recv(part, socket, flags) < 0) {
      if (errno == EAGAIN && flags)
        return false;
      check(errno == EINTR, "no message in time");
    }
  } while (zmq_msg_more(&m->part[m->parts - 1]));
  if (wire.parts)
    read_parts(m);
  else
    read_one(m);
  return true;
}

void close_message(struct message *m) {
  while (m->parts)
    zmq_msg_close(&m->part[--m->parts]);
}

uint64_t number_of(const struct message *m) {
  uint64_t number;
  memcpy(&number, m->payload, sizeof number);
  return number;
}

long credit_of(const struct message *m) {
  static const char key[] = "\"credit\":";
  const char *at = memmem(m->label, m->length, key, sizeof key - 1);
  if (!at)
    die("no credit in %.*s", (int)m->length, m->label);
  return strtol(at + sizeof key - 1, NULL, 10);
}
