#!/usr/bin/env bash
# Makes .venv with the package, its development tools and the demo's models.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
  echo "rbic_hf needs Python 3.10 or newer; $python is $("$python" --version). Try: make setup PYTHON=python3.11" >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv || {
  echo "could not make .venv; on Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 1
}
.venv/bin/python -m pip install --quiet uv

# uv does not read pip's settings: hand it those that say where packages come from.
setting() { .venv/bin/python -m pip config get "$1" 2>/dev/null || true; }
links=$(setting global.find-links)
index=$(setting global.index-url)
[ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"

.venv/bin/uv pip install --python .venv/bin/python \
  --constraint .ci/constraints.txt --override .ci/overrides.txt \
  --editable '.[gguf,evaluate,pictures,server]' --group dev --group demo --group engine
