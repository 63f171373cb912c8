# cosign.sh PLACE: unpacks the cosign of Debian 13 into PLACE, without installing it. PLACE is there when it is whole.
set -eu
place=$1
fresh=$place.$$
trap 'rm -rf "$fresh"' EXIT
mkdir -p "$fresh/lists/partial" "$fresh/archives/partial"
# Debian's public archive: the suite that this machine runs on may have no cosign
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
test -e "$keyring" || { echo "$keyring is missing (Debian package debian-archive-keyring)" >&2; exit 1; }
echo "deb [signed-by=$keyring] http://deb.debian.org/debian trixie main" >"$fresh/list"
set -- -qq -o Dir::Etc::sourcelist="$fresh/list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$fresh/lists" \
    -o Dir::Cache="$fresh" -o APT::Sandbox::User=root -o Acquire::Retries=3 -o APT::Update::Error-Mode=any
apt-get "$@" update
cd "$fresh"
apt-get "$@" download cosign
dpkg -x cosign_*.deb "$fresh/whole"
cd /
rm -rf "$place"
mv "$fresh/whole" "$place"
