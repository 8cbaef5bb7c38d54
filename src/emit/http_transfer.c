/*
 * One request: what libcurl is told of it when it is made, what it asks for on the way, and what is
 * taken of the answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/memory.h"
#include "http_internal.h"

enum { CONNECT_TIMEOUT_MS = 20000, ANSWER_BYTES_MAX = 16 * 1024 * 1024, HEADER_BYTES_MAX = 1024 };

static const char key_header_name[] = "Idempotency-Key: ";
/* What libcurl says by itself of a POST: each line of our own costs a little of every request. */
static const char form_type[] = "application/x-www-form-urlencoded";

/* --- what libcurl asks for ---------------------------------------------------------------------
 */

static curl_socket_t open_socket(void *context, curlsocktype purpose,
                                 struct curl_sockaddr *address) {
    struct http *http = context;
    (void)purpose;
    int fd = net_socket(http->options.sys, address->family, address->socktype, address->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    http_note_socket(http, fd);
    return fd;
}

static int close_socket(void *context, curl_socket_t fd) {
    struct http *http = context;
    http_forget_socket(http, fd);
    return net_close(http->options.sys, fd);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    struct http_transfer *transfer = context;
    struct err err = {0};
    struct buffer *body = &transfer->call.answer.body;
    if (body->size_bytes + size * count > ANSWER_BYTES_MAX) {
        return 0;
    }
    if (!buffer_append(body, (struct text){bytes, size * count}, &err)) {
        err_release(&err);
        transfer->has_no_memory = true;
        return 0;
    }
    return size * count;
}

/* The value of a header line when its name is that; NULL otherwise. */
static const char *header_value(const char *line, const char *name) {
    size_t size = strlen(name);
    if (strncasecmp(line, name, size) != 0 || line[size] != ':') {
        return NULL;
    }
    return line + size + 1 + strspn(line + size + 1, " \t");
}

static void take_header(struct http_answer *answer, const char *line) {
    const char *value;
    if ((value = header_value(line, "request-id")) != NULL) {
        (void)snprintf(answer->request_id, sizeof answer->request_id, "%s", value);
    } else if ((value = header_value(line, "idempotent-replayed")) != NULL) {
        answer->is_replayed = strcasecmp(value, "true") == 0;
    } else if ((value = header_value(line, "stripe-should-retry")) != NULL ||
               (value = header_value(line, "x-should-retry")) != NULL) {
        answer->should_retry = strcasecmp(value, "true") == 0;
        answer->has_should_retry = answer->should_retry || strcasecmp(value, "false") == 0;
    } else if (header_value(line, "stripe-rate-limited-reason") != NULL) {
        answer->is_rate_limited = true;
    } else if ((value = header_value(line, "retry-after")) != NULL) {
        /* A date is not taken: Stripe and Dodo send seconds. */
        long long seconds = strtoll(value, NULL, 10);
        answer->retry_after_us = seconds > 0 && seconds < 86400 ? seconds * 1000000 : 0;
    }
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context) {
    struct http_transfer *transfer = context;
    char line[HEADER_BYTES_MAX];
    if (size * count == 0 || strchr("riIRsSxX", bytes[0]) == NULL) {
        return size * count; /* none of those that are taken begins so */
    }
    size_t length = size * count < sizeof line ? size * count : sizeof line - 1;
    memcpy(line, bytes, length);
    while (length > 0 &&
           (line[length - 1] == '\r' || line[length - 1] == '\n' || line[length - 1] == ' ')) {
        length--;
    }
    line[length] = '\0';
    take_header(&transfer->call.answer, line);
    return size * count;
}

/* --- making and unmaking -----------------------------------------------------------------------
 */

static bool slist_add(struct curl_slist **list, const char *line, struct err *err) {
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return err_memory(err, strlen(line));
    }
    *list = longer;
    return true;
}

static bool headers_make(const struct http_options *options, struct curl_slist **list,
                         struct err *err) {
    char line[HEADER_BYTES_MAX];
    if (snprintf(line, sizeof line, "Authorization: Bearer %s", options->secret) >=
        (int)sizeof line) {
        return err_set(err, ERR_USAGE, "the API key is too long");
    }
    bool is_fine = slist_add(list, line, err);
    explicit_bzero(line, sizeof line);
    if (is_fine && options->version != NULL) {
        (void)snprintf(line, sizeof line, "Stripe-Version: %s", options->version);
        is_fine = slist_add(list, line, err);
    }
    if (is_fine && strcmp(options->content_type, form_type) != 0) {
        (void)snprintf(line, sizeof line, "Content-Type: %s", options->content_type);
        is_fine = slist_add(list, line, err);
    }
    return is_fine && slist_add(list, "User-Agent: periodclose/" PERIODCLOSE_VERSION, err) &&
           slist_add(list, "Expect:", err);
}

static void set_authorities(CURL *easy) {
    const char *file = getenv("CURL_CA_BUNDLE");
    const char *folder = getenv("SSL_CERT_DIR");
    file = file != NULL && file[0] != '\0' ? file : getenv("SSL_CERT_FILE");
    if (file != NULL && file[0] != '\0') {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    }
    if (folder != NULL && folder[0] != '\0') {
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, folder);
    }
}

/* The list by name came with libcurl 7.85, which then warned of the one by bits. */
static bool allow_http_alone(CURL *easy) {
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)) ==
           CURLE_OK;
#endif
}

static bool transfer_set_up(struct http_transfer *transfer, bool is_loopback) {
    struct http *http = transfer->http;
    CURL *easy = transfer->easy;
    set_authorities(easy);
    if (is_loopback) {
        (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    }
    return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK && allow_http_alone(easy) &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)http->options.timeout_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, http) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CURLU, transfer->address) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK;
}

bool transfer_init(struct http_transfer *transfer, struct http *http, bool is_loopback,
                   struct err *err) {
    char widest[sizeof key_header_name + HTTP_KEY_MAX];
    transfer->http = http;
    transfer->call.transfer = transfer;
    transfer->easy = curl_easy_init();
    transfer->address = curl_url();
    if (transfer->easy == NULL || transfer->address == NULL ||
        !transfer_set_up(transfer, is_loopback)) {
        return err_set(err, ERR_MEMORY, "libcurl cannot make a transfer");
    }
    /* Room for the longest key: written anew in place before each request. */
    (void)snprintf(widest, sizeof widest, "%s%0*d", key_header_name, HTTP_KEY_MAX - 1, 0);
    if (!headers_make(&http->options, &transfer->plain_headers, err) ||
        !headers_make(&http->options, &transfer->keyed_headers, err) ||
        !slist_add(&transfer->keyed_headers, widest, err)) {
        return false;
    }
    struct curl_slist *last = transfer->keyed_headers;
    while (last->next != NULL) {
        last = last->next;
    }
    transfer->key_header = last->data;
    transfer->next = http->free_list;
    http->free_list = transfer;
    return true;
}

void transfer_release(struct http_transfer *transfer) {
    if (transfer->easy != NULL) {
        (void)curl_multi_remove_handle(transfer->http->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_url_cleanup(transfer->address);
    buffer_release(&transfer->asked);
    curl_slist_free_all(transfer->plain_headers);
    curl_slist_free_all(transfer->keyed_headers);
    buffer_release(&transfer->call.url);
    buffer_release(&transfer->call.body);
    buffer_release(&transfer->call.answer.body);
}

bool transfer_address(struct http_transfer *transfer, struct err *err) {
    struct buffer *asked = &transfer->asked;
    struct text url = buffer_text(&transfer->call.url);
    if (asked->size_bytes > 0 && text_equals(buffer_text(asked), url)) {
        return true;
    }
    struct buffer whole = {0};
    buffer_clear(asked);
    bool is_fine = buffer_append(&whole, text_from(transfer->http->options.base), err) &&
                   buffer_append(&whole, url, err) &&
                   buffer_append(&whole, (struct text){"", 1}, err) &&
                   (curl_url_set(transfer->address, CURLUPART_URL, whole.bytes, 0) == CURLUE_OK ||
                    err_set(err, ERR_MEMORY, "libcurl cannot take the address apart")) &&
                   buffer_append(asked, url, err);
    buffer_release(&whole);
    return is_fine;
}

void transfer_write_key(struct http_transfer *transfer, const char *key) {
    size_t size = strnlen(key, HTTP_KEY_MAX - 1);
    char *at = transfer->key_header + sizeof key_header_name - 1;
    memcpy(at, key, size);
    at[size] = '\0';
}
