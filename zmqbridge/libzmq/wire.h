// What the gateway does with libzmq message by message: many messages for one
// call from Go, and no copy of their bytes.
//
// Memory. A parcel, a wire and a target lie in C's memory, so C may keep
// pointers to them and between them. A parcel belongs to one holder at a time:
// to Go, from parcel_new or wire_receive on, until wire_send has used it up. What
// data points at is libzmq's, or lies in the parcel itself when it is small;
// either way it stays where it is, and valid, until the part is sent or closed.
// Of a parcel with a count of 0 nothing is held but the struct.
//
// None of this calls back into Go.
#ifndef ZMQBRIDGE_WIRE_H
#define ZMQBRIDGE_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

typedef struct {
	zmq_msg_t msg;
	void     *data;
	size_t    size;
} part;

enum {
	FEW   = 4,  // parts that most messages have: delimiter, prefix, coord, payload
	MOST  = 3 + 65536 + 1, // parts of a received message that are kept: one too many is
	                       // enough to refuse it
	BATCH = 32, // messages that a call receives or sends at the most
	NAME  = 255 // bytes of a ROUTER's identity at the most
};

// A message in its parts.
typedef struct {
	part *parts; // few, or memory of the parcel's own
	int   count, room;
	part  few[FEW];
} parcel;

// Where messages for one peer go, and what has left libzmq for it: what was
// written to its connection, or lost with it. The tally counts upwards only.
typedef struct {
	int64_t       messages, bytes; // atomic
	int64_t       holders;         // atomic: the link, and every message that is held
	uint32_t      number;          // on a SERVER
	uint32_t      name_size;       // on a ROUTER
	unsigned char name[];
} target;

// A message received, and from whom.
typedef struct {
	parcel       *parcel; // set by the caller, empty
	uint32_t      number;
	uint32_t      name_size;
	unsigned char name[NAME];
} arrival;

// A message to be sent.
typedef struct {
	parcel *parcel;
	target *to;
	int64_t bytes; // what the tally counts: the message's weight
	int     error; // set by wire_send: 0, EAGAIN, or why the peer cannot be reached
	int     held;  // set by wire_send: libzmq will put it on the tally
} departure;

// One socket, used by one thread at a time.
typedef struct {
	void     *socket;
	void     *poller;
	int       server; // SERVER, else ROUTER
	int       error;  // why wire_receive stopped short of what was asked for
	arrival   in[BATCH];
	departure out[BATCH];
} wire;

// wire_keep_memory has malloc keep what large messages have left behind for those
// that follow, up to 64 MiB for each of its arenas. By itself it gives the memory
// back to the system all the time, and has it cleared again.
void wire_keep_memory(void);

wire *wire_new(void *socket, int server);
// wire_watch lets wire_wait wake up for a file descriptor as well.
int  wire_watch(wire *w, int fd);
void wire_free(wire *w);

// wire_receive receives without waiting, up to a number of messages, into w->in,
// and answers how many. A parcel that is left empty was no message of anybody's.
int wire_receive(wire *w, int most);
// wire_wait waits until there is something to receive, or the file descriptor
// can be read, or so many milliseconds are over; then it receives.
int wire_wait(wire *w, int most, long milliseconds);
// wire_send sends the first n of w->out, without waiting. A parcel is used up
// unless its error is EAGAIN. When one is refused, so are those behind it for
// the same peer.
void wire_send(wire *w, int n);

parcel *parcel_new(void);
void    parcel_free(parcel *p);
void    parcel_close(parcel *p);
// parcel_add adds a part of that size, for the caller to fill; NULL if there is
// no memory for it.
void *parcel_add(parcel *p, size_t size);

// A stretch of a received part.
typedef struct {
	void  *data;
	size_t size;
} slice;

// parcel_cut moves the single part of a parcel into another one's parts: after
// a delimiter the first slice, the coord, and the other slices, which lie in the
// part. The large ones are not copied: they keep the part alive. The source is
// empty after it, whatever the answer; 0 is success.
int parcel_cut(parcel *to, parcel *from, const void *coord, size_t coord_size, const slice *slices, int n);

// parcel_property answers what libzmq knows of a received message's connection.
const char *parcel_property(parcel *p, const char *key);

target *target_new(uint32_t number, const void *name, size_t name_size);
void    target_drop(target *t);

#endif
