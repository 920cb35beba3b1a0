#!/usr/bin/env python3
"""The arrows of the house: no #include that the CMake link graph does not allow, and the table of
docs/architecture.md says the same as CMake.

usage: layers.py SOURCE_DIR LAYERS_TXT

LAYERS_TXT is written by CMake, a line a folder: "name: dep dep | PkgConfig::LIB".
"""
import os
import re
import sys

# The headers of third-party libraries and the target that makes them visible.
THIRD_PARTY = {
    "microhttpd.h": "MHD",
    "nghttp2/": "NGHTTP2",
    "curl/": "CURL",
    "protobuf-c/": "PROTOBUFC",
    "jansson.h": "JANSSON",
    "openssl/": "OPENSSL",
    "libdeflate.h": "LIBDEFLATE",
    "zstd": "ZSTD",
    "yaml.h": "YAML",
    "sqlite3.h": "SQLITE",
    "xxhash.h": "XXHASH",
    "crypt.h": "CRYPT",
    "gnutls/": "GNUTLS",
}
# Their names in docs/architecture.md.
LIBRARY_NAMES = {
    "MHD": "libmicrohttpd",
    "NGHTTP2": "nghttp2",
    "CURL": "libcurl",
    "PROTOBUFC": "protobuf-c",
    "JANSSON": "jansson",
    "OPENSSL": "OpenSSL",
    "LIBDEFLATE": "libdeflate",
    "ZLIB": "zlib",
    "ZSTD": "zstd",
    "YAML": "libyaml",
    "SQLITE": "SQLite",
    "XXHASH": "xxHash",
    "CRYPT": "libcrypt",
    "GNUTLS": "GnuTLS",
}
# A library that two folders share, with the reason.
SHARED = {"OPENSSL"}  # net: TLS; others: digests
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.M)


def read_layers(path):
    layers = {}
    for line in open(path, encoding="utf-8"):
        if ":" not in line:
            continue
        name, rest = line.split(":", 1)
        deps, _, libs = rest.partition("|")
        layers[name.strip()] = (
            set(deps.split()),
            {lib.replace("PkgConfig::", "") for lib in libs.split()},
        )
    return layers


def closure(layers, name, seen=None):
    seen = set() if seen is None else seen
    for dep in layers[name][0]:
        if dep not in seen:
            seen.add(dep)
            closure(layers, dep, seen)
    return seen


def read_table(path):
    """The rows "| folder | what for | uses | third party |": {folder: (uses, third party)}."""
    table = {}
    for line in open(path, encoding="utf-8"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and re.fullmatch(r"[a-z]+", cells[0]):
            listed = [{word for word in re.split(r",\s*", cell) if word != "–"} for cell in cells[2:]]
            table[cells[0]] = tuple(listed)
    return table


def compare_table(layers, table):
    """What the table says otherwise than CMake. In it, `all` stands for every other folder."""
    for name in sorted(set(layers) | set(table)):
        if name not in table:
            yield f"docs/architecture.md: {name} is missing in the table of folders"
            continue
        if name not in layers:
            yield f"docs/architecture.md: there is no folder {name}"
            continue
        uses, third_party = table[name]
        if uses == {"all"}:
            uses = set(layers) - {name}
        libraries = {LIBRARY_NAMES.get(lib, lib) for lib in layers[name][1]}
        for what, says, real in (("uses", uses, layers[name][0]), ("third party", third_party, libraries)):
            if says != real:
                yield (
                    f"docs/architecture.md: {name}: {what}: the table says {', '.join(sorted(says)) or '–'}; "
                    f"CMake says {', '.join(sorted(real)) or '–'}"
                )


def main():
    source, layers_path = sys.argv[1:3]
    layers = read_layers(layers_path)
    problems = []
    checked = 0
    for name in layers:
        cycle = closure(layers, name)
        if name in cycle:
            problems.append(f"src/{name}: depends on itself through {sorted(cycle)}")
        allowed = cycle | {name}
        for root in (f"src/{name}", f"include/spangate/{name}"):
            for folder, _, files in os.walk(os.path.join(source, root)):
                for file in files:
                    if not file.endswith((".c", ".h", ".def")):
                        continue
                    path = os.path.join(folder, file)
                    checked += 1
                    for header in INCLUDE.findall(open(path, encoding="utf-8").read()):
                        where = os.path.relpath(path, source)
                        if header.startswith("spangate/"):
                            used = header.split("/")[1]
                            if used not in allowed:
                                problems.append(f"{where}: <{header}>: {name} may not use {used}")
                        for prefix, lib in THIRD_PARTY.items():
                            if header.startswith(prefix) and lib not in layers[name][1]:
                                problems.append(f"{where}: <{header}>: {name} does not own {lib}")
    owners = {}
    for name, (_, libs) in layers.items():
        for lib in libs - SHARED:
            owners.setdefault(lib, []).append(name)
    for lib, names in owners.items():
        if len(names) > 1:
            problems.append(f"{lib} belongs to several folders: {', '.join(names)}")
    problems += compare_table(layers, read_table(os.path.join(source, "docs/architecture.md")))
    for problem in problems:
        print(problem)
    print(f"{checked} files of {len(layers)} folders, {len(problems)} problems")
    return 1 if problems or checked == 0 else 0


sys.exit(main())
