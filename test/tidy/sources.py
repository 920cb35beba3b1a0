#!/usr/bin/env python3
"""Rules of the source text: header comments, banned calls, nothing left over, all files built.

usage: sources.py SOURCE_DIR

Prints the longest functions without failing on them.
"""
import os
import re
import sys

BANNED = {
    r"\bstrcpy\s*\(": "memcpy with a length, or snprintf",
    r"\bstrcat\s*\(": "strbuf",
    r"\bsprintf\s*\(": "snprintf or strbuf_printf",
    r"\bgets\s*\(": "fgets",
    r"(?<!n)\batoi\s*\(": "strtol with a check",
    r"\bstrtok\s*\(": "strsep or a slice",
    r"\balloca\s*\(": "an arena",
    r"\bsqlite3_exec\s*\(.*%": "prepared statements",
    r"\blocaltime\s*\(": "gmtime_r",
    r"\busleep\s*\(": "a condition variable or a timer",
}
LEFT_OVER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def functions(text):
    """(name, lines) of each function: from a line that ends a signature to its closing brace."""
    lines = text.split("\n")
    name, start = None, 0
    for i, line in enumerate(lines):
        if line == "{" and i > 0:
            head = " ".join(lines[max(0, i - 4):i])
            match = re.findall(r"(\w+)\s*\(", head)
            name, start = (match[-1] if match else "?"), i
        elif line == "}" and name:
            yield name, i - start
            name = None


def main():
    source = sys.argv[1]
    problems, longest, checked = [], [], 0
    for root in ("src", "include", "test"):
        for folder, _, files in os.walk(os.path.join(source, root)):
            built = ""
            if root == "src":
                for name in files:
                    if name in ("CMakeLists.txt",) or name.endswith(".cmake"):
                        built += open(os.path.join(folder, name), encoding="utf-8").read()
            for file in files:
                if not file.endswith((".c", ".h", ".def")):
                    continue
                path = os.path.join(folder, file)
                where = os.path.relpath(path, source)
                text = open(path, encoding="utf-8").read()
                checked += 1
                if not text.startswith("/*"):
                    problems.append(f"{where}: does not begin with a comment that says what it is for")
                for number, line in enumerate(text.split("\n"), 1):
                    for pattern, instead in BANNED.items():
                        if re.search(pattern, line):
                            problems.append(f"{where}:{number}: use {instead}")
                    if LEFT_OVER.search(line):
                        problems.append(f"{where}:{number}: left over: {line.strip()}")
                    if len(line) > 100 and not re.search("[─►│]", line):  # drawings may be wider
                        problems.append(f"{where}:{number}: {len(line)} columns")
                if root == "src" and file.endswith(".c") and file not in built:
                    problems.append(f"{where}: not in its folder's CMake list")
                if root == "src":
                    longest += [(lines, f"{where}: {name}") for name, lines in functions(text)]
    for lines, what in sorted(longest, reverse=True)[:10]:
        print(f"{lines:4d} lines  {what}")
    for problem in problems:
        print(problem)
    print(f"{checked} files, {len(problems)} problems")
    return 1 if problems or checked == 0 else 0


sys.exit(main())
