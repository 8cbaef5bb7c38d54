#include "reconcile_report.h"

#include <stdio.h>

enum { AMOUNT_MAX = 48 };

static const char *kind_name(const struct reconcile_report *report, enum reconcile_kind kind) {
    switch (kind) {
    case RECONCILE_NEVER_SENT:
        return "never_sent";
    case RECONCILE_REMOVED:
        return report->emission == EMISSION_DODO ? "removed_at_dodo" : "removed_at_stripe";
    case RECONCILE_DIFFERENT:
        return "different";
    case RECONCILE_UNRECORDED:
        return "not_recorded";
    case RECONCILE_EXTRA:
        return "extra";
    case RECONCILE_UNKNOWN:
        return "unknown";
    case RECONCILE_KINDS_COUNT:
        break;
    }
    return "";
}

bool reconcile_report_init(struct reconcile_report *report, struct cli *cli, struct err *err) {
    *report = (struct reconcile_report){.cli = cli};
    if (!print_format(cli, &report->format, err)) {
        return false;
    }
    if (option_is_set(&cli->options, OPTION_JSON)) {
        if (report->format == PRINT_CSV) {
            return err_set(err, ERR_USAGE, "--json and --format csv cannot both be");
        }
        report->format = PRINT_JSON;
    }
    return true;
}

/* --- amounts ------------------------------------------------------------------------------------
 */

/* Stripe's minor units in major ones; in minor ones where the currency is not known. */
static void amount_text(int64_t minor, struct text code, char text[AMOUNT_MAX]) {
    const struct currency *currency = currency_find(code);
    int exponent = currency != NULL ? currency->stripe_exponent : 0;
    uint64_t scale = 1;
    for (int place = 0; place < exponent; place++) {
        scale *= 10;
    }
    uint64_t size = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;
    const char *sign = minor < 0 ? "-" : "";
    unsigned long long whole = size / scale;
    if (exponent > 0) {
        (void)snprintf(text, AMOUNT_MAX, "%s%llu.%0*llu", sign, whole, exponent < 4 ? exponent : 4,
                       (unsigned long long)(size % scale));
    } else {
        (void)snprintf(text, AMOUNT_MAX, "%s%llu", sign, whole);
    }
}

/* An amount of one side, with its currency; empty: it has none. */
struct side {
    char amount[AMOUNT_MAX];
    struct text currency;
    char shown[AMOUNT_MAX + 16];
};

static struct side side_of(bool is_there, int64_t minor, struct text currency) {
    struct side side = {.currency = currency};
    if (is_there) {
        amount_text(minor, currency, side.amount);
        (void)snprintf(side.shown, sizeof side.shown, "%s %.*s", side.amount,
                       (int)(currency.size_bytes < 8 ? currency.size_bytes : 8), currency.bytes);
    }
    return side;
}

/* --- a finding ----------------------------------------------------------------------------------
 */

static bool tell_text(struct reconcile_report *report, const struct reconcile_finding *finding,
                      const struct side *ours, const struct side *theirs, const char *key,
                      struct err *err) {
    struct console *console = &report->cli->console;
    struct buffer line = {0};
    const char *where = report->emission == EMISSION_DODO ? "at dodo" : "at stripe";
    bool is_fine =
        report->has_finding || console_out(console, err, "%-17s  %-20s  %-16s  %14s  %14s  %s\n",
                                           "", "org", "metric", "ours", where, "item");
    is_fine =
        is_fine && buffer_append_format(&line, err, "%-17s  ", kind_name(report, finding->kind)) &&
        print_pad(&line, finding->org_id, 20, err) && buffer_append(&line, text_from("  "), err) &&
        print_pad(&line, finding->metric, 16, err) &&
        buffer_append_format(&line, err, "  %14s  %14s  %s", ours->shown, theirs->shown, key) &&
        (finding->their_id[0] == '\0' || strcmp(finding->their_id, key) == 0 ||
         (buffer_append(&line, text_from(" "), err) &&
          print_escape(&line, text_from(finding->their_id), err))) &&
        buffer_append(&line, text_from("\n"), err) &&
        console_out_text(console, buffer_text(&line), err);
    buffer_release(&line);
    return is_fine;
}

static bool tell_csv(struct reconcile_report *report, const struct reconcile_finding *finding,
                     const struct side *ours, const struct side *theirs, const char *key,
                     struct err *err) {
    struct console *console = &report->cli->console;
    return console_out(console, err, "%s,", kind_name(report, finding->kind)) &&
           print_csv(console, finding->org_id, err) && console_out(console, err, ",") &&
           print_csv(console, finding->metric, err) &&
           console_out(console, err, ",%s,%s,%s,%s,", ours->shown, theirs->shown, key,
                       finding->our_id) &&
           print_csv(console, text_from(finding->their_id), err) && console_out(console, err, "\n");
}

static bool json_field(struct console *console, const char *name, struct text value,
                       struct err *err) {
    return console_out(console, err, ",\"%s\":", name) &&
           (value.size_bytes == 0 ? console_out(console, err, "null")
                                  : print_json(console, value, err));
}

/* Amounts are decimals in major units, as texts; of a side that has none, null. */
static bool json_side(struct console *console, const char *name, const struct side *side,
                      struct err *err) {
    if (side->amount[0] == '\0') {
        return console_out(console, err, ",\"%s\":null", name);
    }
    return console_out(console, err, ",\"%s\":{\"amount\":\"%s\",\"currency\":", name,
                       side->amount) &&
           print_json(console, side->currency, err) && console_out(console, err, "}");
}

static bool tell_json(struct reconcile_report *report, const struct reconcile_finding *finding,
                      const struct side *ours, const struct side *theirs, const char *key,
                      struct err *err) {
    struct console *console = &report->cli->console;
    return console_out(console, err, "%s{\"kind\":\"%s\"", report->has_finding ? "," : "",
                       kind_name(report, finding->kind)) &&
           json_field(console, "org_id", finding->org_id, err) &&
           json_field(console, "metric", finding->metric, err) &&
           json_side(console, "ours", ours, err) && json_side(console, "theirs", theirs, err) &&
           json_field(console, "item_key", text_from(key), err) &&
           json_field(console, "our_id", text_from(finding->our_id), err) &&
           json_field(console, "their_id", text_from(finding->their_id), err) &&
           console_out(console, err, "}");
}

bool reconcile_report_found(void *context, const struct reconcile_finding *finding,
                            struct err *err) {
    struct reconcile_report *report = context;
    const struct emit_item *item = finding->item;
    char key[EMIT_KEY_TEXT_MAX] = "";
    if (finding->has_key) {
        emit_key_format(&finding->key, key);
    }
    struct side ours = item != NULL ? side_of(true, item->amount, text_from(item->currency->code))
                                    : side_of(false, 0, (struct text){"", 0});
    struct side theirs =
        side_of(finding->their_id[0] != '\0', finding->their_amount, finding->their_currency);
    report->kinds[finding->kind]++;
    bool is_fine = report->format == PRINT_CSV ? tell_csv(report, finding, &ours, &theirs, key, err)
                   : report->format == PRINT_JSON
                       ? tell_json(report, finding, &ours, &theirs, key, err)
                       : tell_text(report, finding, &ours, &theirs, key, err);
    report->has_finding = true;
    return is_fine;
}

/* --- around them --------------------------------------------------------------------------------
 */

bool reconcile_report_begin(struct reconcile_report *report, struct err *err) {
    struct console *console = &report->cli->console;
    static const char *const targets[] = {[EMISSION_NONE] = "none",
                                          [EMISSION_STRIPE] = "stripe",
                                          [EMISSION_STRIPE_METERS] = "stripe-meters",
                                          [EMISSION_DODO] = "dodo"};
    memset(report->kinds, 0, sizeof report->kinds);
    report->has_finding = false;
    if (report->format == PRINT_CSV) {
        return console_out(console, err,
                           "kind,org_id,metric,ours,at_stripe,item_key,our_id,stripe_id\n");
    }
    return report->format != PRINT_JSON ||
           console_out(console, err, "{\"period\":\"%s\",\"target\":\"%s\",\"findings\":[",
                       report->period, targets[report->emission]);
}

static bool end_json(struct reconcile_report *report, const struct reconcile *reconcile,
                     struct err *err) {
    struct console *console = &report->cli->console;
    if (!console_out(console, err, "],\"items\":%llu,\"as_recorded\":%llu,\"counts\":{",
                     (unsigned long long)reconcile->counts.items,
                     (unsigned long long)reconcile->counts.agreed)) {
        return false;
    }
    for (size_t kind = 0; kind < RECONCILE_KINDS_COUNT; kind++) {
        if (!console_out(console, err, "%s\"%s\":%llu", kind > 0 ? "," : "",
                         kind_name(report, (enum reconcile_kind)kind),
                         (unsigned long long)report->kinds[kind])) {
            return false;
        }
    }
    return console_out(console, err, "}}\n");
}

static bool end_text(struct reconcile_report *report, const struct reconcile *reconcile,
                     struct err *err) {
    struct console *console = &report->cli->console;
    if (!console_out(console, err, "%s%llu item%s compared: %llu as recorded",
                     reconcile->counts.findings > 0 ? "\n" : "",
                     (unsigned long long)reconcile->counts.items,
                     reconcile->counts.items == 1 ? "" : "s",
                     (unsigned long long)reconcile->counts.agreed)) {
        return false;
    }
    for (size_t kind = 0; kind < RECONCILE_KINDS_COUNT; kind++) {
        if (report->kinds[kind] > 0 &&
            !console_out(console, err, ", %llu %s", (unsigned long long)report->kinds[kind],
                         kind_name(report, (enum reconcile_kind)kind))) {
            return false;
        }
    }
    return console_out(console, err, "\n");
}

bool reconcile_report_end(struct reconcile_report *report, const struct reconcile *reconcile,
                          struct err *err) {
    switch (report->format) {
    case PRINT_CSV:
        return true;
    case PRINT_JSON:
        return end_json(report, reconcile, err);
    case PRINT_TEXT:
        break;
    }
    return end_text(report, reconcile, err);
}

/* --- what to do about it -------------------------------------------------------------------------
 */

/* Nothing that stands at the other side is changed by us, so somebody has to look at it. */
static const char *advice(const struct reconcile_report *report, enum reconcile_kind kind) {
    bool is_dodo = report->emission == EMISSION_DODO;
    switch (kind) {
    case RECONCILE_REMOVED:
        return is_dodo ? "it is not at Dodo any more, though it was; --resend KEY sends it again, "
                         "with the key that ends its line"
                       : "somebody deleted it at Stripe, as a goodwill perhaps; if it is to be "
                         "billed after all, --resend KEY sends it again, with the key that ends "
                         "its line";
    case RECONCILE_DIFFERENT:
        return is_dodo ? "Dodo has it with another amount or customer, under the id that ends its "
                         "line; nothing that stands there is changed by us, so settle the "
                         "difference with the customer there"
                       : "it stands at Stripe with another amount or customer, under the id that "
                         "ends its line; nothing that stands there is changed by us: set it right "
                         "in the dashboard, if it is wrong there";
    case RECONCILE_EXTRA:
        return is_dodo ? "no record accounts for it; nothing that stands at Dodo is deleted by "
                         "us: if it should not be billed, settle it with the customer there"
                       : "no record accounts for it, and nothing that stands at Stripe is deleted "
                         "by us: look up the id that ends its line in the dashboard, and if it "
                         "should not be billed, delete it there, or credit it where its invoice is "
                         "final";
    case RECONCILE_UNKNOWN:
        return "look at the customer's usage in the dashboard; if it is not in there, --resend KEY "
               "sends it, with the key that ends its line";
    case RECONCILE_NEVER_SENT:
    case RECONCILE_UNRECORDED:
    case RECONCILE_KINDS_COUNT:
        break;
    }
    return NULL;
}

void reconcile_report_advise(const struct reconcile_report *report) {
    console_flush(&report->cli->console); /* the list comes first */
    for (size_t index = 0; index < RECONCILE_KINDS_COUNT; index++) {
        enum reconcile_kind kind = (enum reconcile_kind)index;
        const char *text = advice(report, kind);
        if (report->kinds[kind] > 0 && text != NULL) {
            console_say(&report->cli->console, LOG_NOTE, "note: %s: %s", kind_name(report, kind),
                        text);
        }
    }
}

/* What was not sent stands in the report of items with its reason; of all else only the comparison
 * knows, so that is typed again when somebody has looked. */
void reconcile_report_next(const struct reconcile_report *report, const char *run_path) {
    const uint64_t *kinds = report->kinds;
    bool is_in_items = kinds[RECONCILE_NEVER_SENT] > 0 || kinds[RECONCILE_UNKNOWN] > 0;
    if (run_path != NULL && is_in_items) {
        cli_next(report->cli, "less %s/reports/invoice_items.csv",
                 shell_word(run_path, &(struct shell_word){0}));
    } else {
        cli_next_without(report->cli, OPTION_BIT(OPTION_REPAIR) | OPTION_BIT(OPTION_RESEND));
    }
}

/* --- what is sent again -------------------------------------------------------------------------
 */

bool reconcile_read_resend(const struct cli *cli, struct emit_key keys[RECONCILE_RESEND_MAX],
                           size_t *keys_count, struct err *err) {
    const struct option_values *options = &cli->options;
    size_t count = options->values_count[OPTION_RESEND];
    if (count > RECONCILE_RESEND_MAX) {
        return err_set(err, ERR_USAGE, "--resend: at most %d keys at once",
                       (int)RECONCILE_RESEND_MAX);
    }
    for (size_t index = 0; index < count; index++) {
        const char *text = options->values[OPTION_RESEND][index];
        if (!emit_key_parse(text_from(text), &keys[index])) {
            (void)err_set(err, ERR_USAGE, "--resend: '%.40s' is no item key", text);
            return err_hint(err,
                            "reconcile prints them, and invoice_items.csv has them: 32 digits");
        }
    }
    *keys_count = count;
    return true;
}

bool reconcile_check_resent(size_t keys_count, const struct reconcile *reconcile, struct err *err) {
    if (reconcile->counts.resent == keys_count) {
        return true;
    }
    (void)err_set(err, ERR_MISMATCH,
                  "--resend: %zu of %zu key%s named no item that was removed there or is unknown",
                  keys_count - (size_t)reconcile->counts.resent, keys_count,
                  keys_count == 1 ? "" : "s");
    return err_hint(err, "reconcile without --resend lists the keys of those that are");
}
