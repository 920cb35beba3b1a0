"""Each fault of test/faults/run once, in its short form: nothing that was acknowledged is lost,
the gateway stays up or starts again by itself, and resumes when the fault is over.
"""
import os
import random

import faults
import pytest


@pytest.mark.parametrize("name", faults.FAULTS)
def test_survives(name, tmp_path):
    seed = int(os.environ.get("SPANGATE_SEED", str(random.randrange(1 << 32))))
    try:
        row = faults.run(name, tmp_path, True, seed)
    except faults.Skipped as reason:
        pytest.skip(str(reason))
    print(f"seed={seed} {faults.to_json(row)}")
    assert row.problems == []
