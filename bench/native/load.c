/* A load generator of native peers, which costs as little as libzmq lets it:
 *
 *     load give|take gateway|relay ADDRESS FLOWS ROUNDS COUNT SIZE CREDIT
 *
 * opens FLOWS flows at once, one CLIENT socket for each, and gives or takes
 * COUNT messages of SIZE bytes with that CREDIT in each; ROUNDS times, one flow
 * after the other on the same socket. Flow i of the giver is paired with flow i
 * of the taker.
 *
 * Through the gateway the taker is the client and the giver the handler; a
 * relay has been told nothing of either, so both ask to be paired.
 *
 * The giver prints "open" when all its flows are open, and gives when it reads
 * "go". It opens flow i when it reads "i CID", through the gateway. The taker
 * prints a line "MESSAGES NANOSECONDS", without the first and last tenth of all
 * messages, then one line for each sample of latency, in nanoseconds: with a
 * credit of 1 from PAY to DAT, with a COUNT of 0 from BOT to EOT.
 *
 * Every message bears its number, and the taker checks it. */

#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

enum {
  TIMEOUT = 60000,    /* ms without any message, after which something is wrong */
  PER_THREAD = 64,    /* flows that one thread serves, up to THREADS of them */
  THREADS = 16,
  BURST = 32,         /* messages taken from one socket before the next's turn */
  COPIED = 8 << 10,   /* messages up to this size are copied, not lent */
  COORD = 24,
};

enum kind { HELLO, BOT, PAY, DAT, EOT };
enum state { OPENING, MOVING, ENDING, OVER };

static struct {
  bool gives, gateway;
  const char *address;
  long flows, rounds, count, size, credit;
} spec;

struct flow {
  void *socket;
  uint64_t pair, seqno;
  enum state state;
  long round, moved;
  long held;         /* credit: a giver's to spend, a taker's to pay */
  int64_t since;     /* a sample of latency began */
};

struct share { /* the flows that one thread serves */
  struct flow *flows;
  long count;
  bool going;        /* the driver wants data */
  int64_t *samples;
  size_t sampled, room;
};

static struct flow *flows;

static void die(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fprintf(stderr, "load: ");
  vfprintf(stderr, format, list);
  fprintf(stderr, "\n");
  exit(1);
}

static void check(bool good, const char *what) {
  if (!good)
    die("%s: %s", what, zmq_strerror(errno));
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* What giver and main thread have to tell each other. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gone = PTHREAD_COND_INITIALIZER;
static bool go;          /* guarded by mutex */
static long opened;      /* guarded by mutex */

/* Messages taken by all threads, and when the middle of them began and ended. */
static atomic_long taken;
static long from, to;
static int64_t began, ended; /* each written once, read after the join */

static void tally(void) {
  long n = atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed) + 1;
  if (n == from)
    began = now();
  if (n == to)
    ended = now();
}

static void sample(struct share *s, int64_t value) {
  if (s->sampled == s->room) {
    s->room = s->room ? 2 * s->room : 4096;
    s->samples = realloc(s->samples, s->room * sizeof *s->samples);
  }
  s->samples[s->sampled++] = value;
}

/* head writes a message but for the bytes of its payload, and answers its size. */
static size_t head(unsigned char *out, const char *label, uint64_t origin, uint64_t seqno, long payload) {
  unsigned char *p = out;
  size_t length = strlen(label);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  uint64_t coord[3] = {origin, (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000, seqno};
  *p++ = (unsigned char)(8 + length);
  memcpy(p, "ZIO0FLOW", 8);
  memcpy(p + 8, label, length);
  p += 8 + length;
  *p++ = COORD;
  memcpy(p, coord, COORD);
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

static void send_label(struct flow *f, const char *label) {
  unsigned char out[512];
  size_t n = head(out, label, f->pair, f->seqno++, 0);
  check(zmq_send(f->socket, out, n, 0) >= 0, label);
}

/* Large messages are lent to libzmq out of a few buffers, which it gives back
 * when they have gone out. */
static struct buffer {
  unsigned char *data;
  struct buffer *next;
} *spare; /* guarded by spare_mutex */
static pthread_mutex_t spare_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t returned = PTHREAD_COND_INITIALIZER;

static const char dat[] = "{\"flow\":\"DAT\"}";

static void give_back(void *data, void *hint) {
  struct buffer *b = hint;
  (void)data;
  pthread_mutex_lock(&spare_mutex);
  b->next = spare;
  spare = b;
  pthread_cond_signal(&returned);
  pthread_mutex_unlock(&spare_mutex);
}

static void make_buffers(void) {
  long n = (32 << 20) / spec.size;
  n = n < 4 ? 4 : n > 64 ? 64 : n;
  for (long i = 0; i < n; i++) {
    struct buffer *b = malloc(sizeof *b);
    b->data = malloc((size_t)spec.size + 128);
    memset(b->data, 'x', (size_t)spec.size + 128);
    give_back(NULL, b);
  }
}

static void send_dat(struct flow *f) {
  zmq_msg_t msg;
  unsigned char top[128];
  uint64_t number = (uint64_t)f->moved;
  size_t n = head(top, dat, f->pair, f->seqno++, spec.size);
  unsigned char *data;
  if (spec.size <= COPIED) {
    check(!zmq_msg_init_size(&msg, n + (size_t)spec.size), "memory");
    data = zmq_msg_data(&msg);
    memset(data + n, 'x', (size_t)spec.size);
  } else {
    pthread_mutex_lock(&spare_mutex);
    while (!spare)
      pthread_cond_wait(&returned, &spare_mutex);
    struct buffer *b = spare;
    spare = b->next;
    pthread_mutex_unlock(&spare_mutex);
    data = b->data;
    check(!zmq_msg_init_data(&msg, data, n + (size_t)spec.size, give_back, b), "memory");
  }
  memcpy(data, top, n);
  memcpy(data + n, &number, sizeof number);
  check(zmq_msg_send(&msg, f->socket, 0) >= 0, "DAT");
  f->moved++;
}

/* hello begins a flow. */
static void hello(struct flow *f, const char *cid) {
  char label[256];
  f->seqno = 0;
  if (!spec.gateway) {
    check(zmq_send(f->socket, &f->pair, sizeof f->pair, 0) >= 0, "hello");
    return;
  }
  snprintf(label, sizeof label, "{\"flow\":\"BOT\",\"direction\":\"%s\",\"credit\":%ld%s%s}",
           spec.gives ? "extract" : "inject", spec.credit, *cid ? ",\"cid\":" : "", cid);
  send_label(f, label);
}

/* kind_of tells what a message is, and where its label is. */
static enum kind kind_of(zmq_msg_t *msg, const char **label, size_t *length) {
  const unsigned char *data = zmq_msg_data(msg);
  size_t size = zmq_msg_size(msg), n, at = 1;
  if (size == 8)
    return HELLO;
  if (size < 2)
    die("a message of %zu bytes", size);
  if ((n = data[0]) == 0xff && size > 5) {
    n = (size_t)data[1] << 24 | (size_t)data[2] << 16 | (size_t)data[3] << 8 | data[4];
    at = 5;
  }
  if (n < 8 || at + n > size || memcmp(data + at, "ZIO0FLOW", 8))
    die("not a ZIO message");
  *label = (const char *)data + at + 8;
  *length = n - 8;
  if (*length == sizeof dat - 1 && !memcmp(*label, dat, *length))
    return DAT;
  static const char *names[] = {NULL, "\"flow\":\"BOT\"", "\"flow\":\"PAY\"", "\"flow\":\"DAT\"", "\"flow\":\"EOT\""};
  for (int k = BOT; k <= EOT; k++)
    if (memmem(*label, *length, names[k], strlen(names[k])))
      return (enum kind)k;
  die("unknown label %.*s", (int)*length, *label);
  return EOT;
}

static long credit_in(const char *label, size_t length) {
  static const char key[] = "\"credit\":";
  const char *at = memmem(label, length, key, sizeof key - 1);
  if (!at)
    die("no credit in %.*s", (int)length, label);
  return strtol(at + sizeof key - 1, NULL, 10);
}

static void give(struct flow *f) {
  for (; f->held > 0 && f->moved < spec.count; f->held--)
    send_dat(f);
  if (f->moved == spec.count) {
    send_label(f, "{\"flow\":\"EOT\"}");
    f->state = ENDING;
  }
}

static void pay(struct flow *f) {
  char label[64];
  snprintf(label, sizeof label, "{\"flow\":\"PAY\",\"credit\":%ld}", f->held);
  if (spec.credit == 1)
    f->since = now();
  f->held = 0;
  send_label(f, label);
}

static void over(struct flow *f) {
  if (f->moved != spec.count)
    die("flow %" PRIu64 " ended after %ld of %ld messages", f->pair, f->moved, spec.count);
  f->moved = f->held = 0;
  f->state = ++f->round == spec.rounds ? OVER : OPENING;
  if (f->state == OPENING && !(spec.gives && spec.gateway)) {
    f->since = now();
    hello(f, "");
  }
}

static void giver(struct share *s, struct flow *f, zmq_msg_t *msg, enum kind kind, const char *label, size_t length) {
  if (kind == EOT && f->state == ENDING)
    over(f);
  else if (kind == PAY && f->state == MOVING) {
    f->held += credit_in(label, length);
    if (s->going)
      give(f);
  } else if (kind != PAY)
    die("giver was sent %.*s (%zu bytes)", (int)length, label, zmq_msg_size(msg));
}

static void taker(struct share *s, struct flow *f, zmq_msg_t *msg, enum kind kind, const char *label, size_t length) {
  if (kind == EOT) {
    send_label(f, "{\"flow\":\"EOT\"}");
    if (!spec.count && f->round) /* the first one has waited for the go */
      sample(s, now() - f->since);
    if (memmem(label, length, "\"error\"", 7))
      die("EOT says %.*s", (int)length, label);
    over(f);
    return;
  }
  if (kind != DAT)
    die("taker was sent %.*s", (int)length, label);
  if (spec.credit == 1 && f->moved)
    sample(s, now() - f->since);
  uint64_t number;
  size_t size = zmq_msg_size(msg);
  if (size < (size_t)spec.size + COORD)
    die("DAT is of %zu bytes", size);
  memcpy(&number, (char *)zmq_msg_data(msg) + size - spec.size, sizeof number);
  if (number != (uint64_t)f->moved)
    die("flow %" PRIu64 ": message %" PRIu64 " came in the place of %ld", f->pair, number, f->moved);
  f->moved++;
  f->held++;
  tally();
  if (4 * f->held >= spec.credit)
    pay(f);
}

/* wait_for_go returns when all flows are open and the driver wants data. */
static void wait_for_go(long mine) {
  pthread_mutex_lock(&mutex);
  opened += mine;
  if (opened == spec.flows) {
    printf("open\n");
    fflush(stdout);
  }
  while (!go)
    pthread_cond_wait(&gone, &mutex);
  pthread_mutex_unlock(&mutex);
}

/* handle answers whether the flow has been opened, or is over for good. */
static bool handle(struct share *s, struct flow *f, zmq_msg_t *msg) {
  const char *label = "";
  size_t length = 0;
  enum kind kind = kind_of(msg, &label, &length);
  if (f->state != OPENING) {
    if (spec.gives)
      giver(s, f, msg, kind, label, length);
    else
      taker(s, f, msg, kind, label, length);
    return f->state == OVER;
  }
  if (kind != (spec.gateway ? BOT : HELLO))
    die("answer to BOT is %.*s", (int)length, label);
  f->state = MOVING;
  f->seqno = 1;
  if (!spec.gives && spec.count) {
    f->held = spec.credit;
    pay(f);
  }
  if (s->going)
    give(f);
  return f->round == 0;
}

/* receive handles up to so many messages, and answers how many flows they have
 * opened or ended. */
static long receive(struct share *s, struct flow *f, int flags, int most) {
  long changed = 0;
  for (int i = 0; i < most && f->state != OVER; i++) {
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    if (zmq_msg_recv(&msg, f->socket, flags) < 0) {
      if (errno == EAGAIN && flags)
        return changed;
      check(errno == EINTR, "no message in time");
      continue;
    }
    changed += handle(s, f, &msg);
    zmq_msg_close(&msg);
  }
  return changed;
}

/* serve receives until so many flows have been opened, or are over. */
static void serve(struct share *s, void *poller, long until) {
  zmq_poller_event_t events[PER_THREAD];
  while (until > 0) {
    if (s->count == 1) {
      until -= receive(s, s->flows, 0, 1);
      continue;
    }
    int n = zmq_poller_wait_all(poller, events, PER_THREAD, TIMEOUT);
    check(n >= 0 || errno == EINTR, "no message in time");
    for (int i = 0; i < n; i++)
      until -= receive(s, events[i].user_data, ZMQ_DONTWAIT, BURST);
  }
}

static void *work(void *argument) {
  struct share *s = argument;
  void *poller = zmq_poller_new();
  for (long i = 0; i < s->count; i++)
    check(!zmq_poller_add(poller, s->flows[i].socket, &s->flows[i], ZMQ_POLLIN), "poller");
  if (spec.gives) {
    serve(s, poller, s->count);
    wait_for_go(s->count);
    s->going = true;
    for (long i = 0; i < s->count; i++)
      give(&s->flows[i]);
    serve(s, poller, s->count);
  } else {
    serve(s, poller, 2 * s->count); /* opened, and over */
  }
  zmq_poller_destroy(&poller);
  return NULL;
}

static void connect_all(void *context) {
  int none = 0, linger = 2000, timeout = TIMEOUT;
  for (long i = 0; i < spec.flows; i++) {
    void *socket = zmq_socket(context, ZMQ_CLIENT);
    check(socket && !zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none) &&
              !zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none) &&
              !zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) &&
              !zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout) &&
              !zmq_connect(socket, spec.address),
          spec.address);
    flows[i] = (struct flow){.socket = socket, .pair = (uint64_t)i, .since = now()};
    if (!(spec.gives && spec.gateway))
      hello(&flows[i], "");
  }
}

/* obey reads the driver's orders until there are no more. */
static void *obey(void *argument) {
  char line[128], cid[64];
  long i;
  while (fgets(line, sizeof line, stdin)) {
    if (!strcmp(line, "go\n")) {
      pthread_mutex_lock(&mutex);
      go = true;
      pthread_cond_broadcast(&gone);
      pthread_mutex_unlock(&mutex);
    } else if (sscanf(line, "%ld %63s", &i, cid) == 2 && i >= 0 && i < spec.flows) {
      hello(&flows[i], cid); /* a CLIENT may be used by two threads */
    } else {
      die("order %s", line);
    }
  }
  return argument;
}

static void report(struct share *shares, long n) {
  printf("%ld %" PRId64 "\n", to > from ? to - from : 0, ended - began);
  for (long i = 0; i < n; i++)
    for (size_t j = 0; j < shares[i].sampled; j++)
      printf("%" PRId64 "\n", shares[i].samples[j]);
}

static void parse(int argc, char **argv) {
  if (argc != 9)
    die("usage: load give|take gateway|relay ADDRESS FLOWS ROUNDS COUNT SIZE CREDIT");
  spec.gives = !strcmp(argv[1], "give");
  spec.gateway = !strcmp(argv[2], "gateway");
  spec.address = argv[3];
  long *numbers[] = {&spec.flows, &spec.rounds, &spec.count, &spec.size, &spec.credit};
  for (int i = 0; i < 5; i++)
    *numbers[i] = strtol(argv[4 + i], NULL, 10);
  if (spec.flows < 1 || spec.rounds < 1 || spec.count < 0 || spec.size < 8 || spec.credit < 1)
    die("FLOWS, ROUNDS and CREDIT are at least 1, SIZE at least 8");
}

int main(int argc, char **argv) {
  parse(argc, argv);
  struct rlimit limit;
  if (!getrlimit(RLIMIT_NOFILE, &limit)) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  long total = spec.flows * spec.rounds * spec.count;
  from = total / 10, to = total - total / 10;
  if (from < 1)
    from = 1;
  flows = calloc((size_t)spec.flows, sizeof *flows);
  if (spec.gives && spec.size > COPIED)
    make_buffers();

  void *context = zmq_ctx_new();
  check(context && !zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)spec.flows + 16), "context");
  connect_all(context);
  if (spec.gives) {
    pthread_t orders;
    check(!pthread_create(&orders, NULL, obey, NULL), "thread");
    pthread_detach(orders);
  }
  long threads = (spec.flows + PER_THREAD - 1) / PER_THREAD;
  threads = threads > THREADS ? THREADS : threads;
  struct share shares[THREADS] = {{0}};
  pthread_t ids[THREADS];
  for (long i = 0; i < threads; i++) {
    long first = i * spec.flows / threads, last = (i + 1) * spec.flows / threads;
    shares[i].flows = flows + first;
    shares[i].count = last - first;
    check(!pthread_create(&ids[i], NULL, work, &shares[i]), "thread");
  }
  for (long i = 0; i < threads; i++)
    pthread_join(ids[i], NULL);
  if (!spec.gives)
    report(shares, threads);
  for (long i = 0; i < spec.flows; i++)
    zmq_close(flows[i].socket);
  zmq_ctx_term(context); /* waits until the last EOT has gone out */
  return 0;
}
