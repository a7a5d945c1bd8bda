"""Freezes ben into firmware, by include("/path/to/ben/manifest.py") in a board's manifest: what mip would install."""

import json

with open("package.json") as file:  # a manifest runs in its own folder
    package = json.load(file)

metadata(version=package["version"])

for target, source in package["urls"]:
    module(target, base_path=source[: -len(target)])
