/* Replays HTTP requests that were written beforehand over keep-alive connections to 127.0.0.1.
 *
 * usage: replay PORT CONNECTIONS SECONDS PATIENCE SCRIPT FILLER [ETAGS]
 *
 * SCRIPT holds requests one behind the other, each a line "HEAD FILLER\n" of two lengths in bytes, then HEAD bytes
 * that are sent as they are; after them FILLER bytes are sent out of the file FILLER, again and again from its start.
 * With SECONDS 0 every request is sent once; else they are sent in turn, over and over, until the time is up, and the
 * requests under way are finished. Bodies of answers are discarded in the kernel (MSG_TRUNC), request bodies leave by
 * sendfile: the client is to take as little of the machine as it can. An answer that is not 2xx, is cut short, or
 * does not move for PATIENCE seconds is a failure; the first is told on stderr. Prints one JSON object. With ETAGS, a
 * file is written with the ETag of each answer, a line each in the order of the script.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_SPACE = 32 << 10, DISCARD = 16 << 20, ETAG_SPACE = 96, MAX_FAILURES = 100, WAIT_EVENTS = 256 };
enum phase { SENDING, HEAD, LENGTH, CHUNKED };

struct request {
    const char *bytes;
    size_t length, filler;
    int is_head;
};

struct connection {
    int fd, status, closing, chunk_state;
    enum phase phase;
    size_t index, sent, filled, have;
    long long remaining;
    uint64_t started;
    char in[HEAD_SPACE];
};

static struct request *requests;
static size_t request_count, next_request;
static char (*etags)[ETAG_SPACE];
static int poll_fd, filler_fd, port, once, open_connections;
static off_t filler_size;
static uint64_t begin, finish, done, failed, sent_bytes, received_bytes;
static uint32_t *latencies;
static size_t latency_space;
static char discarded[DISCARD];

static void die(const char *what) {
    fprintf(stderr, "replay: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static void load_script(const char *path) {
    int fd = open(path, O_RDONLY);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) < 0) die(path);
    size_t size = (size_t)found.st_size, have = 0, space = 0;
    char *text = malloc(size + 1);
    if (!text) die("memory");
    while (have < size) {
        ssize_t got = read(fd, text + have, size - have);
        if (got <= 0) die(path);
        have += (size_t)got;
    }
    text[size] = 0;
    close(fd);
    for (char *at = text; at < text + size;) {
        char *end;
        struct request request = {0};
        request.length = strtoull(at, &end, 10);
        request.filler = strtoull(end, &end, 10);
        request.bytes = end + 1;
        request.is_head = !strncmp(request.bytes, "HEAD ", 5);
        if (*end != '\n' || request.bytes + request.length > text + size) die("the script is malformed");
        if (request_count == space) {
            space = space ? space * 2 : 1024;
            requests = realloc(requests, space * sizeof *requests);
            if (!requests) die("memory");
        }
        requests[request_count++] = request;
        at = end + 1 + request.length;
    }
    if (!request_count) die("the script is empty");
}

static void watch(struct connection *c, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poll_fd, how, c->fd, &event) < 0) die("epoll_ctl");
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    open_connections++;
}

static void close_connection(struct connection *c) {
    close(c->fd);
    c->fd = -1;
    open_connections--;
}

/* Give the connection its next request, or close it when there is none. */
static void start(struct connection *c) {
    if (once ? next_request == request_count : now() >= finish) {
        if (c->fd >= 0) close_connection(c);
        return;
    }
    c->index = next_request++;
    if (!once) next_request %= request_count;
    c->phase = SENDING;
    c->sent = c->filled = c->have = 0;
    c->closing = c->chunk_state = c->status = 0;
    c->remaining = 0;
    c->started = now();
    if (c->fd < 0)
        open_connection(c);
    else
        watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void fail(struct connection *c, const char *why) {
    if (!failed++) {
        size_t line = 0;
        while (line < c->have && c->in[line] != '\r') line++;
        char *body = memmem(c->in, c->have, "\r\n\r\n", 4);
        size_t rest = body ? c->have - (size_t)(body - c->in) : 0;
        fprintf(stderr, "%s: %.*s%.*s\n", why, (int)line, c->in, (int)(rest < 300 ? rest : 300), body ? body : "");
    }
    if (failed >= MAX_FAILURES) {
        fprintf(stderr, "%d failures: giving up\n", MAX_FAILURES);
        exit(1);
    }
    close_connection(c);
    start(c);
}

static void complete(struct connection *c) {
    if (c->status < 200 || c->status > 299) {
        fail(c, "an answer that is no success");
        return;
    }
    if (done == latency_space) {
        latency_space = latency_space ? latency_space * 2 : 65536;
        latencies = realloc(latencies, latency_space * sizeof *latencies);
        if (!latencies) die("memory");
    }
    latencies[done++] = (uint32_t)((now() - c->started) / 1000);
    if (c->closing) close_connection(c);
    start(c);
}

/* The value of a header in the head of an answer, which ends with a zero byte; 0 if it is not there. */
static const char *header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, length) && line[2 + length] == ':') {
            const char *value = line + 3 + length;
            while (*value == ' ') value++;
            return value;
        }
    return 0;
}

/* Take decoded bytes of chunked coding; 1 at its end, -1 where it is malformed.
 * States: 0 size, 1 rest of the size's line, 2 data, 3 behind the data, 4 start of a trailer line, 5 in one. */
static int unchunk(struct connection *c, const char *at, size_t length) {
    for (const char *end = at + length; at < end; at++) switch (c->chunk_state) {
        case 0:
            if (isxdigit((unsigned char)*at)) {
                int digit = isdigit((unsigned char)*at) ? *at - '0' : (*at | 32) - 'a' + 10;
                if (c->remaining >> 40) return -1;
                c->remaining = c->remaining * 16 + digit;
                break;
            }
            c->chunk_state = 1; /* fall through */
        case 1:
            if (*at == '\n') c->chunk_state = c->remaining ? 2 : 4;
            break;
        case 2: {
            long long take = end - at < c->remaining ? end - at : c->remaining;
            received_bytes += (uint64_t)take;
            c->remaining -= take;
            at += take - 1;
            if (!c->remaining) c->chunk_state = 3;
            break;
        }
        case 3:
            if (*at == '\n') c->chunk_state = 0;
            break;
        case 4:
            if (*at == '\n') return 1;
            if (*at != '\r') c->chunk_state = 5;
            break;
        default:
            if (*at == '\n') c->chunk_state = 4;
        }
    return 0;
}

static void chunked(struct connection *c, const char *at, size_t length) {
    int end = unchunk(c, at, length);
    if (end > 0) complete(c);
    if (end < 0) fail(c, "malformed chunked coding");
}

/* Read the head in c->in, of which `length` bytes are the head and the rest is the body's start. */
static void read_head(struct connection *c, size_t length) {
    size_t rest = c->have - length;
    c->in[length - 1] = 0;
    const char *value;
    c->status = c->have > 12 ? atoi(c->in + 9) : 0;
    value = header(c->in, "connection");
    c->closing = value && !strncasecmp(value, "close", 5);
    if (etags && (value = header(c->in, "etag"))) {
        size_t size = strcspn(value, "\r");
        memcpy(etags[c->index], value, size < ETAG_SPACE ? size : ETAG_SPACE - 1);
    }
    value = header(c->in, "transfer-encoding");
    int is_chunked = value && !strncasecmp(value, "chunked", 7);
    value = header(c->in, "content-length");
    c->remaining = value ? atoll(value) : 0;
    c->in[length - 1] = '\n';
    if (c->status == 100) {
        memmove(c->in, c->in + length, rest);
        c->have = rest;
    } else if (requests[c->index].is_head || c->status == 204 || c->status == 304)
        complete(c);
    else if (is_chunked) {
        c->phase = CHUNKED;
        c->remaining = 0;
        chunked(c, c->in + length, rest);
    } else if (!value)
        fail(c, "an answer without a length");
    else {
        c->phase = LENGTH;
        received_bytes += rest;
        c->remaining -= (long long)rest;
        if (c->status > 299 || c->remaining <= 0) complete(c);
    }
}

/* Receive what is there; 0 when nothing more is, so that the caller waits. */
static int receive(struct connection *c) {
    size_t index = c->index;
    uint64_t before = done + failed;
    ssize_t got;
    if (c->phase == LENGTH)
        got = recv(c->fd, discarded, c->remaining < DISCARD ? (size_t)c->remaining : DISCARD, MSG_TRUNC);
    else if (c->phase == CHUNKED)
        got = recv(c->fd, discarded, 64 << 10, 0);
    else
        got = recv(c->fd, c->in + c->have, HEAD_SPACE - 1 - c->have, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    if (got <= 0)
        fail(c, "the connection was closed before the answer's end");
    else if (c->phase == LENGTH) {
        received_bytes += (uint64_t)got;
        c->remaining -= got;
        if (c->remaining <= 0) complete(c);
    } else if (c->phase == CHUNKED)
        chunked(c, discarded, (size_t)got);
    else {
        c->have += (size_t)got;
        c->in[c->have] = 0;
        char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
        if (end)
            read_head(c, (size_t)(end + 4 - c->in));
        else if (c->have == HEAD_SPACE - 1)
            fail(c, "an answer with too long a head");
    }
    return c->index == index && done + failed == before;
}

/* Send what the socket takes. */
static void transmit(struct connection *c) {
    const struct request *request = &requests[c->index];
    while (c->sent < request->length) {
        int more = request->filler ? MSG_MORE : 0;
        ssize_t put = send(c->fd, request->bytes + c->sent, request->length - c->sent, MSG_NOSIGNAL | more);
        if (put < 0) {
            if (errno != EAGAIN) fail(c, "sending");
            return;
        }
        c->sent += (size_t)put;
        sent_bytes += (uint64_t)put;
    }
    while (c->filled < request->filler) {
        off_t offset = (off_t)(c->filled % (size_t)filler_size);
        size_t left = request->filler - c->filled, span = (size_t)(filler_size - offset);
        ssize_t put = sendfile(c->fd, filler_fd, &offset, left < span ? left : span);
        if (put < 0) {
            if (errno != EAGAIN) fail(c, "sending");
            return;
        }
        c->filled += (size_t)put;
        sent_bytes += (uint64_t)put;
    }
    c->phase = HEAD;
    watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static int by_value(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

static void report(double seconds) {
    qsort(latencies, done, sizeof *latencies, by_value);
    printf("{\"requests\": %llu, \"failed\": %llu, \"sent\": %llu, \"received\": %llu, \"seconds\": %.6f, "
           "\"p50\": %u, \"p99\": %u}\n",
           (unsigned long long)done, (unsigned long long)failed, (unsigned long long)sent_bytes,
           (unsigned long long)received_bytes, seconds, done ? latencies[done / 2] : 0,
           done ? latencies[done * 99 / 100] : 0);
}

static void write_etags(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) die(path);
    for (size_t index = 0; index < request_count; index++) fprintf(file, "%s\n", etags[index]);
    if (fclose(file)) die(path);
}

int main(int argc, char **argv) {
    if (argc < 7) {
        fprintf(stderr, "usage: replay PORT CONNECTIONS SECONDS PATIENCE SCRIPT FILLER [ETAGS]\n");
        return 2;
    }
    size_t count = strtoull(argv[2], 0, 10);
    double seconds = atof(argv[3]);
    int patience = atoi(argv[4]) * 1000;
    struct stat found;
    port = atoi(argv[1]);
    load_script(argv[5]);
    filler_fd = open(argv[6], O_RDONLY);
    if (filler_fd < 0 || fstat(filler_fd, &found) < 0) die(argv[6]);
    filler_size = found.st_size;
    once = seconds <= 0;
    if (argc > 7 && !(etags = calloc(request_count, ETAG_SPACE))) die("memory");
    poll_fd = epoll_create1(0);
    struct connection *connections = calloc(count, sizeof *connections);
    if (poll_fd < 0 || !connections) die("start");
    begin = now();
    finish = begin + (uint64_t)(seconds * 1e9);
    for (size_t index = 0; index < count; index++) {
        connections[index].fd = -1;
        start(&connections[index]);
    }
    while (open_connections) {
        struct epoll_event events[WAIT_EVENTS];
        int ready = epoll_wait(poll_fd, events, WAIT_EVENTS, patience);
        if (!ready) {
            fprintf(stderr, "no answer for %d s\n", patience / 1000);
            return 3;
        }
        for (int index = 0; index < ready; index++) {
            struct connection *c = events[index].data.ptr;
            if (c->phase == SENDING && events[index].events & EPOLLOUT) transmit(c);
            if (c->fd >= 0 && events[index].events & ~EPOLLOUT)
                while (receive(c)) continue;
        }
    }
    report((double)(now() - begin) / 1e9);
    if (argc > 7) write_etags(argv[7]);
    return 0;
}
