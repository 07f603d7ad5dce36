"""Files with bytes changed, zeroed or cut off: an error of usidx or a right answer, never a crash, a hang or a flood.

``USIDX_FUZZ=2000 pytest tests/test_hostile.py`` runs it long.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import usidx

CASES = int(os.environ.get("USIDX_FUZZ", "15"))
#: Address space that one process may take, far below what a hostile shape can claim.
LIMIT = 6 << 30

ATTACK = """
import faulthandler, os, random, resource, signal, sys, traceback, warnings
warnings.simplefilter("ignore")
import usidx
from usidx.errors import UsidError

source, target, first, last, limit = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
good = open(source, "rb").read()
PATIENCE = 10  # seconds of work, not of waiting for a busy machine
WORDS = [b"\\xff" * 8, bytes(8), (1 << 40).to_bytes(8, "little"), (1 << 62).to_bytes(8, "little")]


def damaged(chance):
    data = bytearray(good)
    reach = len(data) if chance.random() < 0.5 else 4096
    kind = chance.choice(["bytes", "cut", "zero", "word"])
    if kind == "cut":
        return data[: chance.randrange(len(data))]
    if kind == "word":
        at = chance.randrange(reach - 8) & ~7
        data[at : at + 8] = chance.choice(WORDS)
    for _ in range(chance.randrange(1, 20) if kind == "bytes" else 0):
        data[chance.randrange(reach)] = chance.randrange(256)
    if kind == "zero":
        at = chance.randrange(reach)
        data[at : at + 32] = bytes(len(data[at : at + 32]))
    return data


def look(path):
    yield lambda: usidx.validate(path)
    yield lambda: usidx.summary(usidx.open_tree(path))
    for main in usidx.list_mains(path):
        yield lambda: usidx.open_dataset(path, main).isel(Y=0, missing_dims="ignore").load()
    for group in usidx.list_results(path):
        yield lambda: usidx.open_result(path, group).isel(Y=0, missing_dims="ignore").load()


def attack(seed):
    with open(target, "wb") as file:
        file.write(damaged(random.Random(seed)))
    for one in look(target):
        try:
            one()
        except (UsidError, OSError):
            pass


for seed in range(first, last):
    child = os.fork()
    if child == 0:
        log = open(target + ".log", "w")
        faulthandler.enable(log)
        faulthandler.register(signal.SIGXCPU, file=log, chain=True)
        resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, 2 * PATIENCE))
        faulthandler.dump_traceback_later(30 * PATIENCE, exit=True, file=log)
        try:
            attack(seed)
        except (UsidError, OSError):
            pass
        except BaseException:
            traceback.print_exc(file=log)
            log.flush()
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    said = open(target + ".log").read() if status else ""
    if status:
        print("bad", seed, status, said[-2000:], flush=True)
print("done", flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space with setrlimit")
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_damaged_files_are_refused_or_read(tmp_path: Path, compression: str | None) -> None:
    scan, _ = usidx.simulate.band_excitation((5, 4), 16)
    source = tmp_path / "good.h5"
    usidx.write(scan, source, compression=compression)
    usidx.open_main(source).usid.svd(2).usid.write(reuse=False)
    script = [sys.executable, "-c", ATTACK, str(source), str(tmp_path / "bad.h5"), "0", str(CASES), str(LIMIT)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600 + 300 * CASES, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "bad" not in done.stdout, done.stdout[-3000:]
    assert done.stdout.endswith("done\n")
