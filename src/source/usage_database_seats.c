/*
 * Seats out of PostgreSQL: the events of the seat book, many in one row (sql/extract/seats.sql).
 *
 * The event that ends a seat may lie anywhere behind the one that began it, so both are spilled by
 * bucket of orgs first. Then, bucket by bucket, those that ended are held in a hash table, and
 * those that began meet them. Where there is memory for a part of a bucket's ends only, it is
 * paired in parts, and both its streams are read from the beginning once for each. What comes of it
 * is judged and taken as a row of a file is.
 */
#include <assert.h>

#include "core/memory.h"
#include "sys/process.h"
#include "usage_database.h"

static const char seat_book[] = "billing.seat_intervals";

enum { TIME_BYTES = 8, SEAT_BYTES = 8, ROLE_MARK = 1, ROLE_HEAD_BYTES = 1 + 2 * TIME_BYTES };

struct seat_end {
    int64_t seat_id;
    int64_t revoked_at_us;
    uint32_t org;
    uint32_t is_one; /* in the hash table; else the place is free */
};

/* The user and the role follow. */
struct seat_begin {
    int64_t seat_id;
    int64_t assigned_at_us;
    int64_t expires_at_us; /* INT64_MAX: never */
    uint32_t org;
    uint32_t user_id_bytes;
    uint32_t role_bytes;
    uint32_t padding;
};

/* An event on its way: line holds org, user and role. */
struct seat_event {
    struct feed_line line;
    int64_t seat_id;
    struct instant at;
    int64_t expires_at_us;
};

static bool fail_form(struct err *err) {
    return err_set(err, ERR_DATABASE, "the server packed seats in a form not known here");
}

/* A seat has no number that anybody knows: it is called by what it says. */
static bool refuse(struct usage_feed *feed, const struct feed_line *line, enum seats_column column,
                   const char *reason, struct err *err) {
    struct text org_id = line->fields[SEATS_COLUMN_ORG_ID];
    struct text user_id = line->fields[SEATS_COLUMN_USER_ID];
    return problems_add(feed->problems, seat_book, 0, seats_columns[column].name, (struct text){0},
                        err, "%s (org_id %.*s, user_id %.*s)", reason, (int)org_id.size_bytes,
                        org_id.bytes, (int)user_id.size_bytes, user_id.bytes);
}

/* --- events ---------------------------------------------------------------------------------- */

static int hex_value(char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                          : -1;
}

static bool append_hex(struct text digits, struct buffer *bytes, struct err *err) {
    if (digits.size_bytes % 2 != 0) {
        return fail_form(err);
    }
    for (size_t index = 0; index < digits.size_bytes; index += 2) {
        int high = hex_value(digits.bytes[index]);
        int low = hex_value(digits.bytes[index + 1]);
        char byte = (char)(high * 16 + low);
        if (high < 0 || low < 0) {
            return fail_form(err);
        }
        if (!buffer_append(bytes, (struct text){&byte, 1}, err)) {
            return false;
        }
    }
    return true;
}

/*
 * When a seat ends. No period lies beyond year 9999, so that what ends there, as an expiry in the
 * last hours of that year of another time zone, never ends. Before year 1 nothing is assigned: such
 * an end is before it.
 */
static int64_t take_end_us(const unsigned char *bytes) {
    struct instant instant;
    if (wire_instant(bytes, &instant) == NULL) {
        return instant.us;
    }
    return (int64_t)wire_uint64(bytes) > 0 ? INT64_MAX : INT64_MIN;
}

/* A role that is more than one: when the seat ends by itself, and the role. bytes keeps them. */
static bool unfold_role(struct seat_event *event, struct buffer *bytes, struct err *err) {
    struct text *role = &event->line.fields[SEATS_COLUMN_ROLE];
    buffer_clear(bytes);
    if (role->size_bytes < ROLE_HEAD_BYTES) {
        return fail_form(err);
    }
    if (!append_hex((struct text){role->bytes + 1, role->size_bytes - 1}, bytes, err)) {
        return false;
    }
    event->expires_at_us = take_end_us((const unsigned char *)bytes->bytes);
    *role = (struct text){bytes->bytes + TIME_BYTES, bytes->size_bytes - TIME_BYTES};
    return true;
}

static bool take_end(struct usage_feed *feed, const struct seat_event *event, struct err *err) {
    const struct seat_end end = {
        .seat_id = event->seat_id,
        .revoked_at_us = event->at.us,
        .org = event->line.rank,
        .is_one = 1,
    };
    /* Without its org its seat was refused, or is not wanted. */
    return end.org >= CATALOG_NOT_SELECTED ||
           feed_append(feed, STREAM_SEATS_ENDS, feed->usage->places[end.org].bucket, &end,
                       sizeof end, err);
}

static bool take_begin(struct usage_feed *feed, const struct seat_event *event, struct err *err) {
    const struct feed_line *line = &event->line;
    struct text user_id = line->fields[SEATS_COLUMN_USER_ID];
    struct text role = line->fields[SEATS_COLUMN_ROLE];
    const struct seat_begin begin = {
        .seat_id = event->seat_id,
        .assigned_at_us = event->at.us,
        .expires_at_us = event->expires_at_us,
        .org = line->rank,
        .user_id_bytes = (uint32_t)user_id.size_bytes,
        .role_bytes = (uint32_t)role.size_bytes,
    };
    bool is_bad;
    if (!feed_judge_seat(feed, line, &is_bad, err)) {
        return false;
    }
    if (is_bad || begin.org == CATALOG_NOT_SELECTED) {
        return true;
    }
    uint32_t bucket = feed->usage->places[begin.org].bucket;
    return feed_append(feed, STREAM_SEATS_BEGINS, bucket, &begin, sizeof begin, err) &&
           feed_append(feed, STREAM_SEATS_BEGINS, bucket, user_id.bytes, user_id.size_bytes, err) &&
           feed_append(feed, STREAM_SEATS_BEGINS, bucket, role.bytes, role.size_bytes, err);
}

static bool take_text(struct text *lines, struct text *line) {
    struct db_field field;
    bool has_one = pack_take_line(lines, &field);
    *line = has_one ? database_text(&field) : (struct text){0};
    return has_one;
}

/* Takes one event off the columns. */
static bool take_event(struct usage_feed *feed, struct text columns[SEATS_PACK_COLUMNS_COUNT],
                       struct buffer *bytes, struct err *err) {
    struct seat_event event = {.expires_at_us = INT64_MAX};
    struct feed_line *line = &event.line;
    struct db_field numbers;
    if (!take_text(&columns[SEATS_PACK_ORGS], &line->fields[SEATS_COLUMN_ORG_ID]) ||
        !take_text(&columns[SEATS_PACK_USERS], &line->fields[SEATS_COLUMN_USER_ID]) ||
        !take_text(&columns[SEATS_PACK_ROLES], &line->fields[SEATS_COLUMN_ROLE]) ||
        !pack_take_bytes(&columns[SEATS_PACK_SEATS], SEAT_BYTES + TIME_BYTES, &numbers)) {
        return fail_form(err);
    }
    struct text role = line->fields[SEATS_COLUMN_ROLE];
    bool is_end = line->fields[SEATS_COLUMN_USER_ID].size_bytes == 0;
    if (role.size_bytes > 0 && role.bytes[0] == ROLE_MARK && !unfold_role(&event, bytes, err)) {
        return false;
    }
    event.seat_id = (int64_t)wire_uint64(numbers.bytes);
    feed_find_orgs(feed, line, 1);
    if (is_end) {
        event.at.us = take_end_us(numbers.bytes + SEAT_BYTES);
        return take_end(feed, &event, err);
    }
    const char *reason = wire_instant(numbers.bytes + SEAT_BYTES, &event.at);
    /* The book is never corrected: the other orgs must close with --org meanwhile. */
    return reason == NULL || line->rank == CATALOG_NOT_SELECTED
               ? take_begin(feed, &event, err)
               : refuse(feed, line, SEATS_COLUMN_ASSIGNED_AT, reason, err);
}

bool feed_database_seats(struct usage_feed *feed, const struct db_field *fields,
                         struct buffer *bytes, struct err *err) {
    struct text columns[SEATS_PACK_COLUMNS_COUNT];
    for (size_t column = 0; column < SEATS_PACK_COLUMNS_COUNT; column++) {
        columns[column] = database_text(&fields[column]);
    }
    while (columns[SEATS_PACK_SEATS].size_bytes > 0) {
        if (!take_event(feed, columns, bytes, err)) {
            return false;
        }
    }
    return (columns[SEATS_PACK_ORGS].bytes == NULL && columns[SEATS_PACK_USERS].bytes == NULL &&
            columns[SEATS_PACK_ROLES].bytes == NULL) ||
           fail_form(err);
}

static bool take_packs(struct usage_feed *feed, struct db_copy_out *copy, struct err *err) {
    struct buffer bytes = {0};
    struct db_copy_row row = {0};
    bool is_fine;
    do {
        is_fine = interrupt_check(err) && db_copy_out_next(copy, &row, err) &&
                  (row.fields == NULL || feed_database_seats(feed, row.fields, &bytes, err));
    } while (is_fine && row.fields != NULL);
    buffer_release(&bytes);
    return is_fine && db_copy_out_end(copy, err);
}

/* --- pairs ----------------------------------------------------------------------------------- */

struct pairing {
    struct usage_feed *feed;
    uint32_t bucket;
    struct seat_end *ends; /* a hash table, at most half of it in use */
    size_t ends_capacity;  /* a power of two */
    uint64_t parts_count;  /* of the bucket's seats: as many as the ends of one fit */
    uint64_t part;
};

static uint64_t hash_of(int64_t seat_id, uint32_t org) {
    uint64_t hash = ((uint64_t)seat_id ^ (uint64_t)org << 40) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static bool is_in_part(const struct pairing *pairing, uint64_t hash) {
    return (hash >> 32) % pairing->parts_count == pairing->part;
}

/* Where it is, or would be. */
static struct seat_end *find_end(const struct pairing *pairing, uint64_t hash, int64_t seat_id,
                                 uint32_t org) {
    size_t place = hash & (pairing->ends_capacity - 1);
    for (;; place = (place + 1) & (pairing->ends_capacity - 1)) {
        struct seat_end *end = &pairing->ends[place];
        if (!end->is_one || (end->seat_id == seat_id && end->org == org)) {
            return end;
        }
    }
}

static bool load_ends(struct pairing *pairing, struct spill_reader *reader, struct err *err) {
    size_t count = 0;
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        struct seat_end end;
        if (!spill_take(reader, sizeof end, &bytes, err)) {
            return false;
        }
        memcpy(&end, bytes, sizeof end);
        uint64_t hash = hash_of(end.seat_id, end.org);
        if (!is_in_part(pairing, hash)) {
            continue;
        }
        if (++count == pairing->ends_capacity) {
            return err_set(err, ERR_RANGE, "%s: too many seats for the memory there is", seat_book);
        }
        *find_end(pairing, hash, end.seat_id, end.org) = end;
    }
    return true;
}

static bool pair_one(struct pairing *pairing, const struct seat_begin *begin, const char *texts,
                     struct err *err) {
    struct usage_feed *feed = pairing->feed;
    uint64_t hash = hash_of(begin->seat_id, begin->org);
    if (!is_in_part(pairing, hash)) {
        return true;
    }
    struct feed_line line = {.rank = begin->org};
    line.fields[SEATS_COLUMN_ORG_ID] = feed->usage->catalog->orgs[begin->org].org_id;
    line.fields[SEATS_COLUMN_USER_ID] = (struct text){texts, begin->user_id_bytes};
    line.fields[SEATS_COLUMN_ROLE] = (struct text){texts + begin->user_id_bytes, begin->role_bytes};
    int64_t revoked_at_us = begin->expires_at_us;
    const struct seat_end *end = find_end(pairing, hash, begin->seat_id, begin->org);
    if (end->is_one && end->revoked_at_us < revoked_at_us) {
        revoked_at_us = end->revoked_at_us;
    }
    if (revoked_at_us < begin->assigned_at_us) {
        return refuse(feed, &line, SEATS_COLUMN_REVOKED_AT, "is before assigned_at", err);
    }
    return feed_take_seat(feed, &line, (struct instant){begin->assigned_at_us},
                          (struct instant){revoked_at_us}, err);
}

static bool pair_begins(struct pairing *pairing, struct spill_reader *reader, struct err *err) {
    while (!spill_is_at_end(reader)) {
        const unsigned char *bytes;
        struct seat_begin begin;
        if (!spill_take(reader, sizeof begin, &bytes, err)) {
            return false;
        }
        memcpy(&begin, bytes, sizeof begin);
        if (!spill_take(reader, (size_t)begin.user_id_bytes + begin.role_bytes, &bytes, err) ||
            !pair_one(pairing, &begin, (const char *)bytes, err)) {
            return false;
        }
    }
    return true;
}

/* Reads a stream of the bucket from its beginning. */
static bool read_stream(struct pairing *pairing, enum usage_stream number,
                        bool (*take)(struct pairing *pairing, struct spill_reader *reader,
                                     struct err *err),
                        struct err *err) {
    const struct spill_stream *stream = &pairing->feed->streams[number][pairing->bucket];
    struct spill_reader reader = SPILL_READER_CLOSED;
    bool is_done = spill_is_empty(stream) ||
                   (spill_reader_open(&reader, pairing->feed->usage->spill, stream, err) &&
                    take(pairing, &reader, err));
    spill_reader_close(&reader);
    return is_done;
}

/* Room for twice the ends of the bucket, or of as small a part of it as the memory asks for. */
static bool make_room(struct pairing *pairing, uint64_t ends_count, struct err *err) {
    uint64_t places_max = pairing->feed->usage->memory_bytes / 8 / sizeof *pairing->ends;
    size_t capacity = 64;
    while (capacity < 2 * ends_count && 2 * capacity <= places_max) {
        capacity *= 2;
    }
    pairing->parts_count = ends_count / (capacity / 2 + 1) + 1;
    if (capacity > pairing->ends_capacity) {
        mem_free(pairing->ends);
        pairing->ends = mem_alloc(capacity * sizeof *pairing->ends);
        pairing->ends_capacity = capacity;
    }
    return pairing->ends != NULL || err_memory(err, capacity * sizeof *pairing->ends);
}

static bool pair_bucket(struct pairing *pairing, struct err *err) {
    struct usage *usage = pairing->feed->usage;
    struct spill_stream *ends = &pairing->feed->streams[STREAM_SEATS_ENDS][pairing->bucket];
    struct spill_stream *begins = &pairing->feed->streams[STREAM_SEATS_BEGINS][pairing->bucket];
    if (!spill_flush(usage->spill, ends, err) || !spill_flush(usage->spill, begins, err) ||
        !make_room(pairing, ends->size_bytes / sizeof(struct seat_end), err)) {
        return false;
    }
    for (pairing->part = 0; pairing->part < pairing->parts_count; pairing->part++) {
        memset(pairing->ends, 0, pairing->ends_capacity * sizeof *pairing->ends);
        if (!interrupt_check(err) || !read_stream(pairing, STREAM_SEATS_ENDS, load_ends, err) ||
            !read_stream(pairing, STREAM_SEATS_BEGINS, pair_begins, err)) {
            return false;
        }
    }
    return true;
}

bool feed_pair_seats(struct usage_feed *feed, struct err *err) {
    struct pairing pairing = {.feed = feed};
    bool is_done = true;
    for (; is_done && pairing.bucket < feed->usage->buckets_count; pairing.bucket++) {
        is_done = pair_bucket(&pairing, err);
    }
    mem_free(pairing.ends);
    return is_done;
}

/* --- the whole ------------------------------------------------------------------------------- */

bool begin_seats_database(struct source_database *database, size_t connection,
                          struct db_copy_out *copy, struct err *err) {
    struct db *db = source_database_connection(database, connection);
    struct db_params params = {0};
    bool has_recorded = source_database_has_recorded(database);
    const char *statement = has_recorded ? "extract/seats_recorded.sql" : "extract/seats.sql";
    db_params_text(&params, text_from(source_database_period(database)));
    return prepare_database(database, connection, err) &&
           db_copy_out_begin_with(db, statement, &params, SEATS_PACK_COLUMNS_COUNT, copy, err);
}

bool read_seats_database(struct usage_feed *feed, struct source_database *database, size_t worker,
                         struct err *err) {
    struct db_copy_out begun;
    struct db_copy_out *copy = source_database_seats(database);
    feed->file_name = seat_book;
    if (copy == NULL) {
        copy = &begun;
        if (!begin_seats_database(database, worker, copy, err)) {
            return false;
        }
    }
    source_database_take_seats(database);
    if (!take_packs(feed, copy, err)) {
        db_copy_out_abort(copy);
        return false;
    }
    return feed_pair_seats(feed, err);
}
