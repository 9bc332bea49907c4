/* For programs that end with 1 at the first surprise. */

#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

#define EXPECT(condition)                                               \
    do {                                                                \
        if (!(condition)) {                                             \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);     \
            exit(1);                                                    \
        }                                                               \
    } while (0)

/* Notes what a function of xmem.h returned, for a test that compares it with the reference. */
static inline void note_status(const char *call, int32_t status) {
    const char *path = getenv("XMEM_STATUS_LOG");
    const char *end = strchr(call, '(');
    if (path == NULL || end == NULL || strncmp(call, "xmem_", 5) != 0) return;
    FILE *log = fopen(path, "a");
    if (log == NULL) exit(1);
    fprintf(log, "%.*s XMEM_%s\n", (int)(end - call), call, xmem_error_name(status));
    fclose(log);
}

/* The last failure's text goes with it, for whoever reads the surprise. Every failure has one. */
#define EXPECT_STATUS(call, expected)                                                   \
    do {                                                                                \
        const int32_t status_ = (call);                                                 \
        note_status(#call, status_);                                                    \
        char text_[512] = "";                                                           \
        if (status_ != XMEM_OK) xmem_error_text(text_, sizeof text_);                   \
        if (status_ != (expected) || (status_ != XMEM_OK && text_[0] == 0)) {           \
            fprintf(stderr, "line %d: %s: %s %s\n", __LINE__, #call,                    \
                    xmem_error_name(status_), text_);                                   \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

#define EXPECT_OK(call) EXPECT_STATUS(call, XMEM_OK)

/* A failure with just this text. */
#define EXPECT_TEXT(call, expected, said)                                               \
    do {                                                                                \
        EXPECT_STATUS(call, expected);                                                  \
        char text_[512];                                                                \
        xmem_error_text(text_, sizeof text_);                                           \
        if (strcmp(text_, said) != 0) {                                                 \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #call, text_);               \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

#endif
