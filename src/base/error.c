/*
 * error.c - filling struct error.
 */
#include <spangate/base/error.h>

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum error_code code_from_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    case EINVAL:
    case ENAMETOOLONG:
        return ERR_INVALID;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EADDRINUSE:
        return ERR_IN_USE;
    default:
        return ERR_UNAVAILABLE;
    }
}

bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
    assert(code != ERR_NONE);
    va_list args;
    err->code = code;
    err->sys_errno = 0;
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    return false;
}

bool error_set_errno(struct error *err, int sys_errno, const char *fmt, ...)
{
    va_list args;
    err->code = code_from_errno(sys_errno);
    err->sys_errno = sys_errno;
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);

    char text[80];
    const char *reason = strerror_r(sys_errno, text, sizeof(text));
    size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", reason);
    return false;
}

bool error_wrap(struct error *err, const char *fmt, ...)
{
    assert(err->code != ERR_NONE);
    char inner[ERROR_MESSAGE_MAX];
    va_list args;

    memcpy(inner, err->message, sizeof(inner));
    va_start(args, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);

    size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s", inner);
    return false;
}
