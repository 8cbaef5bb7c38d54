/* How src/sys turns an errno into a struct err. Private to the module: errno ends here. */
#ifndef PERIODCLOSE_SYS_FAILURE_H
#define PERIODCLOSE_SYS_FAILURE_H

#include "core/err.h"

/*
 * "cannot ACTION 'PATH': reason". error is an errno, negated or not. ENOMEM is ERR_MEMORY, all
 * others ERR_FILE. A path too long to leave room for the reason is shown by its end. Returns false.
 */
bool sys_failure(struct err *err, const char *action, const char *path, int error);

#endif
