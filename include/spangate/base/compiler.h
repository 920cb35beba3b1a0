/* compiler.h - the few compiler extensions we allow ourselves, behind plain names. */
#ifndef SPANGATE_BASE_COMPILER_H
#define SPANGATE_BASE_COMPILER_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NO_RETURN __attribute__((noreturn))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
