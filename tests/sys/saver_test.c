#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "support/assert_done.h"
#include "support/fault_sys.h"
#include "support/scratch.h"
#include "sys/saver.h"

/* More than the saver keeps under way, and not a multiple of a buffer. */
enum { BUFFERS_COUNT = 11, BUFFER_BYTES = 100 * 1000, LAST_BYTES = 77 };

/* The byte at a place of the content: no two buffers are alike. */
static char content_byte(size_t place) {
    return (char)('a' + place * 7 / 5 % 23);
}

static bool fill(struct buffer *buffer, size_t from, size_t size_bytes, struct err *err) {
    if (!buffer_reserve(buffer, size_bytes, err)) {
        return false;
    }
    for (size_t index = 0; index < size_bytes; index++) {
        buffer->bytes[buffer->size_bytes++] = content_byte(from + index);
    }
    return true;
}

/* Gives all the content; false when the saver says no. */
static bool give_all(struct saver *saver, struct err *err) {
    struct buffer buffer = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < BUFFERS_COUNT; index++) {
        is_fine = fill(&buffer, index * BUFFER_BYTES, BUFFER_BYTES, err) &&
                  saver_give(saver, &buffer, err);
        assert_true(!is_fine || buffer.size_bytes == 0);
    }
    is_fine = is_fine && fill(&buffer, BUFFERS_COUNT * BUFFER_BYTES, LAST_BYTES, err) &&
              saver_give(saver, &buffer, err);
    buffer_release(&buffer);
    return is_fine;
}

/* The same content as pieces: what each call lends is written over after the call that follows it.
 */
static bool give_all_pieces(struct saver *saver, struct err *err) {
    enum { HEAD_BYTES = 1000, GIVEN_BYTES = 30 * 1000 };
    static char lent[2][BUFFER_BYTES];
    struct buffer buffer = {0};
    struct buffer given = {0};
    bool is_fine = true;
    for (size_t index = 0; is_fine && index < BUFFERS_COUNT; index++) {
        size_t from = index * BUFFER_BYTES;
        size_t lent_bytes = BUFFER_BYTES - HEAD_BYTES - GIVEN_BYTES - index;
        memset(lent[index % 2], '!', sizeof lent[0]);
        for (size_t place = 0; place < lent_bytes; place++) {
            lent[index % 2][place] = content_byte(from + HEAD_BYTES + place);
        }
        is_fine = fill(&buffer, from, HEAD_BYTES, err) &&
                  fill(&given, from + HEAD_BYTES + lent_bytes, GIVEN_BYTES, err) &&
                  fill(&buffer, from + BUFFER_BYTES - index, index, err);
        const struct saver_piece pieces[] = {
            {.size_bytes = HEAD_BYTES},
            {.lent = lent[index % 2], .size_bytes = lent_bytes},
            {.given = given.bytes, .size_bytes = GIVEN_BYTES},
            {.size_bytes = index},
        };
        is_fine = is_fine && saver_give_pieces(saver, &buffer, pieces, 4, err);
        given = (struct buffer){0};
    }
    if (is_fine) {
        saver_settle(saver);
        memset(lent, '!', sizeof lent);
    }
    is_fine = is_fine && fill(&buffer, BUFFERS_COUNT * BUFFER_BYTES, LAST_BYTES, err) &&
              saver_give(saver, &buffer, err);
    buffer_release(&buffer);
    return is_fine;
}

typedef bool give_function(struct saver *saver, struct err *err);

static void assert_content(const char *path, const struct digest *digest) {
    struct err err = {0};
    struct buffer found = {0};
    struct digest actual;
    assert_done(file_load(sys_real(), path, SIZE_MAX / 4, &found, &err), &err);
    assert_int_equal(found.size_bytes, BUFFERS_COUNT * BUFFER_BYTES + LAST_BYTES);
    for (size_t place = 0; place < found.size_bytes; place++) {
        if (found.bytes[place] != content_byte(place)) {
            fail_msg("byte %zu differs", place);
        }
    }
    assert_done(digest_of(found.bytes, found.size_bytes, &actual, &err), &err);
    assert_true(digest_equals(&actual, digest));
    buffer_release(&found);
}

static void save_whole(const struct sys *sys, const char *path, give_function *give) {
    struct err err = {0};
    struct saver *saver = NULL;
    struct digest digest;
    assert_done(saver_create(sys, path, &saver, &err), &err);
    assert_string_equal(saver_path(saver), path);
    assert_done(give(saver, &err), &err);
    assert_int_equal(saver_size_bytes(saver), BUFFERS_COUNT * BUFFER_BYTES + LAST_BYTES);
    saver_end(saver);
    assert_done(saver_finish(saver, &digest, &err), &err);
    assert_content(path, &digest);
    assert_false(scratch_exists("whole.tmp"));
}

static void the_content_arrives_whole_and_in_order(void **state) {
    (void)state;
    save_whole(sys_real(), "whole", give_all);
    save_whole(sys_real(), "pieces", give_all_pieces);
}

static void it_arrives_where_no_thread_can_be_had(void **state) {
    (void)state;
    struct fault_sys fault;
    fault_sys_init(&fault, (struct fault_plan){.mode = FAULT_NONE});
    save_whole(&fault.sys, "whole", give_all);
    save_whole(&fault.sys, "pieces", give_all_pieces);
    fault_sys_release(&fault);
}

/* Read under its temporary name, then left there, then adopted. */
static void leave_whole(const struct sys *sys, const char *path) {
    struct err err = {0};
    struct saver *saver = NULL;
    struct digest digest;
    char temporary[FILE_PATH_MAX];
    assert_done(file_replace_path(path, temporary, &err), &err);
    assert_done(saver_create(sys, path, &saver, &err), &err);
    assert_done(give_all(saver, &err), &err);
    saver_end(saver);
    assert_done(saver_digest(saver, &digest, &err), &err);
    assert_content(temporary, &digest);
    assert_done(saver_leave(saver, &err), &err);
    assert_content(temporary, &digest);
    assert_false(scratch_exists(path));
    assert_done(file_replace_adopt(sys, path, &err), &err);
    assert_content(path, &digest);
    assert_false(scratch_exists(temporary));
}

static void one_that_is_left_can_be_read_before_it_has_its_name(void **state) {
    (void)state;
    struct fault_sys fault;
    fault_sys_init(&fault, (struct fault_plan){.mode = FAULT_NONE});
    leave_whole(sys_real(), "left");
    leave_whole(&fault.sys, "left-alone");
    fault_sys_release(&fault);
}

static void one_that_is_left_and_given_up_after_all_leaves_nothing(void **state) {
    (void)state;
    struct err err = {0};
    struct saver *saver = NULL;
    struct digest digest;
    assert_done(saver_create(sys_real(), "not-wanted", &saver, &err), &err);
    assert_done(give_all(saver, &err), &err);
    saver_end(saver);
    assert_done(saver_digest(saver, &digest, &err), &err);
    saver_destroy(saver);
    assert_false(scratch_exists("not-wanted.tmp"));
    assert_false(scratch_exists("not-wanted"));
}

static void an_empty_file_is_a_file(void **state) {
    (void)state;
    struct err err = {0};
    struct saver *saver = NULL;
    struct digest digest;
    struct digest of_nothing;
    assert_done(saver_create(sys_real(), "empty", &saver, &err), &err);
    saver_end(saver);
    assert_done(saver_finish(saver, &digest, &err), &err);
    assert_done(digest_of("", 0, &of_nothing, &err), &err);
    assert_true(digest_equals(&digest, &of_nothing));
    assert_true(scratch_exists("empty"));
}

static void one_that_is_given_up_leaves_nothing(void **state) {
    (void)state;
    struct err err = {0};
    for (int buffers_count = 0; buffers_count < 3; buffers_count++) {
        struct saver *saver = NULL;
        struct buffer buffer = {0};
        assert_done(saver_create(sys_real(), "given-up", &saver, &err), &err);
        assert_true(scratch_exists("given-up.tmp"));
        for (int count = 0; count < buffers_count; count++) {
            assert_true(fill(&buffer, 0, BUFFER_BYTES, &err));
            assert_done(saver_give(saver, &buffer, &err), &err);
        }
        buffer_release(&buffer);
        saver_destroy(saver);
        assert_false(scratch_exists("given-up.tmp"));
        assert_false(scratch_exists("given-up"));
    }
    saver_destroy(NULL);
}

/* The real one, whose writes fail from some call on. */
struct full_disk {
    struct sys sys;
    atomic_int writes_left;
};

static struct full_disk disk;

static ssize_t write_until_full(void *self, int fd, const void *bytes, size_t size_bytes) {
    (void)self;
    if (atomic_fetch_sub(&disk.writes_left, 1) <= 0) {
        return -ENOSPC;
    }
    return sys_real()->write(sys_real()->self, fd, bytes, size_bytes);
}

static void assert_failure_is_told_once(give_function *give, int writes_max) {
    for (int writes = 0; writes <= writes_max; writes++) {
        struct err err = {0};
        struct saver *saver = NULL;
        struct digest digest;
        disk.sys = *sys_real();
        disk.sys.write = write_until_full;
        atomic_store(&disk.writes_left, writes);
        assert_done(saver_create(&disk.sys, "full", &saver, &err), &err);
        if (give(saver, &err)) {
            saver_end(saver);
            assert_false(saver_finish(saver, &digest, &err));
        } else {
            saver_destroy(saver);
        }
        assert_int_equal(err.code, ERR_FILE);
        assert_non_null(strstr(err.message, "full.tmp"));
        err_release(&err);
        assert_false(scratch_exists("full.tmp"));
        assert_false(scratch_exists("full"));
    }
}

static void a_failure_is_told_once_wherever_it_strikes(void **state) {
    (void)state;
    assert_failure_is_told_once(give_all, BUFFERS_COUNT);
    assert_failure_is_told_once(give_all_pieces, 4 * BUFFERS_COUNT - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_content_arrives_whole_and_in_order),
        TEST(it_arrives_where_no_thread_can_be_had),
        TEST(one_that_is_left_can_be_read_before_it_has_its_name),
        TEST(one_that_is_left_and_given_up_after_all_leaves_nothing),
        TEST(an_empty_file_is_a_file),
        TEST(one_that_is_given_up_leaves_nothing),
        TEST(a_failure_is_told_once_wherever_it_strikes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
