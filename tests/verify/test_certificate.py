"""The certificate: data that cannot be changed, JSON, and a table that fits a terminal."""

import dataclasses
import json

import pytest

from tests.certificates import of_digits
from tests.wrong_ops import X, normalize, registry_as_it_was
from tinygraph import compare


@pytest.fixture(autouse=True)
def registry():
    with registry_as_it_was():
        yield


def test_the_certificate_is_frozen_data():
    certificate = of_digits()
    with pytest.raises(dataclasses.FrozenInstanceError):
        certificate.seed = 1
    facts = json.loads(certificate.to_json())
    assert facts["ok"] is True and facts["verdict"] == certificate.verdict
    assert facts["inputs"] == ["x float32[90,64]", "γ float32[64]", "β float32[64]"]
    assert len(facts["rows"]) == len(certificate.rows)
    assert facts["rows"][0] == dataclasses.asdict(certificate.rows[0])
    broken = compare(lambda x: x, lambda x: x.sum(), X, time=False, sweep=False)
    assert json.loads(broken.to_json())["rows"][0]["error"] is None


def test_the_table_reads_in_a_terminal():
    lines = str(of_digits()).splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("✓ ")
    (head,) = [line for line in lines if line.startswith("data            precision function")]
    assert head.split()[3:] == ["y", "dx", "dγ", "dβ", "jvp", "2nd", "3rd"]
    fused = [line for line in lines if " fused " in line and line.endswith("✓")]
    assert len(fused) == 16
    composed = [line for line in lines if "float32   composed" in line]
    assert len(composed) == 8 and any("✗" in line for line in composed)
    product = lambda a, b, c, d, e: a * b * c * d * e
    many = compare(product, lambda *xs: product(*reversed(xs)), *5 * [X], time=False)
    assert many.ok and max(map(len, str(many).splitlines())) <= 100
    failed = str(compare(normalize("right"), normalize("constant sigma"), X, time=False))
    (line,) = [line for line in failed.splitlines() if line.startswith("as given  ")]
    assert line.count("✗") == 3 and line.endswith("✗")  # 2nd, 3rd and the verdict
