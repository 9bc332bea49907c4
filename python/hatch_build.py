"""Makes a wheel of one platform: with the library, and with the tag that lets it be installed
there. scripts/wheels.ts puts both into a copy of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PlatformHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        tag = Path(self.root, "PLATFORM").read_text(encoding="utf-8").strip()
        build_data["tag"] = f"py3-none-{tag}"
        build_data["pure_python"] = False
