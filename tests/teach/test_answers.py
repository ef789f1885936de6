"""The line of the answer key is read and computed by the page, for the derivative of every op that it has."""
# ruff: noqa: E501 - scripts

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import zip_longest

import numpy as np
import pytest

from tests.cases import registered
from tests.matrices import prepared
from tests.teach.test_lesson import PAGE
from tinygraph import OPS, Tensor
from tinygraph.teach.lesson_data import helpers_of
from tinygraph.teach.page_program import KNOWN, SCRIPTS, node_data
from tinygraph.teach.printer import Printer
from tinygraph.teach.program import record_program
from tinygraph.teach.spelling import numpy_spelling

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node")
RUN = """
const P=I.Parser,given=JSON.parse(require('fs').readFileSync(0)),out=[];
for(const [op,nodes,lines,names] of given){const v=I.run(nodes,{});
  for(const [name,id,text,helpers] of lines)try{
    const x=P.compute(P.parse(text),n=>names[n]===undefined?undefined:v[names[n]],helpers);
    if(!I.same(x.shape,v[id].shape)||x.data.some((a,k)=>!(Math.abs(a-v[id].data[k])<=1e-9*(1+Math.abs(a)))))out.push([op,name,text,'other numbers']);
  }catch(e){out.push([op,name,text,`${e.key??e} ${JSON.stringify(e.facts??{})}`])}}
console.log(JSON.stringify(out));
"""


def run(script: str, given: object = None) -> object:
    """Run a script in Node, with the interpreter as I."""
    load = f"globalThis.Interpreter=require({json.dumps(str(PAGE / 'interpreter.js'))});const I=Interpreter;"
    load += "".join(f"require({json.dumps(str(PAGE / name))});" for name in SCRIPTS)
    parser = (
        (PAGE / "parser.js").read_text(encoding="utf-8").replace("module.exports.Parser = Parser", "I.Parser = Parser")
    )
    command = [str(NODE), "-e", load + parser + script]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@needs_node
def test_the_answer_for_every_op_is_accepted():
    registered()  # loads what is loaded when it is asked for
    rng, cases = np.random.default_rng(0), []
    for name in KNOWN:
        if not OPS[name].differentiable or name == "cholesky":  # its sample is no symmetric matrix
            continue
        sample = OPS[name].samples[0]
        drawn = prepared(OPS[name], [rng.uniform(sample.low, sample.high, s) for s in sample.shapes])
        operands = zip_longest(drawn, OPS[name].operands[: len(drawn)])
        xs = [x.astype(int) if o == "indices" else Tensor(x, name=f"x{i}") for i, (x, o) in enumerate(operands)]
        y = OPS[name](*xs, **sample.params)
        printer = Printer(record_program((y * y).sum().named("L")), numpy_spelling(), ascii=True)
        nodes = printer.graph.nodes

        def data_of(node, nodes=nodes):
            return node_data(node, [nodes[e.source].shape for e in node.inputs])

        lines = [
            [x.name, x.node, x.value, helpers_of(x, printer, data_of)] for x in printer.lines if x.part == "backward"
        ]
        names = {x.name: x.node for x in printer.lines} | {label: i for i, label in printer.name.items()}
        cases.append([name, [data_of(n) for n in nodes], lines, names])
    assert len(cases) > 100
    assert run(RUN, cases) == []


@needs_node
@pytest.mark.parametrize(
    "code",
    [
        "x[::-1]", "x[:, ::-2]", "x[1:, -2:]", "x[..., 1]", "x[-1]", "x[:-1, 1:3]", "x[5:1:-1, 0]", "x[..., None].sum(0)",
        "np.einsum('ij,kj->ik', x, x)", "np.einsum('ij->j', x)", "np.cumsum(x, axis=0)", "x // 2", "7 // 2 * x",
        "np.concatenate([x, 2 * x], axis=1)", "np.where(x > np.inf, 0, x)", "x.astype(np.float64) * np.pi",
        "np.linalg.inv(x @ x.T + np.exp(0))[0]", "np.cos(x) ** 2", "np.hypot(x, 1)",
    ],
)  # fmt: skip
def test_what_is_typed_is_what_numpy_says(code):
    x = np.random.default_rng(5).uniform(0.5, 2, (3, 4))
    given = [code, {"shape": list(x.shape), "data": x.ravel().tolist()}]
    script = "const [c,x]=JSON.parse(require('fs').readFileSync(0)),a=I.array(x.shape,Float64Array.from(x.data)),v=I.Parser.compute(I.Parser.parse(c),n=>n==='x'?a:undefined);console.log(JSON.stringify([v.shape,[...v.data]]))"
    shape, data = run(script, given)
    want = np.asarray(eval(code, {"np": np, "x": x}), float)
    assert tuple(shape) == want.shape
    np.testing.assert_allclose(data, want.ravel(), rtol=1e-9)


@needs_node
@pytest.mark.parametrize(
    "code", ["np.einsum('ij,jk->ik', x, x)", "np.einsum(x, x)", "x + 'a'", "x[::0]", "np.load(x)", "'a'"]
)
def test_what_cannot_be_computed_is_refused_with_a_reason(code):
    script = "const [c]=JSON.parse(require('fs').readFileSync(0)),a=I.filled([3,4],1);let r='';try{I.Parser.compute(I.Parser.parse(c),n=>n==='x'?a:undefined)}catch(e){r=e.key??(e instanceof RangeError?'shapes':String(e))}console.log(JSON.stringify(r))"
    assert run(script, [code]) in ("shapes", "unexpected", "axis", "function")
