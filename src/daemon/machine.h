/* machine.h - what the machine gives us: memory, disk, and a place for data. */
#ifndef SPANGATE_SRC_DAEMON_MACHINE_H
#define SPANGATE_SRC_DAEMON_MACHINE_H

#include <stdint.h>

/* The least of physical memory and the limits of our control group and those above it. */
uint64_t machine_memory_bytes(void);

/* The same with another root of the file system and text of /proc/self/cgroup: for tests. */
uint64_t machine_memory_bytes_at(const char *root, const char *cgroup_text, uint64_t physical);

/*
 * What the disk of a folder has room for: what is free, and what the folder holds already.
 * UINT64_MAX: not known.
 */
uint64_t machine_disk_bytes(const char *folder);

/*
 * Where data goes when the configuration does not say: $STATE_DIRECTORY (systemd),
 * $XDG_STATE_HOME/spangate, /var/lib/spangate for root, ~/.local/state/spangate. Release with
 * free().
 */
char *machine_data_dir(void);

#endif
