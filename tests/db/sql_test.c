#include "db/sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void sql_finds_each_file_by_its_name(void **state) {
    const struct sql_file *file = sql_find("session/open.sql");
    (void)state;
    assert_non_null(file);
    assert_string_equal(file->name, "session/open.sql");
    assert_int_equal(strlen(file->text), file->size_bytes);
    assert_non_null(strstr(file->text, "server_version_num"));
    assert_null(sql_find("session/open"));
    assert_null(sql_find("~"));
}

static void sql_files_of_a_folder_stand_together_in_order(void **state) {
    size_t count;
    const struct sql_file *files = sql_find_all("extract/", &count);
    (void)state;
    assert_non_null(files);
    assert_in_range(count, 2, 1000);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal(strncmp(files[index].name, "extract/", 8), 0);
        assert_true(index == 0 || strcmp(files[index - 1].name, files[index].name) < 0);
        assert_ptr_equal(sql_find(files[index].name), &files[index]);
    }
    assert_null(sql_find_all("nowhere/", &count));
    assert_int_equal(count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sql_finds_each_file_by_its_name),
        cmocka_unit_test(sql_files_of_a_folder_stand_together_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
