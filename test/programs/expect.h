/* For programs that end with 1 at the first surprise. */

#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>

#include "xmem.h"

#define EXPECT(condition)                                               \
    do {                                                                \
        if (!(condition)) {                                             \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);     \
            exit(1);                                                    \
        }                                                               \
    } while (0)

/* The last failure's text goes with it, for whoever reads the surprise. Every failure has one. */
#define EXPECT_STATUS(call, expected)                                                   \
    do {                                                                                \
        const int32_t status_ = (call);                                                 \
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
