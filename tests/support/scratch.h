/*
 * A fresh folder for each test, as its working folder, so that tests use short relative names. For
 * cmocka_unit_test_setup_teardown. Also what tests do to files without caring about errors: each
 * of these stops the program when it fails.
 */
#ifndef PERIODCLOSE_TESTS_SUPPORT_SCRATCH_H
#define PERIODCLOSE_TESTS_SUPPORT_SCRATCH_H

#include <stdbool.h>

int scratch_setup(void **state);
int scratch_teardown(void **state); /* removes the folder and all in it */
void scratch_empty(void);           /* removes all in it */

void scratch_write(const char *path, const char *content);
bool scratch_holds(const char *path, const char *content); /* false when it is missing, too */
bool scratch_exists(const char *path);

#endif
