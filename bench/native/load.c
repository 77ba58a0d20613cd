/* A load generator of native peers, which costs as little as libzmq lets it:
 *
 *     load SOCKET give|take gateway|relay ADDRESS FLOWS ROUNDS COUNT SIZE CREDIT
 *
 * opens FLOWS flows at once, one socket for each, and gives or takes COUNT
 * messages of SIZE bytes with that CREDIT in each; ROUNDS times, one flow after
 * the other on the same socket. Flow i of the giver is paired with flow i of the
 * taker.
 *
 * SOCKET is "client", "dealer", or for a CLIENT with keys "curve:" and three in
 * Z85, the server's, its own public and secret one. A DEALER can't be handed a
 * cid while another thread serves it: as giver through the gateway it does one
 * round.
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
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <zmq.h>

#include "wire.h"

enum {
  TIMEOUT = 150000,   /* ms without any message, after which something is wrong */
  PER_THREAD = 64,    /* flows that one thread serves, up to THREADS of them */
  THREADS = 16,
  BURST = 32,         /* messages taken from one socket before the next's turn */
  WINDOW = 32,        /* flows begun and not yet open: a relay's backlog is short */
  KEYS = 3,
  Z85 = 40,           /* characters of a key */
};

enum state { OPENING, MOVING, ENDING, OVER };

static struct {
  int type; /* of the sockets */
  bool curve;
  char keys[KEYS][Z85 + 1]; /* as they stand in the arguments */
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
  int64_t *samples;
  size_t sampled, room;
};

static struct flow *flows;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

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

static struct coord next(struct flow *f) { return (struct coord){f->pair, f->seqno++}; }

/* hello begins a flow, anew if there was one before. */
static void hello(struct flow *f, const char *cid) {
  char label[256];
  f->seqno = 0;
  if (!spec.gateway) {
    send_hello(f->socket, f->pair);
    return;
  }
  snprintf(label, sizeof label, "{\"flow\":\"BOT\",\"direction\":\"%s\",\"credit\":%ld%s%s}",
           spec.gives ? "extract" : "inject", spec.credit, *cid ? ",\"cid\":" : "", cid);
  send_label(f->socket, next(f), label);
}

static void give(struct flow *f) {
  for (; f->held > 0 && f->moved < spec.count; f->held--)
    send_dat(f->socket, next(f), (uint64_t)f->moved++);
  if (f->moved == spec.count) {
    send_label(f->socket, next(f), "{\"flow\":\"EOT\"}");
    f->state = ENDING;
  }
}

static void pay(struct flow *f) {
  char label[64];
  snprintf(label, sizeof label, "{\"flow\":\"PAY\",\"credit\":%ld}", f->held);
  if (spec.credit == 1)
    f->since = now();
  f->held = 0;
  send_label(f->socket, next(f), label);
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

static void giver(struct flow *f, const struct message *m) {
  if (m->kind == EOT && f->state == ENDING)
    over(f);
  else if (m->kind == PAY && f->state == MOVING) {
    f->held += credit_of(m);
    give(f);
  } else if (m->kind != PAY)
    die("giver was sent %.*s", (int)m->length, m->label);
}

static void taker(struct share *s, struct flow *f, const struct message *m) {
  if (m->kind == EOT) {
    send_label(f->socket, next(f), "{\"flow\":\"EOT\"}");
    if (!spec.count && f->round) /* the first one has waited for the go */
      sample(s, now() - f->since);
    if (memmem(m->label, m->length, "\"error\"", 7))
      die("EOT says %.*s", (int)m->length, m->label);
    over(f);
    return;
  }
  if (m->kind != DAT)
    die("taker was sent %.*s", (int)m->length, m->label);
  if (spec.credit == 1 && f->moved)
    sample(s, now() - f->since);
  if (number_of(m) != (uint64_t)f->moved)
    die("flow %" PRIu64 ": message %" PRIu64 " came in the place of %ld", f->pair, number_of(m), f->moved);
  f->moved++;
  f->held++;
  tally();
  if (4 * f->held >= spec.credit)
    pay(f);
}

/* handle returns whether the flow is over for good. */
static bool handle(struct share *s, struct flow *f, const struct message *m) {
  if (f->state != OPENING) {
    if (spec.gives)
      giver(f, m);
    else
      taker(s, f, m);
    return f->state == OVER;
  }
  if (m->kind != (spec.gateway ? BOT : HELLO))
    die("answer to BOT is %.*s", (int)m->length, m->label);
  f->state = MOVING;
  f->seqno = 1;
  if (!spec.gives && spec.count) {
    f->held = spec.credit;
    pay(f);
  }
  if (spec.gives && f->round) /* the first one waits for the go */
    give(f);
  return false;
}

/* hear handles up to so many messages, and returns whether the flow is over. */
static bool hear(struct share *s, struct flow *f, int flags, int most) {
  for (int i = 0; i < most; i++) {
    struct message m;
    if (!receive(f->socket, flags, &m))
      return false;
    bool over = handle(s, f, &m);
    close_message(&m);
    if (over)
      return true;
  }
  return false;
}

/* serve receives until all flows are over. */
static void serve(struct share *s, void *poller) {
  zmq_poller_event_t events[PER_THREAD];
  for (long left = s->count; left > 0;) {
    if (s->count == 1) {
      left -= hear(s, s->flows, 0, 1);
      continue;
    }
    int n = zmq_poller_wait_all(poller, events, PER_THREAD, TIMEOUT);
    check(n >= 0 || errno == EINTR, "no message in time");
    for (int i = 0; i < n; i++)
      left -= hear(s, events[i].user_data, ZMQ_DONTWAIT, BURST);
  }
}

static void *work(void *argument) {
  struct share *s = argument;
  void *poller = zmq_poller_new();
  for (long i = 0; i < s->count; i++)
    check(!zmq_poller_add(poller, s->flows[i].socket, &s->flows[i], ZMQ_POLLIN), "poller");
  if (spec.gives)
    for (long i = 0; i < s->count; i++)
      give(&s->flows[i]);
  serve(s, poller);
  zmq_poller_destroy(&poller);
  return NULL;
}

/* secured sets the keys, if there are any. */
static bool secured(void *socket) {
  static const int options[KEYS] = {ZMQ_CURVE_SERVERKEY, ZMQ_CURVE_PUBLICKEY, ZMQ_CURVE_SECRETKEY};
  for (int i = 0; spec.curve && i < KEYS; i++)
    if (zmq_setsockopt(socket, options[i], spec.keys[i], Z85 + 1))
      return false;
  return true;
}

static void dial(void *context, long i) {
  int none = 0, linger = 2000, timeout = TIMEOUT;
  /* Linux takes ever longer to find a port once half of them are taken. */
  char address[256];
  if (snprintf(address, sizeof address, "tcp://127.0.%d.%ld:0;%s", spec.gives ? 1 : 2, 1 + i / 1000,
               spec.address + strlen("tcp://")) >= (int)sizeof address)
    die("%s is too long", spec.address);
  void *socket = zmq_socket(context, spec.type);
  check(socket && secured(socket) && !zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none) &&
            !zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none) &&
            !zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger) &&
            !zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout) &&
            !zmq_connect(socket, address),
        address);
  flows[i] = (struct flow){.socket = socket, .pair = (uint64_t)i, .since = now()};
}

/* order reads an order: true for go, or the flow to open and its cid. */
static bool order(long *i, char cid[64]) {
  char line[128];
  if (!fgets(line, sizeof line, stdin))
    die("the driver has gone");
  if (!strcmp(line, "go\n"))
    return true;
  if (sscanf(line, "%ld %63s", i, cid) != 2 || *i < 0 || *i >= spec.flows)
    die("order %s", line);
  return false;
}

/* open_all opens every flow for the first time. */
static void open_all(void *context) {
  long *begun = calloc((size_t)spec.flows, sizeof *begun);
  for (long n = 0, opened = 0; opened < spec.flows;) {
    if (n < spec.flows && n - opened < WINDOW) {
      long i = n;
      char cid[64] = "";
      if (spec.gives && spec.gateway && order(&i, cid))
        die("a go before all flows are open");
      dial(context, i);
      hello(&flows[i], cid);
      begun[n++] = i;
      continue;
    }
    struct flow *f = &flows[begun[opened++]];
    while (f->state == OPENING)
      hear(NULL, f, 0, 1);
  }
  free(begun);
}

/* obey opens flows again as the driver says. */
static void *obey(void *argument) {
  for (;;) {
    long i;
    char cid[64];
    if (order(&i, cid))
      die("a second go");
    hello(&flows[i], cid); /* a CLIENT may be used by two threads */
  }
  return argument;
}

static void report(struct share *shares, long n) {
  printf("%ld %" PRId64 "\n", to > from ? to - from : 0, ended - began);
  for (long i = 0; i < n; i++)
    for (size_t j = 0; j < shares[i].sampled; j++)
      printf("%" PRId64 "\n", shares[i].samples[j]);
}

/* parse_socket reads what kind of sockets there are. */
static void parse_socket(const char *word) {
  static const char curve[] = "curve:";
  spec.type = strcmp(word, "dealer") ? ZMQ_CLIENT : ZMQ_DEALER;
  wire.parts = spec.type == ZMQ_DEALER;
  if (!strncmp(word, curve, sizeof curve - 1) && strlen(word) == sizeof curve - 1 + KEYS * Z85) {
    spec.curve = true;
    for (int i = 0; i < KEYS; i++)
      memcpy(spec.keys[i], word + sizeof curve - 1 + i * Z85, Z85);
  } else if (!wire.parts && strcmp(word, "client")) {
    die("socket %s: want client, dealer, or curve: and three keys", word);
  }
}

static void parse(int argc, char **argv) {
  if (argc != 10)
    die("usage: load SOCKET give|take gateway|relay ADDRESS FLOWS ROUNDS COUNT SIZE CREDIT");
  parse_socket(argv[1]);
  spec.gives = !strcmp(argv[2], "give");
  spec.gateway = !strcmp(argv[3], "gateway");
  spec.address = argv[4];
  long *numbers[] = {&spec.flows, &spec.rounds, &spec.count, &spec.size, &spec.credit};
  for (int i = 0; i < 5; i++)
    *numbers[i] = strtol(argv[5 + i], NULL, 10);
  if (strncmp(spec.address, "tcp://127.", strlen("tcp://127.")))
    die("%s is not on this machine's loopback", spec.address);
  if (spec.flows < 1 || spec.rounds < 1 || spec.count < 0 || spec.size < 8 || spec.credit < 1)
    die("FLOWS, ROUNDS and CREDIT are at least 1, SIZE at least 8");
  if (wire.parts && spec.gives && spec.gateway && spec.rounds > 1)
    die("a DEALER that gives through the gateway does one round");
  wire.size = spec.size;
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
  if (spec.gives)
    lend_buffers();

  void *context = zmq_ctx_new();
  check(context && !zmq_ctx_set(context, ZMQ_MAX_SOCKETS, (int)spec.flows + 16), "context");
  open_all(context);
  if (spec.gives) {
    long i;
    char cid[64];
    printf("open\n");
    fflush(stdout);
    if (!order(&i, cid))
      die("a cid for flow %ld, which is open", i);
  }
  pthread_t orders;
  if (spec.gives && spec.gateway && spec.rounds > 1) {
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
