// What the gateway does with libzmq message by message: many messages for one
// call from Go, and no copy of their bytes.
//
// Memory. Frames, a wire and a peer_address lie in C's memory, so C may keep
// pointers to them and between them. Frames belong to one holder at a time:
// to Go, from frames_new or wire_receive on, until wire_send has used them up. What
// data points at is libzmq's, or lies in the frames themselves when it is small;
// either way it stays where it is, and valid, until the part is sent or closed.
// Of frames with a count of 0 nothing is held but the struct.
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
	INLINE_PARTS = 4, // parts that most messages have: delimiter, prefix, coord, payload
	MAX_PARTS    = 3 + 65536 + 1, // parts of a received message that are kept: one too many
	                              // is enough to refuse it
	BATCH = 32, // messages that a call receives or sends at the most
	NAME  = 255 // bytes of a ROUTER's identity at the most
};

// A message in its parts.
typedef struct {
	part *parts; // inline_parts, or memory that was allocated for them
	int   count, room;
	part  inline_parts[INLINE_PARTS];
} frames;

// Where messages for one peer go, and what has left libzmq for it: what was
// written to its connection, or lost with it. Both count upwards only.
typedef struct {
	int64_t       messages, bytes; // atomic
	int64_t       holders;         // atomic: the link, and every message that is tracked
	uint32_t      number;          // on a SERVER
	uint32_t      name_size;       // on a ROUTER
	unsigned char name[];
} peer_address;

// A message received, and from whom.
typedef struct {
	frames       *frames; // set by the caller, empty
	uint32_t      number;
	uint32_t      name_size;
	unsigned char name[NAME];
} inbound;

// A message to be sent.
typedef struct {
	frames       *frames;
	peer_address *to;
	int64_t       bytes;   // what is counted for it: the message's weight
	int           error;   // set by wire_send: 0, EAGAIN, or why the peer cannot be reached
	int           tracked; // set by wire_send: "to" counts it when it has left
} outbound;

// One socket, used by one thread at a time.
typedef struct {
	void     *socket;
	void     *poller;
	int       server; // SERVER, else ROUTER
	int       error;  // why wire_receive stopped short of what was asked for
	inbound   in[BATCH];
	outbound  out[BATCH];
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
// and returns how many. Frames that are left empty have nothing to be read: their
// message is to be passed over.
int wire_receive(wire *w, int most);
// wire_wait waits until there is something to receive, or the file descriptor
// can be read, or so many milliseconds are over; then it receives.
int wire_wait(wire *w, int most, long milliseconds);
// wire_send sends the first n of w->out, without waiting. Frames are used up
// unless its error is EAGAIN. When one is refused, so are those behind it for
// the same peer.
void wire_send(wire *w, int n);

frames *frames_new(void);
void    frames_free(frames *p);
void    frames_close(frames *p);
// frames_add adds a part of that size, for the caller to fill; NULL if there is
// no memory for it.
void *frames_add(frames *p, size_t size);

// A stretch of a received part.
typedef struct {
	void  *data;
	size_t size;
} slice;

// frames_split moves the single part of frames into another one's parts: after
// a delimiter the first slice, the coord, and the other slices, which lie in the
// part. The large ones are not copied: they keep the part alive. The source is
// empty after it, whatever is returned; 0 is success.
int frames_split(frames *to, frames *from, const void *coord, size_t coord_size, const slice *slices, int n);

// frames_property returns what libzmq knows of a received message's connection.
const char *frames_property(frames *p, const char *key);

peer_address *peer_address_new(uint32_t number, const void *name, size_t name_size);
void    peer_address_drop(peer_address *t);

#endif
