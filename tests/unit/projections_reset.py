# SPDX-License-Identifier: Apache-2.0
"""Every table that a read model makes is emptied by its reset.sql."""

import re
import sys
from pathlib import Path

for folder in sorted((Path(__file__).resolve().parents[2] / "projections").glob("*/")):
    made = "\n".join(file.read_text() for file in sorted(folder.glob("table*.sql")))
    tables = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", made)) - \
        set(re.findall(r"DROP TABLE (?:IF EXISTS )?(\w+)", made))
    emptied = set(re.findall(r"\w+", re.search(r"TRUNCATE ([\w, \n]+);", (folder / "reset.sql").read_text())[1]))
    if emptied != tables:
        sys.exit(f"FAILED: projections/{folder.name}/reset.sql empties {sorted(emptied)}, there are {sorted(tables)}")
    print(f"holds  {folder.name}: {len(tables)} tables")
