/*
 * Time zones, from the system's tz database through the C library.
 *
 * zone_load finds every change of offset between two instants. The name must be an IANA name that
 * the database has: anything else is ERR_INPUT ("unknown time zone"). UTC needs no database.
 * Not thread-safe (the C library's zone is one per process): the calendar is made once, at the
 * start, by one thread. The zone's memory belongs to the arena.
 */
#ifndef PERIODCLOSE_SYS_ZONE_H
#define PERIODCLOSE_SYS_ZONE_H

#include "core/calendar.h"

struct zone_range {
    struct instant from;
    struct instant until;
};

bool zone_load(struct arena *arena, struct text name, struct zone_range range, struct zone *zone,
               struct err *err);

/* "2026f", or "unknown". */
size_t zone_database_version(char *version, size_t size_bytes);

#endif
