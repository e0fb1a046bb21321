/* What test_stacks.py gives CPython for its arenas and chunks of Python frames: the kernel's pages, and no patience with an address that is not one of them. */
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

void* give_pages(void* context, size_t size) {
  void* pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)context;
  return pages == MAP_FAILED ? NULL : pages;
}

void take_pages(void* context, void* pages, size_t size) {
  (void)context;
  if (munmap(pages, size) != 0) _exit(99);
}
