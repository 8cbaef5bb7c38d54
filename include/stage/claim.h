/*
 * The claim of a run on the period it will record: its row in billing.close_runs (sql/README.md).
 *
 *     claim_take(run, session, err)      before the source is read
 *     … the stages; record commits its result together with the row …
 *     claim_give_back(run, session, err) after a failure that the process survives
 *
 * Two runs of one period that share an org cannot both hold one: the second is ERR_LOCKED, with the
 * first one's name. A run that died holds its claim until it is gone on with, which takes it up
 * again, or until an operator releases it. The claim is noted in the manifest (pin_claim), by its
 * number and its time, since a number may be given again.
 */
#ifndef PERIODCLOSE_STAGE_CLAIM_H
#define PERIODCLOSE_STAGE_CLAIM_H

#include "stage/session.h"

extern const char pin_claim[];

/* Session.claim is filled. Opens the session's connection again where it was lost. */
bool claim_take(struct run *run, struct stage_session *session, struct err *err);
/* Nothing when there is none, or when its result is recorded. */
bool claim_give_back(const struct run *run, struct stage_session *session, struct err *err);

#endif
