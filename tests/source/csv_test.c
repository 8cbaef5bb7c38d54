#include "support/test_folder.h"

#include "core/memory.h"
#include "source/csv.h"

static const struct csv_column COLUMNS[] = {{"id", true}, {"note", false}, {"size", true}};
enum { COLUMNS_COUNT = 3 };

struct reading {
    struct test_folder folder;
    struct problems *problems;
    struct err err;
    struct buffer told; /* "LINE<id|note|size>" for each row */
    bool is_found;
    uint64_t next_line;
};

static int set_up(void **state) {
    struct reading *reading = calloc(1, sizeof *reading);
    assert_non_null(reading);
    test_folder_create(&reading->folder);
    reading->problems = problems_create(&reading->err);
    *state = reading;
    return 0;
}

static int tear_down(void **state) {
    struct reading *reading = *state;
    problems_destroy(reading->problems);
    buffer_release(&reading->told);
    err_release(&reading->err);
    test_folder_remove(&reading->folder);
    free(reading);
    return 0;
}

static bool tell_row(void *context, const struct csv_row *row, struct err *err) {
    struct reading *reading = context;
    return buffer_append_format(&reading->told, err, "%d<%.*s|%.*s|%.*s>", (int)row->line,
                                (int)row->fields[0].size_bytes, row->fields[0].bytes,
                                (int)row->fields[1].size_bytes, row->fields[1].bytes,
                                (int)row->fields[2].size_bytes, row->fields[2].bytes);
}

static bool read_text(struct reading *reading, struct text content) {
    test_folder_write(&reading->folder, "t.csv", content);
    struct csv_file csv;
    if (!csv_open(sys_real(), reading->folder.path, "t.csv", COLUMNS, COLUMNS_COUNT, false, &csv,
                  &reading->is_found, reading->problems, &reading->err)) {
        return false;
    }
    bool is_done = true;
    if (reading->is_found) {
        struct csv_range range = {csv.layout.rows_offset, UINT64_MAX, csv.layout.rows_line};
        is_done = csv_read(&csv, range, tell_row, reading, reading->problems, &reading->next_line,
                           &reading->err);
    }
    csv_close(&csv);
    return is_done;
}

static void expect_rows(struct reading *reading, struct text content, const char *rows) {
    buffer_clear(&reading->told);
    assert_true(read_text(reading, content));
    assert_true(buffer_append(&reading->told, (struct text){"", 1}, &reading->err));
    assert_string_equal(reading->told.bytes, rows);
}

static void expect_good(struct reading *reading, const char *content, const char *rows) {
    expect_rows(reading, text_from(content), rows);
    assert_true(problems_check(reading->problems, &reading->err));
}

/* The rows that are read all the same, and the list of what is bad. */
static void expect_bad(struct reading *reading, struct text content, const char *rows,
                       const char *details) {
    expect_rows(reading, content, rows);
    assert_false(problems_check(reading->problems, &reading->err));
    assert_int_equal(reading->err.code, ERR_INPUT);
    assert_string_equal(reading->err.details, details);
    err_release(&reading->err);
    problems_destroy(reading->problems);
    reading->problems = problems_create(&reading->err);
}

static void rows_come_in_the_order_of_the_declared_columns(void **state) {
    expect_good(*state, "size,note,id\n7,hello,a\n8,,b\n", "2<a|hello|7>3<b||8>");
    expect_good(*state, "size,id\n7,a\n", "2<a||7>");
}

static void crlf_and_a_mark_and_a_missing_last_newline_change_nothing(void **state) {
    expect_good(*state, "\xEF\xBB\xBFid,note,size\r\na,x,1\r\nb,y,2", "2<a|x|1>3<b|y|2>");
    expect_good(*state, "id,note,size\na,x,1\r\nb,y,2\r\n", "2<a|x|1>3<b|y|2>");
    expect_good(*state, "\xEF\xBB\xBF\"id\",note,size\na,x,1", "2<a|x|1>");
    expect_good(*state, "id,note,size\na,x,", "2<a|x|>");
    expect_good(*state, "id,note,size\na,\"x\",\"\"", "2<a|x|>");
}

static void blank_lines_are_skipped_and_counted(void **state) {
    expect_good(*state, "\n  \nid,note,size\n\r\na,x,1\n \t \n\nb,y,2\n\n", "5<a|x|1>8<b|y|2>");
    assert_int_equal(((struct reading *)*state)->next_line, 10);
}

static void spaces_around_unquoted_fields_are_trimmed(void **state) {
    expect_good(*state, " id , note,size\t\n a b ,  , 1 \n", "2<a b||1>");
    expect_good(*state, "id,note,size\n  \" a \"  ,\" \",\t\"1\"\n", "2< a | |1>");
}

static void quoted_fields_hold_commas_quotes_and_newlines(void **state) {
    expect_good(*state, "id,note,size\n\"a,b\",\"say \"\"hi\"\"\",\"1\n2\r\n\r3\"\nc,d,4\n",
                "2<a,b|say \"hi\"|1\n2\r\n\r3>5<c|d|4>");
    expect_good(*state, "id,\"note\",size\n\"\"\"\",\"\",\"\"\"\"\"\"\n", "2<\"||\"\">");
    expect_good(*state, "\"id\",\"a\nb\",size\nx,y,z\n", "3<x||z>");
}

static void unknown_columns_are_ignored_with_a_note(void **state) {
    struct reading *reading = *state;
    expect_good(reading, "colour,id,size,\"a,b\"\nred,x,1,q\n", "2<x||1>");
    assert_string_equal(problems_note_text(reading->problems, 0),
                        "t.csv: columns not known here are ignored: 'colour', 'a,b'");
    assert_null(problems_note_text(reading->problems, 1));
}

static void a_header_alone_has_no_rows(void **state) {
    expect_good(*state, "id,note,size", "");
    expect_good(*state, "id,note,size\n", "");
}

static void bad_headers_are_told(void **state) {
    expect_bad(*state, text_from(""), "", "t.csv: the file is empty: it has no header row\n");
    expect_bad(*state, text_from("\xEF\xBB\xBF\n \n"), "",
               "t.csv: the file is empty: it has no header row\n");
    expect_bad(*state, text_from("\nid,ID,note\n1,2,3\n"), "",
               "t.csv:2: size: the header lacks this column\n");
    expect_bad(*state, text_from("id,note,size,note\n1,2,3,4\n"), "",
               "t.csv:1: note: the header has this column twice\n");
    expect_bad(*state, (struct text){"\xFF\xFEi\0d\0", 6}, "",
               "t.csv:1: the file is UTF-16: save it as UTF-8\n");
    expect_bad(*state, text_from("id,note,size,\"x\n1,2,3,4\n"), "",
               "t.csv:1: field 4 'x\\n1,2,3,4\\n': has an opening quote that is never closed\n");
    expect_bad(*state, (struct text){"id,si\0ze,size\n1,2,3\n", 20}, "",
               "t.csv:1: field 2 'si\\x00ze': holds a NUL byte\n");
}

static void another_separator_is_named(void **state) {
    expect_bad(*state, text_from("id;note;size\na;x;1,5\n"), "",
               "t.csv:1: the columns are separated by semicolons: save the file with commas "
               "between them, and with points in numbers\n");
    expect_bad(*state, text_from("\xEF\xBB\xBF\r\n\"note\"\t\"id\"\t\"size\"\r\nx\ta\t1\r\n"), "",
               "t.csv:2: the columns are separated by tabs: save the file with commas between "
               "them, and with points in numbers\n");
    expect_bad(*state, text_from("colour|size"), "",
               "t.csv:1: the columns are separated by vertical bars: save the file with commas "
               "between them, and with points in numbers\n");
    expect_bad(*state, text_from("colour;shape\n1;2\n"), "",
               "t.csv:1: id: the header lacks this column\n"
               "t.csv:1: size: the header lacks this column\n");
    expect_good(*state, "id,size,a;note;b\t\nx,1,y\n", "2<x||1>");
}

static void a_header_of_too_many_fields_is_told(void **state) {
    struct buffer content = {0};
    struct err err = {0};
    for (int field = 0; field < CSV_FIELDS_MAX; field++) {
        assert_true(buffer_append_format(&content, &err, "f%d,", field));
    }
    assert_true(buffer_append(&content, text_from("id,size\n"), &err));
    expect_bad(*state, buffer_text(&content), "",
               "t.csv:1: the header has 1026 fields, at most 1024 are read\n");
    buffer_release(&content);
}

static void rows_with_other_field_counts_are_told_and_the_rest_read(void **state) {
    expect_bad(*state, text_from("id,note,size\na,b\nc,d,1\ne,f,2,3\n\"\"\ng,h,4\n"),
               "3<c|d|1>6<g|h|4>",
               "t.csv:2: row has 2 fields, the header has 3\n"
               "t.csv:4: row has 4 fields, the header has 3\n"
               "t.csv:5: row has 1 field, the header has 3\n");
}

static void nul_bytes_and_invalid_utf8_are_told_with_their_column(void **state) {
    static const char content[] = "id,note,size,more\n"
                                  "a,b\0c,1,\n"
                                  "b,\"x\n\xC3\x28\",2,\n"
                                  "c,,3,\xED\xA0\x80\n"
                                  "d,,\0,\n"
                                  "e,\xC3\xA9,5,\n";
    expect_bad(*state, (struct text){content, sizeof content - 1}, "7<e|\xC3\xA9|5>",
               "t.csv:2: note 'b\\x00c': holds a NUL byte\n"
               "t.csv:3: note 'x\\n\\xc3(': is not valid UTF-8\n"
               "t.csv:5: field 4 '\\xed\\xa0\\x80': is not valid UTF-8\n"
               "t.csv:6: size '\\x00': holds a NUL byte\n");
}

static void stray_quotes_are_told_and_reading_goes_on_in_the_next_line(void **state) {
    expect_bad(
        *state,
        text_from("id,note,size\na\"b,c,1\nb,\"c\"d,2\r\nc,\"d\" \"e\",3\nd,e\",\"f\ng,h,4\n"),
        "6<g|h|4>",
        "t.csv:2: id '\"b,c,1': a quote inside an unquoted field\n"
        "t.csv:3: note 'd,2': stands after a closing quote\n"
        "t.csv:4: note '\"e\",3': stands after a closing quote\n"
        "t.csv:5: note '\",\"f': a quote inside an unquoted field\n");
    /* In a row of several lines it is the line of the stray quote that is told. */
    expect_bad(*state, text_from("id,note,size\na,\"b\nc\"d,1\ne,f,2\n"), "4<e|f|2>",
               "t.csv:3: note 'd,1': stands after a closing quote\n");
}

static void an_unclosed_quote_is_told_where_it_opened(void **state) {
    expect_bad(*state, text_from("id,note,size\na,b,1\nc,\"d,2\ne,f,3\n"), "2<a|b|1>",
               "t.csv:3: note 'd,2\\ne,f,3\\n': has an opening quote that is never closed\n");
    expect_bad(*state, text_from("id,note,size\n\"a\nb\",\"c\nd\",\"e\nf"), "",
               "t.csv:4: size 'e\\nf': has an opening quote that is never closed\n");
    expect_bad(*state, text_from("id,note,size\na,b,\""), "",
               "t.csv:2: size: has an opening quote that is never closed\n");
    expect_bad(*state, text_from("id,note,size\na,b,\"\"\"\n\n"), "",
               "t.csv:2: size '\"\\n\\n': has an opening quote that is never closed\n");
}

static void a_lone_carriage_return_is_told(void **state) {
    const char *reason = "t.csv:2: a carriage return without a line feed after it\n";
    expect_bad(*state, text_from("id,note,size\na,b,1\rc,d,2\ne,f,3\n"), "3<e|f|3>", reason);
    expect_bad(*state, text_from("id,note,size\na,b,1\r"), "", reason);
    expect_bad(*state, text_from("id,note,size\na,b,1\r\r\ne,f,3\n"), "3<e|f|3>", reason);
    expect_bad(*state, text_from("id,note,size\na,b,1\r \ne,f,3\n"), "3<e|f|3>", reason);
    expect_bad(*state, text_from("id,note,size\na,b,1\r\"x\ny\",,\ne,f,3\n"), "4<e|f|3>",
               "t.csv:2: a carriage return without a line feed after it\n"
               "t.csv:3: id '\",,': a quote inside an unquoted field\n");
}

static void fill(struct buffer *content, const char *head, char byte, size_t count,
                 const char *tail) {
    struct err err = {0};
    buffer_clear(content);
    assert_true(buffer_append(content, text_from(head), &err));
    assert_true(buffer_reserve(content, count, &err));
    memset(content->bytes + content->size_bytes, byte, count);
    content->size_bytes += count;
    assert_true(buffer_append(content, text_from(tail), &err));
}

/* Only the head of the list: the values are long. */
static void expect_too_long(struct reading *reading, const struct buffer *content, const char *rows,
                            const char *head, const char *reason) {
    expect_rows(reading, buffer_text(content), rows);
    assert_false(problems_check(reading->problems, &reading->err));
    assert_int_equal(strncmp(reading->err.details, head, strlen(head)), 0);
    const char *found = strstr(reading->err.details, reason);
    assert_non_null(found);
    assert_string_equal(found, reason);
    err_release(&reading->err);
    problems_destroy(reading->problems);
    reading->problems = problems_create(&reading->err);
}

static void long_fields_are_told_with_their_line(void **state) {
    struct buffer content = {0};
    const size_t longest = CSV_FIELD_BYTES_MAX;
    fill(&content, "id,note,size\na,b,1\nc,", 'x', longest + 1, ",2\ne,f,3\n");
    expect_too_long(*state, &content, "2<a|b|1>", "t.csv:3: note 'xxx",
                    "': is over 1048576 bytes long\n");
    fill(&content, "id,note,size\na,b,1\nc,\"\n", 'x', longest * 3, "\",2\ne,f,3\n");
    expect_too_long(*state, &content, "2<a|b|1>", "t.csv:3: note '\\nxxx",
                    "': is over 1048576 bytes long, or its quote is not closed\n");
    fill(&content, "id,note,size\na,b,1\nc,d,2\n", ' ', (size_t)CSV_ROW_BYTES_MAX + 1, "\ne,f,3");
    expect_too_long(*state, &content, "2<a|b|1>3<c|d|2>", "t.csv:4: row",
                    "row is over 16777216 bytes long\n");
    fill(&content, "id,note,size\na,b,1\n", ',', (size_t)CSV_ROW_BYTES_MAX + 1, "\ne,f,3");
    expect_too_long(*state, &content, "2<a|b|1>", "t.csv:3: row",
                    "row is over 16777216 bytes long\n");
    buffer_release(&content);
}

static void a_field_of_the_longest_length_is_read(void **state) {
    struct reading *reading = *state;
    struct buffer content = {0};
    fill(&content, "id,note,size\na,", 'x', CSV_FIELD_BYTES_MAX, ",3\n");
    test_folder_write(&reading->folder, "t.csv", buffer_text(&content));
    assert_true(read_text(reading, buffer_text(&content)));
    assert_int_equal(problems_count(reading->problems), 0);
    assert_int_equal(reading->told.size_bytes, CSV_FIELD_BYTES_MAX + strlen("2<a||3>"));
    buffer_release(&content);
}

static void rows_across_windows_are_whole(void **state) {
    struct reading *reading = *state;
    struct buffer content = {0};
    struct buffer expected = {0};
    struct err err = {0};
    assert_true(buffer_append(&content, text_from("id,note,size\r\n"), &err));
    for (int row = 0; row < 40000; row++) { /* several windows, cut at every kind of place */
        assert_true(
            buffer_append_format(&content, &err, "r%d,\"n\n%d\",%d\r\n", row, row % 7, row));
        assert_true(buffer_append_format(&expected, &err, "%d<r%d|n\n%d|%d>", 2 * row + 2, row,
                                         row % 7, row));
    }
    assert_true(read_text(reading, buffer_text(&content)));
    assert_int_equal(problems_count(reading->problems), 0);
    assert_int_equal(reading->told.size_bytes, expected.size_bytes);
    assert_memory_equal(reading->told.bytes, expected.bytes, expected.size_bytes);
    buffer_release(&content);
    buffer_release(&expected);
}

static void ranges_read_the_rows_that_begin_in_them(void **state) {
    struct reading *reading = *state;
    const char *content = "id,note,size\na,\"1\n2\",3\n\nb,4,5\nc,6,7\n";
    test_folder_write(&reading->folder, "t.csv", text_from(content));
    uint64_t header_bytes = strlen("id,note,size\n");
    for (uint64_t cut = header_bytes; cut < strlen(content) + 3; cut++) {
        struct csv_file csv;
        assert_true(csv_open(sys_real(), reading->folder.path, "t.csv", COLUMNS, COLUMNS_COUNT,
                             false, &csv, &reading->is_found, reading->problems, &reading->err));
        assert_int_equal(csv.layout.rows_offset, header_bytes);
        buffer_clear(&reading->told);
        struct csv_range first = {csv.layout.rows_offset, cut, csv.layout.rows_line};
        uint64_t line;
        assert_true(
            csv_read(&csv, first, tell_row, reading, reading->problems, &line, &reading->err));
        const uint64_t starts[] = {0, 0, 13, 0, 23, 24, 30, 36};
        assert_in_range(line, 2, 7);
        assert_true(line == 7 || starts[line] >= cut);
        struct csv_range second = {starts[line], UINT64_MAX, line};
        assert_true(
            csv_read(&csv, second, tell_row, reading, reading->problems, NULL, &reading->err));
        assert_true(buffer_append(&reading->told, (struct text){"", 1}, &reading->err));
        assert_string_equal(reading->told.bytes, "2<a|1\n2|3>5<b|4|5>6<c|6|7>");
        csv_close(&csv);
    }
}

static void a_missing_file_is_a_problem_unless_it_is_optional(void **state) {
    struct reading *reading = *state;
    struct csv_file csv;
    bool is_found = true;
    assert_true(csv_open(sys_real(), reading->folder.path, "no.csv", COLUMNS, COLUMNS_COUNT, true,
                         &csv, &is_found, reading->problems, &reading->err));
    assert_false(is_found);
    assert_int_equal(problems_count(reading->problems), 0);
    assert_true(csv_open(sys_real(), reading->folder.path, "no.csv", COLUMNS, COLUMNS_COUNT, false,
                         &csv, &is_found, reading->problems, &reading->err));
    assert_false(is_found);
    assert_false(problems_check(reading->problems, &reading->err));
    assert_string_equal(reading->err.details,
                        "no.csv: the file is missing from the dataset folder\n");
    csv_close(&csv);
}

static void a_folder_in_place_of_a_file_is_bad_input(void **state) {
    struct reading *reading = *state;
    struct csv_file csv;
    bool is_found;
    char path[FILE_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/d.csv", reading->folder.path);
    assert_true(directory_create(sys_real(), path, &reading->err));
    assert_false(csv_open(sys_real(), reading->folder.path, "d.csv", COLUMNS, COLUMNS_COUNT, true,
                          &csv, &is_found, reading->problems, &reading->err));
    assert_int_equal(reading->err.code, ERR_INPUT);
    assert_false(is_found);
}

static bool refuse_row(void *context, const struct csv_row *row, struct err *err) {
    int *left = context;
    (*left)--;
    return *left > 0 || err_set(err, ERR_RANGE, "line %d", (int)row->line);
}

static void a_row_that_fails_ends_the_reading_with_its_error(void **state) {
    struct reading *reading = *state;
    test_folder_write(&reading->folder, "t.csv", text_from("id,size\na,1\nb,2\nc,3\n"));
    struct csv_file csv;
    assert_true(csv_open(sys_real(), reading->folder.path, "t.csv", COLUMNS, COLUMNS_COUNT, false,
                         &csv, &reading->is_found, reading->problems, &reading->err));
    int left = 2;
    struct csv_range range = {csv.layout.rows_offset, UINT64_MAX, csv.layout.rows_line};
    assert_false(csv_read(&csv, range, refuse_row, &left, reading->problems, NULL, &reading->err));
    assert_string_equal(reading->err.message, "line 3");
    assert_int_equal(left, 0);
    csv_close(&csv);
}

static int allocations_left;

static bool refuse_memory(void) {
    allocations_left--;
    return allocations_left == 0;
}

static void every_refused_allocation_is_an_error_or_changes_nothing(void **state) {
    struct reading *reading = *state;
    const char *content = "id,colour,size\na,\"b\"\"\",1\nb,c\nc,d,3\n";
    int failures = 0;
    bool is_over = false;
    for (int number = 1; !is_over; number++) {
        assert_in_range(number, 1, 200);
        struct reading one = {.folder = reading->folder};
        one.problems = problems_create(&one.err);
        allocations_left = number;
        mem_set_fault(refuse_memory);
        bool is_done = read_text(&one, text_from(content));
        mem_set_fault(NULL);
        is_over = allocations_left > 0;
        if (is_done) {
            assert_int_equal(problems_count(one.problems), 1);
            assert_int_equal(one.told.size_bytes, strlen("2<a||1>4<c||3>"));
        } else {
            assert_int_equal(one.err.code, ERR_MEMORY);
            failures++;
        }
        err_release(&one.err);
        buffer_release(&one.told);
        problems_destroy(one.problems);
    }
    assert_true(failures > 5);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_come_in_the_order_of_the_declared_columns),
        TEST(crlf_and_a_mark_and_a_missing_last_newline_change_nothing),
        TEST(blank_lines_are_skipped_and_counted),
        TEST(spaces_around_unquoted_fields_are_trimmed),
        TEST(quoted_fields_hold_commas_quotes_and_newlines),
        TEST(unknown_columns_are_ignored_with_a_note),
        TEST(a_header_alone_has_no_rows),
        TEST(bad_headers_are_told),
        TEST(another_separator_is_named),
        TEST(a_header_of_too_many_fields_is_told),
        TEST(rows_with_other_field_counts_are_told_and_the_rest_read),
        TEST(nul_bytes_and_invalid_utf8_are_told_with_their_column),
        TEST(stray_quotes_are_told_and_reading_goes_on_in_the_next_line),
        TEST(an_unclosed_quote_is_told_where_it_opened),
        TEST(a_lone_carriage_return_is_told),
        TEST(long_fields_are_told_with_their_line),
        TEST(a_field_of_the_longest_length_is_read),
        TEST(rows_across_windows_are_whole),
        TEST(ranges_read_the_rows_that_begin_in_them),
        TEST(a_missing_file_is_a_problem_unless_it_is_optional),
        TEST(a_folder_in_place_of_a_file_is_bad_input),
        TEST(a_row_that_fails_ends_the_reading_with_its_error),
        TEST(every_refused_allocation_is_an_error_or_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
