"""One or two examples for every command that takes more than ``--json``, shown below its help."""

from collections.abc import Iterator
from typing import Any

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": ("init <vendor> --name shop --set access_token=@token.txt --public-url https://hooks.example.com --yes",),
    "sync": ("sync shop --strategy full --dry-run", "sync shop --category 'Home / Bath'"),
    "history": ("history shop --status failed", "history shop --strategy full --limit 5"),
    "failed": ("failed shop", "failed shop --retry"),
    "validate": ("validate shop --samples 20",),
    "drift": ("drift shop --cause missed", "drift shop --run 17 --kind stock"),
    "gaps": ("gaps shop --from 2026-11-01 --to 2026-11-07",),
    "prove": ("prove --runs 200 --hands 2", "prove --seed 7", "prove --runs 0 --processes 5"),
    "copy-database": ("copy-database postgresql://tallyhook:...@db.example.com/tallyhook",),
    "check": ("check", "check shop --mail"),
    "demo": ("demo --products 1000 --changes 10",),
    "worker": ("worker --queues live --threads 16", "worker --queues bulk --threads 2"),
    "reconcile": ("reconcile shop",),
    "simulate": ("simulate <vendor> --port 8001 --set products=500",),
    "items find": ("items find MUG-RED-12", "items find red mug"),
    "items show": ("items show MUG-RED-12",),
    "items history": ("items history MUG-RED-12 --limit 5",),
    "items asof": ("items asof MUG-RED-12 2d",),
    "dead list": ("dead list since:2h", "dead list connection:shop cause:RateLimited"),
    "dead groups": ("dead groups since:1d", "dead groups --by item"),
    "dead show": ("dead show 12", "dead show 12 --all"),
    "dead preview": ("dead preview cause:RateLimited",),
    "dead replay": ("dead replay cause:RateLimited --name 'Black Friday limits' --rate 5",),
    "dead discard": ("dead discard item:TEST-* --why 'test products'",),
    "dead restore": ("dead restore 12",),
    "dead edit": ("""dead edit 12 --args '["shop", "product", "A1"]' --why 'the id was renamed'""",),
    "dead replays": ("dead replays --limit 5",),
    "dead abort": ("dead abort 3",),
    "inbox list": ("inbox list since:1h", "inbox list item:SKU-1 verdict:foreign,test"),
    "inbox show": ("inbox show 12",),
    "inbox replay": ("inbox replay since:2026-11-22T08:00 until:2026-11-22T09:00 --name 'lost hour'",),
    "inbox gaps": ("inbox gaps --limit 5",),
    "inbox alerts": ("inbox alerts --limit 5",),
    "inbox import": ("inbox import events.jsonl --rejects bad.jsonl",),
    "inbox export": ("inbox export connection:shop since:1d > events.jsonl",),
    "tokens create": ("tokens create --name ci --role viewer --connection shop --days 30",),
    "tokens revoke": ("tokens revoke 3",),
    "subscribers create": ("subscribers create --name books --url https://example.com/changes --kind stock",),
    "subscribers show": ("subscribers show 2",),
    "subscribers test": ("subscribers test 2",),
    "subscribers pause": ("subscribers pause 2",),
    "subscribers resume": ("subscribers resume 2",),
    "subscribers delete": ("subscribers delete 2",),
    "users add": ("users add anna --role operator",),
    "users password": ("users password anna",),
    "users disable": ("users disable anna",),
    "users enable": ("users enable anna",),
    "audit list": ("audit list --action letters.replay",),
    "audit verify": ("audit verify --archive data/archive",),
    "connections pause": ("connections pause shop --reason 'stocktaking until noon'",),
    "connections resume": ("connections resume shop",),
    "connections check": ("connections check shop",),
    "holds show": ("holds show 4",),
    "holds release": ("holds release 4",),
    "holds meant": ("holds meant 4 --until 2026-11-30",),
    "holds dismiss": ("holds dismiss 4",),
    "guard test": ("guard test --seed 21 --hands 2", "guard test --disasters 20 --lives 20 --largest 50"),
    "forecast backtest": (
        "forecast backtest --demand sales.csv.gz",
        "forecast backtest --demand sales.csv --horizon 14",
    ),
    "runs show": ("runs show 17 --watch",),
    "runs cancel": ("runs cancel 17",),
    "runs resume": ("runs resume 17",),
    "schedule show": ("schedule show shop",),
    "schedule set": (
        "schedule set shop reconcile '0 3 * * *' --timezone Europe/Berlin",
        "schedule set shop poll --off",
    ),
    "backfill orders": ("backfill orders shop --from 2026-11-01 --to 2026-11-07 --dry-run",),
}


def show_examples(group: Any) -> None:
    """Put the examples below the help of every command of a group, at any depth."""
    for path, command in commands_of(group):
        if path in EXAMPLES:
            shown = "; ".join(f"`tallyhook {example}`" for example in EXAMPLES[path])
            command.epilog = f"Example{'s' if len(EXAMPLES[path]) > 1 else ''}: {shown}."


def commands_of(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Every command, by the words a person types for it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, *above, name)
        else:
            yield " ".join((*above, name)), command
