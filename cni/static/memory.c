/* The memory of the interpreter, so that it can be kept in the executable's file.
 *
 * libpython's allocators are linked to these instead of to the C library's. While the executable is
 * built all comes from one array, which is written into the file with the rest of the interpreter's
 * state. When it runs, new memory is the C library's; what lies in the array is never given back.
 */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { UNIT = 16, PAGE = 4096, ROOM = 1792 * 1024 };

static _Alignas(PAGE) char room[ROOM];
static size_t used;
static int closed;

void memory_close(void) { closed = 1; }

static int is_kept(const void *at) {
    return (const char *)at >= room && (const char *)at < room + ROOM;
}

/* A block is preceded by its size. */
static size_t *size_of(void *block) { return (size_t *)((char *)block - UNIT); }

void *memory_alloc(size_t size) {
    char *block;

    if (closed)
        return malloc(size);
    size = (size + UNIT - 1) / UNIT * UNIT;
    if (size + UNIT > ROOM - used)
        return NULL;
    block = room + used + UNIT;
    used += size + UNIT;
    *size_of(block) = size;
    return block;
}

void *memory_calloc(size_t count, size_t each) {
    if (closed)
        return calloc(count, each);
    /* The array is zero, and no part of it is given out twice. */
    return each && count > ROOM / each ? NULL : memory_alloc(count * each);
}

void *memory_realloc(void *block, size_t size) {
    void *grown;

    if (block && !is_kept(block))
        return realloc(block, size);
    if (block && size <= *size_of(block))
        return block;
    grown = memory_alloc(size);
    if (grown && block)
        memcpy(grown, block, *size_of(block));
    return grown;
}

void memory_free(void *block) {
    if (!is_kept(block))
        free(block);
}

void *memory_map(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    void *mapped;

    if (closed)
        return mmap(at, size, protection, flags, fd, offset);
    used = (used + PAGE - 1) / PAGE * PAGE;
    if (size > ROOM - used) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    mapped = room + used;
    used += size;
    return mapped;
}

int memory_unmap(void *mapped, size_t size) { return is_kept(mapped) ? 0 : munmap(mapped, size); }
