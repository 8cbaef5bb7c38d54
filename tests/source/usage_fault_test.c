/* Every allocation and every file call of a reading fails once: an error of the right kind, no
 * leak, and no result that differs. */
#include <errno.h>

#include "support/fault_sys.h"
#include "usage_run.h"

static struct test_folder folder;

static int setup(void **state) {
    (void)state;
    test_folder_create(&folder);
    usage_run_write_orgs(&folder);
    usage_run_write(&folder, "usage.csv",
                    "org_id,metric,quantity,occurred_at,event_id,unique_key\n"
                    "a,sum,2.5,2026-10-04T00:00:00Z,,\na,sum,3,2026-10-04T00:00:00Z,e1,\n"
                    "c,last,5,2026-10-04T00:00:00Z,e2,\na,\"max\",7,2026-09-04T00:00:00Z,,\n"
                    "c,unique,11,2026-10-04T00:00:00Z,e3,k\nc,none,13,2026-10-04T00:00:00Z,e3a,\n"
                    "c,sum,0.000000000000001,2026-10-04T00:00:00Z,,\n");
    usage_run_write(&folder, "seats.csv",
                    "org_id,user_id,assigned_at\na,u1,2026-10-04T00:00:00Z\n"
                    "a,u2,2026-09-04T00:00:00Z\n");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_folder_remove(&folder);
    return 0;
}

static unsigned requests;
static unsigned failing;

static bool fails_once(void) {
    return ++requests == failing;
}

static void usage_survives_every_lack_of_memory(void **state) {
    (void)state;
    char *expected = usage_run(&(struct usage_run){.folder = folder.path});
    assert_int_equal(strncmp(expected, "S ", 2), 0);
    for (failing = 1;; failing++) {
        requests = 0;
        char *text =
            usage_run(&(struct usage_run){.folder = folder.path, .memory_fault = fails_once});
        bool is_calm = requests < failing;
        if (strncmp(text, "ERROR 31:", 9) != 0) {
            assert_string_equal(text, expected); /* some do without */
        }
        mem_free(text);
        if (is_calm) {
            break;
        }
    }
    print_message("%u allocations failed, one after another\n", failing - 1);
    assert_true(failing > 50);
    mem_free(expected);
}

static void usage_tells_every_failing_file_call(void **state) {
    (void)state;
    char *expected = usage_run(&(struct usage_run){.folder = folder.path});
    static const int errors[] = {ENOSPC, EIO, EINTR};
    for (size_t index = 0; index < 3; index++) {
        uint64_t at = 1;
        for (;; at++) {
            struct fault_sys fault;
            fault_sys_init(&fault, (struct fault_plan){
                                       .mode = FAULT_FAIL_ONCE, .at = at, .error = errors[index]});
            char *text = usage_run(&(struct usage_run){.folder = folder.path, .sys = &fault.sys});
            bool is_fired = fault_sys_fired(&fault);
            fault_sys_release(&fault);
            if (strncmp(text, "ERROR 30:", 9) != 0) {
                assert_string_equal(text, expected); /* tried again, or only closing or removing */
            }
            mem_free(text);
            if (!is_fired) {
                break;
            }
        }
        assert_true(at > 8);
    }
    mem_free(expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(usage_survives_every_lack_of_memory),
        TEST(usage_tells_every_failing_file_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
