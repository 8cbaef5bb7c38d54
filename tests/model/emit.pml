/*
 * Sending one invoice item, as a model: the sender, its journal, a network that loses, and Stripe's
 * store of idempotency keys, which forgets a key after 24 hours. Checked exhaustively by spin for
 * the counts below: never two items, never a lost one that is called sent, and it always ends.
 *
 *   journal   an intent (attempt, when it was first sent) is written, then synced, then sent; what
 *             was written and not synced may or may not survive a death
 *   death     at any step, CRASHES times; with it the machine may lose the run directory, LOSSES
 *             times
 *   network   a request may be lost, or be done without its answer coming back, or arrive late: up
 *             to the death of its sender and beyond, but not for hours
 *   Stripe    a key seen before is answered from the store (200 or a kept 500), a new one does the
 *             work; a 500 may or may not have done it; 409 and 429 do nothing and keep nothing
 *   body      the place that an item goes to is part of it, and fixed by the intent. With the run
 *             directory lost it may come out different: Stripe refuses a key with another body
 *   clock     an intent is young, then older than 23 h, then older than 24 h, when keys may be
 *             forgotten. A request may still be under way when its intent turns 23 h old, but not
 *             for the hour after that. The sender looks at the age right before it sends; from
 *             that, or from looking at the list, to having sent less than that hour passes:
 *             requests have time limits of seconds. Two such days pass at most, or there would be
 *             no end
 *
 * Wrong senders, to see that the model can tell (run.sh runs them all):
 *   MUTANT_NO_SYNC        sends before the intent is synced, and believes a journal without intents
 *   MUTANT_NEW_ATTEMPT    raises the attempt after an unknown outcome, without proof
 *   MUTANT_RESEND_OLD     sends the same key again however old the intent is
 *   MUTANT_TRUST_LOSS     takes a lost run directory for one that never was, and numbers anew
 *   MUTANT_NO_WAIT        asks at once after losing the run directory, with requests still under way
 *   MUTANT_OLD_NO_WAIT    the same after an old intent, whose key may have been sent just before
 *   MUTANT_CALL_SENT      calls an item sent when its outcome is unknown
 */
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef FAULTS
#define FAULTS 3
#endif
#define ATTEMPTS_MAX 3
#define DAYS 2

mtype = {OK, KEPT_500, REFUSED, OTHER_BODY, NOTHING};
mtype = {UNSENT, SENT, UNKNOWN};

/* Stripe. */
byte items = 0;                     /* how many there are: at most one, ever */
mtype kept[ATTEMPTS_MAX + 1];       /* what each key answers; NOTHING: it is not known */
bool kept_place[ATTEMPTS_MAX + 1];  /* the body that it was first used with */
byte in_flight = 0;                 /* the attempt of a request that arrives late, or 0 */
bool in_flight_place = false;

/* What is on disk, and what is only written. */
byte disk_attempt = 0, written_attempt = 0;
bool disk_done = false, written_done = false;

/* The world. */
byte age = 0;                       /* of the intent: 0 young, 1 over 23 h, 2 over 24 h */
bool is_sending = false;            /* decided to send, and has not yet done so */
bool place = false;                 /* where the item goes: the same but after a loss */
byte crashes = 0, losses = 0, faults = 0, days = 0;

/* The sender; all of it dies with it. */
byte attempt = 0;
bool must_list = false;
bool is_over = false;
mtype outcome = UNSENT;
mtype answer = NOTHING;

inline stripe(number, body, result) {
    if
    :: kept[number] != NOTHING && kept_place[number] == body -> result = kept[number]
    :: kept[number] != NOTHING && kept_place[number] != body -> result = OTHER_BODY
    :: kept[number] == NOTHING ->
        kept_place[number] = body;
        if
        :: items++; kept[number] = OK; result = OK
        :: faults < FAULTS -> faults++; items++; kept[number] = KEPT_500; result = KEPT_500
        :: faults < FAULTS -> faults++; kept[number] = KEPT_500; result = KEPT_500
        :: faults < FAULTS -> faults++; result = REFUSED /* 429, 409: nothing done, nothing kept */
        fi
    fi
}

/* The network: there and back, there only, neither, or there later. */
inline send(number, result) {
    if
    :: stripe(number, place, result)
    :: faults < FAULTS -> faults++; stripe(number, place, result); result = NOTHING
    :: faults < FAULTS -> faults++; result = NOTHING
    :: faults < FAULTS && in_flight == 0 ->
        faults++; in_flight = number; in_flight_place = place; result = NOTHING
    fi
}

/* A request that was under way arrives. */
active proctype network() {
    mtype ignored;
end_network:
    do
    :: atomic { in_flight != 0 -> stripe(in_flight, in_flight_place, ignored); in_flight = 0 }
    od
}

inline forget_keys() {
    kept[1] = NOTHING;
    kept[2] = NOTHING;
    kept[3] = NOTHING
}

/* An hour later nothing is under way any more; a day later keys are forgotten. */
active proctype clock() {
end_clock:
    do
    :: atomic { age == 0 && days < DAYS && !is_sending -> days++; age = 1 }
    :: atomic { age == 1 && !is_sending -> age = 2; in_flight = 0; forget_keys() }
    od
}

/* Death: the sender forgets all; what was not synced may be gone; the directory may be gone. */
inline die() {
    crashes++;
    if
    :: disk_attempt = written_attempt
    :: skip
    fi;
    if
    :: disk_done = written_done
    :: skip
    fi;
    if
    :: losses < LOSSES -> 
        losses++; disk_attempt = 0; disk_done = false; must_list = true;
        if
        :: place = !place
        :: skip
        fi
    :: skip
    fi;
    written_attempt = disk_attempt;
    written_done = disk_done;
    attempt = 0;
    is_sending = false;
    answer = NOTHING
}

inline sync() {
    disk_attempt = written_attempt;
    disk_done = written_done
}

#define MAY_DIE(label) :: crashes < CRASHES -> atomic { die() }; goto label

active proctype sender() {
    bool is_there;
    atomic { kept[0] = NOTHING; forget_keys() };
start:
    attempt = disk_attempt;
    outcome = UNSENT;
    if
    :: disk_done -> outcome = SENT; goto done
    :: else -> skip
    fi;
#ifdef MUTANT_TRUST_LOSS
    must_list = false;
#endif
    if
    :: attempt == 0 && !must_list -> goto intend       /* nothing was ever sent */
#ifdef MUTANT_NO_WAIT
    :: attempt == 0 && must_list -> goto look
#else
    /* The journal is lost, and with it the number of the last attempt. A request of it that is
       still under way would be no replay: wait until none can be, then ask. */
    :: attempt == 0 && must_list -> goto list
#endif
    :: attempt != 0 -> goto settle
    fi;
settle: /* an intent without an answer */
    if
#ifdef MUTANT_RESEND_OLD
    :: atomic { true -> is_sending = true }; goto transmit
#else
    :: atomic { age == 0 -> is_sending = true }; goto transmit /* the same key is safe */
#ifdef MUTANT_OLD_NO_WAIT
    :: age > 0 -> goto look
#else
    :: age > 0 -> goto list
#endif
#endif
    MAY_DIE(start)
    fi;
list: /* wait until nothing that was sent before can be under way any more */
    if
    :: in_flight == 0 -> goto look
    MAY_DIE(start)
    fi;
look: /* what Stripe has now; this alone proves that nothing came of an attempt, while it is fresh */
    atomic { is_there = items > 0; is_sending = !is_there };
    if
    :: is_there -> goto record
    :: !is_there -> goto intend
    MAY_DIE(start)
    fi;
intend: /* the attempt goes up here only, and only with proof that nothing came of the last one */
    if
    :: attempt < ATTEMPTS_MAX -> attempt++
    :: else -> goto give_up
    fi;
    atomic { age = 0; is_sending = true };
    written_attempt = attempt;
    if
    :: skip
    MAY_DIE(start)
    fi;
#ifndef MUTANT_NO_SYNC
    atomic { sync() };
    must_list = false;
#endif
transmit:
    if
    :: atomic { send(attempt, answer); is_sending = false }
    MAY_DIE(start)
    fi;
#ifdef MUTANT_NO_SYNC
    if
    :: skip
    MAY_DIE(start)
    fi;
    atomic { sync() };
    must_list = false;
#endif
    if
    :: answer == OK -> goto record
    :: answer == KEPT_500 -> goto look /* indeterminate: the list decides; its key has ended */
    :: answer == OTHER_BODY -> goto list /* a start whose journal is lost: the list decides */
#ifdef MUTANT_NEW_ATTEMPT
    :: answer == NOTHING -> goto intend
#endif
#ifdef MUTANT_CALL_SENT
    :: answer == NOTHING -> goto record
#endif
    :: answer == REFUSED || answer == NOTHING -> goto settle
    MAY_DIE(start)
    fi;
record:
    written_done = true;
    if
    :: skip
    MAY_DIE(start)
    fi;
    atomic { sync() };
    outcome = SENT;
    if
    :: skip
    MAY_DIE(start)
    fi;
    goto done;
give_up:
    outcome = UNKNOWN;
done: /* nothing is given up while an attempt is left */
    atomic {
        assert(outcome == SENT || attempt == ATTEMPTS_MAX);
        assert(outcome != SENT || items == 1);
        is_over = true
    }
}

ltl never_twice { [] (items <= 1) }
ltl sent_is_there { [] ((outcome == SENT) -> (items == 1)) }
ltl ends { <> is_over }
