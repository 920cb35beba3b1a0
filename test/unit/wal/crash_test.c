/*
 * crash_test.c - random work, random faults, and the power going off at any moment, 200 seeds.
 *
 * Each seed lives through several power cuts on the same disk. A failure prints its seed.
 */
#include "wal_model.h"

#include <errno.h>
#include <spangate/base/random.h>

enum { SEEDS = 200, LIVES = 6 };

static void plan_random_fault(struct rig *rig, uint64_t *seed)
{
    static const enum fs_op ops[] = {FS_OP_PWRITEV, FS_OP_FDATASYNC, FS_OP_SYNC_DIR, FS_OP_RENAME,
                                     FS_OP_ANY};
    static const enum fs_fault_kind kinds[] = {FS_FAULT_FAIL, FS_FAULT_TORN, FS_FAULT_SHORT};
    /* For good: the disk is gone from here to the cut. Else it recovers. */
    uint64_t times = random_next(seed) % 2 ? UINT64_MAX : 1 + random_next(seed) % 3;

    fs_fault_plan(&rig->fault, ops[random_next(seed) % COUNT_OF(ops)], 1 + random_next(seed) % 60,
                  times, kinds[times == UINT64_MAX ? 0 : random_next(seed) % COUNT_OF(kinds)], EIO);
}

static void live(struct model *model, struct rig *rig, uint64_t *seed, uint64_t *key)
{
    size_t steps = random_next(seed) % 60;

    for (size_t i = 0; i < steps; i++) {
        switch (random_next(seed) % 4) {
        case 0:
        case 1:
            (void)model_append(model, rig, ++*key,
                               16 + random_next(seed) % (random_next(seed) % 20 ? 2000 : 200000));
            break;
        case 2:
            rig->clock.monotonic += NS_PER_S;
            (void)model_sync(model, rig);
            break;
        default:
            if (model->count > 0) {
                /* Mostly the older ones, so that segments do get free. */
                size_t index = random_next(seed) % model->count;
                model_release(model, rig, index);
                model_release(model, rig, index / 2);
            }
            break;
        }
    }
}

static void run_seed(uint64_t first_seed)
{
    uint64_t seed = first_seed;
    uint64_t key = 0;
    struct rig rig;
    struct model model = {0};

    print_message("seed %llu\n", (unsigned long long)first_seed);
    rig_init(&rig);
    if (first_seed % 5 == 0) { /* promises to survive a kill, not a power cut */
        rig.config.durability = DURABILITY_INTERVAL;
        rig.config.interval_ns = 3 * NS_PER_S;
    }
    rig.config.total_bytes_max = first_seed % 3 == 0 ? 64 * 4096 : 0;
    for (int life = 0; life < LIVES; life++) {
        rig_open(&rig);
        model_check(&model, &rig);
        if (random_next(&seed) % 3 != 0) {
            plan_random_fault(&rig, &seed);
        }
        live(&model, &rig, &seed, &key);
        if (random_next(&seed) % 3 == 0 || rig.config.durability == DURABILITY_INTERVAL) {
            fs_mem_kill(rig.mem);
        } else {
            fs_mem_crash(rig.mem, random_next(&seed));
        }
        rig_close(&rig);
        fs_fault_clear(&rig.fault);
        fs_mem_restart(rig.mem);
        model_stopped(&model);
        assert_int_equal(rig.fault.resyncs, 0);
    }
    rig_open(&rig);
    model_check(&model, &rig);
    rig_deinit(&rig);
    model_deinit(&model);
}

static void acknowledged_records_survive_any_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_records_survive_any_power_cut),
    };

    if (argc > 1) {
        run_seed(strtoull(argv[1], NULL, 0)); /* one failing seed again */
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
