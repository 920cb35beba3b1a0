/*
 * unit.h - what every cmocka test file includes, in the order cmocka wants, and small helpers.
 */
#ifndef SPANGATE_TEST_UNIT_H
#define SPANGATE_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The bytes of a string literal or array of char, without the NUL. */
#define BYTES(literal) ((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})

#endif
