#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "emit/journal.h"
#include "support/scratch.h"

static const char run_a[] = "0123456789abcdef0123456789abcdef";
static const char run_b[] = "f123456789abcdef0123456789abcdef";
static const struct instant noon = {INT64_C(1790000000000000)};

static struct emit_key key_of(unsigned number) {
    struct emit_key key = {{0}};
    key.bytes[0] = (unsigned char)number;
    key.bytes[1] = (unsigned char)(number >> 8);
    return key;
}

static struct journal *open_journal(void) {
    struct journal *journal;
    struct err err = {0};
    assert_true(journal_open(sys_real(), "journal", run_a, noon, &journal, &err));
    return journal;
}

static void put_pair(struct journal *journal, unsigned number, bool has_answer) {
    struct err err = {0};
    struct journal_intent intent = {.key = key_of(number),
                                    .attempt = number + 1,
                                    .at = {noon.us + number},
                                    .content = key_of(number + 500),
                                    .place = PLACE_INVOICE,
                                    .place_id = text_from("in_7"),
                                    .customer = text_from("cus_9")};
    struct journal_answer answer = {.key = key_of(number),
                                    .attempt = number + 1,
                                    .outcome = OUTCOME_SENT,
                                    .status = 200,
                                    .amount = -77,
                                    .currency = text_from("eur"),
                                    .customer = text_from("cus_9"),
                                    .object_id = text_from("ii_1"),
                                    .request_id = text_from("req_2")};
    assert_true(journal_put_intent(journal, &intent, &err));
    if (has_answer) {
        assert_true(journal_put_answer(journal, &answer, &err));
    }
}

static void write_batches(unsigned batches) {
    struct journal *journal = open_journal();
    struct err err = {0};
    assert_true(journal_put_swept(journal, &err));
    for (unsigned batch = 0; batch < batches; batch++) {
        put_pair(journal, batch, batch % 2 == 0);
        assert_true(journal_commit(journal, (struct instant){noon.us + batch}, &err));
    }
    journal_close(journal);
}

static void what_was_put_is_found_again(void **state) {
    (void)state;
    write_batches(600);
    struct journal *journal = open_journal();
    struct journal_state found;
    struct err err = {0};
    bool has_since;
    struct instant since;
    assert_false(journal_is_incomplete(journal, &has_since, &since));
    assert_true(journal_find(journal, &(struct emit_key){{4}}, &found, &err));
    assert_true(found.has_intent && found.has_answer && !found.is_unsettled);
    assert_int_equal(found.intent.attempt, 5);
    assert_int_equal(found.intent.at.us, noon.us + 4);
    assert_int_equal(found.intent.place, PLACE_INVOICE);
    assert_true(text_equals(found.intent.place_id, text_from("in_7")));
    assert_int_equal(found.answer.amount, -77);
    assert_true(text_equals(found.answer.request_id, text_from("req_2")));
    assert_true(journal_find(journal, &(struct emit_key){{5}}, &found, &err));
    assert_true(found.is_unsettled && !found.has_answer);
    assert_true(journal_find(journal, &(struct emit_key){{5, 9}}, &found, &err));
    assert_false(found.has_intent || found.has_answer);
    journal_close(journal);
}

static long size_of_journal(void) {
    FILE *file = fopen("journal", "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    (void)fclose(file);
    return size;
}

/* Whatever the file is cut to, the batches before the cut stand and the journal goes on. */
static void every_torn_tail_is_cut_off(void **state) {
    (void)state;
    write_batches(2);
    long two = size_of_journal();
    write_batches(0); /* nothing was committed: the same file */
    assert_int_equal(size_of_journal(), two);
    struct journal *journal = open_journal();
    struct err err = {0};
    put_pair(journal, 2, true);
    assert_true(journal_commit(journal, noon, &err));
    journal_close(journal);
    for (long size = size_of_journal() - 1; size > two; size--) {
        assert_int_equal(truncate("journal", size), 0);
        struct journal_state found;
        bool has_since;
        struct instant since;
        journal = open_journal();
        assert_true(journal_is_incomplete(journal, &has_since, &since));
        assert_true(has_since);
        assert_int_equal(since.us, noon.us + 1);
        assert_true(journal_find(journal, &(struct emit_key){{2}}, &found, &err));
        assert_false(found.has_intent);
        assert_true(journal_find(journal, &(struct emit_key){{1}}, &found, &err));
        assert_true(found.is_unsettled);
        journal_close(journal);
        assert_int_equal(size_of_journal(), two);
        journal = open_journal();
        put_pair(journal, 2, true);
        assert_true(journal_commit(journal, noon, &err));
        journal_close(journal);
    }
}

/* A changed byte before the last batch is no torn tail. */
static void every_edit_before_the_last_batch_is_refused(void **state) {
    (void)state;
    write_batches(1);
    long one = size_of_journal();
    unlink("journal");
    write_batches(3);
    for (long offset = 0; offset < one; offset++) {
        FILE *file = fopen("journal", "r+b");
        assert_non_null(file);
        (void)fseek(file, offset, SEEK_SET);
        int byte = fgetc(file);
        (void)fseek(file, offset, SEEK_SET);
        (void)fputc(byte ^ 0x10, file);
        (void)fclose(file);
        struct journal *journal;
        struct err err = {0};
        assert_false(journal_open(sys_real(), "journal", run_a, noon, &journal, &err));
        assert_int_equal(err.code, ERR_DAMAGED);
        err_release(&err);
        file = fopen("journal", "r+b");
        (void)fseek(file, offset, SEEK_SET);
        (void)fputc(byte, file);
        (void)fclose(file);
    }
    journal_close(open_journal());
}

static void a_journal_of_another_run_is_refused(void **state) {
    (void)state;
    write_batches(1);
    struct journal *journal;
    struct err err = {0};
    assert_false(journal_open(sys_real(), "journal", run_b, noon, &journal, &err));
    assert_int_equal(err.code, ERR_DAMAGED);
}

/* The length of the header may be there before its bytes are. */
static void a_header_that_never_came_is_written_again(void **state) {
    (void)state;
    static const char zeros[56] = {0};
    FILE *file = fopen("journal", "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(zeros, 1, sizeof zeros, file), sizeof zeros);
    (void)fclose(file);
    journal_close(open_journal());
    write_batches(2);
    journal_close(open_journal());
}

static void two_objects_for_one_key_are_a_conflict(void **state) {
    (void)state;
    struct journal *journal = open_journal();
    struct err err = {0};
    struct journal_answer answer = {
        .key = key_of(1), .outcome = OUTCOME_FOUND, .object_id = text_from("ii_1")};
    assert_true(journal_put_answer(journal, &answer, &err));
    assert_true(journal_put_answer(journal, &answer, &err));
    assert_true(journal_commit(journal, noon, &err));
    journal_close(journal);
    struct journal_state found;
    journal = open_journal();
    assert_true(journal_find(journal, &answer.key, &found, &err));
    answer.object_id = text_from("ii_2");
    assert_true(journal_put_answer(journal, &answer, &err));
    assert_true(journal_commit(journal, noon, &err));
    journal_close(journal);
    journal = open_journal();
    assert_false(journal_find(journal, &answer.key, &found, &err));
    assert_int_equal(err.code, ERR_CONTENT);
    journal_close(journal);
}

/* --- beside the caller --------------------------------------------------------------------------
 */

static struct sys disk;
static unsigned syncs_left; /* then the disk fails, once */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_t syncing_thread;

static int gated_fsync(void *self, int fd) {
    (void)self;
    syncing_thread = pthread_self();
    (void)pthread_mutex_lock(&gate);
    bool fails = syncs_left == 0;
    syncs_left -= fails ? 0 : 1;
    (void)pthread_mutex_unlock(&gate);
    return fails ? -EIO : sys_real()->fsync(sys_real()->self, fd);
}

static int refuse_thread(void *self, void *(*work)(void *), void *argument, pthread_t *thread) {
    (void)self;
    (void)work;
    (void)argument;
    (void)thread;
    return -EAGAIN;
}

static struct journal *open_on_disk(unsigned syncs) {
    struct journal *journal;
    struct err err = {0};
    disk = *sys_real();
    disk.fsync = gated_fsync;
    syncs_left = UINT_MAX;
    assert_true(journal_open(&disk, "journal", run_a, noon, &journal, &err));
    syncs_left = syncs;
    return journal;
}

static void assert_has_intents(unsigned count) {
    struct journal *journal = open_journal();
    struct err err = {0};
    for (unsigned number = 0; number <= count; number++) {
        struct journal_state found;
        struct emit_key key = key_of(number);
        assert_true(journal_find(journal, &key, &found, &err));
        assert_int_equal(found.has_intent, number < count);
    }
    journal_close(journal);
}

static void a_commit_goes_on_beside_the_caller(void **state) {
    (void)state;
    struct journal *journal = open_on_disk(3);
    struct err err = {0};
    bool is_done;
    put_pair(journal, 0, true);
    (void)pthread_mutex_lock(&gate);
    assert_true(journal_begin_commit(journal, noon, &err));
    assert_true(journal_check_commit(journal, false, &is_done, &err));
    assert_false(is_done);
    put_pair(journal, 1, true); /* of the batch after it */
    (void)pthread_mutex_unlock(&gate);
    assert_true(journal_check_commit(journal, true, &is_done, &err));
    assert_true(is_done);
    assert_false(pthread_equal(syncing_thread, pthread_self()));
    assert_true(journal_begin_commit(journal, noon, &err));
    put_pair(journal, 2, false);
    assert_true(journal_commit(journal, noon, &err)); /* waits for the one before */
    assert_int_equal(syncs_left, 0);
    assert_int_equal(journal_counts(journal).syncs, 3);
    put_pair(journal, 3, false); /* not committed: lost */
    journal_close(journal);
    assert_has_intents(3);
}

static void a_commit_without_a_thread_is_done_at_once(void **state) {
    (void)state;
    struct journal *journal = open_on_disk(1);
    struct err err = {0};
    bool is_done;
    disk.thread_start = refuse_thread;
    put_pair(journal, 0, true);
    assert_true(journal_begin_commit(journal, noon, &err));
    assert_int_equal(syncs_left, 0);
    assert_true(journal_check_commit(journal, false, &is_done, &err));
    assert_true(is_done);
    journal_close(journal);
    assert_has_intents(1);
}

/* What the disk has then nobody knows: a second try could put one batch behind another's mark. */
static void nothing_is_written_after_a_commit_that_failed(void **state) {
    (void)state;
    for (unsigned beside = 0; beside < 2; beside++) {
        struct journal *journal = open_on_disk(0);
        struct err err = {0};
        bool is_done;
        put_pair(journal, 0, true);
        bool is_fine = beside == 1 ? journal_begin_commit(journal, noon, &err) &&
                                         journal_check_commit(journal, true, &is_done, &err)
                                   : journal_commit(journal, noon, &err);
        assert_false(is_fine);
        assert_int_equal(err.code, ERR_FILE);
        err_release(&err);
        long size = size_of_journal();
        syncs_left = 5;
        put_pair(journal, 1, true);
        assert_false(journal_commit(journal, noon, &err));
        err_release(&err);
        assert_false(journal_begin_commit(journal, noon, &err));
        err_release(&err);
        journal_close(journal);
        assert_int_equal(size_of_journal(), size);
        assert_has_intents(1); /* whole, as it happens */
        unlink("journal");
    }
}

/* --- very many records --------------------------------------------------------------------------
 */

static unsigned maps_left;
static size_t mapped_bytes;

static void *counted_map_scratch(void *self, int fd, size_t size_bytes, int *error) {
    if (maps_left == 0) {
        *error = -ENOSPC;
        return NULL;
    }
    maps_left--;
    mapped_bytes += size_bytes;
    return sys_real()->map_scratch(self, fd, size_bytes, error);
}

static int counted_unmap(void *self, void *memory, size_t size_bytes) {
    mapped_bytes -= size_bytes <= mapped_bytes ? size_bytes : 0;
    return sys_real()->unmap(self, memory, size_bytes);
}

/* Their index is left to the disk, and nothing stays of it there. */
static void very_many_records_are_found_again(void **state) {
    (void)state;
    enum { RECORDS = 20000 };
    struct journal *journal = open_journal();
    struct journal_state found;
    struct err err = {0};
    for (unsigned number = 0; number < RECORDS; number++) {
        put_pair(journal, number, number % 3 != 0);
    }
    assert_true(journal_commit(journal, noon, &err));
    journal_close(journal);
    struct sys counted = *sys_real();
    counted.map_scratch = counted_map_scratch;
    counted.unmap = counted_unmap;
    maps_left = 5;
    mapped_bytes = 0;
    assert_true(journal_open(&counted, "journal", run_a, noon, &journal, &err));
    assert_int_equal(maps_left, 4);
    assert_true(mapped_bytes > RECORDS * sizeof(struct emit_key));
    assert_false(scratch_exists("journal.index.tmp"));
    for (unsigned number = 0; number < RECORDS; number++) {
        struct emit_key key = key_of(number);
        assert_true(journal_find(journal, &key, &found, &err));
        assert_true(found.has_intent);
        assert_int_equal(found.intent.attempt, number + 1);
        assert_int_equal(found.has_answer, number % 3 != 0);
        assert_int_equal(found.is_unsettled, number % 3 == 0);
    }
    assert_true(journal_find(journal, &(struct emit_key){{0, 0, 1}}, &found, &err));
    assert_false(found.has_intent || found.has_answer);
    journal_close(journal);
    maps_left = 0;
    assert_false(journal_open(&counted, "journal", run_a, noon, &journal, &err));
    assert_int_equal(err.code, ERR_FILE);
    assert_non_null(strstr(err.message, "journal.index.tmp"));
    assert_false(scratch_exists("journal.index.tmp"));
    err_release(&err);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_found_again),
        TEST(every_torn_tail_is_cut_off),
        TEST(every_edit_before_the_last_batch_is_refused),
        TEST(a_journal_of_another_run_is_refused),
        TEST(a_header_that_never_came_is_written_again),
        TEST(two_objects_for_one_key_are_a_conflict),
        TEST(a_commit_goes_on_beside_the_caller),
        TEST(a_commit_without_a_thread_is_done_at_once),
        TEST(nothing_is_written_after_a_commit_that_failed),
        TEST(very_many_records_are_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
