#!/usr/bin/env bash
# Unpacks MySQL's server and client from Debian sid into the folder DIR, without root and without
# touching the system: apt runs on a private state whose dpkg status is empty, so that the closure
# is complete, and every package is only unpacked. The programs run through their own loader.
# usage: unpack.sh DIR
set -euo pipefail
final=$1
work=$final.part.$$
trap 'rm -rf "$work"' EXIT
rm -rf "$work"
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/debs" "$work/root"
: > "$work/status"
sources=/etc/apt/sources.list.d/debian.sources
base=$(awk '/^URIs:/{print $2; exit}' "$sources" 2>/dev/null || true)
keyring=$(awk '/^Signed-By:/{print $2; exit}' "$sources" 2>/dev/null || true)
echo "deb [signed-by=${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}]" \
  "${base:-http://deb.debian.org/debian} sid main" > "$work/sources.list"
cat > "$work/apt.conf" <<CONF
Dir::State "$work/state"; Dir::State::status "$work/status"; Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list"; Dir::Etc::sourceparts "-";
APT::Install-Recommends "false"; APT::Sandbox::User "root";
CONF
export APT_CONFIG=$work/apt.conf
apt-get -qq update
# What only maintainer scripts need is left out.
apt-get install -s mysql-server-core mysql-client-core | awk '/^Inst/{print $2}' \
  | grep -vE '^(perl|libperl|libgdbm|libdb5|libcrypt|libbz2|debconf|dpkg|tar)' > "$work/want"
(cd "$work/debs" && xargs apt-get -qq download < "$work/want")
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
chmod -R a+rX "$work/root"
rm -rf "$work/debs" "$work/state" "$work/cache" "$work/status" "$work/sources.list" "$work/apt.conf"
chmod 0755 "$work"
mv -T "$work" "$final" 2>/dev/null || [ -x "$final/root/usr/sbin/mysqld" ]
