#include "cli/commands.h"

static const struct command *const rows[] = {
    &command_run,    &command_migrate,   &command_ingest,  &command_backfill, &command_recalculate,
    &command_void,   &command_waive,     &command_claims,  &command_status,   &command_report,
    &command_replay, &command_inspect,   &command_explain, &command_diff,     &command_verify,
    &command_emit,   &command_reconcile, &command_push,    &command_sync,     &command_summary,
    &command_check,  &command_seats,     &command_help,
};

struct command_list commands_all(void) {
    return (struct command_list){.commands = rows, .commands_count = sizeof rows / sizeof rows[0]};
}
