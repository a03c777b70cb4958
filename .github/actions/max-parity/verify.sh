#!/usr/bin/env bash
# Verify $CANDIDATE with $OPTIONS, and say what was found where GitHub shows it: annotations here, and
# the summary by the run itself. Ends with the verification's exit code.
set -uo pipefail

told="$(mktemp -d)/told.json"
read -ra options <<< "${OPTIONS:-}"
max-parity verify --candidate "$CANDIDATE" "${options[@]}" --json "$told"
code=$?

if [ -f "$told" ]; then
    max-parity reports annotate "$told"
    python -P - "$told" >> "$GITHUB_OUTPUT" << 'END'
import json, sys

told = json.load(open(sys.argv[1], encoding="utf-8"))
print(f"verdict={told['verdict']}", f"run={told.get('run', '')}", sep="\n")
END
else
    echo "::error title=max-parity::no verdict: the step's output says why"
    echo "verdict=ERROR" >> "$GITHUB_OUTPUT"
fi
exit "$code"
