#!/bin/sh
# Makes a virtual environment with the official clients: setup.sh DIR
# Installs Python where it is missing (Debian's apt-get, or brew).
set -eu

have_venv() {
    command -v python3 >/dev/null 2>&1 && python3 -c 'import ensurepip, venv' >/dev/null 2>&1
}

if ! have_venv; then
    if command -v apt-get >/dev/null 2>&1; then
        sudo=""
        [ "$(id -u)" = 0 ] || sudo=sudo
        $sudo apt-get update -q
        $sudo apt-get install -yq python3 python3-venv
    elif command -v brew >/dev/null 2>&1; then
        brew install python
    else
        echo "setup.sh: python3 with venv is needed, and neither apt-get nor brew is here" >&2
        exit 1
    fi
fi

python3 -m venv "$1"
"$1/bin/pip" install -q -r "$(dirname "$0")/requirements.txt"
