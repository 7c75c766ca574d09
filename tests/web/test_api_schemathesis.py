"""An outside judge of the API: schemathesis finds nothing between the document and what is served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app.domain import Role
from app.flows.access import create_token
from app.stores.engine import Database
from app.web.gate import Doors
from tests.web.api_shop import furnished
from tests.web.serving import serving

SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]
"""


def test_schemathesis_finds_nothing(database: Database, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(SETTINGS)
    deps = furnished(database).deps
    token = create_token(deps, "judge", Role.ADMIN)[1]
    doors = Doors(per_token=100_000, per_address=100_000, unknown_per_address=100_000)
    with serving(deps, doors=doors) as client:
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "settings.toml", "run"]
        judged = subprocess.run(
            [*command, str(client.base_url.join("/openapi.json")), "--checks", "all", "-n", "20", "--seed", "1"]
            + ["-H", f"Authorization: Bearer {token}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, "COLUMNS": "120"},
        )
    assert judged.returncode == 0, judged.stdout
