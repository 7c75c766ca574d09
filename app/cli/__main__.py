"""``python -m app.cli``: the console command without its script."""

from app.cli import main

main()
