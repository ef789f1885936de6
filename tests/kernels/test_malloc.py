"""What one freed block does to the memory of later arrays, and the switch that turns it off."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tinygraph.kernels.malloc import keep_freed_memory

FAULTS = """
import resource, numpy, tinygraph
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step = lambda: [numpy.ones(1 << 18, numpy.uint8) for _ in range(16)]
step(), step()
before = faults()
for _ in range(20):
    step()
print(faults() - before)
"""


def page_faults(switch: str) -> int:
    """Count the page faults of 20 steps that allocate four megabytes and free them."""
    environment = {"TINYGRAPH_MALLOC": switch, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_memory_is_kept_unless_it_is_turned_off():
    assert page_faults("1") < 1000
    assert page_faults("0") > 10_000  # 4 KB each: nearly all memory, in every step


def test_the_switch(monkeypatch):
    monkeypatch.delenv("TINYGRAPH_MALLOC", raising=False)
    assert keep_freed_memory()
    monkeypatch.setenv("TINYGRAPH_MALLOC", "0")
    assert not keep_freed_memory()
