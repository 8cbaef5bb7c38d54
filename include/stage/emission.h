/* What commands ask of the stage emit besides performing it. */
#ifndef PERIODCLOSE_STAGE_EMISSION_H
#define PERIODCLOSE_STAGE_EMISSION_H

#include "emit/sender.h"
#include "stage/session.h"

/*
 * The requests that emit would begin with now, as JSON lines; nothing is sent. The run is open for
 * updating, as a torn end of its journal is cut off.
 */
bool emission_preview(struct run *run, const struct stage_session *session,
                      const struct preview_sink *sink, struct err *err);

#endif
