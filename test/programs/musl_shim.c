// What glibc's libstdc++ and libgcc want and Debian's musl lacks, so that Bun's musl build, which
// brings neither, runs with them where there is no Alpine. For tests only.

typedef unsigned long size_t;

extern long getrandom(void *bytes, size_t length, unsigned flags);
extern size_t strftime_l(char *text, size_t size, const char *format, const void *time, void *locale);

char __libc_single_threaded = 0;

struct {
  unsigned words[4];
} __cpu_model;

int __cpu_indicator_init(void) { return 0; }

// Found in no table: libgcc goes through the program headers then.
int _dl_find_object(void *address, void *result) {
  (void)address;
  (void)result;
  return -1;
}

unsigned arc4random(void) {
  unsigned word = 0;
  (void)getrandom(&word, sizeof word, 0);
  return word;
}

size_t __strftime_l(char *text, size_t size, const char *format, const void *time, void *locale) {
  return strftime_l(text, size, format, time, locale);
}

// A thread's C++ objects are left as they are at its end.
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) {
  (void)destroy;
  (void)object;
  (void)library;
  return 0;
}
