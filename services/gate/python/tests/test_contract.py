"""The compiled contract in the package is that of ``proto/``."""

import importlib.resources
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).parents[4]
PACKAGED = ROOT / "services/gate/python/src/schemagate_gate/contract.binpb"


def test_the_packaged_contract_is_current(tmp_path: Path) -> None:
    well_known = str(importlib.resources.files(grpc_tools) / "_proto")
    compiled = tmp_path / "contract.binpb"
    arguments = [
        "protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", "--include_imports",
        f"--descriptor_set_out={compiled}", "schema/v1/schema_service.proto",
    ]
    assert protoc.main(arguments) == 0
    assert compiled.read_bytes() == PACKAGED.read_bytes(), (
        f"compile it again: python -m grpc_tools.{' '.join(arguments)}"
    )
