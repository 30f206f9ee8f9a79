#!/bin/sh
# Installs one version of Salt in a cached virtual environment and prints its path.
#
#   tools/salt-venv.sh VERSION
#
# The environment is $GAEA_CACHE/salt-VERSION (GAEA_CACHE defaults to gaea in the user's cache directory). It is made
# once: a marker file, written last, holds what it was made from, and one without that marker is made again. Callers at
# the same time wait for one another. Progress goes to stderr, stdout carries the path alone.
#
# With tools/salt/constraints-VERSION.txt every dependency is pinned; other versions take what the registry has.
# PYTHON names the interpreter to use; otherwise the first of python3, python3.12, python3.11, python3.10 that fits.
set -eu

say() { printf 'salt-venv: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 1
}

[ $# -eq 1 ] || die "usage: salt-venv.sh VERSION, for example: salt-venv.sh 3008.3"
version=$1
case $version in
'' | *[!0-9A-Za-z.]*) die "\"$version\" is not a Salt version; a right one is 3008.3" ;;
esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
constraints=$here/salt/constraints-$version.txt
cache=${GAEA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gaea}
mkdir -p "$cache" || die "cannot write in $cache; set GAEA_CACHE to a directory that you may write in"
cache=$(CDPATH='' cd -- "$cache" && pwd)
venv=$cache/salt-$version
marker=$venv/.complete

# Prints the path and ends where a complete environment of this very recipe is there.
recipe="salt==$version cherrypy"
if [ -f "$constraints" ]; then
	recipe="$recipe $(cksum <"$constraints")"
fi
done_already() {
	[ -f "$marker" ] && [ "$(cat "$marker")" = "$recipe" ] && "$venv/bin/python" -c '' 2>/dev/null || return 0
	printf '%s\n' "$venv"
	exit 0
}
done_already

# The real path of the interpreter: a version manager's shim is a script that other users cannot run. On Python 3.12 the
# minions of Salt 3006 cannot sign in.
newest=12
case $version in 3006*) newest=11 ;; esac
range="3.10 to 3.$newest"
python=
bare= # fits, but has no venv module
for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
	"$candidate" -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $newest))" >/dev/null 2>&1 || continue
	if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
		python=$("$candidate" -c 'import sys; print(sys.executable)')
		break
	fi
	bare=${bare:-$candidate}
done
if [ -z "$python" ] && [ -n "$bare" ]; then
	die "$bare has no venv module; install it (Debian, Ubuntu: apt-get install python3-venv) or name another Python in PYTHON"
elif [ -z "$python" ]; then
	die "Salt $version needs Python $range and there is none as ${PYTHON:-python3}; install it \
(Debian, Ubuntu: apt-get install python3 python3-venv) or name one in PYTHON"
fi

# A lock that the kernel lets go of when this script and the pip that it may have left behind are gone, whatever ended
# them; Python takes it because flock(1) is not everywhere.
exec 9>"$cache/salt-$version.lock"
if ! "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null; then
	say "waiting for another installation of Salt $version"
	"$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
fi
done_already

say "installing Salt $version in $venv (once; a minute or two)"
rm -rf "$venv"
log=$cache/salt-$version.log
: >"$log"
install() { "$venv/bin/python" -m pip install --disable-pip-version-check "$@" >>"$log" 2>&1; }
fail() {
	tail -n 15 "$log" >&2
	die "cannot install Salt $version; the whole log is $log"
}
"$python" -m venv "$venv" >>"$log" 2>&1 || fail
if [ -f "$constraints" ]; then
	if ! install -c "$constraints" "salt==$version" cherrypy; then
		say "the pinned dependencies do not install with $python; taking current ones instead"
		install "salt==$version" cherrypy || fail
	fi
else
	say "no pinned dependencies for this version; taking current ones"
	install "salt==$version" cherrypy || fail
fi
"$venv/bin/python" "$venv/bin/salt-master" --version >>"$log" 2>&1 || fail
printf '%s\n' "$recipe" >"$marker"
say "Salt $version is ready"
printf '%s\n' "$venv"
