#!/bin/sh
# Makes this machine ready: `setup.sh tools` for .venv with the development tools, `setup.sh hosts` for podman and what
# makes its images as well. As root on Debian it installs what is missing, as an ordinary user it prints the one
# command that does. PYTHON chooses the interpreter of .venv.
set -eu
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

packages=
commands=

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
add() { packages="$packages $1"; }
helper() {
  for folder in /usr/lib/podman /usr/libexec/podman /usr/local/lib/podman /usr/local/libexec/podman; do
    [ ! -x "$folder/$1" ] || return 0
  done
  have "$1"
}
os_release() { [ ! -r /etc/os-release ] || sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}$/\1/p" /etc/os-release; }

# .venv knows where it was made, because its programs name their interpreter by its full path.
state() { printf '%s\n' "$PWD" "$(cksum <uv.lock)"; }
here() { [ -x .venv/bin/uv ] && [ "$(sed -n 1p .venv/.ready 2>/dev/null)" = "$PWD" ]; }
ready() { [ -x .venv/bin/python ] && [ "$(cat .venv/.ready 2>/dev/null)" = "$(state)" ]; }

missing_for_tools() {
  python=${PYTHON:-python3}
  if ! have "$python"; then
    [ "$python" = python3 ] || { say "setup: PYTHON=$python is not there"; exit 1; }
    add python3
    add python3-venv
    return 0
  fi
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))') || {
    say "setup: Python 3.11 or newer is needed, $python is $version."
    say "       With a newer one at hand: make PYTHON=python3.12 ..."
    exit 1
  }
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    case $(command -v "$python") in
      /usr/bin/python3 | /bin/python3) add python3-venv ;;
      *) add "python$version-venv" ;;
    esac
  fi
}

missing_for_hosts() {
  have podman || add podman
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    have crun || have runc || add crun
  else
    have runc || add runc
  fi
  helper netavark || add netavark
  helper aardvark-dns || add aardvark-dns
  have iptables || add iptables
  have nft || add nftables
  have mmdebstrap || add mmdebstrap
  [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || [ -e /usr/share/keyrings/debian-archive-keyring.pgp ] ||
    add debian-archive-keyring
  if ! have ssh || ! have ssh-keygen; then add openssh-client; fi
  [ "$(id -u)" != 0 ] || return 0
  have newuidmap || add uidmap
  if ! have pasta && ! have slirp4netns; then
    if [ "$(os_release VERSION_ID)" = 12 ]; then add slirp4netns; else add passt; fi
  fi
  user=$(id -un)
  if ! grep -q "^$user:" /etc/subuid 2>/dev/null || ! grep -q "^$user:" /etc/subgid 2>/dev/null; then
    first=$(cat /etc/subuid /etc/subgid 2>/dev/null |
      awk -F: 'BEGIN { n = 100000 } $2 + $3 > n { n = $2 + $3 } END { print n }')
    range=$first-$((first + 65535))
    commands="usermod --add-subuids $range --add-subgids $range $user"
  fi
}

install_missing() {
  [ -n "$packages$commands" ] || return 0
  line=
  if [ -n "$packages" ]; then
    if ! have apt-get; then
      say "setup: this machine lacks (names of the Debian packages):$packages"
      say "       Install them with your system's own package manager and try again."
      exit 1
    fi
    line="apt-get update && apt-get install -y --no-install-recommends$packages"
  fi
  if [ "$(id -u)" != 0 ]; then
    [ -z "$commands" ] || line="${line:+$line && }$commands"
    say "setup: this machine lacks${packages:- sub-ids for your user (rootless podman)}."
    say "       Run this one command, then try again:"
    if have sudo; then say "  sudo sh -c '$line'"; else say "  su -c '$line'"; fi
    exit 1
  fi
  say "setup: installing$packages"
  out=$(mktemp)
  # shellcheck disable=SC2086 # the list of packages is to be split
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } \
    >"$out" 2>&1 </dev/null; then
    tail -n 20 "$out" >&2
    rm -f "$out"
    say "setup: apt-get could not install$packages"
    exit 1
  fi
  rm -f "$out"
}

make_tools() {
  if ready; then return 0; fi
  # A machine with certificate authorities of its own needs pip and uv to look where the system does.
  bundle=/etc/ssl/certs/ca-certificates.crt
  if [ -r "$bundle" ] && [ -n "$(find /usr/local/share/ca-certificates -name '*.crt' 2>/dev/null)" ]; then
    export SSL_CERT_FILE="${SSL_CERT_FILE:-$bundle}" PIP_CERT="${PIP_CERT:-$bundle}"
  fi
  say "setup: making .venv with the development tools"
  uv=$(sed -n '/^name = "uv"$/{n;s/^version = "\(.*\)"$/\1/p;}' uv.lock)
  if ! here || ! .venv/bin/uv --version | grep -q "^uv $uv "; then
    rm -rf .venv
    "${PYTHON:-python3}" -m venv .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv"
  fi
  UV_PROJECT_ENVIRONMENT=.venv VIRTUAL_ENV='' .venv/bin/uv sync --quiet --locked --compile-bytecode --python .venv/bin/python
  state >.venv/.ready
}

case ${1:-} in
  tools)
    ready || missing_for_tools
    ;;
  hosts)
    ready || missing_for_tools
    missing_for_hosts
    ;;
  *)
    say "usage: $0 tools|hosts"
    exit 2
    ;;
esac
install_missing
make_tools
