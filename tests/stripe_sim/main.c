/*
 * stripe_sim: a server that behaves as Stripe (and Dodo Payments) do, for the tests.
 *
 *   stripe_sim [--seconds N] [--stdin] [--schemas FOLDER] [--tls CERT.pem KEY.pem]
 *
 * Prints "port N" (and "tls-port N"), serves on loopback, and ends by itself after N seconds (600),
 * when stdin is closed (--stdin), or when told to stop. What a test can ask for: control.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stripe_sim/server.h"

enum { PEM_MAX = 16384, SECONDS_DEFAULT = 600 };

static char *load_pem(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = calloc(1, PEM_MAX);
    if (file == NULL || text == NULL || fread(text, 1, PEM_MAX - 1, file) == 0) {
        perror(path);
        exit(1);
    }
    (void)fclose(file);
    return text;
}

int main(int argc, char **argv) {
    struct server_options options = {.schemas = "tests/stripe_sim", .seconds_max = SECONDS_DEFAULT};
    char *certificate = NULL;
    char *private_key = NULL;
    for (int index = 1; index < argc; index++) {
        bool has_value = index + 1 < argc;
        if (strcmp(argv[index], "--stdin") == 0) {
            options.reads_stdin = true;
        } else if (strcmp(argv[index], "--seconds") == 0 && has_value) {
            options.seconds_max = strtoll(argv[++index], NULL, 10);
        } else if (strcmp(argv[index], "--schemas") == 0 && has_value) {
            options.schemas = argv[++index];
        } else if (strcmp(argv[index], "--tls") == 0 && index + 2 < argc && certificate == NULL) {
            certificate = load_pem(argv[++index]);
            private_key = load_pem(argv[++index]);
        } else {
            (void)fprintf(stderr, "usage: stripe_sim [--seconds N] [--stdin] [--schemas FOLDER] "
                                  "[--tls CERT KEY]\n");
            return 2;
        }
    }
    options.certificate = certificate;
    options.private_key = private_key;
    int status = server_run(&options);
    free(certificate);
    free(private_key);
    return status;
}
