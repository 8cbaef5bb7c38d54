/* The splitter against libcsv: on random bytes both find the same rows at the same lines. */
#include <time.h>

#include "../../src/source/split.h"
#include "support/test_folder.h"

static struct test_folder folder;

static const struct csv_column columns[3] = {{"x", true}, {"y", true}, {"z", false}};

static int setup(void **state) {
    (void)state;
    test_folder_create(&folder);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_folder_remove(&folder);
    return 0;
}

static uint64_t random_next(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static void put_row(struct buffer *out, uint64_t line, const struct text *fields) {
    struct err err = {0};
    assert_true(buffer_append_format(out, &err, "%llu:", (unsigned long long)line));
    for (size_t column = 0; column < 3; column++) {
        assert_true(buffer_append_format(out, &err, "[%.*s]", (int)fields[column].size_bytes,
                                         fields[column].bytes));
    }
}

static bool take_row(void *context, const struct csv_row *row, struct err *err) {
    (void)err;
    put_row(context, row->line, row->fields);
    return true;
}

/* What libcsv finds in content[from, until), and how many problems. */
static uint64_t read_by_libcsv(const struct csv_file *csv, struct csv_range range,
                               struct buffer *out) {
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    assert_true(csv_read(csv, range, take_row, out, problems, NULL, &err));
    uint64_t count = problems_count(problems);
    problems_destroy(problems);
    return count;
}

/* As the reader of blocks does it: odd lines, and a last one without a line feed, are libcsv's. */
static uint64_t read_by_split(const struct csv_file *csv, struct text content, struct buffer *out) {
    size_t from = (size_t)csv->layout.rows_offset;
    struct split_facts facts = {0};
    split_scan(content.bytes, from, content.size_bytes, &facts);
    if (facts.has_nul || facts.has_quote) {
        struct csv_range all = {from, UINT64_MAX, csv->layout.rows_line};
        return read_by_libcsv(csv, all, out);
    }
    struct split split = {
        .window = content.bytes,
        .until = content.size_bytes,
        .layout = &csv->layout,
        .has_carriage_return = facts.has_carriage_return,
        .has_high_byte = facts.has_high_byte,
        .offset = from,
        .line = csv->layout.rows_line,
    };
    uint64_t lines = 0;
    for (size_t at = from; at < content.size_bytes; at++) {
        lines += content.bytes[at] == '\n';
    }
    assert_int_equal(facts.lines_count, lines);
    struct text fields[CSV_COLUMNS_MAX] = {0};
    uint64_t line;
    enum split_result result;
    while ((result = split_row(&split, fields, &line)) == SPLIT_ROW) {
        put_row(out, line, fields);
    }
    if (result == SPLIT_END && split.offset == content.size_bytes) {
        return 0;
    }
    struct csv_range rest = {split.offset, UINT64_MAX, split.line};
    return read_by_libcsv(csv, rest, out);
}

/* As a small file in one part is read. */
static uint64_t read_as_one(const struct csv_file *csv, struct buffer *out) {
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    struct csv_range all = {csv->layout.rows_offset, UINT64_MAX, csv->layout.rows_line};
    assert_true(csv_read_part(csv, all, take_row, out, problems, &err));
    uint64_t count = problems_count(problems);
    problems_destroy(problems);
    return count;
}

/* The same in parts, one after the other. */
static uint64_t read_by_parts(const struct csv_file *csv, size_t parts_max, struct buffer *out) {
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    struct csv_range parts[CSV_PARTS_MAX];
    size_t parts_count;
    const struct csv_cut cut = {.parts_max = parts_max, .part_bytes = 1};
    assert_true(csv_cut(csv, cut, parts, &parts_count, &err));
    assert_in_range(parts_count, 1, parts_max);
    for (size_t part = 0; part < parts_count; part++) {
        assert_true(csv_read_part(csv, parts[part], take_row, out, problems, &err));
    }
    uint64_t count = problems_count(problems);
    problems_destroy(problems);
    return count;
}

/* Files of this content; and the content, to be released. */
static void open_content(const char *header, struct text rows, struct csv_file *csv,
                         struct buffer *content) {
    struct err err = {0};
    assert_true(buffer_append(content, text_from(header), &err));
    assert_true(buffer_append(content, rows, &err));
    test_folder_write(&folder, "f.csv", buffer_text(content));
    struct problems *problems = problems_create(&err);
    bool is_found;
    assert_true(csv_open(sys_real(), folder.path, "f.csv", columns, 3, false, csv, &is_found,
                         problems, &err));
    assert_true(is_found);
    problems_destroy(problems);
}

/* The ways of small files against what libcsv found. */
static void compare_rows(const struct csv_file *csv, const struct buffer *by_libcsv,
                         uint64_t libcsv_problems, uint64_t seed) {
    struct buffer as_one = {0};
    if (read_as_one(csv, &as_one) != libcsv_problems ||
        !text_equals(buffer_text(by_libcsv), buffer_text(&as_one))) {
        fail_msg("seed %llu: libcsv and csv_read_part of all rows differ",
                 (unsigned long long)seed);
    }
    buffer_release(&as_one);
    for (size_t parts_max = 2; parts_max <= CSV_PARTS_MAX; parts_max += 3) {
        struct buffer by_parts = {0};
        if (read_by_parts(csv, parts_max, &by_parts) != libcsv_problems ||
            !text_equals(buffer_text(by_libcsv), buffer_text(&by_parts))) {
            fail_msg("seed %llu: libcsv and csv_read_part of parts differ",
                     (unsigned long long)seed);
        }
        buffer_release(&by_parts);
    }
}

static void compare_on(const char *header, struct text rows, uint64_t seed) {
    struct err err = {0};
    struct buffer content = {0};
    struct csv_file csv;
    open_content(header, rows, &csv, &content);
    struct csv_range all = {csv.layout.rows_offset, UINT64_MAX, csv.layout.rows_line};
    struct buffer by_libcsv = {0};
    struct buffer by_split = {0};
    uint64_t libcsv_problems = read_by_libcsv(&csv, all, &by_libcsv);
    compare_rows(&csv, &by_libcsv, libcsv_problems, seed);
    static const char slack[SPLIT_SLACK_BYTES] = ",\n,";
    struct text read = {content.bytes, content.size_bytes};
    assert_true(buffer_append(&content, (struct text){slack, sizeof slack}, &err));
    read.bytes = content.bytes;
    uint64_t split_problems = read_by_split(&csv, read, &by_split);
    if (libcsv_problems != split_problems ||
        !text_equals(buffer_text(&by_libcsv), buffer_text(&by_split))) {
        fail_msg("seed %llu: libcsv and split differ", (unsigned long long)seed);
    }
    csv_close(&csv);
    buffer_release(&content);
    buffer_release(&by_libcsv);
    buffer_release(&by_split);
}

static void compare_on_random(uint64_t seed) {
    /* Mostly what matters to either; the last ones make good and bad UTF-8. */
    static const char *const pieces[] = {
        ",",       ",",           ",",         "\n",   "\n",         " ",        "\t",
        "\r\n",    "\r",          "a",         "b1",   "longer one", "\xC3\xA9", ",,\n",
        "x,y,z\n", "u, v ,\tw\n", "k,l,m\r\n", "\xFF", "\xE2\x82"};
    const size_t pieces_count = sizeof pieces / sizeof pieces[0];
    uint64_t random = seed * 2654435761u + 1;
    struct buffer rows = {0};
    struct err err = {0};
    size_t count = random_next(&random) % 120;
    /* In some, only what makes good rows, so that the end is reached. */
    size_t from = random_next(&random) % 3 == 0 ? 13 : 0;
    size_t until = from > 0 ? 17 : pieces_count - random_next(&random) % 3;
    for (size_t index = 0; index < count; index++) {
        const char *piece = pieces[from + random_next(&random) % (until - from)];
        assert_true(buffer_append(&rows, text_from(piece), &err));
    }
    compare_on(random_next(&random) % 2 == 0 ? "x,y,z\n" : "z,other,y,x\r\n", buffer_text(&rows),
               seed);
    buffer_release(&rows);
}

static void split_finds_what_libcsv_finds_in_random_bytes(void **state) {
    (void)state;
    uint64_t first = (uint64_t)time(NULL) * 1000;
    print_message("seeds from %llu\n", (unsigned long long)first);
    for (uint64_t seed = first; seed < first + 1500; seed++) {
        compare_on_random(seed);
    }
}

static void split_finds_what_libcsv_finds_at_the_edges(void **state) {
    (void)state;
    static const char *const cases[] = {
        "",
        "\n",
        "\n\n",
        "a,b,c",
        "a,b,c\n",
        "a,b,c\r\n",
        "a,b,c\r",
        "a,b,c\r\r\n",
        "\r\n",
        "\r",
        "  \t \n",
        " \t\r\n",
        ",,\n",
        ",\n",
        " , , \n",
        "a,b\n",
        "a,b,c,d\n",
        "a,b,c\r \n",
        "a\rb,c,d\n",
        "a b , c d ,e\n",
        "a,b,\xFF\n",
        "\xC3\xA9,b,c\n",
        "a,b,c\n  ",
        "a,b,c\n \r\n",
        "a,b,c \r\n",
        "\r\na,b,c\n",
        "\na,b,c\n\nd,e,f\n",
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        compare_on("x,y,z\n", text_from(cases[index]), index);
    }
}

/* Files of several windows, some with an odd line or a quote in the midst of them. */
static void csv_read_part_finds_what_libcsv_finds_in_large_files(void **state) {
    (void)state;
    static const char *const odd[] = {"", "\"q\nq\",2,3\n", "a,b\n", "\r\n", "last,one,open"};
    uint64_t random = (uint64_t)time(NULL) * 2654435761u + 1;
    print_message("random from %llu\n", (unsigned long long)random);
    for (size_t kind = 0; kind < sizeof odd / sizeof odd[0]; kind++) {
        struct err err = {0};
        struct buffer rows = {0};
        size_t odd_at = 200000 + (size_t)(random_next(&random) % 200000);
        bool is_odd_told = false;
        while (rows.size_bytes < 600000) {
            assert_true(buffer_append_format(
                &rows, &err, "%llu,b,%.*s\n", (unsigned long long)random_next(&random),
                (int)(random_next(&random) % 40), "one that is now long and then short....."));
            if (!is_odd_told && rows.size_bytes > odd_at) {
                assert_true(buffer_append(&rows, text_from(odd[kind]), &err));
                is_odd_told = true;
            }
        }
        compare_on("x,y,z\n", buffer_text(&rows), random);
        buffer_release(&rows);
    }
    struct err err = {0};
    struct buffer longest = {0}; /* a row longer than a window */
    assert_true(buffer_append_format(&longest, &err, "1,2,3\n4,%0*d,6\n7,8,9", 300000, 5));
    compare_on("x,y,z\n", buffer_text(&longest), 0);
    buffer_release(&longest);
}

/* What comes behind a field that is too long is not read, in whichever part it is. */
static void reading_stops_at_the_same_row_in_parts(void **state) {
    (void)state;
    struct err err = {0};
    struct buffer rows = {0};
    struct buffer content = {0};
    struct buffer by_libcsv = {0};
    struct csv_file csv;
    assert_true(buffer_append_format(&rows, &err, "1,2,3\n4,%0*d,6\n", CSV_FIELD_BYTES_MAX + 1, 5));
    while (rows.size_bytes < 3 * CSV_FIELD_BYTES_MAX) {
        assert_true(buffer_append(&rows, text_from("seven,eight\nnine,ten,eleven\n"), &err));
    }
    open_content("x,y,z\n", buffer_text(&rows), &csv, &content);
    struct csv_range all = {csv.layout.rows_offset, UINT64_MAX, csv.layout.rows_line};
    uint64_t problems_count = read_by_libcsv(&csv, all, &by_libcsv);
    assert_int_equal(problems_count, 1);
    compare_rows(&csv, &by_libcsv, problems_count, 0);
    csv_close(&csv);
    buffer_release(&rows);
    buffer_release(&content);
    buffer_release(&by_libcsv);
}

static void expect_parts(const char *rows, size_t parts_expected) {
    struct err err = {0};
    struct problems *problems = problems_create(&err);
    struct csv_file csv;
    struct csv_range parts[CSV_PARTS_MAX];
    size_t parts_count;
    bool is_found;
    struct buffer content = {0};
    assert_true(buffer_append_format(&content, &err, "x,y,z\n%s", rows));
    test_folder_write(&folder, "f.csv", buffer_text(&content));
    buffer_release(&content);
    assert_true(csv_open(sys_real(), folder.path, "f.csv", columns, 3, false, &csv, &is_found,
                         problems, &err));
    const struct csv_cut cut = {.parts_max = 3, .part_bytes = 4};
    assert_true(csv_cut(&csv, cut, parts, &parts_count, &err));
    assert_int_equal(parts_count, parts_expected);
    assert_int_equal(parts[0].from, csv.layout.rows_offset);
    assert_int_equal(parts[parts_count - 1].until, UINT64_MAX);
    csv_close(&csv);
    problems_destroy(problems);
}

static void a_file_is_cut_only_where_lines_are_rows(void **state) {
    (void)state;
    expect_parts("a,b,c\nd,e,f\ng,h,i\nj,k,l\n", 3);
    expect_parts("a,b,c\nd,e,f", 2);
    expect_parts("a,b,c\n", 1);
    expect_parts("", 1);
    expect_parts("a,b,c\nd,\"e\ne\",f\ng,h,i\nj,k,l\n", 1);
    expect_parts("a,b,cccccccccccccccccccccccccccccccccccc\nd,e,f\n", 1);
}

static void split_scan_tells_quotes_and_nuls_at_every_place(void **state) {
    (void)state;
    char window[200];
    for (size_t at = 0; at < sizeof window; at++) {
        static const char bytes[5] = {'"', '\0', '\r', '\x80', '\n'};
        for (size_t kind = 0; kind < sizeof bytes; kind++) {
            memset(window, 'x', sizeof window);
            window[at] = bytes[kind];
            struct split_facts facts = {0};
            split_scan(window, 0, sizeof window, &facts);
            assert_int_equal(facts.has_quote, kind == 0);
            assert_int_equal(facts.has_nul, kind == 1);
            assert_int_equal(facts.has_carriage_return, kind == 2);
            assert_int_equal(facts.has_high_byte, kind == 3);
            assert_int_equal(facts.lines_count, kind == 4);
        }
    }
}

/* Whatever their length, the separators of a row are all found. */
static void split_row_finds_separators_at_every_place(void **state) {
    (void)state;
    const struct csv_layout layout = {.fields_count = 3, .column_of_field = {0, 1, 2}};
    char window[300 + SPLIT_SLACK_BYTES];
    for (size_t first = 0; first < 150; first++) {
        for (size_t second = first + 1; second < 300; second += 7) {
            memset(window, 'x', sizeof window);
            window[first] = ',';
            window[second] = ',';
            window[299] = '\n';
            struct split split = {.window = window, .until = 300, .layout = &layout};
            struct text fields[3];
            uint64_t line;
            bool is_last_one = second == 299;
            assert_int_equal(split_row(&split, fields, &line), is_last_one ? SPLIT_ODD : SPLIT_ROW);
            assert_int_equal(split.offset, is_last_one ? 0 : 300);
            if (!is_last_one) {
                assert_int_equal(fields[0].size_bytes, first);
                assert_int_equal(fields[1].size_bytes, second - first - 1);
                assert_int_equal(fields[2].size_bytes, 299 - second - 1);
            }
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(split_finds_what_libcsv_finds_in_random_bytes),
        TEST(split_finds_what_libcsv_finds_at_the_edges),
        TEST(csv_read_part_finds_what_libcsv_finds_in_large_files),
        TEST(reading_stops_at_the_same_row_in_parts),
        TEST(a_file_is_cut_only_where_lines_are_rows),
        TEST(split_scan_tells_quotes_and_nuls_at_every_place),
        TEST(split_row_finds_separators_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
