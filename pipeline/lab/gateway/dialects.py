"""The versions of Kong that the lab gateway speaks, by the name that chooses them."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.kong_0_14 import KONG_0_14
from pipeline.lab.gateway.kong_2_8 import KONG_2_8
from pipeline.lab.gateway.kong_3_4 import KONG_3_4

DIALECTS: Mapping[str, Dialect] = {"0.14": KONG_0_14, "2.8": KONG_2_8, "3.4": KONG_3_4}
DEFAULT = "2.8"
