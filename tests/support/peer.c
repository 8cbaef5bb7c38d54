#include "support/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(bool is_fine, const char *what) {
    if (!is_fine) {
        perror(what);
        abort();
    }
}

static void keep(struct buffer *buffer, struct text text) {
    struct err err = {0};
    must(buffer_append(buffer, text, &err), "peer: memory");
}

/* --- what the test says ------------------------------------------------------------------------
 */

void peer_say(struct peer_answer *answer, int status, const char *headers, const char *body) {
    char head[256];
    (void)snprintf(head, sizeof head, "HTTP/1.1 %d Said\r\nContent-Length: %zu\r\n", status,
                   strlen(body));
    keep(&answer->text, text_from(head));
    keep(&answer->text, text_from(headers));
    keep(&answer->text, text_from("\r\n"));
    keep(&answer->text, text_from(body));
}

void peer_header(const struct peer_request *request, const char *name, char *value, size_t size) {
    const char *line = request->head;
    size_t name_size = strlen(name);
    value[0] = '\0';
    while ((line = strchr(line, '\n')) != NULL) {
        line++;
        if (strncasecmp(line, name, name_size) == 0 && line[name_size] == ':') {
            const char *from = line + name_size + 1 + strspn(line + name_size + 1, " ");
            size_t length = strcspn(from, "\r\n");
            must(length < size, "peer: a long header");
            memcpy(value, from, length);
            value[length] = '\0';
            return;
        }
    }
}

static int digit_of(char hex) {
    return hex <= '9' ? hex - '0' : hex - 'A' + 10;
}

void peer_field(const char *form, const char *name, char *value, size_t size) {
    size_t name_size = strlen(name);
    value[0] = '\0';
    while (strncmp(form, name, name_size) != 0 || form[name_size] != '=') {
        form += strcspn(form, "&");
        if (*form++ == '\0') {
            return;
        }
    }
    size_t length = 0;
    for (form += name_size + 1; *form != '\0' && *form != '&' && *form != ' '; form++) {
        must(length + 1 < size, "peer: a long field");
        char byte = *form;
        if (byte == '%') {
            byte = (char)(digit_of(form[1]) * 16 + digit_of(form[2]));
            form += 2;
        }
        value[length++] = byte;
    }
    value[length] = '\0';
}

/* --- lines --------------------------------------------------------------------------------------
 */

static void line_end(struct peer_line *line, enum peer_end end) {
    if (end == PEER_RESETS) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(line->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    (void)close(line->fd);
    buffer_release(&line->came);
    buffer_release(&line->answer.text);
    *line = (struct peer_line){.fd = -1};
}

/* Says as much as the other side takes for now; true when it took something. */
static bool line_answer(struct peer_line *line) {
    size_t said = line->said_bytes;
    struct text text = buffer_text(&line->answer.text);
    while (line->said_bytes < text.size_bytes) {
        ssize_t size = send(line->fd, text.bytes + line->said_bytes,
                            text.size_bytes - line->said_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return line->said_bytes > said;
        }
        if (size <= 0) {
            break; /* the other side is gone: it tells the test what it saw */
        }
        line->said_bytes += (size_t)size;
    }
    line->is_waiting = false;
    if (line->answer.end != PEER_KEEPS) {
        line_end(line, line->answer.end);
    }
    return true;
}

static size_t waiting_count(const struct peer *peer) {
    size_t count = 0;
    for (size_t index = 0; index < PEER_LINES_MAX; index++) {
        count += peer->lines[index].is_waiting ? 1 : 0;
    }
    return count;
}

/* The size of the first request in what came, 0 when it is not whole. */
static size_t request_size(const struct buffer *came, size_t *head_size) {
    const char *end =
        came->size_bytes == 0 ? NULL : memmem(came->bytes, came->size_bytes, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    *head_size = (size_t)(end - came->bytes) + 4;
    const char *length = memmem(came->bytes, *head_size, "Content-Length: ", 16);
    size_t size = *head_size + (length != NULL ? strtoul(length + 16, NULL, 10) : 0);
    return size <= came->size_bytes ? size : 0;
}

static bool line_take(struct peer *peer, struct peer_line *line) {
    size_t head_size = 0;
    size_t size = line->is_waiting ? 0 : request_size(&line->came, &head_size);
    if (size == 0) {
        return false;
    }
    char *head = strndup(line->came.bytes, head_size);
    char *body = strndup(line->came.bytes + head_size, size - head_size);
    must(head != NULL && body != NULL, "peer: memory");
    memmove(line->came.bytes, line->came.bytes + size, line->came.size_bytes - size);
    line->came.size_bytes -= size;
    buffer_clear(&line->answer.text);
    line->answer = (struct peer_answer){.text = line->answer.text};
    struct peer_request request = {.number = ++peer->requests_count,
                                   .waiting = waiting_count(peer),
                                   .at_us = peer->clock_us,
                                   .head = head,
                                   .body = body};
    peer->answer(peer->context, &request, &line->answer);
    free(head);
    free(body);
    line->is_waiting = true;
    line->said_bytes = 0;
    line->due_us = peer->clock_us + line->answer.after_us;
    return true;
}

static bool line_read(struct peer_line *line) {
    char bytes[16384];
    ssize_t size = recv(line->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size > 0) {
        keep(&line->came, (struct text){bytes, (size_t)size});
        return true;
    }
    if (size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        line_end(line, PEER_CLOSES);
    }
    return false;
}

static bool accept_one(struct peer *peer) {
    int fd = peer->listener < 0 ? -1 : accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    for (size_t index = 0; index < PEER_LINES_MAX; index++) {
        if (peer->lines[index].fd < 0) {
            peer->lines[index] = (struct peer_line){.fd = fd};
            peer->connections_count++;
            return true;
        }
    }
    must(false, "peer: too many connections");
    return false;
}

/* Everything that can be done now; true when there was something. */
static bool peer_work(struct peer *peer) {
    bool has_worked = false;
    while (accept_one(peer)) {
        has_worked = true;
    }
    for (size_t index = 0; index < PEER_LINES_MAX; index++) {
        struct peer_line *line = &peer->lines[index];
        if (line->fd >= 0 && line_read(line)) {
            has_worked = true;
        }
        if (line->fd >= 0 && line_take(peer, line)) {
            has_worked = true;
        }
        if (line->fd >= 0 && line->is_waiting && line->due_us <= peer->clock_us) {
            has_worked = line_answer(line) || has_worked;
        }
    }
    return has_worked;
}

/* Its clock knows nothing of what another thread is at. */
static int refuse_thread(void *self, void *(*work)(void *), void *argument, pthread_t *thread) {
    (void)self;
    (void)work;
    (void)argument;
    (void)thread;
    return -EAGAIN;
}

/* --- the system ---------------------------------------------------------------------------------
 */

static int64_t peer_now(void *self) {
    const struct peer *peer = self;
    return PEER_EPOCH_US + peer->clock_us;
}

static int64_t peer_monotonic(void *self) {
    const struct peer *peer = self;
    return peer->clock_us;
}

static int64_t peer_elapsed(void *self) {
    const struct peer *peer = self;
    return peer->clock_us + peer->slept_us;
}

static int peer_wait(void *self, int poll_fd, struct epoll_event *events, int events_max,
                     int timeout_ms) {
    enum { REAL_MS = 1 };
    struct peer *peer = self;
    const struct sys *real = sys_real();
    int64_t until_us = peer->clock_us + (int64_t)timeout_ms * 1000;
    while (peer_work(peer)) {
    }
    int count = real->poll_wait(real->self, poll_fd, events, events_max, 0);
    if (count != 0 || timeout_ms == 0) {
        return count;
    }
    /* The kernel may still carry something across; only then is nobody busy. */
    count = real->poll_wait(real->self, poll_fd, events, events_max, REAL_MS);
    if (count != 0 || peer_work(peer)) {
        return count;
    }
    for (size_t index = 0; index < PEER_LINES_MAX; index++) {
        const struct peer_line *line = &peer->lines[index];
        if (line->fd >= 0 && line->is_waiting && line->due_us < until_us) {
            until_us = line->due_us;
        }
    }
    peer->clock_us = until_us > peer->clock_us ? until_us : peer->clock_us;
    while (peer_work(peer)) {
    }
    return real->poll_wait(real->self, poll_fd, events, events_max, 0);
}

void peer_open(struct peer *peer,
               void (*answer)(void *context, const struct peer_request *request,
                              struct peer_answer *answer),
               void *context) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *peer = (struct peer){.sys = *sys_real(), .answer = answer, .context = context};
    peer->sys.self = peer; /* the real functions do not look at theirs */
    peer->sys.now_us = peer_now;
    peer->sys.monotonic_us = peer_monotonic;
    peer->sys.elapsed_us = peer_elapsed;
    peer->sys.poll_wait = peer_wait;
    peer->sys.thread_start = refuse_thread;
    peer->clock_us = INT64_C(5000000000);
    peer->slept_us = INT64_C(500000000000); /* days: who mixes up the clocks is found out */
    for (size_t index = 0; index < PEER_LINES_MAX; index++) {
        peer->lines[index].fd = -1;
    }
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(peer->listener >= 0 &&
             bind(peer->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
             listen(peer->listener, PEER_LINES_MAX) == 0 &&
             getsockname(peer->listener, (struct sockaddr *)&address, &size) == 0,
         "peer: a port on loopback");
    (void)snprintf(peer->base, sizeof peer->base, "http://127.0.0.1:%u",
                   (unsigned)ntohs(address.sin_port));
}

void peer_refuse(struct peer *peer) {
    must(close(peer->listener) == 0, "peer: close");
    peer->listener = -1;
}

void peer_accept(struct peer *peer) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int is_on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)strtoul(strrchr(peer->base, ':') + 1, NULL, 10));
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(peer->listener >= 0 &&
             setsockopt(peer->listener, SOL_SOCKET, SO_REUSEADDR, &is_on, sizeof is_on) == 0 &&
             bind(peer->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
             listen(peer->listener, PEER_LINES_MAX) == 0,
         "peer: the same port again");
}

void peer_close(struct peer *peer) {
    for (size_t index = 0; index < PEER_LINES_MAX; index++) {
        if (peer->lines[index].fd >= 0) {
            line_end(&peer->lines[index], PEER_CLOSES);
        }
    }
    if (peer->listener >= 0) {
        (void)close(peer->listener);
    }
}
