#!/usr/bin/env bash
# Redraws the 249 flags in jpg/ and their SHA256SUMS from npm's flag-icons 7.5.0.
#
# For whoever maintains the data; nothing runs it by itself, CI only checks the sums. Another version
# of librsvg, ImageMagick or libjpeg may draw other bytes: look at the result before committing it.
#
# Drawn with   rsvg-convert 2.54.7, ImageMagick 6.9.11-60
# Needs        npm, python3, and the packages librsvg2-bin and imagemagick
set -euo pipefail
export LC_ALL=C # one order, everywhere
cd "$(dirname "$0")"

icons=$(mktemp -d)
trap 'rm -rf "$icons"' EXIT
(cd "$icons" && npm pack --silent flag-icons@7.5.0 >/dev/null && tar xf flag-icons-7.5.0.tgz --strip-components=1)

# Of the 271 entries in country.json 249 are ISO 3166-1 countries; the rest are regions and unions.
codes=$(python3 -c '
import json, sys
print(*sorted(c["code"] for c in json.load(open(sys.argv[1])) if c["iso"]))
' "$icons/country.json")

rm -rf jpg && mkdir jpg
for code in $codes; do
    rsvg-convert -w 320 -h 240 -b white "$icons/flags/4x3/$code.svg" |
        convert png:- -strip -sampling-factor 4:2:0 -quality 85 "jpg/$code.jpg"
done
cp "$icons/LICENSE" LICENSE
sha256sum jpg/*.jpg >SHA256SUMS

echo "$(wc -l <SHA256SUMS) flags, $(cut -d' ' -f1 SHA256SUMS | sort -u | wc -l) distinct"
