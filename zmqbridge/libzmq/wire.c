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
// again; any other error is returned.
#define RETRY(call) \
	while ((call) < 0) \
		if (zmq_errno() != EINTR) \
			return zmq_errno()

// A message that has a part this large, or is this heavy, is tracked when it
// is sent. Others cannot fill the memory: a peer's queue in libzmq is bounded.
enum { WORTH_TRACKING = 16 << 10 };

// A slice this large is not worth a copy.
enum { WORTH_SHARING = 2 << 10 };

frames *frames_new(void)
{
	frames *p = malloc(sizeof *p);
	if (p) {
		p->parts = p->inline_parts;
		p->count = 0;
		p->room = INLINE_PARTS;
	}
	return p;
}

void frames_close(frames *p)
{
	while (p->count > 0)
		zmq_msg_close(&p->parts[--p->count].msg);
	if (p->parts != p->inline_parts) {
		free(p->parts);
		p->parts = p->inline_parts;
		p->room = INLINE_PARTS;
	}
}

void frames_free(frames *p)
{
	frames_close(p);
	free(p);
}

// frames_next returns the place of one more part; NULL without memory.
static part *frames_next(frames *p)
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
		if (p->parts != p->inline_parts)
			free(p->parts); // its messages are empty now, which hold nothing
		p->parts = more;
		p->room *= 2;
	}
	return &p->parts[p->count];
}

static void frames_took(frames *p)
{
	part *last = &p->parts[p->count++];
	last->data = zmq_msg_data(&last->msg);
	last->size = zmq_msg_size(&last->msg);
}

void *frames_add(frames *p, size_t size)
{
	part *next = frames_next(p);
	if (!next || zmq_msg_init_size(&next->msg, size) < 0)
		return NULL;
	frames_took(p);
	return p->parts[p->count - 1].data;
}

// A received part, of which libzmq borrows slices.
typedef struct {
	zmq_msg_t whole;
	int64_t   borrowers; // atomic: slices, and who is making them
} shared;

static void shared_drop(shared *s)
{
	if (__atomic_sub_fetch(&s->borrowers, 1, __ATOMIC_ACQ_REL) == 0) {
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

static int frames_add_slice(frames *p, slice from, shared *s)
{
	part *next;
	if (from.size < WORTH_SHARING) {
		void *data = frames_add(p, from.size);
		if (data && from.size)
			memcpy(data, from.data, from.size);
		return data ? 0 : ENOMEM;
	}
	if (!(next = frames_next(p)))
		return ENOMEM;
	__atomic_add_fetch(&s->borrowers, 1, __ATOMIC_RELAXED);
	if (zmq_msg_init_data(&next->msg, from.data, from.size, slice_free, s) < 0) {
		shared_drop(s);
		return ENOMEM;
	}
	frames_took(p);
	return 0;
}

int frames_split(frames *to, frames *from, const void *coord, size_t coord_size, const slice *slices, int n)
{
	int     error = ENOMEM;
	shared *s = malloc(sizeof *s);
	void   *place;

	if (!s) {
		frames_close(from);
		return ENOMEM;
	}
	// A small part moves with its message, but then no slice of it is large enough
	// to be shared, and the bytes are still to be read where they were.
	s->borrowers = 1;
	zmq_msg_init(&s->whole);
	zmq_msg_copy(&s->whole, &from->parts[0].msg);
	if (frames_add(to, 0) && !(error = frames_add_slice(to, slices[0], s))) {
		error = ENOMEM;
		if ((place = frames_add(to, coord_size))) {
			memcpy(place, coord, coord_size);
			error = 0;
		}
	}
	for (int i = 1; i < n && !error; i++)
		error = frames_add_slice(to, slices[i], s);
	frames_close(from);
	shared_drop(s);
	return error;
}

const char *frames_property(frames *p, const char *key)
{
	return p->count ? zmq_msg_gets(&p->parts[p->count - 1].msg, key) : NULL;
}

peer_address *peer_address_new(uint32_t number, const void *name, size_t name_size)
{
	peer_address *t;
	if (name_size > NAME || !(t = calloc(1, sizeof *t + name_size)))
		return NULL;
	t->holders = 1;
	t->number = number;
	t->name_size = name_size;
	if (name_size)
		memcpy(t->name, name, name_size);
	return t;
}

void peer_address_drop(peer_address *t)
{
	if (__atomic_sub_fetch(&t->holders, 1, __ATOMIC_ACQ_REL) == 0)
		free(t);
}

// A message that is being sent, and where it is counted when it has left.
typedef struct {
	zmq_msg_t inner;
	peer_address *on;
	int64_t   messages, bytes;
} tracked;

// Called by libzmq, on its own thread, when it is done with a message: it was
// written, or its connection is gone.
static void tracked_free(void *data, void *hint)
{
	tracked *h = hint;
	(void)data;
	zmq_msg_close(&h->inner);
	__atomic_add_fetch(&h->on->messages, h->messages, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&h->on->bytes, h->bytes, __ATOMIC_SEQ_CST);
	peer_address_drop(h->on);
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

// send_tracked sends a part as send_part, and counts one message of so many bytes
// when it has left. What libzmq is given is a message that borrows the
// bytes of the real one.
static int send_tracked(wire *w, part *p, outbound *d, int flags)
{
	tracked  *h = malloc(sizeof *h);
	zmq_msg_t borrowing;
	int       error;

	if (!h)
		return ENOMEM;
	h->on = d->to;
	h->messages = 1;
	h->bytes = d->bytes;
	zmq_msg_init(&h->inner);
	zmq_msg_move(&h->inner, &p->msg);
	// A small part's bytes have moved with it.
	if (zmq_msg_init_data(&borrowing, zmq_msg_data(&h->inner), p->size, tracked_free, h) < 0) {
		zmq_msg_move(&p->msg, &h->inner);
		zmq_msg_close(&h->inner);
		free(h);
		return ENOMEM;
	}
	__atomic_add_fetch(&d->to->holders, 1, __ATOMIC_RELAXED);
	error = send_part(w, &borrowing, d->to->number, flags);
	if (error) { // takes all back, so that closing borrowing frees nothing but h
		zmq_msg_move(&p->msg, &h->inner);
		h->messages = h->bytes = 0;
		zmq_msg_close(&borrowing);
	} else {
		d->tracked = 1;
	}
	return error;
}

static int send_name(wire *w, peer_address *to)
{
	RETRY(zmq_send(w->socket, to->name, to->name_size, ZMQ_SNDMORE | ZMQ_DONTWAIT));
	return 0;
}

// send_one sends one message. Where a ROUTER has taken the name it has room for
// the message, and takes all its parts.
static int send_one(wire *w, outbound *d)
{
	frames *p = d->frames;
	int     error = w->server ? 0 : send_name(w, d->to);

	for (int i = 0; i < p->count && !error; i++) {
		part *next = &p->parts[i];
		int   last = i + 1 == p->count;
		int   flags = last ? 0 : ZMQ_SNDMORE;
		// One part stands for the message.
		if (!d->tracked && (next->size >= WORTH_TRACKING || (last && d->bytes >= WORTH_TRACKING)))
			error = send_tracked(w, next, d, flags);
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
		outbound *d = &w->out[i];
		d->tracked = d->error = 0;
		for (int j = 0; refused && j < i && !d->error; j++)
			if (w->out[j].error == EAGAIN && w->out[j].to == d->to)
				d->error = EAGAIN;
		if (!d->error)
			d->error = send_one(w, d);
		if (d->error == EAGAIN)
			refused = 1;
		else
			frames_close(d->frames); // of what was sent, only the empty messages
	}
}

static int receive_single(wire *w, inbound *a)
{
	frames *p = a->frames;

	zmq_msg_init(&p->inline_parts[0].msg);
	RETRY(zmq_msg_recv(&p->inline_parts[0].msg, w->socket, ZMQ_DONTWAIT));
	a->number = zmq_msg_routing_id(&p->inline_parts[0].msg);
	frames_took(p);
	if (!p->inline_parts[0].size)
		frames_close(p);
	return 0;
}

static int receive_parts(wire *w, inbound *a)
{
	frames   *p = a->frames;
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
		int       enough = p->count == MAX_PARTS;
		part     *next = enough ? NULL : frames_next(p);
		zmq_msg_t *msg = next ? &next->msg : &spare;
		zmq_msg_init(msg);
		RETRY(zmq_msg_recv(msg, w->socket, ZMQ_DONTWAIT));
		more = zmq_msg_more(msg);
		if (next) {
			frames_took(p);
		} else {
			short_of |= !enough;
			zmq_msg_close(msg);
		}
	}
	if (short_of)
		frames_close(p);
	return 0;
}

int wire_receive(wire *w, int most)
{
	int n;

	for (n = 0, w->error = 0; n < most; n++) {
		w->error = w->server ? receive_single(w, &w->in[n]) : receive_parts(w, &w->in[n]);
		if (w->error) {
			frames_close(w->in[n].frames);
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
