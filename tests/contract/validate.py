"""The contract's schemas against its fixtures: good ones pass, bad ones fail; more files may be named.

usage: validate.py CONTRACT [MANIFEST...]
Exit 77 where python3-jsonschema is not installed.
"""

import json
import pathlib
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)


def problems(schema, path):
    validator = jsonschema.Draft202012Validator(schema)
    return sorted(e.json_path + ": " + e.message[:200] for e in validator.iter_errors(json.loads(path.read_text())))


def main():
    contract = pathlib.Path(sys.argv[1])
    wrong = 0
    for schema_path in sorted(contract.glob("*.schema.json")):
        schema = json.loads(schema_path.read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        stem = schema_path.name.removesuffix(".schema.json")
        good = sorted((contract / "fixtures/good").glob(stem + "-*.json"))
        bad = sorted((contract / "fixtures/bad").glob(stem + "-*.json"))
        if not good or not bad:
            print(f"{stem}: needs good and bad fixtures")
            wrong += 1
        for path in good:
            found = problems(schema, path)
            wrong += bool(found)
            print("ok  " if not found else "FAIL", path.name, *found[:3])
        for path in bad:
            found = problems(schema, path)
            wrong += not found
            print("ok  " if found else "FAIL (accepted)", path.name, *found[:1])
    schema = json.loads((contract / "manifest.schema.json").read_text())
    for name in sys.argv[2:]:
        found = problems(schema, pathlib.Path(name))
        wrong += bool(found)
        print("ok  " if not found else "FAIL", name, *found[:5])
    return 1 if wrong else 0


sys.exit(main())
