/* A load generator for WebSocket servers: one thread, epoll, nothing but what the measurement needs. It polls without
 * sleeping: it takes a core of its own, and no server waits until that core has been woken.
 *
 * load PORT SERVER_PID echo CONNECTIONS IN_FLIGHT SIZE SECONDS [tls]
 *     Every connection keeps IN_FLIGHT text messages of SIZE bytes under way; the server echoes them.
 * load PORT SERVER_PID broadcast CONNECTIONS 1 SIZE SECONDS [deflate]
 *     One connection sends a message, which the server is to send to all; when all have it, the next. Compressed
 *     ones are counted, not inflated.
 * load PORT SERVER_PID open CONCURRENT 1 SIZE SECONDS
 *     Connections are opened, echo one message and are closed by a closing handshake.
 * load PORT SERVER_PID idle CONNECTIONS 1 0 SECONDS
 *     Connections are opened and held. The memory of the server before and after is what is measured.
 *
 * The address is 127.0.0.1. What comes back is compared with what was sent, byte by byte, but for what is compressed.
 * A fifth of SECONDS passes before counting begins. It prints one line of JSON: the count of messages (or
 * connections), the seconds of the clock, the nanoseconds of processor time that the server took meanwhile (by the
 * kernel's own account, /proc/PID/schedstat), the count of all messages from the start on, and the kilobytes of memory
 * that the server had before and after.
 *
 * Linux only. cc -O2 -std=c11 -o load load.c, or with TLS: cc -O2 -std=c11 -DWITH_TLS -o load load.c -lssl -lcrypto
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

#define READ_SIZE (1 << 18)
/* How long a server may take to send something, in seconds. */
#define PATIENCE 10
/* Frames are repeated in memory so that many leave in one call. */
#define REPEATED_BYTES (1 << 16)

enum state { CONNECTING, SECURING, UPGRADING, OPEN, CLOSING };
enum mode { ECHO, BROADCAST, OPENING, IDLE };

struct connection {
    int fd;
    enum state state;
    bool wants_write;
    /* Bytes of the stream of frames that are due, and where in a frame it stands. */
    uint64_t due;
    size_t at;
    /* The frame that comes in: its header so far, what is left of its payload, its opcode. */
    uint8_t header[10];
    size_t header_size;
    uint64_t left, length;
    uint8_t first;
    /* How much of the answer's end, an empty line, has been seen. */
    int line_ends;
    uint64_t received;
    struct sockaddr_in from;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

static enum mode mode;
static int port, epoll_fd;
static long server_pid;
static size_t connection_count, in_flight, size;
static bool tls, deflate;
static struct connection *connections;
static uint8_t *frames, *payload;
static size_t frame_size, frames_size;
static uint64_t counted, opened, total;
static uint8_t input[READ_SIZE];
static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
#ifdef WITH_TLS
static SSL_CTX *context;
#endif

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- What the server takes ------------------------------------------------------------------------- */

static void read_file(const char *name, char *text, size_t room) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/%s", server_pid, name);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, room - 1);
    if (n <= 0)
        fail("the server has ended: no %s", path);
    text[n] = 0;
    close(fd);
}

static unsigned long long server_nanoseconds(void) {
    char text[128];
    read_file("schedstat", text, sizeof text);
    return strtoull(text, NULL, 10);
}

static long server_kilobytes(void) {
    char text[4096];
    read_file("status", text, sizeof text);
    const char *found = strstr(text, "VmRSS:");
    return found ? strtol(found + 6, NULL, 10) : 0;
}

/* ---- Frames to send ---------------------------------------------------------------------------------- */

static void make_frames(void) {
    static const char words[] =
        "{\"symbol\": \"WSFT\", \"bid\": 101.25, \"ask\": 101.5, \"size\": 300} ";
    payload = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)words[i % (sizeof words - 1)];
    uint8_t header[14] = {0x81};
    size_t n = 2;
    if (size < 126) {
        header[1] = (uint8_t)size;
    } else if (size < 65536) {
        header[1] = 126;
        header[n++] = (uint8_t)(size >> 8);
        header[n++] = (uint8_t)size;
    } else {
        header[1] = 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            header[n++] = (uint8_t)((uint64_t)size >> shift);
    }
    header[1] |= 0x80;
    memcpy(header + n, mask, 4);
    n += 4;
    frame_size = n + size;
    size_t copies = 1 + REPEATED_BYTES / frame_size;
    frames_size = copies * frame_size;
    frames = malloc(frames_size);
    if (!frames || !payload)
        fail("no memory");
    for (size_t copy = 0; copy < copies; copy++) {
        uint8_t *frame = frames + copy * frame_size;
        memcpy(frame, header, n);
        for (size_t i = 0; i < size; i++)
            frame[n + i] = payload[i] ^ mask[i % 4];
    }
}

/* ---- Input and output ---------------------------------------------------------------------------------- */

static void watch(struct connection *c, bool write) {
    if (c->wants_write == write)
        return;
    c->wants_write = write;
    struct epoll_event event = {.events = EPOLLIN | (write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

/* Return what was written, 0 for nothing yet. */
static size_t write_some(struct connection *c, const void *data, size_t n) {
#ifdef WITH_TLS
    if (c->ssl) {
        int done = SSL_write(c->ssl, data, n > READ_SIZE ? READ_SIZE : (int)n);
        if (done > 0)
            return (size_t)done;
        int why = SSL_get_error(c->ssl, done);
        if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
            return 0;
        fail("SSL_write failed");
    }
#endif
    ssize_t done = send(c->fd, data, n, MSG_NOSIGNAL);
    if (done >= 0)
        return (size_t)done;
    if (errno == EAGAIN)
        return 0;
    fail("send: %s", strerror(errno));
}

/* Return what was read, 0 for the end, -1 for nothing yet. */
static ssize_t read_some(struct connection *c) {
#ifdef WITH_TLS
    if (c->ssl) {
        int n = SSL_read(c->ssl, input, sizeof input);
        if (n > 0)
            return n;
        int why = SSL_get_error(c->ssl, n);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
    }
#endif
    ssize_t n = recv(c->fd, input, sizeof input, 0);
    if (n < 0 && errno != EAGAIN)
        return 0;
    return n;
}

static void send_due(struct connection *c) {
    while (c->due) {
        size_t n = frames_size - c->at;
        if (n > c->due)
            n = (size_t)c->due;
        size_t done = write_some(c, frames + c->at, n);
        if (!done)
            break;
        c->due -= done;
        c->at = (c->at + done) % frame_size;
    }
    watch(c, c->due > 0);
}

static void send_messages(struct connection *c, uint64_t count) {
    c->due += count * frame_size;
    send_due(c);
}

/* ---- A connection's life ----------------------------------------------------------------------------- */

static void open_connection(struct connection *c) {
    size_t index = (size_t)(c - connections);
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        fail("socket: %s", strerror(errno));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* More source addresses than one, so that the ports suffice. */
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr =
                                     htonl(INADDR_LOOPBACK + (uint32_t)(index / 20000))};
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, (struct sockaddr *)&source, sizeof source))
        fail("bind: %s", strerror(errno));
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    c->wants_write = true;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static void close_connection(struct connection *c) {
#ifdef WITH_TLS
    if (c->ssl)
        SSL_free(c->ssl);
#endif
    close(c->fd);
}

static void send_request(struct connection *c) {
    char request[512];
    int n = snprintf(
        request, sizeof request,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        port, deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    if (write_some(c, request, (size_t)n) != (size_t)n)
        fail("a request was not sent at once");
    c->state = UPGRADING;
    watch(c, false);
}

static void go_on_connecting(struct connection *c) {
    if (c->state == CONNECTING) {
        int error = 0;
        socklen_t n = sizeof error;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
        if (error)
            fail("connect: %s", strerror(error));
#ifdef WITH_TLS
        if (tls) {
            c->ssl = SSL_new(context);
            SSL_set_fd(c->ssl, c->fd);
            SSL_set_mode(c->ssl,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
            c->state = SECURING;
        }
#endif
    }
#ifdef WITH_TLS
    if (c->state == SECURING) {
        int done = SSL_connect(c->ssl);
        if (done <= 0) {
            int why = SSL_get_error(c->ssl, done);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                fail("the TLS handshake failed");
            watch(c, why == SSL_ERROR_WANT_WRITE);
            return;
        }
    }
#endif
    send_request(c);
}

/* Count an upgraded connection. */
static void has_opened(struct connection *c) {
    c->state = OPEN;
    opened++;
    if (mode == ECHO)
        send_messages(c, in_flight);
    if (mode == OPENING)
        send_messages(c, 1);
}

/* A message has arrived. */
static void has_message(struct connection *c) {
    c->received++;
    total++;
    if (mode == ECHO)
        counted++;
    if (mode == OPENING) {
        static const uint8_t close_frame[] = {0x88, 0x82, 0, 0, 0, 0, 3, 0xe8};
        if (write_some(c, close_frame, sizeof close_frame) != sizeof close_frame)
            fail("no room for a close frame");
        c->state = CLOSING;
    }
}

/* Take what was read; return how many messages were in it. */
static uint64_t take(struct connection *c, const uint8_t *data, size_t n) {
    uint64_t messages = 0;
    while (n) {
        if (c->left == 0) {
            c->header[c->header_size++] = *data++;
            n--;
            size_t need = 2;
            if (c->header_size >= 2) {
                uint8_t length = c->header[1];
                if (length & 0x80)
                    fail("a masked frame from the server");
                need = length == 126 ? 4 : length == 127 ? 10 : 2;
            }
            if (c->header_size < need)
                continue;
            c->first = c->header[0];
            c->length = c->header[1];
            if (need > 2) {
                c->length = 0;
                for (size_t i = 2; i < need; i++)
                    c->length = c->length << 8 | c->header[i];
            }
            c->header_size = 0;
            c->left = c->length;
            uint8_t opcode = c->first & 15;
            if (opcode == 1 && (c->first & 0xf0) == 0x80 && c->length != size)
                fail("a message of %llu bytes, not %zu", (unsigned long long)c->length, size);
            if (opcode == 1 && !(c->first & 0x80))
                fail("a fragmented message");
        } else {
            size_t part = c->left < n ? (size_t)c->left : n;
            /* Not compressed: it must be what was sent. */
            if ((c->first & 0x4f) == 1 && memcmp(data, payload + (c->length - c->left), part))
                fail("what came back is not what was sent");
            c->left -= part;
            data += part;
            n -= part;
        }
        if (c->left == 0 && c->header_size == 0) {
            if ((c->first & 15) == 1) {
                has_message(c);
                messages++;
            } else if ((c->first & 15) == 8 && c->state != CLOSING) {
                fail("the server closes a connection");
            }
        }
    }
    return messages;
}

static const uint8_t *skip_answer(struct connection *c, const uint8_t *data, size_t *n) {
    static const char good[] = "HTTP/1.1 101 ";
    if (c->header_size == 0 && memcmp(data, good, sizeof good - 1))
        fail("not 101: %.60s", (const char *)data);
    c->header_size = 1;
    while (*n && c->line_ends < 4) {
        bool fits = *data == (c->line_ends % 2 ? '\n' : '\r');
        c->line_ends = fits ? c->line_ends + 1 : *data == '\r';
        data++;
        (*n)--;
    }
    if (c->line_ends == 4) {
        c->header_size = 0;
        has_opened(c);
    }
    return data;
}

static void readable(struct connection *c) {
    for (;;) {
        ssize_t got = read_some(c);
        if (got < 0)
            return;
        if (got == 0) {
            if (c->state != CLOSING)
                fail("the server ended a connection, state %d", c->state);
            counted++;
            close_connection(c);
            open_connection(c);
            return;
        }
        size_t n = (size_t)got;
        const uint8_t *data = input;
        if (c->state == UPGRADING)
            data = skip_answer(c, data, &n);
        uint64_t messages = n ? take(c, data, n) : 0;
        if (messages && mode == ECHO)
            send_messages(c, messages);
        if ((size_t)got < sizeof input && !tls)
            return;
    }
}

static void turn(void) {
    struct epoll_event events[512];
    int n;
    double end = 0;
    while ((n = epoll_wait(epoll_fd, events, 512, 0)) == 0) {
        if (end == 0)
            end = now() + PATIENCE;
        else if (now() > end)
            fail("nothing has come for %d seconds", PATIENCE);
    }
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->state <= SECURING) {
            go_on_connecting(c);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            send_due(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            readable(c);
    }
}

/* ---- The whole --------------------------------------------------------------------------------------- */

/* One message to all; wait until it is there. */
static void broadcast_once(void) {
    uint64_t due = connections[0].received + 1;
    send_messages(&connections[0], 1);
    for (size_t i = 0; i < connection_count; i++)
        while (connections[i].received < due)
            turn();
    counted += connection_count;
}

int main(int argc, char **argv) {
    if (argc < 8)
        fail("usage: load PORT SERVER_PID echo|broadcast|open|idle CONNECTIONS IN_FLIGHT SIZE "
             "SECONDS [tls|deflate]");
    port = atoi(argv[1]);
    server_pid = atol(argv[2]);
    static const char *const modes[] = {"echo", "broadcast", "open", "idle"};
    while (strcmp(modes[mode], argv[3]))
        if (++mode > IDLE)
            fail("no mode %s", argv[3]);
    connection_count = (size_t)atol(argv[4]);
    in_flight = (size_t)atol(argv[5]);
    size = (size_t)atol(argv[6]);
    double seconds = atof(argv[7]);
    tls = argc > 8 && !strcmp(argv[8], "tls");
    deflate = argc > 8 && !strcmp(argv[8], "deflate");
    if (tls) {
#ifdef WITH_TLS
        context = SSL_CTX_new(TLS_client_method());
        if (!context)
            fail("no TLS");
#else
        fail("built without TLS");
#endif
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    make_frames();
    epoll_fd = epoll_create1(0);
    connections = calloc(connection_count, sizeof *connections);
    if (epoll_fd < 0 || !connections)
        fail("no memory");
    long memory = server_kilobytes();
    /* Not more at a time than a server's backlog takes. */
    for (size_t i = 0; i < connection_count; i++) {
        open_connection(&connections[i]);
        if (i % 32 == 31 || i + 1 == connection_count)
            while (mode != OPENING && opened <= i)
                turn();
    }
    double end = now() + seconds / 5;
    unsigned long long before = 0;
    double start = 0;
    for (int measured = 0; measured < 2; measured++) {
        start = now();
        end = start + (measured ? seconds : seconds / 5);
        counted = 0;
        before = server_nanoseconds();
        while (now() < end) {
            if (mode == BROADCAST)
                broadcast_once();
            else if (mode == IDLE)
                usleep(20000);
            else
                turn();
        }
    }
    unsigned long long spent = server_nanoseconds() - before;
    printf("{\"count\": %llu, \"seconds\": %.6f, \"server_ns\": %llu, \"total\": %llu, "
           "\"kilobytes_before\": %ld,"
           " \"kilobytes\": %ld}\n",
           (unsigned long long)counted, now() - start, spent, (unsigned long long)total, memory,
           server_kilobytes());
    return 0;
}
