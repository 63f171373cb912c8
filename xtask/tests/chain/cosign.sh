# cosign.sh PLACE: unpacks the cosign of Debian 13 into PLACE, without installing it.
set -eu
place=$1
rm -rf "$place"
mkdir -p "$place/lists/partial" "$place/archives/partial"
# the mirror that this machine uses
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/*$')
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$place/list"
set -- -qq -o Dir::Etc::sourcelist="$place/list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$place/lists" \
    -o Dir::Cache="$place" -o APT::Sandbox::User=root
apt-get "$@" update
cd "$place"
apt-get "$@" download cosign
dpkg -x cosign_*.deb "$place"
