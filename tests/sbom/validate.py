"""Holds bills of material against the validators of those who made the forms.

Usage: sbom_validate.py FILE...   documents, SPDX or CycloneDX by their content; prints what was looked at, a line each.
       sbom_validate.py --identifiers FILE   a list of licence identifiers, one a line
"""

import json
import sys
from pathlib import Path


def identifiers(path: Path) -> None:
    """Every identifier is one that SPDX lists, in SPDX's own spelling."""
    from license_expression import get_spdx_licensing

    licensing = get_spdx_licensing()
    names = path.read_text().split()
    for name in names:
        parsed = licensing.parse(name, validate=True)
        if str(parsed) != name:
            sys.exit(f"{name}: SPDX says {parsed}")
    print(f"{len(names)} identifiers")


def spdx(path: Path) -> str:
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    document = parse_file(str(path))
    faults = validate_full_spdx_document(document, "SPDX-2.3")
    if faults:
        sys.exit("\n".join(f"{path}: {fault.validation_message}" for fault in faults[:20]))
    return f"spdx {len(document.packages)} packages {len(document.files)} files"


def cyclonedx(path: Path, text: str) -> str:
    from cyclonedx.model.bom import Bom
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f"{path}: {fault}")
    # What a reader makes of it: every reference must lead somewhere.
    bom = Bom.from_json(json.loads(text))
    bom.validate()
    return f"cyclonedx {len(bom.components)} components"


def main(arguments: list[str]) -> None:
    if arguments[0] == "--identifiers":
        identifiers(Path(arguments[1]))
        return
    for path in map(Path, arguments):
        text = path.read_text()
        document = json.loads(text)
        says = spdx(path) if "spdxVersion" in document else cyclonedx(path, text)
        print(says)


main(sys.argv[1:])
