/* A ZeroMQ peer on libzmq: see ../README.md. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <zmq.h>

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(errno));
        exit(1);
    }
}

/* argument returns the value of name=value, or NULL. */
static const char *argument(char **argv, const char *name)
{
    size_t length = strlen(name);
    for (; *argv; argv++)
        if (!strncmp(*argv, name, length) && (*argv)[length] == '=')
            return *argv + length + 1;
    return NULL;
}

static const char *required(char **argv, const char *name)
{
    const char *value = argument(argv, name);
    if (!value) {
        fprintf(stderr, "%s= is missing\n", name);
        exit(2);
    }
    return value;
}

/* take reads so many bytes, unless the input ends before the first. */
static int take(void *to, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(STDIN_FILENO, (char *) to + got, size - got);
        check(n >= 0 && (n || !got), "read");
        if (!n)
            return 0;
        got += n;
    }
    return 1;
}

static void give(const void *from, size_t size)
{
    while (size) {
        ssize_t n = write(STDOUT_FILENO, from, size);
        check(n > 0, "write");
        from = (const char *) from + n;
        size -= n;
    }
}

static int take_number(uint32_t *number)
{
    if (!take(number, 4))
        return 0;
    *number = ntohl(*number);
    return 1;
}

static void give_number(uint32_t number)
{
    number = htonl(number);
    give(&number, 4);
}

/* outwards sends a message of the input; 0 if that is at its end. */
static int outwards(void *socket)
{
    uint32_t parts, size;
    if (!take_number(&parts))
        return 0;
    while (parts--) {
        zmq_msg_t part;
        check(take_number(&size) && !zmq_msg_init_size(&part, size), "a part");
        check(!size || take(zmq_msg_data(&part), size), "a part");
        check(zmq_msg_send(&part, socket, parts ? ZMQ_SNDMORE : 0) >= 0, "send");
    }
    return 1;
}

/* inwards writes a message that the socket has. */
static void inwards(void *socket)
{
    enum { MOST = 1024 };
    zmq_msg_t parts[MOST];
    uint32_t count = 0;
    do {
        check(count < MOST && !zmq_msg_init(&parts[count]), "a part");
        check(zmq_msg_recv(&parts[count], socket, 0) >= 0, "receive");
    } while (zmq_msg_more(&parts[count++]));
    give_number(count);
    for (uint32_t i = 0; i < count; i++) {
        give_number(zmq_msg_size(&parts[i]));
        give(zmq_msg_data(&parts[i]), zmq_msg_size(&parts[i]));
        zmq_msg_close(&parts[i]);
    }
}

static void set(void *socket, int option, int value)
{
    check(!zmq_setsockopt(socket, option, &value, sizeof value), "an option");
}

static void set_text(void *socket, int option, const char *value)
{
    check(!zmq_setsockopt(socket, option, value, strlen(value)), "an option");
}

static void configure(void *socket, char **argv)
{
    const char *value;
    set(socket, ZMQ_LINGER, 2000);
    set(socket, ZMQ_SNDHWM, 0);
    set(socket, ZMQ_RCVHWM, 0);
    if ((value = argument(argv, "identity")))
        set_text(socket, ZMQ_ROUTING_ID, value);
    if ((value = argument(argv, "heartbeat"))) {
        set(socket, ZMQ_HEARTBEAT_IVL, atoi(value));
        set(socket, ZMQ_HEARTBEAT_TIMEOUT, 5 * atoi(value));
        set(socket, ZMQ_HEARTBEAT_TTL, 5 * atoi(value));
    }
    if ((value = argument(argv, "server"))) {
        set_text(socket, ZMQ_CURVE_SERVERKEY, value);
        set_text(socket, ZMQ_CURVE_PUBLICKEY, required(argv, "public"));
        set_text(socket, ZMQ_CURVE_SECRETKEY, required(argv, "secret"));
    }
}

int main(int argc, char **argv)
{
    (void) argc;
    int type = strcmp(required(argv, "socket"), "client") ? ZMQ_DEALER : ZMQ_CLIENT;
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, type);
    check(socket != NULL, "a socket");
    configure(socket, argv);
    check(!zmq_connect(socket, required(argv, "address")), "connect");
    zmq_pollitem_t items[] = {
        {socket, 0, ZMQ_POLLIN, 0},
        {NULL, STDIN_FILENO, ZMQ_POLLIN | ZMQ_POLLERR, 0}, /* an end is an error */
    };
    for (;;) {
        check(zmq_poll(items, 2, -1) >= 0, "poll");
        if (items[0].revents)
            inwards(socket);
        if (items[1].revents && !outwards(socket))
            break;
    }
    return zmq_close(socket) || zmq_ctx_term(context);
}
