//go:build cgo && libzmq

#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// Go's scheduler interrupts threads by a signal, even while they are in libzmq.
// Between the parts of a message there is no going back, so every call is made
// again; any other error is answered.
#define RETRY(call) \
	while ((call) < 0) \
		if (zmq_errno() != EINTR) \
			return zmq_errno()

// A message that has a part this large, or is this heavy, is put on the tally when it
// is sent. Others cannot fill the memory: a peer's queue in libzmq is bounded.
enum { WORTH_HOLDING = 16 << 10 };

// A slice this large is not worth a copy.
enum { WORTH_SHARING = 2 << 10 };

parcel *parcel_new(void)
{
	parcel *p = malloc(sizeof *p);
	if (p) {
		p->parts = p->few;
		p->count = 0;
		p->room = FEW;
	}
	return p;
}

void parcel_close(parcel *p)
{
	while (p->count > 0)
		zmq_msg_close(&p->parts[--p->count].msg);
	if (p->parts != p->few) {
		free(p->parts);
		p->parts = p->few;
		p->room = FEW;
	}
}

void parcel_free(parcel *p)
{
	parcel_close(p);
	free(p);
}

// parcel_next answers the place of one more part; NULL without memory.
static part *parcel_next(parcel *p)
{
	if (p->count == p->room) {
		part *more = malloc(2 * (size_t)p->room * sizeof *more);
		if (!more)
			return NULL;
		for (int i = 0; i < p->count; i++) {
			zmq_msg_init(&more[i].msg);
			zmq_msg_move(&more[i].msg, &p->parts[i].msg);
			more[i].data = zmq_msg_data(&more[i].msg); // small ones have moved
			more[i].size = p->parts[i].size;
		}
		if (p->parts != p->few)
			free(p->parts); // its messages are empty now, which hold nothing
		p->parts = more;
		p->room *= 2;
	}
	return &p->parts[p->count];
}

static void parcel_took(parcel *p)
{
	part *last = &p->parts[p->count++];
	last->data = zmq_msg_data(&last->msg);
	last->size = zmq_msg_size(&last->msg);
}

void *parcel_add(parcel *p, size_t size)
{
	part *next = parcel_next(p);
	if (!next || zmq_msg_init_size(&next->msg, size) < 0)
		return NULL;
	parcel_took(p);
	return p->parts[p->count - 1].data;
}

// A received part, of which messages lend slices to libzmq.
typedef struct {
	zmq_msg_t whole;
	int64_t   lent; // atomic: slices, and who is making them
} shared;

static void shared_drop(shared *s)
{
	if (__atomic_sub_fetch(&s->lent, 1, __ATOMIC_ACQ_REL) == 0) {
		zmq_msg_close(&s->whole);
		free(s);
	}
}

// Called by libzmq, on any thread, when it is done with a slice.
static void slice_free(void *data, void *hint)
{
	(void)data;
	shared_drop(hint);
}

static int parcel_add_slice(parcel *p, slice from, shared *s)
{
	part *next;
	if (from.size < WORTH_SHARING) {
		void *data = parcel_add(p, from.size);
		if (data && from.size)
			memcpy(data, from.data, from.size);
		return data ? 0 : ENOMEM;
	}
	if (!(next = parcel_next(p)))
		return ENOMEM;
	__atomic_add_fetch(&s->lent, 1, __ATOMIC_RELAXED);
	if (zmq_msg_init_data(&next->msg, from.data, from.size, slice_free, s) < 0) {
		shared_drop(s);
		return ENOMEM;
	}
	parcel_took(p);
	return 0;
}

int parcel_cut(parcel *to, parcel *from, const void *coord, size_t coord_size, const slice *slices, int n)
{
	int     error = ENOMEM;
	shared *s = malloc(sizeof *s);
	void   *place;

	if (!s) {
		parcel_close(from);
		return ENOMEM;
	}
	// A small part moves with its message, but then no slice of it is large enough
	// to be shared, and the bytes are still to be read where they were.
	s->lent = 1;
	zmq_msg_init(&s->whole);
	zmq_msg_copy(&s->whole, &from->parts[0].msg);
	if (parcel_add(to, 0) && !(error = parcel_add_slice(to, slices[0], s))) {
		error = ENOMEM;
		if ((place = parcel_add(to, coord_size))) {
			memcpy(place, coord, coord_size);
			error = 0;
		}
	}
	for (int i = 1; i < n && !error; i++)
		error = parcel_add_slice(to, slices[i], s);
	parcel_close(from);
	shared_drop(s);
	return error;
}

const char *parcel_property(parcel *p, const char *key)
{
	return p->count ? zmq_msg_gets(&p->parts[p->count - 1].msg, key) : NULL;
}

target *target_new(uint32_t number, const void *name, size_t name_size)
{
	target *t;
	if (name_size > NAME || !(t = calloc(1, sizeof *t + name_size)))
		return NULL;
	t->holders = 1;
	t->number = number;
	t->name_size = name_size;
	if (name_size)
		memcpy(t->name, name, name_size);
	return t;
}

void target_drop(target *t)
{
	if (__atomic_sub_fetch(&t->holders, 1, __ATOMIC_ACQ_REL) == 0)
		free(t);
}

// A message that is being sent, and the tally on which it will be.
typedef struct {
	zmq_msg_t inner;
	target   *on;
	int64_t   messages, bytes;
} held;

// Called by libzmq, on its own thread, when it is done with a message: it was
// written, or its connection is gone.
static void held_free(void *data, void *hint)
{
	held *h = hint;
	(void)data;
	zmq_msg_close(&h->inner);
	__atomic_add_fetch(&h->on->messages, h->messages, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&h->on->bytes, h->bytes, __ATOMIC_SEQ_CST);
	target_drop(h->on);
	free(h);
}

// send_part sends a message and leaves it empty, unless there is an error.
static int send_part(wire *w, zmq_msg_t *msg, uint32_t number, int flags)
{
	if (w->server && zmq_msg_set_routing_id(msg, number) < 0)
		return zmq_errno();
	RETRY(zmq_msg_send(msg, w->socket, flags | ZMQ_DONTWAIT));
	return 0;
}

// send_held sends a part as send_part, and puts one message of so many bytes on
// the tally when it has left. What libzmq is given is a message that borrows the
// bytes of the real one.
static int send_held(wire *w, part *p, departure *d, int flags)
{
	held     *h = malloc(sizeof *h);
	zmq_msg_t lent;
	int       error;

	if (!h)
		return ENOMEM;
	h->on = d->to;
	h->messages = 1;
	h->bytes = d->bytes;
	zmq_msg_init(&h->inner);
	zmq_msg_move(&h->inner, &p->msg);
	// A small part's bytes have moved with it.
	if (zmq_msg_init_data(&lent, zmq_msg_data(&h->inner), p->size, held_free, h) < 0) {
		zmq_msg_move(&p->msg, &h->inner);
		zmq_msg_close(&h->inner);
		free(h);
		return ENOMEM;
	}
	__atomic_add_fetch(&d->to->holders, 1, __ATOMIC_RELAXED);
	error = send_part(w, &lent, d->to->number, flags);
	if (error) { // takes all back, so that closing lent frees nothing but h
		zmq_msg_move(&p->msg, &h->inner);
		h->messages = h->bytes = 0;
		zmq_msg_close(&lent);
	} else {
		d->held = 1;
	}
	return error;
}

static int send_name(wire *w, target *to)
{
	RETRY(zmq_send(w->socket, to->name, to->name_size, ZMQ_SNDMORE | ZMQ_DONTWAIT));
	return 0;
}

// send_one sends one message. Where a ROUTER has taken the name it has room for
// the message, and takes all its parts.
static int send_one(wire *w, departure *d)
{
	parcel *p = d->parcel;
	int     error = w->server ? 0 : send_name(w, d->to);

	for (int i = 0; i < p->count && !error; i++) {
		part *next = &p->parts[i];
		int   last = i + 1 == p->count;
		int   flags = last ? 0 : ZMQ_SNDMORE;
		// One part stands for the message.
		if (!d->held && (next->size >= WORTH_HOLDING || (last && d->bytes >= WORTH_HOLDING)))
			error = send_held(w, next, d, flags);
		else
			error = send_part(w, &next->msg, d->to->number, flags);
		if (error == EAGAIN && !w->server)
			error = EHOSTUNREACH; // not to be sent again: a half of it has gone
	}
	return error;
}

void wire_send(wire *w, int n)
{
	int refused = 0;

	for (int i = 0; i < n; i++) {
		departure *d = &w->out[i];
		d->held = d->error = 0;
		for (int j = 0; refused && j < i && !d->error; j++)
			if (w->out[j].error == EAGAIN && w->out[j].to == d->to)
				d->error = EAGAIN;
		if (!d->error)
			d->error = send_one(w, d);
		if (d->error == EAGAIN)
			refused = 1;
		else
			parcel_close(d->parcel); // of what was sent, only the empty messages
	}
}

static int receive_single(wire *w, arrival *a)
{
	parcel *p = a->parcel;

	zmq_msg_init(&p->few[0].msg);
	RETRY(zmq_msg_recv(&p->few[0].msg, w->socket, ZMQ_DONTWAIT));
	a->number = zmq_msg_routing_id(&p->few[0].msg);
	parcel_took(p);
	if (!p->few[0].size)
		parcel_close(p);
	return 0;
}

static int receive_parts(wire *w, arrival *a)
{
	parcel   *p = a->parcel;
	zmq_msg_t name;
	int       more, short_of = 0;

	zmq_msg_init(&name);
	RETRY(zmq_msg_recv(&name, w->socket, ZMQ_DONTWAIT));
	a->name_size = zmq_msg_size(&name) <= NAME ? zmq_msg_size(&name) : 0;
	memcpy(a->name, zmq_msg_data(&name), a->name_size);
	more = zmq_msg_more(&name);
	zmq_msg_close(&name);
	while (more) { // all are there: libzmq shows no part before the last has come
		zmq_msg_t spare;
		int       enough = p->count == MOST;
		part     *next = enough ? NULL : parcel_next(p);
		zmq_msg_t *msg = next ? &next->msg : &spare;
		zmq_msg_init(msg);
		RETRY(zmq_msg_recv(msg, w->socket, ZMQ_DONTWAIT));
		more = zmq_msg_more(msg);
		if (next) {
			parcel_took(p);
		} else {
			short_of |= !enough;
			zmq_msg_close(msg);
		}
	}
	if (short_of)
		parcel_close(p);
	return 0;
}

int wire_receive(wire *w, int most)
{
	int n;

	for (n = 0, w->error = 0; n < most; n++) {
		w->error = w->server ? receive_single(w, &w->in[n]) : receive_parts(w, &w->in[n]);
		if (w->error) {
			parcel_close(w->in[n].parcel);
			break;
		}
	}
	return n;
}

int wire_wait(wire *w, int most, long milliseconds)
{
	zmq_poller_event_t event;

	if (zmq_poller_wait(w->poller, &event, milliseconds) < 0) {
		w->error = zmq_errno();
		return 0;
	}
	return wire_receive(w, most);
}

void wire_keep_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	mallopt(M_MMAP_THRESHOLD, 32 << 20); // the most that it allows
#endif
}

wire *wire_new(void *socket, int server)
{
	wire *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->socket = socket;
	w->server = server;
	return w;
}

int wire_watch(wire *w, int fd)
{
	if (!(w->poller = zmq_poller_new()) ||
	    zmq_poller_add(w->poller, w->socket, NULL, ZMQ_POLLIN) < 0 ||
	    zmq_poller_add_fd(w->poller, fd, NULL, ZMQ_POLLIN) < 0)
		return zmq_errno();
	return 0;
}

void wire_free(wire *w)
{
	if (w->poller)
		zmq_poller_destroy(&w->poller);
	free(w);
}
