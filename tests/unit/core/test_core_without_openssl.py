import hashlib
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[3]
APPLY = "import sys; from core import without_openssl; without_openssl.apply()\n"
PYTHON_WITHOUT_SHA2 = """
import importlib.util
usual = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in ("_sha2", "_sha256") else usual(name)
"""


def printed(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_hashes_are_the_same_without_openssl_and_tls_is_not_there():
    told = printed(
        APPLY + "import asyncio, hashlib, hmac, random, uuid\n"
        "for name in sorted(hashlib.algorithms_guaranteed):\n"
        "    made = hashlib.new(name, b'x')\n"
        "    print(made.hexdigest(*([8] if name.startswith('shake') else [])))\n"
        "print(asyncio.sslproto.ssl, [n for n in ('ssl', '_hashlib') if sys.modules.get(n)])"
    )
    hashes = []
    for name in sorted(hashlib.algorithms_guaranteed):
        made = hashlib.new(name, b"x")
        hashes.append(made.hexdigest(*([8] if name.startswith("shake") else [])))

    assert told == [*hashes, "None", "[]"]


def test_a_python_without_hashes_of_its_own_keeps_those_of_openssl():
    told = printed(
        PYTHON_WITHOUT_SHA2 + APPLY + "import hashlib; print(hashlib.sha256(b'x').hexdigest())\n"
        "print('_hashlib' in sys.modules, sys.modules['ssl'])"
    )

    assert told == [hashlib.sha256(b"x").hexdigest(), "True", "None"]
