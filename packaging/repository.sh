#!/bin/bash
# packaging/repository.sh FOLDER KEY FILE.deb...: an apt repository with these packages, signed with a
# given key of gpg, so that a fleet upgrades with apt. FOLDER is served by any web server. A second
# call adds packages and signs anew. Needs apt-utils and gnupg.
#
# On a box: put FOLDER/blockgate.asc into /etc/apt/keyrings/ and the printed line into
# /etc/apt/sources.list.d/blockgate.list.
set -euo pipefail
folder=${1:?folder} key=${2:?key}
shift 2
[ $# -gt 0 ] || { echo "no package is named" >&2; exit 2; }

mkdir -p "$folder/pool"
for package in "$@"; do
  name=$(basename "$package")
  # A version that was published once never changes: boxes may have it.
  if [ -e "$folder/pool/$name" ] && ! cmp -s "$package" "$folder/pool/$name"; then
    echo "$name is in the repository with another content; give it a new version" >&2
    exit 1
  fi
  install -m 0644 "$package" "$folder/pool/$name"
done
cd "$folder"
for architecture in amd64 arm64 armhf; do
  index=dists/stable/main/binary-$architecture
  mkdir -p "$index"
  apt-ftparchive --arch "$architecture" packages pool >"$index/Packages"
  xz -kf "$index/Packages"
done
release=APT::FTPArchive::Release
apt-ftparchive -o "$release::Origin=blockgate" -o "$release::Label=blockgate" -o "$release::Suite=stable" \
  -o "$release::Codename=stable" -o "$release::Components=main" -o "$release::Architectures=amd64 arm64 armhf" \
  release dists/stable >Release.new
mv Release.new dists/stable/Release
gpg --batch --yes -u "$key" --clearsign -o dists/stable/InRelease dists/stable/Release
gpg --batch --yes -u "$key" --armor --detach-sign -o dists/stable/Release.gpg dists/stable/Release
gpg --batch --yes --armor --output blockgate.asc --export "$key"
echo "deb [signed-by=/etc/apt/keyrings/blockgate.asc] ADDRESS stable main"
