#include "stripe_sim/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "stripe_sim/exchange.h"

enum {
    DOORS_MAX = 2,
    SECOND_US = 1000000,
    MILLISECOND_US = 1000,
    BACKLOG = 256,
    IDLE_SECONDS = 60,
    LINE_MAX_BYTES = 16 << 20,
    POLL_MS_MAX = 1000,
};

/* One port. The listening socket is ours, so that connections can be refused. */
struct door {
    int holder;   /* bound and never listening: keeps the port while nobody listens */
    int listener; /* -1 while connections are refused */
    struct sockaddr_in address;
    struct MHD_Daemon *daemon;
};

struct house {
    struct server server;
    struct exchanges *exchanges;
    struct door doors[DOORS_MAX];
    size_t doors_count;
    struct buffer line; /* what came in on stdin so far */
};

int64_t server_now_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

/* --- doors --------------------------------------------------------------------------------------
 */

static int bound_socket(struct sockaddr_in *address) {
    int on = 1;
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)address, size) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) != 0) {
        perror("stripe_sim: a port on loopback");
        exit(1);
    }
    return fd;
}

static void door_listen(struct door *door) {
    door->listener = bound_socket(&door->address);
    if (listen(door->listener, BACKLOG) != 0) {
        perror("stripe_sim: listen");
        exit(1);
    }
}

static bool door_open(struct house *house, const char *name, unsigned int flags,
                      const struct server_options *options) {
    struct door *door = &house->doors[house->doors_count++];
    door->address = (struct sockaddr_in){.sin_family = AF_INET};
    door->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    door->holder = bound_socket(&door->address);
    door_listen(door);
    bool is_tls = (flags & (unsigned int)MHD_USE_TLS) != 0;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->private_key},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    door->daemon = MHD_start_daemon(
        flags | (unsigned int)MHD_USE_EPOLL | (unsigned int)MHD_USE_NO_LISTEN_SOCKET |
            (unsigned int)MHD_ALLOW_SUSPEND_RESUME,
        0, NULL, NULL, exchange_step, house->exchanges, MHD_OPTION_URI_LOG_CALLBACK, exchange_begin,
        house->exchanges, MHD_OPTION_NOTIFY_COMPLETED, exchange_end, house->exchanges,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS, MHD_OPTION_ARRAY,
        is_tls ? tls : none, MHD_OPTION_END);
    if (door->daemon == NULL) {
        (void)fprintf(stderr, "stripe_sim: the %s server does not start\n", name);
        return false;
    }
    printf("%s %u\n", name, (unsigned int)ntohs(door->address.sin_port));
    return true;
}

static void door_accept(struct house *house, struct door *door) {
    for (;;) {
        struct sockaddr_in peer;
        socklen_t size = sizeof peer;
        int fd =
            accept4(door->listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            return;
        }
        house->server.stats.connections++;
        (void)MHD_add_connection(door->daemon, fd, (struct sockaddr *)&peer, size);
    }
}

/* Whether connections are taken at the moment; a port that does not listen refuses. */
static void door_mind(struct house *house, struct door *door, int64_t now_us) {
    bool is_refusing = now_us < house->server.refuse_until_us;
    if (is_refusing && door->listener >= 0) {
        (void)close(door->listener);
        door->listener = -1;
    } else if (!is_refusing && door->listener < 0) {
        door_listen(door);
    }
}

void server_refuse(struct server *server, int64_t for_us) {
    struct house *house = (struct house *)server; /* its first member */
    int64_t now_us = server_now_us();
    server->refuse_until_us = now_us + for_us;
    for (size_t index = 0; index < house->doors_count; index++) {
        door_mind(house, &house->doors[index], now_us);
    }
}

static void door_close(struct door *door) {
    if (door->daemon != NULL) {
        MHD_stop_daemon(door->daemon);
    }
    (void)close(door->holder);
    if (door->listener >= 0) {
        (void)close(door->listener);
    }
}

/*
 * What clients have sent is carried out now, stalled or not, so that time can move: in a world
 * where nothing is under way for hours, a request must not be carried out in a later one.
 */
static void settle(struct house *house) {
    enum { QUIET_ROUNDS = 3, ROUNDS_MAX = 10000 };
    int quiet = 0;
    for (int round = 0; quiet < QUIET_ROUNDS && round < ROUNDS_MAX; round++) {
        bool is_busy = exchanges_wake_all(house->exchanges);
        for (size_t index = 0; index < house->doors_count; index++) {
            struct door *door = &house->doors[index];
            const union MHD_DaemonInfo *info =
                MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
            struct pollfd fds[] = {{.fd = door->listener, .events = POLLIN},
                                   {.fd = info->epoll_fd, .events = POLLIN}};
            MHD_UNSIGNED_LONG_LONG timeout_ms = 1;
            is_busy = poll(fds, sizeof fds / sizeof fds[0], 0) > 0 || is_busy;
            is_busy = (MHD_get_timeout(door->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0) ||
                      is_busy;
            if (fds[0].revents != 0) {
                door_accept(house, door);
            }
            (void)MHD_run(door->daemon);
        }
        quiet = is_busy ? 0 : quiet + 1;
    }
}

/* --- stdin --------------------------------------------------------------------------------------
 */

static void answer_line(struct house *house, struct text line) {
    json_error_t error;
    json_t *command = json_loadb(line.bytes, line.size_bytes, 0, &error);
    if (control_moves_time(command)) {
        settle(house);
    }
    json_t *answer = control_answer(&house->server, command);
    char *text = json_dumps(answer, JSON_COMPACT);
    printf("%s\n", text);
    (void)fflush(stdout);
    free(text);
    json_decref(answer);
    json_decref(command);
}

static void read_stdin(struct house *house) {
    char bytes[65536];
    struct err err = {0};
    ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
    if (size <= 0 || house->line.size_bytes > LINE_MAX_BYTES ||
        !buffer_append(&house->line, (struct text){.bytes = bytes, .size_bytes = (size_t)size},
                       &err)) {
        house->server.is_stopping = true;
        return;
    }
    for (;;) {
        struct text text = buffer_text(&house->line);
        const char *end = memchr(text.bytes, '\n', text.size_bytes);
        if (end == NULL) {
            return;
        }
        size_t line_size = (size_t)(end - text.bytes);
        answer_line(house, (struct text){.bytes = text.bytes, .size_bytes = line_size});
        memmove(house->line.bytes, end + 1, text.size_bytes - line_size - 1);
        house->line.size_bytes -= line_size + 1;
    }
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static int wait_ms(struct house *house, int64_t now_us, int64_t wake_us, int64_t end_us) {
    int64_t next_us = wake_us < end_us ? wake_us : end_us;
    if (house->server.refuse_until_us > now_us && house->server.refuse_until_us < next_us) {
        next_us = house->server.refuse_until_us;
    }
    int64_t wait = (next_us - now_us + MILLISECOND_US - 1) / MILLISECOND_US;
    wait = wait > POLL_MS_MAX ? POLL_MS_MAX : wait;
    for (size_t index = 0; index < house->doors_count; index++) {
        MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
        if (MHD_get_timeout(house->doors[index].daemon, &timeout_ms) == MHD_YES &&
            (int64_t)timeout_ms < wait) {
            wait = (int64_t)timeout_ms;
        }
    }
    return wait < 0 ? 0 : (int)wait;
}

static void serve_once(struct house *house, int64_t end_us, bool reads_stdin) {
    enum { PER_DOOR = 2 };
    struct pollfd fds[1 + DOORS_MAX * PER_DOOR];
    size_t count = 0;
    int64_t now_us = server_now_us();
    int64_t wake_us = exchanges_wake(house->exchanges, now_us);
    fds[count++] = (struct pollfd){.fd = reads_stdin ? STDIN_FILENO : -1, .events = POLLIN};
    for (size_t index = 0; index < house->doors_count; index++) {
        struct door *door = &house->doors[index];
        door_mind(house, door, now_us);
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        fds[count++] = (struct pollfd){.fd = door->listener, .events = POLLIN};
        fds[count++] = (struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
    }
    if (poll(fds, count, wait_ms(house, now_us, wake_us, end_us)) < 0 && errno != EINTR) {
        perror("stripe_sim: poll");
        house->server.is_stopping = true;
    }
    if (fds[0].revents != 0) {
        read_stdin(house);
    }
    for (size_t index = 0; index < house->doors_count; index++) {
        struct door *door = &house->doors[index];
        if (fds[1 + index * PER_DOOR].revents != 0) {
            door_accept(house, door);
        }
        (void)MHD_run(door->daemon);
    }
}

int server_run(const struct server_options *options) {
    static struct house house;
    house.server.client = -1;
    house.server.recorded = must(json_array());
    house.server.world = world_create();
    house.server.api = api_create(options->schemas);
    if (house.server.api == NULL) {
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    json_t *calm = must(json_pack("{s:s}", "do", "reset"));
    json_decref(control_answer(&house.server, calm));
    json_decref(calm);
    house.exchanges = exchanges_create(&house.server);
    bool is_fine = door_open(&house, "port", 0, options) &&
                   (options->certificate == NULL ||
                    door_open(&house, "tls-port", (unsigned int)MHD_USE_TLS, options));
    (void)fflush(stdout);
    int64_t end_us = server_now_us() + options->seconds_max * SECOND_US;
    while (is_fine && !house.server.is_stopping && server_now_us() < end_us) {
        serve_once(&house, end_us, options->reads_stdin);
    }
    exchanges_wake_all(house.exchanges);
    for (size_t index = 0; index < house.doors_count; index++) {
        (void)MHD_run(house.doors[index].daemon);
        door_close(&house.doors[index]);
    }
    exchanges_destroy(house.exchanges);
    faults_release(&house.server.faults);
    api_destroy(house.server.api);
    world_destroy(house.server.world);
    json_decref(house.server.recorded);
    buffer_release(&house.line);
    return is_fine ? 0 : 1;
}
