/* What `verify` checks: inside of the command, split over command_verify*.c. */
#ifndef PERIODCLOSE_CLI_VERIFY_H
#define PERIODCLOSE_CLI_VERIFY_H

#include "cli/cli.h"
#include "cli/print.h"

enum {
    DISAGREEMENTS_SHOWN_MAX = 20,
    DISAGREEMENT_NAME_MAX = 96,
    DISAGREEMENT_VALUE_MAX = 160,
};

/* One value that is not what it should be; texts are cut to fit. */
struct disagreement {
    char org_id[DISAGREEMENT_NAME_MAX]; /* or a file, a stage */
    char metric[DISAGREEMENT_NAME_MAX]; /* or a unit */
    char what[DISAGREEMENT_NAME_MAX];
    char sealed[DISAGREEMENT_VALUE_MAX];
    char expected[DISAGREEMENT_VALUE_MAX];
};

/* The first ones are kept, all are counted. */
struct disagreements {
    uint64_t count;
    struct disagreement first[DISAGREEMENTS_SHOWN_MAX];
};

/* The place for a new one, to be filled in; NULL when it is only counted. */
struct disagreement *disagreements_add(struct disagreements *disagreements);
void disagreement_name(char name[DISAGREEMENT_NAME_MAX], struct text text);

struct verification {
    struct cli *cli;
    struct run *run;
    size_t jobs;
    struct disagreements disagreements;
};

/* Prints "WHAT   TEXT": one line per check. */
bool verify_tell(const struct verification *verification, struct err *err, const char *what,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Each adds what it finds; false only for what keeps it from checking. */
bool verify_reports(struct verification *verification, struct err *err);
bool verify_charges(struct verification *verification, struct err *err);

#endif
