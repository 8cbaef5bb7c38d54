#include "numbers.h"

#include "rating/seats.h"

enum { OPEN = -1, ASSIGNMENTS_MAX = 16 };

static struct seat_assignment seat(const char *user, int64_t from_us, int64_t until_us) {
    return (struct seat_assignment){
        .user_id = text_from(user),
        .assigned_at = {from_us},
        .has_revoked_at = until_us != OPEN,
        .revoked_at = {until_us},
    };
}

/* "+3 -7 ..." */
static void assert_movements(const struct seat_assignment *assignments, size_t count,
                             const char *expected) {
    struct seat_movement movements[2 * ASSIGNMENTS_MAX];
    size_t movements_count = seats_to_movements(assignments, count, movements);
    char text[256] = "";
    size_t length = 0;
    for (size_t index = 0; index < movements_count; index++) {
        int written =
            snprintf(text + length, sizeof text - length, "%s%c%lld", index > 0 ? " " : "",
                     movements[index].change > 0 ? '+' : '-', (long long)movements[index].at.us);
        length += (size_t)written;
        assert_true(movements[index].change == 1 || movements[index].change == -1);
    }
    assert_string_equal(text, expected);
}

static void an_assignment_is_a_seat_from_assignment_to_revocation(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {seat("ann", 3, 7), seat("bob", 5, OPEN)};
    assert_movements(assignments, 2, "+3 -7 +5");
}

static void overlapping_assignments_of_one_user_are_one_seat(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {seat("ann", 3, 12), seat("ann", 5, 9),
                                                  seat("ann", 11, 20), seat("ann", 25, 26)};
    assert_movements(assignments, 4, "+3 -20 +25 -26");
}

static void touching_assignments_are_one_seat(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {seat("ann", 3, 7), seat("ann", 7, 9)};
    assert_movements(assignments, 2, "+3 -9");
}

static void touching_assignments_of_two_users_are_two_seats(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {seat("ann", 3, 7), seat("bob", 7, 9)};
    assert_movements(assignments, 2, "+3 -7 +7 -9");
}

static void an_open_assignment_takes_in_everything_after_it(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {seat("ann", 3, OPEN), seat("ann", 5, 9),
                                                  seat("ann", 30, OPEN), seat("bob", 4, 6)};
    assert_movements(assignments, 4, "+3 +4 -6");
}

static void an_assignment_that_stays_open_keeps_a_bounded_one_open(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {seat("ann", 3, 9), seat("ann", 5, OPEN),
                                                  seat("ann", 40, 50)};
    assert_movements(assignments, 3, "+3");
}

static void empty_assignments_count_for_nothing_and_bridge_nothing(void **state) {
    (void)state;
    const struct seat_assignment assignments[] = {
        seat("ann", 2, 2),   seat("ann", 3, 7),
        seat("ann", 8, 8),   seat("ann", 9, 4), /* revoked before it was assigned: empty too */
        seat("ann", 10, 12), seat("bob", 6, 6),
    };
    assert_movements(assignments, 6, "+3 -7 +10 -12");
    assert_movements(assignments, 1, "");
    assert_movements(assignments, 0, "");
}

static int compare_movements(const void *left, const void *right) {
    return seat_movement_compare(left, right);
}

static void movements_sort_by_instant(void **state) {
    (void)state;
    struct seat_movement movements[] = {{{9}, 1}, {{4}, 1}, {{9}, -1}, {{-3}, 1}};
    qsort(movements, 4, sizeof movements[0], compare_movements);
    assert_int_equal(movements[0].at.us, -3);
    assert_int_equal(movements[1].at.us, 4);
    assert_int_equal(movements[2].at.us, 9);
    assert_int_equal(movements[2].change, -1);
    assert_int_equal(movements[3].change, 1);
}

static int compare_assignments(const void *left_side, const void *right_side) {
    const struct seat_assignment *left = left_side;
    const struct seat_assignment *right = right_side;
    int order = text_compare(left->user_id, right->user_id);
    return order != 0 ? order : instant_compare(left->assigned_at, right->assigned_at);
}

/* At every instant, summed movements are the number of users with an assignment that covers it. */
static void movements_add_up_to_the_users_active_at_every_instant(void **state) {
    (void)state;
    enum { ROUNDS = 2000, TIME = 12, USERS = 3 };
    static const char *const users[USERS] = {"a", "ab", "b"};
    struct stream stream = stream_start("seats");
    for (int round = 0; round < ROUNDS; round++) {
        struct seat_assignment assignments[ASSIGNMENTS_MAX];
        size_t count = stream_below(&stream, ASSIGNMENTS_MAX + 1);
        for (size_t index = 0; index < count; index++) {
            int64_t from_us = (int64_t)stream_below(&stream, TIME);
            int64_t until_us = (int64_t)stream_below(&stream, TIME + 4);
            assignments[index] = seat(users[stream_below(&stream, USERS)], from_us,
                                      until_us > TIME ? OPEN : until_us);
        }
        qsort(assignments, count, sizeof assignments[0], compare_assignments);
        struct seat_movement movements[2 * ASSIGNMENTS_MAX];
        size_t movements_count = seats_to_movements(assignments, count, movements);
        for (int64_t at = 0; at < TIME + 2; at++) {
            int summed = 0;
            for (size_t index = 0; index < movements_count; index++) {
                summed += movements[index].at.us <= at ? movements[index].change : 0;
            }
            int active = 0;
            for (size_t user = 0; user < USERS; user++) {
                bool is_active = false;
                for (size_t index = 0; index < count; index++) {
                    const struct seat_assignment *one = &assignments[index];
                    is_active |= text_equals(one->user_id, text_from(users[user])) &&
                                 one->assigned_at.us <= at &&
                                 (!one->has_revoked_at || at < one->revoked_at.us);
                }
                active += is_active;
            }
            assert_int_equal(summed, active);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assignment_is_a_seat_from_assignment_to_revocation),
        cmocka_unit_test(overlapping_assignments_of_one_user_are_one_seat),
        cmocka_unit_test(touching_assignments_are_one_seat),
        cmocka_unit_test(touching_assignments_of_two_users_are_two_seats),
        cmocka_unit_test(an_open_assignment_takes_in_everything_after_it),
        cmocka_unit_test(an_assignment_that_stays_open_keeps_a_bounded_one_open),
        cmocka_unit_test(empty_assignments_count_for_nothing_and_bridge_nothing),
        cmocka_unit_test(movements_sort_by_instant),
        cmocka_unit_test(movements_add_up_to_the_users_active_at_every_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
