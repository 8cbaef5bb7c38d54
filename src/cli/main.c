#include "cli/cli.h"
#include "sys/process.h"

int main(int argc, char **argv) {
    interrupt_install();
    return cli_main(argc, argv, sys_real());
}
