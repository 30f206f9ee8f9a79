#!/bin/sh
# Finds a PostgreSQL for the tests that need one (internal/pglab), and prints the directory of its programs.
#
#   PATH="$PATH:$(tools/postgres.sh)"
#
# Looked at are PATH and where Debian and Homebrew keep it; 13 or newer will do. Where there is none, root on a Debian gets
# the distribution's by apt-get, without the server that its package would start; others are told what to install. Progress
# goes to stderr, stdout carries the path alone.
set -eu

oldest=13

# found DIRECTORY: whether it holds initdb and a postgres that is new enough.
found() {
	[ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
	major=$("$1/postgres" --version 2>/dev/null | sed -nE 's/^postgres \(PostgreSQL\) ([0-9]+).*/\1/p')
	[ "${major:-0}" -ge "$oldest" ]
}

look() {
	if program=$(command -v initdb) && found "${program%/*}"; then
		printf '%s\n' "${program%/*}"
		return
	fi
	for directory in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
		if found "$directory"; then
			printf '%s\n' "$directory"
			return
		fi
	done
	return 1
}

look && exit
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "postgres: installing PostgreSQL with apt-get (once)" >&2
	# What Debian's package reads before it makes a server of its own.
	mkdir -p /etc/postgresql-common/createcluster.d
	echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/gaea-tests.conf
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get install -y --no-install-recommends postgresql || { apt-get update && apt-get install -y --no-install-recommends postgresql; }; } >&2 || true
	look && exit
fi
echo "missing: PostgreSQL $oldest or newer, for tests: install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17) or put its initdb and postgres in PATH" >&2
exit 1
