"""An outside judge of the API: schemathesis finds nothing between the document and what is served."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.domain import Role
from app.flows.access.accounts import create_token
from app.stores.sql.engine import Database
from app.web.auth import AuthSettings
from tests.web.api_shop import furnished
from tests.web.serving import serving

SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 404, 409, 422]
negative_data_rejection.expected-statuses = [400, 404, 405, 413, 414, 422]
"""


@pytest.mark.timeout(900)
def test_schemathesis_finds_nothing(database: Database, tmp_path: Path) -> None:
    deps = furnished(database).deps
    token = create_token(deps, "judge", Role.ADMIN)[1]
    with database.begin() as conn:  # it revokes tokens by their number, and is not to revoke its own
        conn.exec_driver_sql("UPDATE access_tokens SET id = 4000000000 + id")
    (tmp_path / "settings.toml").write_text(SETTINGS)
    doors = AuthSettings(per_token=100_000, per_address=100_000, unknown_per_address=100_000)
    with serving(deps, doors=doors) as client:
        document = client.get("/openapi.json", headers={"authorization": f"Bearer {token}"}).raise_for_status()
        told = document.json()  # who may do what is judged by test_access_matrix.py; here an admin asks
        del told["security"], told["components"]["securitySchemes"]
        (tmp_path / "openapi.json").write_text(json.dumps(told))
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "settings.toml", "run", "openapi.json"]
        command += ["--url", str(client.base_url), "-H", f"Authorization: Bearer {token}"]
        judged = subprocess.run(
            [*command, "--checks", "all", "-n", "20", "--seed", "1"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=840,
            env={**os.environ, "COLUMNS": "120"},
        )
    assert judged.returncode == 0, judged.stdout
