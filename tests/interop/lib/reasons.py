"""The verdict table as the sources state it: what the tests must cover."""

import pathlib
import re

_TABLE = pathlib.Path(__file__).resolve().parents[3] / "datapath/verdict/verdicts.def"

# {name: number}
DROPS = {name: int(number)
         for name, number in re.findall(r"^DROP\((\w+), (\d+),", _TABLE.read_text(), re.MULTILINE)}
