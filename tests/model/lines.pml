/*
 * Items of one org as lines of an invoice of our own, added by one request (--batch lines), and the
 * finalising of that invoice, as a model: the sender, its journal, a network that loses, and
 * Stripe's store of idempotency keys. Two items, which are a request together or one by one. Checked
 * exhaustively by spin for the counts below: no item is ever on the invoice twice, none that is
 * called sent is missing, the invoice is finalised only when all are on it, and it always ends.
 *
 *   journal   each item has its intent (its attempt) and its answer; all of a request are written
 *             and synced together before it goes; what was not synced may or may not survive a death
 *   key       of a request: which items it has (the digest of their keys), and the highest attempt
 *             of these
 *   Stripe    adds all lines of a request or none; a key seen before is answered from the store and
 *             does nothing, until it is forgotten: at any time, as days may pass between two starts
 *   death     at any step, CRASHES times; nothing tells then which others went with an item: what is
 *             open is looked for among the lines of the invoice, when nothing sent before can be
 *             under way any more. With it the machine may lose the run directory, LOSSES times
 *   journal   that begins: a first start cannot be told from one after a loss. All lines that are
 *             there are asked for, when nothing can be under way any more, and noted together with
 *             the word that they were; attempts are counted from one again
 *   attempt   raised for each item that a listing proves absent
 *   finalise  is journaled, and asked for again until the invoice says that it is final: that does
 *             nothing more. Lines that arrive then are refused
 *
 * Wrong senders, to see that the model can tell (run.sh runs them all):
 *   MUTANT_LINES_NO_SYNC     sends before the intents are synced
 *   MUTANT_LINES_RESEND      sends what is open again after a death, whatever went together before
 *   MUTANT_LINES_NO_WAIT     lists the lines at once, with requests still under way
 *   MUTANT_LINES_ONE_KEY     a request's key without its items: the others of a first one would hide
 *   MUTANT_LINES_OPEN_FINAL  finalises while an item is open
 *   MUTANT_LINES_CALL_SENT   calls items sent when the answer is lost
 *   MUTANT_LINES_TRUST_LOSS  takes a lost run directory for one that never was
 *   MUTANT_LINES_LOSS_NO_WAIT  asks at once after a loss, with requests still under way
 */
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#define ATTEMPTS_MAX 3
#ifdef MUTANT_LINES_TRUST_LOSS
#define TRUSTS_LOSS true
#else
#define TRUSTS_LOSS false
#endif
#define BOTH 3 /* items are bits: 1, 2 */
#define KEY(items, attempt) ((items) * (ATTEMPTS_MAX + 1) + (attempt))

mtype = {ADDED, NOTHING, REFUSED};

/* Stripe. */
byte on_invoice[3];                          /* how often each item (1, 2) is a line */
bool is_kept[4 * (ATTEMPTS_MAX + 1)];        /* keys that are known */
bool is_final = false;
byte late_items = 0, late_attempt = 0;       /* a request that arrives late; 0: none */

/* On disk, and what is only written. */
byte disk_attempt[3], written_attempt[3];
byte disk_sent = 0, written_sent = 0;        /* bits */
byte disk_open = 0, written_open = 0;        /* bits: an intent without an answer */
bool disk_swept = false, written_swept = false; /* all that was there before is noted */

byte crashes = 0, losses = 0, faults = 0;

/* The sender. */
byte asked = 0;       /* the items of the request at hand */
byte asked_attempt = 0;
byte sent = 0;        /* called so, durably */
bool is_told_final = false;
bool is_over = false;
bool has_given_up = false;
mtype answer = NOTHING;

inline add(items, attempt, result) {
    if
#ifdef MUTANT_LINES_ONE_KEY
    :: is_kept[KEY(0, attempt)] -> result = ADDED
    :: !is_kept[KEY(0, attempt)] && is_final -> result = REFUSED
    :: !is_kept[KEY(0, attempt)] && !is_final ->
        is_kept[KEY(0, attempt)] = true;
#else
    :: is_kept[KEY(items, attempt)] -> result = ADDED
    :: !is_kept[KEY(items, attempt)] && is_final -> result = REFUSED
    :: !is_kept[KEY(items, attempt)] && !is_final ->
        is_kept[KEY(items, attempt)] = true;
#endif
        on_invoice[1] = on_invoice[1] + ((items) & 1);
        on_invoice[2] = on_invoice[2] + ((items) >> 1);
        result = ADDED
    fi
}

/* There and back, there only, neither, or there later. */
inline send(items, attempt, result) {
    if
    :: add(items, attempt, result)
    :: faults < FAULTS -> faults++; add(items, attempt, result); result = NOTHING
    :: faults < FAULTS -> faults++; result = NOTHING
    :: faults < FAULTS && late_items == 0 ->
        faults++; late_items = items; late_attempt = attempt; result = NOTHING
    fi
}

active proctype network() {
    mtype ignored;
end_network:
    do
    :: atomic { late_items != 0 -> add(late_items, late_attempt, ignored); late_items = 0 }
    od
}

inline forget_keys() {
    byte key = 0;
    do
    :: key < 4 * (ATTEMPTS_MAX + 1) -> is_kept[key] = false; key++
    :: else -> break
    od;
    key = 0
}

inline sync() {
    disk_attempt[1] = written_attempt[1];
    disk_attempt[2] = written_attempt[2];
    disk_sent = written_sent;
    disk_open = written_open;
    disk_swept = written_swept
}

/* What was not synced may be gone. Until the next start a day may pass: keys are forgotten, and
   nothing is under way any more then. */
inline die() {
    crashes++;
    if
    :: sync()
    :: skip
    fi;
    if
    :: losses < LOSSES ->
        losses++; disk_attempt[1] = 0; disk_attempt[2] = 0; disk_sent = 0; disk_open = 0;
        disk_swept = false
    :: skip
    fi;
    written_swept = disk_swept;
    written_attempt[1] = disk_attempt[1];
    written_attempt[2] = disk_attempt[2];
    written_sent = disk_sent;
    written_open = disk_open;
    if
    :: late_items == 0 -> forget_keys()
    :: skip
    fi;
    asked = 0;
    asked_attempt = 0;
    answer = NOTHING
}

#define MAY_DIE(label) :: crashes < CRASHES -> atomic { die() }; goto label

/* Those of `items` that are lines have been sent; of the others the attempt is free again. */
inline settle(items) {
    if
    :: ((items) & 1) && on_invoice[1] > 0 -> written_sent = written_sent | 1
    :: else -> skip
    fi;
    if
    :: ((items) & 2) && on_invoice[2] > 0 -> written_sent = written_sent | 2
    :: else -> skip
    fi;
    written_open = written_open & (BOTH - (items))
}

active proctype sender() {
start:
    sent = disk_sent;
    if
#ifndef MUTANT_LINES_TRUST_LOSS
    :: !disk_swept -> goto sweep
#endif
    :: (disk_swept || TRUSTS_LOSS) && disk_open != 0 -> goto list
    :: (disk_swept || TRUSTS_LOSS) && disk_open == 0 -> goto choose
    fi;
sweep: /* a journal that begins here: whatever is there, under whatever attempt */
#ifndef MUTANT_LINES_LOSS_NO_WAIT
    if
    :: late_items == 0 -> skip
    MAY_DIE(start)
    fi;
#endif
    atomic { settle(BOTH); written_swept = true };
    if
    :: skip
    MAY_DIE(start)
    fi;
    atomic { sync(); sent = disk_sent };
    goto choose;
list: /* which others went with an item, only the invoice can tell */
#ifdef MUTANT_LINES_RESEND
    asked = disk_open;
    asked_attempt = (disk_attempt[1] > disk_attempt[2] -> disk_attempt[1] : disk_attempt[2]);
    goto transmit;
#endif
#ifndef MUTANT_LINES_NO_WAIT
    if
    :: late_items == 0 -> skip
    MAY_DIE(start)
    fi;
#endif
    atomic { settle(written_open) };
    if
    :: skip
    MAY_DIE(start)
    fi;
    atomic { sync(); sent = disk_sent };
choose: /* all that are not sent together, or one of them */
    if
    :: sent == BOTH -> goto finalise
#ifdef MUTANT_LINES_OPEN_FINAL
    :: sent != 0 && sent != BOTH -> goto finalise
#endif
    :: sent != BOTH -> asked = BOTH - sent
    :: sent == 0 -> asked = 1
    :: sent == 0 -> asked = 2
    MAY_DIE(start)
    fi;
    if
    :: ((asked & 1) && written_attempt[1] == ATTEMPTS_MAX) ||
       ((asked & 2) && written_attempt[2] == ATTEMPTS_MAX) -> goto give_up
    :: else -> skip
    fi;
    atomic {
        if
        :: asked & 1 -> written_attempt[1]++
        :: else -> skip
        fi;
        if
        :: asked & 2 -> written_attempt[2]++
        :: else -> skip
        fi;
        written_open = written_open | asked;
        asked_attempt = (!(asked & 2) || ((asked & 1) && written_attempt[1] > written_attempt[2])
                         -> written_attempt[1] : written_attempt[2])
    };
#ifndef MUTANT_LINES_NO_SYNC
    if
    :: skip
    MAY_DIE(start)
    fi;
    atomic { sync() };
#endif
transmit:
    if
    :: atomic { send(asked, asked_attempt, answer) }
    MAY_DIE(start)
    fi;
    if
    :: answer == ADDED ->
        atomic { written_sent = written_sent | asked; written_open = written_open & (BOTH - asked) };
        if
        :: skip
        MAY_DIE(start)
        fi;
        atomic { sync(); sent = disk_sent };
        goto choose
#ifdef MUTANT_LINES_CALL_SENT
    :: answer == NOTHING ->
        atomic { written_sent = written_sent | asked; written_open = 0; sync(); sent = disk_sent };
        goto choose
#endif
    :: answer == NOTHING -> goto transmit /* the same key, in the same start: it is young */
    :: answer == NOTHING -> goto list_now /* enough of that */
    :: answer == REFUSED -> goto give_up
    MAY_DIE(start)
    fi;
list_now:
    atomic { sync() };
    goto list;
finalise: /* asked for until the invoice says so: the second time it does nothing */
    if
    :: atomic { is_final = true; is_told_final = true }
    :: faults < FAULTS -> atomic { faults++; is_final = true }; goto finalise
    :: faults < FAULTS -> faults++; goto finalise
    MAY_DIE(start)
    fi;
    goto done;
give_up:
    has_given_up = true;
done:
    is_over = true
}

ltl never_twice { [] (on_invoice[1] <= 1 && on_invoice[2] <= 1) }
ltl sent_is_there { [] ((!(sent & 1) || on_invoice[1] == 1) && (!(sent & 2) || on_invoice[2] == 1)) }
ltl final_is_whole { [] (is_final -> (on_invoice[1] == 1 && on_invoice[2] == 1)) }
ltl not_given_up { [] !(has_given_up && faults + crashes < ATTEMPTS_MAX) }
ltl ends { <> is_over }
