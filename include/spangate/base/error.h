/*
 * error.h - how a function says why it failed.
 *
 * A function that can fail returns bool and takes a struct error * last. When it returns false it
 * has filled the error; when it returns true it has not touched it. The caller handles the error,
 * or adds what it was doing (error_wrap) and returns false in turn. Whoever handles it logs it,
 * once. Programming mistakes are not errors: assert them.
 */
#ifndef SPANGATE_BASE_ERROR_H
#define SPANGATE_BASE_ERROR_H

#include <spangate/base/compiler.h>
#include <stdbool.h>

/* What the handler can do about it. A code exists only if someone branches on it. */
enum error_code {
    ERR_NONE = 0,
    ERR_INVALID,         /* the input is wrong; the same input will fail again */
    ERR_TOO_LARGE,       /* the input is bigger than we take; smaller may succeed */
    ERR_LIMIT,           /* a configured limit was reached; later may succeed */
    ERR_UNAVAILABLE,     /* a peer or device did not answer, or we stop; later may succeed */
    ERR_CORRUPT,         /* stored data is damaged */
    ERR_NOT_FOUND,       /* what was asked for does not exist */
    ERR_UNSUPPORTED,     /* a media type, coding or method that we do not know */
    ERR_UNAUTHENTICATED, /* no or wrong credentials */
    ERR_IN_USE,          /* an address or folder that another process holds */
};

enum { ERROR_MESSAGE_MAX = 320 };

struct error {
    enum error_code code;
    int sys_errno; /* 0 unless a system call failed */
    char message[ERROR_MESSAGE_MAX];
};

/* Fill err. Always returns false, so that `return error_set(...)` reads well. */
bool error_set(struct error *err, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Like error_set(), with ": <strerror>" appended; picks the code from sys_errno. */
bool error_set_errno(struct error *err, int sys_errno, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "<what we were doing>: " before the message. Always returns false. */
bool error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
