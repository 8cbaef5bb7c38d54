/* One request on its way through the server, with what goes wrong on the wire. */
#ifndef PERIODCLOSE_TESTS_STRIPE_SIM_EXCHANGE_H
#define PERIODCLOSE_TESTS_STRIPE_SIM_EXCHANGE_H

#include <microhttpd.h>

#include "stripe_sim/server.h"

struct exchanges; /* all that are open */

struct exchanges *exchanges_create(struct server *server);
void exchanges_destroy(struct exchanges *exchanges);

/* For MHD_start_daemon; the first argument is struct exchanges. Begin sees the URI as it came. */
void *exchange_begin(void *context, const char *uri, struct MHD_Connection *connection);
enum MHD_Result exchange_step(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **own);
void exchange_end(void *context, struct MHD_Connection *connection, void **own,
                  enum MHD_RequestTerminationCode code);

/* Wakes those whose stall is over; the time of the next one, or INT64_MAX. */
int64_t exchanges_wake(struct exchanges *exchanges, int64_t now_us);
/* Wakes all, at the end: a daemon must not be stopped over suspended connections. */
bool exchanges_wake_all(struct exchanges *exchanges);

#endif
