#include <malloc.h>

#include "cli/cli.h"
#include "sys/process.h"

/*
 * Stage after stage and shard after shard ask for the same few megabytes: what is given back is
 * kept for the next one, where the heap would return it to the OS and have its pages cleared again.
 */
enum { HEAP_KEPT_BYTES = 16 * 1024 * 1024, HEAP_GROWS_BY_BYTES = 1024 * 1024 };

int main(int argc, char **argv) {
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, HEAP_GROWS_BY_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_KEPT_BYTES);
    interrupt_install();
    return cli_main(argc, argv, sys_real());
}
